"""The data ..."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import CATEGORIES, SLICES, data_document, scenes_spec, train_document, write_document
from PIL import Image

from proving_ground.config import read_run
from proving_ground.data.manifest import read_manifest
from proving_ground.importers.bdd100k import import_bdd100k
from proving_ground.importers.scenes import import_scenes, share_out
from proving_ground.randomness import generator

DETECTION = CATEGORIES["detection"]


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a dataset."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_draws_the_same_numbers_at_the_same_place_whatever_was_drawn_before() -> None:
    generator(5, 1, 2).random(1000)
    assert generator(5, 1, 3).random() == generator(5, 1, 3).random()
    places = {generator(seed, a, b).random() for seed in range(3) for a in range(10) for b in range(10)}
    assert len(places) == 300


def test_makes_the_same_bytes_from_the_same_seed(dataset: Path, tmp_path: Path) -> None:
    import_scenes(scenes_spec(), tmp_path / "again")
    assert content(tmp_path / "again") == content(dataset)
    import_scenes(scenes_spec(seed=2), tmp_path / "other")
    first = "images/" + next(path.name for path in (dataset / "images").iterdir())
    assert content(tmp_path / "other")[first] != content(dataset)[first]


def test_keeps_every_earlier_frame_when_a_part_is_added(dataset: Path, tmp_path: Path) -> None:
    splits = scenes_spec()["splits"] | {
        "train": [{"frames": 24}, {"frames": 8, "attributes": {"timeofday": {"night": 1}}}]
    }
    import_scenes(scenes_spec(splits=splits), tmp_path / "more")
    before, after = content(dataset), content(tmp_path / "more")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"golden_train.manifest", "importer.json"}
    assert after["golden_train.manifest"].startswith(before["golden_train.manifest"])
    added = [json.loads(line) for line in after["golden_train.manifest"].splitlines()[24:]]
    assert [frame["attributes"]["timeofday"] for frame in added] == ["night"] * 8


def test_meets_the_shares_exactly() -> None:
    assert share_out(900, {"day": 0.82, "dusk": 0.15, "night": 0.03}) == {"day": 738, "dusk": 135, "night": 27}
    assert share_out(10, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}) == {"a": 4, "b": 3, "c": 3}


def test_labels_what_it_draws(dataset: Path) -> None:
    lines = [json.loads(line) for line in (dataset / "golden_train.manifest").read_text().splitlines()]
    assert {label["category"] for frame in lines for label in frame["detection"]} == set(DETECTION)
    for frame in lines:
        mask = np.asarray(Image.open(dataset / frame["segmentation-ref"]))
        assert mask.shape == (64, 96)
        assert mask.max() < len(CATEGORIES["segmentation"])
        for label in frame["detection"]:
            x1, y1, x2, y2 = label["box"]
            assert 0 <= x1 < x2 <= 96 and 0 <= y1 < y2 <= 64
        for lane in frame["lanes"]:
            assert all(0 <= x <= 96 and 0 <= y <= 64 for x, y in lane)
        assert len(frame["tracks"]) >= len(frame["detection"])


def test_makes_nights_dark(dataset: Path) -> None:
    lines = [json.loads(line) for line in (dataset / "golden_train.manifest").read_text().splitlines()]
    levels = {"day": [], "dusk": [], "night": []}
    for frame in lines:
        levels[frame["attributes"]["timeofday"]].append(np.asarray(Image.open(dataset / frame["source-ref"])).mean())
    assert max(levels["night"]) < 45 < min(levels["day"])
    assert np.mean(levels["night"]) < np.mean(levels["dusk"]) < np.mean(levels["day"])


def test_writes_a_dataset_whole_or_not_at_all(tmp_path: Path) -> None:
    splits = scenes_spec()["splits"] | {"val": [{"frames": 4, "attributes": {"weather": {"rain": 0.5}}}]}
    with pytest.raises(ValueError, match=r"splits\.val\[0\]\.attributes\.weather: the shares sum to 0\.5, not to 1"):
        import_scenes(scenes_spec(splits=splits), tmp_path / "bad")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: "),
        ('{"width":96,"height":64}', "line 2: source-ref is missing"),
        (
            '{"source-ref":"a.png","width":96,"height":64,"detection":[{"category":"tram","box":[0,0,1,1]}]}',
            r"line 2: detection\[0\]: found the category 'tram'; allowed: vehicle, pedestrian, rider",
        ),
        (
            '{"source-ref":"a.png","width":96,"height":64,"detection":[{"category":"rider","box":[5,0,1,1]}]}',
            r"line 2: detection\[0\]: the box \[5, 0, 1, 1\] has no area",
        ),
    ],
)
def test_names_the_line_that_it_refuses(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "golden_train.manifest"
    file.write_text('{"source-ref":"a.png","width":96,"height":64}\n' + line + "\n")
    with pytest.raises(ValueError, match=message):
        read_manifest(file, None, DETECTION)


def test_refuses_a_manifest_that_changed_since_the_plan(dataset: Path) -> None:
    with pytest.raises(ValueError, match=r"golden_val\.manifest: it has changed since the run was planned"):
        read_manifest(dataset / "golden_val.manifest", "sha256:" + "1" * 64, DETECTION)


def test_reads_bdd100k_in_its_own_form_and_in_scalabels(tmp_path: Path) -> None:
    (tmp_path / "images/train").mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (1280, 720), (90, 90, 90)).save(tmp_path / f"images/train/{name}.jpg")
    box = {"category": "car", "box2d": {"x1": 640.0, "y1": 360.0, "x2": 1400.0, "y2": 540.0}}
    lane = {"category": "lane/road curb", "poly2d": []}
    frames = [
        {"name": "a.jpg", "split": "train", "attributes": None, "labels": [box, {**box, "category": "kite"}]},
        {"name": "b.jpg", "split": "train", "attributes": {"weather": "rainy", "scene": None}, "labels": [lane]},
        {"name": "c.jpg", "split": "train", "labels": None},
    ]
    (tmp_path / "labels.json").write_text(json.dumps(frames))
    spec = {
        "name": "bdd100k",
        "labels": str(tmp_path / "labels.json"),
        "images": str(tmp_path / "images"),
        "width": 320,
        "height": 160,
        "splits": {name: {"split": "train", "skip": n, "frames": 1} for n, name in enumerate(("train", "val", "test"))},
        "slices": SLICES,
        "categories": {"detection": ["car"], "segmentation": []},
    }
    import_bdd100k(spec, tmp_path / "out")
    read = [
        read_manifest(tmp_path / f"out/golden_{split}.manifest", None, ["car"])[0] for split in ("train", "val", "test")
    ]
    assert [frame.attributes for frame in read] == [{}, {"weather": "rainy"}, {}]
    # Half of 1280 and beyond the right edge; 360 and 540 of 720: scaled and clipped.
    assert read[0].detection == [{"category": "car", "box": [160.0, 80.0, 320.0, 120.0], "crowd": False}]
    assert [frame.detection for frame in read[1:]] == [[], []]
    with pytest.raises(
        ValueError, match=r"splits\.val asks for frames of 'val' after the first 0, but there are only 0"
    ):
        import_bdd100k(spec | {"splits": spec["splits"] | {"val": {"split": "val"}}}, tmp_path / "bad")
    (tmp_path / "images/train/a.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a\.jpg: can't be read as an image"):
        import_bdd100k(spec, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_refuses_a_batch_that_the_processes_do_not_divide(dataset: Path, tmp_path: Path) -> None:
    file = write_document(tmp_path / "run.json", train_document(dataset, global_batch=5))
    with pytest.raises(ValueError, match="found a global batch of 5; it must be a multiple of 2, for 2 processes"):
        read_run(file, "train")


def test_names_the_place_of_what_is_wrong_in_a_run(dataset: Path, tmp_path: Path) -> None:
    document = train_document(dataset, epochs=0)
    with pytest.raises(ValueError, match=r"run\.json: .*epochs"):
        read_run(write_document(tmp_path / "run.json", document), "train")
    assert data_document(dataset)["manifests"]["test"]["frames"] == 9
