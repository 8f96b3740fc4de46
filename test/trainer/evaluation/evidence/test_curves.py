"""Curves of precision ..."""

import numpy as np
import pytest
from curved import statistics

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation.detection.average_precision import (
    accumulate,
    restrict,
    scores_at_recall,
    single_category,
)
from proving_ground.evaluation.detection.matching import MIN_SCORE
from proving_ground.evaluation.evidence import curves
from proving_ground.evaluation.evidence.curves import Curve, compare_curves, precision_curves
from proving_ground.evaluation.scores import tabulate

HALF = FrameSlice(name="half", where={}, category="person", protected=False, frames=np.arange(30) < 15)
EVERY = FrameSlice(name="every", where={}, category=None, protected=False, frames=np.ones(30, dtype=bool))


def test_are_those_that_the_scores_are_made_of() -> None:
    kept = statistics(1, 30)
    found = precision_curves(kept, [HALF, EVERY], 30)
    overall = [Curve(None, name, iou) for iou in (0.5, 0.75) for name in ("car", "person", None)]
    on_slices = [Curve("half", "person", 0.5), *(Curve("every", name, 0.5) for name in ("car", "person", None))]
    assert list(found) == overall + on_slices
    precision, _ = accumulate(single_category(restrict(tabulate(kept, 30).ordered, HALF.frames), 1))
    assert np.array_equal(found[Curve("half", "person", 0.5)].precision, precision[0, :, 0])
    mean = (found[Curve(None, "car", 0.75)].precision + found[Curve(None, "person", 0.75)].precision) / 2
    assert np.array_equal(found[Curve(None, None, 0.75)].precision, mean)


def test_are_of_both_models_side_by_side() -> None:
    one, other = statistics(1, 30), statistics(2, 30)
    document = compare_curves(one, other, [HALF], 30)
    assert len(document["recall"]) == 101
    first = document["curves"][0]
    assert (first["slice"], first["category"], first["iou"]) == (None, "car", 0.5)
    key = Curve(None, "car", 0.5)
    assert first["candidate"] == np.round(precision_curves(one, [], 30)[key].precision, 4).tolist()
    assert first["production"] == np.round(precision_curves(other, [], 30)[key].precision, 4).tolist()
    assert compare_curves(one, None, [], 30)["curves"][0]["production"] is None


def test_say_how_far_the_boxes_that_count_reach() -> None:
    document = compare_curves(statistics(1, 30), None, [HALF], 30)
    scores = scores_at_recall(tabulate(statistics(1, 30), 30).ordered, HALF.frames)[0, :, 1]
    curve = next(curve for curve in document["curves"] if curve["slice"] == "half")
    place = curve["reached"]["candidate"]
    assert scores[place] >= MIN_SCORE > scores[place + 1]
    assert curve["reached"]["production"] is None
    assert next(curve for curve in document["curves"] if curve["category"] is None)["reached"]["candidate"] is None


def test_are_left_out_where_there_is_no_object() -> None:
    nothing = FrameSlice(name="none", where={}, category="car", protected=False, frames=np.zeros(30, dtype=bool))
    assert {key.slice for key in precision_curves(statistics(1, 30), [nothing], 30)} == {None}


def test_of_slices_become_means_where_they_would_be_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "MAX_SLICE_CURVES", 1)
    found = precision_curves(statistics(1, 30), [HALF, EVERY], 30)
    assert [key for key in found if key.slice is not None] == [Curve("half", "person", 0.5), Curve("every", None, 0.5)]
