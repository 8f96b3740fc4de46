"""A manifest ..."""

import json
from pathlib import Path
from typing import Any

import pytest
from imports import SPLITS, refusal

from proving_ground.data.manifest import Frame, read_manifest
from proving_ground.importers.writing import write_dataset


def test_is_written_without_a_line_that_a_reader_refuses(tmp_path: Path) -> None:
    spec = {"slices": [], "categories": {"detection": ["car"], "segmentation": []}}
    for line, message in (
        ({"source-ref": "a.png"}, "width is missing"),
        ({"id": "a", "tracks": [], "captured": "today"}, 'captured: found "today"'),
        ({"id": "a", "tracks": [], "attributes": {"speed": float("nan")}}, "not JSON compliant"),
        ({"id": "a", "tracks": [], "attributes": {"text": "a" * (16 << 20)}}, "at most 16777216 are read"),
        ({"source-ref": "a.png", "width": 9, "height": 9, "detection": [BOX]}, "found the category 'rider'"),
    ):

        def write(spec: dict[str, Any], out: Path, line: dict[str, Any] = line) -> None:
            write_dataset(out, spec, dict.fromkeys(SPLITS, 1), lambda *_: line, place="{0} {1} of the source".format)

        said = refusal(write, spec, tmp_path / "out")
        assert said.startswith("train 0 of the source: ")
        assert message in said


BOX = {"category": "rider", "box": [0, 0, 1, 1]}
TRACK = {"past": [[0, 0], [1, 1]], "future": [[2, 2]]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([], "found []; a frame must be an object"),
        ({"source-ref": "/etc/a.png"}, "source-ref: '/etc/a.png' leads out of the dataset's folder"),
        ({"source-ref": "images/../../a.png"}, "source-ref: 'images/../../a.png' leads out"),
        ({"source-ref": 5}, "source-ref: found 5; it must be a path inside the dataset's folder"),
        ({"segmentation-ref": "../a.png"}, "segmentation-ref: '../a.png' leads out"),
        ({"width": "96"}, 'width: found "96"; it must be a whole number of pixels, 1 or more'),
        ({"height": 0}, "height: found 0; it must be a whole number of pixels, 1 or more"),
        ({"sequence": 5}, "sequence: found 5; it must be the name of a drive"),
        ({"sequence": ""}, 'sequence: found ""; it must be the name of a drive'),
        ({"attributes": {"weather": None}}, 'attributes: found {"weather": null}; it must be an object of strings'),
        ({"detection": {}}, "detection: found {}; it must be a list"),
        ({"detection": [{**BOX, "box": [0, 0, 1]}]}, "detection[0]: the box [0, 0, 1] is not four finite numbers"),
        ({"detection": [{**BOX, "box": [0, 0, float("nan"), 1]}]}, "NaN is no JSON"),
        ({"detection": [{**BOX, "box": [0, 0, 1e39, 1]}]}, "is not four finite numbers"),
        ({"detection": [{**BOX, "crowd": 1}]}, "detection[0]: category must be a string, and crowd true or false"),
        ({"lanes": [[[1, 2], [3]]]}, "lanes[0][1]: found [3]; a point must be [x, y], two finite numbers"),
        ({"lanes": [[[1, 2], [3, True]]]}, "lanes[0][1]: found [3, true]"),
        ({"lanes": ["a"]}, 'lanes[0]: found "a"; it must be a list of points [x, y]'),
        ({"tracks": [{"past": [[0, 0]], "future": [[2, 2]]}]}, "tracks[0].past: found 1 points; allowed: 2 or more"),
        ({"tracks": [{**TRACK, "future": []}]}, "tracks[0].future: found 0 points; allowed: 1 or more"),
        ({"tracks": [{"past": [[0, 0], [1, 1]]}]}, "future is missing"),
        ({"tracks": [{**TRACK, "category": 3}]}, "tracks[0].category: found 3; it must be a string"),
        (
            {"tracks": [TRACK, {**TRACK, "future": [[2, 2], [3, 3]]}]},
            "tracks[1]: found 2 past and 2 future points; the file's first track has 2 and 1",
        ),
    ],
)
def test_is_refused_at_a_line_that_says_something_else(tmp_path: Path, line: Any, message: str) -> None:
    good = {"source-ref": "images/a.png", "width": 96, "height": 64, "detection": [BOX], "tracks": [TRACK]}
    bad = {**good, **line} if isinstance(line, dict) else line
    (tmp_path / "golden_train.manifest").write_text(f"{json.dumps(good)}\n\n{json.dumps(bad)}\n")
    with pytest.raises(ValueError) as refused:
        read_manifest(tmp_path / "golden_train.manifest", None, ["rider"])
    assert "golden_train.manifest, line 3: " in str(refused.value)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": 5, "tracks": []}, "id: found 5; it must be a string"),
        ({"id": "a"}, "tracks is missing"),
        ({"id": "a", "tracks": [], "width": 5}, "width: a frame with an id and no source-ref may only have tracks"),
        ({"tracks": []}, "source-ref is missing"),
    ],
)
def test_has_frames_without_an_image_for_their_tracks_alone(tmp_path: Path, line: Any, message: str) -> None:
    file = tmp_path / "golden_train.manifest"
    file.write_text(json.dumps({"id": "square:10", "attributes": {"scene": "square"}, "tracks": [TRACK]}) + "\n")
    assert read_manifest(file, None, []) == [Frame(source="square:10", attributes={"scene": "square"}, tracks=[TRACK])]
    file.write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match=f"line 1: {message}"):
        read_manifest(file, None, [])
