"""nuScenes' keyframes become a dataset: boxes in space projected to boxes of the images, tracks around each frame."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from proving_ground.data.manifest import SPLITS
from proving_ground.errors import Refused
from proving_ground.importers.cuboid import corners_of, picture_box, rotation_of
from proving_ground.importers.fields import fields
from proving_ground.importers.images import fit_box, inside, write_resized
from proving_ground.importers.naming import check_labels, map_names
from proving_ground.importers.nuscenes_tables import Annotation, CameraFrame, Scene, Tables, read_tables
from proving_ground.importers.record import Record
from proving_ground.importers.sequences import is_by_sequence, split_by_sequence
from proving_ground.importers.writing import write_dataset

# What nuScenes' tokens 1 to 4 say of how much of an object all cameras see, and the least percent of each.
VISIBILITY = {1: ("v0-40", 0), 2: ("v40-60", 40), 3: ("v60-80", 60), 4: ("v80-100", 80)}
# What a scene's description says by a word; where it has none of them nobody said anything.
WORDS = {"weather": {"rain": r"\brain"}, "timeofday": {"night": r"\bnight"}}
# Seconds between two keyframes, and by how much of a step the real time may differ from the wanted one.
KEYFRAME = 0.5
JITTER = 0.25
# Of a metre: finer than the boxes are.
DECIMALS = 4


def import_nuscenes(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: a table, an entry of it or an image can't be taken; the message names table and entry.
    """
    record = Record()
    labels = spec.get("labels", {})
    check_labels(labels, spec["categories"])
    stride = stride_of(spec)
    folder = Path(spec["root"]) / spec["version"]
    tables = read_tables(folder, spec["cameras"], record)
    detection = spec["categories"]["detection"]
    names = map_names(detection, labels, tables.categories, str(folder / "category.json"), prefixes=True)
    chosen = choose_scenes(spec["splits"], tables, folder, record)
    frames = {split: [(scene, frame) for scene in chosen[split] for frame in tables.frames[scene]] for split in SPLITS}

    def take(split: str, at: int, target: Path) -> dict[str, Any]:
        scene, frame = frames[split][at]
        name = f"{split}-{at:06d}"
        size = (spec["width"], spec["height"])
        source = inside(Path(spec["root"]), frame.file, frame.place)
        header = write_resized(source, target / f"images/{name}.jpg", size)
        if differs := header.differs(frame.size, "the entry"):
            raise Refused(f"{frame.place}: {source} {differs}.")
        record.see(source)
        record.write(split, "frames")
        annotations = tables.annotations.get(frame.sample, [])
        line = {
            "source-ref": f"images/{name}.jpg",
            "width": size[0],
            "height": size[1],
            **describe(tables.scenes[scene], frame),
            "detection": boxes_of(spec, annotations, frame, names, (record, split)),
        }
        # A keyframe's tracks are the same in all its images: in one of them they count once.
        if stride is not None and frame.channel == spec["cameras"][0]:
            line["tracks"] = tracks_of(spec["tracks"], stride, tables, (scene, frame), names)
            record.write(split, "tracks", len(line["tracks"]))
        return line

    def place(split: str, at: int) -> str:
        return frames[split][at][1].place

    write_dataset(out, spec, {split: len(frames[split]) for split in SPLITS}, take, record, place)


def stride_of(spec: dict[str, Any]) -> int | None:
    """Keyframes between two points of a track; None where the recipe asks for no tracks."""
    if "tracks" not in spec:
        return None
    step = spec["tracks"]["step_seconds"]
    stride = round(step / KEYFRAME)
    if stride < 1 or abs(stride * KEYFRAME - step) > 1e-9:
        raise Refused(
            f"tracks.step_seconds: found {step:g}; nuScenes has boxes every {KEYFRAME:g} s; it must be a multiple."
        )
    return stride


def choose_scenes(splits: dict[str, Any], tables: Tables, folder: Path, record: Record) -> dict[str, list[str]]:
    """Tokens of each split's scenes that have images: by their names, or by shares."""
    place = folder / "scene.json"
    tokens = {scene.name: token for token, scene in tables.scenes.items()}
    named = {scene.name: token for token, scene in tables.scenes.items() if tables.frames.get(token)}
    if is_by_sequence(splits):
        return split_by_sequence(splits, named.values(), lambda token: tables.scenes[token].name, lambda _: str(place))
    owner: dict[str, str] = {}
    for split in SPLITS:
        for name in splits[split]:
            if name not in named:
                lack = "has no images of these cameras" if name in tokens else "isn't there"
                raise Refused(
                    f"{place}: the scene {name} of splits.{split} {lack}; there are {', '.join(sorted(named))}."
                )
            if owner.setdefault(name, split) != split:
                raise Refused(f"splits: the scene {name} is in both {owner[name]} and {split}; it must be in one.")
    for name, token in named.items():
        if name not in owner:
            record.leave("no split", "frames", "of scenes that no split names", len(tables.frames[token]))
    return {split: [named[name] for name in dict.fromkeys(splits[split])] for split in SPLITS}


def describe(scene: Scene, frame: CameraFrame) -> dict[str, Any]:
    """Attributes, drive and time of a frame."""
    attributes = {"camera": frame.channel, "location": scene.location}
    for attribute, words in WORDS.items():
        for value, pattern in words.items():
            if re.search(pattern, scene.description, re.IGNORECASE):
                attributes[attribute] = value
    try:
        captured = datetime.fromtimestamp(frame.time / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError) as error:
        raise Refused(
            f"{frame.place}: found the timestamp {frame.time}; it must be microseconds since 1970."
        ) from error
    return fields(attributes, scene.name, captured)


def boxes_of(
    spec: dict[str, Any],
    annotations: list[Annotation],
    frame: CameraFrame,
    names: dict[str, str],
    told: tuple[Record, str],
) -> list[dict[str, Any]]:
    """The boxes of an image as the manifest has them, each with the visibility that nuScenes gives it."""
    record, split = told
    size = (spec["width"], spec["height"])
    scale = (size[0] / frame.size[0], size[1] / frame.size[1])
    least = spec.get("min_visible_percent", 0)
    labels = []
    for annotation in annotations:
        corners = corners_of(annotation.translation, annotation.size, rotation_of(annotation.rotation))
        sides = picture_box(frame.camera.inside(frame.ego.inside(corners)), frame.intrinsic, frame.size)
        box = None if sides is None else fit_box(sides, scale, size)
        level, percent = VISIBILITY.get(annotation.visibility, (None, 0))
        if sides is None:
            record.leave(split, "boxes", "not in the image")
        elif annotation.category in names and percent < least:
            record.leave(split, "boxes", f"less than {least} percent visible, or nobody says it")
        elif record.takes_box(split, box, is_wanted=annotation.category in names):
            said = {} if level is None else {"visibility": level}
            labels.append({"category": names[annotation.category], "box": box, "crowd": False, **said})
    return labels


def tracks_of(
    wanted: dict[str, Any], stride: int, tables: Tables, place: tuple[str, CameraFrame], names: dict[str, str]
) -> list[dict[str, Any]]:
    """Tracks around a frame that are whole: objects of the recipe's categories with a box in every keyframe of a track.

    Points are x, y in metres: in the global frame, or in the vehicle's own at the time of the image, x ahead and y to
    the left.
    """
    scene, frame = place
    samples = tables.scenes[scene].samples
    past, future = wanted["past"], wanted["future"]
    present = samples.index(frame.sample)
    steps = range(present - stride * (past - 1), present + stride * future + 1, stride)
    if steps[0] < 0 or steps[-1] >= len(samples):
        return []
    around = [samples[step] for step in steps]
    times = np.array([tables.times[sample] for sample in around]) / 1e6
    if (np.abs(np.diff(times) - wanted["step_seconds"]) > JITTER * KEYFRAME).any():
        return []
    boxes = [{box.instance: box for box in tables.annotations.get(sample, [])} for sample in around]
    tracks = []
    for instance, box in boxes[past - 1].items():
        if box.category not in names or not all(instance in other for other in boxes):
            continue
        points = np.array([other[instance].translation for other in boxes])
        if wanted["frame"] == "ego":
            points = frame.ego.inside(points)
        rounded = np.round(points[:, :2], DECIMALS).tolist()
        tracks.append({"category": names[box.category], "past": rounded[:past], "future": rounded[past:]})
    return tracks
