"""A team's own index ..."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imports import frames_of, mask_of, problems_of, refusal
from indices import CLASSES, DETECTION, SIZE, rows_of, write
from PIL import Image
from pycocotools import mask as coco_mask

from proving_ground.config import read_masks
from proving_ground.data.masks import MaskReader
from proving_ground.importers.index import import_index


def test_has_masks_as_files_of_class_indices(tmp_path: Path) -> None:
    rows = rows_of()
    values = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE[1], SIZE[0]) % 3
    values[3] = 255
    Image.fromarray(values.astype(np.uint8)).save(tmp_path / "mask.png")
    rows[0]["mask"] = "mask.png"
    spec = write(tmp_path, rows)
    spec["columns"]["mask"] = "mask"
    import_index(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out", DETECTION)
    assert (mask_of(tmp_path / "out", frames["train"][0])[:, ::2] == values).all()
    assert frames["val"][0].segmentation is None
    Image.fromarray((values + 1).astype(np.uint8)).save(tmp_path / "mask.png")
    said = refusal(import_index, spec, tmp_path / "again")
    assert "mask.png: the mask has the value 3 in " in said


@pytest.mark.parametrize(
    ("values", "mode", "written"),
    [
        ({"background": 0, "road": 255, "car": 7}, "L", [0, 255, 7]),
        ({"background": 0, "road": 300, "car": 65535}, "I;16", [0, 300, 65535]),
        ({"background": "#000000", "road": "#804080", "car": "#00008e"}, "RGB", [0, 0x804080, 0x8E]),
    ],
)
def test_has_masks_whose_values_mean_what_the_recipe_says(
    tmp_path: Path, values: dict[str, Any], mode: str, written: list[int]
) -> None:
    rows = rows_of()
    indices = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE[1], SIZE[0]) % 3
    pixels = np.array(written)[indices]
    if mode == "RGB":
        pixels = np.stack([pixels >> 16, pixels >> 8 & 255, pixels & 255], axis=-1)
    Image.fromarray(pixels.astype(np.uint16 if mode == "I;16" else np.uint8)).save(tmp_path / "mask.png")
    for row in rows:
        row["mask"] = "mask.png"
    spec = {**write(tmp_path, rows), "masks": {"values": values}}
    spec["columns"]["mask"] = "mask"
    import_index(spec, tmp_path / "out")
    frame = frames_of(tmp_path / "out", DETECTION)["val"][0]
    reader = MaskReader(CLASSES, read_masks({"values": values}))
    read = reader.read((tmp_path / "out" / str(frame.segmentation)).read_bytes(), "mask")
    assert (read[:, ::2] == indices).all()
    assert problems_of(tmp_path / "out", spec) == ""
    spec["masks"] = {"values": {**values, "car": "#123456" if mode == "RGB" else 8}}
    assert "mask.png: the mask has the value" in refusal(import_index, spec, tmp_path / "again")


def square(x: int, y: int, side: int) -> np.ndarray:
    """The pixels of a square, [H, W] bool."""
    pixels = np.zeros(SIZE[::-1], dtype=bool)
    pixels[y : y + side, x : x + side] = True
    return pixels


def as_segment(form: str, x: int, y: int, side: int) -> Any:
    """A square as the source may write it."""
    corners = [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
    flat = [value for corner in corners for value in corner]
    runs = coco_mask.encode(np.asfortranarray(square(x, y, side)))
    changes = np.flatnonzero(np.diff(square(x, y, side).T.ravel(), prepend=False, append=True))
    counts = np.diff(changes, prepend=0).tolist()
    counts = counts if sum(counts) == SIZE[0] * SIZE[1] else [*counts, SIZE[0] * SIZE[1] - sum(counts)]
    return {
        "points": corners,
        "flat": flat,
        "parts": [flat],
        "normalised": [[px / SIZE[0], py / SIZE[1]] for px, py in corners],
        "rle": {"size": list(SIZE[::-1]), "counts": runs["counts"].decode()},
        "bytes": {"size": list(SIZE[::-1]), "counts": runs["counts"]},
        "counts": {"size": list(SIZE[::-1]), "counts": counts},
    }[form]


# pycocotools sets the shape of an array, which numpy no longer likes.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", ["points", "flat", "parts", "normalised", "rle", "bytes", "counts"])
def test_has_segments_as_polygons_or_rle(tmp_path: Path, form: str) -> None:
    rows = rows_of()
    for row in rows:
        row["shapes"] = [as_segment(form, 2, 3, 12), as_segment(form, 8, 5, 6), as_segment(form, 30, 2, 8)]
        row["kinds"] = ["road", "car", "sky"]
    spec = write(tmp_path, rows, "parquet" if form == "bytes" else "jsonl")
    unit = "normalised" if form == "normalised" else "absolute"
    spec["columns"]["segments"] = {"column": "shapes", "categories": "kinds", "unit": unit}
    import_index(spec, tmp_path / "out")
    expected = square(2, 3, 12).astype(int)
    expected[square(8, 5, 6)] = 2
    for frames in frames_of(tmp_path / "out", DETECTION).values():
        assert (mask_of(tmp_path / "out", frames[0])[:, ::2] == expected).all()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            [[1, 2], [3, 4]],
            "line 1: segments[0]: found [[1, 2], [3, 4]]; a segment is RLE, or polygons of three points",
        ),
        ([1, 2, 3, 4, 5, 6, 7], "line 1: segments[0]: found [1, 2, 3, 4, 5, 6, 7]; a segment is RLE"),
        ({"size": [40, 20], "counts": [800]}, "line 1: segments[0]: found the segmentation"),
        ({"size": [20, 40], "counts": [801]}, "line 1: segments[0]: found the counts [801]"),
        ({"size": [20, 40], "counts": "é"}, "line 1: segments[0]: found the counts"),
        ({"size": [20, 40]}, "line 1: segments[0]: found the counts null"),
    ],
)
def test_is_refused_by_its_segments(tmp_path: Path, shape: object, message: str) -> None:
    rows = rows_of()
    for row in rows:
        row |= {"shapes": [shape, [[1, 1], [5, 1], [5, 5]]], "kinds": ["road", "car"]}
    spec = write(tmp_path, rows)
    spec["columns"]["segments"] = {"column": "shapes", "categories": "kinds"}
    assert message in refusal(import_index, spec, tmp_path / "out")
