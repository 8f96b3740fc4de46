"""torchrun's environment becomes the one process group: rank, world size, sums over ranks, and the wish to stop."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist


@dataclass
class Group:
    """This process among the others of the job."""

    rank: int
    size: int
    device: torch.device
    stop_requested: bool = field(default=False)

    @property
    def is_first(self) -> bool:
        """Whether this is global rank 0, which alone writes."""
        return self.rank == 0

    def any(self, *flags: bool) -> list[bool]:
        """Whether each flag is set on any rank: one small reduction for all of them."""
        values = torch.tensor([float(flag) for flag in flags], device=self.device)
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return [bool(value) for value in values.tolist()]

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Mean of each value over the ranks, the same on every rank; all ranks have the same keys."""
        names = sorted(values)
        total = torch.tensor([values[name] for name in names], dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return dict(zip(names, (total / self.size).tolist(), strict=True))

    def gather(self, value: Any) -> list[Any]:
        """One value from each rank, in the order of ranks, on rank 0; an empty list elsewhere."""
        gathered: list[Any] | None = [None] * self.size if self.is_first else None
        dist.gather_object(value, gathered)
        return gathered or []

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def barrier(self) -> None:
        """Wait for every rank."""
        dist.barrier()


@contextmanager
def join_group() -> Iterator[Group]:
    """Join the job's process group: nccl where each process has a GPU, gloo elsewhere."""
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    cuda = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(minutes=30))
    group = Group(rank=rank, size=size, device=device)

    def ask_to_stop(*_: object) -> None:
        # Only a wish: the loop stops every rank at the same step, after saving.
        group.stop_requested = True

    signal.signal(signal.SIGTERM, ask_to_stop)
    try:
        yield group
    finally:
        dist.destroy_process_group()
