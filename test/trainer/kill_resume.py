"""A worker is killed at seeded random instants; the final weights must be those of an undisturbed run, to the last bit.

Run: .venv/bin/python test/trainer/kill_resume.py [--times 10] [--seed 1] [--peer lightning]
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAINER = Path(__file__).parents[2] / "trainer"
sys.path[:0] = [str(TRAINER), str(Path(__file__).parent)]

from conftest import CHECKPOINT, all_features_document, conditions_document, scenes_spec, write_document  # noqa: E402

from proving_ground.data.shards import pack  # noqa: E402
from proving_ground.importers.scenes import import_scenes  # noqa: E402

PATIENCE_SECONDS = 240


class Training:
    """One job's folder and the processes that torchrun starts for it."""

    def __init__(self, folder: Path, run: Path, data: Path, conditions: Path | None = None) -> None:
        self.folder, self.output = folder, folder / "output"
        folder.mkdir(parents=True, exist_ok=True)
        conditions = conditions or write_document(folder / "conditions.json", conditions_document())
        job = ["--document", str(run), "--conditions", str(conditions), "--data", str(data)]
        job += ["--work", str(folder), "--output", str(self.output)]
        self.command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        self.command += ["-m", "proving_ground", "train", *job]

    def start(self) -> subprocess.Popen[bytes]:
        """Start the processes; what they print is appended to the folder's log."""
        environment = {**os.environ, "PYTHONPATH": str(TRAINER), "OMP_NUM_THREADS": "1"}
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(self.command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def run(self) -> bytes:
        """Run to the end; returns the bytes of the weights."""
        process = self.start()
        try:
            code = process.wait(PATIENCE_SECONDS)
        finally:
            kill_group(process)
        if code != 0:
            raise RuntimeError(f"the training ended with {code}:\n{(self.folder / 'log.txt').read_text()[-3000:]}")
        return (self.output / "weights.safetensors").read_bytes()

    def checkpoints(self) -> list[str]:
        """Names of the checkpoints that are there."""
        return sorted(place.name for place in (self.folder / "checkpoints").glob("step-*"))

    def stop(self) -> None:
        """Start, wait for a checkpoint, and ask torchrun to stop, as the launcher does."""
        process = self.start()
        try:
            self.wait_for_checkpoint(process)
            process.terminate()
            process.wait(PATIENCE_SECONDS)
        finally:
            kill_group(process)

    def wait_for_checkpoint(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until there is a checkpoint that was not there before, or the process has ended."""
        known, deadline = set(self.checkpoints()), time.monotonic() + PATIENCE_SECONDS
        while set(self.checkpoints()) <= known and process.poll() is None:
            assert time.monotonic() < deadline, "no checkpoint came about in time"
            time.sleep(0.002)

    def kill_worker(self, rng: random.Random, first: bool) -> str:
        """Start, wait for a checkpoint and then a random time, SIGKILL a random worker; returns where that was."""
        process = self.start()
        try:
            self.wait_for_checkpoint(process)
            time.sleep(rng.uniform(0, 0.6))
            workers = children(process.pid)
            if not workers or process.poll() is not None:
                return "after the end"
            os.kill(rng.choice(workers), signal.SIGKILL)
            process.wait(PATIENCE_SECONDS)
            where = "at the first attempt" if first else "again"
            return f"{where}, newest checkpoint {self.checkpoints()[-1]}"
        finally:
            kill_group(process)


def children(pid: int) -> list[int]:
    """Child processes of a process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Leave no process of a training behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill_and_finish(training: Training, expected: bytes, rng: random.Random, kills: int) -> str:
    """Kill a training at random instants, finish it, and compare its weights; returns a line that says what happened.

    Raises:
        AssertionError: the weights differ.
    """
    killed = [training.kill_worker(rng, first=turn == 0) for turn in range(kills)]
    equal = training.run() == expected
    line = f"killed {'; '.join(killed)}: {'equal' if equal else 'DIFFERENT'}"
    assert equal, line
    return line


def make_data(folder: Path) -> Path:
    """A dataset of some 16 steps an epoch."""
    splits = {"train": [{"frames": 64}], "val": [{"frames": 6}], "test": [{"frames": 3}]}
    import_scenes(scenes_spec(splits=splits), folder / "data")
    return folder / "data"


def compare(folder: Path, times: int, seed: int) -> list[str]:
    """Kill `times` trainings, each at one or two random instants, and finish them; returns a line for each.

    Every second one reads shards, and they have 0, 1 or 2 loading processes: the bits are those of loose files.
    """
    data = make_data(folder)
    pack(data, folder / "shards", 1)
    document = all_features_document(data, epochs=3, checkpoint={**CHECKPOINT, "steps": 1})
    run = write_document(folder / "run.json", document)
    expected = Training(folder / "undisturbed", run, data).run()
    lines = []
    for number in range(times):
        rng = random.Random(seed * 1000 + number)
        loader = {"workers": number % 3, "prefetch": 2, "pin_memory": False}
        conditions = write_document(folder / f"conditions-{number}.json", conditions_document(loader=loader))
        place = folder / "shards" if number % 2 else data
        training = Training(folder / f"killed-{number}", run, place, conditions)
        lines.append(f"{number + 1}: {kill_and_finish(training, expected, rng, rng.randint(1, 2))}")
        print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peer", choices=["lightning"], help="do it to this trainer instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if arguments.peer:
            from lightning_resume import compare_lightning

            done = compare_lightning(Path(place), make_data(Path(place)), arguments.times, arguments.seed)
        else:
            done = len(compare(Path(place), arguments.times, arguments.seed))
    print(f"{done} of {arguments.times} bit-equal to an undisturbed run (seed {arguments.seed})")
