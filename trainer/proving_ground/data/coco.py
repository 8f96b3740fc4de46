"""COCO's own JSON and images become a dataset: frames resized, boxes scaled, categories by name (Lin et al. 2014)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proving_ground.data.images import choose, fit_box, inside, write_resized
from proving_ground.data.manifest import SPLITS, is_number, shorten, write_dataset
from proving_ground.errors import Refused
from proving_ground.files import read_json


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """One annotation file: images in the file's order, boxes by the image's id, names of categories by id."""

    file: Path
    images: list[dict[str, Any]]
    boxes: dict[int, list[dict[str, Any]]]
    categories: dict[int, str]


def import_coco(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: an annotation file, an entry of it or an image can't be taken; the message names file and entry.
    """
    files = {wanted["annotations"]: None for wanted in spec["splits"].values()}
    read = {name: read_annotations(Path(name)) for name in files}
    known = {name for annotations in read.values() for name in annotations.categories.values()}
    absent = [name for name in spec["categories"]["detection"] if name not in known]
    if absent:
        raise Refused(
            f"{', '.join(files)}: categories.detection names {', '.join(absent)}, "
            f"which they lack; they have {', '.join(sorted(known))}."
        )
    chosen = {}
    for split in SPLITS:
        wanted = spec["splits"][split]
        chosen[split] = choose(read[wanted["annotations"]].images, split, wanted, wanted["annotations"])

    def take(split: str, index: int, folder: Path) -> dict[str, Any]:
        wanted = spec["splits"][split]
        name, images = f"{split}-{index:06d}", Path(wanted["images"])
        return take_frame(spec, read[wanted["annotations"]], chosen[split][index], images, (folder, name))

    write_dataset(out, spec, {split: len(chosen[split]) for split in SPLITS}, take)


def read_annotations(file: Path) -> Annotations:
    """Read and check an annotation file; raises Refused naming the entry."""
    value = read_json(file)
    lists = ("images", "annotations", "categories")
    if not isinstance(value, dict) or not all(isinstance(value.get(name), list) for name in lists):
        raise Refused(f"{file}: not COCO's annotations: it must have the lists {', '.join(lists)}.")
    for name in lists:
        for number, entry in enumerate(value[name]):
            if not isinstance(entry, dict):
                raise Refused(f"{file}, {name}[{number}]: found {shorten(entry)}; it must be an object.")
    categories = by_id(file, "categories", value["categories"])
    for place, category in categories.items():
        if not isinstance(category.get("name"), str):
            raise Refused(
                f"{file}, category {place}: found the name {shorten(category.get('name'))}; it must be a string."
            )
    boxes: dict[int, list[dict[str, Any]]] = {place: [] for place in by_id(file, "images", value["images"])}
    for number, annotation in enumerate(value["annotations"]):
        place = f"{file}, annotations[{number}] (id {shorten(annotation.get('id'))})"
        check_annotation(annotation, place, boxes, categories)
        boxes[annotation["image_id"]].append(annotation)
    names = {place: category["name"] for place, category in categories.items()}
    return Annotations(file=file, images=value["images"], boxes=boxes, categories=names)


def by_id(file: Path, name: str, entries: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Entries by their id; raises Refused for an id that is no whole number or there twice."""
    found: dict[int, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        place = entry.get("id")
        if type(place) is not int:
            raise Refused(f"{file}, {name}[{number}]: found the id {shorten(place)}; it must be a whole number.")
        if place in found:
            raise Refused(f"{file}, {name}[{number}]: the id {place} appears twice.")
        found[place] = entry
    return found


def check_annotation(
    annotation: dict[str, Any], place: str, images: dict[int, Any], categories: dict[int, dict[str, Any]]
) -> None:
    """Refuse an annotation without an image, a category, or a box x, y, width, height."""
    for name, allowed in (("image_id", images), ("category_id", categories)):
        if type(annotation.get(name)) is not int or annotation[name] not in allowed:
            raise Refused(f"{place}: found the {name} {shorten(annotation.get(name))}, which isn't in the file.")
    box = annotation.get("bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and min(box[2:]) >= 0):
        raise Refused(
            f"{place}: found the bbox {shorten(box)}; it must be x, y, width and height, the last two not negative."
        )
    if annotation.get("iscrowd", 0) not in (0, 1):
        raise Refused(f"{place}: found iscrowd {shorten(annotation['iscrowd'])}; it must be 0 or 1.")


def take_frame(
    spec: dict[str, Any], annotations: Annotations, entry: dict[str, Any], images: Path, target: tuple[Path, str]
) -> dict[str, Any]:
    """Resize one frame's image into the folder, under a name, and return its line of the manifest."""
    folder, name = target
    size = (spec["width"], spec["height"])
    place = f"{annotations.file}, image {entry['id']}"
    header = write_resized(inside(images, entry.get("file_name"), place), folder / f"images/{name}.jpg", size)
    own = header.size
    if differs := header.differs((entry.get("width", own[0]), entry.get("height", own[1])), "the entry"):
        raise Refused(f"{place}: {entry['file_name']} {differs}.")
    attributes = entry.get("attributes") or {}
    if not isinstance(attributes, dict) or not all(isinstance(text, str) for text in attributes.values()):
        raise Refused(f"{place}: found the attributes {shorten(attributes)}; it must be an object of strings.")
    return {
        "source-ref": f"images/{name}.jpg",
        "width": size[0],
        "height": size[1],
        "attributes": attributes,
        "detection": boxes_of(annotations, entry["id"], spec["categories"]["detection"], own, size),
    }


def boxes_of(
    annotations: Annotations, image: int, wanted: list[str], own: tuple[int, int], size: tuple[int, int]
) -> list[dict[str, Any]]:
    """Boxes of an image as the manifest has them, of the wanted categories: the recipe says what is to be found."""
    labels = []
    for annotation in annotations.boxes[image]:
        category = annotations.categories[annotation["category_id"]]
        x, y, width, height = annotation["bbox"]
        box = fit_box((x, y, x + width, y + height), (size[0] / own[0], size[1] / own[1]), size)
        if category in wanted and box is not None:
            labels.append({"category": category, "box": box, "crowd": bool(annotation.get("iscrowd", 0))})
    return labels
