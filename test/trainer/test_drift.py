"""The drift guard, ..."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ranks import PATIENCE_SECONDS, TRAINER

from proving_ground.data.example import Example
from proving_ground.data.profile import check_profile, frame_statistics, make_profile
from proving_ground.drift import check_drift, compare, measure, result, start_check
from proving_ground.errors import LostWorker, Refused
from proving_ground.preflight import watch_drift

CATEGORIES = ["vehicle", "pedestrian", "rider"]


def draw(seed: int, frames: int = 256, **change: Any) -> list[dict[str, Any]]:
    """Statistics of frames as a dataset might have them; `change` moves one of them."""
    rng = np.random.default_rng(seed)
    settings = {"light": 0.0, "size": 0.0, "mix": (0.7, 0.2, 0.1), "rain": 0.2, "speed": 1.0, "extra": {}, **change}
    drawn = []
    for _ in range(frames):
        boxes = int(rng.poisson(4))
        drawn.append(
            {
                "brightness": rng.normal(100 + settings["light"], 20),
                "contrast": rng.gamma(9, 5),
                "sharpness": rng.normal(2, 0.4),
                "boxes": boxes,
                "box_size": rng.normal(-0.5 + settings["size"], 0.6, boxes).tolist(),
                "class": rng.choice(CATEGORIES, boxes, p=settings["mix"]).tolist(),
                "speed": (rng.lognormal(1, 0.5, 2) * settings["speed"]).tolist(),
                "path_length": rng.exponential(20, 2).tolist(),
                "attributes": {"weather": "rain" if rng.random() < settings["rain"] else "clear", **settings["extra"]},
            }
        )
    return drawn


def profile(seed: int, frames: int = 256, **change: Any) -> dict[str, Any]:
    """The profile of such frames."""
    return make_profile(draw(seed, frames, **change), "scenes", f"v{seed}", (192, 112))


@pytest.mark.parametrize("seed", range(5))
def test_finds_nothing_between_frames_of_one_distribution(seed: int) -> None:
    found = compare(profile(2 * seed + 10), profile(2 * seed + 11))
    assert (found["drifted"], found["share"], found["sentences"]) == ([], 0.0, [])
    assert [item["column"] for item in found["columns"]] == [
        *("brightness", "contrast", "sharpness", "boxes", "box_size", "class", "speed", "path_length"),
        "attributes/weather",
    ]
    assert all(0 < item["value"] < item["threshold"] for item in found["columns"])


@pytest.mark.parametrize(
    ("change", "column", "sentence"),
    [
        ({"light": -30}, "brightness", r"brightness: mean 10\d → \d\d, drift 1\.\d\d \(allowed 0\.\d\d\)"),
        ({"size": -0.6}, "box_size", r"box size: mean 0\.\d+ % of the image → 0\.0\d+ % of the image, drift .*"),
        ({"mix": (0.4, 0.5, 0.1)}, "class", r"class: pedestrian \d\d % → \d\d %, drift 0\.2\d \(allowed 0\.1\d\)"),
        ({"rain": 0.6}, "attributes/weather", r"attribute weather: clear \d\d % → \d\d %, drift 0\.\d\d \(allowed .*"),
        ({"speed": 2}, "speed", r"speed: mean 3\.\d m/s → [56]\.\d m/s, drift .*"),
    ],
)
def test_finds_and_names_what_has_drifted(change: dict[str, Any], column: str, sentence: str) -> None:
    found = compare(profile(1), profile(2, **change))
    assert found["drifted"] == [column]
    assert found["share"] == round(1 / 9, 4)
    assert len(found["sentences"]) == 1
    assert re.fullmatch(sentence, found["sentences"][0]), found["sentences"]


def test_needs_less_drift_where_there_are_more_frames() -> None:
    few, many = (compare(profile(1, frames), profile(2, frames, light=-5)) for frames in (256, 3000))
    assert (few["drifted"], many["drifted"]) == ([], ["brightness"])


def test_tells_columns_and_values_that_one_side_has_alone() -> None:
    mix = (0.6, 0.2, 0.2)
    old = profile(1, extra={"camera": "left"})
    new = profile(2, mix=mix, extra={"lighting": "dim"})
    new["columns"]["class"]["counts"]["tram"] = new["columns"]["class"]["counts"].pop("rider")
    del new["columns"]["path_length"]
    found = compare(old, new)
    alone = {item["column"]: item["note"] for item in found["columns"] if item["value"] is None}
    assert alone == {
        "path_length": "only in the reference",
        "attributes/camera": "only in the reference",
        "attributes/lighting": "only in these data",
    }
    assert found["drifted"] == ["class"]
    said = "\n".join(found["sentences"])
    assert re.search(r"^class: tram is new, \d\d % of these data$", said, re.MULTILINE)
    assert re.search(r"^class: rider has gone, \d+(\.\d)? % of the reference$", said, re.MULTILINE)
    assert "attribute camera: only in the reference" in said
    assert "attribute lighting: only in these data" in said


def test_says_nothing_of_a_rare_value_that_chance_leaves_out() -> None:
    old, new = profile(1), profile(2)
    old["columns"]["attributes/weather"]["counts"]["snow"] = 1
    assert compare(old, new)["sentences"] == []


@pytest.mark.parametrize(("before", "now"), [(256, 29), (29, 256), (1, 1)])
def test_never_judges_by_a_handful_of_frames(before: int, now: int) -> None:
    found = compare(profile(1, before), profile(2, now, light=-100, size=-2, rain=1.0))
    assert (found["drifted"], found["share"]) == ([], 0.0)
    assert found["sentences"] == [f"{now} frames against {before} in the reference: too few to tell (both need 30)."]


def test_counts_the_frames_of_a_column_and_not_its_objects() -> None:
    # One frame with a thousand boxes says no more of the others than any frame.
    crowded = draw(2)
    crowded[0]["box_size"] = [1.5] * 1000
    found = compare(profile(1), make_profile(crowded, "scenes", "v2", (192, 112)))
    notes = {item["column"]: item["note"] for item in found["columns"] if item["note"]}
    assert list(notes) == ["box_size"]
    assert notes["box_size"].startswith("too few frames to tell: ")


def test_takes_a_spread_that_appears_for_what_it_is() -> None:
    # Evidently divides by the reference's standard deviation, here none.
    same, few, many = draw(1), draw(2), draw(3)
    for number, frame in enumerate(same):
        frame["boxes"], few[number]["boxes"], many[number]["boxes"] = 1, 1 + (number < 3), 1 + (number < 128)
    old, rare, common = (make_profile(frames, "scenes", "v", (192, 112)) for frames in (same, few, many))
    assert compare(old, rare)["drifted"] == []
    assert compare(old, common)["drifted"] == ["boxes"]


def test_compares_sharpness_at_one_size_alone() -> None:
    other = make_profile(draw(2), "scenes", "v2", (640, 384))
    note = "measured at 192x112 in the reference and at 640x384 now"
    found = {item["column"]: item["note"] for item in compare(profile(1), other)["columns"]}
    assert [name for name, text in found.items() if text == note] == ["sharpness"]


def test_takes_an_identifier_for_no_category() -> None:
    frames = [draw(seed) for seed in (1, 2)]
    for side, statistics in enumerate(frames):
        for number, frame in enumerate(statistics):
            frame["attributes"]["sequence"] = f"{side}-{number}"
    found = compare(*(make_profile(statistics, "scenes", "v", (192, 112)) for statistics in frames))
    assert found["sentences"] == ["attribute sequence: too many values to compare: 256 against 256"]


def test_makes_one_profile_of_frames_in_any_order_that_survives_json() -> None:
    statistics = draw(1, 700)
    made = make_profile(statistics, "scenes", "v1", (192, 112))
    assert json.dumps(make_profile(statistics[::-1], "scenes", "v1", (192, 112))) == json.dumps(made)
    assert check_profile(json.loads(json.dumps(made, allow_nan=False)), "profile") == made
    assert {len(item["values"]) for item in made["columns"].values() if item["kind"] == "numeric"} == {512}
    brightness = made["columns"]["brightness"]
    everything = [frame["brightness"] for frame in statistics]
    assert np.quantile(brightness["values"], 0.25) == pytest.approx(np.quantile(everything, 0.25), abs=0.5)
    assert brightness["mean"] == pytest.approx(np.mean(everything), rel=1e-4)
    assert made["columns"]["class"]["count"] == sum(frame["boxes"] for frame in statistics)


def test_bounds_the_size_of_a_profile() -> None:
    statistics = draw(1, 3000)
    for number, frame in enumerate(statistics):
        frame["class"] = [f"class {index}" for index in range(80)]
        frame["attributes"] = {f"{key:03d}": f"{number % 32}" * 100 for key in range(100)}
    made = make_profile(statistics, "scenes", "v1", (192, 112))
    assert len(json.dumps(made, indent=2)) < 150_000


def damage(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of one entry of a profile."""

    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for key in parents:
            document = document[key]
        document[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damage("schema", 2), "the data profile has schema 2, but this version reads 1"),
        (lambda document: document.clear(), "not a data profile: KeyError('schema')"),
        (lambda document: document.pop("frames"), "not a data profile: KeyError('frames')"),
        (damage("columns", []), "not a data profile: AttributeError"),
        (damage("columns.brightness.values", []), "a damaged data profile"),
        (damage("columns.brightness.values", [float("nan")]), "a damaged data profile"),
        (damage("columns.brightness.values", "bright"), "a damaged data profile"),
        (damage("columns.brightness.kind", "categorical"), "not a data profile: KeyError('counts')"),
        (damage("columns.class.counts", {"vehicle": "many"}), "a damaged data profile"),
        (damage("columns.class.independent", 0), "a damaged data profile"),
        (damage("columns.class.count", "1"), "not a data profile: TypeError"),
    ],
)
def test_refuses_a_profile_that_is_damaged_or_of_another_schema(
    change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("reference.json", "current.json")]
    documents = [profile(1, 40), profile(2, 40)]
    change(documents[0])
    for file, document in zip(files, documents, strict=True):
        file.write_text(json.dumps(document))
    with pytest.raises(Refused, match=re.escape(f"{files[0]}: {message}")):
        check_drift(*files, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_refuses_a_profile_of_nothing() -> None:
    with pytest.raises(Refused, match="scenes: a data profile needs at least one frame, found none"):
        make_profile([], "scenes", "v1")


def example(**labels: Any) -> Example:
    """An image of 8x10 pixels, black on the left and white on the right, with labels."""
    image = np.zeros((8, 10, 3), dtype=np.uint8)
    image[:, 5:] = 255
    return Example(image=image, **labels)


def test_measures_an_image_and_its_boxes() -> None:
    boxes = np.array([[0, 0, 4, 2], [0, 0, 10, 8], [1, 1, 3, 3]], dtype=np.float32)
    labels = {"boxes": boxes, "categories": np.array([1, 0, 2]), "crowd": np.array([False, True, False])}
    found = frame_statistics(example(**labels), {"weather": "rain"}, CATEGORIES)
    # Two columns of six, inside the border, have a Laplacian of 255 and -255.
    assert found == {
        "attributes": {"weather": "rain"},
        "brightness": pytest.approx(127.5, rel=1e-5),
        "contrast": pytest.approx(127.5, rel=1e-5),
        "sharpness": pytest.approx(np.log10(255**2 / 4), rel=1e-5),
        "boxes": 2,
        "class": ["pedestrian", "rider"],
        "box_size": pytest.approx(np.log10([10, 5])),
    }


def test_measures_tracks_without_an_image() -> None:
    past = np.array([[[0, 0], [0, 1], [0, 3]]], dtype=np.float32)
    future = np.array([[[3, 7], [3, 8]]], dtype=np.float32)
    found = frame_statistics(Example(image=None, past=past, future=future), {}, CATEGORIES, step_seconds=0.5)
    assert found == {"attributes": {}, "speed": [3.0], "path_length": [6.0]}


def test_leaves_out_what_was_never_labelled() -> None:
    found = frame_statistics(example(), {}, CATEGORIES)
    assert sorted(found) == ["attributes", "brightness", "contrast", "sharpness"]
    none = np.zeros((0, 4), dtype=np.float32)
    empty = example(boxes=none, categories=np.zeros(0, dtype=np.int64), crowd=np.zeros(0, dtype=bool))
    found = frame_statistics(empty, {}, CATEGORIES)
    assert (found["boxes"], found["class"], found["box_size"]) == (0, [], [])
    assert "class" not in make_profile([found] * 40, "scenes", "v1")["columns"]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two profiles in files, of which the second is darker, and where the comparison goes."""
    (tmp_path / "reference.json").write_text(json.dumps(profile(1)))
    (tmp_path / "current.json").write_text(json.dumps(profile(2, light=-30)))
    return tmp_path / "reference.json", tmp_path / "current.json", tmp_path / "drift.json"


def environment_of(pid: int) -> str:
    """A process's environment, which the system shows a moment after its start."""
    deadline = time.monotonic() + 10
    while not (found := Path(f"/proc/{pid}/environ").read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def test_compares_in_a_process_of_its_own_as_here_quietly_and_offline(
    files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(
        f"import socket\n"
        f"def tell(self, address):\n"
        f"    open({str(tmp_path / 'called')!r}, 'a').write(repr(address))\n"
        f"    raise OSError\n"
        f"socket.socket.connect = tell\n"
        f"open({str(tmp_path / 'watched')!r}, 'w')\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(TRAINER)]))
    monkeypatch.setenv("SOME_API_KEY", "secret")
    check = start_check(*files)
    environment = environment_of(check.pid)
    found = result(check, PATIENCE_SECONDS)
    assert found["drifted"] == ["brightness"]
    assert check.communicate() == ("", None)
    assert (tmp_path / "watched").exists()
    assert not (tmp_path / "called").exists()
    assert "secret" not in environment
    assert {"DO_NOT_TRACK=1", "ITERATIVE_DO_NOT_TRACK=1"} <= set(environment.split("\0"))
    written = files[2].read_bytes()
    check_drift(*files)
    assert files[2].read_bytes() == written


def test_hands_on_why_a_profile_was_refused(files: tuple[Path, Path, Path]) -> None:
    files[1].write_text("{")
    with pytest.raises(Refused, match=re.escape(f"{files[1]}: not JSON")):
        result(start_check(*files), PATIENCE_SECONDS)


def test_ends_a_check_that_takes_too_long(files: tuple[Path, Path, Path]) -> None:
    check = start_check(*files)
    with pytest.raises(LostWorker, match=r"The drift check took longer than 0\.01 s\."):
        result(check, 0.01)
    assert check.returncode == -9
    assert not files[2].exists()


def test_says_how_a_check_failed(
    files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/pandas.py").write_text("raise ImportError('pandas is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    with pytest.raises(LostWorker, match=r"^The drift check ended with code 1: ImportError: pandas is broken$"):
        result(start_check(*files), PATIENCE_SECONDS)


@pytest.mark.parametrize("work", ["", "import json; it = json.load(sys.stdin); proving_ground.drift.compare(it, it)"])
def test_doesnt_import_evidently_where_nothing_can_have_drifted(work: str) -> None:
    unused = "sys.exit(not {'evidently', 'pandas', 'torch'}.isdisjoint(sys.modules))"
    command = f"import sys, proving_ground.drift\n{work}\n{unused}"
    environment = os.environ | {"PYTHONPATH": str(TRAINER)}
    given = json.dumps(profile(1))
    done = subprocess.run([sys.executable, "-c", command], env=environment, input=given, text=True, check=False)
    assert done.returncode == 0


def test_says_of_equal_columns_what_evidently_says() -> None:
    known = profile(1)
    limits = dict.fromkeys(known["columns"], 0.1)
    assert measure(limits, known, known) == dict.fromkeys(limits, 0.0)
    found = compare(known, known)
    assert [item["value"] for item in found["columns"]] == [0.0] * len(limits)
    assert (found["drifted"], found["share"], found["sentences"]) == ([], 0.0, [])


def test_starts_no_check_without_a_reference(tmp_path: Path) -> None:
    assert watch_drift(tmp_path, None, "abort") is None
    # A model of before the profiles.
    (tmp_path / "production").mkdir()
    assert watch_drift(tmp_path, tmp_path / "production", "abort") is None
