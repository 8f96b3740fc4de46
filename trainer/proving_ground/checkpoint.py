"""A training's state becomes a folder, whole and verified, and the newest good folder becomes the state again.

checkpoints/step-00000123/ holds state.pt and manifest.json with its digest. The folder is written beside, synced and
renamed, so its name vouches for it; loading verifies the digest and falls back to the one before.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from proving_ground.errors import Refused
from proving_ground.files import digest, read_json, whole_folder, write_json

KEEP = 2


@dataclass
class State:
    """All that resuming needs; with it, the rest of the run is the same to the last bit."""

    run: str
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    step: int = 0
    loss_sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, torch.Tensor] | None = None
    best_epoch: int = 0
    best_score: float = float("-inf")
    seconds: float = 0.0
    attempts: int = 1


def save(folder: Path, state: State) -> None:
    """Write a checkpoint whole, then drop those that are no longer needed."""
    place = folder / f"step-{state.step:08d}"
    if place.exists():
        # A checkpoint of the same step that could be loaded holds the same state; a damaged one is in the way.
        shutil.rmtree(place)
    with whole_folder(place) as beside:
        file = beside / "state.pt"
        torch.save(vars(state), file)
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
        write_json(beside / "manifest.json", {"run": state.run, "step": state.step, "state.pt": digest(file)})
    for old in checkpoints(folder)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, run: str) -> tuple[State | None, list[str]]:
    """Load the newest checkpoint that is whole; also tells, in sentences, what was passed over.

    Raises Refused for a checkpoint of another run: that is a mix-up, not damage.
    """
    passed_over = []
    # What a process that was killed while saving left behind.
    for part in folder.glob(".step-*"):
        shutil.rmtree(part, ignore_errors=True)
    for place in reversed(checkpoints(folder)):
        try:
            if digest(place / "state.pt") != read_json(place / "manifest.json")["state.pt"]:
                raise OSError("its content is not what its manifest says")
            state = State(**torch.load(place / "state.pt", map_location="cpu", weights_only=True))
        except (OSError, RuntimeError, KeyError, TypeError, EOFError, ValueError, UnpicklingError) as error:
            passed_over.append(f"{place.name} is damaged and was passed over: {error}")
            continue
        if state.run != run:
            raise Refused(f"{place} is of the run {state.run}, and this is {run}")
        return state, passed_over
    return None, passed_over


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first: steps are padded with zeros, so names sort as numbers do."""
    return sorted(folder.glob("step-*")) if folder.exists() else []
