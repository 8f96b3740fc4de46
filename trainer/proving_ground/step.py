"""Some batches become one optimizer step, the same on every rank."""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from proving_ground.balancing import Balance
from proving_ground.config import Training
from proving_ground.data.loader import Batch
from proving_ground.distributed import Group
from proving_ground.errors import NonFiniteLoss, Refused
from proving_ground.model.losses import head_losses
from proving_ground.model.network import INPUTS, Network


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step saw: the ranks' mean losses (`total` was minimised), the gradient's norm, the wish to stop."""

    losses: dict[str, float]
    norm: float
    stop: bool


class Session:
    """All that a step changes: network, optimizer, scaler, balancing, and the moving average of the weights."""

    def __init__(self, network: Network, heads: Sequence[str], config: Training, group: Group) -> None:
        self.network, self.config, self.group = network, config, group
        self.frozen = freeze(network, config.freeze)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        network.to(group.device, memory_format=layout)
        self.layout = layout
        self.balance = Balance(config.balance, heads, group.device)
        self.optimizer = make_optimizer(network, self.balance, config)
        self.dtype = autocast_dtype(config.precision, group.device)
        network.eval()
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=self.dtype == torch.float16)
        self.average = copy.deepcopy(network) if config.ema_decay > 0 else None
        self.learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        forward = torch.compile(network) if config.compile else network
        self.forward = distribute(forward, group) if group.size > 1 else forward

    def train_mode(self) -> None:
        """Batch norms learn, but those of frozen parts."""
        self.network.train()
        for part in self.frozen:
            part.eval()

    def hold_gradients(self) -> AbstractContextManager[Any]:
        """Leaves gradients where they are, around forward and backward, until the last part of a step."""
        return self.forward.no_sync() if isinstance(self.forward, DistributedDataParallel) else nullcontext()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Each head's loss of a batch, as the recipe weighs it."""
        device, tensors = self.group.device, dict(batch.tensors)
        # Ten tensors that are there already would cost what a small step's forward pass does.
        if device.type != "cpu":
            tensors = {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}
        if "image" in tensors:
            tensors["image"] = tensors["image"].contiguous(memory_format=self.layout)
        inputs = {name: tensors[name] for name in INPUTS if name in tensors}
        with torch.autocast(device.type, dtype=self.dtype) if self.dtype is not None else nullcontext():
            outputs = self.forward(**inputs)
        return head_losses(outputs, tensors, self.config.loss)

    def take_step(self, batches: Sequence[Batch], learning_rate: float, limit: float = float("inf")) -> StepResult:
        """Forward, backward and step on this rank's batches, whose mean gradient over all ranks is taken.

        A loss above `limit` has exploded. Raises NonFiniteLoss on every rank, before the weights are changed, where a
        loss or the gradient is not finite on any.
        """
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        # Walking through all modules takes as long as some steps do.
        if not self.network.training:
            self.train_mode()
        heads = self.balance.heads
        own: list[Tensor] = []
        seen, work = torch.empty(0), None
        for turn, batch in enumerate(batches):
            last = turn == len(batches) - 1
            with nullcontext() if last else self.hold_gradients():
                losses = self.losses(batch)
                loss = self.balance.combine(losses)
                own.append(self.describe(loss, losses, limit))
                # A tensor of its own: the sum over the ranks is made in place.
                seen = own[-1].clone() if turn == 0 else seen + own[-1]
                if last:
                    # Summed over the ranks while the gradients are: it costs no time of its own.
                    work = self.group.start_sum(seen)
                self.scaler.scale(loss / len(batches) if len(batches) > 1 else loss).backward()
        if work is not None:
            work.wait()
        exploded, stop, *sums = seen.tolist()
        # What is not finite on one rank is not finite in the sum.
        if exploded > 0 or not all(math.isfinite(value) for value in sums[: 1 + len(heads)]):
            raise NonFiniteLoss(describe_bad(self.group, batches, own, limit))
        means = [value / (self.group.size * len(batches)) for value in sums]
        by_head = dict(zip(heads, means[1 : 1 + len(heads)], strict=True))
        norm = self.apply(by_head, means[1 + len(heads) :])
        return StepResult(losses={"total": means[0], **by_head}, norm=norm, stop=stop > 0)

    def describe(self, loss: Tensor, losses: dict[str, Tensor], limit: float) -> Tensor:
        """What is summed over parts and ranks: [3 + 2 heads] float64.

        Exploded, stop, the minimised loss, each head's, and each head's gradient norm where the balancing asks for it.
        """
        heads, device = self.balance.heads, self.group.device
        values = [loss.detach(), *(losses[head].detach() for head in heads)]
        plain = values[1] if len(heads) == 1 else torch.stack(values[1:]).sum()
        exploded = plain > limit
        stop = torch.tensor(self.group.stop_requested, device=device)
        norms = []
        if self.balance.needs_gradients:
            norms = [self.balance.gradient_norms(losses, shared_weight(self.network))]
        return torch.cat([torch.stack([exploded, stop, *values]).double(), *norms])

    def apply(self, losses: dict[str, float], norms: list[float]) -> float:
        """Clip the gradient and take the optimizer's step; returns the gradient's norm before it was clipped."""
        # Clipping means the true gradients: they are unscaled first.
        self.scaler.unscale_(self.optimizer)
        norm = float(nn.utils.clip_grad_norm_(self.learned, self.config.clip_norm))
        # A scaler leaves such a step out by itself, and lowers its scale.
        if not self.scaler.is_enabled() and not norm < float("inf"):
            raise NonFiniteLoss(f"The gradient's norm is {norm}, although the losses are finite: {losses}.")
        self.balance.set_gradient(losses)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.balance.needs_gradients:
            self.balance.follow_gradients(norms, losses)
        if self.average is not None:
            with torch.no_grad():
                averages = [parameter for parameter in self.average.parameters() if parameter.requires_grad]
                torch._foreach_lerp_(averages, [p.detach() for p in self.learned], 1 - self.config.ema_decay)
        return norm

    def to_validate(self) -> Network:
        """The network that is validated and kept: the moving average of the weights where there is one."""
        # Every rank's batch norms saw its own frames: rank 0's are the model's.
        for buffer in self.network.buffers():
            torch.distributed.broadcast(buffer, 0)
        if self.average is None:
            return self.network
        for own, other in zip(self.average.buffers(), self.network.buffers(), strict=True):
            own.copy_(other)
        return self.average

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Whatever is done inside is undone at the end: weights, moments, scale, balancing."""
        kept = copy.deepcopy((self.network.state_dict(), self.optimizer.state_dict(), self.scaler.state_dict()))
        balance = copy.deepcopy(self.balance.state())
        average = None if self.average is None else copy.deepcopy(self.average.state_dict())
        try:
            yield
        finally:
            self.network.load_state_dict(kept[0])
            self.optimizer.load_state_dict(kept[1])
            self.scaler.load_state_dict(kept[2])
            self.balance.load(balance)
            if self.average is not None and average is not None:
                self.average.load_state_dict(average)


def distribute(forward: nn.Module, group: Group) -> DistributedDataParallel:
    """The network on all ranks, whose gradients are averaged."""
    device_ids = None if group.device.type == "cpu" else [group.device]
    # Gradients of heads without labels in a batch are zero, not absent: every parameter takes part in every step. Batch
    # norms' running figures are rank 0's in the end: nothing in training reads them.
    return DistributedDataParallel(
        forward, device_ids=device_ids, gradient_as_bucket_view=True, forward_sync_buffers=False
    )


def freeze(network: Network, parts: Sequence[str]) -> list[nn.Module]:
    """Parts whose weights stay as they are; raises Refused for one that the network hasn't, or if nothing is left."""
    frozen = []
    for name in parts:
        try:
            part = network.get_submodule(name)
        except AttributeError as error:
            known = ["backbone", "neck", *(f"heads.{head}" for head in network.heads)]
            raise Refused(f"train.freeze: found {name}; this network has {', '.join(known)}") from error
        part.requires_grad_(False)
        frozen.append(part)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise Refused("train.freeze: every part is frozen, so nothing is left to learn")
    return frozen


def shared_weight(network: Network) -> Tensor:
    """The last weight that all image heads share."""
    return network.neck.smooth[0].weight


def make_optimizer(network: nn.Module, balance: Balance, config: Training) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019); biases, norms and the balancing's own parameters don't decay."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1] + balance.parameters(), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([item for item in groups if item["params"]], lr=config.learning_rate, fused=True)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Number format of mixed precision; None for float32.

    `auto` takes bfloat16 where the hardware multiplies it: on a CPU without AMX it would be several times slower.
    """
    if precision == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else "amx_bf16" in cpu_flags()
        precision = "bf16" if fast else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise Refused("precision fp16 needs a GPU; on a CPU use fp32, bf16 or auto")
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def cpu_flags() -> str:
    """What the processor says it can do; empty where the system doesn't tell."""
    try:
        return Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0]
    except (OSError, IndexError):
        return ""


def describe_bad(group: Group, batches: Sequence[Batch], own: Sequence[Tensor], limit: float) -> str:
    """What went wrong on which ranks, with the frames that they had; own is what `describe` gave for each batch."""
    mine = []
    for batch, values in zip(batches, own, strict=True):
        if values[0] > 0 or not bool(values.isfinite().all()):
            mine += batch.frames
    everyone: list[list[str]] = [[] for _ in range(group.size)]
    torch.distributed.all_gather_object(everyone, mine)
    frames = [name for names in everyone for name in names]
    ranks = ", ".join(str(rank) for rank, names in enumerate(everyone) if names)
    shown = ", ".join(frames[:8]) + (f" and {len(frames) - 8} more" if len(frames) > 8 else "")
    more = "" if limit == float("inf") else f", or above {limit:.4g}, where it has exploded,"
    return f"is not a finite number{more} on rank {ranks}, on the frames {shown}."
