"""Errors of predicted futures ..."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies

from proving_ground.evaluation import (
    LOWER_IS_BETTER,
    Evaluator,
    FrameSlice,
    Prediction,
    Statistics,
    Target,
    compare,
    constant_velocity,
    score,
)
from proving_ground.evaluation.counting.trajectories import METRICS, MISS_DISTANCE, count_tracks
from proving_ground.evaluation.intervals import draw_weights, spread_of
from proving_ground.evaluation.statistics import checksum

ETHUCY = Path(__file__).parents[5] / "shared/data/ethucy/val"
FRAMES, FUTURE, MODES = 9, 4, 3
STEPS = np.arange(1, FUTURE + 1)


def add(
    evaluator: Evaluator, frame: int, futures: np.ndarray | None, scores: np.ndarray | None, labelled: np.ndarray | None
) -> None:
    """Add a frame of tracks alone."""
    prediction = Prediction(
        boxes=np.zeros((0, 4)),
        scores=np.zeros(0),
        categories=np.zeros(0, dtype=np.int64),
        segmentation=None,
        lanes=None,
        tracks=futures,
        track_scores=scores,
    )
    none = dict.fromkeys(("boxes", "categories", "crowd", "segmentation", "lanes"))
    evaluator.add(frame, prediction, Target(**none, width=0, height=0, tracks=labelled))


def make_evaluator() -> Evaluator:
    """An evaluator of tracks alone."""
    return Evaluator(heads=["trajectory"], detection_categories=[], segmentation_classes=[])


def sample(model: int, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frame of up to four tracks: a model's futures, their scores, and the labels, the same for all models."""
    truth, rng = np.random.default_rng([1, frame]), np.random.default_rng([2, model, frame])
    count = int(truth.integers(0, 5))
    labelled = truth.normal(0, 5, (count, FUTURE, 2))
    return labelled[:, None] + rng.normal(0, 1.5, (count, MODES, FUTURE, 2)), rng.random((count, MODES)), labelled


def measure(model: int, frames: range = range(FRAMES)) -> Statistics:
    """A model's statistics; frame 3 has no labels."""
    evaluator = make_evaluator()
    for frame in frames:
        futures, scores, labelled = sample(model, frame)
        add(evaluator, frame, futures, scores, None if frame == 3 else labelled)
    return evaluator.statistics()


def part(name: str, frames: np.ndarray, category: str | None = None) -> FrameSlice:
    """A slice of some frames."""
    return FrameSlice(name=name, where={}, category=category, protected=False, frames=frames)


def directly(model: int, frames: list[int]) -> dict[str, float]:
    """Scores of some frames, each as often as it is named, written down as they are defined."""
    rows = []
    for frame in frames:
        futures, scores, labelled = sample(model, frame)
        for mode, chances, true in zip(futures, scores, labelled, strict=True):
            distances = [[float(np.hypot(*(a - b))) for a, b in zip(one, true, strict=True)] for one in mode]
            averages, finals = [sum(one) / FUTURE for one in distances], [one[-1] for one in distances]
            best = int(np.argmax(chances))
            rows.append([averages[best], finals[best], min(averages), min(finals), min(finals) > MISS_DISTANCE])
    return dict(zip(METRICS, np.mean(rows, axis=0).tolist(), strict=True))


def test_are_those_worked_out_by_hand() -> None:
    labelled = np.array([[[1.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    # The first track's likely mode is 1 m and 3 m away, its other one 2 m and 2 m; the second's are 0 m, and 5 m, away.
    futures = np.array(
        [[[[1.0, 1.0], [2.0, 3.0]], [[1.0, 2.0], [4.0, 0.0]]], [[[0.0, 0.0], [3.0, 4.0]], [[3.0, 4.0], [3.0, 4.0]]]]
    )
    counted = count_tracks(futures, np.array([[0.6, 0.4], [0.1, 0.9]]), labelled)
    assert {name: values.tolist() for name, values in counted.items()} == {
        "ade": [2.0, 5.0],
        "fde": [3.0, 5.0],
        "min_ade": [2.0, 2.5],
        "min_fde": [2.0, 5.0],
        # Exactly 2 m is not missed.
        "missed": [False, True],
        "x": [2.0, 0.0],
        "y": [0.0, 0.0],
    }
    evaluator = make_evaluator()
    add(evaluator, 0, futures, np.array([[0.6, 0.4], [0.1, 0.9]]), labelled)
    found = {metric: value for (metric, _), value in score(evaluator.statistics(), [], 1).items()}
    assert found == {"ade": 3.5, "fde": 4.0, "min_ade": 2.25, "min_fde": 3.5, "miss_rate": 0.5}


def test_are_of_the_first_mode_where_all_are_as_likely() -> None:
    futures = np.array([[[[1.0, 0.0]], [[0.0, 0.0]]]])
    assert count_tracks(futures, np.full((1, 2), 0.5), np.zeros((1, 1, 2)))["ade"].tolist() == [1.0]


def test_are_nothing_for_an_agent_that_goes_on_as_it_did() -> None:
    past = np.array([[[0.0, 0.0], [1.0, 0.0], [1.5, 0.5]]])
    expected = np.array([[[2.0, 1.0], [2.5, 1.5], [3.0, 2.0], [3.5, 2.5]]])
    np.testing.assert_array_equal(constant_velocity(past, STEPS), expected)
    tensor = constant_velocity(torch.from_numpy(past), torch.from_numpy(STEPS))
    np.testing.assert_array_equal(tensor.numpy(), expected)
    counted = count_tracks(expected[:, None], np.ones((1, 1)), expected)
    assert [counted[name].tolist() for name in ("ade", "fde", "missed")] == [[0.0], [0.0], [False]]


def test_make_scores_overall_and_by_slice_as_they_are_defined() -> None:
    even = np.arange(FRAMES) % 2 == 0
    rows = compare(measure(1), measure(2), [part("even", even)], resamples=50, seed=1)
    labelled = [frame for frame in range(FRAMES) if frame != 3]
    assert [(row["metric"], row["slice"]) for row in rows] == [(name, at) for at in (None, "even") for name in METRICS]
    for row in rows:
        frames = labelled if row["slice"] is None else [frame for frame in labelled if even[frame]]
        own, other = directly(1, frames)[row["metric"]], directly(2, frames)[row["metric"]]
        assert (row["candidate"], row["production"]) == (pytest.approx(own), pytest.approx(other))
        assert row["delta"] == row["candidate"] - row["production"]
        assert row["frames"] == len(frames)
        assert row["objects"] == sum(len(sample(1, frame)[2]) for frame in frames)
    assert set(METRICS) < LOWER_IS_BETTER
    quick = score(measure(1), [part("even", even)], FRAMES)
    assert quick == {(row["metric"], row["slice"]): row["candidate"] for row in rows}


def test_have_intervals_from_frames_that_are_drawn_again() -> None:
    labelled = [frame for frame in range(FRAMES) if frame != 3]
    rows = compare(measure(1), measure(2), [], resamples=60, seed=7)
    draws = [np.repeat(labelled, weights).tolist() for weights in draw_weights(np.arange(len(labelled)), 60, 7, None)]
    own, other = ([directly(model, frames) for frames in draws] for model in (1, 2))
    for row in rows:
        spread = np.array([one[row["metric"]] for one in own])
        gap = spread - np.array([one[row["metric"]] for one in other])
        for key, values in (("candidate", spread), ("delta", gap)):
            made = spread_of(row[key], values, len(labelled))
            assert (row[f"{key}_error"], *row[f"{key}_interval"]) == pytest.approx(made)


def test_do_not_differ_between_a_model_and_itself() -> None:
    for row in compare(measure(1), measure(1), [], resamples=50, seed=1):
        assert (row["delta"], row["delta_interval"]) == (0.0, [0.0, 0.0])


def test_are_null_where_there_is_no_track() -> None:
    evaluator = make_evaluator()
    none = np.zeros((0, MODES, FUTURE, 2)), np.zeros((0, MODES)), np.zeros((0, FUTURE, 2))
    add(evaluator, 0, *none)
    add(evaluator, 1, None, None, None)
    statistics = evaluator.statistics()
    rows = compare(statistics, statistics, [part("first", np.array([True, False]))], resamples=50, seed=1)
    assert len(rows) == 2 * len(METRICS)
    for row in rows:
        assert (row["frames"], row["objects"]) == (1, 0)
        assert (row["candidate"], row["candidate_interval"], row["delta"]) == (None, None, None)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(ranks=strategies.lists(strategies.integers(0, 2), min_size=FRAMES, max_size=FRAMES), order=strategies.randoms())
def test_are_the_same_bits_whatever_the_split_and_the_order(ranks: list[int], order) -> None:
    evaluators = [make_evaluator() for _ in range(3)]
    for frame in order.sample(range(FRAMES), FRAMES):
        add(evaluators[ranks[frame]], frame, *sample(1, frame)[:2], None if frame == 3 else sample(1, frame)[2])
    merged, whole = Statistics.merge([evaluator.statistics() for evaluator in evaluators]), measure(1)
    assert checksum(merged.columns) == checksum(whole.columns)
    rows = [compare(each, None, [], resamples=50, seed=1) for each in (merged, whole)]
    assert rows[0] == rows[1]


def test_come_back_from_their_file(tmp_path: Path) -> None:
    measure(1).save(tmp_path / "statistics.npz")
    assert checksum(Statistics.load(tmp_path / "statistics.npz").columns) == checksum(measure(1).columns)


def test_are_not_compared_over_other_tracks() -> None:
    evaluator = make_evaluator()
    for frame in range(FRAMES):
        futures, scores, labelled = sample(2, frame)
        add(evaluator, frame, futures, scores, None if frame == 3 else labelled + (0.5 if frame == 4 else 0))
    with pytest.raises(ValueError, match="not measured on the same labels of trajectory"):
        compare(measure(1), evaluator.statistics(), [], resamples=50, seed=1)


@pytest.mark.parametrize(
    ("futures", "scores", "message"),
    [
        (None, None, "the tracks are labelled, but none are predicted"),
        (np.zeros((1, 3, 4, 2)), np.zeros((1, 3)), r"the futures \(1, 3, 4, 2\) are not \[T, K, F, 2\] for"),
        (np.zeros((2, 3, 5, 2)), np.zeros((2, 3)), r"the futures \(2, 3, 5, 2\) are not \[T, K, F, 2\] for"),
        (np.zeros((2, 0, 4, 2)), np.zeros((2, 0)), r"the futures \(2, 0, 4, 2\) are not"),
        (np.zeros((2, 3, 4, 2)), np.zeros((2, 4)), r"the tracks' scores \(2, 4\) are not one for each future"),
        (np.full((2, 3, 4, 2), np.nan), np.zeros((2, 3)), "a track has a value that isn't finite"),
        (np.zeros((2, 3, 4, 2)), np.full((2, 3), np.inf), "a track has a value that isn't finite"),
    ],
)
def test_are_refused_where_they_would_be_wrong(
    futures: np.ndarray | None, scores: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^frame 4: {message}"):
        add(make_evaluator(), 4, futures, scores, np.zeros((2, FUTURE, 2)))


@pytest.mark.skipif(not ETHUCY.is_dir(), reason=f"the ETH and UCY pedestrians are not at {ETHUCY}")
def test_of_constant_velocity_on_real_pedestrians_are_half_a_metre_and_a_metre() -> None:
    errors = []
    for file in sorted(ETHUCY.glob("*.txt")):
        rows = np.loadtxt(file)
        for person in np.unique(rows[:, 1]):
            frames, places = rows[rows[:, 1] == person, 0], rows[rows[:, 1] == person, 2:]
            for begin in range(len(frames) - 19):
                if frames[begin + 19] - frames[begin] == 190:
                    past, future = places[None, begin : begin + 8], places[None, begin + 8 : begin + 20]
                    predicted = constant_velocity(past, np.arange(1, 13))[:, None]
                    errors.append(count_tracks(predicted, np.ones((1, 1)), future))
    ade, fde = (float(np.mean([one[name][0] for one in errors])) for name in ("ade", "fde"))
    assert len(errors) > 4000
    assert (ade, fde) == (pytest.approx(0.457, abs=0.001), pytest.approx(1.010, abs=0.001))
