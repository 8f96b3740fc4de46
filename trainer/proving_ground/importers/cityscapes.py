"""Cityscapes' images and fine labels become a dataset: masks by the names of its labels, boxes of its instances."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from proving_ground.data.manifest import SPLITS, is_number, shorten
from proving_ground.data.masks import IGNORED
from proving_ground.errors import Refused
from proving_ground.files import read_json
from proving_ground.importers.fields import fields
from proving_ground.importers.images import fit_box, write_resized
from proving_ground.importers.naming import check_labels, map_names
from proving_ground.importers.record import Record
from proving_ground.importers.sequences import is_by_sequence, split_by_sequence
from proving_ground.importers.source_masks import read_mask, write_mask
from proving_ground.importers.writing import write_dataset

# Those of Cityscapes' labels that count, by their id; the others (void, and what its evaluation ignores) are ignored.
LABELS = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
INSTANCES = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
LAST_ID = 33
# A pixel of an instance has its label's id times this, and the instance's number; one of a group has the id alone.
PER_LABEL = 1000
# Those with labels that anybody may see: of test only the images are handed out.
PUBLIC = ("train", "val")
IMAGE = "_leftImg8bit.png"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image: `name` is city, sequence and frame, as all its files begin."""

    split: str
    city: str
    name: str

    @property
    def sequence(self) -> str:
        """Its city and sequence."""
        return self.name.rpartition("_")[0]


def import_cityscapes(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: a folder, an image or its labels can't be taken; the message names the file.
    """
    record, root = Record(), Path(spec["root"])
    labels, categories = spec.get("labels", {}), spec["categories"]
    check_labels(labels, categories)
    classes = map_names(categories["segmentation"], labels, LABELS, "Cityscapes' labels")
    names = map_names(categories["detection"], labels, INSTANCES, "Cityscapes' labels of instances")
    chosen = choose_pictures(spec["splits"], root, record)
    lookup = np.full(IGNORED + 1, IGNORED, dtype=np.uint8)
    for label, category in classes.items():
        lookup[LABELS[label]] = categories["segmentation"].index(category)

    def take(split: str, at: int, folder: Path) -> dict[str, Any]:
        picture, name = chosen[split][at], f"{split}-{at:06d}"
        size = (spec["width"], spec["height"])
        source = image_of(root, picture)
        own = write_resized(source, folder / f"images/{name}.jpg", size).size
        record.see(source)
        record.write(split, "frames")
        line = {
            "source-ref": f"images/{name}.jpg",
            "width": size[0],
            "height": size[1],
            **fields({"city": picture.city}, picture.sequence, None),
        }
        if names:
            line["detection"] = boxes_of(root, picture, names, (own, size), (record, split))
        if classes:
            file = label_of(root, picture, "labelIds.png")
            record.read(file)
            write_mask(lookup[read_ids(file, own)], folder / f"masks/{name}.png", size)
            line["segmentation-ref"] = f"masks/{name}.png"
        return line

    def place(split: str, at: int) -> str:
        return str(image_of(root, chosen[split][at]))

    write_dataset(out, spec, {split: len(chosen[split]) for split in SPLITS}, take, record, place)


def image_of(root: Path, picture: Picture) -> Path:
    """An image's file."""
    return root / "leftImg8bit" / picture.split / picture.city / f"{picture.name}{IMAGE}"


def label_of(root: Path, picture: Picture, ending: str) -> Path:
    """One of the label files of an image."""
    return root / "gtFine" / picture.split / picture.city / f"{picture.name}_gtFine_{ending}"


def choose_pictures(splits: dict[str, Any], root: Path, record: Record) -> dict[str, list[Picture]]:
    """Images of each of our splits, in the order of their names: by Cityscapes' own split and cities, or by shares."""
    if is_by_sequence(splits):
        pictures = [picture for split in PUBLIC for picture in pictures_of(root, split)]
        return split_by_sequence(splits, pictures, lambda it: it.sequence, lambda it: str(image_of(root, it)))
    chosen: dict[str, list[Picture]] = {}
    owner: dict[tuple[str, str], str] = {}
    official = {name: list(pictures_of(root, name)) for name in {splits[split]["split"] for split in SPLITS}}
    for split in SPLITS:
        wanted = splits[split]
        cities = {picture.city for picture in official[wanted["split"]]}
        for city in wanted.get("cities", sorted(cities)):
            if city not in cities:
                raise Refused(
                    f"{root / 'leftImg8bit' / wanted['split']}: there are no images of {city} (splits.{split}); "
                    f"there are {', '.join(sorted(cities))}."
                )
            if owner.setdefault((wanted["split"], city), split) != split:
                raise Refused(
                    f"splits: {city} of {wanted['split']} is in both {owner[wanted['split'], city]} and {split}; "
                    "cities says which of them has it."
                )
        chosen[split] = [
            picture for picture in official[wanted["split"]] if owner.get((picture.split, picture.city)) == split
        ]
    for pictures in official.values():
        left = sum((picture.split, picture.city) not in owner for picture in pictures)
        record.leave("no split", "frames", "of cities that no split names", left)
    return chosen


def pictures_of(root: Path, split: str) -> Iterator[Picture]:
    """Images of one of Cityscapes' splits, in the order of their names."""
    if split not in PUBLIC:
        raise Refused(
            f"splits: found Cityscapes' split {split}, whose labels aren't public; allowed: {', '.join(PUBLIC)}."
        )
    folder = root / "leftImg8bit" / split
    files = sorted(folder.glob(f"*/*{IMAGE}"))
    if not files:
        raise Refused(f"{folder}: there are no images <city>/<city>_<sequence>_<frame>{IMAGE}.")
    for file in files:
        name, city = file.name.removesuffix(IMAGE), file.parent.name
        if not name.startswith(f"{city}_") or name.count("_") - city.count("_") != 2:
            raise Refused(f"{file}: its name must be {city}_<sequence>_<frame>{IMAGE}.")
        yield Picture(split=split, city=city, name=name)


def read_ids(file: Path, size: tuple[int, int]) -> np.ndarray:
    """The label ids of a mask of an image's size, [H, W]; raises Refused for one that Cityscapes doesn't have."""
    ids = read_mask(file, size)
    strange = np.unique(ids[(ids > LAST_ID) & (ids != IGNORED)]).tolist()
    if strange:
        raise Refused(f"{file}: found the ids {', '.join(map(str, strange[:10]))}; Cityscapes' go from 0 to {LAST_ID}.")
    return ids


def boxes_of(
    root: Path,
    picture: Picture,
    names: dict[str, str],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    told: tuple[Record, str],
) -> list[dict[str, Any]]:
    """Boxes of an image's instances: of what is seen of them, or around their polygons where that isn't there."""
    (own, size), (record, split) = sizes, told
    file = label_of(root, picture, "instanceIds.png")
    seen = file.is_file()
    file = file if seen else label_of(root, picture, "polygons.json")
    record.read(file)
    boxes = []
    for label, crowd, sides in instances_of(file, own) if seen else outlines_of(file):
        box = fit_box(sides, (size[0] / own[0], size[1] / own[1]), size)
        if record.takes_box(split, box, is_wanted=label in names):
            boxes.append({"category": names[label], "box": box, "crowd": crowd})
    return boxes


def instances_of(file: Path, size: tuple[int, int]) -> Iterator[tuple[str, bool, list[float]]]:
    """Label, whether it is a group, and box of each instance in a mask of them."""
    ids = read_mask(file, size)
    by_id = {number: name for name, number in LABELS.items() if name in INSTANCES}
    for value in np.unique(ids).tolist():
        label = by_id.get(value // PER_LABEL if value >= PER_LABEL else value)
        if label is None:
            continue
        pixels = ids == value
        x, y = np.flatnonzero(pixels.any(axis=0)), np.flatnonzero(pixels.any(axis=1))
        yield label, value < PER_LABEL, [int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1]


def outlines_of(file: Path) -> Iterator[tuple[str, bool, list[float]]]:
    """The same for the polygons of a JSON file."""
    value = read_json(file)
    objects = value.get("objects") if isinstance(value, dict) else None
    if not isinstance(objects, list):
        raise Refused(f"{file}: not Cityscapes' polygons: it must have the list objects.")
    for number, entry in enumerate(objects):
        place = f"{file}, objects[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("label"), str):
            raise Refused(f"{place}: found {shorten(entry)}; it must be an object with label and polygon.")
        label = entry["label"].removesuffix("group")
        if entry.get("deleted") or label not in INSTANCES:
            continue
        points = entry.get("polygon")
        is_polygon = isinstance(points, list) and all(isinstance(point, list) and len(point) == 2 for point in points)
        if not is_polygon or len(points) < 3 or not all(is_number(side) for point in points for side in point):
            raise Refused(f"{place}: found the polygon {shorten(points)}; it must be three points [x, y] or more.")
        corners = np.array(points, dtype=np.float64)
        yield label, label != entry["label"], [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()]
