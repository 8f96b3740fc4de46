"""Lines of a manifest and texts of slices, whatever they say, become frames and slices or a refusal with its place."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from proving_ground.data.manifest import Frame, read_lines
from proving_ground.data.slices import load_slices
from proving_ground.errors import Refused

CATEGORIES = ["vehicle", "pedestrian"]
FRAME = {
    "source-ref": "images/000001.jpg",
    "width": 192,
    "height": 112,
    "attributes": {"timeofday": "night"},
    "segmentation-ref": "masks/000001.png",
    "detection": [{"category": "vehicle", "box": [1, 2, 30, 40.5], "crowd": False}],
    "lanes": [[[1, 2], [3, 4]]],
    "tracks": [{"past": [[0, 0], [1, 1]], "future": [[2, 2]], "category": "vehicle"}],
    "sequence": "drive-1",
    "captured": "2026-11-01T08:30:00Z",
}
TRACKS = {"id": "frame-1", "tracks": FRAME["tracks"]}
SLICES = "slices:\n  - { name: night, where: { timeofday: night }, category: vehicle, protected: true }\n"
MARKS = [
    *"{}[],:?-&*!|>'\"%@#~\n\t ",
    "- ",
    ": ",
    "<<: ",
    "---\n",
    "!!set {a}",
    "no",
    "0x1F",
    "__proto__",
    "[" * 40,
    "\ud800",
    "\0",
]

names = st.sampled_from(
    [*FRAME, "id", "box", "category", "crowd", "past", "future", "__proto__", "__class__"]
) | st.text(max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from([10**400, 1e308, "../x", "/etc/passwd", "2026-02-30", "9999-12-31T23:59-23:59", "0001-01-01"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=6,
)


def fuzzed(examples: int) -> Callable[[Any], Any]:
    """So many examples, of the seed that the run has printed."""
    chosen = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        # The folder is the same for all examples, each of which writes its file whole.
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    number = int(os.environ.get("SEED", "0"))
    return lambda test: seed(number)(chosen(test))


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line of a manifest: bytes, a value of any kind, or a good frame with parts replaced."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=60))
    if kind == 1:
        return encode(draw(values))
    return encode(draw(spoiled(draw(st.sampled_from([FRAME, TRACKS])), least=0, most=2)))


@st.composite
def spoiled(draw: st.DrawFn, good: Any, least: int, most: int) -> Any:
    """A copy of a document in which some things are replaced, renamed or taken out, so many times."""
    document = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(least, most))):
        holders = list(holders_of(document))
        holder, name = holders[draw(st.integers(0, len(holders) - 1))]
        if draw(st.booleans()):
            holder[name] = draw(values)
        elif isinstance(holder, dict):
            holder[draw(names)] = holder.pop(name)
        else:
            del holder[name]
    return document


def encode(value: object) -> bytes:
    # Also what JSON has no name for, and half characters, as a careless writer leaves them.
    return json.dumps(value).encode("utf-8", "surrogatepass")


def holders_of(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield value, name
        yield from holders_of(inner)


def check_frame(frame: Frame) -> None:
    """What was taken is what the rest of the trainer relies on."""
    assert isinstance(frame.source, str)
    assert frame.source
    assert all(isinstance(text, str) for text in frame.attributes.values())
    for label in frame.detection or []:
        assert label["category"] in CATEGORIES
        assert all(math.isfinite(number) for number in label["box"])
    for points in [*(frame.lanes or []), *(track["past"] for track in frame.tracks or [])]:
        assert all(len(point) == 2 and all(math.isfinite(number) for number in point) for point in points)
    if frame.has_image:
        assert ".." not in Path(frame.source).parts
        assert not Path(frame.source).is_absolute()


@fuzzed(2_000)
@given(line=lines())
def test_a_line_of_a_manifest_is_a_frame_or_refused_with_its_place(tmp_path: Path, line: bytes) -> None:
    check_line(tmp_path / "x.manifest", line)


@pytest.mark.soak
@fuzzed(100_000)
@given(line=lines())
def test_a_hundred_thousand_lines_of_a_manifest_are_too(tmp_path: Path, line: bytes) -> None:
    check_line(tmp_path / "x.manifest", line)


def check_line(file: Path, line: bytes) -> None:
    """Read it as a manifest's; nothing else is written beside it."""
    file.write_bytes(line)
    try:
        for _, frame in read_lines(file, CATEGORIES):
            check_frame(frame)
    except Refused as error:
        assert f"{file}, line " in str(error)
        # A message is shown in a log: text that can be encoded.
        str(error).encode()
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


@st.composite
def slice_texts(draw: st.DrawFn) -> bytes:
    """Good slices in which somebody has slipped."""
    place, kept = draw(st.integers(0, len(SLICES))), draw(st.integers(0, 12))
    parts = draw(st.lists(st.sampled_from(MARKS) | st.text(max_size=6), max_size=6))
    return (SLICES[:place] + "".join(parts) + SLICES[place + kept :]).encode("utf-8", "surrogatepass")


@fuzzed(300)
@given(text=slice_texts())
def test_a_text_of_slices_is_slices_or_refused_with_its_place(tmp_path: Path, text: bytes) -> None:
    check_slices(tmp_path / "slices.yaml", text)


@pytest.mark.soak
@fuzzed(20_000)
@given(text=slice_texts())
def test_twenty_thousand_texts_of_slices_are_too(tmp_path: Path, text: bytes) -> None:
    check_slices(tmp_path / "slices.yaml", text)


def check_slices(file: Path, text: bytes) -> None:
    """Read it as a dataset's slices; nothing else is written beside it."""
    file.write_bytes(text)
    try:
        for item in load_slices(file, None, CATEGORIES):
            assert isinstance(item["name"], str)
            assert isinstance(item["where"], dict)
    except Refused as error:
        assert str(file) in str(error)
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_good_lines_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "x.manifest"
    file.write_bytes(encode(FRAME) + b"\n" + encode(TRACKS))
    assert len(list(read_lines(file, CATEGORIES))) == 2
