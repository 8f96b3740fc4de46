"""A training run becomes a model's folder: weights, exports, and what a reader of them must know."""

import argparse
import shutil
from typing import Any

import torch

from proving_ground.checkpoint import State, checkpoints, copy_checkpoint
from proving_ground.config import Conditions, TrainRun
from proving_ground.data.dataset import FrameDataset
from proving_ground.distributed import Group
from proving_ground.environment import Meter, describe_environment
from proving_ground.errors import Stopped
from proving_ground.export import describe_io, export_inputs, export_model, write_model
from proving_ground.files import write_json, write_manifest
from proving_ground.loop import Places, open_frames, open_training, train
from proving_ground.model.network import Network, count_parameters
from proving_ground.preflight import PROFILE, Preflight, preflight
from proving_ground.progress import Progress
from proving_ground.step import autocast_dtype
from proving_ground.tracking import Tracking, open_tracking

PARITY_FRAMES, CALIBRATION_FRAMES = 4, 64


def train_and_export(
    run: TrainRun, group: Group, arguments: argparse.Namespace, conditions: Conditions, progress: Progress
) -> None:
    """Train, then export on rank 0; the manifest is written last. Raises what the loop raises."""
    places = Places(
        data=arguments.data,
        work=arguments.work,
        weights=arguments.weights,
        replay=arguments.replay,
        fast=arguments.fast,
        durable=arguments.durable,
    )
    opened = open_training(run, places)
    found = preflight(run, group, conditions, opened[0].datasets[0], places, arguments.production, progress)
    tracking = open_tracking(run, conditions.tracking, arguments.work, group.is_first)
    meter, ended = Meter(), "failed"
    try:
        network, state = train(run, group, places, conditions, opened, progress, tracking)
        if group.is_first:
            found.energy = meter.kilowatt_hours()
            write_output(run, group, arguments, network, state, opened[0].datasets[0], progress, tracking, found)
        group.barrier()
        ended = "finished"
    except Stopped:
        ended = "stopped"
        raise
    finally:
        tracking.finish(ended, arguments.output if ended == "finished" else None)


def write_output(
    run: TrainRun,
    group: Group,
    arguments: argparse.Namespace,
    network: Network,
    state: State,
    training: FrameDataset,
    progress: Progress,
    tracking: Tracking,
    found: Preflight,
) -> None:
    """Fill the model's folder: weights, exports, model.json, profile, environment, last checkpoint, log."""
    output = arguments.output
    progress.show("export", 0, 1)
    validation = open_frames(run, arguments.data, "val")
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
    shutil.copyfile(arguments.work / PROFILE, output / PROFILE)
    copy_checkpoint(checkpoints(arguments.work / "checkpoints")[-1], output / "checkpoints")
    log = arguments.work / "log.txt"
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
