"""A run becomes trained weights: one loop, from top to bottom."""

import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from proving_ground import checkpoint
from proving_ground.checkpoint import State
from proving_ground.config import Training, TrainRun
from proving_ground.data.dataset import Batch, FrameDataset, epoch_order, rank_batch, steps_of
from proving_ground.data.manifest import read_manifest
from proving_ground.distributed import Group
from proving_ground.errors import NonFiniteLoss, Refused, Stopped
from proving_ground.model.losses import head_losses
from proving_ground.model.network import Network, build_network
from proving_ground.progress import Progress

# What the best epoch is chosen by: the mean of the main figure of each head.
MAIN_METRICS = {"detection": "map", "segmentation": "miou", "lanes": "lane_f1"}


def train(
    run: TrainRun, group: Group, data: Path, work: Path, weights: Path | None, progress: Progress
) -> tuple[Network, State]:
    """Train to the end, from the newest checkpoint if there is one.

    Returns the network with the best epoch's weights, and the state. Raises Refused for data or weights that can't be
    taken, Stopped after SIGTERM, NonFiniteLoss for a loss that is not finite on any rank.
    """
    config, began = run.train, time.monotonic()
    prepare_determinism()
    training, validation = (open_frames(run, data, split) for split in ("train", "val"))
    network = build_network(run.architecture, len(run.data.detection), len(run.data.segmentation), run.seed)
    if weights is not None:
        load_weights(network, weights)
    network.to(group.device, memory_format=torch.channels_last)
    optimizer = make_optimizer(network, config)
    dtype = autocast_dtype(config.precision, group.device)
    scaler = torch.amp.GradScaler(group.device.type, enabled=dtype == torch.float16)
    state = resume(run, group, work / "checkpoints", network, optimizer, scaler)
    earlier = state.seconds
    # Gradients of heads without labels in a batch are zero, not absent: every parameter takes part in every step.
    device_ids = None if group.device.type == "cpu" else [group.device]
    parallel = DistributedDataParallel(network, device_ids=device_ids, gradient_as_bucket_view=True)
    steps = steps_of(len(training), config.global_batch)
    total = steps * config.epochs

    def save() -> None:
        # Each rank summed its own losses: what is saved, and goes on, is their mean.
        state.loss_sums = group.mean(state.loss_sums)
        if group.is_first:
            state.model, state.optimizer, state.scaler = (
                network.state_dict(),
                optimizer.state_dict(),
                scaler.state_dict(),
            )
            state.seconds = earlier + time.monotonic() - began
            checkpoint.save(work / "checkpoints", state)
        group.barrier()

    while True:
        if state.step == steps * (len(state.history) + 1):
            end_epoch(run, group, network, validation, state, steps, progress)
        if state.step == total:
            break
        epoch, step = divmod(state.step, steps)
        indices = rank_batch(
            epoch_order(len(training), run.seed, epoch), step, config.global_batch, group.rank, group.size
        )
        batch = training.batch(indices, config.augment, run.seed, epoch)
        network.train()
        for parameters in optimizer.param_groups:
            parameters["lr"] = learning_rate(config, state.step, total)
        with torch.autocast(group.device.type, dtype=dtype, enabled=dtype is not None):
            outputs = parallel(batch.tensors["image"].to(group.device).contiguous(memory_format=torch.channels_last))
        targets = {name: tensor.to(group.device) for name, tensor in batch.tensors.items() if name != "image"}
        losses = head_losses(outputs, targets, config.loss)
        loss = torch.stack(list(losses.values())).sum()

        non_finite, stop = group.any(not bool(loss.isfinite()), group.stop_requested)
        if non_finite:
            raise NonFiniteLoss(describe_non_finite(group, training, batch, loss, epoch, state.step))

        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        # Clipping means the true gradients: they are unscaled first.
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        add_losses(state, losses, loss)
        state.step += 1
        progress.show(
            "train",
            state.step,
            total,
            epoch=(epoch + 1, config.epochs),
            loss=float(loss.detach()),
            metric=last_metric(state),
        )

        if stop or state.step % config.checkpoint_steps == 0 or state.step == total:
            save()
        # Only a whole step can be repeated to the bit: its forward pass has already moved the batch norms.
        if stop:
            raise Stopped(f"It was asked to stop, and saved a checkpoint at step {state.step} of {total}.")
    if state.best is not None:
        network.load_state_dict(state.best)
    state.seconds = earlier + time.monotonic() - began
    return network, state


def prepare_determinism() -> None:
    """Ask for the same bits each time; on a CPU this costs nothing."""
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def open_frames(run: TrainRun, data: Path, split: str) -> FrameDataset:
    """Open a manifest of the run's dataset; raises Refused where it isn't what the run was planned with."""
    manifest = run.data.manifests[split]
    frames = read_manifest(data / manifest.file, manifest.sha256, list(run.data.detection))
    return FrameDataset(data, frames, run.data, run.architecture)


def make_optimizer(network: nn.Module, config: Training) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019); biases and norms don't decay."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def learning_rate(config: Training, step: int, total: int) -> float:
    """Linear warm-up, then cosine to zero: a function of the step, so that it needs no state."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(total - config.warmup_steps, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Number format of mixed precision; None for float32.

    `auto` takes bfloat16 where the hardware multiplies it: on a CPU without AMX it would be several times slower.
    """
    if precision == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else "amx_bf16" in cpu_flags()
        precision = "bf16" if fast else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise Refused("precision fp16 needs a GPU; on a CPU take fp32, bf16 or auto")
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def cpu_flags() -> str:
    """What the processor says it can do; empty where the system doesn't tell."""
    try:
        return Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0]
    except (OSError, IndexError):
        return ""


def load_weights(network: nn.Module, folder: Path) -> None:
    """Load the weights of an earlier model; raises Refused naming the first tensor that doesn't fit."""
    from safetensors.torch import load_file

    stored, own = load_file(folder / "weights.safetensors"), network.state_dict()
    for name in sorted(stored.keys() | own.keys()):
        found = tuple(stored[name].shape) if name in stored else "absent"
        wanted = tuple(own[name].shape) if name in own else "absent"
        if found != wanted:
            raise Refused(
                f"the weights to start from don't fit: {name} is {found} there and {wanted} in this architecture"
            )
    network.load_state_dict(stored)


def resume(
    run: TrainRun,
    group: Group,
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> State:
    """Load the newest good checkpoint on every rank, or begin; all ranks take the one that rank 0 found."""
    found, passed_over = checkpoint.load(folder, run.id) if group.is_first else (None, [])
    for sentence in passed_over:
        print(sentence, flush=True)
    state = group.broadcast(found)
    if state is None:
        return State(run=run.id, model={}, optimizer={}, scaler={})
    network.load_state_dict(state.model)
    optimizer.load_state_dict(state.optimizer)
    scaler.load_state_dict(state.scaler)
    state.attempts += 1
    if group.is_first:
        print(f"resumed at step {state.step}", flush=True)
    return state


def add_losses(state: State, losses: dict[str, Tensor], loss: Tensor) -> None:
    """Add a step's losses to the epoch's sums."""
    for name, value in {"total": loss, **losses}.items():
        state.loss_sums[name] = state.loss_sums.get(name, 0.0) + float(value.detach())


def last_metric(state: State) -> dict[str, float | None] | None:
    """The last validation's main figures, for the live line."""
    if not state.history:
        return None
    validation = state.history[-1]["validation"]
    return {name: validation[name] for name in MAIN_METRICS.values() if name in validation}


def end_epoch(
    run: TrainRun,
    group: Group,
    network: Network,
    validation: FrameDataset,
    state: State,
    steps: int,
    progress: Progress,
) -> None:
    """Validate, remember the epoch, and keep its weights if they are the best."""
    epoch = len(state.history) + 1
    from proving_ground.evaluate import measure
    from proving_ground.evaluation import score

    means = {name: value / steps for name, value in group.mean(state.loss_sums).items()}
    state.loss_sums = {}
    # Every rank's batch norm saw its own frames: rank 0's are the model's.
    for buffer in network.buffers():
        torch.distributed.broadcast(buffer, 0)
    statistics = measure(network, validation, group, progress, "validate")
    figures = None
    if statistics is not None:
        measured = score(statistics, [], len(validation))
        wanted = [MAIN_METRICS[head] for head in run.architecture.heads]
        figures = {name: measured[name, None] for name in wanted}
    figures = group.broadcast(figures)
    state.history.append({"epoch": epoch, "loss": means, "validation": figures})
    known = [value for value in figures.values() if value is not None]
    quality = sum(known) / len(known) if known else float("-inf")
    if state.best is None or quality > state.best_score:
        state.best_score, state.best_epoch = quality, epoch
        state.best = {name: value.detach().clone() for name, value in network.state_dict().items()}


def describe_non_finite(group: Group, training: FrameDataset, batch: Batch, loss: Tensor, epoch: int, step: int) -> str:
    """Name the step and the frames of the ranks whose loss is not finite."""
    mine = [] if bool(loss.isfinite()) else [training.frames[index].source for index in batch.frames]
    everyone: list[list[str] | None] = [None] * group.size
    torch.distributed.all_gather_object(everyone, mine)
    frames = [name for names in everyone for name in names or []]
    shown = ", ".join(frames[:8]) + (f" and {len(frames) - 8} more" if len(frames) > 8 else "")
    return f"The loss is not a finite number at step {step} (epoch {epoch + 1}), on the frames {shown}."
