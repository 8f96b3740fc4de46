"""What goes wrong ends a training with a sentence that says what to do, and with a checkpoint to go on from ..."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import CHECKPOINT, conditions_document, train_document, write_document
from kill_resume import Training, kill_group
from safetensors.torch import load_file
from test_jobs import run_job

from proving_ground.checkpoint import checkpoints

TRAINER = Path(__file__).parents[2] / "trainer"
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


def run_broken(folder: Path, dataset: Path, how: str) -> int:
    """Train on two ranks of which the second breaks at its sixth step."""
    script = folder / "broken.py"
    script.write_text(f"HOW = {how!r}\n{BREAKS}")
    settings = {"sanity": False, "determinism_steps": 0, "checkpoint": {**CHECKPOINT, "steps": 1}}
    run = write_document(folder / "run.json", train_document(dataset, **settings))
    conditions = write_document(folder / "conditions.json", conditions_document())
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
        "train",
    ]
    command += ["--document", str(run), "--conditions", str(conditions), "--data", str(dataset)]
    command += ["--work", str(folder), "--output", str(folder / "output")]
    environment = {**os.environ, "PYTHONPATH": str(TRAINER), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, timeout=120).returncode


def test_where_one_rank_has_no_number_every_rank_stops_within_the_step(dataset: Path, tmp_path: Path) -> None:
    assert run_broken(tmp_path, dataset, "nan") != 0
    failure = failure_of(tmp_path)
    assert failure["kind"] == "non_finite"
    assert failure["message"].startswith(
        "At step 5 (epoch 1) the loss is not a finite number on rank 1, on the frames images/train-"
    )
    assert [place.name for place in checkpoints(tmp_path / "checkpoints")][-1] == "step-00000005"
    assert not (tmp_path / "output/manifest.json").exists()


def test_where_one_rank_is_lost_the_others_name_it_and_stop(dataset: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    assert run_broken(tmp_path, dataset, "lost") != 0
    assert time.monotonic() - began < 60
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
    document = train_document(dataset) | {"processes": 1}
    run = write_document(tmp_path / "run.json", document)
    conditions = write_document(tmp_path / "conditions.json", conditions_document())
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
    command += ["-m", "proving_ground", "train", "--document", str(run), "--conditions", str(conditions)]
    command += ["--data", str(dataset), "--work", str(small_disk / "work"), "--output", str(small_disk / "output")]
    environment = {**os.environ, "PYTHONPATH": str(TRAINER), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert f"{small_disk / 'work'}: can't be read or written: Read-only file system" in done.stderr


def test_where_a_frame_is_no_image_it_names_the_frame(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    (tmp_path / "data/images/train-000007.jpg").write_bytes(b"no image")
    code, _ = run_job("train", tmp_path, train_document(tmp_path / "data"), tmp_path / "data")
    assert code != 0
    failure = failure_of(tmp_path)
    assert failure["kind"] == "invalid_data"
    assert failure["message"].startswith("images/train-000007.jpg: the frame can't be read as an image")


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
    dataset: Path, tmp_path: Path, stage: str, undisturbed: bytes
) -> None:
    run = write_document(tmp_path / "run.json", train_document(dataset, **LONG))
    limits = [{"metric": "latency_p95_ms", "bound": "max", "value": 1000}]
    conditions = write_document(tmp_path / "conditions.json", conditions_document(latency=limits))
    training = Training(tmp_path / "job", run, dataset, conditions)
    process = training.start()
    try:
        wait_for_stage(training.folder / "progress.json", stage, process)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert time.monotonic() - began < 30
    finally:
        kill_group(process)
    assert failure_of(training.folder)["kind"] in ("stopped", "lost_process")
    assert not (training.output / "manifest.json").exists()
    assert training.run() == undisturbed


LONG: dict[str, Any] = {"epochs": 3, "checkpoint": {**CHECKPOINT, "steps": 1000}}


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of the run that the stops disturb."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = write_document(folder / "run.json", train_document(dataset, **LONG))
    return Training(folder / "job", run, dataset).run()


def wait_for_stage(file: Path, stage: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a job says that it is in a stage."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if json.loads(file.read_text())["stage"] == stage:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.005)
    pytest.fail(f"the job was never in the stage {stage}")


def test_two_ranks_and_one_with_two_parts_learn_the_same_bits(dataset: Path, tmp_path: Path) -> None:
    weights = []
    for processes, accumulation in ((2, 1), (1, 2)):
        folder = tmp_path / str(processes)
        document = train_document(dataset, epochs=1, accumulation=accumulation) | {"processes": processes}
        assert run_job("train", folder, document, dataset) == (0, "")
        weights.append(load_file(folder / "output/weights.safetensors"))
    # Batch norms' running figures are those of the frames that rank 0 saw: half of them, or all.
    learned = [name for name in weights[0] if "running" not in name and "num_batches" not in name]
    assert len(learned) > 30
    assert all((weights[0][name] == weights[1][name]).all() for name in learned)
