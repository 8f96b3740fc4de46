"""Two models' statistics, latencies and frames become figures.json: everything a report draws."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from proving_ground.data.dataset import read_image
from proving_ground.data.manifest import Frame
from proving_ground.data.slices import FrameSlice
from proving_ground.data.storage import Storage, open_storage
from proving_ground.evaluation import Statistics
from proving_ground.evaluation.detection.calibration import compare_calibration
from proving_ground.evaluation.detection.matching import MIN_IOU, MIN_SCORE
from proving_ground.evaluation.evidence.classes import compare_classes
from proving_ground.evaluation.evidence.confusion import Pairs, compare_confusion, pair_boxes
from proving_ground.evaluation.evidence.curves import compare_curves
from proving_ground.evaluation.evidence.examples import (
    COUNTED,
    Example,
    boxes_of_frame,
    choose_examples,
    labels_of_frame,
)
from proving_ground.evaluation.scores import tabulate

# A dozen thumbnails in a page that is committed: each at most so many pixels wide and so many bytes.
THUMBNAIL_WIDTH, THUMBNAIL_BYTES = 400, 16_000
QUALITIES = (80, 65, 50, 35, 20)


def make_figures(
    statistics: dict[str, Statistics],
    slices: Sequence[FrameSlice],
    frames: Sequence[Frame],
    data: Path,
    times: dict[str, np.ndarray],
) -> dict[str, Any]:
    """The document; statistics are of `candidate` and perhaps `production`, times in milliseconds by name of export."""
    candidate, production = statistics["candidate"], statistics.get("production")
    pairs = tuple(
        pair_boxes(model) if model is not None and "detection" in model.heads else None
        for model in (candidate, production)
    )
    tables = [None if model is None else tabulate(model, len(frames)) for model in (candidate, production)]
    ordered = [model.ordered if model is not None and "detection" in model.labelled else None for model in tables]
    storage = open_storage(data)
    examples = [
        describe_example(example, (candidate, production), pairs, frames[example.frame], storage)
        for example in choose_examples(candidate, production, pairs, len(frames))
    ]
    return {
        "schema": 1,
        **compare_curves(candidate, production, slices, len(frames)),
        "classes": compare_classes(*tables, slices, len(frames)),
        "calibration": compare_calibration(ordered, candidate.categories, slices, len(frames)),
        "matched": {"min_score": MIN_SCORE, "min_iou": MIN_IOU},
        "confusion": compare_confusion(candidate, production, slices, pairs),
        "latency": [{"of": name, "ms": [round(float(value), 4) for value in values]} for name, values in times.items()],
        "examples": examples,
    }


def describe_example(
    example: Example,
    models: tuple[Statistics, Statistics | None],
    pairs: tuple[Pairs | None, Pairs | None],
    frame: Frame,
    storage: Storage,
) -> dict[str, Any]:
    """A frame with its picture and the boxes of both models, in the frame's own pixels."""
    candidate, production = models
    return {
        "frame": frame.source,
        "attributes": frame.attributes,
        "sequence": frame.sequence,
        "kind": example.kind,
        "head": example.head,
        "counted": COUNTED[example.head],
        "candidate": round(example.candidate, 4),
        "production": None if example.production is None else round(example.production, 4),
        "width": frame.width,
        "height": frame.height,
        "thumbnail": thumbnail(storage, frame) if frame.has_image else None,
        "labels": labels_of_frame(candidate, pairs, example.frame),
        "boxes": {
            "candidate": boxes_of_frame(candidate, pairs[0], example.frame),
            "production": None if production is None else boxes_of_frame(production, pairs[1], example.frame),
        },
    }


def thumbnail(storage: Storage, frame: Frame) -> str:
    """A frame's picture as a JPEG in base64, within its budget; raises Refused for a file that is no image."""
    width = min(THUMBNAIL_WIDTH, frame.width)
    size = (width, max(1, round(frame.height * width / frame.width)))
    small = read_image(storage, frame, size, Image.Resampling.BICUBIC)
    for quality in QUALITIES:
        file = io.BytesIO()
        small.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= THUMBNAIL_BYTES:
            break
    return base64.b64encode(file.getvalue()).decode()
