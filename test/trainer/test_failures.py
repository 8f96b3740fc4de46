"""What goes wrong ends a training with a sentence that says what to do, and with a checkpoint to go on from ..."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ranks
from conftest import CHECKPOINT, conditions_document, train_document
from jobs import WEIGHTS_ALONE, arguments_of, run_job, run_torchrun
from ranks import PATIENCE_SECONDS, Ranks
from safetensors.torch import load_file

from proving_ground.checkpoint import checkpoints
from proving_ground.errors import StorageFailure

# Breaks one rank's loss at a step, in the way that the test asks for, and is otherwise the trainer.
BREAKS = """
import os, sys
from proving_ground import __main__, step
real, calls = step.head_losses, []
def broken(*arguments):
    calls.append(1)
    losses = real(*arguments)
    if os.environ["RANK"] == "1" and len(calls) == 6:
        if HOW == "nan":
            return {name: loss * float("nan") for name, loss in losses.items()}
        os._exit(9)
    return losses
step.head_losses = broken
sys.exit(__main__.main())
"""


def failure_of(folder: Path) -> dict[str, str]:
    """What a job left for its supervisor."""
    return json.loads((folder / "failure.json").read_text())


def break_down(folder: Path, dataset: Path, how: str, run: Any = run_job) -> int:
    """Train on two ranks of which the second breaks at its sixth step; returns the exit code.

    A rank would wait for another for longer than either may take.
    """
    settings = {"sanity": False, "determinism_steps": 0, "checkpoint": {**CHECKPOINT, "steps": 1}}
    network = {**conditions_document()["network"], "timeout_seconds": 2 * PATIENCE_SECONDS}
    document, script = train_document(dataset, **settings), f"HOW = {how!r}\n{BREAKS}"
    return run("train", folder, document, dataset, {"network": network}, script)[0]


def test_where_one_rank_has_no_number_every_rank_stops_within_the_step(dataset: Path, tmp_path: Path) -> None:
    assert break_down(tmp_path, dataset, "nan") != 0
    failure = failure_of(tmp_path)
    assert failure["kind"] == "non_finite"
    assert failure["message"].startswith(
        "At step 5 (epoch 1) the loss is not a finite number on rank 1, on the frames images/train-"
    )
    assert [place.name for place in checkpoints(tmp_path / "checkpoints")][-1] == "step-00000005"
    assert not (tmp_path / "output/manifest.json").exists()


def test_where_one_rank_is_lost_the_others_name_it_and_stop(dataset: Path, tmp_path: Path) -> None:
    assert break_down(tmp_path, dataset, "lost", run_torchrun) != 0
    assert failure_of(tmp_path) == {
        "kind": "lost_process",
        "message": "rank 1 of 2 did not arrive within 5 s at a sum over all ranks.",
    }


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a megabyte; skipped where this user may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs more rights than this user has")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_where_the_disk_is_full_it_says_so_and_keeps_the_last_good_checkpoint(
    dataset: Path, tmp_path: Path, small_disk: Path
) -> None:
    keep = {**CHECKPOINT, "steps": 1, "keep_last": 100}
    code, said = run_job("train", small_disk, train_document(dataset, checkpoint=keep), dataset)
    assert code != 0
    good = checkpoints(small_disk / "checkpoints")[-1].name
    assert f"A checkpoint can't be written to {small_disk}/checkpoints: No space left on device" in said
    assert f"the last good one is {good}" in said


def test_where_a_folder_may_not_be_written_it_says_which(dataset: Path, tmp_path: Path, small_disk: Path) -> None:
    (small_disk / "output").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    arguments = arguments_of("train", tmp_path, train_document(dataset) | {"processes": 1}, dataset)
    arguments += ["--work", str(small_disk / "work"), "--output", str(small_disk / "output")]
    code, said = ranks.run(arguments, 1, tmp_path / "printed.txt")
    assert code == StorageFailure.exit_code
    assert f"{small_disk / 'work'}: can't be read or written: Read-only file system" in said


def test_where_a_frame_is_no_image_it_names_the_frame(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    (tmp_path / "data/images/train-000007.jpg").write_bytes(b"no image")
    code, _ = run_job("train", tmp_path, train_document(tmp_path / "data"), tmp_path / "data")
    assert code != 0
    failure = failure_of(tmp_path)
    assert failure["kind"] == "invalid_data"
    assert failure["message"].startswith("images/train-000007.jpg: can't be read as an image")


def test_where_a_line_of_the_manifest_is_bad_it_names_the_line(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    manifest = tmp_path / "data/golden_train.manifest"
    lines = manifest.read_text().splitlines()
    lines[4] = lines[4].replace('"width":96', '"width":"wide"')
    manifest.write_text("\n".join(lines) + "\n")
    code, _ = run_job("train", tmp_path, train_document(tmp_path / "data"), tmp_path / "data")
    assert code != 0
    failure = failure_of(tmp_path)
    assert failure["kind"] == "invalid_data"
    assert "golden_train.manifest, line 5: " in failure["message"]


@pytest.mark.parametrize("stage", ["latency of the untrained network", "train", "validate", "export"])
def test_asked_to_stop_it_saves_and_ends_in_time_whatever_it_does(
    dataset: Path, tmp_path: Path, stage: str, trained: Path
) -> None:
    timed = stage == "latency of the untrained network"
    limits = [{"metric": "latency_p95_ms", "bound": "max", "value": 1000}] if timed else []
    document = train_document(dataset, epochs=3, checkpoint={**CHECKPOINT, "steps": 1000})
    arguments = arguments_of("train", tmp_path, document, dataset, {"latency": limits})
    job = ranks.start(arguments, 2, tmp_path / "log.txt")
    wait_for_stage(tmp_path / "progress.json", stage, job)
    job.terminate()
    job.wait(120)
    assert failure_of(tmp_path)["kind"] in ("stopped", "lost_process")
    assert not (tmp_path / "output/manifest.json").exists()
    # What a stop in the export leaves is exported over; elsewhere what was learned is all that is looked at.
    script = None if stage == "export" else WEIGHTS_ALONE
    assert ranks.run(arguments, 2, tmp_path / "log.txt", script=script)[0] == 0
    # How often a checkpoint is written changes no bit of what is learned.
    weights = [(folder / "output/weights.safetensors").read_bytes() for folder in (tmp_path, trained)]
    assert weights[0] == weights[1]


def wait_for_stage(file: Path, stage: str, job: Ranks) -> None:
    """Wait until a job says that it is in a stage."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not job.has_ended():
        try:
            if json.loads(file.read_text())["stage"] == stage:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.005)
    pytest.fail(f"the job was never in the stage {stage}: {job.log.read_text()}")


def test_two_ranks_and_one_with_two_parts_learn_the_same_bits(dataset: Path, tmp_path: Path) -> None:
    weights = []
    for processes, accumulation in ((2, 1), (1, 2)):
        folder = tmp_path / str(processes)
        document = train_document(dataset, epochs=1, accumulation=accumulation) | {"processes": processes}
        assert run_job("train", folder, document, dataset, script=WEIGHTS_ALONE) == (0, "")
        weights.append(load_file(folder / "output/weights.safetensors"))
    # Batch norms' running figures are those of the frames that rank 0 saw: half of them, or all.
    learned = [name for name in weights[0] if "running" not in name and "num_batches" not in name]
    assert len(learned) > 30
    assert all((weights[0][name] == weights[1][name]).all() for name in learned)
