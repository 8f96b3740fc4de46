"""The lane scores ..."""

import itertools

import numpy as np
import pytest

from proving_ground.evaluation import Evaluator, Prediction, Statistics, Target, score
from proving_ground.evaluation.counting.lanes import count_lanes, draw_lane, lane_f1, lane_iou

SIZE = (192, 112)


def upright(x: float) -> np.ndarray:
    """A line from the lower to the upper edge."""
    return np.array([[x, 0.0], [x, 111.0]])


def road_lane(rng: np.random.Generator) -> np.ndarray:
    """A line of several points from the lower edge towards a vanishing point."""
    y = np.linspace(111, 45, 8)
    far, near = rng.uniform(80, 110), rng.uniform(-40, 230)
    share = (y - 45) / 66
    return np.stack([far + (near - far) * share + rng.normal(0, 6) * share * (1 - share), y], axis=1)


def distances(line: np.ndarray) -> np.ndarray:
    """Distance of each pixel's centre to a line: [H, W]."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]].astype(np.float64)
    nearest = np.full(x.shape, np.inf)
    for begin, end in itertools.pairwise(line):
        along = end - begin
        share = np.clip(((x - begin[0]) * along[0] + (y - begin[1]) * along[1]) / max(along @ along, 1e-9), 0, 1)
        off = np.hypot(x - begin[0] - share * along[0], y - begin[1] - share * along[1])
        nearest = np.minimum(nearest, off)
    return nearest


def most_pairs(allowed: np.ndarray) -> int:
    """The largest number of one-to-one pairs, by trying every assignment."""
    rows, columns = allowed.shape
    if rows > columns:
        return most_pairs(allowed.T)
    return max(
        sum(allowed[row, place] for row, place in enumerate(way))
        for way in itertools.permutations(range(columns), rows)
    )


def test_draw_a_line_with_thirty_pixels_in_1640() -> None:
    assert [np.count_nonzero(draw_lane(upright(50), (width, 112))[50]) for width in (1640, 820, 192)] == [30, 15, 4]
    assert np.count_nonzero(draw_lane(upright(10), (40, 112))[50]) == 2


def test_are_those_of_an_example_by_hand() -> None:
    # Four pixels wide: one pixel beside is an IoU of 3/5, two pixels beside one of 2/6.
    assert count_lanes([upright(51)], [upright(50)], SIZE) == (1, 0, 0)
    assert count_lanes([upright(52)], [upright(50)], SIZE) == (0, 1, 1)
    assert count_lanes([upright(50), upright(51)], [upright(50)], SIZE) == (1, 1, 0)
    assert count_lanes([], [upright(50), upright(90)], SIZE) == (0, 0, 2)
    assert count_lanes([upright(50)], [], SIZE) == (0, 1, 0)
    # Precision 3/4, recall 3/5.
    assert lane_f1(np.array([3, 1, 2])) == 2 / 3


def test_take_an_overlap_of_exactly_one_half_for_a_hit() -> None:
    lower, whole = np.array([[50.0, 0], [50, 55]]), upright(50)
    assert lane_iou([draw_lane(lower, SIZE)], [draw_lane(whole, SIZE)]).tolist() == [[0.5]]
    assert count_lanes([lower], [whole], SIZE) == (1, 0, 0)


def test_pair_as_many_lines_as_can_be() -> None:
    # The first prediction overlaps both labels, the second only the label that the first overlaps most.
    predicted, labelled = [upright(51), upright(52)], [upright(51), upright(50)]
    assert count_lanes(predicted, labelled, SIZE) == (2, 0, 0)


@pytest.mark.parametrize("seed", range(40))
def test_equal_those_of_a_distance_drawing_and_of_every_assignment(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labelled = [road_lane(rng) for _ in range(rng.integers(0, 5))]
    predicted = [line + rng.normal(0, 1.5, 2) * [1, 0] for line in labelled if rng.random() < 0.8]
    predicted += [road_lane(rng) for _ in range(rng.integers(0, 3))]
    drawn = [[distances(line) <= 1.9 for line in lines] for lines in (predicted, labelled)]
    expected = np.array([[(a & b).sum() / (a | b).sum() for b in drawn[1]] for a in drawn[0]])
    expected = expected.reshape(len(predicted), len(labelled))
    found = lane_iou([draw_lane(line, SIZE) for line in predicted], [draw_lane(line, SIZE) for line in labelled])
    # Two ways to draw the same line differ at its edge, which is half of a line of four pixels.
    np.testing.assert_allclose(found, expected, atol=0.2, err_msg=f"seed {seed}")
    hits = most_pairs(found >= 0.5)
    assert count_lanes(predicted, labelled, SIZE) == (hits, len(predicted) - hits, len(labelled) - hits), f"seed {seed}"
    if (abs(expected - 0.5) > 0.2).all():
        assert most_pairs(expected >= 0.5) == hits, f"seed {seed}"


def measure(frames: list[tuple[list[np.ndarray] | None, list[np.ndarray] | None]]) -> Statistics:
    """Statistics of predicted and labelled lines."""
    evaluator = Evaluator(heads=["lanes"], detection_categories=[], segmentation_classes=[])
    none = {"boxes": np.zeros((0, 4)), "categories": np.zeros(0, dtype=np.int64)}
    for frame, (predicted, labelled) in enumerate(frames):
        evaluator.add(
            frame,
            Prediction(**none, scores=np.zeros(0), segmentation=None, lanes=predicted),
            Target(boxes=None, categories=None, crowd=None, segmentation=None, lanes=labelled, width=192, height=112),
        )
    return evaluator.statistics()


def evaluate(frames: list[tuple[list[np.ndarray] | None, list[np.ndarray] | None]]) -> dict:
    """Scores of predicted and labelled lines."""
    return score(measure(frames), [], len(frames))


def test_divide_the_sums_of_all_frames() -> None:
    one, two = [upright(50)], [upright(50), upright(100), upright(150)]
    scores = evaluate([(one, one), ([], two), (two, []), (one, None)])
    # 1 hit, 3 false alarms, 3 misses; the frame without labels doesn't count, the one with none to find does.
    assert scores["lane_f1", None] == 2 / 8


def test_are_none_where_no_line_is_labelled() -> None:
    assert set(evaluate([([upright(50)], []), ([], [])]).values()) == {None}


def test_never_hit_a_line_of_one_point() -> None:
    point = np.array([[50.0, 50.0]])
    assert count_lanes([point], [point], SIZE) == (0, 1, 1)


def test_refuse_lines_that_are_no_numbers_or_absent() -> None:
    with pytest.raises(ValueError, match=r"^frame 0: a lane has a point that isn't finite"):
        evaluate([([upright(np.nan)], [upright(50)])])
    with pytest.raises(ValueError, match=r"^frame 0: the lanes are labelled, but none are predicted"):
        evaluate([(None, [upright(50)])])
