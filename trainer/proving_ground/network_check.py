"""The instance and the ranks of a job become NCCL's settings, a measured bandwidth, and the names of who is missing."""

import os
import re
import statistics
import time
from collections.abc import Mapping, MutableMapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from proving_ground.errors import LostWorker, Refused

if TYPE_CHECKING:
    from proving_ground.distributed import Group

# Right on every machine. WARN says what fails and is silent otherwise (NCCL user guide, "Environment Variables"). The
# watchdog ends a process whose collective has failed or timed out, so that it isn't waited for (PyTorch,
# "ProcessGroupNCCL Environment Variables"; before PyTorch 2.2 the name had no TORCH_).
EVERYWHERE = {"NCCL_DEBUG": "WARN", "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1"}

# An instance of EC2 always has a network interface beside these; elsewhere they may be all there is, and NCCL itself
# takes them last (NCCL user guide, NCCL_SOCKET_IFNAME). Excluding names can't miss the real one, however called
# (eth0, ens5, enp71s0); it is for NCCL's bootstrap alone, and EFA's devices are no such interfaces.
ON_EC2 = {"NCCL_SOCKET_IFNAME": "^lo,docker,veth"}

# aws-ofi-nccl asks for efa by itself since 1.6 and finds none where an instance has none, so that NCCL goes on by TCP;
# before, it had to be told (aws-ofi-nccl, src/platform-aws.cpp; awsome-distributed-training, EFA cheatsheet). Loading
# workers are forked, which fails with "Cannot allocate memory" where huge pages run out (the same cheatsheet).
# NCCL_PROTO, NCCL_BUFFSIZE, NCCL_TOPO_FILE and the like are the plugin's to choose, by instance.
WITH_EFA = {**ON_EC2, "FI_PROVIDER": "efa", "FI_EFA_USE_HUGE_PAGE": "0"}

# Libfabric before 1.18 uses RDMA only where it is told to; since, it finds out by itself. Told so on a device without
# RDMA it aborts the process (libfabric, fi_efa(7)), so it is set on the families alone whose software may be so old.
WITH_RDMA = {**WITH_EFA, "FI_EFA_USE_DEVICE_RDMA": "1"}

# Families by EC2's user guide, "Elastic Fabric Adapter: supported instance types". Of g4dn to g6e only the large sizes
# have EFA: FI_PROVIDER does no harm on the others. trn and inf have no NVIDIA GPU, so no NCCL.
FAMILIES = {
    "p3dn": WITH_EFA,
    "p4d": WITH_RDMA,
    "p4de": WITH_RDMA,
    "p5": WITH_RDMA,
    "p5e": WITH_RDMA,
    "p5en": WITH_EFA,
    "p6-b200": WITH_EFA,
    "p6-b300": WITH_EFA,
    "p6e-gb200": WITH_EFA,
    "g4dn": WITH_EFA,
    "g5": WITH_EFA,
    "g6": WITH_EFA,
    "g6e": WITH_EFA,
    "gr6": ON_EC2,
    "p3": ON_EC2,
    "g5g": ON_EC2,
}

# Where what is waited for lies in the job's store.
PREFIX = "proving_ground/wait"


def family(instance: str | None) -> str | None:
    """The family of an instance's name (ml.p4d.24xlarge is p4d); None for none, and for what is no such name."""
    found = re.fullmatch(r"(?:ml\.)?([a-z0-9-]+)\.[a-z0-9-]+", instance or "")
    return found and found[1]


def nccl_environment(instance: str | None, devices: int) -> dict[str, str]:
    """NCCL's and libfabric's settings for an instance, with or without SageMaker's "ml."; a user's own go before them.

    An instance that isn't known gets what is right everywhere. One device has nobody to talk to, and gets nothing.
    """
    return EVERYWHERE | FAMILIES.get(family(instance) or "", {}) if devices > 1 else {}


def settle_environment(
    instance: str | None, devices: int, environment: MutableMapping[str, str] = os.environ
) -> list[str]:
    """Set what nccl_environment says and the user hasn't; before the process group is made, since NCCL reads it then.

    Returns:
        Sentences on what the user has set that hides EFA; empty when all is well.
    """
    for name, value in nccl_environment(instance, devices).items():
        environment.setdefault(name, value)
    return warn_of_environment(instance, devices, environment)


def warn_of_environment(instance: str | None, devices: int, environment: Mapping[str, str]) -> list[str]:
    """Sentences on settings that hide EFA on an instance that has it, or that nobody reads."""
    if devices <= 1:
        return []
    said = []
    if "NCCL_ASYNC_ERROR_HANDLING" in environment:
        said.append("NCCL_ASYNC_ERROR_HANDLING is deprecated: set TORCH_NCCL_ASYNC_ERROR_HANDLING.")
    if "FI_PROVIDER" not in FAMILIES.get(family(instance) or "", {}):
        return said
    hides = {name: hidden_by(name, value.strip().lower(), family(instance)) for name, value in environment.items()}
    return said + [
        f"{name}={environment[name]} on {instance} {why}: unset it."
        for name, why in sorted(hides.items())
        if why is not None
    ]


def hidden_by(name: str, value: str, family: str) -> str | None:
    """How a setting, in lower case, keeps a family's ranks from EFA or from each other; None where it doesn't."""
    if name == "FI_PROVIDER":
        # Libfabric's filter: a list of names, or ^ and a list of those to leave out (fabric(7)).
        listed = "efa" in value.lstrip("^").split(",")
        return "hides EFA, so that collectives go by TCP" if value and listed == value.startswith("^") else None
    if name == "NCCL_NET":
        # The name of a network; the plugin's is "AWS Libfabric", NCCL's own are these.
        return "takes NCCL's own network instead of EFA's plugin" if value in ("socket", "ib") else None
    if name == "NCCL_NET_PLUGIN":
        return "loads no plugin for EFA, so that collectives go by TCP" if value == "none" else None
    if name == "NCCL_IB_DISABLE":
        return "is meant for machines without a fast network" if value not in ("", "0") else None
    if name == "FI_EFA_USE_DEVICE_RDMA":
        # On the g families, whose GPUs take no part in RDMA, AWS's own examples turn it off.
        off = value in ("0", "false", "no", "off") and family.startswith("p") and family != "p3dn"
        return "turns RDMA off, so that data go through the processors' memory" if off else None
    if name == "NCCL_SOCKET_IFNAME":
        return "leaves no interface that reaches other machines" if only_loopback(value) else None
    return None


def only_loopback(value: str) -> bool:
    """Whether NCCL_SOCKET_IFNAME leaves only interfaces that other machines can't reach, or none of EC2's."""
    names = [name.strip().removeprefix("=") for name in value.lstrip("^=").split(",") if name.strip()]
    if value.startswith("^"):
        # A prefix of eth0, and one of ens5 or enp71s0: what EC2's interfaces are called.
        return any("eth0".startswith(name) for name in names) and any("ens5".startswith(name) for name in names)
    return bool(names) and all(name.startswith(("lo", "docker", "veth")) for name in names)


def measure_all_reduce(group: "Group", megabytes: float = 64, repeats: int = 5) -> dict[str, float] | None:
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


def open_store(seconds: float) -> dist.Store:
    """The job's key-value store, where torchrun's environment says; for wait_for_all and for the process group.

    Raises:
        LostWorker: the process that keeps it can't be reached within so many seconds.
    """
    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=timedelta(seconds=seconds)))
    except (dist.DistError, TimeoutError) as error:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise LostWorker(f"The job's store at {place} can't be reached within {seconds:g} s.") from error
    return store


def wait_for_all(store: dist.Store, rank: int, size: int, seconds: float, what: str) -> None:
    """Wait until every rank is at the same place, with any backend; as often as wanted, also at places of one name.

    A rank that comes counts itself; the last to come opens a door that the others wait at. So all is well after four
    messages of a rank to the store, and ranks are looked up one by one only when some are missing.

    Raises:
        LostWorker: ranks are missing after so many seconds, named in the message; or the store is gone.
    """
    if size == 1:
        return
    try:
        # How often this rank was here: the count is in the store, since a process may be young.
        place = f"{PREFIX}/{what}/{store.add(f'{PREFIX}/{what}/{rank}', 1)}"
        store.set(f"{place}/{rank}", "")
        if store.add(f"{place}/arrived", 1) == size:
            store.set(f"{place}/all", "")
        try:
            store.wait([f"{place}/all"], timedelta(seconds=seconds))
        except dist.DistStoreError:
            missing = [str(other) for other in range(size) if not store.check([f"{place}/{other}"])]
            if not missing:
                return
            names = f"rank {missing[0]}" if len(missing) == 1 else f"ranks {', '.join(missing)}"
            raise LostWorker(f"{names} of {size} did not arrive within {seconds:g} s at {what}.") from None
    except dist.DistNetworkError as error:
        raise LostWorker(f"rank {rank} lost the job's store at {what}: the process that keeps it is gone.") from error
