"""An importer ..."""

import importlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imports import frames_of, needs, refusal
from PIL import Image

from proving_ground.__main__ import IMPORTERS
from proving_ground.data.slices import load_slices
from proving_ground.importers.coco import import_coco
from proving_ground.importers.trajectories import import_trajectories

TRAINER = Path(__file__).parents[3] / "trainer"
SLICES = [{"name": "wet", "where": {"weather": "rain"}}]


# COCO


def coco_document() -> dict[str, Any]:
    """Three images of 100x50 pixels; the second has no annotations."""
    images = [{"id": at, "file_name": f"{at}.jpg", "width": 100, "height": 50} for at in (7, 3, 5)]
    images[0]["attributes"] = {"weather": "rain"}
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 9, "bbox": [50, 10, 100, 20], "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 4, "bbox": [0, 0, 10, 10], "iscrowd": 0},
        {"id": 3, "image_id": 5, "category_id": 9, "bbox": [10, 10, 20, 30], "iscrowd": 1},
        {"id": 4, "image_id": 5, "category_id": 9, "bbox": [10, 10, 0, 30], "iscrowd": 0},
    ]
    categories = [{"id": 4, "name": "kite"}, {"id": 9, "name": "car"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco_spec(folder: Path, document: object) -> dict[str, Any]:
    """Settings for a document whose images lie in a folder; each split has one of its images."""
    (folder / "images").mkdir(exist_ok=True)
    for name in (7, 3, 5):
        Image.new("RGB", (100, 50), (90, 90, 90)).save(folder / f"images/{name}.jpg")
    (folder / "instances.json").write_text(json.dumps(document))
    split = {"images": str(folder / "images"), "annotations": str(folder / "instances.json"), "frames": 1}
    return {
        "name": "coco",
        "width": 200,
        "height": 50,
        "splits": {name: {**split, "skip": at} for at, name in enumerate(("train", "val", "test"))},
        "slices": SLICES,
        "categories": {"detection": ["car"], "segmentation": []},
    }


def test_reads_coco_boxes_by_name_in_the_order_of_the_file(tmp_path: Path) -> None:
    import_coco(coco_spec(tmp_path, coco_document()), tmp_path / "out")
    frames = frames_of(tmp_path / "out", ["car"])
    train, val, test = (frames[split][0] for split in ("train", "val", "test"))
    # Twice as wide, as high; 150 of 100 is clipped, the kite isn't asked for, and a box without width isn't one.
    assert train.detection == [{"category": "car", "box": [100.0, 10.0, 200.0, 30.0], "crowd": False}]
    assert (val.detection, val.attributes) == ([], {})
    assert test.detection == [{"category": "car", "box": [20.0, 10.0, 60.0, 40.0], "crowd": True}]
    assert train.attributes == {"weather": "rain"}
    assert [item["name"] for item in load_slices(tmp_path / "out/slices.yaml", None, ["car"])] == ["wet"]
    with Image.open(tmp_path / "out" / train.source) as image:
        assert image.size == (200, 50) == (train.width, train.height)
    assert not (tmp_path / "out/masks").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda coco: coco.pop("images"),
            "not COCO's annotations: it must have the lists images, annotations, categories",
        ),
        (lambda coco: coco["images"].append(5), "images[3]: found 5; it must be an object"),
        (lambda coco: coco["images"][1].update(id=7), "images[1]: the id 7 appears twice"),
        (lambda coco: coco["images"][1].update(id=1.5), "images[1]: found the id 1.5; it must be a whole number or a"),
        (
            lambda coco: coco["images"][1].update(id=True),
            "images[1]: found the id true; it must be a whole number or a",
        ),
        (lambda coco: coco["images"][1].update(id=7.0), "images[1]: the id 7 appears twice"),
        (
            lambda coco: coco["images"][2].update(file_name="./7.jpg"),
            "images[2]: found the file_name ./7.jpg, which images[0] has too; keep one",
        ),
        (lambda coco: coco["categories"][0].update(name=3), "category 4: found the name 3; it must be a string"),
        (
            lambda coco: coco["annotations"][1].update(image_id=8),
            "annotations[1] (id 2): found the image_id 8, which isn't in the file",
        ),
        (
            lambda coco: coco["annotations"][1].pop("category_id"),
            "annotations[1] (id 2): found the category_id null, which isn't in the file",
        ),
        (
            lambda coco: coco["annotations"][2].update(bbox=[1, 2, -3, 4]),
            "annotations[2] (id 3): found the bbox [1, 2, -3, 4]; it must be x, y, width and height",
        ),
        (lambda coco: coco["annotations"][2].update(bbox=[1, 2, float("nan"), 4]), "found the bbox [1, 2, NaN, 4]"),
        (lambda coco: coco["annotations"][2].update(iscrowd=2), "(id 3): found iscrowd 2; it must be 0 or 1"),
        (lambda coco: coco["images"][0].update(file_name="../7.jpg"), "image 7: found the file name '../7.jpg'"),
        (lambda coco: coco["images"][0].update(file_name="8.jpg"), "8.jpg: can't be read as an image"),
        (lambda coco: coco["images"][0].update(width=640), "image 7: 7.jpg has 100x50 pixels; the entry says 640x50"),
        (
            lambda coco: coco["images"][0].update(attributes={"hour": [5]}),
            "image 7: found [5] for the attribute hour; it must be a string, a number, true or false",
        ),
        (
            lambda coco: coco["images"][0].update(attributes={"__proto__": "5"}),
            "image 7: attributes: __proto__ can't be a key",
        ),
        (
            lambda coco: coco["images"][0].update(attributes=["wet"]),
            'image 7: found the attributes ["wet"]; it must be an object of strings',
        ),
        (lambda coco: coco["images"].pop(1), "splits.test asks for frames after the first 2, but there are only 2"),
        (
            lambda coco: coco["categories"][1].update(name="cat"),
            "categories.detection names car, which they lack; they have cat, kite. Did you mean cat for car?",
        ),
    ],
)
def test_names_the_entry_of_coco_that_it_refuses(tmp_path: Path, change: Callable[[Any], Any], message: str) -> None:
    document = coco_document()
    change(document)
    said = refusal(import_coco, coco_spec(tmp_path, document), tmp_path / "out")
    assert message in said
    assert "instances.json" in said or "8.jpg" in said


def test_reads_the_annotations_of_real_coco_images(tmp_path: Path) -> None:
    file = needs("map-reference") / "instances_val2014_100.json"
    document = json.loads(file.read_text())
    # The file comes without its images: blank ones of their size take their place.
    for entry in document["images"][:6]:
        Image.new("RGB", (entry["width"], entry["height"])).save(tmp_path / entry["file_name"])
    names = {category["id"]: category["name"] for category in document["categories"]}
    split = {"images": str(tmp_path), "annotations": str(file)}
    spec = {
        "name": "coco",
        "width": 160,
        "height": 120,
        "splits": {
            "train": {**split, "frames": 3},
            "val": {**split, "skip": 3, "frames": 2},
            "test": {**split, "skip": 5, "frames": 1},
        },
        "slices": [],
        "categories": {"detection": list(names.values()), "segmentation": []},
    }
    import_coco(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out", list(names.values()))
    read = [frame for split in ("train", "val", "test") for frame in frames[split]]
    for entry, frame in zip(document["images"][:6], read, strict=True):
        boxes = [item for item in document["annotations"] if item["image_id"] == entry["id"]]
        assert Counter(label["category"] for label in frame.detection) == Counter(
            names[item["category_id"]] for item in boxes
        )
        scale = np.array([160 / entry["width"], 120 / entry["height"]] * 2)
        for label, item in zip(frame.detection, boxes, strict=True):
            x, y, width, height = item["bbox"]
            assert np.abs(np.array(label["box"]) - np.array([x, y, x + width, y + height]) * scale).max() < 0.02
            assert label["crowd"] == bool(item["iscrowd"])
    assert sum(len(frame.detection) for frame in read) > 20


# Trajectories


def trajectories_spec(folder: Path, text: str, **changes: Any) -> dict[str, Any]:
    """Settings for one table that is every split, of tracks with two past and two future points."""
    (folder / "square.txt").write_text(text)
    files = {key: [str(folder / "square.txt")] for key in ("train", "val", "test")}
    spec = {"name": "trajectories", "past": 2, "future": 2, "step_seconds": 0.4, "splits": files, "slices": []}
    return {**spec, "categories": {"detection": [], "segmentation": []}, **changes}


def test_gives_each_frame_the_tracks_that_are_whole_around_it(tmp_path: Path) -> None:
    rows = [f"{frame}.0\t1.0\t{frame / 10 + 0.123456}\t2" for frame in (0, 10, 20, 30, 40)]
    # The second is away at 20: none of its tracks is whole. The third has a point between two steps.
    rows += [f"{frame} 2 0 0" for frame in (0, 10, 30, 40, 50)]
    rows += [f"{frame} 3 0 {frame}" for frame in (10, 20, 25, 30, 40)]
    import_trajectories(trajectories_spec(tmp_path, "\n".join(reversed(rows)) + "\n\n"), tmp_path / "out")
    first, second = frames_of(tmp_path / "out")["train"]
    assert (first.source, first.has_image, first.attributes) == ("square:10", False, {"scene": "square"})
    assert first.tracks == [{"past": [[0.1235, 2.0], [1.1235, 2.0]], "future": [[2.1235, 2.0], [3.1235, 2.0]]}]
    assert second.source == "square:20"
    assert [track["past"] for track in second.tracks] == [[[1.1235, 2], [2.1235, 2]], [[0, 10], [0, 20]]]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *(f"golden_{split}.manifest" for split in ("test", "train", "val")),
        "importer.json",
        "slices.yaml",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("30 1 2", "square.txt, line 4: found 3 columns; a row must have four: frame, id, x and y"),
        ("30 1 2 3 4", "square.txt, line 4: found 5 columns"),
        ("30,1,2,3", "square.txt, line 4: found 1 columns"),
        ("30 1 two 3", "square.txt, line 4: found '30 1 two 3'; frame, id, x and y must be numbers"),
        (
            "30 1 nan 3",
            "square.txt, line 4: found '30 1 nan 3'; frame and id must be whole numbers, x and y finite ones",
        ),
        ("30 1 2 -inf", "square.txt, line 4: found '30 1 2 -inf'"),
        ("30.5 1 2 3", "square.txt, line 4: found '30.5 1 2 3'"),
        ("10 1 2 3", "square.txt, line 4: frame 10 of id 1 appears twice, first in line 3"),
        ("40 1 2 3", "splits.train: no track of"),
    ],
)
def test_names_the_line_of_a_table_that_it_refuses(tmp_path: Path, row: str, message: str) -> None:
    text = f"0 1 0 0\n\n10 1 0 0\n{row}\n20 1 0 0\n"
    assert message in refusal(import_trajectories, trajectories_spec(tmp_path, text), tmp_path / "out")


def test_refuses_tables_that_are_empty_absent_or_of_one_name(tmp_path: Path) -> None:
    spec = trajectories_spec(tmp_path, "\n")
    assert "square.txt: the table has no rows" in refusal(import_trajectories, spec, tmp_path / "out")
    (tmp_path / "square.txt").write_bytes(b"\xff\xfe")
    assert "square.txt: not text in UTF-8" in refusal(import_trajectories, spec, tmp_path / "out")
    spec["splits"]["train"] = [str(tmp_path / "absent.txt")]
    assert "absent.txt: can't be read" in refusal(import_trajectories, spec, tmp_path / "out")
    spec["splits"]["train"] = ["a/square.txt", "b/square.txt"]
    assert "splits.train: two tables are named square" in refusal(import_trajectories, spec, tmp_path / "out")


def test_finds_the_tracks_of_eth_and_ucy_that_others_find(tmp_path: Path) -> None:
    folder = needs("ethucy/all_data")
    # Tracks of 8 past and 12 future points in each test set, as Salzmann et al. 2020 (Trajectron++) evaluate them.
    known = {"biwi_eth": 364, "biwi_hotel": 1197, "crowds_zara01": 2356}
    files = [[str(folder / f"{scene}.txt")] for scene in known]
    spec = trajectories_spec(
        tmp_path, "", past=8, future=12, splits=dict(zip(("train", "val", "test"), files, strict=True))
    )
    import_trajectories(spec, tmp_path / "out")
    for (scene, count), frames in zip(known.items(), frames_of(tmp_path / "out").values(), strict=True):
        assert sum(len(frame.tracks) for frame in frames) == count
        assert {frame.attributes["scene"] for frame in frames} == {scene}
        assert all(len(track["past"]) == 8 and len(track["future"]) == 12 for f in frames for track in f.tracks)


# The command that starts them


def test_is_started_by_its_name_with_its_settings_on_stdin(tmp_path: Path) -> None:
    assert all(hasattr(importlib.import_module(module), name) for module, name in IMPORTERS.values())
    rows = "".join(f"{frame} 1 0 {frame}\n" for frame in range(4))
    line = [sys.executable, "-m", "proving_ground", "import", "trajectories", "--spec", "-", "--out", tmp_path / "out"]
    for text, code, said in ((rows, 0, ""), (rows + "4 1\n", 65, "line 5: found 2 columns")):
        spec = json.dumps(trajectories_spec(tmp_path, text))
        done = subprocess.run(line, input=spec, cwd=TRAINER, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert frames_of(tmp_path / "out")["test"][0].source == "square:1"
