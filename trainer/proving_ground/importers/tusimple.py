"""TuSimple's lanes become a dataset: frames resized, each lane a line of points from near to far.

Two forms are read: TuSimple's own label files, a line of JSON for each frame with each lane's x at the rows h_samples
(-2 where it isn't), and masks in which 0 is background and every other value one lane.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from proving_ground.data.decode import read_values
from proving_ground.data.manifest import SPLITS, is_number, shorten
from proving_ground.errors import Refused
from proving_ground.importers.fields import attributes_of, fields
from proving_ground.importers.images import choose, inside, read_bytes, write_resized
from proving_ground.importers.record import Record
from proving_ground.importers.writing import write_dataset

# x of a lane at a row where it isn't.
ABSENT = -2
# A lane of a mask keeps at most so many rows: between them it is as good as straight.
MASK_POINTS = 32
# With more of its rows broken than this, a mask's value is several lanes: a binary mask, not one of instances.
MAX_BROKEN = 0.5


def import_tusimple(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: a label file, a mask or an image can't be taken; the message names file and line.
    """
    record = Record()
    chosen = {}
    for split in SPLITS:
        wanted = spec["splits"][split]
        entries = pair_masks(wanted, record) if "masks" in wanted else read_labels(Path(wanted["labels"]), record)
        chosen[split] = choose(entries, split, wanted, wanted.get("masks") or wanted["labels"])
        record.choose(split, len(chosen[split]), len(entries))

    def take(split: str, index: int, folder: Path) -> dict[str, Any]:
        images, target = Path(spec["splits"][split]["images"]), folder / f"images/{split}-{index:06d}.jpg"
        return take_frame(chosen[split][index], images, target, (spec["width"], spec["height"]), (record, split))

    counts = {split: len(chosen[split]) for split in SPLITS}
    write_dataset(out, spec, counts, take, record, lambda split, index: chosen[split][index]["place"])


def take_frame(
    entry: dict[str, Any], images: Path, target: Path, size: tuple[int, int], told: tuple[Record, str]
) -> dict[str, Any]:
    """Resize one frame's image to a place and return its line of the manifest."""
    record, split = told
    place = entry["place"]
    source = inside(images, entry["image"], place)
    own = write_resized(source, target, size).size
    record.see(source)
    if entry["lanes"] is None:
        record.read(Path(place))
        lanes = mask_lanes(Path(place), own)
    else:
        lanes = [seen(lane, own, told) for lane in entry["lanes"]]
    # A line of one point can be neither drawn nor learnt.
    whole = [lane for lane in lanes if len(lane) > 1]
    record.write(split, "lanes", len(whole))
    record.leave(split, "lanes", "fewer than two points in the image", len(lanes) - len(whole))
    # The folder that an image lies in is the clip that it was taken from.
    clip = PurePosixPath(entry["image"]).parent.as_posix()
    scale = np.array([size[0] / own[0], size[1] / own[1]])
    return {
        "source-ref": f"images/{target.name}",
        "width": size[0],
        "height": size[1],
        **fields(attributes_of(entry["said"], place), None if clip == "." else clip, None),
        "lanes": [np.round(lane * scale, 2).tolist() for lane in whole],
    }


def read_labels(file: Path, record: Record) -> list[dict[str, Any]]:
    """Frames of a label file: image, lanes as [P, 2] float64 in its pixels, all that is said, and what errors name."""
    record.read(file)
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise Refused(f"{file}: can't be read ({error.strerror}).") from error
    frames = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Refused(f"{place}: not JSON: {error}.") from error
        if not isinstance(value, dict) or not {"lanes", "h_samples", "raw_file"} <= value.keys():
            raise Refused(f"{place}: found {shorten(value)}; a frame must have lanes, h_samples and raw_file.")
        rows = read_numbers(value["h_samples"], f"{place}: h_samples")
        if not isinstance(value["lanes"], list):
            raise Refused(f"{place}: lanes: found {shorten(value['lanes'])}; it must be a list of lists of numbers.")
        lanes = [read_lane(lane, rows, f"{place}: lanes[{at}]") for at, lane in enumerate(value["lanes"])]
        frames.append({"image": value["raw_file"], "lanes": lanes, "said": value, "place": place})
    return frames


def read_numbers(value: object, place: str) -> np.ndarray:
    """A list of finite numbers as [N] float64."""
    if not isinstance(value, list) or not all(map(is_number, value)):
        raise Refused(f"{place}: found {shorten(value)}; it must be a list of finite numbers.")
    return np.array(value, dtype=np.float64)


def read_lane(value: object, rows: np.ndarray, place: str) -> np.ndarray:
    """A lane as points [P, 2] float64 from near to far, those rows left out where it isn't."""
    columns = read_numbers(value, place)
    if len(columns) != len(rows):
        raise Refused(f"{place}: found {len(columns)} columns for {len(rows)} h_samples.")
    lane = np.stack([columns, rows], axis=1)[columns != ABSENT]
    return lane[np.argsort(-lane[:, 1], kind="stable")]


def seen(lane: np.ndarray, size: tuple[int, int], told: tuple[Record, str]) -> np.ndarray:
    """The points of a lane that lie in an image (width, height): a line that is drawn on may leave it anywhere."""
    record, split = told
    kept = ((lane >= 0) & (lane < size)).all(axis=1)
    record.write(split, "points", int(kept.sum()))
    record.leave(split, "points", "outside of the image", int((~kept).sum()))
    return lane[kept]


def pair_masks(wanted: dict[str, Any], record: Record) -> list[dict[str, Any]]:
    """Frames by the names of their images, each with its mask of the same name; raises Refused for one alone."""
    folders = [Path(wanted["images"]), Path(wanted["masks"])]
    images, masks = (set(names_in(folder)) for folder in folders)
    record.list_names(folders[1])
    for name in sorted(images ^ masks):
        found, absent = folders if name in images else folders[::-1]
        raise Refused(f"{found / name}: there is no {name} in {absent}; an image and its mask must have the same name.")
    return [{"image": name, "lanes": None, "said": {}, "place": str(folders[1] / name)} for name in sorted(masks)]


def names_in(folder: Path) -> Iterator[str]:
    """Names of a folder's files, hidden ones apart."""
    try:
        return iter([path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")])
    except OSError as error:
        raise Refused(f"{folder}: can't be read ({error.strerror}).") from error


def mask_lanes(file: Path, size: tuple[int, int]) -> list[np.ndarray]:
    """Lanes of a mask of an image's size: each [P, 2] float64 from near to far, the middle of its pixels in a row."""
    mask = read_values(read_bytes(file, "a mask"), str(file))
    if mask.shape != (size[1], size[0]):
        raise Refused(
            f"{file}: the mask is {mask.shape}; it must have one value for each of {size[0]}x{size[1]} pixels."
        )
    return [mask_lane(mask == value, f"{file}: the value {value}") for value in np.unique(mask) if value != 0]


def mask_lane(pixels: np.ndarray, place: str) -> np.ndarray:
    """The middle of a lane's pixels [H, W] bool in its rows, at most MASK_POINTS of them, from near to far."""
    counts = pixels.sum(axis=1)
    rows = np.flatnonzero(counts)[::-1]
    runs = (np.diff(pixels[rows].astype(np.int8), axis=1, prepend=0) == 1).sum(axis=1)
    if (runs > 1).mean() > MAX_BROKEN:
        raise Refused(f"{place} has several stretches in most of its rows; each lane needs its own value.")
    kept = rows[np.unique(np.linspace(0, len(rows) - 1, MASK_POINTS).round().astype(np.int64))]
    middles = (pixels[kept] * (np.arange(pixels.shape[1]) + 0.5)).sum(axis=1) / counts[kept]
    return np.stack([middles, kept + 0.5], axis=1)
