"""Raw outputs become predictions in each frame's own pixels and metres: boxes, classes of pixels, lanes, tracks."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from proving_ground.data.targets import STRIDE
from proving_ground.evaluation import Prediction

MAX_DETECTIONS = 100
# What scores less costs time in matching and adds nothing to any figure.
MIN_SCORE = 0.02
# Columns on either side of the most likely one whose mean is a lane's place.
LANE_REACH = 2


def predict(
    outputs: dict[str, Tensor],
    sizes: list[tuple[int, int]],
    input_size: tuple[int, int],
    tracks: list[int] | None = None,
) -> list[Prediction]:
    """Predictions of a batch.

    Args:
        outputs: the network's, on any device.
        sizes: width and height of each frame in its own pixels, 0 for frames of tracks alone.
        input_size: width and height that the network saw, 0 where it saw no image.
        tracks: number of real tracks of each frame, which come before the padding; without it all are real.
    """
    outputs = {name: output.float().cpu() for name, output in outputs.items()}
    boxes = decode_boxes(outputs["detection"]) if "detection" in outputs else None
    lanes = decode_lanes(outputs["lanes"], input_size[1]) if "lanes" in outputs else None
    futures = decode_tracks(outputs["trajectory"], outputs["trajectory_logits"]) if "trajectory" in outputs else None
    predictions = []
    for number, (width, height) in enumerate(sizes):
        scale = np.array([width / max(input_size[0], 1), height / max(input_size[1], 1)])
        found, scores, categories = (
            boxes[number] if boxes else (np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
        )
        found = found * np.tile(scale, 2)
        segmentation = None
        if "segmentation" in outputs:
            segmentation = decode_segmentation(outputs["segmentation"][number : number + 1], (height, width))
        real = slice(None if tracks is None else tracks[number])
        predictions.append(
            Prediction(
                boxes=np.clip(found, 0, [width, height, width, height]),
                scores=scores,
                categories=categories,
                segmentation=segmentation,
                lanes=None if lanes is None else [lane * scale for lane in lanes[number]],
                tracks=None if futures is None else futures[0][number, real],
                track_scores=None if futures is None else futures[1][number, real],
            )
        )
    return predictions


def decode_boxes(output: Tensor) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Peaks of [B, C + 4, h, w] as boxes [N, 4] float64 in input pixels, scores [N] and categories [N], best first."""
    heat = output[:, :-4].sigmoid()
    peaks = heat * (heat == functional.max_pool2d(heat, 3, stride=1, padding=1))
    batch, categories, height, width = heat.shape
    scores, places = peaks.reshape(batch, -1).topk(min(MAX_DETECTIONS, categories * height * width), dim=1)
    category, cell = places // (height * width), places % (height * width)
    sides = output[:, -4:].clamp(max=6).exp().reshape(batch, 4, -1).gather(2, cell[:, None].expand(-1, 4, -1))
    x, y = (cell % width).float() + 0.5, (cell // width).float() + 0.5
    boxes = torch.stack([x - sides[:, 0], y - sides[:, 1], x + sides[:, 2], y + sides[:, 3]], dim=2) * STRIDE
    found = []
    for number in range(batch):
        kept = scores[number] >= MIN_SCORE
        found.append(
            (
                boxes[number][kept].double().numpy(),
                scores[number][kept].double().numpy(),
                category[number][kept].numpy(),
            )
        )
    return found


def decode_segmentation(output: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Most likely class of each pixel: [1, K, h, w] logits to [H, W] uint8."""
    logits = functional.interpolate(output, size=size, mode="bilinear", align_corners=False)
    return logits[0].argmax(dim=0).to(torch.uint8).numpy()


def decode_tracks(futures: Tensor, logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Futures [B, T, K, F, 2] float64 and how likely each is, [B, T, K] float64 that adds up to 1 for a track."""
    return futures.double().numpy(), logits.double().softmax(dim=-1).numpy()


def decode_lanes(output: Tensor, height: int) -> list[list[np.ndarray]]:
    """Lane lines of [B, S, R, w + 1] logits, `height` the input's: for each frame, [P, 2] float64 in input pixels."""
    width, first = output.shape[-1] - 1, height // STRIDE - output.shape[2]
    share = output.softmax(dim=-1)
    there = share[..., -1] < 0.5
    columns = share[..., :-1]
    best = columns.argmax(dim=-1, keepdim=True)
    window = best + torch.arange(-LANE_REACH, LANE_REACH + 1)
    weight = columns.gather(-1, window.clamp(0, width - 1)) * ((window >= 0) & (window < width))
    x = ((weight * (window + 0.5)).sum(-1) / weight.sum(-1).clamp(min=1e-9)) * STRIDE
    return [
        [
            line
            for slot in range(output.shape[1])
            if len(line := lane_line(x[number, slot], there[number, slot], first)) >= 2
        ]
        for number in range(output.shape[0])
    ]


def lane_line(x: Tensor, there: Tensor, first: int) -> np.ndarray:
    """Points of a lane in the rows where it is there, the first of which is row `first` of cells: [P, 2] float64."""
    chosen = there.nonzero()[:, 0]
    return torch.stack([x[chosen].double(), (chosen.double() + first + 0.5) * STRIDE], dim=1).numpy()
