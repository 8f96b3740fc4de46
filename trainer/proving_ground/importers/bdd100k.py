"""BDD100K's own JSON and images become a dataset: frames resized, boxes scaled, attributes kept as strings.

Every form that is handed out is read: one list of all frames, each with its `split`; a label file for each split
(det_20); a folder of files, one for each video (box_track_20) or image; Scalabel's object with `frames`. `labels` may
be null, and a label without `box2d` (a lane, a drivable area) is no box.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proving_ground.data.manifest import SPLITS, shorten
from proving_ground.errors import Refused
from proving_ground.files import read_json
from proving_ground.importers.fields import attributes_of, captured_of, fields, refuse_absent, sequence_of
from proving_ground.importers.images import fit_box, inside, write_resized
from proving_ground.importers.record import Record
from proving_ground.importers.sequences import is_by_sequence, source_of, split_by_sequence
from proving_ground.importers.writing import write_dataset

# The dataset has had two names for each of these.
SYNONYMS = {"person": "pedestrian", "bike": "bicycle", "motor": "motorcycle"}
SYNONYMS |= {new: old for old, new in SYNONYMS.items()}
VIDEO = ("videoName", "video_name")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A frame of a label file, and the place that errors name."""

    frame: dict[str, Any]
    place: str


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a label file or a folder of them has: frames in their order, and the categories of their boxes."""

    frames: list[Entry]
    categories: set[str]


def import_bdd100k(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: a label file, a frame in it or its image can't be taken; the message names file and frame.
    """
    record = Record()
    files = dict.fromkeys(labels_of(spec, split) for split in SPLITS)
    read = {name: read_labels(Path(name), record) for name in files}
    known = set().union(*(labels.categories for labels in read.values()))
    refuse_absent(", ".join(files), "categories.detection", spec["categories"]["detection"], known, SYNONYMS)
    if is_by_sequence(spec["splits"]):
        chosen = share_frames(spec["splits"], read[labels_of(spec, "train")].frames, record)
    else:
        chosen = {split: choose_frames(spec, split, read[labels_of(spec, split)].frames, record) for split in SPLITS}
        refuse_shared(spec, chosen)

    def take(split: str, index: int, folder: Path) -> dict[str, Any]:
        return take_frame(spec, split, chosen[split][index], (folder, f"{split}-{index:06d}"), record)

    counts = {split: len(chosen[split]) for split in SPLITS}
    write_dataset(out, spec, counts, take, record, lambda split, index: chosen[split][index].place)


def labels_of(spec: dict[str, Any], split: str) -> str:
    """Path of the labels of one of our splits: its own, or those of all."""
    labels = source_of(spec["splits"], split).get("labels") or spec.get("labels")
    if not labels:
        raise Refused(f"splits.{split}: it has no labels; write labels for all splits, or splits.{split}.labels.")
    return str(labels)


def read_labels(labels: Path, record: Record) -> Labels:
    """Read a label file, or all those of a folder by their names; raises Refused naming what can't be taken."""
    files = [labels]
    if labels.is_dir():
        files = sorted(labels.rglob("*.json"))
        record.list_names(labels)
    frames: list[Entry] = []
    categories: set[str] = set()
    for file in files:
        record.read(file)
        value = read_json(file)
        frames += [Entry(frame=frame, place=f"{file}, frame {frame['name']}") for frame in frames_in(value, file)]
        categories |= declared_in(value)
    for entry in frames:
        listed = entry.frame.get("labels") or []
        if not isinstance(listed, list) or not all(isinstance(label, dict) for label in listed):
            raise Refused(f"{entry.place}: found the labels {shorten(listed)}; it must be a list of objects.")
        categories |= {str(label.get("category")) for label in listed if label.get("box2d") is not None}
    return Labels(frames=frames, categories=categories)


def declared_in(value: object) -> set[str]:
    """Names of the categories that a Scalabel file declares, whether or not a label has them."""
    config = value.get("config") if isinstance(value, dict) else None
    declared = config.get("categories") if isinstance(config, dict) else None
    items = [item for item in declared if isinstance(item, dict)] if isinstance(declared, list) else []
    return {item["name"] for item in items if isinstance(item.get("name"), str)}


def frames_in(value: object, file: Path) -> list[dict[str, Any]]:
    """Frames of a label file of any form; raises Refused for one of none."""
    frames = value.get("frames") if isinstance(value, dict) else value
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        frames = None
    elif isinstance(value, dict) and any("objects" in frame for frame in frames):
        # One file for each image, as they first came: the frame's name and attributes are the file's.
        own = {key: value[key] for key in ("name", "attributes", "split") if key in value}
        name = str(own.get("name", file.stem))
        frames = [
            {**frame, **own, "name": name if Path(name).suffix else f"{name}.jpg", "labels": frame.get("objects")}
            for frame in frames
        ]
    if frames is None or not all(isinstance(frame.get("name"), str) and frame["name"] for frame in frames):
        raise Refused(
            f"{file}: not BDD100K's labels: it must be a list of frames, each with a name, or an object with frames."
        )
    return frames


def choose_frames(spec: dict[str, Any], split: str, entries: list[Entry], record: Record) -> list[Entry]:
    """Frames of one of our splits: those of an official split, or all, in their order, without the first `skip`."""
    wanted = spec["splits"][split]
    official, labels = wanted.get("split"), labels_of(spec, split)
    for entry in entries if "labels" not in wanted else ():
        if entry.frame.get("split") is None:
            raise Refused(
                f'{entry.place}: it has no "split", so it could be of train, val or test. Give each split a label '
                f'file of its own (splits.{split}.labels), or write "split" into each frame.'
            )
    if official is None and "labels" not in wanted:
        raise Refused(f"splits.{split}: it says neither split nor labels; write which frames of {labels} it takes.")
    of_split = [entry for entry in entries if official is None or entry.frame.get("split") in (None, official)]
    skip = wanted.get("skip", 0)
    chosen = of_split[skip : skip + wanted.get("frames", len(of_split))]
    if not chosen:
        of = "frames" if official is None else f"frames of {official!r}"
        raise Refused(
            f"{labels}: splits.{split} asks for {of} after the first {skip}, "
            f"but there are only {len(of_split)} of them."
        )
    record.choose(split, len(chosen), len(of_split))
    return chosen


def share_frames(splits: dict[str, Any], entries: list[Entry], record: Record) -> dict[str, list[Entry]]:
    """Frames of each of our splits, whole videos."""
    chosen = split_by_sequence(
        splits, entries, lambda entry: sequence_of(entry.frame, *VIDEO), lambda entry: entry.place
    )
    for split, frames in chosen.items():
        record.write(split, "frames", len(frames))
    return chosen


def refuse_shared(spec: dict[str, Any], chosen: dict[str, list[Entry]]) -> None:
    """Refuse frames that nothing but the file's name tells to be of a split, where two splits name that file."""
    owners: dict[str, str] = {}
    for split, entries in chosen.items():
        official = spec["splits"][split].get("split")
        for entry in entries:
            if official is not None and entry.frame.get("split") is not None:
                continue
            owner = owners.setdefault(entry.place, split)
            if owner != split:
                raise Refused(
                    f"{entry.place}: splits.{owner} and splits.{split} both take it. Give each split a label file of "
                    f"its own, or frames and skip that keep them apart."
                )


def take_frame(
    spec: dict[str, Any], split: str, entry: Entry, target: tuple[Path, str], record: Record
) -> dict[str, Any]:
    """Resize one frame's image into the folder, under a name, and return its line of the manifest."""
    folder, name = target
    frame, size = entry.frame, (spec["width"], spec["height"])
    wanted = source_of(spec["splits"], split)
    images = wanted.get("images") or spec.get("images")
    if not images:
        raise Refused(f"splits.{split}: it has no images; write images for all splits, or splits.{split}.images.")
    own_folders = SPLITS if is_by_sequence(spec["splits"]) else (split,)
    source = find_image(Path(images), entry, [frame.get("split"), wanted.get("split"), *own_folders])
    own = write_resized(source, folder / f"images/{name}.jpg", size).size
    record.see(source)
    scale = (size[0] / own[0], size[1] / own[1])
    sequence = sequence_of(frame, *VIDEO)
    return {
        "source-ref": f"images/{name}.jpg",
        "width": size[0],
        "height": size[1],
        **fields(attributes_of(frame, entry.place), sequence, captured_of(frame.get("timestamp"))),
        "detection": boxes_of(entry, spec["categories"]["detection"], (scale, size), record, split),
    }


def find_image(images: Path, entry: Entry, splits: list[object]) -> Path:
    """Path of a frame's image: in a folder of its split, its video, both or neither; raises Refused where it isn't."""
    frame, video = entry.frame, sequence_of(entry.frame, *VIDEO)
    names = list(dict.fromkeys(name for name in splits if isinstance(name, str) and name))
    folders = [f"{name}/{video}" for name in names if video] + names + ([video] if video else []) + ["."]
    places = [inside(images, f"{folder}/{frame['name']}", entry.place) for folder in folders]
    for place in places:
        if place.is_file():
            return place
    raise Refused(f"{entry.place}: its image isn't at {' or '.join(map(str, places))}.")


def boxes_of(
    entry: Entry,
    known: list[str],
    sizes: tuple[tuple[float, float], tuple[int, int]],
    record: Record,
    split: str,
) -> list[dict[str, Any]]:
    """Boxes of a frame as the manifest has them, of the wanted categories: the recipe says what is to be found."""
    boxes = []
    for label in entry.frame.get("labels") or []:
        if label.get("box2d") is None:
            record.leave(split, "labels", "lanes, areas and others without a box")
            continue
        box = scale_box(label, entry.place, *sizes)
        if record.takes_box(split, box, is_wanted=label["category"] in known):
            boxes.append(box)
    return boxes


def scale_box(
    label: dict[str, Any], place: str, scale: tuple[float, float], size: tuple[int, int]
) -> dict[str, Any] | None:
    """A label as the manifest has it, clipped to the image; None where it is too thin to be seen."""
    box = label["box2d"]
    try:
        sides = [float(box[side]) for side in ("x1", "y1", "x2", "y2")]
        category = str(label["category"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"{place}: a label must be a box with category, x1, y1, x2 and y2, but found {shorten(label)}."
        ) from error
    clipped = fit_box(sides, scale, size)
    if clipped is None:
        return None
    said = label.get("attributes")
    crowd = bool(said.get("crowd", False)) if isinstance(said, dict) else False
    return {"category": category, "box": clipped, "crowd": crowd}
