"""A training run becomes a model's folder: weights, exports, and what a reader of them must know."""

import shutil
from pathlib import Path
from typing import Any

import torch

from proving_ground.attempt import Places, open_frames, open_training
from proving_ground.checkpoint import State, checkpoints, copy_checkpoint
from proving_ground.config import TrainRun
from proving_ground.data.dataset import FrameDataset
from proving_ground.distributed import Group
from proving_ground.environment import Meter, describe_environment
from proving_ground.errors import Stopped
from proving_ground.export import describe_io, export_inputs, export_model, write_model
from proving_ground.files import write_json, write_manifest
from proving_ground.job import Job
from proving_ground.loop import Trained, train
from proving_ground.model.network import count_parameters
from proving_ground.preflight import PROFILE, Preflight, preflight
from proving_ground.step import autocast_dtype
from proving_ground.tracking import Tracking, open_tracking

PARITY_FRAMES, CALIBRATION_FRAMES = 4, 64


def train_and_export(job: Job[TrainRun], places: Places, output: Path) -> None:
    """Train, then export on rank 0 into the folder `output`, the manifest last. Raises what the loop raises."""
    opened = open_training(job.run, places)
    training = opened[0].datasets[0]
    found = preflight(job, places, opened[0].datasets)
    tracking = open_tracking(job.run, job.conditions.tracking, places.work, job.group.is_first)
    meter, ended = Meter(), "failed"
    try:
        trained = train(job, places, opened, tracking)
        if job.group.is_first:
            found.energy = meter.kilowatt_hours()
            write_output(job, places, output, trained, training, found, tracking)
        job.group.barrier()
        ended = "finished"
    except Stopped:
        ended = "stopped"
        raise
    finally:
        tracking.finish(ended, output if ended == "finished" else None)


def write_output(
    job: Job[TrainRun],
    places: Places,
    output: Path,
    trained: Trained,
    training: FrameDataset,
    found: Preflight,
    tracking: Tracking,
) -> None:
    """Fill the model's folder: weights, exports, model.json, profile, environment, last checkpoint, log."""
    run, group, (network, state) = job.run, job.group, trained
    job.progress.show("export", 0, 1)
    validation = open_frames(run, places.data, "val")
    examples = export_inputs(validation, PARITY_FRAMES)
    metadata = {
        "run": run.id,
        "model": run.model,
        "data": {"name": run.data.name, "version": run.data.version},
        **describe_io(run.architecture, run.data),
    }
    exports = export_model(network, examples, export_inputs(training, CALIBRATION_FRAMES), metadata, output)
    if group.stop_requested:
        # Everything that was learned is in the last checkpoint: the next attempt exports again.
        raise Stopped("It was asked to stop while it exported.")
    document = describe_model(run, group, state, exports, count_parameters(network))
    document["training"] |= {"tracking_url": tracking.url, "energy_kwh": found.energy, "checks": found.describe(state)}
    document["io"] = describe_io(run.architecture, run.data)
    write_model(output, document)
    write_json(output / "environment.json", describe_environment())
    shutil.copyfile(places.work / PROFILE, output / PROFILE)
    copy_checkpoint(checkpoints(places.work / "checkpoints")[-1], output / "checkpoints")
    log = places.work / "log.txt"
    if log.exists():
        shutil.copyfile(log, output / "log.txt")
    write_manifest(output, run.id)


def describe_model(
    run: TrainRun, group: Group, state: State, exports: list[dict[str, Any]], parameters: int
) -> dict[str, Any]:
    """The content of model.json."""
    dtype = autocast_dtype(run.train.precision, group.device)
    names = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
    seconds = sum(epoch["speed"]["seconds"] for epoch in state.history)
    waited = sum(epoch["speed"]["seconds"] * epoch["speed"]["data_wait_percent"] for epoch in state.history)
    return {
        "schema": 2,
        "run": run.id,
        "experiment": run.experiment,
        "model": run.model,
        "architecture": run.document["architecture"],
        "categories": run.document["data"]["categories"],
        "tracks": run.document["data"]["tracks"],
        "data": {"name": run.data.name, "version": run.data.version, "dvc": run.document["data"]["dvc"]},
        "code": run.document["code"],
        "image": run.document["image"],
        "weights": run.weights,
        "replay": run.replay and {"share": run.replay.share, "data": run.replay.data.name},
        "window": run.document.get("window"),
        "seed": run.seed,
        "parameters": parameters,
        "exports": exports,
        "training": {
            "epochs": state.history,
            "best_epoch": state.best_epoch,
            "seconds": round(state.seconds, 2),
            "device": str(group.device) if group.device.type == "cpu" else torch.cuda.get_device_name(group.device),
            "precision": names[dtype],
            "processes": group.size,
            "attempts": state.attempts,
            "data_wait_percent": round(waited / max(seconds, 1e-9), 2),
        },
    }
