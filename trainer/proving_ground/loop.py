"""A run becomes trained weights: one loop, from top to bottom."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, NoReturn

from proving_ground.attempt import Attempt, Places, begin, capture, check_start
from proving_ground.checkpoint import Keeper, State
from proving_ground.config import Training, TrainRun
from proving_ground.data.loader import Batch, Order, TrainingFrames, training_batches
from proving_ground.errors import NonFiniteLoss, Stopped
from proving_ground.evaluation import LOWER_IS_BETTER
from proving_ground.job import Job
from proving_ground.model.network import Network
from proving_ground.step import StepResult
from proving_ground.tracking import Tracking

# What the best epoch is chosen by: the mean of the main figure of each head.
MAIN_METRICS = {"detection": "map", "segmentation": "miou", "lanes": "lane_f1", "trajectory": "min_fde"}
# Losses are wild in the first steps: an explosion is told from them no earlier.
SETTLED_STEPS = 20
LOSS_MEMORY = 0.99
HISTOGRAM_STEPS = 50


class Trained(NamedTuple):
    """The network with the best epoch's weights, and the state at the end."""

    network: Network
    state: State


def train(job: Job[TrainRun], places: Places, opened: tuple[TrainingFrames, Order], tracking: Tracking) -> Trained:
    """Train to the end, from the newest checkpoint if there is one; `opened` is what open_training gives.

    Raises Refused for data or weights that can't be taken, Stopped after SIGTERM, NonFiniteLoss for a loss that is not
    finite or explodes on any rank, StorageFailure where a checkpoint can't be written, LostWorker where a loading
    process is gone.
    """
    attempt = begin(job, places, opened, tracking)
    check_start(attempt)
    config, group, session, state = job.run.train, job.group, attempt.session, attempt.state
    steps, total = attempt.order.steps, attempt.total
    keeper = Keeper(places.work / "checkpoints", config.checkpoint, places.fast, places.durable)
    batches = training_batches(
        attempt.frames, attempt.order, range(state.step, total), attempt.part, job.conditions.loader
    )
    speed = Speed()

    def save(last: bool = False) -> None:
        if group.is_first:
            capture(session, state)
            state.seconds = attempt.seconds
            keeper.save(state, last)

    def stop() -> NoReturn:
        save(last=True)
        group.barrier()
        raise Stopped(f"It was asked to stop, and saved a checkpoint at step {state.step} of {total}.")

    while True:
        if state.step == steps * attempt.epoch:
            try:
                end_epoch(attempt, speed)
            except Stopped:
                stop()
            speed = Speed()
        if state.step == total:
            break
        epoch, step = divmod(state.step, steps)
        waited = time.perf_counter()
        parts = list(islice(batches, config.accumulation))
        speed.waited += time.perf_counter() - waited
        speed.frames += sum(len(batch.frames) for batch in parts) * group.size
        session.balance.begin_epoch(epoch + step / steps)
        rate = learning_rate(config, state.step, total)
        result = take_checked_step(attempt, parts, rate)
        state.step += 1
        follow(attempt, result, rate, speed)
        if state.step == total or (group.is_first and keeper.due(state.step)):
            save(last=state.step == total)
        # Only a whole step can be repeated to the bit: its forward pass has already moved the batch norms.
        if result.stop:
            stop()
    keeper.close()
    best = session.average or session.network
    best.load_state_dict(state.best)
    state.seconds = attempt.seconds
    return Trained(best, state)


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


def learning_rate(config: Training, step: int, total: int) -> float:
    """Linear warm-up, then cosine to zero (Loshchilov and Hutter 2017)."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(total - config.warmup_steps, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def take_checked_step(attempt: Attempt, parts: Sequence[Batch], rate: float) -> StepResult:
    """A step that names itself where a loss is not finite or explodes, and that remembers its losses."""
    session, state = attempt.session, attempt.state
    known = state.loss_average if state.step >= SETTLED_STEPS else None
    limit = float("inf") if known is None else session.config.max_loss_factor * known
    try:
        result = session.take_step(parts, rate, limit)
    except NonFiniteLoss as error:
        raise NonFiniteLoss(f"At step {state.step} (epoch {attempt.epoch}) the loss {error}") from error
    for name, value in result.losses.items():
        state.loss_sums[name] = state.loss_sums.get(name, 0.0) + value
    plain = sum(value for name, value in result.losses.items() if name != "total")
    before = state.loss_average
    state.loss_average = plain if before is None else LOSS_MEMORY * before + (1 - LOSS_MEMORY) * plain
    return result


def follow(attempt: Attempt, result: StepResult, rate: float, speed: Speed) -> None:
    """Tell progress and tracking of a step; on ranks other than the first both do nothing."""
    session, state, tracking = attempt.session, attempt.state, attempt.tracking
    attempt.job.progress.show(
        "train",
        state.step,
        attempt.total,
        epoch=(attempt.epoch, session.config.epochs),
        loss=result.losses["total"],
        metric=last_metric(state),
    )
    if tracking.wants(state.step):
        losses = {f"loss/{name}": value for name, value in result.losses.items()}
        weights = {f"weight/{name}": value for name, value in session.balance.current().items()}
        own = {"learning_rate": rate, "gradient_norm": result.norm, "epoch": attempt.epoch, **speed.describe()}
        tracking.step(state.step, {**losses, **weights, **own})
        if state.step % HISTOGRAM_STEPS == 0:
            tracking.gradients(state.step, session.network)


def last_metric(state: State) -> dict[str, float | None] | None:
    """The last validation's main figures, for the live line."""
    if not state.history:
        return None
    validation = state.history[-1]["validation"]
    return {name: validation[name] for name in MAIN_METRICS.values() if name in validation}


def end_epoch(attempt: Attempt, speed: Speed) -> None:
    """Validate, remember the epoch, and keep its weights if they are the best."""
    from proving_ground.evaluate import measure
    from proving_ground.evaluation import score

    job, session, state, validation = attempt.job, attempt.session, attempt.state, attempt.validation
    epoch, pace = attempt.epoch, speed.describe()
    means = {name: value / attempt.order.steps for name, value in state.loss_sums.items()}
    network = session.to_validate()
    statistics = measure(job, network, validation, attempt.loader, "validate", (epoch, session.config.epochs))
    figures = None
    if statistics is not None:
        measured = score(statistics, [], len(validation))
        figures = {MAIN_METRICS[head]: measured[MAIN_METRICS[head], None] for head in job.run.architecture.heads}
    figures = job.group.broadcast(figures)
    state.loss_sums = {}
    state.history.append(
        {"epoch": epoch, "loss": means, "weights": session.balance.current(), "validation": figures, "speed": pace}
    )
    session.balance.end_epoch(means)
    quality = quality_of(figures)
    if not state.best or (quality is not None and quality > (state.best_score or float("-inf"))):
        state.best_score, state.best_epoch = quality, epoch
        state.best = {name: value.detach().clone() for name, value in network.state_dict().items()}
    attempt.tracking.epoch(state.step, epoch, figures, validation, network, statistics)


def quality_of(figures: dict[str, float | None]) -> float | None:
    """One figure, the higher the better, that the best epoch is chosen by: the mean of what was measured."""
    known = [
        # Errors in metres, from 0: all the range of a score from 0 to 1, falling.
        math.exp(-value) if name in LOWER_IS_BETTER else value
        for name, value in figures.items()
        if value is not None
    ]
    return sum(known) / len(known) if known else None
