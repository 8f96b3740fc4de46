"""CULane's images and lines become a dataset: each lane a line of points from near to far (Pan et al. 2018)."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from proving_ground.data.manifest import LARGEST, SPLITS, shorten
from proving_ground.errors import Refused
from proving_ground.importers.fields import fields
from proving_ground.importers.images import choose, inside, write_resized
from proving_ground.importers.lines import fit_lane
from proving_ground.importers.record import Record
from proving_ground.importers.sequences import is_by_sequence, split_by_sequence
from proving_ground.importers.writing import write_dataset

# The lists of test frames by what they show, as list/test_split has them: test0_normal.txt to test8_night.txt.
SCENES = "list/test_split/test*_*.txt"
# Four lanes take a few kilobytes, the list of all frames some megabytes.
MOST_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image by its path from the root, the line that names it, and what the lists of scenes say of it."""

    name: str
    place: str
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def sequence(self) -> str:
        """The video that it is of: the folders that it lies in."""
        return self.name.rpartition("/")[0]


def import_culane(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: a list, an image or its lines can't be taken; the message names file and line.
    """
    record, root = Record(), Path(spec["root"])
    scenes = read_scenes(root, record)
    chosen = choose_pictures(spec["splits"], root, scenes, record)

    def take(split: str, at: int, folder: Path) -> dict[str, Any]:
        picture, name = chosen[split][at], f"{split}-{at:06d}"
        size = (spec["width"], spec["height"])
        source = inside(root, picture.name, picture.place)
        lines = source.with_suffix(".lines.txt")
        own = write_resized(source, folder / f"images/{name}.jpg", size).size
        record.see(source)
        record.read(lines)
        fitted = [fit_lane(lane, own, size) for lane in read_lanes(lines)]
        lanes = [lane for lane in fitted if lane is not None]
        record.write(split, "lanes", len(lanes))
        record.leave(split, "lanes", "fewer than two points in the image", len(fitted) - len(lanes))
        return {
            "source-ref": f"images/{name}.jpg",
            "width": size[0],
            "height": size[1],
            **fields(picture.attributes, picture.sequence or None, None),
            "lanes": lanes,
        }

    def place(split: str, at: int) -> str:
        return chosen[split][at].place

    write_dataset(out, spec, {split: len(chosen[split]) for split in SPLITS}, take, record, place)


def choose_pictures(
    splits: dict[str, Any], root: Path, scenes: dict[str, dict[str, str]], record: Record
) -> dict[str, list[Picture]]:
    """Images of each split, in their lists' order: by a list of its own, or by shares of the videos of some lists."""

    def read(name: str) -> list[Picture]:
        pictures = read_list(root, name, record)
        return [Picture(name=image, place=place, attributes=scenes.get(image, {})) for image, place in pictures]

    if is_by_sequence(splits):
        pictures = [picture for name in splits["lists"] for picture in read(name)]
        chosen = split_by_sequence(splits, pictures, lambda it: it.sequence, lambda it: it.place)
        for split in SPLITS:
            record.write(split, "frames", len(chosen[split]))
    else:
        chosen = {}
        for split in SPLITS:
            pictures = read(splits[split]["list"])
            chosen[split] = choose(pictures, split, splits[split], str(root / splits[split]["list"]))
            record.choose(split, len(chosen[split]), len(pictures))
    first: dict[str, str] = {}
    for pictures in chosen.values():
        for picture in pictures:
            if picture.name in first:
                raise Refused(f"{picture.place}: {picture.name} is there twice, first in {first[picture.name]}.")
            first[picture.name] = picture.place
    return chosen


def read_text(file: Path) -> list[str]:
    """A file's lines."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise Refused(f"{file}: can't be read ({error.strerror}).") from error
    if len(content) > MOST_BYTES:
        raise Refused(f"{file}: it has more than {MOST_BYTES} bytes.")
    try:
        return content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise Refused(f"{file}: not text in UTF-8 ({error}).") from error


def read_list(root: Path, name: str, record: Record) -> list[tuple[str, str]]:
    """Images of a list, by their path from the root, each with the line that names it.

    The path begins with a slash in some of CULane's lists; what follows it (a mask, which lanes are there) is not read.
    """
    file = inside(root, name, "splits")
    record.read(file)
    lines = ((line.split(), f"{file}, line {number}") for number, line in enumerate(read_text(file), start=1))
    return [(cells[0].lstrip("/"), place) for cells, place in lines if cells]


def read_scenes(root: Path, record: Record) -> dict[str, dict[str, str]]:
    """What the lists of test frames say of each image: `timeofday` night, or a `scene` such as crowd or curve."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted(root.glob(SCENES)):
        value = re.sub(r"^test\d*_", "", file.stem)
        attribute = "timeofday" if value == "night" else "scene"
        for image, place in read_list(root, file.relative_to(root).as_posix(), record):
            said = found.setdefault(image, {})
            if said.setdefault(attribute, value) != value:
                raise Refused(
                    f"{place}: the {attribute} of {image} is {value} here, and {said[attribute]} in another list."
                )
    return found


def read_lanes(file: Path) -> list[np.ndarray]:
    """The lanes of an image, each [P, 2] float64 in its pixels; raises Refused naming the line."""
    lanes = []
    for number, line in enumerate(read_text(file), start=1):
        cells = line.split()
        if not cells:
            continue
        place = f"{file}, line {number}"
        try:
            numbers = np.array([float(cell) for cell in cells])
        except ValueError as error:
            raise Refused(f"{place}: found {shorten(line)}; a lane must be numbers x y x y and so on.") from error
        if len(numbers) % 2 or not (np.abs(numbers) <= LARGEST).all():
            raise Refused(f"{place}: found {len(numbers)} numbers; a lane must be pairs x y of finite numbers.")
        lanes.append(numbers.reshape(-1, 2))
    return lanes
