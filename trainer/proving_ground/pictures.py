"""Frames of the validation become pictures with boxes and masks, and its statistics become curves."""

from typing import Any

import numpy as np
import torch
from PIL import Image

from proving_ground.data.dataset import FrameDataset
from proving_ground.data.example import Example
from proving_ground.evaluation import Prediction, Statistics
from proving_ground.model.network import Network
from proving_ground.model.predictions import predict

# What scores less would cover the frame with boxes.
MIN_SCORE = 0.3


def show_frames(network: Network, frames: FrameDataset, count: int) -> list[tuple[Image.Image, dict[str, Any]]]:
    """The first frames with boxes and masks of the network and of the labels, as wandb.Image takes them.

    Of count frames those without an image are left out. network is in its mode for evaluation. Raises Refused for a
    frame that is no image.
    """
    size = (frames.architecture.width, frames.architecture.height)
    if size[0] == 0:
        return []
    device = next(network.parameters()).device
    shown = []
    for index in range(min(count, len(frames))):
        example = frames.example(index)
        if example.image is None:
            continue
        inputs = frames.inputs_of(example).items()
        tensors = {name: torch.from_numpy(value.copy())[None].to(device) for name, value in inputs}
        with torch.inference_mode():
            prediction = predict(network(**tensors), [size], size)[0]
        # Given as an array, a frame so dark that no pixel is above 1 would be scaled to full brightness.
        shown.append((Image.fromarray(example.image), draw(prediction, example, frames)))
    return shown


def draw(prediction: Prediction, example: Example, frames: FrameDataset) -> dict[str, Any]:
    """Boxes and masks of one frame, predicted and labelled; a head that the network has not is left out."""
    layers: dict[str, Any] = {}
    if "detection" in frames.architecture.heads:
        names = dict(enumerate(frames.data.detection))
        found = zip(prediction.boxes, prediction.categories, prediction.scores, strict=True)
        boxes = [box_of(box, category, float(score)) for box, category, score in found if score >= MIN_SCORE]
        layers["boxes"] = {"predictions": {"box_data": boxes, "class_labels": names}}
        if example.boxes is not None:
            truth = [box_of(box, category) for box, category in zip(example.boxes, example.categories, strict=True)]
            layers["boxes"]["labels"] = {"box_data": truth, "class_labels": names}
    if prediction.segmentation is not None:
        names = {**dict(enumerate(frames.data.segmentation)), 255: "ignored"}
        layers["masks"] = {"predictions": {"mask_data": prediction.segmentation, "class_labels": names}}
        if example.mask is not None:
            layers["masks"]["labels"] = {"mask_data": example.mask, "class_labels": names}
    return layers


def box_of(box: np.ndarray, category: int, score: float | None = None) -> dict[str, Any]:
    """A box x1 y1 x2 y2 in pixels as W&B has it."""
    sides = dict(zip(("minX", "minY", "maxX", "maxY"), (float(side) for side in box), strict=True))
    described = {"position": sides, "class_id": int(category), "domain": "pixel"}
    return described if score is None else {**described, "scores": {"score": score}}


def curves_by_category(statistics: Statistics, frames: int) -> dict[str, list[float]]:
    """Precision at IoU 0.5 over 101 recalls, by category with objects; empty for a model that detects nothing."""
    if "detection" not in statistics.heads:
        return {}
    # numba takes half a second to import, and not every run is tracked.
    from proving_ground.evaluation.evidence.curves import precision_curves, rounded

    curves = precision_curves(statistics, [], frames)
    return {key.category: rounded(line.precision) for key, line in curves.items() if key.iou == 0.5 and key.category}
