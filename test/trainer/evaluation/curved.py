"""Random statistics near random labels, for what is drawn of them."""

import numpy as np

from proving_ground.evaluation import Evaluator, Prediction, Statistics, Target

NAMES = ("car", "person")


def statistics(seed: int, frames: int) -> Statistics:
    """Random boxes near random labels."""
    rng = np.random.default_rng(seed)
    evaluator = Evaluator(heads=("detection", "segmentation"), detection_categories=NAMES, segmentation_classes="ab")
    for frame in range(frames):
        count = int(rng.integers(0, 6))
        corners = rng.integers(0, 80, (count, 2)).astype(float)
        boxes = np.hstack([corners, corners + rng.integers(8, 30, (count, 2))])
        classes = rng.integers(0, 2, count)
        found = boxes + rng.integers(-4, 5, boxes.shape)
        mask = rng.integers(0, 2, (4, 4)).astype(np.uint8)
        evaluator.add(
            frame,
            Prediction(
                boxes=found,
                scores=rng.integers(1, 10, count) / 10,
                categories=np.where(rng.random(count) < 0.8, classes, 1 - classes),
                segmentation=rng.integers(0, 2, (4, 4)).astype(np.uint8),
                lanes=None,
            ),
            Target(
                boxes=boxes,
                categories=classes,
                crowd=rng.random(count) < 0.1,
                segmentation=mask,
                lanes=None,
                width=120,
                height=120,
            ),
        )
    return evaluator.statistics()
