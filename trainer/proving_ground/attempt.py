"""A run, its folders and the newest checkpoint become an attempt at training: all that the loop goes on with."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from proving_ground import checkpoint
from proving_ground.checkpoint import State
from proving_ground.checks import check_sanity, smoke_determinism
from proving_ground.config import Data, Training, TrainRun, Window
from proving_ground.data.dataset import FrameDataset
from proving_ground.data.loader import Order, TrainingFrames, evaluation_loader, training_batches
from proving_ground.data.manifest import read_manifest
from proving_ground.distributed import Group
from proving_ground.errors import Refused
from proving_ground.job import Job
from proving_ground.model.network import build_for
from proving_ground.step import Session
from proving_ground.tracking import Tracking
from proving_ground.warm_start import check_meaning, load_into

NO_WORKERS = {"workers": 0, "prefetch": 1, "pin_memory": False}


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders of a training."""

    data: Path
    """The dataset."""

    work: Path
    """The job's own: checkpoints, progress."""

    weights: Path | None = None
    """The model that training starts from."""

    replay: Path | None = None
    """The older data that are replayed."""

    production: Path | None = None
    """The production model, whose data and latency these are held against."""

    fast: Path | None = None
    """Where every checkpoint is also copied to."""

    durable: Path | None = None
    """Where checkpoints are copied to now and then."""

    @property
    def checkpoints(self) -> list[Path]:
        """Where checkpoints may be, the nearest first."""
        return [place for place in (self.work / "checkpoints", self.fast, self.durable) if place is not None]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a training: from its beginning, or the newest checkpoint, towards the end."""

    job: Job[TrainRun]

    session: Session
    """What a step changes."""

    state: State
    """What resuming needs: how far the training is, and what it has seen."""

    frames: TrainingFrames
    """What is trained on."""

    order: Order
    """Which frames each step takes."""

    validation: FrameDataset
    """What each epoch is measured on."""

    loader: DataLoader[Any]
    """This rank's batches of the validation, for any number of passes."""

    tracking: Tracking

    began: float
    """On the monotonic clock, moved back by the seconds of earlier attempts."""

    @property
    def seconds(self) -> float:
        """How long all attempts have taken so far."""
        return time.monotonic() - self.began

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.order.steps * self.job.run.train.epochs

    @property
    def epoch(self) -> int:
        """The epoch that is not yet validated, from 1."""
        return len(self.state.history) + 1

    @property
    def part(self) -> tuple[int, int, int]:
        """This rank's part of a step: see training_batches."""
        return self.job.group.rank, self.job.group.size, self.job.run.train.accumulation


def open_training(run: TrainRun, places: Places) -> tuple[TrainingFrames, Order]:
    """Open the frames to train on, replayed ones included, and their order."""
    datasets = [open_frames(run, places.data, "train", window=run.window)]
    replayed, old = 0, 0
    if run.replay is not None:
        if places.replay is None:
            raise Refused("the run replays older data, and the job was given no folder of it")
        datasets.append(open_frames(run, places.replay, "train", run.replay.data))
        old = len(datasets[1])
        replayed = round(run.replay.share * run.train.global_batch)
        if not 0 < replayed < run.train.global_batch:
            raise Refused(
                f"replay.share: {run.replay.share} of a global batch of {run.train.global_batch} is {replayed} frames; "
                "it must leave room for both"
            )
    order = Order(new=len(datasets[0]), old=old, seed=run.seed, global_batch=run.train.global_batch, replayed=replayed)
    return TrainingFrames(datasets, run.train, run.seed), order


def open_frames(
    run: TrainRun, data: Path, split: str, of: Data | None = None, window: Window | None = None
) -> FrameDataset:
    """Open a manifest of the run's data, or of other data, or its frames of a window of days.

    Raises Refused where it isn't what the run names, or where no frame was captured in the window.
    """
    described = of or run.data
    manifest = described.manifests[split]
    frames = read_manifest(data / manifest.file, manifest.sha256, list(described.detection))
    if window is not None:
        frames = [frame for frame in frames if frame.captured and window.first <= frame.captured <= window.last]
        if not frames:
            raise Refused(f"{data / manifest.file}: no frame was captured from {window.first} to {window.last}")
    return FrameDataset(data, frames, described, run.architecture)


def begin(job: Job[TrainRun], places: Places, opened: tuple[TrainingFrames, Order], tracking: Tracking) -> Attempt:
    """Build the network and its optimizer, and put into them what the newest checkpoint or the start weights have."""
    run, group, began = job.run, job.group, time.monotonic()
    prepare_determinism(run.train)
    validation = open_frames(run, places.data, "val")
    network = build_for(run)
    state = find_state(run, group, places)
    if run.weights is not None and places.weights is not None and state.step == 0:
        check_meaning(places.weights, run, run.weights["leave"])
        load_into(network, places.weights, run.weights)
    session = Session(network, run.architecture.heads, run.train, group)
    restore(session, state)
    return Attempt(
        job=job,
        session=session,
        state=state,
        frames=opened[0],
        order=opened[1],
        validation=validation,
        loader=evaluation_loader(validation, (group.rank, group.size), job.conditions.loader),
        tracking=tracking,
        began=began - state.seconds,
    )


def check_start(attempt: Attempt) -> None:
    """Check the largest shapes and the harness before the first step; raises Stopped where this was asked for."""
    session, state, config = attempt.session, attempt.state, attempt.job.run.train
    if config.sanity and state.step < attempt.total:
        check_sanity(session, attempt.frames, attempt.part, config)
    if config.determinism_steps > 0 and state.step == 0:
        steps = range(min(config.determinism_steps, attempt.total))
        smoke = training_batches(attempt.frames, attempt.order, steps, attempt.part, NO_WORKERS)
        state.checks["determinism"] = smoke_determinism(session, list(smoke), config)
    attempt.job.group.check_stop("before the first step")


def prepare_determinism(config: Training) -> None:
    """Ask for the same bits each time; on a CPU this costs nothing."""
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision(config.matmul_precision)


def find_state(run: TrainRun, group: Group, places: Places) -> State:
    """The newest good checkpoint's state on every rank, or a new one; all ranks take the one that rank 0 found."""
    found: State | Refused | None = None
    if group.is_first:
        try:
            found, passed_over = checkpoint.load(places.checkpoints, run.id)
        except Refused as error:
            found, passed_over = error, []
        for sentence in passed_over:
            print(sentence, flush=True)
    found = checkpoint.share(found, group)
    if isinstance(found, Refused):
        raise found
    if found is None:
        return State(run=run.id)
    found.attempts += 1
    if group.is_first:
        print(f"resumed at step {found.step}", flush=True)
    return found


def restore(session: Session, state: State) -> None:
    """Put a checkpoint's state into what a step changes; a new state leaves it as it is."""
    if state.step == 0:
        return
    session.network.load_state_dict(state.model)
    session.optimizer.load_state_dict(state.optimizer)
    session.scaler.load_state_dict(state.scaler)
    session.balance.load(state.balance)
    if session.average is not None:
        session.average.load_state_dict(state.average)


def capture(session: Session, state: State) -> None:
    """Name in the state what a step changes; it is copied when the checkpoint is taken."""
    state.model, state.optimizer = session.network.state_dict(), session.optimizer.state_dict()
    state.scaler, state.balance = session.scaler.state_dict(), session.balance.state()
    state.average = session.average.state_dict() if session.average is not None else {}
