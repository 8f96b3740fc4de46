"""The calibration error ..."""

import math

import numpy as np
import pytest
from curved import NAMES, statistics
from test_confusion import iou
from test_intervals import interval

from proving_ground.evaluation import Evaluator, FrameSlice, Prediction, Statistics, Target, compare, score
from proving_ground.evaluation.detection.calibration import BINS, EDGES, all_gaps, compare_calibration, expected_error
from proving_ground.evaluation.intervals import draw_weights
from proving_ground.evaluation.scores import tabulate

FRAMES = 40
EVEN = FrameSlice(name="even", where={}, category=None, protected=False, frames=np.arange(FRAMES) % 2 == 0)
CARS = FrameSlice(name="cars", where={}, category="car", protected=False, frames=np.arange(FRAMES) % 3 > 0)


def judged(kept: Statistics, frame: int, category: int) -> list[tuple[float, bool]]:
    """Score of each box from 0.3 and whether it is right, best first, by the rules of COCO: a box takes the free object
    of the highest IoU from 0.5, of several the last; one that takes none but lies on a crowd isn't looked at.
    """
    columns = kept.columns
    boxes, objects = (
        [
            np.array(row)
            for at, of, *row in zip(*(columns[f"{table}/{name}"] for name in names), strict=True)
            if (at, of) == (frame, category)
        ]
        for table, names in (
            ("detections", ("frame", "category", "score", "x", "y", "w", "h")),
            ("truth", ("frame", "category", "crowd", "x", "y", "w", "h")),
        )
    )
    free, crowds = [row[1:] for row in objects if not row[0]], [row[1:] for row in objects if row[0]]
    found = []
    for value, *sides in sorted(boxes, key=lambda row: -row[0]):
        box = np.array(sides)
        best = max(range(len(free)), key=lambda place: (iou(box, free[place]), place), default=None)
        if best is not None and iou(box, free[best]) >= 0.5:
            del free[best]
            found.append((value, True))
        elif not any(covered(box, crowd) >= 0.5 for crowd in crowds):
            found.append((value, False))
    return [(value, right) for value, right in found if value >= 0.3]


def covered(box: np.ndarray, crowd: np.ndarray) -> float:
    """The share of a box that is on a crowd."""
    width = min(box[0] + box[2], crowd[0] + crowd[2]) - max(box[0], crowd[0])
    height = min(box[1] + box[3], crowd[1] + crowd[3]) - max(box[1], crowd[1])
    return max(width, 0) * max(height, 0) / (box[2] * box[3])


def error_of(boxes: list[tuple[float, bool]]) -> float:
    """The expected calibration error by its definition: each bin's gap, times its share of the boxes."""
    total = 0.0
    for low in range(3, 10):
        held = [(value, right) for value, right in boxes if low <= min(round(10 * value, 9), 9.5) < low + 1]
        if held:
            confidence = sum(value for value, _ in held) / len(held)
            precision = sum(right for _, right in held) / len(held)
            total += len(held) / len(boxes) * abs(precision - confidence)
    return total


@pytest.mark.parametrize("seed", range(4))
def test_is_the_definitions_box_by_box_overall_by_category_and_on_slices(seed: int) -> None:
    kept = statistics(seed, FRAMES)
    boxes = {(frame, place): judged(kept, frame, place) for frame in range(FRAMES) for place in range(2)}
    found = score(kept, [EVEN, CARS], FRAMES)

    def expected(frames: np.ndarray, categories: tuple[int, ...]) -> float:
        return error_of(
            [box for (frame, place), own in boxes.items() if frames[frame] and place in categories for box in own]
        )

    every = np.ones(FRAMES, dtype=bool)
    assert found["ece", None] == pytest.approx(expected(every, (0, 1)), abs=1e-9)
    for place, name in enumerate(NAMES):
        assert found[f"ece/{name}", None] == pytest.approx(expected(every, (place,)), abs=1e-9)
    assert found["ece", "even"] == pytest.approx(expected(EVEN.frames, (0, 1)), abs=1e-9)
    assert found["ece/car", "cars"] == pytest.approx(expected(CARS.frames, (0,)), abs=1e-9)
    assert ("ece", "cars") not in found
    assert ("ece/car", "even") not in found


def test_has_the_paired_intervals_of_frames_drawn_one_by_one() -> None:
    models = [statistics(seed, FRAMES) for seed in (5, 5)]
    models[0] = sharpened(models[0])
    rows = {(row["metric"], row["slice"]): row for row in compare(*models, [EVEN, CARS], resamples=60, seed=9)}
    boxes = [
        {(frame, place): judged(kept, frame, place) for frame in range(FRAMES) for place in range(2)} for kept in models
    ]
    every = np.ones(FRAMES, dtype=bool)
    for metric, name, chosen, places in (
        ("ece", None, every, (0, 1)),
        ("ece/person", None, every, (1,)),
        ("ece", "even", EVEN.frames, (0, 1)),
        ("ece/car", "cars", CARS.frames, (0,)),
    ):
        frames = np.flatnonzero(chosen)
        drawn = [
            [
                error_of([box for frame in np.repeat(frames, counts) for place in places for box in own[frame, place]])
                for own in boxes
            ]
            for counts in draw_weights(np.arange(len(frames)), 60, 9, name)
        ]
        row = rows[metric, name]
        expected = interval(row["candidate"], [pair[0] for pair in drawn], len(frames))
        assert row["candidate_interval"] == pytest.approx(expected, abs=1e-9)
        expected = interval(row["delta"], [pair[0] - pair[1] for pair in drawn], len(frames))
        assert row["delta_interval"] == pytest.approx(expected, abs=1e-9)
        assert row["delta_interval"][0] < row["delta_interval"][1]
        counted = ~models[0].columns["truth/crowd"] & np.isin(models[0].columns["truth/category"], places)
        assert row["objects"] == np.sum(chosen[models[0].columns["truth/frame"][counted]])


def sharpened(kept: Statistics) -> Statistics:
    """The same boxes with scores that are nearer to one."""
    columns = {**kept.columns, "detections/score": 1 - 0.5 * (1 - kept.columns["detections/score"])}
    return Statistics(heads=kept.heads, categories=kept.categories, classes=kept.classes, columns=columns)


def measure(frames: list[list[tuple[float, bool]]], crowd: bool = False) -> Statistics:
    """Statistics of frames with boxes of a score each, right or not; every object is found or a crowd."""
    evaluator = Evaluator(heads=["detection"], detection_categories=["car"], segmentation_classes=[])
    for number, boxes in enumerate(frames):
        corners = np.array([[30.0 * place, 0.0, 30.0 * place + 20, 20.0] for place in range(len(boxes))]).reshape(-1, 4)
        right = np.array([found for _, found in boxes], dtype=bool)
        truth = corners[right]
        evaluator.add(
            number,
            Prediction(
                boxes=corners,
                scores=np.array([value for value, _ in boxes], dtype=np.float64),
                categories=np.zeros(len(boxes), dtype=np.int64),
                segmentation=None,
                lanes=None,
            ),
            Target(
                boxes=truth,
                categories=np.zeros(len(truth), dtype=np.int64),
                crowd=np.full(len(truth), crowd),
                segmentation=None,
                lanes=None,
                width=900,
                height=20,
            ),
        )
    return evaluator.statistics()


def test_is_that_of_an_example_by_hand() -> None:
    # In the bin from 0.8: mean 0.85, one of two right. In the bin from 0.3: 0.3, none right. 0.29 doesn't count.
    kept = measure([[(0.9 - 1e-9, True), (0.3, False)], [(0.8, False), (0.29, True)]])
    assert score(kept, [], 2)["ece", None] == pytest.approx((2 * 0.35 + 0.3) / 3, abs=1e-9)
    # A score of one is in the last bin, and right it is no error.
    assert score(measure([[(1.0, True)]]), [], 1)["ece", None] == 0.0
    # Scores that say what is: four of five boxes with 0.8.
    assert score(measure([[(0.8, place > 0) for place in range(5)]]), [], 1)["ece/car", None] == pytest.approx(
        0, abs=1e-9
    )


def test_is_none_where_no_box_counts() -> None:
    unsure = score(measure([[(0.2, True)], []]), [], 2)
    assert (unsure["ece", None], unsure["ece/car", None]) == (None, None)
    assert unsure["map", None] == pytest.approx(1.0)
    # A box on a crowd is neither right nor wrong.
    assert score(measure([[(0.9, True)]], crowd=True), [], 1)["ece", None] is None
    rows = compare(measure([[(0.2, True)], []]), None, [], resamples=50, seed=1)
    assert {row["candidate_interval"] is None for row in rows if row["metric"].startswith("ece")} == {True}


def test_is_the_same_bits_in_any_order_of_frames() -> None:
    rng = np.random.default_rng(3)
    values = rng.uniform(0.3, 1, (300, 4)).astype(np.float32).astype(np.float64)
    kept = measure([[(value, False) for value in row] for row in values])
    gaps = all_gaps(tabulate(kept, 300).ordered)
    # Not a bit of a network's scores is lost.
    assert -gaps[:, :BINS].sum() / 2**30 == math.fsum(values.ravel())
    for _ in range(20):
        shuffled = gaps[rng.permutation(300)].cumsum(axis=0)[-1]
        assert expected_error(shuffled) == expected_error(gaps.sum(axis=0))


def test_has_its_diagrams_of_both_models() -> None:
    kept, other = statistics(1, FRAMES), sharpened(statistics(1, FRAMES))
    ordered = [tabulate(model, FRAMES).ordered for model in (kept, other)]
    document = compare_calibration(ordered, NAMES, [EVEN, CARS], FRAMES)
    assert document["edges"] == EDGES.tolist() == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    diagrams = {(each["slice"], each["category"]): each for each in document["diagrams"]}
    assert list(diagrams) == [(None, None), (None, "car"), (None, "person"), ("even", None), ("cars", "car")]
    for (name, category), diagram in diagrams.items():
        chosen = {None: np.ones(FRAMES, dtype=bool), "even": EVEN.frames, "cars": CARS.frames}[name]
        places = [NAMES.index(category)] if category else [0, 1]
        for model, measured in (("candidate", kept), ("production", other)):
            boxes = [
                box for frame in np.flatnonzero(chosen) for place in places for box in judged(measured, frame, place)
            ]
            assert sum(diagram[model]["boxes"]) == len(boxes)
            gap = sum(
                count * abs(precision - value)
                for count, value, precision in zip(
                    *(diagram[model][key] for key in ("boxes", "score", "precision")), strict=True
                )
                if count
            )
            assert gap / len(boxes) == pytest.approx(error_of(boxes), abs=1e-3)
            assert [value is None for value in diagram[model]["score"]] == [
                count == 0 for count in diagram[model]["boxes"]
            ]
    alone = compare_calibration([None, ordered[0]], NAMES, [], FRAMES)["diagrams"][0]
    assert (alone["candidate"], alone["production"]) == (None, diagrams[None, None]["candidate"])
    assert compare_calibration([None, None], NAMES, [EVEN], FRAMES)["diagrams"] == []
