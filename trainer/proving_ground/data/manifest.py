"""Lines of a manifest become frames, strictly."""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from proving_ground.errors import Refused
from proving_ground.files import digest

SPLITS = ("train", "val", "test")
# Lanes and tracks of a crowded frame take a hundredth of this.
MOST_LINE = 16 << 20
# Every object of JavaScript's inherits something of this name.
FORBIDDEN = "__proto__"

# Coordinates become float32: what is larger would be infinite there.
LARGEST = 3.4e38
# Years of four digits that both languages count with; what has no offset is in UTC.
CAPTURED = re.compile(
    r"([12]\d{3}-\d{2}-\d{2})"
    r"(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?)(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?)?",
    re.ASCII,
)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame and its labels; a label that is None was never made, an empty one says that nothing is there.

    `source` is the image's path in the dataset, or the frame's id where it has no image but only tracks. `sequence`
    names the drive that it was taken from: frames of one drive are alike, and are drawn together when intervals are
    made. `captured` is the day in UTC on which it was taken.
    """

    source: str
    width: int = 0
    height: int = 0
    attributes: dict[str, str] = field(default_factory=dict)
    detection: list[dict[str, Any]] | None = None
    segmentation: str | None = None
    lanes: list[list[list[float]]] | None = None
    tracks: list[dict[str, Any]] | None = None
    sequence: str | None = None
    captured: date | None = None

    @property
    def has_image(self) -> bool:
        """Whether `source` is an image of width x height pixels."""
        return self.width > 0


def read_manifest(file: Path, expected: str | None, categories: list[str]) -> list[Frame]:
    """Read a manifest; raises Refused with the line for what can't be taken, or where its digest isn't `expected`."""
    if expected is not None and digest(file) != expected:
        raise Refused(f"{file}: it has changed since the run was planned (with {expected}): plan again")
    frames = [frame for _, frame in read_lines(file, categories)]
    if not frames:
        raise Refused(f"{file}: the manifest has no frames")
    return frames


def read_lines(file: Path, categories: list[str] | None) -> Iterator[tuple[bytes, Frame]]:
    """Each frame's own line and the frame; any category is taken where `categories` is None.

    Raises:
        Refused: the file or one of its lines can't be taken; all tracks of a file have as many points.
    """
    lengths: tuple[int, int] | None = None
    for number, line, text in lines_of(file):
        try:
            # NaN and the infinities, which Python reads, are no JSON.
            frame = parse_frame(json.loads(text, parse_constant=refuse_constant), categories)
            for at, track in enumerate(frame.tracks or []):
                found = (len(track["past"]), len(track["future"]))
                lengths = lengths or found
                if found != lengths:
                    raise Refused(
                        f"tracks[{at}]: found {found[0]} past and {found[1]} future points; "
                        f"the file's first track has {lengths[0]} and {lengths[1]}"
                    )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            raise Refused(f"{file}, line {number}: {reason}") from error
        yield line.strip(), frame


def lines_of(file: Path) -> Iterator[tuple[int, bytes, str]]:
    """The number, bytes and text of each line of a file of JSON Lines, without blank ones and a byte order mark.

    Raises:
        Refused: the file can't be read, is no UTF-8, or has a line that is too long to be kept in memory.
    """
    try:
        lines = file.open("rb")
    except OSError as error:
        raise Refused(f"{file}: can't be read ({error.strerror}).") from error
    with lines:
        for number, line in enumerate(iter(lambda: lines.readline(MOST_LINE + 2), b""), start=1):
            if len(line.removesuffix(b"\n")) > MOST_LINE:
                raise Refused(f"{file}, line {number}: the line has more than {MOST_LINE} bytes")
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
                # In UTF-16 every other byte of ASCII is zero, behind a mark or without one.
                if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in line[:2]:
                    raise Refused(f"{file}, line 1: the file is UTF-16 (PowerShell writes that); save it as UTF-8")
            if not line.strip():
                continue
            try:
                yield number, line, line.decode()
            except UnicodeDecodeError as error:
                reason = "found bytes that are not UTF-8 (they may be Latin-1); save the file as UTF-8"
                raise Refused(f"{file}, line {number}: {reason}") from error


def refuse_constant(name: str) -> None:
    """Refuse NaN, Infinity and -Infinity."""
    raise ValueError(f"{name} is no JSON")


def parse_frame(value: dict[str, Any], categories: list[str] | None) -> Frame:
    """Check one line's value as frame.schema.json does; raises Refused, KeyError or TypeError."""
    if not isinstance(value, dict):
        raise Refused(f"found {shorten(value)}; a frame must be an object")
    check_object("a frame", value)
    attributes = value.get("attributes")
    attributes = {} if attributes is None else attributes
    check_object("attributes", attributes)
    if not all(isinstance(text, str) for text in attributes.values()):
        raise Refused(f"attributes: found {shorten(attributes)}; it must be an object of strings")
    tracks, sequence = parse_tracks(value.get("tracks")), value.get("sequence")
    if sequence is not None and not (isinstance(sequence, str) and sequence):
        raise Refused(f"sequence: found {shorten(sequence)}; it must be the name of a drive")
    captured = parse_captured(value.get("captured"))
    if "source-ref" not in value and "id" in value:
        return replace(parse_tracks_alone(value, attributes, tracks), sequence=sequence, captured=captured)
    source = parse_path("source-ref", value["source-ref"])
    for side in ("width", "height"):
        if type(value[side]) not in (int, float) or value[side] < 1 or value[side] % 1 != 0:
            raise Refused(f"{side}: found {shorten(value[side])}; it must be a whole number of pixels, 1 or more")
    segmentation = value.get("segmentation-ref")
    return Frame(
        source=source,
        # To JSON 640 and 640.0 are one number.
        width=int(value["width"]),
        height=int(value["height"]),
        attributes=attributes,
        detection=parse_detection(value.get("detection"), categories),
        segmentation=None if segmentation is None else parse_path("segmentation-ref", segmentation),
        lanes=parse_lanes(value.get("lanes")),
        tracks=tracks,
        sequence=sequence,
        captured=captured,
    )


def parse_captured(value: object) -> date | None:
    """The day in UTC of a day or a time; raises Refused for anything else."""
    if value is None:
        return None
    match = CAPTURED.fullmatch(value) if isinstance(value, str) else None
    try:
        if match is None:
            raise ValueError
        day, time, offset = match.groups()
        if time is None:
            return date.fromisoformat(day)
        return datetime.fromisoformat(f"{day}T{time}{offset or 'Z'}").astimezone(UTC).date()
    except ValueError as error:
        raise Refused(
            f"captured: found {shorten(value)}; it must be a day or a time, such as 2026-11-01 or 2026-11-01T08:30:00Z"
        ) from error


def parse_tracks_alone(value: dict[str, Any], attributes: dict[str, str], tracks: list[dict[str, Any]] | None) -> Frame:
    """A frame without an image: an id and tracks, and nothing that is measured in pixels."""
    if not isinstance(value["id"], str) or not value["id"]:
        raise Refused(f"id: found {shorten(value['id'])}; it must be a string")
    if tracks is None:
        raise KeyError("tracks")
    for name in ("width", "height", "detection", "segmentation-ref", "lanes"):
        if value.get(name) is not None:
            raise Refused(f"{name}: a frame with an id and no source-ref may only have tracks")
    return Frame(source=value["id"], attributes=attributes, tracks=tracks)


def parse_path(name: str, value: object) -> str:
    """A path inside the dataset's folder, as it is; raises Refused for one that leads elsewhere."""
    if not isinstance(value, str) or not value:
        raise Refused(f"{name}: found {shorten(value)}; it must be a path inside the dataset's folder")
    if value.startswith("/") or ".." in re.split(r"[\\/]", value) or "\0" in value:
        raise Refused(f"{name}: {value!r} leads out of the dataset's folder; it must be a path inside it")
    return value


def parse_detection(labels: object, categories: list[str] | None) -> list[dict[str, Any]] | None:
    """Boxes with area, of known categories."""
    for number, label in enumerate(check_list("detection", labels)):
        check_object(f"detection[{number}]", label)
        box = label["box"]
        if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
            raise Refused(f"detection[{number}]: the box {shorten(box)} is not four finite numbers")
        if categories is not None and label["category"] not in categories:
            raise Refused(
                f"detection[{number}]: found the category {label['category']!r}; allowed: {', '.join(categories)}"
            )
        if not isinstance(label["category"], str) or not isinstance(label.get("crowd", False), bool):
            raise Refused(f"detection[{number}]: category must be a string, and crowd true or false")
        if not (box[2] > box[0] and box[3] > box[1]):
            raise Refused(f"detection[{number}]: the box {box} has no area; it must be x1, y1, x2, y2")
    return labels


def parse_lanes(lanes: object) -> list[list[list[float]]] | None:
    """Lanes as lists of points."""
    for number, lane in enumerate(check_list("lanes", lanes)):
        check_points(f"lanes[{number}]", lane)
    return lanes


def parse_tracks(tracks: object) -> list[dict[str, Any]] | None:
    """Tracks with a past of two points or more and a future of one or more."""
    for number, track in enumerate(check_list("tracks", tracks)):
        check_object(f"tracks[{number}]", track)
        for part, least in (("past", 2), ("future", 1)):
            check_points(f"tracks[{number}].{part}", track[part])
            if len(track[part]) < least:
                raise Refused(f"tracks[{number}].{part}: found {len(track[part])} points; allowed: {least} or more")
        if not isinstance(track.get("category", ""), str):
            raise Refused(f"tracks[{number}].category: found {shorten(track['category'])}; it must be a string")
    return tracks


def check_list(name: str, value: object) -> list[Any]:
    """The list, or an empty one where there is none; raises Refused for anything else."""
    if value is not None and not isinstance(value, list):
        raise Refused(f"{name}: found {shorten(value)}; it must be a list")
    return value or []


def check_object(name: str, value: object) -> None:
    """Refuse what is no object, or has a key that can't be one."""
    if not isinstance(value, dict):
        raise Refused(f"{name}: found {shorten(value)}; it must be an object")
    if FORBIDDEN in value:
        raise Refused(f"{name}: {FORBIDDEN} can't be a key")


def check_points(name: str, points: object) -> None:
    """Refuse what is no list of points of two finite numbers."""
    if not isinstance(points, list):
        raise Refused(f"{name}: found {shorten(points)}; it must be a list of points [x, y]")
    for number, point in enumerate(points):
        if not (isinstance(point, list) and len(point) == 2 and is_number(point[0]) and is_number(point[1])):
            raise Refused(f"{name}[{number}]: found {shorten(point)}; a point must be [x, y], two finite numbers")


def is_number(value: object) -> bool:
    """Whether a value is a number that float32 has; NaN and the infinities, which Python's JSON reads, are not."""
    return type(value) in (int, float) and abs(value) <= LARGEST


def shorten(value: object) -> str:
    """A value as a message shows it."""
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
