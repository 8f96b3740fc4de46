"""Curves and confusion matrices ..."""

import numpy as np
import pytest

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation import Evaluator, Prediction, Statistics, Target
from proving_ground.evaluation.curves import make_confusion, make_curves
from proving_ground.evaluation.detection import accumulate, restrict, single_category
from proving_ground.evaluation.scores import tabulate

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


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """IoU of two boxes x y w h."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    return both / (one[2] * one[3] + other[2] * other[3] - both)


def confuse(kept: Statistics) -> np.ndarray:
    """The matrix by the definition, box by box."""
    columns, matrix = kept.columns, np.zeros((3, 3), dtype=int)
    for frame in columns["frames/frame"]:
        truth = [
            (int(category), np.array([x, y, w, h]))
            for at, category, crowd, x, y, w, h in zip(
                *(columns[f"truth/{name}"] for name in ("frame", "category", "crowd", "x", "y", "w", "h")), strict=True
            )
            if at == frame and not crowd
        ]
        found = [
            (float(score), int(category), np.array([x, y, w, h]))
            for at, category, score, x, y, w, h in zip(
                *(columns[f"detections/{name}"] for name in ("frame", "category", "score", "x", "y", "w", "h")),
                strict=True,
            )
            if at == frame and score >= 0.3
        ]
        free = list(range(len(truth)))
        for _, category, box in sorted(found, key=lambda item: -item[0]):
            best = max(free, key=lambda place: (iou(box, truth[place][1]), -place), default=None)
            if best is not None and iou(box, truth[best][1]) >= 0.5:
                matrix[truth[best][0], category] += 1
                free.remove(best)
            else:
                matrix[2, category] += 1
        for place in free:
            matrix[truth[place][0], 2] += 1
    return matrix


@pytest.mark.parametrize("seed", range(5))
def test_confuse_as_the_definition_says(seed: int) -> None:
    kept = statistics(seed, 20)
    found = make_confusion(kept)
    assert found["detection"]["matrix"] == confuse(kept).tolist()
    assert found["detection"]["names"] == [*NAMES, "background"]
    assert np.sum(found["segmentation"]["matrix"]) == 20 * 16
    assert found["segmentation"]["matrix"] == kept.columns["confusion/matrix"].sum(axis=0).tolist()


def test_are_those_that_the_scores_are_made_of() -> None:
    kept = statistics(1, 30)
    half = FrameSlice(name="half", where={}, category="person", protected=False, frames=np.arange(30) < 15)
    every = FrameSlice(name="every", where={}, category=None, protected=False, frames=np.ones(30, dtype=bool))
    found = make_curves(kept, [half, every], 30)
    assert [(item["slice"], item["category"]) for item in found["curves"]] == [
        (None, "car"),
        (None, "person"),
        ("half", "person"),
    ]
    ordered = tabulate(kept, 30).ordered
    precision, _ = accumulate(single_category(restrict(ordered, half.frames), 1))
    assert found["curves"][2]["precision"]["0.75"] == np.round(precision[5, :, 0], 4).tolist()
    assert len(found["recall"]) == 101


def test_are_left_out_where_there_is_no_object() -> None:
    kept = statistics(1, 30)
    nothing = FrameSlice(name="none", where={}, category="car", protected=False, frames=np.zeros(30, dtype=bool))
    assert [item["slice"] for item in make_curves(kept, [nothing], 30)["curves"]] == [None, None]
