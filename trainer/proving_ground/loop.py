"""A run becomes trained weights: one loop, from top to bottom."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import torch

from proving_ground import checkpoint
from proving_ground.checkpoint import Keeper, State
from proving_ground.checks import check_sanity, smoke_determinism
from proving_ground.config import Conditions, Data, Training, TrainRun, Window
from proving_ground.data.dataset import FrameDataset
from proving_ground.data.loader import Order, TrainingFrames, evaluation_loader, training_batches
from proving_ground.data.manifest import read_manifest
from proving_ground.distributed import Group
from proving_ground.errors import NonFiniteLoss, Refused, Stopped
from proving_ground.evaluation import LOWER_IS_BETTER
from proving_ground.model.network import Network, build_for
from proving_ground.progress import Progress
from proving_ground.step import Session, StepResult
from proving_ground.tracking import Tracking
from proving_ground.warm_start import check_meaning, load_into

# What the best epoch is chosen by: the mean of the main figure of each head.
MAIN_METRICS = {"detection": "map", "segmentation": "miou", "lanes": "lane_f1", "trajectory": "min_fde"}
# Losses are wild in the first steps: an explosion is told from them no earlier.
SETTLED_STEPS = 20
LOSS_MEMORY = 0.99
HISTOGRAM_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders of a training: data, the job's own, and, where there are any, start weights, replayed data, stores."""

    data: Path
    work: Path
    weights: Path | None = None
    replay: Path | None = None
    fast: Path | None = None
    durable: Path | None = None

    @property
    def checkpoints(self) -> list[Path]:
        """Where checkpoints may be, the nearest first."""
        return [place for place in (self.work / "checkpoints", self.fast, self.durable) if place is not None]


def train(
    run: TrainRun,
    group: Group,
    places: Places,
    conditions: Conditions,
    opened: tuple[TrainingFrames, Order],
    progress: Progress,
    tracking: Tracking,
) -> tuple[Network, State]:
    """Train to the end, from the newest checkpoint if there is one; `opened` is what open_training gives.

    Returns the network with the best epoch's weights, and the state. Raises Refused for data or weights that can't be
    taken, Stopped after SIGTERM, NonFiniteLoss for a loss that is not finite or explodes on any rank, StorageFailure
    where a checkpoint can't be written, LostWorker where a loading process is gone.
    """
    config, began = run.train, time.monotonic()
    prepare_determinism(config)
    frames, order = opened
    validation = open_frames(run, places.data, "val")
    loader = evaluation_loader(validation, (group.rank, group.size), conditions.loader)
    network = build_for(run)
    state = find_state(run, group, places)
    if run.weights is not None and places.weights is not None and state.step == 0:
        check_meaning(places.weights, run, run.weights["leave"])
        load_into(network, places.weights, run.weights)
    session = Session(network, run.architecture.heads, config, group)
    restore(session, state)
    earlier, total = state.seconds, order.steps * config.epochs
    part = (group.rank, group.size, config.accumulation)
    if config.sanity and state.step < total:
        check_sanity(session, frames, part, config)
    if config.determinism_steps > 0 and state.step == 0:
        smoke = training_batches(frames, order, range(min(config.determinism_steps, total)), part, NO_WORKERS)
        state.checks["determinism"] = smoke_determinism(session, list(smoke), config)
    group.check_stop("before the first step")
    keeper = Keeper(places.work / "checkpoints", config.checkpoint, places.fast, places.durable)
    batches = training_batches(frames, order, range(state.step, total), part, conditions.loader)
    speed = Speed()

    def save(last: bool = False) -> None:
        if group.is_first:
            capture(session, state)
            state.seconds = earlier + time.monotonic() - began
            keeper.save(state, last)

    def stop() -> NoReturn:
        save(last=True)
        group.barrier()
        raise Stopped(f"It was asked to stop, and saved a checkpoint at step {state.step} of {total}.")

    while True:
        if state.step == order.steps * (len(state.history) + 1):
            try:
                end_epoch(run, session, loader, validation, state, order.steps, speed, progress, tracking)
            except Stopped:
                stop()
            speed = Speed()
        if state.step == total:
            break
        epoch, step = divmod(state.step, order.steps)
        waited = time.perf_counter()
        parts = list(islice(batches, config.accumulation))
        speed.waited += time.perf_counter() - waited
        speed.frames += sum(len(batch.frames) for batch in parts) * group.size
        session.balance.begin_epoch(epoch + step / order.steps)
        rate = learning_rate(config, state.step, total)
        result = take_checked_step(session, state, parts, rate, epoch)
        state.step += 1
        follow(session, state, result, rate, epoch, total, speed, progress, tracking)
        if state.step == total or (group.is_first and keeper.due(state.step)):
            save(last=state.step == total)
        # Only a whole step can be repeated to the bit: its forward pass has already moved the batch norms.
        if result.stop:
            stop()
    keeper.close()
    best = session.average or network
    best.load_state_dict(state.best)
    state.seconds = earlier + time.monotonic() - began
    return best, state


NO_WORKERS = {"workers": 0, "prefetch": 1, "pin_memory": False}


@dataclass
class Speed:
    """How fast an epoch goes: since when, seconds spent waiting for data, frames of all ranks."""

    began: float = 0.0
    waited: float = 0.0
    frames: int = 0

    def __post_init__(self) -> None:
        self.began = time.perf_counter()

    def describe(self) -> dict[str, float]:
        """The report's figures."""
        seconds = max(time.perf_counter() - self.began, 1e-9)
        return {
            "seconds": round(seconds, 3),
            "data_wait_percent": round(100 * min(self.waited / seconds, 1.0), 2),
            "frames_per_second": round(self.frames / seconds, 1),
        }


def prepare_determinism(config: Training) -> None:
    """Ask for the same bits each time; on a CPU this costs nothing."""
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision(config.matmul_precision)


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


def learning_rate(config: Training, step: int, total: int) -> float:
    """Linear warm-up, then cosine to zero (Loshchilov and Hutter 2017)."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(total - config.warmup_steps, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


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


def take_checked_step(session: Session, state: State, parts: Sequence[Any], rate: float, epoch: int) -> StepResult:
    """A step that names itself where a loss is not finite or explodes, and that remembers its losses."""
    known = state.loss_average if state.step >= SETTLED_STEPS else None
    limit = float("inf") if known is None else session.config.max_loss_factor * known
    try:
        result = session.take_step(parts, rate, limit)
    except NonFiniteLoss as error:
        raise NonFiniteLoss(f"At step {state.step} (epoch {epoch + 1}) the loss {error}") from error
    for name, value in result.losses.items():
        state.loss_sums[name] = state.loss_sums.get(name, 0.0) + value
    plain = sum(value for name, value in result.losses.items() if name != "total")
    before = state.loss_average
    state.loss_average = plain if before is None else LOSS_MEMORY * before + (1 - LOSS_MEMORY) * plain
    return result


def follow(
    session: Session,
    state: State,
    result: StepResult,
    rate: float,
    epoch: int,
    total: int,
    speed: Speed,
    progress: Progress,
    tracking: Tracking,
) -> None:
    """Tell progress and tracking of a step; on ranks other than the first both do nothing."""
    config = session.config
    progress.show(
        "train",
        state.step,
        total,
        epoch=(epoch + 1, config.epochs),
        loss=result.losses["total"],
        metric=last_metric(state),
    )
    if tracking.wants(state.step):
        losses = {f"loss/{name}": value for name, value in result.losses.items()}
        weights = {f"weight/{name}": value for name, value in session.balance.current().items()}
        own = {"learning_rate": rate, "gradient_norm": result.norm, "epoch": epoch + 1, **speed.describe()}
        tracking.step(state.step, {**losses, **weights, **own})
        if state.step % HISTOGRAM_STEPS == 0:
            tracking.gradients(state.step, session.network)


def last_metric(state: State) -> dict[str, float | None] | None:
    """The last validation's main figures, for the live line."""
    if not state.history:
        return None
    validation = state.history[-1]["validation"]
    return {name: validation[name] for name in MAIN_METRICS.values() if name in validation}


def end_epoch(
    run: TrainRun,
    session: Session,
    loader: Any,
    validation: FrameDataset,
    state: State,
    steps: int,
    speed: Speed,
    progress: Progress,
    tracking: Tracking,
) -> None:
    """Validate, remember the epoch, and keep its weights if they are the best."""
    from proving_ground.evaluate import measure
    from proving_ground.evaluation import score

    group, epoch, pace = session.group, len(state.history) + 1, speed.describe()
    means = {name: value / steps for name, value in state.loss_sums.items()}
    network = session.to_validate()
    statistics = measure(network, validation, loader, group, progress, "validate", (epoch, session.config.epochs))
    figures = None
    if statistics is not None:
        measured = score(statistics, [], len(validation))
        figures = {MAIN_METRICS[head]: measured[MAIN_METRICS[head], None] for head in run.architecture.heads}
    figures = group.broadcast(figures)
    state.loss_sums = {}
    state.history.append(
        {"epoch": epoch, "loss": means, "weights": session.balance.current(), "validation": figures, "speed": pace}
    )
    session.balance.end_epoch(means)
    quality = quality_of(figures)
    if not state.best or (quality is not None and quality > (state.best_score or float("-inf"))):
        state.best_score, state.best_epoch = quality, epoch
        state.best = {name: value.detach().clone() for name, value in network.state_dict().items()}
    tracking.epoch(state.step, epoch, figures, validation, network, statistics)


def quality_of(figures: dict[str, float | None]) -> float | None:
    """One figure, the higher the better, that the best epoch is chosen by: the mean of what was measured."""
    known = [
        # Errors in metres, from 0: all the range of a score from 0 to 1, falling.
        math.exp(-value) if name in LOWER_IS_BETTER else value
        for name, value in figures.items()
        if value is not None
    ]
    return sum(known) / len(known) if known else None
