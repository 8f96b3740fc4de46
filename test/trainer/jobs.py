"""A run's document becomes a job, as the local executor starts it, and what it left behind."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ranks
from conftest import conditions_document, write_document
from ranks import OWN, PATIENCE_SECONDS

# The trainer without its exports, which take most of a small training's time: for tests of what is learned and told.
WEIGHTS_ALONE = """
import sys
from safetensors.torch import save_file
from proving_ground import __main__, train
def save_weights(network, examples, calibration, metadata, output):
    weights = network.state_dict().items()
    save_file({name: value.contiguous() for name, value in weights}, output / "weights.safetensors")
    return []
train.export_model = save_weights
sys.exit(__main__.main())
"""


def arguments_of(
    kind: str,
    folder: Path,
    document: dict[str, Any],
    data: Path,
    surroundings: dict[str, Any] | None = None,
    **places: Path,
) -> list[str]:
    """Write a job's documents; returns the arguments of `python -m proving_ground` that do it in a folder."""
    run = write_document(folder / "run.json", document)
    conditions = write_document(folder / "conditions.json", conditions_document(**(surroundings or {})))
    arguments = [kind, "--document", run, "--conditions", conditions, "--data", data, "--work", folder]
    arguments += ["--output", folder / "output"]
    for name, place in places.items():
        arguments += [f"--{name}", place]
    return [str(argument) for argument in arguments]


def run_job(
    kind: str,
    folder: Path,
    document: dict[str, Any],
    data: Path,
    surroundings: dict[str, Any] | None = None,
    script: str | None = None,
    **places: Path,
) -> tuple[int, str]:
    """Run a job with as many processes as its document says; returns its exit code and all that it printed.

    script: Python to run in the place of `python -m proving_ground`, with the same arguments.
    """
    arguments = arguments_of(kind, folder, document, data, surroundings, **places)
    return ranks.run(arguments, document["processes"], folder / "printed.txt", script=script)


def run_torchrun(
    kind: str,
    folder: Path,
    document: dict[str, Any],
    data: Path,
    surroundings: dict[str, Any] | None = None,
    script: str | None = None,
) -> tuple[int, str]:
    """The same by torchrun, as every job runs outside of tests: for what is torchrun's own part."""
    own = ["-m", "proving_ground"]
    if script is not None:
        (folder / "script.py").write_text(script)
        own = [str(folder / "script.py")]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={document['processes']}", *own]
    command += arguments_of(kind, folder, document, data, surroundings)
    done = subprocess.run(
        command,
        env={**os.environ, **OWN},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    return done.returncode, done.stdout


def run_alone(command: list[str], stdin: str, log: Path) -> tuple[int, str]:
    """Run the package's command line as one process; returns its exit code and its last line."""
    code, said = ranks.run(command, 1, log, stdin=stdin)
    return code, said.strip().rpartition("\n")[2]
