"""COCO's own JSON and images become a dataset: frames resized, boxes scaled, segments drawn (Lin et al. 2014)."""

import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from proving_ground.data.manifest import SPLITS, is_number, shorten
from proving_ground.errors import Refused
from proving_ground.files import read_json
from proving_ground.importers.fields import attributes_of, captured_of, fields, refuse_absent, sequence_of
from proving_ground.importers.images import choose, fit_box, inside, write_resized
from proving_ground.importers.record import Record
from proving_ground.importers.segments import BACKGROUND, Segment, draw_mask
from proving_ground.importers.sequences import is_by_sequence, source_of, split_by_sequence
from proving_ground.importers.writing import write_dataset

LISTS = ("images", "annotations", "categories")
Id = int | str


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """One annotation file: images in the file's order, annotations by the image's id, names of videos by theirs.

    An annotation has its category's name as `category`, and as `place` what errors name.
    """

    file: Path
    images: list[dict[str, Any]]
    of_image: dict[Id, list[dict[str, Any]]]
    categories: set[str]
    videos: dict[Id, str]


def import_coco(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: an annotation file, an entry of it or an image can't be taken; the message names file and entry.
    """
    record = Record()
    splits = spec["splits"]
    files = dict.fromkeys(source_of(splits, split)["annotations"] for split in SPLITS)
    read = {name: read_annotations(Path(name), record) for name in files}
    check_categories(spec["categories"], read)
    if is_by_sequence(splits):
        chosen = share_images(splits, read[splits["annotations"]], record)
    else:
        chosen = {}
        for split in SPLITS:
            images = read[splits[split]["annotations"]].images
            chosen[split] = choose(images, split, splits[split], splits[split]["annotations"])
            record.choose(split, len(chosen[split]), len(images))

    def take(split: str, index: int, folder: Path) -> dict[str, Any]:
        annotations = read[source_of(splits, split)["annotations"]]
        return take_frame(spec, split, annotations, chosen[split][index], (folder, f"{split}-{index:06d}"), record)

    def place(split: str, index: int) -> str:
        return f"{source_of(splits, split)['annotations']}, image {chosen[split][index]['id']}"

    write_dataset(out, spec, {split: len(chosen[split]) for split in SPLITS}, take, record, place)


def share_images(splits: dict[str, Any], annotations: Annotations, record: Record) -> dict[str, list[dict[str, Any]]]:
    """Images of each split, whole videos."""
    chosen = split_by_sequence(
        splits,
        annotations.images,
        lambda entry: drive_of(entry, annotations),
        lambda entry: f"{annotations.file}, image {entry['id']}",
    )
    for split, images in chosen.items():
        record.write(split, "frames", len(images))
    return chosen


def check_categories(categories: dict[str, list[str]], read: dict[str, Annotations]) -> None:
    """Refuse categories that the files lack, and classes of pixels where a file has no segments to draw."""
    where = ", ".join(read)
    known = {name for annotations in read.values() for name in annotations.categories}
    refuse_absent(where, "categories.detection", categories["detection"], known, {})
    classes = [name for name in categories["segmentation"] if name != BACKGROUND]
    refuse_absent(where, "categories.segmentation", classes, known, {})
    for name, annotations in read.items() if categories["segmentation"] else ():
        if not any(entry.get("segmentation") for entries in annotations.of_image.values() for entry in entries):
            raise Refused(
                f"{name}: categories.segmentation has {', '.join(categories['segmentation'])}, "
                f"but no annotation of the file has a segmentation; write segmentation: []."
            )


def read_annotations(file: Path, record: Record) -> Annotations:
    """Read and check an annotation file; raises Refused naming the entry."""
    record.read(file)
    value = read_json(file)
    if not isinstance(value, dict) or not all(isinstance(value.get(name), list) for name in LISTS):
        raise Refused(f"{file}: not COCO's annotations: it must have the lists {', '.join(LISTS)}.")
    for name in LISTS:
        for number, entry in enumerate(value[name]):
            if not isinstance(entry, dict):
                raise Refused(f"{file}, {name}[{number}]: found {shorten(entry)}; it must be an object.")
    categories = by_id(file, "categories", value["categories"])
    for place, category in categories.items():
        if not isinstance(category.get("name"), str):
            raise Refused(
                f"{file}, category {place}: found the name {shorten(category.get('name'))}; it must be a string."
            )
    of_image: dict[Id, list[dict[str, Any]]] = {place: [] for place in by_id(file, "images", value["images"])}
    refuse_twice(file, value["images"])
    for number, annotation in enumerate(value["annotations"]):
        place = f"{file}, annotations[{number}] (id {shorten(annotation.get('id'))})"
        image = check_annotation(annotation, place, of_image, categories)
        category = categories[read_id(annotation["category_id"])]["name"]
        of_image[image].append({**annotation, "category": category, "place": place})
    return Annotations(
        file=file,
        images=value["images"],
        of_image=of_image,
        categories={category["name"] for category in categories.values()},
        videos=names_of(value.get("videos")),
    )


def read_id(value: object) -> Id | None:
    """An id, which is only compared: a string, or a whole number, also one that is written 1.0; None for another."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) in (int, str) else None


def by_id(file: Path, name: str, entries: list[dict[str, Any]]) -> dict[Id, dict[str, Any]]:
    """Entries by their id; raises Refused for an id that is none or there twice."""
    found: dict[Id, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        place = read_id(entry.get("id"))
        if place is None:
            raise Refused(
                f"{file}, {name}[{number}]: found the id {shorten(entry.get('id'))}; "
                "it must be a whole number or a string."
            )
        if place in found:
            raise Refused(f"{file}, {name}[{number}]: the id {place} appears twice.")
        found[place] = entry
    return found


def refuse_twice(file: Path, images: list[dict[str, Any]]) -> None:
    """Refuse a picture under two ids: it would count twice, and make intervals too narrow."""
    first: dict[str, int] = {}
    for number, entry in enumerate(images):
        name = entry.get("file_name")
        if isinstance(name, str) and first.setdefault(posixpath.normpath(name), number) != number:
            other = first[posixpath.normpath(name)]
            raise Refused(
                f"{file}, images[{number}]: found the file_name {name}, which images[{other}] has too; keep one."
            )


def names_of(videos: object) -> dict[Id, str]:
    """Names of videos by their id, of those that have one of their own."""
    listed = [video for video in videos if isinstance(video, dict)] if isinstance(videos, list) else []
    names = [video.get("name") for video in listed]
    return {
        place: video["name"]
        for video in listed
        if (place := read_id(video.get("id"))) is not None
        and isinstance(video.get("name"), str)
        and video["name"]
        and names.count(video["name"]) == 1
    }


def check_annotation(
    annotation: dict[str, Any], place: str, images: dict[Id, Any], categories: dict[Id, dict[str, Any]]
) -> Id | None:
    """The image's id; raises Refused for an annotation without one, a category, or a box x, y, width, height."""
    for name, allowed in (("image_id", images), ("category_id", categories)):
        if read_id(annotation.get(name)) not in allowed:
            raise Refused(f"{place}: found the {name} {shorten(annotation.get(name))}, which isn't in the file.")
    box = annotation.get("bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and min(box[2:]) >= 0):
        raise Refused(
            f"{place}: found the bbox {shorten(box)}; it must be x, y, width and height, the last two not negative."
        )
    if annotation.get("iscrowd", 0) not in (0, 1):
        raise Refused(f"{place}: found iscrowd {shorten(annotation['iscrowd'])}; it must be 0 or 1.")
    return read_id(annotation["image_id"])


def take_frame(
    spec: dict[str, Any],
    split: str,
    annotations: Annotations,
    entry: dict[str, Any],
    target: tuple[Path, str],
    record: Record,
) -> dict[str, Any]:
    """Resize one frame's image into the folder, under a name, and return its line of the manifest."""
    folder, name = target
    size = (spec["width"], spec["height"])
    place = f"{annotations.file}, image {entry['id']}"
    source = inside(Path(source_of(spec["splits"], split)["images"]), entry.get("file_name"), place)
    header = write_resized(source, folder / f"images/{name}.jpg", size)
    record.see(source)
    own = header.size
    if differs := header.differs((entry.get("width", own[0]), entry.get("height", own[1])), "the entry"):
        raise Refused(f"{place}: {entry['file_name']} {differs}.")
    line = {
        "source-ref": f"images/{name}.jpg",
        "width": size[0],
        "height": size[1],
        **fields(attributes_of(entry, place), drive_of(entry, annotations), day_of(entry, split, record)),
        "detection": boxes_of(annotations, entry, spec["categories"]["detection"], (own, size), (record, split)),
    }
    if classes := spec["categories"]["segmentation"]:
        mask = draw_mask(segments_of(annotations, entry, classes, (record, split)), classes, own)
        Image.fromarray(mask).resize(size, Image.Resampling.NEAREST).save(folder / f"masks/{name}.png")
        line["segmentation-ref"] = f"masks/{name}.png"
    return line


def drive_of(entry: dict[str, Any], annotations: Annotations) -> str | None:
    """The video that an image is of: its name, or its id where it has none of its own."""
    name = annotations.videos.get(read_id(entry.get("video_id")))
    return name or sequence_of(entry, "video_id", "video_name", "sequence")


def day_of(entry: dict[str, Any], split: str, record: Record) -> str | None:
    """When an image was taken; what date_captured says and is no date is counted."""
    said = entry.get("date_captured")
    captured = captured_of(said)
    if captured is None and said:
        record.leave(split, "capture times", "no date")
    return captured


def boxes_of(
    annotations: Annotations,
    entry: dict[str, Any],
    wanted: list[str],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    told: tuple[Record, str],
) -> list[dict[str, Any]]:
    """Boxes of an image as the manifest has them, of the wanted categories: the recipe says what is to be found."""
    (own, size), (record, split) = sizes, told
    labels = []
    for annotation in annotations.of_image[read_id(entry["id"])]:
        category = annotation["category"]
        x, y, width, height = annotation["bbox"]
        box = fit_box((x, y, x + width, y + height), (size[0] / own[0], size[1] / own[1]), size)
        if record.takes_box(split, box, is_wanted=category in wanted):
            labels.append({"category": category, "box": box, "crowd": bool(annotation.get("iscrowd", 0))})
    return labels


def segments_of(
    annotations: Annotations, entry: dict[str, Any], classes: list[str], told: tuple[Record, str]
) -> list[Segment]:
    """Segments of an image of the wanted classes; an object without one has its box."""
    record, split = told
    segments = []
    for annotation in annotations.of_image[read_id(entry["id"])]:
        category, value = annotation["category"], annotation.get("segmentation")
        if category not in classes:
            record.leave(split, "segments", "of categories that the recipe leaves out")
            continue
        if value:
            record.write(split, "segments")
        else:
            record.leave(split, "segments", "absent: the object's box is ignored in the mask")
        label, place = classes.index(category), annotation["place"]
        segments.append(Segment(value=value, label=label, box=annotation["bbox"], place=place))
    return segments
