"""What a source says of a frame beside its labels becomes a manifest's fields: attributes, drive, day, camera."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from proving_ground.data.manifest import parse_captured, shorten
from proving_ground.errors import Refused

# Other ways in which tools write a time: EXIF's, and with slashes.
TIMES = ("%Y:%m:%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d")
# A number is seconds, milliseconds, microseconds or nanoseconds since 1970 where that is in 2000 to 2099.
UNITS = (1, 10**3, 10**6, 10**9)
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp()
CAMERA = ("camera", "camera_name", "cameraName")


def attributes_of(entry: Mapping[str, Any], place: str) -> dict[str, str]:
    """Attributes of a source's frame as strings, and its camera as one of them; what is null isn't there.

    Raises:
        Refused: an attribute is a list or an object; the message names the frame.
    """
    found = entry.get("attributes")
    found = {} if found is None else found
    if not isinstance(found, dict):
        raise Refused(f"{place}: found the attributes {shorten(found)}; it must be an object of strings.")
    camera = next((entry[key] for key in CAMERA if entry.get(key) is not None), None)
    whole = {"camera": camera, **found} if camera is not None else found
    return {name: text_of(value, name, place) for name, value in whole.items() if value is not None}


def text_of(value: object, name: str, place: str) -> str:
    """A string, a number or a truth value as a string: true, 17, 0.5."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        # To JSON 17 and 17.0 are one number.
        return str(int(value)) if value.is_integer() else repr(value)
    raise Refused(
        f"{place}: found {shorten(value)} for the attribute {name}; it must be a string, a number, true or false."
    )


def sequence_of(entry: Mapping[str, Any], *keys: str) -> str | None:
    """The name of the drive under the first of some keys that says one."""
    for key in keys:
        if isinstance(entry.get(key), str | int | float) and entry[key] != "":
            return text_of(entry[key], key, key)
    return None


def captured_of(value: object) -> str | None:
    """A day or time as a manifest has it; None for what is no date: a time in the video, zeros, a word."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        for unit in UNITS:
            if FIRST <= value / unit < LAST:
                return datetime.fromtimestamp(value // unit, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return None
    if not isinstance(value, str):
        return None
    for text in (value, *read_times(value)):
        try:
            parse_captured(text)
        except Refused:
            continue
        return text
    return None


def read_times(text: str) -> Iterable[str]:
    """A time in other forms than the manifest's, as the manifest has it."""
    for parse in (datetime.fromisoformat, *(lambda it, form=form: datetime.strptime(it, form) for form in TIMES)):
        try:
            yield parse(text.strip()).isoformat()
        except ValueError:
            continue


def fields(attributes: dict[str, str], sequence: str | None, captured: str | None) -> dict[str, Any]:
    """The fields of a manifest's line; those that the source doesn't say are not there."""
    said = {"sequence": sequence, "captured": captured}
    return {"attributes": attributes, **{name: value for name, value in said.items() if value is not None}}


def refuse_absent(
    where: str, setting: str, wanted: Sequence[str], known: Iterable[str], synonyms: Mapping[str, str]
) -> None:
    """Refuse wanted categories that a source doesn't have, with what it has and the nearest names."""
    there = sorted(set(known))
    absent = [name for name in wanted if name not in there]
    if not absent:
        return
    near = []
    for name in absent:
        other = synonyms.get(name)
        matches = [other] if other in there else difflib.get_close_matches(name, there, n=1)
        near += [f"{match} for {name}" for match in matches]
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise Refused(
        f"{where}: {setting} names {', '.join(absent)}, which they lack; they have {', '.join(there) or 'none'}.{hint}"
    )
