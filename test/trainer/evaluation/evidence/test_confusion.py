"""Confusion matrices and the frames that are shown ..."""

import numpy as np
import pytest
from curved import NAMES, statistics

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation import Statistics
from proving_ground.evaluation.evidence import confusion
from proving_ground.evaluation.evidence.confusion import compare_confusion, pair_boxes
from proving_ground.evaluation.evidence.examples import boxes_of_frame, choose_examples, count_errors, labels_of_frame


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """IoU of two boxes x y w h."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    return both / (one[2] * one[3] + other[2] * other[3] - both)


def confuse(kept: Statistics, frames: range) -> np.ndarray:
    """The matrix by the definition, box by box."""
    columns, matrix = kept.columns, np.zeros((3, 3), dtype=int)
    for frame in frames:
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
    half = FrameSlice(name="half", where={}, category=None, protected=False, frames=np.arange(20) < 10)
    boxes, boxes_half, pixels, pixels_half = compare_confusion(kept, None, [half], (pair_boxes(kept), None))
    assert (boxes["candidate"], boxes["production"]) == (confuse(kept, range(20)).tolist(), None)
    assert boxes["names"] == [*NAMES, "background"]
    assert (boxes_half["slice"], boxes_half["candidate"]) == ("half", confuse(kept, range(10)).tolist())
    assert pixels["candidate"] == kept.columns["confusion/matrix"].sum(axis=0).tolist()
    assert np.sum(pixels_half["candidate"]) == 10 * 16


def test_leave_out_the_slices_that_would_be_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = statistics(0, 5)
    every = FrameSlice(name="every", where={}, category=None, protected=False, frames=np.ones(5, dtype=bool))
    monkeypatch.setattr(confusion, "MAX_CELLS", 17)
    found = compare_confusion(kept, None, [every], (pair_boxes(kept), None))
    assert [(item["head"], item["slice"]) for item in found] == [
        ("detection", None),
        ("segmentation", None),
        ("segmentation", "every"),
    ]


def test_show_the_frames_whose_errors_differ_most() -> None:
    one = statistics(3, 40)
    without = count_errors("detection", one, pair_boxes(one), 40) == 0
    place = int(np.flatnonzero(without & (np.bincount(one.columns["truth/frame"], minlength=40) > 0))[0])
    # Production finds nothing in a frame where the candidate has all right.
    kept = one.columns["detections/frame"] != place
    columns = {name: values[kept] if name.startswith("detections/") else values for name, values in one.columns.items()}
    other = Statistics(heads=one.heads, categories=one.categories, classes=one.classes, columns=columns)
    pairs = (pair_boxes(one), pair_boxes(other))
    own, theirs = (count_errors("detection", model, pair, 40) for model, pair in zip((one, other), pairs, strict=True))
    assert np.flatnonzero(own != theirs).tolist() == [place]
    (example,) = choose_examples(one, other, pairs, 40)
    assert (example.frame, example.kind) == (place, "won")
    assert (example.candidate, example.production) == (own[place], theirs[place])
    assert choose_examples(other, one, pairs[::-1], 40)[0].kind == "lost"
    worst = choose_examples(one, None, (pairs[0], None), 40)
    assert [item.candidate for item in worst] == sorted(own, reverse=True)[:6]


def test_say_which_boxes_and_labels_are_right() -> None:
    kept = statistics(2, 30)
    pairs = pair_boxes(kept)
    errors = count_errors("detection", kept, pairs, 30)
    for frame in range(30):
        boxes, labels = boxes_of_frame(kept, pairs, frame), labels_of_frame(kept, (pairs, None), frame)
        assert sum(box["right"] for box in boxes) == sum(label["found"]["candidate"] for label in labels)
        assert all(label["found"]["production"] is None for label in labels)
        assert len(boxes) == np.sum(
            (kept.columns["detections/frame"] == frame) & (kept.columns["detections/score"] >= 0.3)
        )
        assert max(len(boxes), len(labels)) - sum(box["right"] for box in boxes) <= errors[frame]


@pytest.mark.parametrize("head", ["segmentation", "lanes", "trajectory"])
def test_count_what_each_head_has_wrong(head: str) -> None:
    columns = {
        "confusion/frame": np.array([1]),
        "confusion/matrix": np.array([[[6, 2], [1, 1]]]),
        "lane_counts/frame": np.array([1]),
        "lane_counts/counts": np.array([[4, 2, 1]]),
        "tracks/frame": np.array([1, 1]),
        "tracks/min_fde": np.array([0.5, 2.0]),
    }
    kept = Statistics(heads=(head,), categories=(), classes=("a", "b"), columns=columns)
    assert count_errors(head, kept, None, 3).tolist() == [
        0,
        {"segmentation": 0.3, "lanes": 3, "trajectory": 2.5}[head],
        0,
    ]
