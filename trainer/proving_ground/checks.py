"""Checks before GPU hours are spent: the frames' files, one batch of the largest shapes, the harness against itself."""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from proving_ground.config import Training
from proving_ground.data.dataset import FrameDataset
from proving_ground.data.frame_check import FrameFiles, check_frames, places_of, refusal
from proving_ground.data.loader import Batch, Failure, TrainingFrames, collate_training
from proving_ground.errors import NonFiniteLoss, Refused
from proving_ground.job import Job
from proving_ground.step import Session

# Largest relative difference between two runs of the same steps. A CPU repeats to the bit; some of a GPU's sums don't.
BANDS = {"cpu": 0.0, "cuda": 1e-3}
# Of more frames so many, spread evenly, are checked before the first step: at some milliseconds each, a matter of
# minutes. The rest are checked when they are read.
CHECKED_FRAMES = 100_000


def files_of(dataset: FrameDataset) -> FrameFiles:
    """The files of a dataset that its architecture's heads need."""
    heads = dataset.architecture.heads
    return FrameFiles(
        dataset=dataset.data.name,
        storage=dataset.storage,
        frames=dataset.frames,
        images=dataset.architecture.width > 0,
        masks=dataset.masks if "segmentation" in heads else None,
    )


def check_files(job: Job[Any], sets: Sequence[FrameFiles]) -> None:
    """Check the images and masks of frames, each rank its share; raises Refused on every rank with what all found."""
    group = job.group
    places = places_of(sets, CHECKED_FRAMES)
    total = sum(len(files.frames) for files in sets)
    if group.is_first and len(places) < total:
        print(f"{len(places)} of {total} frames are checked now, the others when they are read", flush=True)
    found = check_frames(
        sets,
        places[group.rank :: group.size],
        max(job.conditions.loader["workers"], 1),
        lambda done, count: job.progress.show("check frames", done, count),
        lambda: group.stop_requested,
    )
    group.check_stop("while it checked the frames")
    parts = group.gather(found)
    for part in parts[1:]:
        found.add(part)
    refused = group.broadcast(refusal(found, sets) if group.is_first else None)
    if refused is not None:
        raise refused


def check_sanity(session: Session, frames: TrainingFrames, part: tuple[int, int, int], config: Training) -> None:
    """Forward, backward and step on the largest shapes, undone afterwards.

    Raises Refused where the loss is not finite with the weights that training starts from, or memory is too small.
    """
    size = config.global_batch // (part[1] * part[2])
    dataset = frames.datasets[0]
    # Images have one size; what differs is how many tracks and objects a frame has.
    largest = sorted(
        range(len(dataset)),
        key=lambda index: (
            -len(dataset.frames[index].tracks or []),
            -len(dataset.frames[index].detection or []),
            index,
        ),
    )
    chosen = [largest[place % len(largest)] for place in range(size)]
    batch = collate_training([frames[0, index] for index in chosen])
    if isinstance(batch, Failure):
        raise Refused(batch.message)
    with session.undone():
        try:
            session.take_step([batch] * config.accumulation, config.learning_rate)
        except NonFiniteLoss as error:
            raise NonFiniteLoss(f"Before the first step, on the sanity batch, the loss {error}") from error
        except torch.OutOfMemoryError as error:
            raise Refused(
                f"{size} frames at once don't fit into the memory of {session.group.device}: raise train.accumulation, "
                "or lower train.global_batch"
            ) from error


def smoke_determinism(session: Session, batches: Sequence[Batch], config: Training) -> dict[str, Any]:
    """Take the same steps twice from the same start; what differs is the harness's drift, and no model's.

    Returns steps, the largest difference of a weight relative to the largest weight, the band, and whether it is in it.
    """
    parts = config.accumulation
    ends = []
    for _ in range(2):
        with session.undone():
            for begin in range(0, len(batches), parts):
                session.take_step(batches[begin : begin + parts], config.learning_rate)
            ends.append(copy.deepcopy(session.network.state_dict()))
    largest, scale = 0.0, 1e-12
    for name, value in ends[0].items():
        if value.is_floating_point() and value.numel():
            largest = max(largest, float((value - ends[1][name]).abs().max()))
            scale = max(scale, float(value.abs().max()))
    band = BANDS[session.group.device.type]
    difference = largest / scale
    return {"steps": len(batches) // parts, "difference": difference, "band": band, "agrees": difference <= band}
