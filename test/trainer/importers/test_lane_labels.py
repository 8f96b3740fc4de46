"""TuSimple's importer ..."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imports import frames_of, imported, needs, refusal
from PIL import Image

from proving_ground.data.targets import lane_targets
from proving_ground.evaluation.counting.lanes import draw_lane
from proving_ground.importers.tusimple import import_tusimple

LINE = {"lanes": [[-2, 60, 40], [70, -2, 90], [-2, -2, 5]], "h_samples": [10, 20, 40], "raw_file": "a/1.jpg"}


def tusimple_spec(folder: Path, lines: list[str]) -> dict[str, Any]:
    """Settings for a label file of one image, 100x50 pixels, that is every split."""
    (folder / "a").mkdir(exist_ok=True)
    Image.new("RGB", (100, 50)).save(folder / "a/1.jpg")
    (folder / "label_data.json").write_text("\n".join(lines) + "\n")
    split = {"images": str(folder), "labels": str(folder / "label_data.json")}
    return {
        "name": "tusimple",
        "width": 200,
        "height": 100,
        "splits": dict.fromkeys(("train", "val", "test"), split),
        "slices": [],
        "categories": {"detection": [], "segmentation": []},
    }


def masks_spec(folder: Path, mask: np.ndarray) -> dict[str, Any]:
    """The same for a mask."""
    for name in ("image", "mask"):
        (folder / name).mkdir(exist_ok=True)
    Image.new("RGB", (100, 50)).save(folder / "image/1.png")
    Image.fromarray(mask).save(folder / "mask/1.png")
    split = {"images": str(folder / "image"), "masks": str(folder / "mask")}
    return {**tusimple_spec(folder, []), "splits": dict.fromkeys(("train", "val", "test"), split)}


def test_reads_tusimples_lines_as_lanes_from_near_to_far(tmp_path: Path) -> None:
    import_tusimple(tusimple_spec(tmp_path, [json.dumps(LINE), ""]), tmp_path / "out")
    frame = frames_of(tmp_path / "out")["val"][0]
    # Twice as wide and as high; a lane of one point is none.
    assert frame.lanes == [[[80.0, 80.0], [120.0, 40.0]], [[180.0, 80.0], [140.0, 20.0]]]
    assert frame.detection is None
    assert frame.segmentation is None


def test_leaves_out_points_beyond_any_edge_and_tells(tmp_path: Path) -> None:
    lanes = [[-30, -12.5, 40, 60, 80, 120], [-2, -2, -2, -2, 99.9, 100], [-2, 50, -1, -2, -2, -2], [1e6] * 6]
    line = {"lanes": lanes, "h_samples": [-10, 0, 20, 40, 49, 50], "raw_file": "a/1.jpg", "camera": "front"}
    read, kept, printed = imported(import_tusimple, tusimple_spec(tmp_path, [json.dumps(line)]), tmp_path / "out")
    frame = read["val"][0]
    assert frame.lanes == [[[160.0, 98.0], [120.0, 80.0], [80.0, 40.0]]]
    assert (frame.sequence, frame.attributes) == ("a", {"camera": "front"})
    assert kept["counts"]["val"]["points"] == {"written": 5, "outside of the image": 11}
    assert kept["counts"]["val"]["lanes"] == {"written": 1, "fewer than two points in the image": 3}
    assert "points 11 (outside of the image)" in printed


def test_reads_each_value_of_a_mask_as_the_middle_of_its_rows(tmp_path: Path) -> None:
    mask = np.zeros((50, 100), dtype=np.uint8)
    for row in range(10, 50):
        mask[row, 40 - row // 2 : 43 - row // 2] = 20
    mask[30:33, 80:84] = 70
    mask[5, 5] = 90
    import_tusimple(masks_spec(tmp_path, mask), tmp_path / "out")
    long, short = frames_of(tmp_path / "out")["test"][0].lanes
    assert len(long) == 32
    assert (long[0], long[-1]) == ([2 * (41.5 - 24), 2 * 49.5], [2 * (41.5 - 5), 2 * 10.5])
    assert all(near[1] > far[1] for near, far in itertools.pairwise(long))
    assert short == [[164.0, 65.0], [164.0, 63.0], [164.0, 61.0]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: found []; a frame must have lanes, h_samples and raw_file"),
        (json.dumps({**LINE, "lanes": 3}), "line 2: lanes: found 3; it must be a list of lists of numbers"),
        (json.dumps({**LINE, "lanes": [[1, 2]]}), "line 2: lanes[0]: found 2 columns for 3 h_samples"),
        (
            json.dumps({**LINE, "lanes": [["1", 2, 3]]}),
            'line 2: lanes[0]: found ["1", 2, 3]; it must be a list of finite',
        ),
        (json.dumps({**LINE, "lanes": [[1, float("inf"), 3]]}), "line 2: lanes[0]: found [1, Infinity, 3]"),
        (json.dumps({**LINE, "h_samples": [1, None, 3]}), "line 2: h_samples: found [1, null, 3]"),
        (json.dumps({**LINE, "raw_file": "/a/1.jpg"}), "line 2: found the file name '/a/1.jpg'"),
        (json.dumps({**LINE, "raw_file": "a/2.jpg"}), "a/2.jpg: can't be read as an image"),
    ],
)
def test_names_the_line_of_tusimple_that_it_refuses(tmp_path: Path, line: str, message: str) -> None:
    said = refusal(import_tusimple, tusimple_spec(tmp_path, [json.dumps(LINE), line]), tmp_path / "out")
    assert message in said
    assert "label_data.json" in said or "2.jpg" in said


def test_refuses_masks_that_are_not_of_their_images_or_not_of_instances(tmp_path: Path) -> None:
    both = np.zeros((50, 100), dtype=np.uint8)
    both[10:40, 20:23] = both[10:40, 60:63] = 255
    said = refusal(import_tusimple, masks_spec(tmp_path, both), tmp_path / "out")
    assert "mask/1.png: the value 255 has several stretches in most of its rows" in said
    said = refusal(import_tusimple, masks_spec(tmp_path, both[:25]), tmp_path / "out")
    assert "mask/1.png: the mask is (25, 100); it must have one value for each of 100x50 pixels" in said
    spec = masks_spec(tmp_path, both)
    (tmp_path / "mask/1.png").write_bytes(b"no image")
    assert "mask/1.png: can't be read as a mask" in refusal(import_tusimple, spec, tmp_path / "out")
    (tmp_path / "image/2.png").write_bytes(b"")
    assert "there is no 2.png in" in refusal(import_tusimple, spec, tmp_path / "out")
    said = refusal(import_tusimple, tusimple_spec(tmp_path, []), tmp_path / "out")
    assert "label_data.json: splits.train asks for frames after the first 0, but there are only 0" in said


def test_draws_the_lanes_of_real_frames_where_their_masks_are(tmp_path: Path) -> None:
    folder = needs("lanenet6/training_data_example")
    split = {"images": str(folder / "image"), "masks": str(folder / "gt_instance_image")}
    spec = {
        "name": "tusimple",
        "width": 320,
        "height": 180,
        "splits": {
            "train": {**split, "frames": 4},
            "val": {**split, "skip": 4, "frames": 1},
            "test": {**split, "skip": 5},
        },
        "slices": [],
        "categories": {"detection": [], "segmentation": []},
    }
    import_tusimple(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out")
    assert [len(frame.lanes) for frame in frames["train"]] == [4, 4, 4, 5]
    for number, frame in enumerate([*frames["train"], *frames["val"], *frames["test"]]):
        with Image.open(folder / f"gt_instance_image/{number:04d}.png") as image:
            mask = np.asarray(image.resize((320, 180), Image.Resampling.NEAREST))
        lanes = [np.array(lane) for lane in frame.lanes]
        for lane, value in zip(lanes, np.unique(mask)[1:], strict=True):
            assert (draw_lane(lane, (320, 180)) & (mask == value)).sum() > 0.95 * (mask == value).sum()
        # The two lines of our own lane are learnt down to the bottom.
        assert np.isfinite(lane_targets(lanes, (180, 320))[1:3]).all()
    said = refusal(
        import_tusimple,
        {**spec, "splits": {key: {**split, "masks": str(folder / "gt_binary_image")} for key in frames}},
        tmp_path / "binary",
    )
    assert "gt_binary_image/0000.png: the value 255 has several stretches" in said
