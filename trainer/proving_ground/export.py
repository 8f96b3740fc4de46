"""A trained network becomes TorchScript and ONNX files whose outputs are compared with its own, and which are timed."""

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from proving_ground.files import digest, write_json
from proving_ground.model.network import Network

# Outputs are logits of the order of 10: this is float32 rounding through some 30 layers, seen from afar.
TOLERANCE = 1e-3
LATENCY_REPEATS = 200
LATENCY_WARM_UP = 20


class Outputs(nn.Module):
    """The network with its outputs as a tuple, in the order of its heads: what the exporters take."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W] uint8 to the heads' raw outputs."""
        return tuple(self.network(image).values())


def export_model(network: Network, images: Tensor, output: Path) -> list[dict[str, Any]]:
    """Write weights.safetensors, model.torchscript.pt and model.onnx; returns what the report says of each export.

    Args:
        network: on any device; it is exported from the CPU.
        images: [N, 3, H, W] uint8, the frames that parity is checked on.
    """
    network = network.to("cpu", memory_format=torch.contiguous_format).eval()
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()}, output / "weights.safetensors"
    )
    wrapped = Outputs(network)
    with torch.inference_mode():
        expected = [wrapped(image[None]) for image in images]
    write_torchscript(wrapped, images[:1], output / "model.torchscript.pt")
    write_onnx(wrapped, images[:1], list(network.heads), output / "model.onnx")

    scripted = torch.jit.load(output / "model.torchscript.pt")
    session = open_session(output / "model.onnx")
    with torch.inference_mode():
        from_script = [scripted(image[None]) for image in images]
    from_onnx = [session.run(None, {"image": image[None].numpy()}) for image in images]
    return [
        describe_export("torchscript", output / "model.torchscript.pt", difference(expected, from_script)),
        describe_export("onnx", output / "model.onnx", difference(expected, from_onnx)),
    ]


def write_torchscript(wrapped: Outputs, example: Tensor, file: Path) -> None:
    """Trace the network for a batch of one."""
    with warnings.catch_warnings():
        # torch.jit is deprecated since 2.13, and still what many deploy with: that is known and no news to the reader.
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(wrapped, example), file)


def write_onnx(wrapped: Outputs, example: Tensor, names: list[str], file: Path) -> None:
    """Export the network for a batch of one, weights inside."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns of its own dependencies' future changes.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            wrapped,
            (example,),
            file,
            dynamo=True,
            input_names=["image"],
            output_names=names,
            external_data=False,
            verbose=False,
        )
    exporter.setLevel(level)


def difference(expected: list[Any], found: list[Any]) -> float:
    """Largest absolute difference over all frames and outputs; infinite where any value is not finite."""
    largest = 0.0
    for wanted, got in zip(expected, found, strict=True):
        for one, other in zip(wanted, got, strict=True):
            gap = float(np.abs(np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)).max())
            largest = max(largest, gap if np.isfinite(gap) else float("inf"))
    return largest


def describe_export(name: str, file: Path, gap: float) -> dict[str, Any]:
    """One line of the report's exports; raises ValueError for an export that computes something else altogether."""
    if not np.isfinite(gap):
        raise ValueError(f"{file.name}: its outputs are not finite where the network's are")
    return {
        "format": name,
        "file": file.name,
        "sha256": digest(file),
        "bytes": file.stat().st_size,
        "max_abs_difference": gap,
        "tolerance": TOLERANCE,
        "agrees": gap <= TOLERANCE,
    }


def write_model(output: Path, document: dict[str, Any]) -> None:
    """Write model.json: what a reader of the weights must know."""
    write_json(output / "model.json", document)


def open_session(file: Path) -> onnxruntime.InferenceSession:
    """Open an ONNX model on one thread: the figure is the model's, not the machine's."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def latency_side_by_side(
    folders: dict[str, Path], shapes: dict[str, dict[str, int]], resamples: int, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Time the ONNX exports of all models in turn, so that a noisy moment hits each alike.

    Returns the report's latency, and its scores with bootstrap intervals over the repeats (paired by repeat).
    """
    sessions = {name: open_session(folder / "model.onnx") for name, folder in folders.items()}
    rng = np.random.Generator(np.random.Philox(key=seed))
    images = {
        name: rng.integers(0, 256, (1, 3, shape["height"], shape["width"]), dtype=np.uint8)
        for name, shape in shapes.items()
    }
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for repeat in range(LATENCY_WARM_UP + LATENCY_REPEATS):
        for name, session in sessions.items():
            began = time.perf_counter()
            session.run(None, {"image": images[name]})
            if repeat >= LATENCY_WARM_UP:
                times[name].append((time.perf_counter() - began) * 1e3)
    samples = {name: np.array(values) for name, values in times.items()}
    picks = rng.integers(0, LATENCY_REPEATS, (resamples, LATENCY_REPEATS))
    figures = {name: {} for name in samples}
    scores = []
    for metric, percent in (("p50_ms", 50), ("p95_ms", 95)):
        for name, values in samples.items():
            figures[name][metric] = float(np.percentile(values, percent))
        spread = {name: np.percentile(values[picks], percent, axis=1) for name, values in samples.items()}
        scores.append(latency_score(f"latency_{metric}", {name: figures[name][metric] for name in figures}, spread))
    latency = {
        "format": "onnx",
        "batch": 1,
        "threads": 1,
        "repeats": LATENCY_REPEATS,
        "device": "cpu",
        "candidate": figures["candidate"],
        "production": figures.get("production"),
    }
    return latency, scores


def latency_score(metric: str, figures: dict[str, float], spread: dict[str, np.ndarray]) -> dict[str, Any]:
    """A latency as a score; `frames` counts the repeats."""
    compared = "production" in figures
    return {
        "metric": metric,
        "slice": None,
        "frames": LATENCY_REPEATS,
        "objects": None,
        "candidate": figures["candidate"],
        "candidate_interval": percentile_interval(spread["candidate"]),
        "production": figures["production"] if compared else None,
        "delta": figures["candidate"] - figures["production"] if compared else None,
        "delta_interval": percentile_interval(spread["candidate"] - spread["production"]) if compared else None,
    }


def percentile_interval(values: np.ndarray) -> list[float]:
    """The middle 95 % of resampled figures."""
    return [float(value) for value in np.percentile(values, [2.5, 97.5])]
