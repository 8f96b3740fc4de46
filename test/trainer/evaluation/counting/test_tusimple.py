"""TuSimple's figures of lane lines ..."""

import numpy as np
import pytest
from samples import measure_sample, sample_frame
from test_intervals import interval
from test_lanes import evaluate, measure

from proving_ground.evaluation import FrameSlice, Statistics, compare
from proving_ground.evaluation.counting.tusimple import ABSENT, ROWS, at_rows, rate_lanes
from proving_ground.evaluation.intervals import draw_weights

SIZE = (1280, 720)
NAMES = ("accuracy", "false_positives", "false_negatives")


def upright(x: float, top: float = 160, bottom: float = 710) -> np.ndarray:
    """A line straight down."""
    return np.array([[x, bottom], [x, top]])


def benchmark(predicted: list[list[float]], labelled: list[list[float]], rows: list[float]) -> tuple[float, ...]:
    """Accuracy, FP and FN of a frame by the benchmark's rules, point by point; -2 is a point that isn't there."""
    if len(predicted) > len(labelled) + 2:
        return 0.0, 0.0, 1.0
    accuracies = []
    for label in labelled:
        points = [(row, x) for row, x in zip(rows, label, strict=True) if x >= 0]
        angle = np.arctan(np.polyfit(*np.array(points).T, 1)[0]) if len(points) > 1 else 0.0
        best = 0.0
        for line in predicted:
            right = 0
            for x, true in zip(line, label, strict=True):
                right += abs((x if x >= 0 else -100) - (true if true >= 0 else -100)) < 20 / np.cos(angle)
            best = max(best, right / len(rows))
        accuracies.append(best)
    matched = sum(best >= 0.85 for best in accuracies)
    missed = len(labelled) - matched
    total = sum(accuracies)
    if len(labelled) > 4:
        missed, total = max(missed - 1, 0), total - min(accuracies)
    count = min(4, len(labelled))
    return total / count, (len(predicted) - matched) / len(predicted) if predicted else 0.0, missed / count


def benchmark_lane(rng: np.random.Generator) -> list[float]:
    """A lane as the benchmark writes it: whole columns at its rows, bent, absent above and beyond the edges."""
    y, top = ROWS, rng.choice(ROWS[:20])
    x = np.round(640 + rng.uniform(-3, 3) * (y - 250) + rng.uniform(-1e-3, 1e-3) * (y - 250) ** 2)
    x = np.where((y >= top) & (x >= 0) & (x < 1280), x, -2)
    # Bent lanes may come back in: the benchmark's leave once.
    gone = np.flatnonzero((x[:-1] >= 0) & (x[1:] < 0))
    x[gone[0] + 1 if gone.size else len(x) :] = -2
    return x.tolist()


def as_line(lane: list[float], size: tuple[int, int] = SIZE) -> np.ndarray:
    """The lane's points from near to far, in a frame of another size."""
    points = np.array([(x, y) for x, y in zip(lane, ROWS, strict=True) if x >= 0]).reshape(-1, 2)[::-1]
    return points * [size[0] / 1280, size[1] / 720]


@pytest.mark.parametrize("seed", range(60))
def test_equal_the_benchmarks_rules_point_by_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lanes = [lane for lane in (benchmark_lane(rng) for _ in range(12)) if sum(x >= 0 for x in lane) > 1]
    labelled = lanes[: rng.integers(1, 6)]
    predicted = [
        [x + rng.normal(0, rng.choice([3, 15, 40])) if x >= 0 else -2 for x in lane]
        for lane in labelled
        if rng.random() < 0.9
    ]
    predicted = [[float(np.clip(round(x), 0, 1279)) if x != -2 else -2 for x in lane] for lane in predicted]
    predicted += lanes[6 : 6 + rng.integers(0, 4)]
    expected = benchmark(predicted, labelled, ROWS.tolist())
    found = rate_lanes([as_line(lane) for lane in predicted], [as_line(lane) for lane in labelled], SIZE)
    assert found == pytest.approx(expected, abs=1e-12), f"seed {seed}"
    if max(len(predicted), len(labelled)) <= 4:
        # A frame of half the size, with points that are rounded as an importer rounds them.
        half = [[np.round(as_line(lane, (640, 360)), 2) for lane in lines] for lines in (predicted, labelled)]
        assert rate_lanes(*half, (640, 360)) == pytest.approx(expected, abs=1e-12), f"seed {seed}"


def test_are_those_of_an_example_by_hand() -> None:
    # 56 rows. A line 19 pixels off is right everywhere, one 20 pixels off nowhere.
    assert rate_lanes([upright(519)], [upright(500)], SIZE) == (1.0, 0.0, 0.0)
    assert rate_lanes([upright(520)], [upright(500)], SIZE) == (0.0, 1.0, 1.0)
    # 48 of 56 rows are more than 0.85, 47 are less.
    assert rate_lanes([upright(500, top=240)], [upright(500)], SIZE) == (48 / 56, 0.0, 0.0)
    assert rate_lanes([upright(500, top=250)], [upright(500)], SIZE) == (47 / 56, 1.0, 1.0)
    # Above their ends neither has a point: that is right too.
    assert rate_lanes([upright(500, top=640)], [upright(500, top=600)], SIZE) == (52 / 56, 0.0, 0.0)
    # At a slope of 1 the limit is 28.3 pixels.
    slanted = np.array([[0.0, 700.0], [540.0, 160.0]])
    assert rate_lanes([slanted + np.array([28, 0])], [slanted], SIZE).accuracy == 1.0
    assert rate_lanes([slanted + np.array([29, 0])], [slanted], SIZE).accuracy == 1 / 56


def test_count_no_more_than_two_extra_lines_and_four_labelled_ones() -> None:
    lines = [upright(100.0 * number) for number in range(1, 8)]
    assert rate_lanes(lines[:3], lines[:1], SIZE) == (1.0, 2 / 3, 0.0)
    assert rate_lanes(lines[:4], lines[:1], SIZE) == (0.0, 0.0, 1.0)
    assert rate_lanes(lines[:4], lines[:5], SIZE) == (1.0, 0.0, 0.0)
    assert rate_lanes(lines[:3], lines[:5], SIZE) == (3 / 4, 0.0, 1 / 4)
    assert rate_lanes(lines[:7], lines[:7], SIZE) == (1.0, 0.0, 0.0)
    assert rate_lanes([], lines[:2], SIZE) == (0.0, 0.0, 1.0)
    # One line is the best of two: the benchmark doesn't pair them one to one.
    assert rate_lanes([upright(505)], [upright(500), upright(510)], SIZE) == (1.0, -1.0, 0.0)


def test_leave_out_what_crosses_no_row() -> None:
    level, above, point = np.array([[10.0, 400], [900, 400]]), upright(500, 10, 100), np.array([[10.0, 400]])
    assert rate_lanes([upright(500)], [level, above, point], SIZE) is None
    assert rate_lanes([upright(500), level, above, point], [upright(500)], SIZE) == (1.0, 0.0, 0.0)
    assert rate_lanes([], [], SIZE) is None


def test_take_the_first_crossing_and_nothing_outside_the_image() -> None:
    bent = np.array([[100.0, 710.0], [100.0, 400.0], [300.0, 600.0], [1400.0, 380.0], [-10.0, 370.0], [-10.0, 300.0]])
    x = dict(zip(ROWS.tolist(), at_rows(bent, SIZE).tolist(), strict=True))
    assert [x[row] for row in (710, 500, 400)] == [100.0, 100.0, 100.0]
    assert [x[row] for row in (390, 380, 370, 350, 290)] == [ABSENT] * 5


def test_are_means_over_the_frames_with_a_labelled_line() -> None:
    frames = [([upright(10)], [upright(10)]), ([], [upright(10)]), ([upright(10)], []), ([upright(10)], None)]
    scaled = [[line and [each * [192 / 1280, 112 / 720] for each in line] for line in pair] for pair in frames]
    scores = evaluate(scaled)
    assert [scores[name, None] for name in ("lane_accuracy", "lane_fp", "lane_fn")] == [0.5, 0.0, 0.5]


def test_are_not_compared_where_other_frames_have_lines_at_the_rows() -> None:
    # As many lines, and one of them lies above all rows: CULane's counts alone don't tell.
    models = [measure([([], [upright(90, *ends)])]) for ends in ((50, 100), (5, 15))]
    with pytest.raises(ValueError, match="not measured on the same labels of lanes"):
        compare(*models, [], resamples=50, seed=1)


def test_have_the_intervals_of_frames_drawn_one_by_one() -> None:
    models = [measure_sample(seed, frames=15) for seed in (1, 2)]
    even = np.arange(15) % 2 == 0
    part = FrameSlice(name="even", where={}, category=None, protected=False, frames=even)
    rows = {(row["metric"], row["slice"]): row for row in compare(*models, [part], resamples=200, seed=5)}
    for name, chosen in ((None, np.arange(15)), ("even", np.flatnonzero(even))):
        weights = draw_weights(np.arange(len(chosen)), 200, 5, name)
        for metric, column in zip(("lane_accuracy", "lane_fp", "lane_fn"), NAMES, strict=True):
            values = [[rated(model, seed, frame, column) for frame in chosen] for seed, model in enumerate(models, 1)]
            drawn = [[np.mean(np.repeat(own, counts)) for own in values] for counts in weights]
            row = rows[metric, name]
            assert row["candidate"] == pytest.approx(np.mean(values[0]))
            assert row["delta"] == pytest.approx(np.mean(values[0]) - np.mean(values[1]), abs=1e-12)
            expected = interval(row["candidate"], [pair[0] for pair in drawn], len(chosen))
            assert row["candidate_interval"] == pytest.approx(expected)
            expected = interval(row["delta"], [pair[0] - pair[1] for pair in drawn], len(chosen))
            assert row["delta_interval"] == pytest.approx(expected)
            assert row["delta_interval"][0] < row["delta_interval"][1] or not np.any(values)


def rated(statistics: Statistics, seed: int, frame: int, name: str) -> float:
    """A frame's own figure, which the statistics must hold."""
    prediction, target = sample_frame(seed, frame, labelled=True)
    value = getattr(rate_lanes(prediction.lanes, target.lanes, (target.width, target.height)), name)
    (row,) = np.flatnonzero(statistics.columns["lane_points/frame"] == frame)
    assert statistics.columns[f"lane_points/{name}"][row] == value
    return value
