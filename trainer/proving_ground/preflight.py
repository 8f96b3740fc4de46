"""Before anything is spent: the frames' files, the network between the ranks, drift, latency against the gate."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from proving_ground.attempt import Places, open_frames
from proving_ground.checkpoint import State, checkpoints
from proving_ground.checks import check_files, files_of
from proving_ground.config import Conditions, TrainRun
from proving_ground.data.dataset import FrameDataset
from proving_ground.data.loader import NEW_ORDER, permutation
from proving_ground.data.profile import frame_statistics, make_profile
from proving_ground.distributed import Group
from proving_ground.drift import result, start_check
from proving_ground.errors import LostWorker, Refused
from proving_ground.export import Outputs, export_inputs, write_onnx
from proving_ground.files import write_json
from proving_ground.job import Job
from proving_ground.latency import time_sessions
from proving_ground.model.network import build_for
from proving_ground.network_check import check_bandwidth, measure_all_reduce

PROFILE = "data_profile.json"
# A profile is of so many of the frames that training takes first.
PROFILE_FRAMES = 512
DRIFT_SECONDS = 120.0
LATENCY_REPEATS, LATENCY_RESAMPLES = 100, 1000


@dataclass(kw_only=True)
class Preflight:
    """What was found before training, the drift check that may still run beside it, and the energy in kWh."""

    network: dict[str, float] | None
    latency: dict[str, float] | None = None
    drift: subprocess.Popen[str] | None = None
    energy: float | None = None

    def describe(self, state: State) -> dict[str, Any]:
        """The model's `checks`; waits for the drift check."""
        return {
            "determinism": state.checks.get("determinism"),
            "network": self.network,
            "latency": self.latency,
            "drift": drift_found(self.drift),
        }


def preflight(job: Job[TrainRun], places: Places, datasets: Sequence[FrameDataset]) -> Preflight:
    """Check what can be checked before GPU hours are spent; raises Refused on every rank where a check says no.

    A training that goes on from a checkpoint was checked before: only its network is measured again.

    Args:
        datasets: what is trained on, the run's own data first.
    """
    run, group, conditions, production = job.run, job.group, job.conditions, places.production
    found = Preflight(network=check_network(group, conditions))
    begun = group.broadcast(any(checkpoints(folder) for folder in places.checkpoints))
    dataset = datasets[0]
    if not begun:
        check_files(job, [*map(files_of, datasets), files_of(open_frames(run, places.data, "val"))])
    refused = None
    if group.is_first:
        try:
            write_profile(run, dataset, places.work / PROFILE)
            mode = "warn" if begun and conditions.drift == "abort" else conditions.drift
            found.drift = watch_drift(places.work, production, mode)
            if not begun and conditions.latency:
                job.progress.show("latency of the untrained network", 0, 1)
                found.latency = check_latency(run, dataset, production, conditions.latency)
        except Refused as error:
            refused = error
    refused = group.broadcast(refused)
    if refused is not None:
        raise refused
    group.check_stop("before the first step")
    return found


def check_latency(
    run: TrainRun, dataset: FrameDataset, production: Path | None, limits: list[dict[str, Any]]
) -> dict[str, float]:
    """Time the untrained network's ONNX export beside production's; raises Refused where the gate can't be met."""
    network = build_for(run)
    with tempfile.TemporaryDirectory() as folder:
        files = {"candidate": Path(folder) / "untrained.onnx"}
        (example,) = export_inputs(dataset, 1)
        write_onnx(Outputs(network.eval(), list(example)), example, {}, files["candidate"])
        if production is not None:
            files["production"] = production / "model.onnx"
        samples = time_sessions(files, LATENCY_REPEATS, run.seed)
    broken = judge_latency(samples, limits, LATENCY_RESAMPLES, run.seed)
    if broken:
        raise Refused(
            "No training can meet the latency gate: the untrained network already takes " + "; ".join(broken) + "."
        )
    own = samples["candidate"]
    return {"p50_ms": float(np.percentile(own, 50)), "p95_ms": float(np.percentile(own, 95))}


def check_network(group: Group, conditions: Conditions) -> dict[str, float] | None:
    """Measure a short all-reduce; raises Refused where it is slower than the machine's floor. None for one process."""
    measured = measure_all_reduce(group)
    check_bandwidth(measured, conditions.network["floor_gbps"], conditions.network["instance"] or "this machine")
    return measured


def write_profile(run: TrainRun, dataset: FrameDataset, file: Path) -> None:
    """Write the profile of the training data: of the frames that the first epoch begins with, as they are."""
    chosen = permutation(len(dataset), run.seed, 0, NEW_ORDER)[:PROFILE_FRAMES]
    step_seconds = run.data.tracks.step_seconds if run.data.tracks else None
    statistics = [
        frame_statistics(
            dataset.example(int(index)), dataset.frames[int(index)].attributes, run.data.detection, step_seconds
        )
        for index in chosen
    ]
    size = (run.architecture.width, run.architecture.height)
    write_json(file, make_profile(statistics, run.data.name, run.data.version, size))


def watch_drift(work: Path, production: Path | None, mode: str) -> subprocess.Popen[str] | None:
    """Begin to compare the data with production's; None where there is nothing to compare with or nobody asks."""
    if mode == "off" or production is None or not (production / PROFILE).exists():
        return None
    check = start_check(production / PROFILE, work / PROFILE, work / "drift.json")
    if mode == "abort":
        found = result(check, DRIFT_SECONDS)
        if found["drifted"]:
            raise Refused("The training data have drifted from production's: " + "; ".join(found["sentences"]))
    return check


def drift_found(check: subprocess.Popen[str] | None) -> dict[str, Any] | None:
    """What the comparison found, with its sentences on the log; None where nothing was compared."""
    if check is None:
        return None
    try:
        found = result(check, DRIFT_SECONDS)
    except (LostWorker, Refused) as error:
        # A warning that can't be given ends no training.
        found = {"drifted": [], "share": 0.0, "sentences": [str(error)], "columns": []}
    for sentence in found["sentences"]:
        print(f"drift: {sentence}", flush=True)
    return {name: found[name] for name in ("drifted", "share", "sentences", "columns")}


def judge_latency(samples: dict[str, np.ndarray], limits: list[dict[str, Any]], resamples: int, seed: int) -> list[str]:
    """Sentences on the gate's limits that the untrained network breaks already; empty where it can meet them all.

    samples: milliseconds of `candidate` and, where there is one, `production`, [N] each, timed in turn. A limit counts
    as broken where the whole 95 % interval lies beyond it: a noisy moment stops nobody's training.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    own = samples["candidate"]
    picks = rng.integers(0, len(own), (resamples, len(own)))
    said = []
    for limit in limits:
        percent = 50 if limit["metric"] == "latency_p50_ms" else 95
        name, figure = f"p{percent}", float(np.percentile(own, percent))
        spread = np.percentile(own[picks], percent, axis=1)
        if limit["bound"] == "max":
            low, high = np.percentile(spread, [2.5, 97.5])
            if low > limit["value"]:
                said.append(
                    f"{name} {figure:.2f} ms ({low:.2f} to {high:.2f}), but the gate allows {limit['value']:g} ms"
                )
        elif "production" in samples:
            other = samples["production"]
            rises = 100 * (spread / np.percentile(other[picks], percent, axis=1) - 1)
            low, high = np.percentile(rises, [2.5, 97.5])
            if low > limit["value"]:
                against = float(np.percentile(other, percent))
                said.append(
                    f"{name} {figure:.2f} ms against production's {against:.2f} ms, {low:.0f} to {high:.0f} % more, "
                    f"but the gate allows {limit['value']:g} %"
                )
    return said
