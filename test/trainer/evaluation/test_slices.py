"""The slices ..."""

from pathlib import Path

import numpy as np
import pytest

from proving_ground.data.slices import load_slices, select_frames
from proving_ground.errors import Refused
from proving_ground.files import digest

CATEGORIES = ("vehicle", "pedestrian")


def load(folder: Path, text: str | bytes, expected: str | None = None) -> list[dict]:
    """Write and read slices.yaml."""
    file = folder / "slices.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_slices(file, expected, CATEGORIES)


def refusal(folder: Path, text: str | bytes) -> str:
    """What a person reads who wrote this."""
    with pytest.raises(Refused) as caught:
        load(folder, text)
    return str(caught.value).replace(f"{folder}/", "")


def test_are_read_with_every_key(tmp_path: Path) -> None:
    text = """# the frames that are judged on their own
slices:
  - { name: night, where: { timeofday: night }, protected: true }
  - name: wet-pedestrian
    where: { weather: [rain, 'fog'], scene: no }
    category: pedestrian
"""
    assert load(tmp_path, text) == [
        {"name": "night", "where": {"timeofday": "night"}, "category": None, "protected": True},
        {
            "name": "wet-pedestrian",
            "where": {"weather": ["rain", "fog"], "scene": "no"},
            "category": "pedestrian",
            "protected": False,
        },
    ]
    assert load(tmp_path, "slices: []") == []


def test_choose_the_frames_that_meet_every_condition() -> None:
    slices = [
        {"name": "night", "where": {"timeofday": "night"}, "category": None, "protected": True},
        {"name": "wet", "where": {"weather": ["rain", "fog"]}, "category": None, "protected": False},
        {"name": "wet-night", "where": {"timeofday": "night", "weather": ["rain", "fog"]}, "category": "vehicle"}
        | {"protected": False},
    ]
    frames = [
        {"timeofday": "night", "weather": "rain"},
        {"timeofday": "night", "weather": "clear"},
        {"timeofday": "day", "weather": "fog"},
        {"weather": "rain"},
        {},
    ]
    found = {item.name: item.frames.tolist() for item in select_frames(slices, frames)}
    assert found == {
        "night": [True, True, False, False, False],
        "wet": [True, False, True, True, False],
        "wet-night": [True, False, False, False, False],
    }
    assert [item.protected for item in select_frames(slices, frames)] == [True, False, False]
    assert select_frames(slices, [])[0].frames.dtype == np.bool_


def test_are_those_that_the_run_was_planned_with(tmp_path: Path) -> None:
    text = "slices:\n- name: night\n  where: {timeofday: night}\n"
    load(tmp_path, text)
    expected = digest(tmp_path / "slices.yaml")
    assert len(load(tmp_path, text, expected)) == 1
    with pytest.raises(Refused, match="it has changed since the run was planned"):
        load(tmp_path, text + "# one word more\n", expected)
    with pytest.raises(Refused, match="can't be read"):
        load_slices(tmp_path / "absent.yaml", None, CATEGORIES)


def test_name_every_problem_with_its_place_what_was_found_and_what_is_allowed(tmp_path: Path) -> None:
    text = """slices:
- name: Night Time
  where: {timeofday: night}
- name: night
  where: {timeofday: 3, weather: [], scene: [city, yes, true]}
  categroy: pedestrian
- {name: night, where: {timeofday: night}, category: pedestrain, protected: yes}
- where: night
- name: empty
  where: {}
- just a word
- name: twice
  name: once
  where: {timeofday: {is: night}}
"""
    assert (
        refusal(tmp_path, text)
        == """\
slices.yaml:2:9: found Night Time for name; allowed: lower-case letters, digits, single hyphens, at most 40 characters
slices.yaml:5:22: found 3 for timeofday; allowed: a string, or a list of at least one, in quotes if needed
slices.yaml:5:34: found nothing for weather; allowed: a string, or a list of at least one
slices.yaml:5:57: found true for scene; allowed: a string, in quotes if needed
slices.yaml:6:3: found the key categroy; allowed: name, where, category, protected (did you mean category?)
slices.yaml:7:3: found the slice night twice; keep one
slices.yaml:7:54: found pedestrain for category; allowed: vehicle, pedestrian (did you mean pedestrian?)
slices.yaml:7:77: found yes for protected; allowed: true or false
slices.yaml:8:3: name is missing
slices.yaml:8:10: found night for where; allowed: a mapping with attributes
slices.yaml:10:10: found nothing for where; allowed: at least one attribute and its value
slices.yaml:11:3: found just a word for a slice; allowed: a mapping with name, where
slices.yaml:13:3: found the key name twice; keep one
slices.yaml:14:22: found a mapping for timeofday; allowed: a string, or a list of at least one"""
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "slices.yaml: the file is empty; it must have one key, slices, with a list"),
        ("- a\n", "slices.yaml:1:1: found a list for slices.yaml; allowed: a mapping with slices"),
        ("slices: night\n", "slices.yaml:1:9: found night for slices; allowed: a list of slices"),
        ("slice: []\n", "slices.yaml:1:1: found the key slice; allowed: slices (did you mean slices?)"),
        ("slices: &a []\n", "slices.yaml:1:9: found an anchor or alias; write the value out where it is used"),
        ("slices: *a\n", "slices.yaml:1:9: found an anchor or alias; write the value out where it is used"),
        ("slices: !!seq []\n", "slices.yaml:1:9: found the tag tag:yaml.org,2002:seq; plain values need none"),
        ("slices: []\n---\nslices: []\n", "slices.yaml: not YAML: expected a single document in the stream"),
        ("slices: [\n", "slices.yaml: not YAML: while parsing a flow node"),
        (b"slices: [\xff]\n", "slices.yaml: not YAML: 'utf-8' codec can't decode byte 0xff"),
        ("slices: " + "[" * 20000, "slices.yaml:1:16: the file is nested too deeply; slices are at most 5 deep"),
        ("#" * 70000, "slices.yaml: the file has 70000 bytes; at most 65536 are read"),
    ],
)
def test_are_refused_with_a_sentence(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)
