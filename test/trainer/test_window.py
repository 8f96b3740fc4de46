"""A window of days ..."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import data_document, scenes_spec, train_document
from test_loop import fit, read

from proving_ground.attempt import Places, open_training
from proving_ground.config import TrainRun
from proving_ground.data.manifest import read_manifest
from proving_ground.data.shards import pack
from proving_ground.importers.scenes import import_scenes

# 24 frames over 12 days, then 6 that have no day.
NOVEMBER = {"from": "2026-11-01", "to": "2026-11-12"}
SPLITS = {
    "train": [{"frames": 24, "captured": NOVEMBER}, {"frames": 6}],
    "val": [{"frames": 6}],
    "test": [{"frames": 9, "captured": {"from": "2020-01-01", "to": "2020-01-01"}}],
}


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated scenes of which some say when they were captured."""
    out = tmp_path_factory.mktemp("dated") / "scenes"
    import_scenes(scenes_spec(splits=SPLITS), out)
    return out


def windowed(folder: Path, first: str, last: str, work: Path) -> TrainRun:
    """A run on a window of a dataset."""
    work.mkdir(exist_ok=True)
    return read(train_document(folder, epochs=1) | {"window": {"from": first, "to": last}}, work)


def sources(run: TrainRun, folder: Path, work: Path) -> list[str]:
    """Names of the frames that a run trains on."""
    frames, order = open_training(run, Places(data=folder, work=work))
    assert order.new == len(frames.datasets[0])
    return [frame.source for frame in frames.datasets[0].frames]


def test_takes_the_frames_of_its_days_and_both_its_ends(dated: Path, tmp_path: Path) -> None:
    run = windowed(dated, "2026-11-03", "2026-11-05", tmp_path)
    assert sources(run, dated, tmp_path) == [f"images/train-{index:06d}.jpg" for index in range(4, 10)]


def test_takes_the_same_frames_and_pixels_from_shards(dated: Path, tmp_path: Path) -> None:
    pack(dated, tmp_path / "shards", 1)
    run = windowed(dated, "2026-11-03", "2026-11-05", tmp_path)
    assert sources(run, tmp_path / "shards", tmp_path) == sources(run, dated, tmp_path)
    loose, packed = (
        open_training(run, Places(data=folder, work=tmp_path))[0].datasets[0] for folder in (dated, tmp_path / "shards")
    )
    assert all(np.array_equal(loose.example(at).image, packed.example(at).image) for at in range(6))


def test_changes_nothing_where_there_is_none(dated: Path, tmp_path: Path) -> None:
    run = read(train_document(dated), tmp_path)
    assert run.window is None
    assert len(sources(run, dated, tmp_path)) == 30


def test_leaves_validation_and_replayed_data_whole(dated: Path, dataset: Path, tmp_path: Path) -> None:
    document = train_document(dated, epochs=1) | {"window": {"from": "2026-11-03", "to": "2026-11-05"}}
    document["replay"] = {"share": 0.25, "data": data_document(dataset)}
    run = read(document, tmp_path)
    frames, _ = open_training(run, Places(data=dated, work=tmp_path, replay=dataset))
    assert [len(each) for each in frames.datasets] == [6, 24]
    _, state = fit(run, dated, tmp_path, replay=dataset)
    # Six frames, three of them in each batch of four.
    assert state.step == 2
    assert len(state.history) == 1


def test_is_refused_where_it_holds_no_frame(dated: Path, dataset: Path, tmp_path: Path) -> None:
    for folder in (dated, dataset):
        run = windowed(folder, "2027-01-01", "2027-01-28", tmp_path)
        with pytest.raises(
            ValueError, match=r"golden_train\.manifest: no frame was captured from 2027-01-01 to 2027-01-28"
        ):
            sources(run, folder, tmp_path)


def test_is_refused_where_a_day_is_in_no_calendar(dated: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run\.json: window: "):
        windowed(dated, "2026-02-01", "2026-02-30", tmp_path)


# The same cases stand in test/lib/experiment/window.test.ts: plan and trainer must agree on every frame.
DAYS = json.loads((Path(__file__).parents[1] / "captured.json").read_text())


@pytest.mark.parametrize(("captured", "day"), DAYS, ids=str)
def test_asks_for_the_day_in_utc(captured: Any, day: str | None, tmp_path: Path) -> None:
    file = tmp_path / "golden_train.manifest"
    for line in (
        {"source-ref": "a.png", "width": 1, "height": 1},
        {"id": "a", "tracks": [{"past": [[0, 0], [1, 1]], "future": [[2, 2]]}]},
    ):
        file.write_text(json.dumps({**line, "captured": captured}) + "\n")
        if day is None:
            with pytest.raises(ValueError, match=r"line 1: captured: found .*; it must be a day or a time"):
                read_manifest(file, None, [])
        else:
            assert read_manifest(file, None, [])[0].captured == date.fromisoformat(day)


def test_of_generated_scenes_changes_no_pixel_and_is_refused_where_it_ends_before_it_begins(
    dated: Path, dataset: Path, tmp_path: Path
) -> None:
    assert (dated / "images/train-000003.jpg").read_bytes() == (dataset / "images/train-000003.jpg").read_bytes()
    days = [json.loads(line).get("captured") for line in (dated / "golden_train.manifest").read_text().splitlines()]
    assert days == [f"2026-11-{1 + index // 2:02d}" for index in range(24)] + [None] * 6
    for span, message in (
        ({"from": "2026-11-12", "to": "2026-11-01"}, r"train\[0\]\.captured: it ends on 2026-11-01, before it begins"),
        ({"from": "2026-11-31", "to": "2026-12-01"}, r"splits\.train\[0\]\.captured: "),
    ):
        splits = SPLITS | {"train": [{"frames": 2, "captured": span}]}
        with pytest.raises(ValueError, match=message):
            import_scenes(scenes_spec(splits=splits), tmp_path / "bad")
