"""A training's state becomes a folder, whole and verified, and the newest good folder becomes the state again.

checkpoints/step-00000123/ holds state.safetensors (every tensor), state.json (all else, naming the tensors) and
manifest.json with their digests, written last. The folder is written beside, synced and renamed; loading verifies it
and falls back to the one before. Nothing in it is code.
"""

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from proving_ground.config import CheckpointRule
from proving_ground.distributed import Group
from proving_ground.errors import Refused, StorageFailure
from proving_ground.files import digest, digest_bytes, read_json, whole_folder, write_atomic, write_json

SCHEMA = 2
CHUNK = 1 << 24
TENSORS, VALUES, MANIFEST = "state.safetensors", "state.json", "manifest.json"
# safetensors' names of the types that a state has.
TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


@dataclass
class State:
    """All that resuming needs; with it, the rest of the run is the same to the last bit.

    average is the moving average of the weights, balance the task balancing's own state. loss_average is the running
    mean of the loss that an explosion is told by; best holds the best epoch's weights.
    """

    run: str
    model: dict[str, torch.Tensor] = field(default_factory=dict)
    average: dict[str, torch.Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    balance: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    loss_sums: dict[str, float] = field(default_factory=dict)
    loss_average: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best_score: float | None = None
    checks: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    attempts: int = 1


def separate(value: Any, tensors: list[torch.Tensor]) -> Any:
    """Plain values of a nested structure, each tensor replaced by its place in the list that it is added to.

    A tensor that lies in memory with its channels last is listed so, and comes back so: the fused optimizer takes a
    weight and its moments by their memory, and would mix them up.
    """
    if isinstance(value, torch.Tensor):
        value = value.detach()
        last = value.ndim == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)
        tensors.append(value.permute(0, 2, 3, 1) if last else value)
        return {"tensor": len(tensors) - 1, "channels_last": last}
    if isinstance(value, dict):
        # JSON's keys are strings, and an optimizer's are numbers.
        return {"pairs": [[key, separate(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [separate(item, tensors) for item in value]}
    return value


def join(value: Any, tensors: list[torch.Tensor]) -> Any:
    """The structure that `separate` took apart; tuples come back as lists."""
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        found = tensors[value["tensor"]]
        return found.permute(0, 3, 1, 2) if value["channels_last"] else found
    if "pairs" in value:
        return {key: join(item, tensors) for key, item in value["pairs"]}
    return [join(item, tensors) for item in value["list"]]


def take_apart(state: State, tensors: list[torch.Tensor]) -> dict[str, Any]:
    """A state's fields as plain values, its tensors in the list."""
    return {item.name: separate(getattr(state, item.name), tensors) for item in fields(State)}


def put_together(values: dict[str, Any], tensors: list[torch.Tensor]) -> State:
    """The state that `take_apart` took apart."""
    return State(**{name: join(value, tensors) for name, value in values.items()})


class Snapshot:
    """A copy of a state in memory that is made once and filled again at each checkpoint: training stalls no longer."""

    def __init__(self) -> None:
        self.layout: list[tuple[torch.dtype, tuple[int, ...]]] = []
        self.views: list[torch.Tensor] = []
        self.buffer = torch.empty(0, dtype=torch.uint8)
        self.header = b""
        self.values = b""
        self.about: dict[str, Any] = {}

    def take(self, state: State) -> None:
        """Copy a state; history and the like go on changing, and their text is their copy."""
        tensors: list[torch.Tensor] = []
        self.values = json.dumps(take_apart(state, tensors), allow_nan=False).encode()
        self.about = {"run": state.run, "step": state.step, "seconds": state.seconds, "best_epoch": state.best_epoch}
        layout = [(tensor.dtype, tuple(tensor.shape)) for tensor in tensors]
        if layout != self.layout:
            self.lay_out(layout)
        torch._foreach_copy_(self.views, tensors)

    def lay_out(self, layout: list[tuple[torch.dtype, tuple[int, ...]]]) -> None:
        """Make the memory, and safetensors' header of it."""
        # By falling size of their elements, so that each begins at a multiple of its own.
        order = sorted(range(len(layout)), key=lambda number: -layout[number][0].itemsize)
        begin, header, places = 0, {}, {}
        for number in order:
            dtype, shape = layout[number]
            end = begin + math.prod(shape) * dtype.itemsize
            header[str(number)] = {"dtype": TYPES[dtype], "shape": shape, "data_offsets": [begin, end]}
            places[number], begin = slice(begin, end), end
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self.header = len(text).to_bytes(8, "little") + text
        self.buffer = torch.empty(begin, dtype=torch.uint8)
        self.views = [
            self.buffer[places[number]].view(dtype).view(shape) for number, (dtype, shape) in enumerate(layout)
        ]
        self.layout = layout

    def write(self, folder: Path) -> Path:
        """Write the copy as a checkpoint of a folder, whole or not at all; returns its place."""
        place = folder / f"step-{self.about['step']:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        if place.exists():
            if problem_of(place) is None:
                # A whole one of the same step holds the same state.
                return place
            shutil.rmtree(place)
        with whole_folder(place) as beside:
            found = hashlib.sha256(self.header)
            with (beside / TENSORS).open("wb") as file:
                file.write(self.header)
                content = self.buffer.numpy()
                for begin in range(0, len(content), CHUNK):
                    file.write(content[begin : begin + CHUNK])
                    found.update(content[begin : begin + CHUNK])
                file.flush()
                os.fsync(file.fileno())
            write_atomic(beside / VALUES, self.values)
            files = {TENSORS: f"sha256:{found.hexdigest()}", VALUES: digest_bytes(self.values)}
            write_json(beside / MANIFEST, {"schema": SCHEMA, **self.about, "files": files})
        return place


class Keeper:
    """Writes a run's checkpoints in a thread of its own, keeps those that the rule says, and copies them elsewhere.

    folder is on this machine; fast and durable, where they are given, are folders of stores that outlive it.
    """

    def __init__(self, folder: Path, rule: CheckpointRule, fast: Path | None = None, durable: Path | None = None):
        self.folder, self.rule, self.fast, self.durable = folder, rule, fast, durable
        self.snapshot = Snapshot()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self.pending: Future[None] | None = None
        self.saved_at = self.durable_at = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether a checkpoint is due after a step, by steps or by minutes."""
        return step % self.rule.steps == 0 or time.monotonic() - self.saved_at >= 60 * self.rule.minutes

    def save(self, state: State, last: bool = False) -> None:
        """Copy the state, and let it be written. Raises StorageFailure where an earlier one could not be written.

        The last one of a process is waited for, and goes to the durable store whatever the interval.
        """
        self.wait()
        self.snapshot.take(state)
        self.saved_at = time.monotonic()
        to_durable = last or self.saved_at - self.durable_at >= 60 * self.rule.durable_minutes
        if to_durable:
            self.durable_at = self.saved_at
        self.pending = self.thread.submit(self.write, to_durable)
        if last:
            self.wait()

    def wait(self) -> None:
        """Wait for the checkpoint that is being written; raises StorageFailure where it could not be."""
        if self.pending is None:
            return
        try:
            self.pending.result()
        except OSError as error:
            good = [place.name for place in checkpoints(self.folder) if not problem_of(place)]
            kept = f"the last good one is {good[-1]}" if good else "there is none yet"
            raise StorageFailure(
                f"A checkpoint can't be written to {self.folder}: {error.strerror or error}; {kept}. "
                "Make room or choose another folder, then start again: training goes on from there."
            ) from error
        finally:
            self.pending = None

    def write(self, to_durable: bool) -> None:
        """Write the copy, drop what is no longer kept, and copy it to the other stores."""
        place = self.snapshot.write(self.folder)
        prune(self.folder, self.rule)
        for store, wanted in ((self.fast, True), (self.durable, to_durable)):
            if store is None or not wanted:
                continue
            try:
                copy_checkpoint(place, store)
                prune(store, self.rule)
            except OSError as error:
                # The one on this machine is there: training goes on, and the next copy may succeed.
                print(f"{place.name} could not be copied to {store}: {error.strerror or error}", flush=True)

    def close(self) -> None:
        """Let the thread end; what it writes now is finished first."""
        self.thread.shutdown()


def copy_checkpoint(place: Path, store: Path) -> None:
    """Copy a checkpoint to another folder, whole or not at all."""
    store.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(store / place.name, ignore_errors=True)
    with whole_folder(store / place.name) as beside:
        for name in (TENSORS, VALUES, MANIFEST):
            shutil.copyfile(place / name, beside / name)
            with (beside / name).open("rb") as file:
                os.fsync(file.fileno())


def prune(folder: Path, rule: CheckpointRule) -> None:
    """Delete what the rule doesn't keep: the last ones, the first with the best weights, one of each so many hours.

    The newest one that is whole is never deleted, and what is damaged counts for nothing.
    """
    known = []
    for place in checkpoints(folder):
        try:
            manifest = read_json(place / MANIFEST)
            known.append((place, float(manifest["seconds"]), int(manifest["best_epoch"])))
        except (Refused, KeyError, TypeError, ValueError):
            continue
    whole = next((item[0] for item in reversed(known) if problem_of(item[0]) is None), None)
    if whole is None:
        return
    keep = {whole, *(place for place, _, _ in known[-rule.keep_last :])}
    best = max((epoch for _, _, epoch in known), default=0)
    keep.add(next(place for place, _, epoch in known if epoch == best))
    if rule.keep_every_hours > 0:
        turns: dict[int, Path] = {}
        for place, seconds, _ in known:
            turns.setdefault(int(seconds / 3600 / rule.keep_every_hours), place)
        keep |= set(turns.values())
    for place in checkpoints(folder):
        if place not in keep:
            shutil.rmtree(place, ignore_errors=True)


def problem_of(place: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None where every byte is what its manifest says."""
    try:
        manifest = read_json(place / MANIFEST)
        if manifest["schema"] != SCHEMA:
            return f"it has schema {manifest['schema']}, but this code reads {SCHEMA}"
        if place.name != f"step-{manifest['step']:08d}":
            return f"its manifest is for step {manifest['step']}"
        for name in (TENSORS, VALUES):
            if digest(place / name) != manifest["files"][name]:
                return f"the content of {name} doesn't match its manifest"
    except (Refused, KeyError, TypeError, ValueError, AttributeError) as error:
        return str(error) if isinstance(error, Refused) else f"its manifest can't be understood ({error!r})"
    return None


def load(folders: Sequence[Path], run: str) -> tuple[State | None, list[str]]:
    """Load the newest checkpoint of any of the folders that is whole; also tells what was passed over.

    Raises Refused for a checkpoint of another run, which is a mix-up and no damage, and where there are checkpoints and
    none is whole: beginning anew is for people to decide.
    """
    passed_over: list[str] = []
    for folder in folders:
        # What a process that was killed while saving left behind.
        for part in folder.glob(".step-*"):
            shutil.rmtree(part, ignore_errors=True)
    places = [place for folder in folders for place in checkpoints(folder)]
    for place in sorted(places, key=lambda place: place.name, reverse=True):
        problem = problem_of(place)
        if problem is not None:
            passed_over.append(f"{place} is damaged and was skipped: {problem}")
            continue
        found = read_json(place / MANIFEST)["run"]
        if found != run:
            raise Refused(f"{place} belongs to the run {found}, but this is {run}")
        stored = load_file(place / TENSORS)
        return put_together(
            json.loads((place / VALUES).read_bytes()), [stored[str(number)] for number in range(len(stored))]
        ), passed_over
    if places:
        raise Refused("No checkpoint is intact; delete them to start from the beginning:\n" + "\n".join(passed_over))
    return None, passed_over


def share(found: State | Refused | None, group: Group) -> State | Refused | None:
    """What rank 0 found, on every rank."""
    tensors: list[torch.Tensor] = []
    described = found
    if isinstance(found, State):
        plain = take_apart(found, tensors)
        described = (plain, [(tensor.dtype, tuple(tensor.shape)) for tensor in tensors])
    described = group.broadcast(described)
    if not isinstance(described, tuple):
        return described
    plain, layout = described
    if not group.is_first:
        tensors = [torch.empty(shape, dtype=dtype) for dtype, shape in layout]
    for number, tensor in enumerate(tensors):
        tensors[number] = group.broadcast_tensor(tensor)
    return put_together(plain, tensors)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first: steps are padded with zeros, so names sort as numbers do."""
    return sorted(folder.glob("step-*")) if folder.exists() else []
