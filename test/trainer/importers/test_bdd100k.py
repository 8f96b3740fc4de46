"""BDD100K's importer ..."""

from pathlib import Path
from typing import Any

import pytest
from imports import SPLITS, frames_of, imported, refusal, write_image, write_json

from proving_ground.importers.bdd100k import import_bdd100k

BOX = {"category": "car", "box2d": {"x1": 10, "y1": 5, "x2": 30, "y2": 25}}


def frame(name: str, **more: Any) -> dict[str, Any]:
    """A frame with a car."""
    return {"name": name, "labels": [BOX], **more}


def spec_of(folder: Path, splits: dict[str, dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """Settings for images in a folder: by default each of our splits is the official one of its name."""
    return {
        "name": "bdd100k",
        "images": str(folder / "images"),
        "width": 100,
        "height": 50,
        "splits": splits or {split: {"split": split} for split in SPLITS},
        "slices": [],
        "categories": {"detection": ["car"], "segmentation": []},
        **more,
    }


@pytest.mark.parametrize(
    "place", ["images/{split}/{name}", "images/{name}", "images/{split}/v-{split}/{name}", "images/v-{split}/{name}"]
)
@pytest.mark.parametrize("form", ["list", "object", "folder", "file for each image"])
def test_reads_every_form_of_labels_and_every_place_of_images(tmp_path: Path, form: str, place: str) -> None:
    frames = [
        frame(f"{split}-{number}.jpg", split=split, videoName=f"v-{split}", frameIndex=number)
        for split in SPLITS
        for number in range(2)
    ]
    for it in frames:
        write_image(tmp_path / place.format(**it))
    labels = tmp_path / "labels"
    if form == "list":
        write_json(labels, frames)
    elif form == "object":
        write_json(labels, {"frames": frames, "config": {"categories": [{"name": "car"}]}})
    elif form == "folder":
        for split in SPLITS:
            write_json(labels / f"{split}/v.json", [it for it in frames if it["split"] == split])
    else:
        for it in frames:
            whole = {"name": Path(it["name"]).stem, "split": it["split"], "attributes": {"weather": "clear"}}
            whole["frames"] = [
                {"timestamp": 10000, "videoName": it["videoName"], "objects": [BOX, {"category": "area/drivable"}]}
            ]
            write_json(labels / f"{whole['name']}.json", whole)
    read, kept, _ = imported(import_bdd100k, spec_of(tmp_path, labels=str(labels)), tmp_path / "out")
    for split in SPLITS:
        assert [it.sequence for it in read[split]] == [f"v-{split}"] * 2
        assert all(
            it.detection == [{"category": "car", "box": [10.0, 5.0, 30.0, 25.0], "crowd": False}] for it in read[split]
        )
        assert kept["counts"][split]["frames"] == {"written": 2}
    assert len(kept["sources"]) == 6 + {"folder": 4, "file for each image": 7}.get(form, 1)


def test_takes_a_label_file_for_each_split_whose_frames_name_none(tmp_path: Path) -> None:
    splits = {}
    for split in SPLITS:
        write_image(tmp_path / f"{split}/{split}.jpg")
        labels = write_json(tmp_path / f"det_{split}.json", [frame(f"{split}.jpg", timestamp=10000)])
        splits[split] = {"labels": labels, "images": str(tmp_path / split)}
    spec = spec_of(tmp_path, splits)
    del spec["images"]
    read, kept, _ = imported(import_bdd100k, spec, tmp_path / "out")
    assert {split: len(frames) for split, frames in read.items()} == dict.fromkeys(SPLITS, 1)
    assert {Path(file).name for file in kept["sources"]} == {f"det_{split}.json" for split in SPLITS} | {
        f"{split}.jpg" for split in SPLITS
    }
    # A time in the video is no day.
    assert read["train"][0].captured is None


def test_refuses_frames_that_could_be_of_any_split(tmp_path: Path) -> None:
    for name in "abc":
        write_image(tmp_path / f"images/{name}.jpg")
    labels = write_json(tmp_path / "labels.json", [frame("a.jpg", split="train"), frame("b.jpg"), frame("c.jpg")])
    said = refusal(import_bdd100k, spec_of(tmp_path, labels=labels), tmp_path / "out")
    assert said == (
        f'{labels}, frame b.jpg: it has no "split", so it could be of train, val or test. Give each split a label file '
        'of its own (splits.train.labels), or write "split" into each frame.'
    )
    # The same file in each split says no more than one for all.
    said = refusal(import_bdd100k, spec_of(tmp_path, {key: {"labels": labels} for key in SPLITS}), tmp_path / "out")
    assert f"{labels}, frame a.jpg: splits.train and splits.val both take it" in said
    apart = {split: {"labels": labels, "skip": at, "frames": 1} for at, split in enumerate(SPLITS)}
    read = imported(import_bdd100k, spec_of(tmp_path, apart), tmp_path / "out")[0]
    assert all(len(frames) == 1 for frames in read.values())
    said = refusal(import_bdd100k, spec_of(tmp_path, {key: {"split": "val"} for key in SPLITS}), tmp_path / "none")
    assert said == "splits.train: it has no labels; write labels for all splits, or splits.train.labels."


def test_refuses_categories_that_no_label_has_and_names_the_nearest(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.jpg")
    labelled = [{**BOX, "category": category} for category in ("car", "pedestrian", "bicycle", "traffic light")]
    lane = {"category": "lane", "poly2d": []}
    labels = write_json(tmp_path / "labels.json", [{"name": "a.jpg", "split": "train", "labels": [*labelled, lane]}])
    wanted = {"detection": ["car", "person", "bike", "traffic lights", "lane"], "segmentation": []}
    spec = spec_of(tmp_path, {key: {"split": "train"} for key in SPLITS}, labels=labels, categories=wanted)
    assert refusal(import_bdd100k, spec, tmp_path / "out") == (
        f"{labels}: categories.detection names person, bike, traffic lights, lane, which they lack; they have bicycle, "
        "car, pedestrian, traffic light. Did you mean pedestrian for person, bicycle for bike, "
        "traffic light for traffic lights?"
    )


def test_keeps_attributes_as_strings_with_camera_and_day(tmp_path: Path) -> None:
    attributes = {"hour": 17, "wet": True, "dry": False, "speed": 3.5, "lanes": 2.0, "scene": "city", "none": None}
    more = {"split": "train", "attributes": attributes, "cameraName": "front", "timestamp": 1506800843701}
    write_image(tmp_path / "images/a.jpg")
    labels = write_json(tmp_path / "labels.json", [frame("a.jpg", **more)])
    spec = spec_of(tmp_path, {key: {"split": "train"} for key in SPLITS}, labels=labels)
    read = imported(import_bdd100k, spec, tmp_path / "out")[0]["train"][0]
    assert read.attributes == {
        "camera": "front",
        "hour": "17",
        "wet": "true",
        "dry": "false",
        "speed": "3.5",
        "lanes": "2",
        "scene": "city",
    }
    assert str(read.captured) == "2017-09-30"
    labels = write_json(tmp_path / "labels.json", [frame("a.jpg", split="train", attributes={"tags": ["a"]})])
    said = refusal(import_bdd100k, spec, tmp_path / "bad")
    assert said.startswith(f'{labels}, frame a.jpg: found ["a"] for the attribute tags; it must be a string')


def test_tells_what_is_left_out(tmp_path: Path) -> None:
    thin = {"category": "car", "box2d": {"x1": 10, "y1": 5, "x2": 10.5, "y2": 25}}
    frames = [
        {"name": "a.jpg", "split": "train", "labels": [BOX, thin, {**BOX, "category": "bus"}, {"category": "lane"}]},
        {"name": "b.jpg", "split": "train", "labels": None},
    ]
    for name in "ab":
        write_image(tmp_path / f"images/{name}.jpg")
    labels = write_json(tmp_path / "labels.json", frames)
    splits = {
        "train": {"split": "train"},
        "val": {"split": "train", "skip": 1},
        "test": {"split": "train", "frames": 1},
    }
    _, kept, printed = imported(import_bdd100k, spec_of(tmp_path, splits, labels=labels), tmp_path / "out")
    assert printed.splitlines() == [
        "train: frames 2, boxes 1, labels 0; left out: boxes 1 (less than a pixel wide or high in the frame), boxes 1 "
        "(of categories that the recipe leaves out), labels 1 (lanes, areas and others without a box). "
        "Frames that show the same picture as an earlier one: 1.",
        "val: frames 1; left out: frames 1 (outside of frames and skip).",
        "test: frames 1, boxes 1, labels 0; left out: frames 1 (outside of frames and skip), boxes 1 (less than a "
        "pixel wide or high in the frame), boxes 1 (of categories that the recipe leaves out), labels 1 (lanes, areas "
        "and others without a box).",
    ]
    assert kept["notes"]["train"] == {"Frames that show the same picture as an earlier one": 1}
    assert len(frames_of(tmp_path / "out", ["car"])["train"]) == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "not BDD100K's labels: it must be a list of frames, each with a name, or an object with frames"),
        ([{"name": ""}], "not BDD100K's labels"),
        ([frame("../a.jpg", split="train")], "found the file name"),
        ([frame("a.jpg", split="train", videoName="../..")], "found the file name"),
        ([frame("c.jpg", split="train", videoName="v")], "frame c.jpg: its image isn't at"),
        ([{"name": "a.jpg", "split": "train", "labels": 5}], "frame a.jpg: found the labels 5; it must be a list"),
        (
            [{"name": "a.jpg", "split": "train", "labels": [{**BOX, "box2d": {"x1": 1}}]}],
            "frame a.jpg: a label must be a box with category, x1, y1, x2 and y2",
        ),
        (
            [
                frame("a.jpg", split="train"),
                {"name": "b.jpg", "split": "train", "labels": [{**BOX, "box2d": {**BOX["box2d"], "x1": float("nan")}}]},
            ],
            "frame b.jpg: ",
        ),
    ],
)
def test_names_the_frame_that_it_refuses(tmp_path: Path, value: Any, message: str) -> None:
    for name in "ab":
        write_image(tmp_path / f"images/{name}.jpg")
    labels = write_json(tmp_path / "labels.json", value)
    spec = spec_of(tmp_path, {key: {"split": "train"} for key in SPLITS}, labels=labels)
    said = refusal(import_bdd100k, spec, tmp_path / "out")
    assert message in said
    assert said.startswith(labels)
