"""The scores of a report ..."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from samples import CATEGORIES, CLASSES, make_evaluator, measure_sample, sample_frame

from proving_ground.evaluation import FrameSlice, Prediction, Statistics, Target, compare, score
from proving_ground.evaluation.scores import is_reported, parts_of

TRAINER = Path(__file__).parents[3] / "trainer"
SCORE = json.loads((TRAINER / "proving_ground/schemas/eval_report.schema.json").read_text())["properties"]["scores"]


def part(name: str, frames: np.ndarray, category: str | None = None) -> FrameSlice:
    """A slice of some frames."""
    return FrameSlice(name=name, where={}, category=category, protected=False, frames=frames)


def test_come_overall_first_and_then_by_slice() -> None:
    slices = [part("even", np.arange(12) % 2 == 0), part("riders", np.ones(12, dtype=bool), "rider")]
    rows = compare(measure_sample(1, 12), measure_sample(2, 12), slices, resamples=100, seed=1)
    overall = ["map", "ap50", "ar", *(f"ap/{name}" for name in CATEGORIES)]
    overall += ["ece", *(f"ece/{name}" for name in CATEGORIES)]
    lanes = ["lane_f1", "lane_accuracy", "lane_fp", "lane_fn"]
    overall += ["miou", *(f"iou/{name}" for name in CLASSES), *lanes]
    expected = [(name, None) for name in overall]
    expected += [(name, "even") for name in ("map", "ap50", "ar", "ece", "miou", *lanes)]
    expected += [("ap/rider", "riders"), ("ece/rider", "riders")]
    assert [(row["metric"], row["slice"]) for row in rows] == expected
    assert all(list(row) == SCORE["items"]["required"] for row in rows)


def test_are_the_same_with_and_without_intervals() -> None:
    statistics, slices = measure_sample(1, 12), [part("even", np.arange(12) % 2 == 0)]
    quick = score(statistics, slices, 12)
    rows = compare(statistics, None, slices, resamples=100, seed=1)
    assert quick == {(row["metric"], row["slice"]): row["candidate"] for row in rows}


def test_are_subtracted_candidate_minus_production() -> None:
    models = [measure_sample(seed, 12) for seed in (1, 2)]
    for row in compare(*models, [], resamples=100, seed=1):
        alone = [score(model, [], 12)[row["metric"], None] for model in models]
        assert [row["candidate"], row["production"]] == alone
        assert row["delta"] == alone[0] - alone[1]


def test_have_no_production_where_there_is_none() -> None:
    for row in compare(measure_sample(1, 12), None, [], resamples=100, seed=1):
        assert (row["production"], row["delta"], row["delta_interval"]) == (None, None, None)
        assert row["candidate"] is not None
        assert row["candidate_interval"] is not None


def test_leave_out_frames_without_a_unit_as_if_they_were_not_there() -> None:
    """Added frames move no score and no interval of the others, and are scored by themselves in the same way."""
    models = [measure_sample(seed, 12) for seed in (1, 2)]
    frames = np.arange(12)

    def scored(units: np.ndarray, *slices: FrameSlice) -> list[dict]:
        return compare(*models, list(slices), resamples=100, seed=1, units=units)

    even = part("even", frames % 2 == 0)
    first = compare(
        *[measure_sample(seed, 8) for seed in (1, 2)], [part("even", frames[:8] % 2 == 0)], resamples=100, seed=1
    )
    assert scored(np.where(frames < 8, frames, -1), even) == first
    assert scored(frames, even) != first
    rest = scored(np.where(frames < 8, -1, frames))
    assert {row["frames"] for row in rest} == {4}


def test_show_a_head_that_one_model_has_and_the_other_lost() -> None:
    both, less = measure_sample(1, 8), measure_sample(2, 8, heads=("detection", "segmentation"))
    (row,) = [row for row in compare(less, both, [], resamples=100, seed=1) if row["metric"] == "lane_f1"]
    assert row["candidate"] is None
    assert row["production"] == score(both, [], 8)["lane_f1", None]
    assert (row["delta"], row["candidate_interval"], row["delta_interval"]) == (None, None, None)
    (row,) = [row for row in compare(both, less, [], resamples=100, seed=1) if row["metric"] == "lane_f1"]
    assert row["production"] is None
    assert row["candidate_interval"] is not None


def test_count_the_frames_and_objects_with_labels() -> None:
    statistics = measure_sample(1, 12, labelled=9)
    chosen = np.arange(12) >= 5
    rows = compare(statistics, None, [part("late", chosen)], resamples=100, seed=1)
    targets = [sample_frame(1, frame, labelled=True)[1] for frame in range(9)]
    for name, first in ((None, 0), ("late", 5)):
        found = {row["metric"]: row for row in rows if row["slice"] == name}
        assert {row["frames"] for row in found.values()} == {9 - first}
        assert found["map"]["objects"] == sum((~target.crowd).sum() for target in targets[first:])
        assert found["lane_f1"]["objects"] == 3 * (9 - first)
        assert found["miou"]["objects"] is None
    riders = sum((~target.crowd & (target.categories == 2)).sum() for target in targets)
    (row,) = [row for row in rows if row["metric"] == "ap/rider"]
    assert row["objects"] == riders


def test_are_null_where_nothing_can_be_measured() -> None:
    nobody, unlabelled = np.zeros(12, dtype=bool), np.arange(12) >= 9
    slices = [part("nobody", nobody), part("unlabelled", unlabelled), part("rider-of-none", nobody, "rider")]
    rows = compare(measure_sample(1, 12, 9), measure_sample(2, 12, 9), slices, resamples=100, seed=1)
    empty = [row for row in rows if row["slice"] is not None]
    assert len(empty) == 2 * 9 + 2
    for row in empty:
        assert (row["frames"], row["units"]) == (0, 0)
        assert not row["objects"]
        known = ("metric", "slice", "frames", "units", "objects")
        assert [value for key, value in row.items() if key not in known] == [None] * 7
    json.dumps(rows, allow_nan=False)


def test_have_no_interval_from_one_frame() -> None:
    slices = [part("one", np.arange(12) == 0)]
    rows = compare(measure_sample(1, 12), measure_sample(2, 12), slices, resamples=100, seed=1)
    for row in [row for row in rows if row["slice"] == "one"]:
        assert (row["candidate_interval"], row["delta_interval"]) == (None, None)
        assert row["candidate"] is not None


def test_are_not_compared_over_other_frames_or_labels() -> None:
    one = measure_sample(1, 6)
    with pytest.raises(ValueError, match="not measured on the same frames"):
        compare(one, measure_sample(2, 5), [], resamples=100, seed=1)
    for head, labels in (("detection", ["boxes"]), ("segmentation", ["segmentation"]), ("lanes", ["lanes"])):
        with pytest.raises(ValueError, match=f"not measured on the same labels of {head}"):
            compare(one, changed_labels(labels[0]), [], resamples=100, seed=1)


def changed_labels(name: str) -> Statistics:
    """Statistics of the same frames, in the last of which a label differs."""
    evaluator = make_evaluator()
    for frame in range(6):
        prediction, target = sample_frame(2, frame, labelled=True)
        changes = {"boxes": target.boxes + 0.5, "segmentation": target.segmentation ^ 1, "lanes": target.lanes[:2]}
        changes["segmentation"] = np.minimum(changes["segmentation"], len(CLASSES) - 1)
        labels = vars(target) | ({name: changes[name]} if frame == 5 else {})
        evaluator.add(frame, Prediction(**vars(prediction)), Target(**labels))
    return evaluator.statistics()


def test_are_of_every_frame_of_the_manifest_or_refused() -> None:
    statistics = measure_sample(1, 6)
    with pytest.raises(ValueError, match="cover 6 frames, but the manifest has 7"):
        score(statistics, [], 7)
    with pytest.raises(ValueError, match="cover 6 frames, but the manifest has 5"):
        compare(statistics, None, [], resamples=100, seed=1, total_frames=5)
    with pytest.raises(ValueError, match="the slice night is over 5 frames; the manifest has 6"):
        score(statistics, [part("night", np.ones(5, dtype=bool))], 6)


def test_of_a_slice_leave_out_each_category_and_class() -> None:
    overall, even = parts_of([part("even", np.ones(3, dtype=bool))], 3)
    names = ["map", "ap/rider", "ece", "ece/rider", "miou", "iou/road", "lane_f1", "lane_fp"]
    assert [name for name in names if is_reported(name, overall)] == names
    assert [name for name in names if is_reported(name, even)] == ["map", "ece", "miou", "lane_f1", "lane_fp"]


def test_cost_nothing_to_a_process_that_scores_nothing() -> None:
    code = "import sys, proving_ground.evaluation; print([name for name in ('numba', 'scipy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=TRAINER, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
