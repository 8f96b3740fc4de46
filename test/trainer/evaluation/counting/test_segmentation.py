"""The segmentation scores ..."""

import numpy as np
import pytest

from proving_ground.evaluation import Evaluator, Prediction, Target, score
from proving_ground.evaluation.counting.segmentation import confusion, intersection_over_union, segmentation_scores

NAMES = ("sky", "road", "lane", "rider")


def masks(seed: int, frames: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predicted and labelled masks of frames of several sizes; the last class isn't labelled, some pixels are 255."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(frames):
        size = tuple(rng.integers(5, 40, 2))
        labelled = rng.integers(0, len(NAMES) - 1, size).astype(np.uint8)
        predicted = np.where(rng.random(size) < 0.4, rng.integers(0, len(NAMES), size), labelled).astype(np.uint8)
        labelled[rng.random(size) < 0.1] = 255
        pairs.append((predicted, labelled))
    return pairs


def evaluate(pairs: list[tuple[np.ndarray, np.ndarray | None]]) -> Evaluator:
    """An evaluator that has seen the masks."""
    evaluator = Evaluator(heads=["segmentation"], detection_categories=[], segmentation_classes=NAMES)
    empty = {"boxes": np.zeros((0, 4)), "categories": np.zeros(0, dtype=np.int64)}
    for frame, (predicted, labelled) in enumerate(pairs):
        evaluator.add(
            frame,
            Prediction(**empty, scores=np.zeros(0), segmentation=predicted, lanes=None),
            Target(boxes=None, categories=None, crowd=None, segmentation=labelled, lanes=None, width=40, height=40),
        )
    return evaluator


@pytest.mark.parametrize("seed", range(20))
def test_equal_a_count_of_all_pixels_of_all_frames_together(seed: int) -> None:
    pairs = masks(seed, 6)
    predicted = np.concatenate([one.ravel() for one, _ in pairs])
    labelled = np.concatenate([one.ravel() for _, one in pairs])
    expected = {}
    for place, name in enumerate(NAMES[:-1]):
        found, real = (predicted == place) & (labelled != 255), labelled == place
        expected[f"iou/{name}"] = (found & real).sum() / (found | real).sum()
    scores = score(evaluate(pairs).statistics(), [], len(pairs))
    assert {name: scores[name, None] for name in expected} == expected, f"seed {seed}"
    assert scores["miou", None] == pytest.approx(np.mean(list(expected.values())), abs=1e-15), f"seed {seed}"
    assert scores["iou/rider", None] is None


def test_are_those_of_an_example_by_hand() -> None:
    labelled = np.array([[0, 0, 1], [1, 255, 255]], dtype=np.uint8)
    predicted = np.array([[0, 1, 1], [3, 0, 3]], dtype=np.uint8)
    matrix = confusion(predicted, labelled, 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    scores = segmentation_scores(matrix, NAMES)
    assert scores["iou/sky"] == 1 / 2
    assert scores["iou/road"] == 1 / 3
    assert np.isnan(scores["iou/lane"])
    assert np.isnan(scores["iou/rider"])
    assert scores["miou"] == (1 / 2 + 1 / 3) / 2


def test_of_two_models_are_over_the_same_classes() -> None:
    labelled = np.zeros((4, 4), dtype=np.uint8)
    one_wrong_pixel = labelled.copy()
    one_wrong_pixel[0, 0] = 3
    assert intersection_over_union(confusion(one_wrong_pixel, labelled, 4))[0] == 15 / 16
    assert score(evaluate([(one_wrong_pixel, labelled)]).statistics(), [], 1)["miou", None] == 15 / 16


def test_are_none_where_every_pixel_is_ignored() -> None:
    nothing = np.full((3, 3), 255, dtype=np.uint8)
    scores = score(evaluate([(np.zeros((3, 3), dtype=np.uint8), nothing)]).statistics(), [], 1)
    assert set(scores.values()) == {None}


@pytest.mark.parametrize(
    ("predicted", "labelled", "message"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), "the predicted mask is (2, 3)"),
        (np.full((2, 2), 4, np.uint8), np.zeros((2, 2), np.uint8), "the predicted mask has the class 4"),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), 7, np.uint8), "the labelled mask has the class 7"),
        (None, np.zeros((2, 2), np.uint8), "the mask is labelled, but none is predicted"),
    ],
)
def test_refuse_masks_that_do_not_fit(predicted: np.ndarray | None, labelled: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=r"^frame 1: ") as caught:
        evaluate([(np.zeros((2, 2), np.uint8), None), (predicted, labelled)])
    assert message in str(caught.value)
