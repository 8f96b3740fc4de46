"""Whatever a source holds, its importer ..."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from conftest import SOAK, scenes_spec
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from imports import SPLITS, imported
from PIL import Image
from test_fuzz import spoiled

from proving_ground.errors import Refused
from proving_ground.importers.bdd100k import import_bdd100k
from proving_ground.importers.coco import import_coco
from proving_ground.importers.scenes import import_scenes
from proving_ground.importers.trajectories import import_trajectories
from proving_ground.importers.tusimple import import_tusimple

sizes = st.tuples(st.integers(16, 64), st.integers(16, 64))
scalars = st.text(max_size=5) | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.none()
attributes = st.dictionaries(st.text(max_size=5).filter(lambda name: name != "__proto__"), scalars, max_size=3)


def random_sources(test: Callable[..., None]) -> Callable[[Any], Any]:
    """A few dozen sources, or hundreds in the soak, of the seed that the run has printed; each has its own folder."""
    examples = settings(max_examples=500 if SOAK else 30, deadline=None, database=None)
    return seed(int(os.environ.get("SEED", "0")))(examples(test))


@st.composite
def rectangles(draw: st.DrawFn, size: tuple[int, int]) -> list[int]:
    """A rectangle x1, y1, x2, y2 of whole pixels inside an image of a size."""
    x1, y1 = (draw(st.integers(0, side - 6)) for side in size)
    return [x1, y1, draw(st.integers(x1 + 5, size[0])), draw(st.integers(y1 + 5, size[1]))]


def paint(file: Path, size: tuple[int, int], boxes: list[list[int]]) -> None:
    """A black image with white rectangles, without loss whatever its name."""
    pixels = np.zeros((size[1], size[0]), dtype=np.uint8)
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = 255
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, format="png")


def is_painted(file: Path, boxes: list[list[float]]) -> bool:
    """Whether an image is white inside the boxes, and black outside of all, their edges apart."""
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("L"))
    inside, near = np.zeros(pixels.shape, dtype=bool), np.zeros(pixels.shape, dtype=bool)
    for x1, y1, x2, y2 in boxes:
        inside[int(y1) + 2 : max(0, int(y2) - 2), int(x1) + 2 : max(0, int(x2) - 2)] = True
        near[max(0, int(y1) - 2) : int(y2) + 3, max(0, int(x1) - 2) : int(x2) + 3] = True
    return bool((pixels[inside] > 128).all() and (pixels[~near] < 128).all())


def total(kept: dict[str, Any], split: str, thing: str) -> int:
    """How many of a thing were written or left out."""
    return sum(kept["counts"][split].get(thing, {}).values())


@st.composite
def bdd_frames(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Frames of random sizes, splits, boxes, attributes; one of each split at least."""
    frames = []
    for number, split in enumerate([*SPLITS, *draw(st.lists(st.sampled_from(SPLITS), max_size=3))]):
        size = draw(sizes)
        boxes = draw(st.lists(rectangles(size), max_size=3))
        labels = [
            {"category": "car", "box2d": dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))} for box in boxes
        ] + [{"category": "lane", "poly2d": []}] * draw(st.integers(0, 2))
        name = f"{number}.jpg"
        frames.append({"name": name, "split": split, "size": size, "labels": labels, "attributes": draw(attributes)})
    if not any(label["category"] == "car" for frame in frames for label in frame["labels"]):
        frames[0]["labels"].append({"category": "car", "box2d": {"x1": 0, "y1": 0, "x2": 16, "y2": 16}})
    return frames


def boxes_of(frame: dict[str, Any]) -> list[list[int]]:
    """Boxes of such a frame."""
    return [[*label["box2d"].values()] for label in frame["labels"] if "box2d" in label]


@given(frames=bdd_frames(), size=sizes)
@random_sources
def test_of_bdd100k_puts_every_box_where_it_was(frames: list[dict[str, Any]], size: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for frame in frames:
            paint(folder / f"images/{frame['name']}", frame["size"], boxes_of(frame))
        (folder / "labels.json").write_text(json.dumps(frames))
        spec = {
            "labels": str(folder / "labels.json"),
            "images": str(folder / "images"),
            "width": size[0],
            "height": size[1],
            "splits": {split: {"split": split} for split in SPLITS},
            "slices": [],
            "categories": {"detection": ["car"], "segmentation": []},
        }
        read, kept, _ = imported(import_bdd100k, spec, folder / "out")
        for split in SPLITS:
            own = [frame for frame in frames if frame["split"] == split]
            for frame, written in zip(own, read[split], strict=True):
                assert is_painted(folder / "out" / written.source, [label["box"] for label in written.detection])
                assert written.attributes.keys() == {
                    key for key, value in frame["attributes"].items() if value is not None
                }
            assert total(kept, split, "boxes") == sum(len(boxes_of(frame)) for frame in own)
            assert total(kept, split, "labels") + total(kept, split, "boxes") == sum(len(it["labels"]) for it in own)
            assert kept["counts"][split].get("boxes", {}).get("written", 0) == sum(
                len(it.detection) for it in read[split]
            )


def segment_of(box: list[int], size: tuple[int, int], form: str) -> Any:
    """A rectangle as COCO has segments."""
    x1, y1, x2, y2 = box
    if form == "polygon":
        return [[x1, y1, x2, y1, x2, y2, x1, y2]]
    runs = [x1 * size[1] + y1]
    for _ in range(x2 - x1):
        runs += [y2 - y1, size[1] - (y2 - y1)]
    runs[-1] = size[0] * size[1] - sum(runs[:-1])
    return {"size": [size[1], size[0]], "counts": runs}


@st.composite
def coco_files(draw: st.DrawFn) -> dict[str, Any]:
    """Images with rectangles of two categories, as boxes and as segments; ids of any kind."""
    kind = draw(st.sampled_from([int, float, str]))
    images, annotations = [], []
    for number in range(draw(st.integers(1, 4))):
        size = draw(sizes)
        images.append({"id": kind(number), "file_name": f"{number}.png", "size": size, "attributes": draw(attributes)})
        for box in draw(st.lists(rectangles(size), max_size=3)):
            form = draw(st.sampled_from(["polygon", "runs"]))
            annotations.append(
                {
                    "image_id": kind(number),
                    "category_id": draw(st.integers(0, 1)),
                    "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                    "segmentation": segment_of(box, size, form),
                    "rectangle": box,
                }
            )
    extra = {"image_id": kind(0), "category_id": 0, "bbox": [0, 0, 9, 9], "rectangle": [0, 0, 9, 9]}
    annotations.append({**extra, "segmentation": segment_of([0, 0, 9, 9], images[0]["size"], "polygon")})
    names = [{"id": at, "name": name} for at, name in enumerate(("car", "road"))]
    return {"images": images, "annotations": annotations, "categories": names}


@given(coco=coco_files(), size=sizes)
@random_sources
def test_of_coco_puts_every_box_and_segment_where_it_was(coco: dict[str, Any], size: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        of_image = {
            image["file_name"]: [entry for entry in coco["annotations"] if entry["image_id"] == image["id"]]
            for image in coco["images"]
        }
        for image in coco["images"]:
            cars = [entry["rectangle"] for entry in of_image[image["file_name"]] if entry["category_id"] == 0]
            paint(folder / image["file_name"], image["size"], cars)
        (folder / "coco.json").write_text(json.dumps(coco))
        split = {"images": str(folder), "annotations": str(folder / "coco.json")}
        spec = {
            "width": size[0],
            "height": size[1],
            "splits": dict.fromkeys(SPLITS, split),
            "slices": [],
            "categories": {"detection": ["car"], "segmentation": ["background", "car", "road"]},
        }
        read, kept, _ = imported(import_coco, spec, folder / "out")
        for image, written in zip(coco["images"], read["val"], strict=True):
            assert is_painted(folder / "out" / written.source, [label["box"] for label in written.detection])
            with Image.open(folder / "out" / written.segmentation) as mask:
                assert np.array_equal(
                    np.asarray(mask), expected_mask(of_image[image["file_name"]], image["size"], size)
                )
        assert total(kept, "val", "boxes") == total(kept, "val", "segments") == len(coco["annotations"])


def expected_mask(entries: list[dict[str, Any]], own: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The smaller of rectangles in front, as the middles of a frame's pixels see them."""
    mask = np.zeros((own[1], own[0]), dtype=np.uint8)
    for entry in sorted(entries, key=lambda entry: -entry["bbox"][2] * entry["bbox"][3]):
        x1, y1, x2, y2 = entry["rectangle"]
        mask[y1:y2, x1:x2] = 1 + entry["category_id"]
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


@st.composite
def lane_lines(draw: st.DrawFn) -> dict[str, Any]:
    """A line of TuSimple's labels whose points may lie anywhere."""
    rows = sorted(draw(st.sets(st.integers(-20, 80), min_size=2, max_size=8)))
    column = st.just(-2) | st.floats(-100, 200).map(lambda value: round(value, 2))
    lanes = draw(st.lists(st.lists(column, min_size=len(rows), max_size=len(rows)), max_size=4))
    return {"lanes": lanes, "h_samples": rows, "raw_file": "clip/1.jpg"}


@given(line=lane_lines(), own=sizes, size=sizes)
@random_sources
def test_of_tusimple_keeps_the_points_that_are_in_the_image(
    line: dict[str, Any], own: tuple[int, int], size: tuple[int, int]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paint(folder / "clip/1.jpg", own, [])
        (folder / "labels.json").write_text(json.dumps(line))
        split = {"images": str(folder), "labels": str(folder / "labels.json")}
        spec = {
            "width": size[0],
            "height": size[1],
            "splits": dict.fromkeys(SPLITS, split),
            "slices": [],
            "categories": {"detection": [], "segmentation": []},
        }
        read, kept, _ = imported(import_tusimple, spec, folder / "out")
        lanes = []
        for columns in line["lanes"]:
            points = zip(columns, line["h_samples"], strict=True)
            lanes.append([(x, y) for x, y in points if x != -2 and 0 <= x < own[0] and 0 <= y < own[1]][::-1])
        scale = np.array(size) / own
        whole = [lane for lane in lanes if len(lane) > 1]
        assert len(read["val"][0].lanes) == len(whole)
        for lane, expected in zip(read["val"][0].lanes, whole, strict=True):
            assert np.abs(np.array(lane) - np.array(expected) * scale).max() < 0.011
        assert total(kept, "val", "lanes") == len(lanes)
        assert total(kept, "val", "points") == sum(x != -2 for columns in line["lanes"] for x in columns)


@st.composite
def walkers(draw: st.DrawFn) -> tuple[list[tuple[int, int, int]], int]:
    """Frames, ids and times in steps of agents that come and go; and what a step is."""
    step = draw(st.sampled_from([1, 10, 100, 10**7]))
    late = st.integers(-(step // 20), step // 20) if draw(st.booleans()) else st.just(0)
    rows = []
    for agent in range(draw(st.integers(1, 4))):
        seen = draw(st.sets(st.integers(0, 14), min_size=1))
        rows += [(step * at + draw(late), agent, at) for at in sorted(seen)]
    # So many that the step is known.
    rows += [(step * at, 9, at) for at in range(30)]
    return draw(st.permutations(rows)), step


@given(drawn=walkers(), origin=st.sampled_from([0, 5_000_000]))
@random_sources
def test_of_tables_finds_every_window_that_is_whole(drawn: tuple[list[tuple[int, int, int]], int], origin: int) -> None:
    rows, _ = drawn
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [f"{frame} {agent} {origin + at}.25 {origin + agent}" for frame, agent, at in rows]
        (folder / "walk.txt").write_text("\n".join(lines))
        spec = {
            "past": 2,
            "future": 2,
            "splits": {key: [str(folder / "walk.txt")] for key in SPLITS},
            "slices": [],
            "categories": {"detection": [], "segmentation": []},
        }
        read, kept, _ = imported(import_trajectories, spec, folder / "out")
        seen = {(agent, at) for _, agent, at in rows}
        whole = sorted((agent, at) for agent, at in seen if all((agent, at + k) in seen for k in range(4)))
        found = []
        for frame in read["test"]:
            agents = [track["past"][0][1] for track in frame.tracks]
            assert len(agents) == len(set(agents))
            for track in frame.tracks:
                points = np.array(track["past"] + track["future"]) - origin
                assert np.array_equal(np.diff(points[:, 0]), [1, 1, 1])
                found.append((int(points[0, 1]), int(points[0, 0] - 0.25)))
        assert sorted(found) == whole
        assert total(kept, "test", "rows") == len(rows)
        assert kept["counts"]["test"]["rows"]["written"] == len(
            {(agent, at + k) for agent, at in whole for k in range(4)}
        )


@given(number=st.integers(0, 2**32 - 1), size=st.tuples(st.integers(32, 96), st.integers(32, 96)))
@random_sources
def test_of_scenes_keeps_boxes_in_the_frame_and_masks_of_its_size(number: int, size: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        spec = scenes_spec(seed=number, width=size[0], height=size[1], splits={key: [{"frames": 1}] for key in SPLITS})
        read, _, _ = imported(import_scenes, spec, Path(name) / "out")
        for frames in read.values():
            boxes = np.array([label["box"] for label in frames[0].detection]).reshape(-1, 2, 2)
            assert (boxes >= 0).all()
            assert (boxes <= size).all()
            with Image.open(Path(name) / "out" / frames[0].segmentation) as mask:
                assert mask.size == size
                assert np.asarray(mask).max() < len(spec["categories"]["segmentation"])


def broken(good: Any) -> st.SearchStrategy[Any]:
    """A document in which somebody has replaced, renamed or taken out a few things."""
    return spoiled(good, least=1, most=3)


BOX = {"category": "car", "box2d": {"x1": 1, "y1": 1, "x2": 9, "y2": 9}, "attributes": {"crowd": False}}
BDD = {
    "frames": [
        {"name": "0.jpg", "split": "train", "videoName": "v", "timestamp": 1, "attributes": {"a": 1}, "labels": [BOX]}
    ],
    "config": {"categories": [{"name": "car"}]},
}
COCO = {
    "images": [
        {"id": 0, "file_name": "0.jpg", "width": 16, "height": 16, "video_id": 1, "date_captured": "2026-11-01"}
    ],
    "annotations": [
        {"id": 1, "image_id": 0, "category_id": 0, "bbox": [1, 1, 8, 8], "segmentation": [[1, 1, 9, 1, 9, 9]]},
        {
            "image_id": 0,
            "category_id": 0,
            "bbox": [1, 1, 8, 8],
            "segmentation": {"size": [16, 16], "counts": [100, 156]},
        },
    ],
    "categories": [{"id": 0, "name": "car"}],
    "videos": [{"id": 1, "name": "v"}],
}
TUSIMPLE = {"lanes": [[1, 2, -2]], "h_samples": [1, 2, 3], "raw_file": "0.jpg", "attributes": {"a": True}}


@given(
    drawn=st.sampled_from([(import_bdd100k, BDD), (import_coco, COCO), (import_tusimple, TUSIMPLE)]).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), broken(pair[1]))
    )
)
@random_sources
def test_reads_what_somebody_broke_or_says_where(drawn: tuple[Any, Any]) -> None:
    importer, document = drawn
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paint(folder / "0.jpg", (16, 16), [])
        # Also what JSON has no name for, and half characters, as a careless writer leaves them.
        (folder / "labels.json").write_bytes(json.dumps(document).encode("utf-8", "surrogatepass"))
        file = str(folder / "labels.json")
        split = {"images": name, "annotations" if importer is import_coco else "labels": file}
        if importer is import_bdd100k:
            split["split"] = "train"
        classes = ["background", "car"] if importer is import_coco else []
        spec = {
            "width": 32,
            "height": 32,
            "splits": dict.fromkeys(SPLITS, split),
            "slices": [],
            "categories": {"detection": [] if importer is import_tusimple else ["car"], "segmentation": classes},
        }
        try:
            imported(importer, spec, folder / "out")
        except Refused as error:
            assert str(error).startswith(name)
            # A message is shown in a log: text that can be encoded.
            str(error).encode()
            assert not (folder / "out").exists()
