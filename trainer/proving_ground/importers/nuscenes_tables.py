"""nuScenes' JSON tables become the frames of some cameras, each with its boxes in space (Caesar et al. 2020)."""

import json
import math
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from proving_ground.data.manifest import is_number, shorten
from proving_ground.errors import Refused
from proving_ground.importers.cuboid import rotation_of
from proving_ground.importers.record import Record

# Characters of a table that are in memory at once: sample_data of v1.0-trainval has more than a gigabyte.
CHUNK = 1 << 20
MOST_ENTRY = 1 << 20
# What a field of a type is called.
KINDS = {str: "a text", int: "a whole number", bool: "true or false"}
BETWEEN = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where something is in the frame around it: rotation [3, 3], translation [3], both float64."""

    rotation: np.ndarray
    translation: np.ndarray

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 3] of the frame around it, in its own frame."""
        return (points - self.translation) @ self.rotation


# With slots: the whole set has more than a million.
@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """A box in the global frame. size: width, length, height in metres; visibility: 1 to 4, 0 if nobody says it."""

    instance: str
    category: str
    visibility: int
    translation: tuple[float, ...]
    size: tuple[float, ...]
    rotation: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CameraFrame:
    """One image of a keyframe. time: microseconds since 1970, in UTC."""

    place: str
    file: str
    channel: str
    time: int
    sample: str
    size: tuple[int, int]
    camera: Pose
    intrinsic: np.ndarray
    ego: Pose


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A drive of 20 seconds: its keyframes' tokens in the order of time."""

    name: str
    description: str
    location: str
    samples: list[str]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What is needed of the tables: scenes by token, images by scene, boxes and times by keyframe, categories."""

    scenes: dict[str, Scene]
    frames: dict[str, list[CameraFrame]]
    annotations: dict[str, list[Annotation]]
    times: dict[str, int]
    categories: list[str]


def read_tables(folder: Path, cameras: list[str], record: Record) -> Tables:
    """Read what some cameras need of a version's tables; raises Refused naming the table and the entry."""
    read = Reader(folder, record)
    logs = read.by_token("log", {"location": str})
    scenes = read.by_token("scene", {"name": str, "description": str, "log_token": str})
    samples = read.by_token("sample", {"scene_token": str, "timestamp": int})
    of_scene: dict[str, list[str]] = {token: [] for token in scenes}
    for token, sample in sorted(samples.items(), key=lambda item: item[1]["timestamp"]):
        read.find(scenes, "scene", sample["scene_token"], f"sample {token}")
        of_scene[sample["scene_token"]].append(token)
    frames = camera_frames(read, samples, cameras)
    categories = read.by_token("category", {"name": str})
    return Tables(
        scenes={
            token: Scene(
                name=scene["name"],
                description=scene["description"],
                location=read.find(logs, "log", scene["log_token"], f"scene {token}")["location"],
                samples=of_scene[token],
            )
            for token, scene in scenes.items()
        },
        frames=frames,
        annotations=read_annotations(
            read, categories, samples, {frame.sample for some in frames.values() for frame in some}
        ),
        times={token: sample["timestamp"] for token, sample in samples.items()},
        categories=[category["name"] for category in categories.values()],
    )


def camera_frames(read: "Reader", samples: Mapping[str, Any], cameras: list[str]) -> dict[str, list[CameraFrame]]:
    """Keyframes' images of some cameras by their scene, in the order of time and of the cameras."""
    sensors = read.by_token("sensor", {"channel": str, "modality": str})
    there = sorted(sensor["channel"] for sensor in sensors.values() if sensor["modality"] == "camera")
    for camera in cameras:
        if camera not in there:
            raise Refused(f"{read.folder / 'sensor.json'}: there is no camera {camera}; there are {', '.join(there)}.")
    mounts: dict[str, tuple[str, Pose, np.ndarray]] = {}
    places = read.by_token("calibrated_sensor", {"sensor_token": str, "translation": 3, "rotation": 4})
    for token, mount in places.items():
        channel = read.find(sensors, "sensor", mount["sensor_token"], f"calibrated_sensor {token}")["channel"]
        if channel in cameras:
            mounts[token] = (
                channel,
                pose_of(mount),
                intrinsic_of(mount, f"{read.folder / 'calibrated_sensor.json'}, {token}"),
            )
    texts = dict.fromkeys(("sample_token", "ego_pose_token", "calibrated_sensor_token", "filename"), str)
    fields = {**texts, "timestamp": int, "width": int, "height": int, "is_key_frame": bool}
    of_cameras = read.entries("sample_data", fields, ("calibrated_sensor_token", mounts, places))
    pictures = {token: entry for token, entry in of_cameras if entry["is_key_frame"]}
    wanted = {entry["ego_pose_token"] for entry in pictures.values()}
    egos = {
        token: pose_of(entry)
        for token, entry in read.entries("ego_pose", {"translation": 3, "rotation": 4}, ("token", wanted, None))
    }
    frames: dict[str, list[CameraFrame]] = {}
    for token, entry in pictures.items():
        place = f"sample_data {token}"
        channel, camera, intrinsic = mounts[entry["calibrated_sensor_token"]]
        scene = read.find(samples, "sample", entry["sample_token"], place)["scene_token"]
        frame = CameraFrame(
            place=f"{read.folder / 'sample_data.json'}, {token}",
            file=entry["filename"],
            channel=channel,
            time=entry["timestamp"],
            sample=entry["sample_token"],
            size=(entry["width"], entry["height"]),
            camera=camera,
            intrinsic=intrinsic,
            ego=read.find(egos, "ego_pose", entry["ego_pose_token"], place),
        )
        frames.setdefault(scene, []).append(frame)
    for some in frames.values():
        some.sort(key=lambda frame: (samples[frame.sample]["timestamp"], cameras.index(frame.channel)))
    return frames


def read_annotations(
    read: "Reader", categories: Mapping[str, Any], samples: Mapping[str, Any], wanted: set[str]
) -> dict[str, list[Annotation]]:
    """Boxes by their keyframe, of those keyframes that are asked for."""
    instances = {
        token: read.find(categories, "category", instance["category_token"], f"instance {token}")["name"]
        for token, instance in read.entries("instance", {"category_token": str})
    }
    found: dict[str, list[Annotation]] = {}
    fields = {"sample_token": str, "instance_token": str, "translation": 3, "size": 3, "rotation": 4}
    for token, entry in read.entries("sample_annotation", fields, ("sample_token", wanted, samples)):
        visibility = str(entry.get("visibility_token") or "0")
        if visibility not in ("0", "1", "2", "3", "4"):
            place = f"{read.folder / 'sample_annotation.json'}, {token}"
            raise Refused(f"{place}: found the visibility_token {shorten(visibility)}; it must be 1 to 4, or empty.")
        annotation = Annotation(
            instance=entry["instance_token"],
            category=read.find(instances, "instance", entry["instance_token"], f"sample_annotation {token}"),
            visibility=int(visibility),
            translation=tuple(entry["translation"]),
            size=tuple(entry["size"]),
            rotation=tuple(entry["rotation"]),
        )
        found.setdefault(entry["sample_token"], []).append(annotation)
    if not found:
        raise Refused(f"{read.folder / 'sample_annotation.json'}: no keyframe has a box; the test set has no labels.")
    return found


def pose_of(entry: Mapping[str, Any]) -> Pose:
    """The pose of an entry, whose numbers were checked."""
    return Pose(rotation=rotation_of(entry["rotation"]), translation=np.array(entry["translation"], dtype=np.float64))


def intrinsic_of(mount: Mapping[str, Any], place: str) -> np.ndarray:
    """A camera's intrinsic matrix, [3, 3] float64, whose last row is 0, 0, 1."""
    rows = mount.get("camera_intrinsic")
    is_matrix = (
        isinstance(rows, list) and len(rows) == 3 and all(isinstance(row, list) and len(row) == 3 for row in rows)
    )
    if not is_matrix or not all(is_number(value) for row in rows for value in row) or rows[2] != [0, 0, 1]:
        raise Refused(f"{place}: found the camera_intrinsic {shorten(rows)}; it must be 3x3 with the last row 0, 0, 1.")
    return np.array(rows, dtype=np.float64)


class Reader:
    """Reads the tables of a folder, and notes that they were."""

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder, self.record = folder, record

    def entries(
        self,
        table: str,
        fields: Mapping[str, type | int],
        of: tuple[str, Container[str], Container[str] | None] | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Entries by their token.

        fields: the type of each, or how many numbers it has; of: the field that says which entries are wanted, by the
        tokens that are, and all that it may have, if those are known.
        """
        file = self.folder / f"{table}.json"
        self.record.read(file)
        for number, entry in enumerate(stream_array(file)):
            token = entry.get("token") if isinstance(entry, dict) else None
            if not isinstance(token, str):
                raise Refused(f"{file}, entry {number}: found {shorten(entry)}; it must be an object with a token.")
            if of is not None and not self.is_wanted(entry, file, *of):
                continue
            for name, kind in fields.items():
                value = entry.get(name)
                if isinstance(kind, int):
                    good = isinstance(value, list) and len(value) == kind and all(map(is_number, value))
                    good = good and (name != "rotation" or math.hypot(*value) > 0)
                    must = f"{kind} finite numbers{', not all zero' if name == 'rotation' else ''}"
                else:
                    good, must = type(value) is kind, KINDS[kind]
                if not good:
                    raise Refused(f"{file}, {token}: found the {name} {shorten(value)}; it must be {must}.")
            yield token, entry

    def is_wanted(
        self, entry: dict[str, Any], file: Path, name: str, wanted: Container[str], known: Container[str] | None
    ) -> bool:
        """Whether a field has one of the wanted tokens; raises Refused for one that isn't known."""
        value = entry.get(name)
        if not isinstance(value, str) or (known is not None and value not in known):
            raise Refused(f"{file}, {entry['token']}: found the {name} {shorten(value)}, which no table has.")
        return value in wanted

    def by_token(self, table: str, fields: Mapping[str, type | int]) -> dict[str, dict[str, Any]]:
        """A small table by token; raises Refused for one that is there twice."""
        found: dict[str, dict[str, Any]] = {}
        for token, entry in self.entries(table, fields):
            if token in found:
                raise Refused(f"{self.folder / table}.json: the token {token} appears twice.")
            found[token] = entry
        return found

    def find(self, table: Mapping[str, Any], name: str, token: str, place: str) -> Any:
        """What a token stands for; raises Refused for one that its table lacks."""
        if token not in table:
            raise Refused(f"{self.folder}: {place} names the {name} {token}, which {name}.json doesn't have.")
        return table[token]


def stream_array(file: Path) -> Iterator[Any]:
    """Entries of a file that is one JSON list, one at a time; raises Refused where it is none."""
    decoder = json.JSONDecoder()
    try:
        with file.open(encoding="utf-8-sig") as stream:
            text = stream.read(CHUNK).lstrip()
            at = 1
            if not text.startswith("["):
                raise Refused(f"{file}: not a table of nuScenes: it must be a list of objects.")
            while True:
                at = BETWEEN.match(text, at).end()
                if text[at : at + 1] == "]":
                    return
                try:
                    entry, at = decoder.raw_decode(text, at)
                except json.JSONDecodeError as error:
                    more = stream.read(CHUNK)
                    if not more or len(text) - at > MOST_ENTRY:
                        raise Refused(f"{file}: not JSON: {error.msg} at {shorten(text[at : at + 40])}.") from error
                    text, at = text[at:] + more, 0
                    continue
                yield entry
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{file}: can't be read ({getattr(error, 'strerror', None) or error}).") from error
