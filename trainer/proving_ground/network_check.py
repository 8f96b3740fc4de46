"""A short all-reduce of the group becomes a bandwidth, held against the machine's floor."""

import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist

from proving_ground.distributed import Group
from proving_ground.errors import Refused


def measure_all_reduce(group: Group, megabytes: float = 64, repeats: int = 5) -> dict[str, float] | None:
    """Bus bandwidth of an all-reduce of float32 on the group's device; all ranks call it and get the same figures.

    2 (n - 1) / n times bytes over seconds, which doesn't depend on the number n of ranks and can be held against the
    hardware's (nccl-tests, PERFORMANCE.md). Seconds are the slowest rank's median, after two rounds to connect.

    Returns:
        gigabytes_per_second (1e9 bytes), seconds of one all-reduce, and bytes of the tensor; None for one process.
    """
    if group.size == 1:
        return None
    values = torch.zeros(max(1, round(megabytes * 1e6 / 4)), dtype=torch.float32, device=group.device)
    taken = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        dist.all_reduce(values)
        if group.device.type == "cuda":
            # An all-reduce on a GPU is only queued when the call returns.
            torch.cuda.synchronize(group.device)
        taken.append(time.perf_counter() - started)
    slowest = torch.tensor([statistics.median(taken[2:])], dtype=torch.float64, device=group.device)
    dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
    seconds, size = float(slowest.item()), values.numel() * 4
    speed = 2 * (group.size - 1) / group.size * size / seconds / 1e9
    return {"gigabytes_per_second": speed, "seconds": seconds, "bytes": size}


def check_bandwidth(measured: Mapping[str, Any] | None, floor: float | None, where: str) -> None:
    """Hold what measure_all_reduce returns against a floor in gigabytes a second; None for either asks for nothing.

    Raises:
        Refused: it is slower, on every rank alike; the message has both figures and says what to look at.
    """
    if measured is None or floor is None or measured["gigabytes_per_second"] >= floor:
        return
    raise Refused(
        f"{where}: an all-reduce of {measured['bytes'] / 1e6:.0f} MB runs at "
        f"{measured['gigabytes_per_second']:.3g} GB/s, the floor is {floor:g} GB/s. Is EFA hidden, and NCCL back "
        "at TCP? NCCL_DEBUG=INFO says which network is used (NET/OFI with provider efa, or NET/Socket); look at "
        "FI_PROVIDER, NCCL_NET, NCCL_NET_PLUGIN, the security group and the placement of the machines."
    )
