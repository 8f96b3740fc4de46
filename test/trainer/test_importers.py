"""An importer ..."""

import importlib
import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imports import frames_of, imported, refusal
from PIL import Image

from proving_ground.__main__ import IMPORTERS
from proving_ground.data.coco import import_coco
from proving_ground.data.slices import load_slices
from proving_ground.data.targets import lane_targets
from proving_ground.data.trajectories import import_trajectories
from proving_ground.data.tusimple import import_tusimple
from proving_ground.evaluation.counting.lanes import draw_lane

TRAINER = Path(__file__).parents[2] / "trainer"
REAL = Path(__file__).parents[2] / "../shared/data"
SLICES = [{"name": "wet", "where": {"weather": "rain"}}]


def needs(name: str) -> Path:
    """A folder of real data beside the project, or a skip that says so."""
    folder = (REAL / name).resolve()
    if not folder.is_dir():
        pytest.skip(f"{folder} isn't there")
    return folder


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


# TuSimple

LINE = {"lanes": [[-2, 60, 40], [70, -2, 90], [-2, -2, 5]], "h_samples": [10, 20, 40], "raw_file": "a/1.jpg"}


def tusimple_spec(folder: Path, lines: list[str]) -> dict[str, Any]:
    """Settings for a label file of one image, 100x50 pixels, that is every split."""
    (folder / "a").mkdir(exist_ok=True)
    Image.new("RGB", (100, 50)).save(folder / "a/1.jpg")
    (folder / "label_data.json").write_text("\n".join(lines) + "\n")
    split = {"images": str(folder), "labels": str(folder / "label_data.json")}
    return {
        "name": "tusimple",
        "width": 200,
        "height": 100,
        "splits": dict.fromkeys(("train", "val", "test"), split),
        "slices": [],
        "categories": {"detection": [], "segmentation": []},
    }


def masks_spec(folder: Path, mask: np.ndarray) -> dict[str, Any]:
    """The same for a mask."""
    for name in ("image", "mask"):
        (folder / name).mkdir(exist_ok=True)
    Image.new("RGB", (100, 50)).save(folder / "image/1.png")
    Image.fromarray(mask).save(folder / "mask/1.png")
    split = {"images": str(folder / "image"), "masks": str(folder / "mask")}
    return {**tusimple_spec(folder, []), "splits": dict.fromkeys(("train", "val", "test"), split)}


def test_reads_tusimples_lines_as_lanes_from_near_to_far(tmp_path: Path) -> None:
    import_tusimple(tusimple_spec(tmp_path, [json.dumps(LINE), ""]), tmp_path / "out")
    frame = frames_of(tmp_path / "out")["val"][0]
    # Twice as wide and as high; a lane of one point is none.
    assert frame.lanes == [[[80.0, 80.0], [120.0, 40.0]], [[180.0, 80.0], [140.0, 20.0]]]
    assert frame.detection is None
    assert frame.segmentation is None


def test_leaves_out_points_beyond_any_edge_and_tells(tmp_path: Path) -> None:
    lanes = [[-30, -12.5, 40, 60, 80, 120], [-2, -2, -2, -2, 99.9, 100], [-2, 50, -1, -2, -2, -2], [1e6] * 6]
    line = {"lanes": lanes, "h_samples": [-10, 0, 20, 40, 49, 50], "raw_file": "a/1.jpg", "camera": "front"}
    read, kept, printed = imported(import_tusimple, tusimple_spec(tmp_path, [json.dumps(line)]), tmp_path / "out")
    frame = read["val"][0]
    assert frame.lanes == [[[160.0, 98.0], [120.0, 80.0], [80.0, 40.0]]]
    assert (frame.sequence, frame.attributes) == ("a", {"camera": "front"})
    assert kept["counts"]["val"]["points"] == {"written": 5, "outside of the image": 11}
    assert kept["counts"]["val"]["lanes"] == {"written": 1, "fewer than two points in the image": 3}
    assert "points 11 (outside of the image)" in printed


def test_reads_each_value_of_a_mask_as_the_middle_of_its_rows(tmp_path: Path) -> None:
    mask = np.zeros((50, 100), dtype=np.uint8)
    for row in range(10, 50):
        mask[row, 40 - row // 2 : 43 - row // 2] = 20
    mask[30:33, 80:84] = 70
    mask[5, 5] = 90
    import_tusimple(masks_spec(tmp_path, mask), tmp_path / "out")
    long, short = frames_of(tmp_path / "out")["test"][0].lanes
    assert len(long) == 32
    assert (long[0], long[-1]) == ([2 * (41.5 - 24), 2 * 49.5], [2 * (41.5 - 5), 2 * 10.5])
    assert all(near[1] > far[1] for near, far in itertools.pairwise(long))
    assert short == [[164.0, 65.0], [164.0, 63.0], [164.0, 61.0]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: found []; a frame must have lanes, h_samples and raw_file"),
        (json.dumps({**LINE, "lanes": 3}), "line 2: lanes: found 3; it must be a list of lists of numbers"),
        (json.dumps({**LINE, "lanes": [[1, 2]]}), "line 2: lanes[0]: found 2 columns for 3 h_samples"),
        (
            json.dumps({**LINE, "lanes": [["1", 2, 3]]}),
            'line 2: lanes[0]: found ["1", 2, 3]; it must be a list of finite',
        ),
        (json.dumps({**LINE, "lanes": [[1, float("inf"), 3]]}), "line 2: lanes[0]: found [1, Infinity, 3]"),
        (json.dumps({**LINE, "h_samples": [1, None, 3]}), "line 2: h_samples: found [1, null, 3]"),
        (json.dumps({**LINE, "raw_file": "/a/1.jpg"}), "line 2: found the file name '/a/1.jpg'"),
        (json.dumps({**LINE, "raw_file": "a/2.jpg"}), "a/2.jpg: can't be read as an image"),
    ],
)
def test_names_the_line_of_tusimple_that_it_refuses(tmp_path: Path, line: str, message: str) -> None:
    said = refusal(import_tusimple, tusimple_spec(tmp_path, [json.dumps(LINE), line]), tmp_path / "out")
    assert message in said
    assert "label_data.json" in said or "2.jpg" in said


def test_refuses_masks_that_are_not_of_their_images_or_not_of_instances(tmp_path: Path) -> None:
    both = np.zeros((50, 100), dtype=np.uint8)
    both[10:40, 20:23] = both[10:40, 60:63] = 255
    said = refusal(import_tusimple, masks_spec(tmp_path, both), tmp_path / "out")
    assert "mask/1.png: the value 255 has several stretches in most of its rows" in said
    said = refusal(import_tusimple, masks_spec(tmp_path, both[:25]), tmp_path / "out")
    assert "mask/1.png: the mask is (25, 100); it must have one value for each of 100x50 pixels" in said
    spec = masks_spec(tmp_path, both)
    (tmp_path / "mask/1.png").write_bytes(b"no image")
    assert "mask/1.png: can't be read as a mask" in refusal(import_tusimple, spec, tmp_path / "out")
    (tmp_path / "image/2.png").write_bytes(b"")
    assert "there is no 2.png in" in refusal(import_tusimple, spec, tmp_path / "out")
    said = refusal(import_tusimple, tusimple_spec(tmp_path, []), tmp_path / "out")
    assert "label_data.json: splits.train asks for frames after the first 0, but there are only 0" in said


def test_draws_the_lanes_of_real_frames_where_their_masks_are(tmp_path: Path) -> None:
    folder = needs("lanenet6/training_data_example")
    split = {"images": str(folder / "image"), "masks": str(folder / "gt_instance_image")}
    spec = {
        "name": "tusimple",
        "width": 320,
        "height": 180,
        "splits": {
            "train": {**split, "frames": 4},
            "val": {**split, "skip": 4, "frames": 1},
            "test": {**split, "skip": 5},
        },
        "slices": [],
        "categories": {"detection": [], "segmentation": []},
    }
    import_tusimple(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out")
    assert [len(frame.lanes) for frame in frames["train"]] == [4, 4, 4, 5]
    for number, frame in enumerate([*frames["train"], *frames["val"], *frames["test"]]):
        with Image.open(folder / f"gt_instance_image/{number:04d}.png") as image:
            mask = np.asarray(image.resize((320, 180), Image.Resampling.NEAREST))
        lanes = [np.array(lane) for lane in frame.lanes]
        for lane, value in zip(lanes, np.unique(mask)[1:], strict=True):
            assert (draw_lane(lane, (320, 180)) & (mask == value)).sum() > 0.95 * (mask == value).sum()
        # The two lines of our own lane are learnt down to the bottom.
        assert np.isfinite(lane_targets(lanes, (180, 320))[1:3]).all()
    said = refusal(
        import_tusimple,
        {**spec, "splits": {key: {**split, "masks": str(folder / "gt_binary_image")} for key in frames}},
        tmp_path / "binary",
    )
    assert "gt_binary_image/0000.png: the value 255 has several stretches" in said


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
