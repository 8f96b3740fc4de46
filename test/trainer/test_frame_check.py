"""The files of all frames are checked before a step is taken ..."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CATEGORIES, evaluate_document, train_document
from jobs import WEIGHTS_ALONE, run_alone, run_job
from PIL import Image

from proving_ground.data.dataset_check import check_dataset
from proving_ground.data.frame_check import FrameFiles, places_of
from proving_ground.data.manifest import read_manifest
from proving_ground.data.storage import open_storage
from proving_ground.errors import Refused

TOLD = (
    "the 7 classes have 0 (background), 1 (sky), 2 (road), 3 (lane), 4 (vehicle), 5 (pedestrian), 6 (rider); "
    "255 is ignored, name other values that are to be ignored in masks.ignore of the data recipe."
)


@pytest.fixture
def data(dataset: Path, tmp_path: Path) -> Path:
    """A copy of the dataset, to be damaged."""
    return shutil.copytree(dataset, tmp_path / "data")


def write_mask(data: Path, name: str, *values: int, size: tuple[int, int] = (96, 64)) -> None:
    """Write a mask of some values in turn; its first pixels have all of them."""
    Image.fromarray(np.resize(np.array(values, dtype=np.uint8), size[::-1])).save(data / f"masks/{name}.png")


def refusal(data: Path, **spec: Any) -> list[str]:
    """What a dataset is refused with, by line."""
    with pytest.raises(Refused) as refused:
        check_dataset(data, {"categories": CATEGORIES, **spec})
    return str(refused.value).splitlines()


def failure_of(folder: Path) -> tuple[str, list[str]]:
    """Kind and lines of what a job left for its supervisor."""
    failure = json.loads((folder / "failure.json").read_text())
    return failure["kind"], failure["message"].splitlines()


def test_and_a_dataset_without_a_fault_is_said_to_be_so(data: Path) -> None:
    assert check_dataset(data, {"categories": CATEGORIES}) == f"{data}: 39 frames, all as they should be."
    assert check_dataset(data, {"categories": {**CATEGORIES, "segmentation": []}}).endswith("all as they should be.")


def test_and_each_fault_is_told_with_its_file_and_figures(data: Path) -> None:
    write_mask(data, "train-000002", 0, 9)
    write_mask(data, "val-000001", 0, 1, size=(48, 32))
    Image.new("RGB", (64, 96)).save(data / "images/test-000003.jpg")
    content = (data / "images/train-000004.jpg").read_bytes()
    (data / "images/train-000004.jpg").write_bytes(content[:-200])
    (data / "images/train-000005.jpg").unlink()
    lines = refusal(data)
    assert lines[0] == f"masks/train-000002.png: the mask has the value 9 in 3072 pixels, but {TOLD}"
    assert lines[1].startswith(f"images/train-000004.jpg: can't be read as an image ({len(content) - 200} bytes): ")
    assert lines[2] == f"{data}/images/train-000005.jpg: can't be read (No such file or directory)."
    assert lines[3:] == [
        "masks/val-000001.png has 48x32 pixels; by the manifest its image images/val-000001.jpg has 96x64, and a mask "
        "must be of its image's size.",
        "images/test-000003.jpg has 64x96 pixels; the manifest says 96x64.",
    ]


def test_and_of_many_faults_the_first_are_told_and_all_are_counted(data: Path) -> None:
    manifest = data / "golden_test.manifest"
    manifest.write_text(manifest.read_text().replace('"width":96', '"width":0', 1))
    for number in range(24):
        write_mask(data, f"train-{number:06d}", 7)
    lines = refusal(data)
    assert len(lines) == 21
    assert lines[0].startswith(f"{manifest}, line 1: width: found 0")
    assert [line.split(":")[0] for line in lines[1:20]] == [f"masks/train-{number:06d}.png" for number in range(19)]
    assert lines[20] == "... and 5 more problems."


def test_and_masks_that_are_binary_are_not_taken_for_ignored(data: Path) -> None:
    binary = {"categories": {**CATEGORIES, "segmentation": ["background", "road"]}}
    for file in (data / "masks").iterdir():
        write_mask(data, file.stem, 0, 255)
    assert refusal(data, **binary) == [
        "All masks have only the values 0 and 255, and 255 is ignored; the 2 classes are 0 (background), 1 (road). If "
        "255 is a class, name it in the data recipe, as in masks: { values: { background: 0, road: 255 } }; if it is "
        "to be ignored, masks: { ignore: [255] }."
    ]
    check_dataset(data, {**binary, "masks": {"values": {"background": 0, "road": 255}}})
    check_dataset(data, {**binary, "masks": {"ignore": [255]}})
    write_mask(data, "val-000000", 0, 1, 255)
    check_dataset(data, binary)


def test_by_a_command_that_takes_the_recipes_labels(data: Path, tmp_path: Path) -> None:
    write_mask(data, "test-000000", 0, 11)
    command, spec = ["check", str(data), "--spec", "-"], {"categories": CATEGORIES}
    code, said = run_alone(command, json.dumps(spec), tmp_path / "log.txt")
    assert (code, said) == (65, f"masks/test-000000.png: the mask has the value 11 in 3072 pixels, but {TOLD}")
    spec["masks"] = {"ignore": [11]}
    assert run_alone(command, json.dumps(spec), tmp_path / "log.txt")[0] == 0
    code, said = run_alone(command, json.dumps({**spec, "mask": {}}), tmp_path / "log.txt")
    assert (code, said) == (65, "--spec: $ Additional properties are not allowed ('mask' was unexpected)")


def test_by_all_ranks_which_end_with_what_each_of_them_found(data: Path, tmp_path: Path) -> None:
    for name in ("train-000002", "train-000003", "val-000000"):
        write_mask(data, name, 0, 7)
    code, printed = run_job("train", tmp_path / "job", train_document(data), data)
    assert code == 65
    lines = [f"masks/{name}.png: the mask has the value 7 in 3072 pixels, but {TOLD}" for name in
             ("train-000002", "train-000003", "val-000000")]  # fmt: skip
    assert failure_of(tmp_path / "job") == ("invalid_data", lines)
    assert "bug" not in printed
    progress = json.loads((tmp_path / "job/progress.json").read_text())
    assert (progress["stage"], progress["step"]) == ("check frames", 15)
    assert not (tmp_path / "job/checkpoints").exists()


def test_where_a_head_reads_them(data: Path, tmp_path: Path) -> None:
    write_mask(data, "train-000002", 0, 7)
    document = train_document(data, epochs=1, loss={"detection": {"weight": 1, "gamma": 2, "box_weight": 0.5}})
    document["architecture"]["heads"] = ["detection"]
    assert run_job("train", tmp_path / "job", document | {"processes": 1}, data, script=WEIGHTS_ALONE)[0] == 0


def test_with_the_recipes_masks_and_by_a_job_that_goes_on_no_more(data: Path, tmp_path: Path) -> None:
    write_mask(data, "train-000002", 0, 1, 11)
    document = train_document(data, epochs=1) | {"processes": 1}
    document["data"]["masks"] = {"ignore": [11]}
    assert run_job("train", tmp_path / "job", document, data, script=WEIGHTS_ALONE)[0] == 0
    for name in ("val-000004", "val-000005"):
        write_mask(data, name, 0, 7)
    # What is left of the training is to validate, which ends with the first of them.
    for folder, faults in (("job", 1), ("new", 2)):
        assert run_job("train", tmp_path / folder, document, data, script=WEIGHTS_ALONE)[0] == 65
        assert len(failure_of(tmp_path / folder)[1]) == faults


def test_of_an_evaluation_too(data: Path, trained: Path, tmp_path: Path) -> None:
    write_mask(data, "test-000004", 0, 7)
    document = evaluate_document(data, trained / "output", None) | {"processes": 1}
    code, _ = run_job("evaluate", tmp_path / "job", document, data, candidate=trained / "output")
    assert code == 65
    lines = [f"masks/test-000004.png: the mask has the value 7 in 3072 pixels, but {TOLD}"]
    assert failure_of(tmp_path / "job") == ("invalid_data", lines)


def test_and_of_very_many_frames_some_spread_evenly(dataset: Path) -> None:
    frames = read_manifest(dataset / "golden_train.manifest", None, CATEGORIES["detection"])
    files = FrameFiles(dataset="a", storage=open_storage(dataset), frames=frames, images=True, masks=None)
    assert len(places_of([files, files])) == 48
    assert places_of([files, files], 8) == [(0, 0), (0, 6), (0, 12), (0, 18), (1, 0), (1, 6), (1, 12), (1, 18)]
    assert len(places_of([files, files], 100)) == 48
