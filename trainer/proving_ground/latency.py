"""ONNX files become times side by side, so that a noisy moment hits each alike."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from proving_ground.evaluation.intervals import TAIL, Spread, quantile_of

REPEATS, WARM_UP = 200, 20
TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(bool)": np.bool_}


def open_session(file: Path) -> onnxruntime.InferenceSession:
    """Open an ONNX model on one thread: the figure is the model's, not the machine's."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def time_sessions(files: dict[str, Path], repeats: int, seed: int, warm_up: int = WARM_UP) -> dict[str, np.ndarray]:
    """Milliseconds of each file for a batch of one of random input, [repeats] each, timed in turn."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    sessions = {name: open_session(file) for name, file in files.items()}
    inputs = {name: random_inputs(session, rng) for name, session in sessions.items()}
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for repeat in range(warm_up + repeats):
        for name, session in sessions.items():
            began = time.perf_counter()
            session.run(None, inputs[name])
            if repeat >= warm_up:
                times[name].append((time.perf_counter() - began) * 1e3)
    return {name: np.array(values) for name, values in times.items()}


def random_inputs(session: onnxruntime.InferenceSession, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs of the shapes and types that a session asks for."""
    made = {}
    for item in session.get_inputs():
        values = rng.integers(0, 256, item.shape, dtype=np.uint8)
        made[item.name] = values if item.type == "tensor(uint8)" else (values / 64).astype(TYPES[item.type])
    return made


def latency_side_by_side(
    folders: dict[str, Path], resamples: int, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, np.ndarray]]:
    """Time the exports of all models in turn.

    Returns the report's latency; its scores with bootstrap intervals over the repeats (paired by repeat): those are of
    the float32 export, the int8 one stands beside it; and the milliseconds of each export [REPEATS].
    """
    files = {name: folder / "model.onnx" for name, folder in folders.items()}
    int8 = {f"{name} int8": folder / "model.int8.onnx" for name, folder in folders.items()}
    samples = time_sessions({**files, **{name: file for name, file in int8.items() if file.exists()}}, REPEATS, seed)
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[1, 0, 0, 0]))
    picks = rng.integers(0, REPEATS, (resamples, REPEATS))
    figures: dict[str, dict[str, float]] = {name: {} for name in samples}
    scores = []
    for metric, percent in (("p50_ms", 50), ("p95_ms", 95)):
        for name, values in samples.items():
            figures[name][metric] = float(np.percentile(values, percent))
        spread = {name: np.percentile(samples[name][picks], percent, axis=1) for name in files}
        scores.append(latency_score(f"latency_{metric}", {name: figures[name][metric] for name in files}, spread))
    latency = {
        "format": "onnx",
        "batch": 1,
        "threads": 1,
        "repeats": REPEATS,
        "device": "cpu",
        "candidate": figures["candidate"],
        "production": figures.get("production"),
        "int8": {"candidate": figures.get("candidate int8"), "production": figures.get("production int8")},
    }
    return latency, scores, samples


def latency_score(metric: str, figures: dict[str, float], spread: dict[str, np.ndarray]) -> dict[str, Any]:
    """A latency as a score; `frames` counts the repeats."""
    compared = "production" in figures
    own = upper_spread(figures["candidate"], spread["candidate"])
    delta = figures["candidate"] - figures["production"] if compared else None
    gap = upper_spread(delta, spread["candidate"] - spread["production"]) if compared else None
    return {
        "metric": metric,
        "slice": None,
        "frames": REPEATS,
        "objects": None,
        "units": REPEATS,
        "candidate": figures["candidate"],
        "candidate_error": own.error,
        "candidate_interval": [own.low, own.high],
        "production": figures["production"] if compared else None,
        "delta": delta,
        "delta_error": gap and gap.error,
        "delta_interval": gap and [gap.low, gap.high],
    }


def upper_spread(figure: float, resampled: np.ndarray) -> Spread:
    """The middle 95 % of a percentile's resamples, with the standard error that its upper end stands for.

    A few of the machine's own hiccups make the resamples of a p95 lie in two heaps, of which no standard deviation
    tells anything; and what matters of a latency is how high it may be.
    """
    low, high = (float(value) for value in np.percentile(resampled, [100 * TAIL, 100 * (1 - TAIL)]))
    return Spread(error=max(high - figure, 0.0) / quantile_of(REPEATS), low=low, high=high)
