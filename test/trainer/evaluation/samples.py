"""Seeds become the statistics of small frames with all heads, for every test that needs some."""

import numpy as np

from proving_ground.evaluation import Evaluator, Prediction, Statistics, Target

CATEGORIES, CLASSES = ("vehicle", "pedestrian", "rider"), ("background", "road", "sky")
WIDTH, HEIGHT = 96, 64


def sample_frame(model: int, frame: int, labelled: bool) -> tuple[Prediction, Target]:
    """A frame's labels, the same for every model, and a model's predictions."""
    truth, rng = np.random.default_rng([1, frame]), np.random.default_rng([2, model, frame])
    objects = int(truth.integers(1, 5))
    corner, size = truth.uniform(0, 40, (objects, 2)), truth.uniform(8, 20, (objects, 2))
    boxes, categories = np.hstack([corner, corner + size]), np.arange(objects) % len(CATEGORIES)
    mask = truth.integers(0, len(CLASSES), (HEIGHT // 8, WIDTH // 8)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    lanes = [np.array([[x, HEIGHT - 1.0], [48.0, 20.0]]) for x in truth.uniform(0, WIDTH, 3)]
    wrong = rng.random(mask.shape) < 0.2
    prediction = Prediction(
        boxes=boxes + rng.normal(0, 1.5, (objects, 4)),
        scores=rng.random(objects),
        categories=np.where(rng.random(objects) < 0.9, categories, 0),
        segmentation=np.where(wrong, rng.integers(0, len(CLASSES), mask.shape), mask).astype(np.uint8),
        lanes=[lane + rng.normal(0, 1, (2, 2)) for lane in lanes],
    )
    target = Target(
        boxes=boxes if labelled else None,
        categories=categories if labelled else None,
        crowd=truth.random(objects) < 0.1 if labelled else None,
        segmentation=mask if labelled else None,
        lanes=lanes if labelled else None,
        width=WIDTH,
        height=HEIGHT,
    )
    return prediction, target


def make_evaluator(heads: tuple[str, ...] = ("detection", "segmentation", "lanes")) -> Evaluator:
    """An evaluator for such frames."""
    return Evaluator(heads=heads, detection_categories=CATEGORIES, segmentation_classes=CLASSES)


def measure_sample(model: int, frames: int, labelled: int | None = None, **options: tuple[str, ...]) -> Statistics:
    """Statistics of a model over frames, of which the first `labelled` (None: all) have labels."""
    evaluator = make_evaluator(**options)
    for frame in range(frames):
        evaluator.add(frame, *sample_frame(model, frame, labelled is None or frame < labelled))
    return evaluator.statistics()
