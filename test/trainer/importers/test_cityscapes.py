"""Cityscapes' ..."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SOAK
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import by_sequence, frames_of, mask_of, problems_of, refusal, write_image
from PIL import Image

from proving_ground.importers.cityscapes import import_cityscapes

SIZE = (64, 32)
CATEGORIES = {"detection": ["person", "vehicle"], "segmentation": ["road", "vehicle", "person"]}
LABELS = {"vehicle": ["car", "truck", "bus"]}


def write(root: Path, name: str, ids: np.ndarray, split: str = "train") -> None:
    """An image and its masks: ids has the label's id, or id * 1000 + number of an instance."""
    city = name.split("_")[0]
    write_image(root / f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", SIZE, len(name) * 3 + int(name[-2:]))
    folder = root / f"gtFine/{split}/{city}"
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.where(ids >= 1000, ids // 1000, ids)
    Image.fromarray(labels.astype(np.uint8)).save(folder / f"{name}_gtFine_labelIds.png")
    Image.fromarray(ids.astype(np.uint16)).save(folder / f"{name}_gtFine_instanceIds.png")


def scene() -> np.ndarray:
    """A road with a car, a group of persons and a caravan, which doesn't count; void above."""
    ids = np.zeros((SIZE[1], SIZE[0]), dtype=np.int64)
    ids[16:] = 7
    ids[12:20, 10:21] = 26001
    ids[14:20, 30:34] = 24
    ids[14:22, 50:60] = 29000
    ids[10, 5] = 28000
    return ids


def small(root: Path) -> dict[str, Any]:
    """Two cities of train and one of val, a split each."""
    for name, split in (
        ("aachen_000000_000019", "train"),
        ("bad-x_000003_000004", "train"),
        ("ulm_000001_000011", "val"),
    ):
        write(root, name, scene(), split)
    splits = {
        "train": {"split": "train", "cities": ["aachen"]},
        "val": {"split": "train", "cities": ["bad-x"]},
        "test": {"split": "val"},
    }
    return {
        "name": "cityscapes",
        "root": str(root),
        "width": 2 * SIZE[0],
        "height": 2 * SIZE[1],
        "splits": splits,
        "slices": [],
        "categories": CATEGORIES,
        "labels": LABELS,
    }


def test_labels_become_classes_and_what_does_not_count_is_ignored(tmp_path: Path) -> None:
    spec = small(tmp_path)
    import_cityscapes(spec, tmp_path / "out")
    assert problems_of(tmp_path / "out", spec) == ""
    frame = frames_of(tmp_path / "out", CATEGORIES["detection"])["val"][0]
    expected = np.full((SIZE[1], SIZE[0]), 255)
    expected[16:] = 0
    expected[12:20, 10:21] = 1
    expected[14:20, 30:34] = 2
    expected[14:22, 50:60] = 255
    expected[10, 5] = 1
    assert (mask_of(tmp_path / "out", frame) == np.kron(expected, np.ones((2, 2)))).all()
    assert (frame.attributes, frame.sequence) == ({"city": "bad-x"}, "bad-x_000003")


def test_instances_become_boxes_and_groups_are_crowds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = {**small(tmp_path), "width": SIZE[0] // 2, "height": SIZE[1]}
    import_cityscapes(spec, tmp_path / "out")
    detection = frames_of(tmp_path / "out", CATEGORIES["detection"])["test"][0].detection
    assert detection == [
        {"category": "person", "box": [15, 14, 17, 20], "crowd": True},
        {"category": "vehicle", "box": [5, 12, 10.5, 20], "crowd": False},
    ]
    # One bus of a pixel, of half a pixel's width in the frame.
    assert "boxes 1 (less than a pixel wide or high in the frame)" in capsys.readouterr().out


def test_polygons_become_boxes_where_the_mask_of_instances_is_not_there(tmp_path: Path) -> None:
    spec = small(tmp_path)
    file = tmp_path / "gtFine/val/ulm/ulm_000001_000011_gtFine_instanceIds.png"
    file.unlink()
    objects = [
        {"label": "cargroup", "polygon": [[1, 2], [9, 2], [9.5, 12]]},
        {"label": "person", "polygon": [[30, 4], [36, 4], [36, 70]]},
        {"label": "person", "polygon": [[0, 0], [5, 5], [0, 5]], "deleted": 1},
        {"label": "sky", "polygon": []},
    ]
    polygons = file.with_name("ulm_000001_000011_gtFine_polygons.json")
    polygons.write_text(json.dumps({"imgHeight": 32, "imgWidth": 64, "objects": objects}))
    import_cityscapes(spec, tmp_path / "out")
    assert frames_of(tmp_path / "out", CATEGORIES["detection"])["test"][0].detection == [
        {"category": "vehicle", "box": [2, 4, 19, 24], "crowd": True},
        {"category": "person", "box": [60, 8, 72, 64], "crowd": False},
    ]
    objects[1]["polygon"] = [[1, 2], [3]]
    polygons.write_text(json.dumps({"objects": objects}))
    said = refusal(import_cityscapes, spec, tmp_path / "again")
    assert "polygons.json, objects[1]: found the polygon [[1, 2], [3]]; it must be three points [x, y] or more" in said


def test_cities_that_no_split_names_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = small(tmp_path)
    write(tmp_path, "jena_000000_000001", scene())
    import_cityscapes(spec, tmp_path / "out")
    assert "frames 1 (of cities that no split names)" in capsys.readouterr().out


def test_sequences_are_shared_out(tmp_path: Path) -> None:
    spec = {**small(tmp_path), "splits": by_sequence()}
    for number in (1, 2):
        write(tmp_path, f"jena_00000{number}_000001", scene())
        write(tmp_path, f"jena_00000{number}_000002", scene())
    import_cityscapes(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out", CATEGORIES["detection"])
    drives = {split: {frame.sequence for frame in some} for split, some in frames.items()}
    assert [len(some) for some in drives.values()] == [3, 1, 1]
    assert sum(len(some) for some in frames.values()) == 7
    assert len(set().union(*drives.values())) == 5


def mask_is(values: np.ndarray, ending: str = "labelIds") -> Callable[[Path, dict[str, Any]], object]:
    """Writes a mask of the first image."""
    place = f"gtFine/train/aachen/aachen_000000_000019_gtFine_{ending}.png"
    return lambda root, _: Image.fromarray(values).save(root / place)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (mask_is(np.full((32, 64), 40, dtype=np.uint8)), "labelIds.png: found the ids 40; Cityscapes' go from 0 to 33"),
        (mask_is(np.zeros((16, 64), dtype=np.uint8)), "labelIds.png: the mask has 64x16 pixels; its image has 64x32"),
        (
            mask_is(np.full((32, 64, 3), (9, 8, 7), dtype=np.uint8)),
            "labelIds.png: the mask has colours",
        ),
        (
            lambda _, spec: spec["splits"]["test"].update(split="test"),
            "Cityscapes' split test, whose labels aren't public",
        ),
        (
            lambda _, spec: spec["splits"]["val"].update(cities=["bonn"]),
            "no images of bonn (splits.val); there are aachen, bad-x",
        ),
        (lambda _, spec: spec["splits"]["val"].update(cities=["aachen"]), "aachen of train is in both train and val"),
        (lambda _, spec: spec["splits"]["val"].pop("cities"), "aachen of train is in both train and val"),
        (
            lambda _, spec: spec.update(labels={"vehicle": ["car", "caravan"]}),
            "no label is named caravan (for vehicle)",
        ),
        (
            lambda _, spec: spec.update(labels={**LABELS, "tram": ["train"]}),
            "labels: found tram; the recipe's categories",
        ),
        (lambda _, spec: spec.update(labels={**LABELS, "person": ["car"]}), "both vehicle and person ask for car"),
        (
            lambda _, spec: spec.update(categories={**CATEGORIES, "detection": ["rode"]}),
            "no label is named rode (for rode)",
        ),
        (
            lambda root, _: write_image(root / "leftImg8bit/train/aachen/x_leftImg8bit.png", SIZE),
            "its name must be aachen_",
        ),
        (lambda _, spec: spec.update(root="elsewhere"), "elsewhere/leftImg8bit/"),
    ],
)
def test_mistakes_are_refused_by_their_place(
    tmp_path: Path, change: Callable[[Path, dict[str, Any]], object], message: str
) -> None:
    spec = small(tmp_path)
    change(tmp_path, spec)
    assert message in refusal(import_cityscapes, spec, tmp_path / "out")


box = st.tuples(
    st.integers(0, 50), st.integers(0, 20), st.integers(1, 14), st.integers(1, 12), st.sampled_from([24, 26, 28])
)


@settings(derandomize=True, deadline=None, max_examples=500 if SOAK else 30)
@given(st.lists(box, max_size=5))
def test_boxes_and_masks_are_where_they_were(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple[int, ...]]
) -> None:
    root = tmp_path_factory.mktemp("cityscapes")
    spec = small(root)
    ids = np.zeros((SIZE[1], SIZE[0]), dtype=np.int64)
    for number, (x, y, width, height, label) in enumerate(boxes):
        ids[y : y + height, x : x + width] = label * 1000 + number
    write(root, "aachen_000000_000019", ids)
    import_cityscapes(spec, root / "out")
    frame = frames_of(root / "out", CATEGORIES["detection"])["train"][0]
    mask = mask_of(root / "out", frame)
    classes = {24: 2, 26: 1, 28: 1}
    assert (mask[::2, ::2] == np.vectorize(lambda value: classes.get(value // 1000, 255))(ids)).all()
    left = [value for value in np.unique(ids) if value]
    assert len(frame.detection or []) == len(left)
    for found, value in zip(frame.detection or [], left, strict=True):
        rows, columns = np.nonzero(np.kron(ids, np.ones((2, 2))) == value)
        assert found["box"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert found["category"] == ("person" if value < 25000 else "vehicle")
