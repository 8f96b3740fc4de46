"""The instance of a job becomes NCCL's and libfabric's settings, and sentences on those that hide EFA."""

import os
import re
from collections.abc import Mapping, MutableMapping

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
