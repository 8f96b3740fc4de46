"""CULane's ..."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SOAK
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import by_sequence, frames_of, problems_of, refusal, write_image

from proving_ground.importers.culane import import_culane

SIZE = (164, 59)
VIDEO = "driver_23_30frame/05151649_0422.MP4"


def make(root: Path, images: dict[str, str]) -> None:
    """The files of a root: images with the text of their lines."""
    for number, (name, lines) in enumerate(images.items()):
        write_image(root / name, SIZE, number)
        (root / name).with_suffix(".lines.txt").write_text(lines)


def listed(root: Path, name: str, lines: list[str]) -> str:
    """Write a list; returns its path from the root."""
    file = root / "list" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))
    return f"list/{name}"


def spec_of(root: Path, splits: dict[str, Any]) -> dict[str, Any]:
    """Settings for frames of twice the size."""
    size = {"width": 2 * SIZE[0], "height": 2 * SIZE[1]}
    return {
        "name": "culane",
        "root": str(root),
        **size,
        "splits": splits,
        "slices": [],
        "categories": {"detection": [], "segmentation": []},
    }


def small(root: Path) -> dict[str, Any]:
    """Three frames, one in each split."""
    images = {f"{VIDEO}/0000{at}.jpg": f"{60 + at} 59 50 30 40.5 1\n" for at in range(3)}
    make(root, images)
    first, second, third = images
    train = listed(root, "train_gt.txt", [f"/{first} /laneseg_label_w16/{VIDEO}/00000.png 1 1 0 0"])
    val = listed(root, "val.txt", [f"/{second}", ""])
    return spec_of(
        root, {"train": {"list": train}, "val": {"list": val}, "test": {"list": listed(root, "t.txt", [third])}}
    )


def test_lines_become_lanes_from_near_to_far_inside_the_image(tmp_path: Path) -> None:
    spec = small(tmp_path)
    file = tmp_path / VIDEO / "00000.lines.txt"
    # The second comes from far, the third never is inside, and an empty line is no lane.
    file.write_text("-5.5 58 10 59 20.25 40 \n30 1 170 20 40 30\n\n-9 4 -1 5\n20 20\n")
    import_culane(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out")
    assert problems_of(tmp_path / "out", spec) == ""
    assert frames["train"][0].lanes == [[[20, 118], [40.5, 80]], [[80, 60], [60, 2]]]
    assert frames["val"][0].lanes == [[[122, 118], [100, 60], [81, 2]]]
    assert (frames["test"][0].sequence, frames["test"][0].detection) == (VIDEO, None)


def test_frames_without_a_lane_have_none(tmp_path: Path) -> None:
    spec = small(tmp_path)
    (tmp_path / VIDEO / "00001.lines.txt").write_text("")
    import_culane(spec, tmp_path / "out")
    assert frames_of(tmp_path / "out")["val"][0].lanes == []


def test_lists_of_scenes_become_attributes(tmp_path: Path) -> None:
    spec = small(tmp_path)
    listed(tmp_path, "test_split/test1_crowd.txt", [f"{VIDEO}/00002.jpg", f"{VIDEO}/00001.jpg"])
    listed(tmp_path, "test_split/test8_night.txt", [f"{VIDEO}/00002.jpg"])
    import_culane(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out")
    assert frames["test"][0].attributes == {"scene": "crowd", "timeofday": "night"}
    assert (frames["val"][0].attributes, frames["train"][0].attributes) == ({"scene": "crowd"}, {})
    listed(tmp_path, "test_split/test6_curve.txt", [f"/{VIDEO}/00001.jpg"])
    said = refusal(import_culane, spec, tmp_path / "again")
    assert f"test6_curve.txt, line 1: the scene of {VIDEO}/00001.jpg is curve here, and crowd in another list" in said


def test_frames_that_a_split_leaves_out_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = small(tmp_path)
    names = [f"{VIDEO}/0000{at}.jpg" for at in range(3)]
    whole = listed(tmp_path, "all.txt", names)
    (tmp_path / names[0]).with_suffix(".lines.txt").write_text("1 1\n1 2 3 4\n")
    spec["splits"] = {split: {"list": whole, "skip": at, "frames": 1} for at, split in enumerate(spec["splits"])}
    import_culane(spec, tmp_path / "out")
    said = capsys.readouterr().out
    assert "frames 1" in said
    assert "frames 2 (outside of frames and skip)" in said
    assert "lanes 1 (fewer than two points in the image)" in said


def test_videos_are_shared_out(tmp_path: Path) -> None:
    videos = [f"driver_{video}/clip.MP4" for video in range(5)]
    make(tmp_path, {f"{video}/0.jpg": "1 1 2 2\n" for video in videos})
    lists = [listed(tmp_path, f"{at}.txt", [f"/{video}/0.jpg"]) for at, video in enumerate(videos)]
    import_culane(spec_of(tmp_path, {**by_sequence(), "lists": lists}), tmp_path / "out")
    frames = frames_of(tmp_path / "out")
    assert [len(some) for some in frames.values()] == [3, 1, 1]
    assert {frame.sequence for some in frames.values() for frame in some} == set(videos)


def lines_are(text: str) -> Callable[[Path, dict[str, Any]], object]:
    """Writes the lines of the first frame."""
    return lambda root, _: (root / VIDEO / "00000.lines.txt").write_text(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lines_are("1 2 3 4\n1 2 3\n"), "00000.lines.txt, line 2: found 3 numbers; a lane must be pairs x y"),
        (lines_are("1 2 x 4\n"), '00000.lines.txt, line 1: found "1 2 x 4"; a lane must be numbers'),
        (
            lines_are("1 2 nan 4\n"),
            "00000.lines.txt, line 1: found 4 numbers; a lane must be pairs x y of finite numbers",
        ),
        (lambda root, _: (root / VIDEO / "00000.lines.txt").unlink(), "00000.lines.txt: can't be read"),
        (lambda root, _: (root / VIDEO / "00000.jpg").unlink(), "00000.jpg: can't be read as an image"),
        (
            lambda root, _: listed(root, "val.txt", ["a/../../b.jpg"]),
            "val.txt, line 1: found the file name 'a/../../b.jpg'",
        ),
        (
            lambda root, _: listed(root, "val.txt", []),
            "splits.val asks for frames after the first 0, but there are only 0",
        ),
        (
            lambda root, _: listed(root, "val.txt", [f"{VIDEO}/00000.jpg"]),
            "val.txt, line 1: driver_23_30frame/05151649",
        ),
        (lambda _, spec: spec["splits"]["val"].update(list="list/v.txt"), "list/v.txt: can't be read"),
        (lambda _, spec: spec["splits"]["val"].update(list="../v.txt"), "splits: found the file name '../v.txt'"),
    ],
)
def test_mistakes_are_refused_by_their_place(
    tmp_path: Path, change: Callable[[Path, dict[str, Any]], object], message: str
) -> None:
    spec = small(tmp_path)
    change(tmp_path, spec)
    assert message in refusal(import_culane, spec, tmp_path / "out")


point = st.tuples(st.floats(-50, SIZE[0] + 50, width=32), st.floats(-20, SIZE[1] + 20, width=32))


@settings(derandomize=True, deadline=None, max_examples=500 if SOAK else 30)
@given(st.lists(st.lists(point, min_size=1, max_size=8), max_size=4))
def test_lanes_are_where_their_points_were(
    tmp_path_factory: pytest.TempPathFactory, lanes: list[list[tuple[float, float]]]
) -> None:
    root = tmp_path_factory.mktemp("culane")
    spec = small(root)
    text = "".join(" ".join(f"{x!r} {y!r}" for x, y in lane) + "\n" for lane in lanes)
    (root / VIDEO / "00000.lines.txt").write_text(text)
    import_culane(spec, root / "out")
    seen = [[(x, y) for x, y in lane if 0 <= x <= SIZE[0] and 0 <= y <= SIZE[1]] for lane in lanes]
    kept = [lane for lane in seen if len(lane) > 1]
    found = frames_of(root / "out")["train"][0].lanes or []
    assert len(found) == len(kept)
    for lane, points in zip(found, kept, strict=True):
        assert lane[0][1] >= lane[-1][1]
        ordered = points if points[0][1] >= points[-1][1] else points[::-1]
        assert np.abs(np.array(lane) - 2 * np.array(ordered)).max() < 0.01
