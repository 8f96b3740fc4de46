"""torchrun's environment becomes the one process group: rank, world size, sums over ranks, and the wish to stop."""

import atexit
import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from proving_ground.errors import LostWorker, Stopped
from proving_ground.nccl import settle_environment
from proving_ground.rendezvous import open_store, wait_for_all


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

    def start_sum(self, values: torch.Tensor) -> dist.Work | None:
        """Begin to sum a tensor over the ranks, in place, while this process goes on; wait() on what is returned."""
        return dist.all_reduce(values, async_op=True) if self.size > 1 else None

    def check_stop(self, where: str) -> None:
        """Raise Stopped on every rank where any was asked to stop; all ranks call it together."""
        if self.any(self.stop_requested)[0]:
            raise Stopped(f"It was asked to stop {where}.")

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

    def broadcast_tensor(self, value: torch.Tensor) -> torch.Tensor:
        """Rank 0's tensor, on every rank's CPU; all have its type and shape."""
        if self.size == 1:
            return value
        sent = value.contiguous().to(self.device)
        dist.broadcast(sent, 0)
        return sent.cpu()

    def barrier(self) -> None:
        """Wait for every rank."""
        dist.barrier()


# PyTorch's reducer of gradients holds the interpreter's lock while it ends its process group, and a thread of gloo may
# wait for that lock (pytorch/pytorch#56297): a job that was asked to stop then never ended. The last to let a group go
# is Python's own object, which gives the lock up first.
KEPT: list[dist.ProcessGroup] = []


@atexit.register
def let_go() -> None:
    """End the process groups, once nothing of the job holds them."""
    if KEPT:
        gc.collect()
        KEPT.clear()


# How the backends' errors say that another rank is gone or silent.
LOST = ("timed out", "timeout", "connection closed", "connection reset", "broken pipe", "store is gone")
NAMING_SECONDS = 5.0


@contextmanager
def join_group(network: dict[str, Any]) -> Iterator[Group]:
    """Join the job's process group: nccl where each process has a GPU, gloo elsewhere; network is the conditions'.

    Raises LostWorker naming the ranks that are missing, at the start and wherever this one waits for others in vain.
    """
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    cuda = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    seconds = float(network["timeout_seconds"])
    if cuda:
        torch.cuda.set_device(device)
        for sentence in settle_environment(network["instance"], size):
            print(sentence, flush=True)
    store = open_store(seconds)
    wait_for_all(store, rank, size, seconds, "the start")
    backend, timeout = "nccl" if cuda else "gloo", timedelta(seconds=seconds)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
    KEPT.append(dist.group.WORLD)
    group = Group(rank=rank, size=size, device=device)

    def ask_to_stop(*_: object) -> None:
        # Only a wish: the loop stops every rank at the same step, after saving.
        group.stop_requested = True

    signal.signal(signal.SIGTERM, ask_to_stop)
    try:
        yield group
    except (RuntimeError, dist.DistError) as error:
        if isinstance(error, LostWorker) or size == 1 or not any(word in str(error).lower() for word in LOST):
            raise
        # The error is this rank's; who is missing, the store knows, and all ask it at the same place.
        wait_for_all(store, rank, size, NAMING_SECONDS, "a sum over all ranks")
        raise
    finally:
        dist.destroy_process_group()
