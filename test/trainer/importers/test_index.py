"""A team's own index ..."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SOAK
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import by_sequence, frames_of, refusal
from indices import DETECTION, SIZE, Rows, rows_of, write

from proving_ground.importers.index import import_index
from proving_ground.importers.rows import read_rows

TRAINER = Path(__file__).parents[3] / "trainer"


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_is_read_by_its_columns(tmp_path: Path, form: str) -> None:
    import_index(write(tmp_path, rows_of(), form), tmp_path / "out")
    for split, frames in frames_of(tmp_path / "out", DETECTION).items():
        (frame,) = frames
        assert (frame.sequence, frame.captured) == (f"drive-{split}", date(2026, 11, 4))
        assert frame.attributes == {"camera": "front", "weather": "rain", "lanes": "3", "wet": "true"}
        assert frame.detection == [
            {"category": "car", "box": [8, 2, 20, 8], "crowd": False},
            {"category": "person", "box": [0, 0, 10, 5], "crowd": False},
        ]
        assert frame.lanes == [[[60, 19], [40, 10], [20, 2]]]
        assert frame.segmentation is None


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_says_by_nothing_that_nobody_labelled_a_frame_and_by_an_empty_list_that_nothing_is_there(
    tmp_path: Path, form: str
) -> None:
    rows = rows_of()
    rows[0] |= {"objects": [], "lines": [], "meta": None}
    rows[1] |= {"objects": None, "lines": None, "drive": None}
    import_index(write(tmp_path, rows, form), tmp_path / "out")
    frames = frames_of(tmp_path / "out", DETECTION)
    assert [(some[0].detection, some[0].lanes) for some in frames.values()][:2] == [([], []), (None, None)]
    assert (frames["train"][0].attributes, frames["val"][0].sequence) == ({}, None)


@pytest.mark.parametrize(
    ("form", "unit", "box"),
    [
        ("xyxy", "absolute", [4, 5, 30, 15]),
        ("xywh", "absolute", [4, 5, 26, 10]),
        ("xyxy", "normalised", [0.1, 0.25, 0.75, 0.75]),
        ("xywh", "normalised", [0.1, 0.25, 0.65, 0.5]),
    ],
)
def test_has_boxes_of_the_form_and_unit_that_the_recipe_names(
    tmp_path: Path, form: str, unit: str, box: list[float]
) -> None:
    rows = rows_of()
    for row in rows:
        row["objects"] = [{"box": box, "label": "car"}, {"box": box, "label": "dog"}]
    spec = write(tmp_path, rows)
    spec["columns"]["boxes"] |= {"form": form, "unit": unit}
    import_index(spec, tmp_path / "out")
    for frames in frames_of(tmp_path / "out", DETECTION).values():
        assert [label["box"] for label in frames[0].detection or []] == [[8, 5, 60, 15]] * 2


def test_tells_what_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        *rows_of(),
        {**rows_of()[0], "file": "other.png", "fold": "draft"},
        {**rows_of()[0], "file": "b.png", "fold": None},
    ]
    rows[0]["lines"] = [[[1, 1], [200, 3]], [[1, 1], [3, 3]]]
    rows[0]["objects"] += [{"box": [3, 3, 3.2, 9], "label": "car"}, {"box": [3, 3, 9, 9], "label": "cat"}]
    import_index(write(tmp_path, rows), tmp_path / "out")
    assert capsys.readouterr().out.splitlines()[:2] == [
        "no split: frames 0; left out: frames 2 (their fold is draft or empty).",
        "train: frames 1, boxes 2, lanes 1; left out: boxes 1 (less than a pixel wide or high in the frame), "
        "boxes 1 (of categories that the recipe leaves out), lanes 1 (fewer than two points in the image).",
    ]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_is_split_by_sequence(tmp_path: Path, form: str) -> None:
    rows = [{"file": f"{at}.png", "drive": at % 5, "time": datetime(2026, 11, 4 + at)} for at in range(10)]
    if form == "jsonl":
        rows = [{**row, "time": row["time"].isoformat()} for row in rows]
    spec = {**write(tmp_path, rows, form), "splits": by_sequence(), "labels": {}}
    spec["columns"] = {"image": "file", "sequence": "drive", "captured": "time"}
    import_index(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out", DETECTION)
    drives = {split: {frame.sequence for frame in some} for split, some in frames.items()}
    assert [len(some) for some in frames.values()] == [6, 2, 2]
    assert [len(some) for some in drives.values()] == [3, 1, 1]
    assert sorted(frame.captured.day for some in frames.values() for frame in some if frame.captured) == list(
        range(4, 14)
    )
    rows[7]["drive"] = None
    write(tmp_path, rows, form)
    said = refusal(import_index, spec, tmp_path / "again")
    assert f"frames.{form}, {'line' if form == 'jsonl' else 'row'} 8: drive is empty; splits.by is sequence" in said


def column(name: str, value: object) -> Callable[[Rows, dict[str, Any]], object]:
    """Changes a column of the second row."""
    return lambda rows, _: rows[1].update({name: value})


def objects(box: object, label: object = "car") -> Callable[[Rows, dict[str, Any]], object]:
    """Changes the objects of the second row."""
    return column("objects", [{"box": box, "label": label}])


def setting(**change: Any) -> Callable[[Rows, dict[str, Any]], object]:
    """Changes the settings of the columns."""
    return lambda _, spec: spec["columns"].update(change)


def normalised(rows: Rows, spec: dict[str, Any]) -> None:
    """Calls pixels normalised."""
    spec["columns"]["boxes"]["unit"] = "normalised"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (column("file", "pictures/train.png"), 'line 2: the image "pictures/train.png" has a row already; each'),
        (column("file", "./pictures//train.png"), 'line 2: the image "./pictures//train.png" has a row already'),
        (column("file", None), "line 2: the image null must be a path"),
        (column("file", "../a.png"), "line 2: found the file name '../a.png'"),
        (column("drive", {"a": 1}), 'line 2: found {"a": 1} for the attribute drive; it must be a string'),
        (column("meta", {"time": "yesterday"}), 'line 2: meta.time: found "yesterday"; it must be a day or a time'),
        (objects([1, 2, 3]), "line 2: boxes[0]: found [1, 2, 3]; a box must be four finite numbers"),
        (objects([1, 2, 3, "4"]), 'line 2: boxes[0]: found [1, 2, 3, "4"]; a box must be four finite numbers'),
        (objects([5, 2, 3, 4]), "line 2: boxes[0]: found [5, 2, 3, 4], whose width or height is negative as xyxy"),
        (objects([1, 2, 3, 4], None), "line 2: boxes: found null for the attribute category"),
        (column("objects", 5), "line 2: objects.label: found 5; it must be an object, or a list of them"),
        (column("lines", [[[1, 2], [3]]]), "line 2: lanes[0][1]: found [3]; a point must be [x, y]"),
        (column("lines", 5), "line 2: lanes: found 5; it must be a list of lanes"),
        (normalised, "line 1: boxes[0]: found [4, 2, 10, 8]; a normalised coordinate lies between 0 and 1"),
        (setting(camera="meta.camera"), "frames.jsonl: no row has anything in meta.camera; columns must name what is"),
        (setting(mask="a", segments={}), "columns: found both mask and segments"),
        (
            lambda _, spec: spec.update(labels={"person": ["dogs"]}),
            "no label is named dogs (for person); there are car, dog",
        ),
        (
            lambda _, spec: spec.update(labels={"rider": ["dog"]}),
            "labels: found rider; the recipe's categories are car",
        ),
        (
            lambda _, spec: spec["splits"].update(val=["v"]),
            "no row's fold is v (splits.val); there are test (1), train (1)",
        ),
        (
            lambda _, spec: spec["splits"].update(val=["train"]),
            "train is in both train and val; a value is one split's",
        ),
        (lambda rows, _: rows.clear(), "frames.jsonl: it has no rows"),
    ],
)
def test_is_refused_by_row_and_column(
    tmp_path: Path, change: Callable[[Rows, dict[str, Any]], object], message: str
) -> None:
    rows = rows_of()
    spec = write(tmp_path, rows)
    change(rows, spec)
    (tmp_path / "frames.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert message in refusal(import_index, spec, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"{}\n{", "a.jsonl, line 2: not JSON"),
        ("a.jsonl", b"{}\n5\n", "a.jsonl, line 2: a row must be an object"),
        ("a.jsonl", b'{"x": NaN}', "a.jsonl, line 1: not JSON: NaN is no JSON"),
        ("a.jsonl", "{}".encode("utf-16"), "a.jsonl, line 1: the file is UTF-16"),
        ("a.jsonl", b'{}\n{"x": "\xe4"}', "a.jsonl, line 2: found bytes that are not UTF-8"),
        ("a.parquet", b"PAR1", "a.parquet: can't be read as Parquet"),
        ("a.csv", b"", "a.csv: found the suffix '.csv'; an index must be .jsonl, .ndjson or .parquet"),
    ],
)
def test_is_a_file_of_rows(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        list(read_rows(tmp_path / name, [], lambda _: True))


def test_of_parquet_lacks_no_column(tmp_path: Path) -> None:
    spec = write(tmp_path, rows_of(), "parquet")
    spec["columns"]["boxes"]["column"] = "objects.bbox"
    said = refusal(import_index, spec, tmp_path / "out")
    assert "frames.parquet: there is no column objects.bbox; there are file, fold, drive, meta, objects, lines" in said


def test_of_parquet_says_what_to_install_where_nothing_reads_it(tmp_path: Path) -> None:
    spec = write(tmp_path, rows_of(), "parquet")
    program = "import sys; sys.modules['pyarrow'] = None; from proving_ground.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "import", "index", "--spec", "-", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, input=json.dumps(spec), cwd=TRAINER, capture_output=True, text=True, check=False)
    assert done.returncode == 65
    assert "frames.parquet: Parquet is read by the package pyarrow" in done.stderr
    assert "requirements-parquet.txt" in done.stderr


def test_needs_no_more_memory_for_more_rows(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from proving_ground.importers.index import look_through
from proving_ground.importers.record import Record
import json
spec = json.load(sys.stdin)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
index = look_through(spec, Record())
print(len(index.splits), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    row = json.dumps({"file": "FILE", "fold": "train", "notes": "x" * 2000})
    with (tmp_path / "frames.jsonl").open("w") as file:
        for at in range(30_000):
            file.write(row.replace("FILE", f"{at}.png").replace("train", ("train", "val", "test")[at % 3]) + "\n")
    spec = {
        "file": str(tmp_path / "frames.jsonl"),
        "columns": {"image": "file"},
        "splits": {"column": "fold", "train": ["train"], "val": ["val"], "test": ["test"]},
        "categories": {"detection": [], "segmentation": []},
    }
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=json.dumps(spec), cwd=TRAINER, capture_output=True, text=True, check=True)
    rows, kilobytes = map(int, done.stdout.split())
    assert rows == 30_000
    # The file has 60 megabytes.
    assert kilobytes < 20_000


number = st.floats(-0.5, 1.5, width=32)
sides = st.tuples(number, number, number, number).map(lambda it: (*map(min, it[:2], it[2:]), *map(max, it[:2], it[2:])))


@settings(derandomize=True, deadline=None, max_examples=500 if SOAK else 30)
@given(
    st.lists(st.tuples(sides, st.sampled_from(["car", "dog", "cat"])), max_size=4),
    st.sampled_from(["xyxy", "xywh"]),
    st.sampled_from(["absolute", "normalised"]),
)
def test_has_its_boxes_where_they_were(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple[Any, str]], form: str, unit: str
) -> None:
    root = tmp_path_factory.mktemp("index")
    rows = rows_of()
    rows[0]["objects"] = []
    for (x1, y1, x2, y2), label in boxes:
        scale = np.array([1, 1, 1, 1] if unit == "normalised" else [*SIZE, *SIZE])
        box = (np.array([x1, y1, x2, y2] if form == "xyxy" else [x1, y1, x2 - x1, y2 - y1]) * scale).tolist()
        rows[0]["objects"].append({"box": box, "label": label})
    for row in rows[1:]:
        row["objects"] = [{"box": [0, 0, 1, 1], "label": label} for label in ("car", "dog")]
    spec = write(root, rows)
    spec["columns"]["boxes"] |= {"form": form, "unit": unit}
    import_index(spec, root / "out")
    expected = []
    for box, label in boxes:
        x1, y1, x2, y2 = (np.clip(box, 0, 1) * np.array([2 * SIZE[0], SIZE[1]] * 2)).tolist()
        if label != "cat" and x2 - x1 >= 1 and y2 - y1 >= 1:
            expected.append((x1, y1, x2, y2))
    found = frames_of(root / "out", DETECTION)["train"][0].detection or []
    counts = json.loads((root / "out/importer.json").read_text())["counts"]["train"].get("boxes", {})
    assert sum(counts.values()) == len(boxes)
    assert counts.get("written", 0) == len(found)
    near = [box for box in expected if min(box[2] - box[0], box[3] - box[1]) > 1.001]
    assert len(near) <= len(found) <= len(expected)
    if len(found) == len(expected):
        assert all(
            np.abs(np.subtract(label["box"], box)).max() < 0.01 for label, box in zip(found, expected, strict=True)
        )
