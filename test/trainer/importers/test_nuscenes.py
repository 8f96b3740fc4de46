"""nuScenes' ..."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SOAK
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import by_sequence, frames_of, problems_of, refusal, write_image

from proving_ground.importers.cuboid import corners_of, picture_box, rotation_of
from proving_ground.importers.nuscenes import import_nuscenes

SIZE = (160, 90)
INTRINSIC = [[126.0, 0.0, 81.5], [0.0, 126.0, 49.0], [0.0, 0.0, 1.0]]
# The camera looks where the vehicle goes: its x is to the right, its y down.
LOOK = [0.5, -0.5, 0.5, -0.5]
BEGIN = 1532402927647951
CAMERAS = ("CAM_FRONT", "CAM_BACK")
Tables = dict[str, list[dict[str, Any]]]


def turn(degrees: float) -> list[float]:
    """The rotation around the axis that points up."""
    half = math.radians(degrees) / 2
    return [math.cos(half), 0.0, 0.0, math.sin(half)]


def tables_of(scenes: int = 3, samples: int = 4) -> Tables:
    """Scenes in which the vehicle goes ahead by a metre in each keyframe, after a car and before a standing person."""
    tables: Tables = {name: [] for name in TABLES}
    tables["log"] = [{"token": "log", "location": "boston-seaport", "date_captured": "2018-07-24", "vehicle": "n008"}]
    tables["category"] = [
        {"token": f"c:{name}", "name": name} for name in ("vehicle.car", "vehicle.bus.rigid", "human.adult")
    ]
    tables["sensor"] = [{"token": f"s:{name}", "channel": name, "modality": "camera"} for name in CAMERAS]
    tables["sensor"].append({"token": "s:LIDAR_TOP", "channel": "LIDAR_TOP", "modality": "lidar"})
    for name, rotation in zip(
        (*CAMERAS, "LIDAR_TOP"), (LOOK, [0.5, -0.5, -0.5, 0.5], [1.0, 0.0, 0.0, 0.0]), strict=True
    ):
        intrinsic = [] if name == "LIDAR_TOP" else INTRINSIC
        mount = {
            "token": f"m:{name}",
            "sensor_token": f"s:{name}",
            "translation": [1.5, 0.0, 1.5],
            "rotation": rotation,
        }
        tables["calibrated_sensor"].append({**mount, "camera_intrinsic": intrinsic})
    for number in range(scenes):
        add_scene(tables, f"scene-{number:04d}", samples)
    return tables


TABLES = (
    *("log", "category", "sensor", "calibrated_sensor", "scene", "sample", "sample_data", "ego_pose", "instance"),
    "sample_annotation",
)


def add_scene(tables: Tables, name: str, samples: int) -> None:
    """One scene more."""
    description = "Night, rain, parked cars" if name.endswith("1") else "Turn left, train"
    tables["scene"].append({"token": name, "name": name, "description": description, "log_token": "log"})
    for who, category in (("car", "vehicle.car"), ("person", "human.adult")):
        tables["instance"].append({"token": f"{name}:{who}", "category_token": f"c:{category}"})
    for at in range(samples):
        sample, time = f"{name}:{at}", BEGIN + at * 500_000
        tables["sample"].append({"token": sample, "scene_token": name, "timestamp": time})
        for camera in (*CAMERAS, "LIDAR_TOP"):
            token = f"{sample}:{camera}"
            pose = {"token": token, "timestamp": time, "translation": [100.0 + at, 200.0, 0.0], "rotation": turn(0)}
            tables["ego_pose"].append(pose)
            data = {"token": token, "sample_token": sample, "ego_pose_token": token, "timestamp": time + 100}
            size = (0, 0) if camera == "LIDAR_TOP" else SIZE
            data |= {"filename": f"samples/{camera}/{token}.jpg", "width": size[0], "height": size[1]}
            tables["sample_data"].append({**data, "calibrated_sensor_token": f"m:{camera}", "is_key_frame": True})
            sweep = {**data, "token": f"{token}:sweep", "filename": "sweeps/absent.jpg"}
            tables["sample_data"].append({**sweep, "calibrated_sensor_token": f"m:{camera}", "is_key_frame": False})
        for who, place, size in (
            ("car", [115.0 + 2 * at, 201.0, 0.75], [2.0, 4.0, 1.5]),
            ("person", [90.0, 200.0, 0.9], [0.6, 0.6, 1.8]),
        ):
            box = {"token": f"{sample}:{who}", "sample_token": sample, "instance_token": f"{name}:{who}"}
            box |= {"translation": place, "size": size, "rotation": turn(10), "visibility_token": str(at % 4 + 1)}
            tables["sample_annotation"].append(box)


def write(root: Path, tables: Tables) -> dict[str, Any]:
    """Write tables and pictures; returns settings, in which each of three scenes is a split."""
    (root / "v1.0-mini").mkdir(parents=True, exist_ok=True)
    for name, entries in tables.items():
        (root / f"v1.0-mini/{name}.json").write_text(json.dumps(entries, indent=0))
    for shade, data in enumerate(tables["sample_data"]):
        if data["is_key_frame"] and data["width"]:
            write_image(root / data["filename"], SIZE, shade % 250)
    splits = {split: [f"scene-{number:04d}"] for number, split in enumerate(("train", "val", "test"))}
    spec = {"name": "nuscenes", "root": str(root), "version": "v1.0-mini", "cameras": ["CAM_FRONT"], "splits": splits}
    size = {"width": 2 * SIZE[0], "height": SIZE[1]}
    detection = ["vehicle", "human.adult"]
    return {**spec, **size, "slices": [], "categories": {"detection": detection, "segmentation": []}}


SIDE = np.linspace(-0.5, 0.5, 61)
SURFACE = np.stack(np.meshgrid(SIDE, SIDE, SIDE), axis=-1).reshape(-1, 3)
SURFACE = SURFACE[np.abs(SURFACE).max(axis=1) == 0.5]


def seen_box(box: dict[str, Any], ego: dict[str, Any]) -> np.ndarray | None:
    """The box of a cuboid in the front camera's image, from points all over it, each projected on its own."""
    width, length, height = box["size"]
    points = turned(SURFACE * (length, width, height), box["rotation"]) + box["translation"]
    ahead = turned(points - ego["translation"], conjugate(ego["rotation"])) - (1.5, 0.0, 1.5)
    depth = ahead[:, 0]
    ahead, depth = ahead[depth > 0.1], depth[depth > 0.1]
    x = INTRINSIC[0][0] * -ahead[:, 1] / depth + INTRINSIC[0][2]
    y = INTRINSIC[1][1] * -ahead[:, 2] / depth + INTRINSIC[1][2]
    inside = (x >= 0) & (x <= SIZE[0]) & (y >= 0) & (y <= SIZE[1])
    if not inside.any():
        return None
    return np.array([x[inside].min(), y[inside].min(), x[inside].max(), y[inside].max()])


def conjugate(quaternion: list[float]) -> list[float]:
    """The rotation back."""
    return [quaternion[0], *(-part for part in quaternion[1:])]


def turned(points: np.ndarray, quaternion: list[float]) -> np.ndarray:
    """Points rotated by a unit quaternion, as p + 2 w (v x p) + 2 v x (v x p)."""
    w, v = quaternion[0], np.array(quaternion[1:])
    once = np.cross(v, points)
    return points + 2 * w * once + 2 * np.cross(v, once)


def test_boxes_in_space_become_boxes_of_the_picture(tmp_path: Path) -> None:
    tables = tables_of()
    spec = write(tmp_path, tables)
    import_nuscenes(spec, tmp_path / "out")
    assert problems_of(tmp_path / "out", spec) == ""
    frames = frames_of(tmp_path / "out", ["vehicle", "human.adult"])
    assert [len(some) for some in frames.values()] == [4, 4, 4]
    cars = [box for box in tables["sample_annotation"] if box["token"].endswith(":car")]
    egos = [pose for pose in tables["ego_pose"] if pose["token"].endswith("CAM_FRONT")]
    levels = ["v0-40", "v40-60", "v60-80", "v80-100"]
    for at, frame in enumerate(frames["val"]):
        # The person is behind.
        (label,) = frame.detection or []
        expected = seen_box(cars[4 + at], egos[4 + at])
        assert expected is not None
        assert np.abs(np.array(label["box"]) - expected * (2, 1, 2, 1)).max() < 0.1
        assert (label["category"], label["visibility"]) == ("vehicle", levels[at])


def test_frames_keep_scene_time_place_and_what_is_said_of_the_weather(tmp_path: Path) -> None:
    spec = {**write(tmp_path, tables_of()), "cameras": ["CAM_BACK", "CAM_FRONT"]}
    import_nuscenes(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out", ["vehicle", "human.adult"])
    assert [frame.attributes["camera"] for frame in frames["train"][:4]] == ["CAM_BACK", "CAM_FRONT"] * 2
    # "train" is no rain.
    assert frames["train"][0].attributes == {"camera": "CAM_BACK", "location": "boston-seaport"}
    assert frames["val"][0].attributes["weather"] == "rain"
    assert frames["val"][0].attributes["timeofday"] == "night"
    assert (frames["val"][0].sequence, frames["val"][0].captured) == (
        "scene-0001",
        datetime.fromtimestamp(BEGIN / 1e6, UTC).date(),
    )
    assert frames["val"][0].tracks is None


def test_boxes_that_are_hardly_visible_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = tables_of()
    tables["sample_annotation"][0]["visibility_token"] = ""
    spec = {**write(tmp_path, tables), "min_visible_percent": 60}
    import_nuscenes(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out", ["vehicle", "human.adult"])
    assert [len(frame.detection or []) for frame in frames["train"]] == [0, 0, 1, 1]
    # Two boxes in each of four keyframes.
    assert capsys.readouterr().out.splitlines()[0] == (
        "train: frames 4, boxes 2; left out: boxes 2 (less than 60 percent visible, or nobody says it), "
        "boxes 4 (not in the image)."
    )


@pytest.mark.parametrize("frame", ["ego", "global"])
def test_tracks_are_those_with_a_box_in_every_keyframe(tmp_path: Path, frame: str) -> None:
    tables = tables_of(samples=5)
    for pose in tables["ego_pose"]:
        pose["rotation"] = turn(90)
    tables["sample_annotation"] = [box for box in tables["sample_annotation"] if box["token"] != "scene-0002:3:person"]
    spec = {**write(tmp_path, tables), "cameras": ["CAM_FRONT", "CAM_BACK"]}
    spec["tracks"] = {"past": 2, "future": 2, "step_seconds": 0.5, "frame": frame}
    import_nuscenes(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out", ["vehicle", "human.adult"])
    front, back = frames["train"][::2], frames["train"][1::2]
    assert all(other.tracks is None for other in back)
    assert [len(one.tracks or []) for one in front] == [0, 2, 2, 0, 0]
    assert [len(one.tracks or []) for one in frames["test"][::2]] == [0, 1, 1, 0, 0]
    car, person = front[1].tracks or []
    assert (car["category"], person["category"]) == ("vehicle", "human.adult")
    path = np.array([[115.0 + 2 * at, 201.0] for at in range(4)])
    if frame == "ego":
        # The vehicle stands at (101, 200) and looks along y: what is along x is to its right.
        path = np.stack([path[:, 1] - 200, -(path[:, 0] - 101)], axis=1)
    assert np.allclose(car["past"] + car["future"], path, atol=1e-4)


def test_tracks_need_keyframes_at_their_step(tmp_path: Path) -> None:
    tables = tables_of(samples=5)
    # A keyframe is missing in time, not in the table.
    for sample in tables["sample"]:
        sample["timestamp"] += 500_000 * int(sample["token"].rpartition(":")[2] == "4")
    spec = write(tmp_path, tables)
    spec["tracks"] = {"past": 2, "future": 1, "step_seconds": 1, "frame": "global"}
    import_nuscenes(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out", ["vehicle", "human.adult"])
    assert [len(frame.tracks or []) for frame in frames["train"]] == [0, 0, 0, 0, 0]
    spec["tracks"]["step_seconds"] = 0.4
    said = refusal(import_nuscenes, spec, tmp_path / "again")
    assert "tracks.step_seconds: found 0.4; nuScenes has boxes every 0.5 s" in said


def test_scenes_are_shared_out_or_named_and_the_rest_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write(tmp_path, tables_of(scenes=5, samples=1))
    import_nuscenes(spec, tmp_path / "named")
    assert "frames 2 (of scenes that no split names)" in capsys.readouterr().out
    import_nuscenes({**spec, "splits": by_sequence()}, tmp_path / "shared")
    frames = frames_of(tmp_path / "shared", ["vehicle", "human.adult"])
    assert [len(some) for some in frames.values()] == [3, 1, 1]
    assert len({frame.sequence for some in frames.values() for frame in some}) == 5


def test_names_of_categories_are_prefixes_and_the_longest_decides(tmp_path: Path) -> None:
    tables = tables_of()
    tables["instance"][0]["category_token"] = "c:vehicle.bus.rigid"
    spec = write(tmp_path, tables)
    spec |= {"labels": {"bus": ["vehicle.bus"], "other": ["vehicle", "human"]}}
    spec["categories"] = {"detection": ["bus", "other"], "segmentation": []}
    import_nuscenes(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out", ["bus", "other"])
    assert [(frames[split][0].detection or [])[0]["category"] for split in ("train", "val")] == ["bus", "other"]


def test_tables_are_read_entry_by_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An entry goes on in the next of what is read at once.
    monkeypatch.setattr("proving_ground.importers.nuscenes_tables.CHUNK", 37)
    import_nuscenes(write(tmp_path, tables_of()), tmp_path / "out")
    assert len(frames_of(tmp_path / "out", ["vehicle", "human.adult"])["test"]) == 4


def entry(table: str, at: int = 0, **change: Any) -> Callable[[Tables], object]:
    """Changes an entry of a table."""
    return lambda tables: tables[table][at].update(change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry("scene", log_token="x"), "scene scene-0000 names the log x, which log.json doesn't have"),
        (entry("scene", 1, token="scene-0000"), "scene.json: the token scene-0000 appears twice"),
        (entry("scene", name="scene-9999"), "scene.json: the scene scene-0000 of splits.train isn't there; there are"),
        (
            entry("sample_data", timestamp=1.5),
            "sample_data.json, scene-0000:0:CAM_FRONT: found the timestamp 1.5; it must",
        ),
        (entry("sample_data", timestamp=10**30), "CAM_FRONT: found the timestamp 1000000"),
        (entry("sample_data", filename="../a.jpg"), "CAM_FRONT: found the file name '../a.jpg'"),
        (entry("sample_data", filename="a.jpg"), "a.jpg: can't be read as an image"),
        (entry("sample_data", width=161), "has 160x90 pixels; the entry says 161x90"),
        (entry("sample_data", ego_pose_token="x"), "names the ego_pose x, which ego_pose.json doesn't have"),
        (
            entry("ego_pose", rotation=[0, 0, 0, 0]),
            "ego_pose.json, scene-0000:0:CAM_FRONT: found the rotation [0, 0, 0, 0]",
        ),
        (entry("sample_annotation", size=[1, 2]), "sample_annotation.json, scene-0000:0:car: found the size [1, 2]"),
        (
            entry("sample_annotation", visibility_token="5"),
            'scene-0000:0:car: found the visibility_token "5"; it must be',
        ),
        (
            entry("sample_data", calibrated_sensor_token="x"),
            'found the calibrated_sensor_token "x", which no table has',
        ),
        (entry("sample_data", is_key_frame=1), "found the is_key_frame 1; it must be true or false"),
        (entry("sample_annotation", sample_token=[]), "0:car: found the sample_token [], which no table has"),
        (entry("sample_annotation", instance_token="x"), "names the instance x, which instance.json doesn't have"),
        (entry("calibrated_sensor", camera_intrinsic=[]), "m:CAM_FRONT: found the camera_intrinsic []; it must be 3x3"),
        (entry("sensor", channel="CAM_X"), "sensor.json: there is no camera CAM_FRONT; there are CAM_BACK, CAM_X"),
        (entry("category", 2, name="human.child"), "category.json: no label is named human.adult"),
        (lambda tables: tables["sample_annotation"].clear(), "sample_annotation.json: no keyframe has a box"),
        (lambda tables: tables["log"].append(5), "log.json, entry 1: found 5; it must be an object with a token"),
    ],
)
def test_mistakes_are_refused_by_their_entry(tmp_path: Path, change: Callable[[Tables], object], message: str) -> None:
    tables = tables_of()
    spec = write(tmp_path, tables)
    change(tables)
    for name, entries in tables.items():
        (tmp_path / f"v1.0-mini/{name}.json").write_text(json.dumps(entries))
    assert message in refusal(import_nuscenes, spec, tmp_path / "out")


def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    spec = write(tmp_path, tables_of())
    for text, message in (
        ("{}", "log.json: not a table of nuScenes"),
        ('[{"token": 1', "log.json: not JSON"),
        ("[", "not JSON"),
    ):
        (tmp_path / "v1.0-mini/log.json").write_text(text)
        assert message in refusal(import_nuscenes, spec, tmp_path / "out")
    spec["splits"]["val"] = ["scene-0000"]
    write(tmp_path, tables_of())
    assert "the scene scene-0000 is in both train and val" in refusal(import_nuscenes, spec, tmp_path / "out")


side = st.floats(0.3, 6)
place = st.tuples(st.floats(-12, 30), st.floats(-12, 12), st.floats(-2, 3))
part = st.floats(-1, 1)
rotation = st.tuples(part, part, part, part).filter(lambda parts: math.hypot(*parts) > 0.2)


@settings(derandomize=True, deadline=None, max_examples=500 if SOAK else 60)
@given(place, st.tuples(side, side, side), rotation)
def test_boxes_hold_all_that_is_seen_and_no_more(
    center: tuple[float, ...], size: tuple[float, ...], parts: tuple[float, ...]
) -> None:
    unit = [value / math.hypot(*parts) for value in parts]
    ego = {"translation": [0.0, 0.0, 0.0], "rotation": [1.0, 0.0, 0.0, 0.0]}
    dense = seen_box({"translation": list(center), "size": list(size), "rotation": unit}, ego)
    corners = corners_of(center, size, rotation_of(parts))
    camera = (corners - (1.5, 0.0, 1.5)) @ rotation_of(LOOK)
    found = picture_box(camera, np.array(INTRINSIC), SIZE)
    if dense is None:
        # Points are some way apart: what lies between them may show.
        assert found is None or min(found[2] - found[0], found[3] - found[1]) < 8
        return
    assert found is not None
    assert (np.array(found[:2]) <= dense[:2] + 1e-6).all()
    assert (np.array(found[2:]) >= dense[2:] - 1e-6).all()
    assert min(found) >= -1e-6
    assert (np.array(found[2:]) <= np.array(SIZE) + 1e-6).all()
    # Points are 1/60 of a side apart, at most 0.1 m: from 4 m on that is less than 4 pixels.
    if camera[:, 2].min() > 4:
        assert np.abs(np.array(found) - dense).max() < 4
