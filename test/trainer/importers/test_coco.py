"""COCO's importer ..."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imports import SPLITS, frames_of, imported, refusal, write_image, write_json
from PIL import Image
from pycocotools import mask as reference

from proving_ground.importers.coco import import_coco

WIDTH, HEIGHT = 60, 40
SQUARE = [10, 5, 30, 5, 30, 25, 10, 25]


def spec_of(
    folder: Path, coco: dict[str, Any], classes: list[str], size: tuple[int, int] = (WIDTH, HEIGHT)
) -> dict[str, Any]:
    """Settings for a file that is every split; its images are made."""
    for number, image in enumerate(coco["images"]):
        write_image(folder / "images" / image["file_name"], (WIDTH, HEIGHT), number)
    split = {"images": str(folder / "images"), "annotations": write_json(folder / "coco.json", coco)}
    return {
        "name": "coco",
        "width": size[0],
        "height": size[1],
        "splits": dict.fromkeys(SPLITS, split),
        "slices": [],
        "categories": {"detection": ["car"], "segmentation": classes},
    }


def document(*segments: Any, names: tuple[str, ...] = ("car", "road", "kite")) -> dict[str, Any]:
    """An image with an annotation for each segment, of the categories in turn."""
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    annotations = [
        {"id": at, "image_id": 1, "category_id": at % len(names), "bbox": [10, 5, 20, 20], "segmentation": segment}
        for at, segment in enumerate(segments)
    ]
    return {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations, "categories": categories}


def mask_of(folder: Path) -> np.ndarray:
    """The mask of the first test frame."""
    frame = frames_of(folder, ["car"])["test"][0]
    with Image.open(folder / frame.segmentation) as image:
        assert image.mode == "L"
        return np.asarray(image)


def runs_of(pixels: np.ndarray) -> list[int]:
    """Run lengths of pixels [H, W] bool down the columns, outside first."""
    flat = pixels.T.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(np.int8))) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    return [0, *runs] if flat[0] else runs


@pytest.mark.parametrize("name", [1, 1.0, 0, "drive-7_000123", "1"])
def test_takes_any_id_that_can_be_compared(tmp_path: Path, name: Any) -> None:
    coco = document(None)
    coco["images"][0]["id"] = coco["annotations"][0]["image_id"] = name
    coco["categories"][0]["id"] = coco["annotations"][0]["category_id"] = name if isinstance(name, str) else 7.0
    coco["annotations"][0]["id"] = "an-1"
    read = imported(import_coco, spec_of(tmp_path, coco, []), tmp_path / "out")[0]
    assert [len(frames[0].detection) for frames in read.values()] == [1, 1, 1]


def test_keeps_drive_day_camera_and_attributes(tmp_path: Path) -> None:
    coco = document()
    coco["videos"] = [{"id": 7, "name": "drive-7"}, {"id": 8, "name": "twin"}, {"id": 9, "name": "twin"}]
    says = [
        {"video_id": 7, "date_captured": "2026-11-03 08:30:00", "attributes": {"wet": True, "hour": 8}},
        {"video_id": 8.0, "date_captured": "2026/11/04 08:30:00", "camera": "rear"},
        {"video_id": 12, "date_captured": "2026:11:05 23:59:59", "attributes": {"camera": "own"}, "camera": "rear"},
        {"date_captured": "never"},
        {"date_captured": 1793600000, "attributes": None},
    ]
    coco["images"] = [{"id": at, "file_name": f"{at}.jpg", **more} for at, more in enumerate(says)]
    read, kept, printed = imported(import_coco, spec_of(tmp_path, coco, []), tmp_path / "out")
    frames = read["test"]
    assert [frame.sequence for frame in frames] == ["drive-7", "8", "12", None, None]
    assert [frame.captured and str(frame.captured) for frame in frames] == [
        "2026-11-03",
        "2026-11-04",
        "2026-11-05",
        None,
        "2026-11-02",
    ]
    assert [frame.attributes for frame in frames] == [
        {"wet": "true", "hour": "8"},
        {"camera": "rear"},
        {"camera": "own"},
        {},
        {},
    ]
    assert kept["counts"]["test"]["capture times"] == {"no date": 1}
    assert "capture times 1 (no date)" in printed


@pytest.mark.parametrize("form", ["polygon", "runs", "string"])
def test_draws_segments_as_the_reference_does(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(3)
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    outline = np.stack([30 + 22 * np.cos(angles), 20 + 15 * np.sin(angles)], axis=1) + rng.uniform(-3, 3, (12, 2))
    polygon = outline.ravel().tolist()
    encoded = reference.frPyObjects([polygon], HEIGHT, WIDTH)[0]
    with warnings.catch_warnings():
        # It sets the shape of an array, which numpy no longer likes.
        warnings.simplefilter("ignore", DeprecationWarning)
        pixels = reference.decode(encoded).astype(bool)
    segment: Any = [polygon]
    if form == "runs":
        segment = {"size": [HEIGHT, WIDTH], "counts": runs_of(pixels)}
    if form == "string":
        segment = {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}
    spec = spec_of(tmp_path, document(segment), ["road", "background", "car"])
    imported(import_coco, spec, tmp_path / "out")
    assert np.array_equal(mask_of(tmp_path / "out"), np.where(pixels, 2, 1))


def test_shows_the_smaller_of_two_segments_whatever_their_order(tmp_path: Path) -> None:
    small, large = [[15, 10, 20, 10, 20, 15, 15, 15]], [SQUARE, [40, 30, 50, 30, 50, 38, 40, 38]]
    for at, segments in enumerate(((small, large), (large, small))):
        imported(import_coco, spec_of(tmp_path, document(*segments), ["background", "car", "road"]), tmp_path / f"{at}")
        mask = mask_of(tmp_path / f"{at}")
        # The first annotation is a car, of index 1, the second a road.
        assert mask[12, 17] == 1 + at
        assert mask[7, 25] == mask[34, 45] == 2 - at
        assert mask[0, 0] == 0
        assert (mask == 1 + at).sum() == 25


def test_ignores_what_nobody_says(tmp_path: Path) -> None:
    # The car has no segment, the kite isn't asked for, and the recipe has no background.
    coco = document([], [[40, 30, 50, 30, 50, 38, 40, 38]], [SQUARE])
    _, kept, _ = imported(import_coco, spec_of(tmp_path, coco, ["road", "car"]), tmp_path / "out")
    mask = mask_of(tmp_path / "out")
    assert set(np.unique(mask)) == {0, 255}
    assert (mask == 0).sum() == 80
    assert kept["counts"]["test"]["segments"] == {
        "written": 1,
        "absent: the object's box is ignored in the mask": 1,
        "of categories that the recipe leaves out": 1,
    }
    # With a background the box of what has no segment is none of it.
    imported(import_coco, spec_of(tmp_path, coco, ["background", "road", "car"]), tmp_path / "with")
    mask = mask_of(tmp_path / "with")
    assert (mask[5:25, 10:30] == 255).all()
    assert ((mask == 255).sum(), (mask == 1).sum()) == (400, 80)


def test_scales_masks_as_it_scales_boxes(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, document([SQUARE]), ["background", "car"], (2 * WIDTH, HEIGHT // 2))
    read, _, _ = imported(import_coco, spec, tmp_path / "out")
    x1, y1, x2, y2 = (round(side) for side in read["test"][0].detection[0]["box"])
    mask = mask_of(tmp_path / "out")
    assert mask.shape == (HEIGHT // 2, 2 * WIDTH)
    drawn = np.zeros_like(mask)
    drawn[y1:y2, x1:x2] = 1
    assert (mask != drawn).sum() <= 2 * (x2 - x1 + y2 - y1)


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ({"size": [WIDTH, HEIGHT], "counts": [2400]}, "it must be polygons, or run lengths of size [40, 60]"),
        ({"size": [HEIGHT, WIDTH], "counts": [1, 2]}, "found the counts [1, 2]; they must be whole numbers that add"),
        ({"size": [HEIGHT, WIDTH], "counts": [2401, -1]}, "found the counts [2401, -1]"),
        ({"size": [HEIGHT, WIDTH], "counts": ""}, 'found the counts ""'),
        ({"size": [HEIGHT, WIDTH], "counts": "zzzzzzzzzzzz"}, 'found the counts "zzzzzzzzzzzz"'),
        ({"size": [HEIGHT, WIDTH], "counts": "\u00e9"}, "found the counts"),
        # A number of a million digits.
        ({"size": [HEIGHT, WIDTH], "counts": "o" * 1_000_000}, 'found the counts "ooooo'),
        ("polygon", 'found the segmentation "polygon"'),
        ([[1, 2, 3, 4]], "found the polygon [1, 2, 3, 4]; it must be x1, y1, x2, y2, x3, y3"),
        ([[1, 2, 3, 4, 5, 6, 7]], "found the polygon [1, 2, 3, 4, 5, 6, 7]"),
        ([[1, 2, 3, 4, 5, 1e9]], "found the polygon [1, 2, 3, 4, 5, 1000000000.0]"),
        ([SQUARE, "a"], 'found the polygon "a"'),
    ],
)
def test_names_the_annotation_whose_segment_it_refuses(tmp_path: Path, segment: Any, message: str) -> None:
    spec = spec_of(tmp_path, document([SQUARE], segment), ["background", "car", "road"])
    said = refusal(import_coco, spec, tmp_path / "out")
    assert message in said
    assert said.startswith(f"{tmp_path / 'coco.json'}, annotations[1] (id 1): ")


def test_refuses_classes_that_no_segment_can_be_of(tmp_path: Path) -> None:
    said = refusal(import_coco, spec_of(tmp_path, document([SQUARE]), ["background", "rode"]), tmp_path / "out")
    assert "categories.segmentation names rode, which they lack; they have car, kite, road. Did you mean road" in said
    said = refusal(import_coco, spec_of(tmp_path, document(None), ["background", "road"]), tmp_path / "out")
    assert re.search(
        r"coco\.json: categories\.segmentation has background, road, but no annotation .* segmentation: \[\]\.$", said
    )


def test_tells_of_one_picture_under_two_names(tmp_path: Path) -> None:
    coco = document()
    coco["images"].append({"id": 2, "file_name": "b.jpg"})
    spec = spec_of(tmp_path, coco, [])
    write_image(tmp_path / "images/b.jpg", (WIDTH, HEIGHT), 0)
    printed = imported(import_coco, spec, tmp_path / "out")[2]
    assert printed.splitlines()[0] == "train: frames 2. Frames that show the same picture as an earlier one: 1."
