"""The scores of each category and class ..."""

import numpy as np
import pytest
from samples import CATEGORIES, CLASSES, measure_sample

from proving_ground.evaluation import FrameSlice, Statistics, score
from proving_ground.evaluation.evidence import classes
from proving_ground.evaluation.evidence.classes import compare_classes
from proving_ground.evaluation.scores import tabulate

FRAMES = 14
METRICS = [*(f"ap/{name}" for name in CATEGORIES), *(f"iou/{name}" for name in CLASSES)]


def part(name: str, frames: np.ndarray, category: str | None = None) -> FrameSlice:
    """A slice of some frames."""
    return FrameSlice(name=name, where={}, category=category, protected=False, frames=frames)


def only(statistics: Statistics, frames: np.ndarray) -> Statistics:
    """The statistics of some frames alone, numbered anew."""
    place = np.cumsum(frames) - 1
    columns = {}
    for name, values in statistics.columns.items():
        kept = values[frames[statistics.columns[f"{name.split('/')[0]}/frame"]]]
        columns[name] = place[kept] if name.endswith("/frame") else kept
    return Statistics(
        heads=statistics.heads, categories=statistics.categories, classes=statistics.classes, columns=columns
    )


def test_of_a_slice_are_those_of_its_frames_alone() -> None:
    models = [measure_sample(seed, FRAMES, labelled=12) for seed in (1, 2)]
    even, nobody = np.arange(FRAMES) % 2 == 0, np.zeros(FRAMES, dtype=bool)
    slices = [part("even", even), part("riders", even, "rider"), part("nobody", nobody)]
    document = compare_classes(*(tabulate(model, FRAMES) for model in models), slices, FRAMES)
    assert document["metrics"] == METRICS
    assert [row["slice"] for row in document["rows"]] == [None, "even", "nobody"]
    for row, frames in zip(document["rows"], (np.ones(FRAMES, dtype=bool), even), strict=False):
        for of, model in zip(("candidate", "production"), models, strict=True):
            alone = score(only(model, frames), [], int(frames.sum()))
            assert row[of] == [pytest.approx(alone[metric, None], abs=5e-5) for metric in METRICS]
    assert document["rows"][2]["candidate"] == [None] * len(METRICS)


def test_are_none_for_a_model_or_a_head_that_is_not_there() -> None:
    both, less = measure_sample(1, FRAMES), measure_sample(2, FRAMES, heads=("segmentation",))
    (row,) = compare_classes(tabulate(both, FRAMES), None, [], FRAMES)["rows"]
    assert (len(row["candidate"]), row["production"]) == (len(METRICS), None)
    document = compare_classes(tabulate(less, FRAMES), tabulate(both, FRAMES), [], FRAMES)
    (lost,) = document["rows"]
    assert document["metrics"] == METRICS
    assert lost["production"] == row["candidate"]
    assert lost["candidate"][:3] == [None] * 3
    lanes = tabulate(measure_sample(1, FRAMES, heads=("lanes",)), FRAMES)
    assert compare_classes(lanes, None, [], FRAMES) == {"metrics": [], "rows": []}


def test_of_slices_are_left_out_where_they_would_be_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "MAX_FIGURES", 2 * len(METRICS) - 1)
    tables, every = tabulate(measure_sample(1, FRAMES), FRAMES), part("every", np.ones(FRAMES, dtype=bool))
    assert [row["slice"] for row in compare_classes(tables, None, [every], FRAMES)["rows"]] == [None]
    monkeypatch.setattr(classes, "MAX_FIGURES", 2 * len(METRICS))
    assert [row["slice"] for row in compare_classes(tables, None, [every], FRAMES)["rows"]] == [None, "every"]
