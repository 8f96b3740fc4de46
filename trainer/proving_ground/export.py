"""A trained network becomes files that run elsewhere: TorchScript, torch.export, ONNX, int8 ONNX, TensorRT where it is.

Each is held against the network's own outputs, and carries in its metadata what its user must know.
"""

import importlib.util
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from proving_ground.config import Architecture, Data
from proving_ground.data.dataset import FrameDataset
from proving_ground.data.targets import STRIDE, lane_rows
from proving_ground.evaluation.counting.trajectories import MISS_DISTANCE
from proving_ground.files import digest, write_json
from proving_ground.latency import open_session
from proving_ground.model.network import INPUTS, Network
from proving_ground.model.predictions import MAX_DETECTIONS, MIN_SCORE

# Outputs are logits of the order of 10: this is float32 rounding through some 30 layers, seen from afar.
TOLERANCE = 1e-3
# Mean difference of int8's outputs relative to their spread: beyond it some head has lost what it learned.
INT8_TOLERANCE = 0.25
METADATA = "proving_ground"
# An export's shapes are fixed: so many tracks of a frame, the rest of which is padding.
TRACKS = 32

Inputs = dict[str, Tensor]


class Outputs(nn.Module):
    """The network with inputs and outputs as tuples, in the order of their names: what the exporters take."""

    def __init__(self, network: Network, inputs: Sequence[str]) -> None:
        super().__init__()
        self.network, self.inputs = network, tuple(inputs)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs as named to the heads' raw outputs."""
        return tuple(self.network(**dict(zip(self.inputs, inputs, strict=True))).values())


def export_model(
    network: Network, examples: list[Inputs], calibration: list[Inputs], metadata: dict[str, Any], output: Path
) -> list[dict[str, Any]]:
    """Write weights.safetensors and every export; returns what the report says of each.

    Args:
        network: on any device; it is exported from the CPU.
        examples: inputs of batches of one, on which each export is compared with the network.
        calibration: inputs of batches of one from the training data, by which int8's ranges are set.
        metadata: what a user of an export must know; it is carried inside ONNX and TorchScript.
    """
    network = network.to("cpu", memory_format=torch.contiguous_format).eval()
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()}, output / "weights.safetensors"
    )
    wrapped = Outputs(network, list(examples[0]))
    with torch.inference_mode():
        expected = [wrapped(*inputs.values()) for inputs in examples]
    files = {
        "torchscript": output / "model.torchscript.pt",
        "torch_export": output / "model.pt2",
        "onnx": output / "model.onnx",
        "onnx_int8": output / "model.int8.onnx",
    }
    write_torchscript(wrapped, examples[0], metadata, files["torchscript"])
    program = write_onnx(wrapped, examples[0], metadata, files["onnx"])
    torch.export.save(program, files["torch_export"])
    write_int8(files["onnx"], calibration, metadata, files["onnx_int8"])

    with quietly():
        scripted, exported = torch.jit.load(files["torchscript"]), torch.export.load(files["torch_export"]).module()
    with torch.inference_mode():
        found = {
            "torchscript": [scripted(*inputs.values()) for inputs in examples],
            "torch_export": [exported(*inputs.values()) for inputs in examples],
        }
    for name in ("onnx", "onnx_int8"):
        session = open_session(files[name])
        found[name] = [session.run(None, {key: value.numpy() for key, value in it.items()}) for it in examples]
    exports = [describe_export(name, files[name], expected, found[name]) for name in files]
    if importlib.util.find_spec("tensorrt") is not None and torch.cuda.is_available():
        exports.append(write_tensorrt(files["onnx"], output / "model.engine"))
    return exports


def export_inputs(frames: FrameDataset, count: int) -> list[Inputs]:
    """Inputs of the first frames as exports take them: batches of one, with room for TRACKS tracks."""
    examples = []
    for index in range(min(count, len(frames))):
        arrays = frames.inputs(index)
        if "past" in arrays:
            arrays["past"] = arrays["past"][:TRACKS]
            real = np.arange(TRACKS) < len(arrays["past"])
            arrays["past"] = np.pad(arrays["past"], ((0, TRACKS - len(arrays["past"])), (0, 0), (0, 0)))
            arrays["track"] = real
        examples.append({name: torch.from_numpy(arrays[name].copy())[None] for name in INPUTS if name in arrays})
    return examples


@contextmanager
def quietly() -> Iterator[None]:
    """Without the exporters' own news: that torch.jit is deprecated since 2.13 is known, and many deploy with it."""
    loggers = [logging.getLogger(), logging.getLogger("torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def output_names(network: Network) -> list[str]:
    """Names of the outputs, in their order: the heads, and after the trajectories the logits of their modes."""
    return [
        name for head in network.heads for name in ([head, "trajectory_logits"] if head == "trajectory" else [head])
    ]


def write_torchscript(wrapped: Outputs, example: Inputs, metadata: dict[str, Any], file: Path) -> None:
    """Trace the network for a batch of one."""
    with quietly():
        traced = torch.jit.trace(wrapped, tuple(example.values()))
        torch.jit.save(traced, file, _extra_files={METADATA: json.dumps(metadata)})


def write_onnx(wrapped: Outputs, example: Inputs, metadata: dict[str, Any], file: Path) -> torch.export.ExportedProgram:
    """Export the network for a batch of one, weights inside; returns the torch.export program that it was made from."""
    with quietly():
        program = torch.export.export(wrapped, tuple(example.values()))
        torch.onnx.export(
            program,
            (),
            file,
            dynamo=True,
            input_names=list(example),
            output_names=output_names(wrapped.network),
            external_data=False,
            verbose=False,
        )
    carry_metadata(file, metadata)
    return program


def carry_metadata(file: Path, metadata: dict[str, Any]) -> None:
    """Put metadata into an ONNX file, as JSON under one key."""
    model = onnx.load(file)
    onnx.helper.set_model_props(model, {METADATA: json.dumps(metadata)})
    onnx.save(model, file)


def write_int8(source: Path, calibration: list[Inputs], metadata: dict[str, Any], file: Path) -> None:
    """Quantise an ONNX file statically: activations to uint8, weights to int8, a scale for each channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        """Gives the calibration inputs, one after the other."""

        def __init__(self) -> None:
            self.rest = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next inputs; None at the end."""
            inputs = next(self.rest, None)
            return inputs and {name: value.numpy() for name, value in inputs.items()}

    # It leaves files of its own beside what it reads.
    with tempfile.TemporaryDirectory() as folder, quietly():
        beside = Path(folder) / "source.onnx"
        beside.write_bytes(source.read_bytes())
        quantize_static(
            beside,
            Path(folder) / "int8.onnx",
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv"],
        )
        file.write_bytes((Path(folder) / "int8.onnx").read_bytes())
    carry_metadata(file, metadata)


def write_tensorrt(source: Path, file: Path) -> dict[str, Any]:
    """Build a TensorRT engine from the ONNX file: only on a machine with TensorRT and a GPU, for that GPU alone."""
    import tensorrt

    log = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(log)
    network = builder.create_network()
    if not tensorrt.OnnxParser(network, log).parse(source.read_bytes()):
        raise ValueError(f"{source.name}: TensorRT can't read it")
    file.write_bytes(bytes(builder.build_serialized_network(network, builder.create_builder_config())))
    return {**describe_file("tensorrt", file), "difference": None, "tolerance": TOLERANCE, "agrees": False}


def largest_difference(expected: list[Any], found: list[Any]) -> float:
    """Largest absolute difference over all frames and outputs; infinite where any value is not finite."""
    largest = 0.0
    for wanted, got in zip(expected, found, strict=True):
        for one, other in zip(wanted, got, strict=True):
            gap = float(np.abs(np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)).max())
            largest = max(largest, gap if np.isfinite(gap) else float("inf"))
    return largest


def relative_difference(expected: list[Any], found: list[Any]) -> float:
    """Largest over the outputs of their mean difference in standard deviations; infinite as largest_difference."""
    largest = 0.0
    for place in range(len(expected[0])):
        one = np.stack([np.asarray(frame[place], dtype=np.float64) for frame in expected])
        other = np.stack([np.asarray(frame[place], dtype=np.float64) for frame in found])
        gap = float(np.abs(one - other).mean() / max(float(one.std()), 1e-6))
        largest = max(largest, gap if np.isfinite(gap) else float("inf"))
    return largest


def describe_export(name: str, file: Path, expected: list[Any], found: list[Any]) -> dict[str, Any]:
    """One line of the report's exports; raises ValueError for an export that computes something else altogether."""
    rough = name == "onnx_int8"
    gap = relative_difference(expected, found) if rough else largest_difference(expected, found)
    if not np.isfinite(gap):
        raise ValueError(f"{file.name}: its outputs are not finite where the network's are")
    tolerance = INT8_TOLERANCE if rough else TOLERANCE
    return {**describe_file(name, file), "difference": gap, "tolerance": tolerance, "agrees": gap <= tolerance}


def describe_file(name: str, file: Path) -> dict[str, Any]:
    """An export's file; `measure` says what its difference is: absolute, or relative to the outputs' spread."""
    return {
        "format": name,
        "file": file.name,
        "sha256": digest(file),
        "bytes": file.stat().st_size,
        "measure": "relative" if name == "onnx_int8" else "absolute",
    }


def describe_io(architecture: Architecture, data: Data) -> dict[str, Any]:
    """How an export is fed and read: what is done before it, what its outputs mean, what is done after."""
    inputs: dict[str, Any] = {}
    if architecture.width:
        inputs["image"] = {
            "shape": [1, 3, architecture.height, architecture.width],
            "type": "uint8",
            "before": "RGB, resized to this size (bilinear, antialiased); normalisation is part of the network",
        }
    outputs: dict[str, Any] = {}
    if "detection" in architecture.heads:
        outputs["detection"] = {
            "categories": list(data.detection),
            "stride": STRIDE,
            "after": "a logit for each category, then four logarithms of distances in cells, left, top, right, bottom "
            "from the cell's centre; sigmoid, keep 3x3 peaks, exp(min(d, 6)); "
            f"at most {MAX_DETECTIONS} boxes, scores from {MIN_SCORE}",
        }
    if "segmentation" in architecture.heads:
        outputs["segmentation"] = {
            "classes": list(data.segmentation),
            "stride": STRIDE,
            "after": "resize to the frame (bilinear), argmax",
        }
    if "lanes" in architecture.heads:
        outputs["lanes"] = {
            "rows": lane_rows(architecture.height),
            "stride": STRIDE,
            "after": "softmax over the columns and `none`, the last; where none is below 0.5, the mean column around "
            "the most likely one; rows from the bottom of the image up",
        }
    if "trajectory" in architecture.heads and data.tracks is not None:
        inputs["past"] = {
            "shape": [1, TRACKS, data.tracks.past, 2],
            "type": "float32",
            "before": f"metres on the ground, a point each {data.tracks.step_seconds:g} s, the present last; from an "
            "origin near by: float32 has no centimetres millions of metres away",
        }
        inputs["track"] = {"shape": [1, TRACKS], "type": "bool", "before": "false for padding"}
        outputs["trajectory"] = {
            "modes": architecture.trajectory.modes if architecture.trajectory else 0,
            "points": data.tracks.future,
            "after": "metres, as the past; a softmax of trajectory_logits says how likely each mode is; a track counts "
            f"as missed where every mode ends more than {MISS_DISTANCE:g} m off",
        }
    return {"inputs": inputs, "outputs": outputs}


def write_model(output: Path, document: dict[str, Any]) -> None:
    """Write model.json: what a reader of the weights must know."""
    write_json(output / "model.json", document)
