"""A line of a manifest ..."""

import json
import tracemalloc
from pathlib import Path

import jsonschema
import pytest

from proving_ground.data.manifest import MOST_LINE, read_lines
from proving_ground.errors import Refused
from proving_ground.schema import SCHEMAS

CASES = json.loads((Path(__file__).parents[1] / "contract/frames.json").read_text())
MANIFESTS = json.loads((Path(__file__).parents[1] / "contract/manifests.json").read_text())
FIRST = '{"id": "first", "tracks": []}'
# What a schema can't say: numbers that depend on others, a day that is in no calendar, what is no JSON at all.
BEYOND = {
    *("a box without area", "a box the wrong way round", "tracks of two lengths", "captured on no day"),
    *("captured in words", "no JSON", "two values", "NaN", "a byte order mark", "a box that is infinite"),
}


def read(folder: Path, *lines: str) -> int:
    """How many frames there are in such lines."""
    file = folder / "golden.manifest"
    file.write_text("\n".join(lines), encoding="utf-8")
    return len(list(read_lines(file, None)))


@pytest.mark.parametrize("name", CASES["accepted"])
def test_is_taken(tmp_path: Path, name: str) -> None:
    line = CASES["accepted"][name]
    assert read(tmp_path, "  \t", line, "") == 1
    schema = json.loads((SCHEMAS / "frame.schema.json").read_text())
    jsonschema.validate(json.loads(line), schema)


@pytest.mark.parametrize("name", CASES["refused"])
def test_is_refused_with_its_file_and_line(tmp_path: Path, name: str) -> None:
    line = CASES["refused"][name]
    with pytest.raises(Refused, match=r"golden\.manifest, line 2: ."):
        read(tmp_path, FIRST, line)
    if name not in BEYOND:
        schema = json.loads((SCHEMAS / "frame.schema.json").read_text())
        assert not jsonschema.Draft7Validator(schema).is_valid(json.loads(line))


def test_of_hundreds_of_megabytes_fills_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "golden.manifest"
    with file.open("wb") as manifest:
        manifest.write(f"{FIRST}\n".encode())
        manifest.truncate(600_000_000)
    tracemalloc.start()
    with pytest.raises(Refused, match=rf"golden\.manifest, line 2: the line has more than {MOST_LINE} bytes"):
        list(read_lines(file, None))
    assert tracemalloc.get_traced_memory()[1] < 4 * MOST_LINE
    tracemalloc.stop()


def test_is_not_looked_for_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "golden.manifest").mkdir()
    with pytest.raises(Refused, match=r"golden\.manifest: can't be read \(Is a directory\)"):
        list(read_lines(tmp_path / "golden.manifest", None))


@pytest.mark.parametrize("name", MANIFESTS)
def test_is_read_by_its_bytes_as_the_plan_reads_it(tmp_path: Path, name: str) -> None:
    case, file = MANIFESTS[name], tmp_path / "golden.manifest"
    file.write_bytes(case["text"].encode(case.get("encoding", "utf8")))
    if "refused" in case:
        with pytest.raises(Refused, match=rf"golden\.manifest, line {case['refused']}: ."):
            list(read_lines(file, None))
    else:
        assert len(list(read_lines(file, None))) == case["frames"]


def test_of_another_encoding_names_it(tmp_path: Path) -> None:
    file = tmp_path / "golden.manifest"
    file.write_bytes(FIRST.encode("utf-16"))
    with pytest.raises(Refused, match=r"line 1: the file is UTF-16 \(PowerShell writes that\); save it as UTF-8"):
        list(read_lines(file, None))
    file.write_bytes('{"id": "Köln", "tracks": []}'.encode("latin1"))
    with pytest.raises(Refused, match=r"line 1: found bytes that are not UTF-8"):
        list(read_lines(file, None))


def test_line_is_handed_on_without_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "golden.manifest"
    file.write_text("\ufeff" + FIRST, encoding="utf-8")
    assert next(read_lines(file, None))[0] == FIRST.encode()
