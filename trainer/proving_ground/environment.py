"""The machine becomes environment.json, and a training's energy a figure where the machine tells."""

import os
import platform
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "numpy", "numba", "pillow", "onnx", "onnxruntime", "safetensors", "wandb", "evidently")
# What may be told of the environment; anything else may be a secret.
VARIABLES = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "NCCL_DEBUG", "NCCL_SOCKET_IFNAME", "FI_PROVIDER")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "amx_bf16", "amx_int8")
POWERCAP = Path("/sys/class/powercap")


def describe_environment() -> dict[str, Any]:
    """What a training ran on and with: nothing in it is a secret."""
    cpu = read_text(Path("/proc/cpuinfo"))
    name = next((line.partition(":")[2].strip() for line in cpu.splitlines() if line.startswith("model name")), None)
    flags = cpu.partition("flags")[2].split("\n", 1)[0].split()
    cuda = torch.cuda.is_available()
    return {
        "schema": 1,
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "processor": {"name": name, "cores": os.cpu_count(), "flags": [flag for flag in FLAGS if flag in flags]},
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] if cuda else [],
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "nccl": ".".join(map(str, torch.cuda.nccl.version())) if cuda else None,
        "packages": {name: version_of(name) for name in PACKAGES},
        "threads": torch.get_num_threads(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def version_of(package: str) -> str | None:
    """An installed package's version."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def read_text(file: Path) -> str:
    """A file of the system's; empty where it can't be read."""
    try:
        return file.read_text()
    except OSError:
        return ""


class Meter:
    """Energy of this machine while it is open: GPUs by NVML, processors by RAPL; None where neither can be read.

    RAPL's counters are of whole packages: what else the machine does is in them. It never fails.
    """

    def __init__(self) -> None:
        self.joules, self.known = 0.0, False
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.sample, name="energy", daemon=True)
        self.thread.start()

    def sample(self) -> None:
        """The thread: add up what the GPUs draw each second, and the processors' counters at both ends."""
        begun = processor_joules()
        last = time.monotonic()
        while not self.ended.wait(1.0):
            watts, now = gpu_watts(), time.monotonic()
            if watts is not None:
                self.joules, self.known = self.joules + watts * (now - last), True
            last = now
        after = processor_joules()
        for name, value in after.items():
            if name in begun and value >= begun[name]:
                self.joules, self.known = self.joules + value - begun[name], True

    def kilowatt_hours(self) -> float | None:
        """What was used since it was opened; it is closed by this."""
        self.ended.set()
        self.thread.join(2.0)
        return round(self.joules / 3.6e6, 6) if self.known else None


def processor_joules() -> dict[str, float]:
    """RAPL's counter of each processor package; empty where it can't be read, as for most users and in containers."""
    found = {}
    for zone in POWERCAP.glob("intel-rapl:?"):
        text = read_text(zone / "energy_uj").strip()
        if text.isdigit():
            found[zone.name] = int(text) / 1e6
    return found


def gpu_watts() -> float | None:
    """What all GPUs draw now; None without any."""
    if not torch.cuda.is_available():
        return None
    try:
        return sum(torch.cuda.power_draw(number) for number in range(torch.cuda.device_count())) / 1e3
    except Exception:
        # Without NVML's Python package, or on a GPU that doesn't tell.
        return None
