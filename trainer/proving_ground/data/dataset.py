"""Frames of a manifest become the network's input and targets, in an order that depends on (seed, epoch) alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from proving_ground.config import Architecture, Data
from proving_ground.data.augment import augment
from proving_ground.data.manifest import Frame
from proving_ground.errors import Refused
from proving_ground.evaluation import Target
from proving_ground.model.targets import detection_maps, lane_targets
from proving_ground.randomness import generator

# Decoded frames are kept up to this many bytes in each process.
CACHE_BYTES = 1 << 30


@dataclass
class Batch:
    """Input and targets of some frames.

    frames: indices in the manifest. image: [B, 3, H, W] uint8. has_detection, has_lanes: [B] bool, whether a frame has
    such labels. heat [B, C, H/4, W/4], box [B, 4, H/4, W/4], positive and counted [B, 1, H/4, W/4]: see
    model.targets.detection_maps. mask: [B, H, W] int64, 255 where it is ignored. lane: [B, S, R] float32, columns in
    cells, NaN where there is none.
    """

    frames: list[int]
    tensors: dict[str, torch.Tensor]


@dataclass
class Decoded:
    """One frame at the network's size."""

    image: np.ndarray
    mask: np.ndarray | None


class FrameDataset:
    """Random access to the frames of a manifest, at the network's input size."""

    def __init__(self, folder: Path, frames: list[Frame], data: Data, architecture: Architecture) -> None:
        self.folder, self.frames, self.data, self.architecture = folder, frames, data, architecture
        self.cache: dict[int, Decoded] = {}
        self.cached_bytes = 0

    def __len__(self) -> int:
        return len(self.frames)

    def decode(self, index: int) -> Decoded:
        """Image [H, W, 3] and mask [H, W] of a frame; raises Refused for a file that is no image."""
        if index in self.cache:
            return self.cache[index]
        frame, size = self.frames[index], (self.architecture.width, self.architecture.height)
        image = read_image(self.folder / frame.source, "RGB", size, Image.Resampling.BILINEAR)
        wanted = frame.segmentation is not None and "segmentation" in self.architecture.heads
        mask = read_image(self.folder / frame.segmentation, "L", size, Image.Resampling.NEAREST) if wanted else None
        decoded = Decoded(image=image, mask=mask)
        nbytes = image.nbytes + (0 if mask is None else mask.nbytes)
        if self.cached_bytes + nbytes <= CACHE_BYTES:
            self.cache[index] = decoded
            self.cached_bytes += nbytes
        return decoded

    def batch(self, indices: list[int], settings: dict[str, float], seed: int, epoch: int) -> Batch:
        """Training frames with their targets, augmented as (seed, epoch, index) say."""
        examples = [self.example(index, settings, (seed, epoch, index)) for index in indices]
        tensors = {name: torch.from_numpy(np.stack([example[name] for example in examples])) for name in examples[0]}
        return Batch(frames=indices, tensors=tensors)

    def images(self, indices: list[int]) -> torch.Tensor:
        """Images alone, [B, 3, H, W] uint8, as evaluation needs them."""
        return torch.from_numpy(np.stack([self.decode(index).image.transpose(2, 0, 1) for index in indices]))

    def example(self, index: int, settings: dict[str, float], place: tuple[int, int, int]) -> dict[str, np.ndarray]:
        """Image and targets of one frame, as numpy arrays."""
        frame, decoded, heads = self.frames[index], self.decode(index), self.architecture.heads
        scale = np.array(
            [self.architecture.width / frame.width, self.architecture.height / frame.height], dtype=np.float32
        )
        boxes = np.array([label["box"] for label in frame.detection or []], dtype=np.float32).reshape(-1, 4) * np.tile(
            scale, 2
        )
        lanes = (
            None
            if frame.lanes is None
            else [np.array(lane, dtype=np.float32).reshape(-1, 2) * scale for lane in frame.lanes]
        )
        image, boxes, mask, lanes = augment(decoded.image, boxes, decoded.mask, lanes, settings, place)
        height, width = image.shape[:2]
        example = {"image": np.ascontiguousarray(image.transpose(2, 0, 1))}
        if "detection" in heads:
            names = [self.data.detection.index(label["category"]) for label in frame.detection or []]
            crowd = [bool(label.get("crowd", False)) for label in frame.detection or []]
            example |= detection_maps(boxes, names, crowd, len(self.data.detection), (height, width))
            example["has_detection"] = np.array(frame.detection is not None)
        if "segmentation" in heads:
            ignored = np.full((height, width), 255, dtype=np.int64)
            example["mask"] = ignored if mask is None else mask.astype(np.int64)
        if "lanes" in heads:
            example["lane"] = lane_targets(lanes or [], (height, width))
            example["has_lanes"] = np.array(lanes is not None)
        return example

    def target(self, index: int) -> Target:
        """Labels of a frame in its own pixels, as evaluation compares them."""
        frame, heads = self.frames[index], self.architecture.heads
        boxes = categories = crowd = segmentation = lanes = None
        if "detection" in heads and frame.detection is not None:
            boxes = np.array([label["box"] for label in frame.detection], dtype=np.float64).reshape(-1, 4)
            categories = np.array(
                [self.data.detection.index(label["category"]) for label in frame.detection], dtype=np.int64
            )
            crowd = np.array([bool(label.get("crowd", False)) for label in frame.detection], dtype=bool)
        if "segmentation" in heads and frame.segmentation is not None:
            segmentation = read_image(
                self.folder / frame.segmentation, "L", (frame.width, frame.height), Image.Resampling.NEAREST
            )
        if "lanes" in heads and frame.lanes is not None:
            lanes = [np.array(lane, dtype=np.float64).reshape(-1, 2) for lane in frame.lanes]
        return Target(
            boxes=boxes,
            categories=categories,
            crowd=crowd,
            segmentation=segmentation,
            lanes=lanes,
            width=frame.width,
            height=frame.height,
        )


def read_image(file: Path, mode: str, size: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
    """Decode an image at a size; raises Refused naming the file where it can't be read as an image."""
    try:
        with Image.open(file) as image:
            converted = image if image.mode == mode else image.convert(mode)
            sized = converted if converted.size == size else converted.resize(size, resampling)
            return np.asarray(sized, dtype=np.uint8)
    except (OSError, ValueError) as error:
        raise Refused(f"{file}: the frame can't be read as an image: {error}") from error


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Order of the training frames in an epoch: [count] int64, a function of (seed, epoch) alone."""
    return generator(seed, epoch, 0, 0).permutation(count)


def steps_of(count: int, global_batch: int) -> int:
    """Optimizer steps of an epoch; the last, short batch is left out unless it is the only one."""
    return max(count // global_batch, 1)


def rank_batch(order: np.ndarray, step: int, global_batch: int, rank: int, size: int) -> list[int]:
    """Indices of a rank's share of a step's frames: a global batch is the same frames whatever the world size."""
    # A dataset smaller than a batch goes round, so that every rank has frames in every step.
    places = np.arange(step * global_batch, (step + 1) * global_batch) % len(order)
    return order[places][rank::size].tolist()
