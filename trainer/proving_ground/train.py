"""A training run becomes a model's folder: weights, exports, and what a reader of them must know."""

import argparse
from typing import Any

import torch

from proving_ground.checkpoint import State
from proving_ground.config import TrainRun
from proving_ground.distributed import Group
from proving_ground.export import export_model, write_model
from proving_ground.files import verify_manifest, write_manifest
from proving_ground.loop import autocast_dtype, open_frames, train
from proving_ground.model.network import count_parameters
from proving_ground.progress import Progress

PARITY_FRAMES = 4


def train_and_export(run: TrainRun, group: Group, arguments: argparse.Namespace, progress: Progress) -> None:
    """Train, then export on rank 0; the manifest is written last. Raises what the loop raises."""
    if run.weights is not None:
        verify_manifest(arguments.weights, run.weights)
    network, state = train(run, group, arguments.data, arguments.work, arguments.weights, progress)
    if group.is_first:
        progress.show("export", 0, 1)
        frames = open_frames(run, arguments.data, "val")
        images = frames.images(list(range(min(PARITY_FRAMES, len(frames)))))
        exports = export_model(network, images, arguments.output)
        write_model(arguments.output, describe_model(run, group, state, exports, count_parameters(network)))
        write_manifest(arguments.output, run.id)
    group.barrier()


def describe_model(
    run: TrainRun, group: Group, state: State, exports: list[dict[str, Any]], parameters: int
) -> dict[str, Any]:
    """The content of model.json."""
    dtype = autocast_dtype(run.train.precision, group.device)
    names = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
    return {
        "schema": 1,
        "run": run.id,
        "experiment": run.experiment,
        "model": run.model,
        "architecture": run.document["architecture"],
        "categories": run.document["data"]["categories"],
        "data": {"name": run.data.name, "version": run.data.version, "dvc": run.document["data"]["dvc"]},
        "code": run.document["code"],
        "image": run.document["image"],
        "weights": run.weights,
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
        },
    }
