"""Frames of a manifest become examples at the network's size, and examples become its input and targets."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from proving_ground.config import Architecture, Data
from proving_ground.data.decode import read_picture
from proving_ground.data.example import Example, Target
from proving_ground.data.manifest import Frame
from proving_ground.data.masks import MaskReader
from proving_ground.data.storage import Storage, open_storage
from proving_ground.data.targets import detection_maps, lane_targets
from proving_ground.errors import Refused

# Examples are kept, decoded and sized, up to this many bytes in each process.
CACHE_BYTES = 1 << 30
# Of a metre: what is left of a map's coordinates in float64. Wherever its origin is, a track is the same to the bit.
TRACK_DECIMALS = 6


class FrameDataset:
    """Random access to the frames of a manifest, at the network's input size."""

    def __init__(self, folder: Path, frames: list[Frame], data: Data, architecture: Architecture) -> None:
        self.frames, self.data, self.architecture = frames, data, architecture
        self.storage = open_storage(folder)
        self.masks = MaskReader(data.segmentation, data.masks)
        self.cache: dict[int, Example] = {}
        self.cached_bytes = 0

    def __len__(self) -> int:
        return len(self.frames)

    def example(self, index: int) -> Example:
        """A frame as it is, at the network's size; raises Refused for a file that is no image."""
        if index not in self.cache:
            example = self.decode(index)
            nbytes = sum(0 if array is None else array.nbytes for array in (example.image, example.mask))
            if self.cached_bytes + nbytes > CACHE_BYTES:
                return example
            self.cache[index] = example
            self.cached_bytes += nbytes
        return self.cache[index]

    def decode(self, index: int) -> Example:
        """Read and scale a frame and its labels, those of the architecture's heads."""
        frame, heads = self.frames[index], self.architecture.heads
        size = (self.architecture.width, self.architecture.height)
        image = mask = lanes = None
        boxes = categories = crowd = past = future = None
        scale = np.ones(2, dtype=np.float32)
        if frame.has_image and size[0] > 0:
            scale = np.array([size[0] / frame.width, size[1] / frame.height], dtype=np.float32)
            image = np.asarray(read_image(self.storage, frame, size, Image.Resampling.BILINEAR), dtype=np.uint8)
        if "segmentation" in heads and frame.segmentation is not None:
            indices = Image.fromarray(read_mask(self.storage, frame, self.masks))
            # Nearest: between the indices of two classes lie those of others.
            mask = np.asarray(indices.resize(size, Image.Resampling.NEAREST))
        if "detection" in heads and frame.detection is not None:
            boxes, categories, crowd = self.objects(frame.detection, np.float32)
            boxes = boxes * np.tile(scale, 2)
        if "lanes" in heads and frame.lanes is not None:
            lanes = [np.array(lane, dtype=np.float32).reshape(-1, 2) * scale for lane in frame.lanes]
        if "trajectory" in heads and frame.tracks is not None:
            past, future = (self.tracks(frame, part).astype(np.float32) for part in ("past", "future"))
        return Example(
            image=image,
            boxes=boxes,
            categories=categories,
            crowd=crowd,
            mask=mask,
            lanes=lanes,
            past=past,
            future=future,
        )

    def objects(self, labels: list[dict[str, Any]], dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labelled boxes [N, 4] of a type in the frame's pixels, their categories [N] int64, and crowd [N] bool."""
        boxes = np.array([label["box"] for label in labels], dtype=dtype).reshape(-1, 4)
        categories = np.array([self.data.detection.index(label["category"]) for label in labels], dtype=np.int64)
        return boxes, categories, np.array([bool(label.get("crowd", False)) for label in labels], dtype=bool)

    def tracks(self, frame: Frame, part: str) -> np.ndarray:
        """The past or the future of a frame's tracks, [T, P or F, 2] float64 metres from the frame's origin.

        Raises Refused for another length.
        """
        length = getattr(self.data.tracks, part)
        for track in frame.tracks or []:
            if len(track[part]) != length:
                found = len(track[part])
                raise Refused(f"{frame.source}: a track's {part} has {found} points; the data recipe says {length}")
        points = [track[part] for track in frame.tracks or []]
        return np.round(np.array(points).reshape(-1, length, 2) - origin_of(frame), TRACK_DECIMALS)

    def targets(self, example: Example) -> dict[str, np.ndarray]:
        """What the network's outputs are compared with, for one frame: see loader.Batch."""
        heads, tensors = self.architecture.heads, {}
        size = (self.architecture.height, self.architecture.width)
        if "detection" in heads:
            boxes = np.zeros((0, 4), dtype=np.float32) if example.boxes is None else example.boxes
            categories = [] if example.categories is None else example.categories.tolist()
            crowd = [] if example.crowd is None else example.crowd.tolist()
            tensors |= detection_maps(boxes, categories, crowd, len(self.data.detection), size)
            tensors["has_detection"] = np.array(example.boxes is not None)
        if "segmentation" in heads:
            ignored = np.full(size, 255, dtype=np.int64)
            tensors["mask"] = ignored if example.mask is None else example.mask.astype(np.int64)
        if "lanes" in heads:
            tensors["lane"] = lane_targets(example.lanes or [], size)
            tensors["has_lanes"] = np.array(example.lanes is not None)
        if "trajectory" in heads:
            none = np.zeros((0, self.data.tracks.future, 2), np.float32)
            tensors["future"] = none if example.future is None else example.future
        return tensors

    def inputs(self, index: int) -> dict[str, np.ndarray]:
        """What the network is given for a frame: image [3, H, W] uint8, past [T, P, 2] float32."""
        return self.inputs_of(self.example(index))

    def inputs_of(self, example: Example) -> dict[str, np.ndarray]:
        """The same for an example."""
        tensors = {}
        if example.image is not None:
            tensors["image"] = np.ascontiguousarray(example.image.transpose(2, 0, 1))
        if "trajectory" in self.architecture.heads:
            none = np.zeros((0, self.data.tracks.past, 2), np.float32)
            tensors["past"] = none if example.past is None else example.past
        return tensors

    def target(self, index: int) -> Target:
        """Labels of a frame in its own pixels and metres, as evaluation compares them."""
        frame, heads = self.frames[index], self.architecture.heads
        boxes = categories = crowd = segmentation = lanes = tracks = None
        if "detection" in heads and frame.detection is not None:
            boxes, categories, crowd = self.objects(frame.detection, np.float64)
        if "segmentation" in heads and frame.segmentation is not None:
            segmentation = read_mask(self.storage, frame, self.masks)
        if "lanes" in heads and frame.lanes is not None:
            lanes = [np.array(lane, dtype=np.float64).reshape(-1, 2) for lane in frame.lanes]
        if "trajectory" in heads and frame.tracks is not None:
            tracks = self.tracks(frame, "future")
        return Target(
            boxes=boxes,
            categories=categories,
            crowd=crowd,
            segmentation=segmentation,
            lanes=lanes,
            tracks=tracks,
            origin=origin_of(frame),
            width=frame.width,
            height=frame.height,
        )


def origin_of(frame: Frame) -> np.ndarray:
    """Where the first of a frame's tracks is at present, [2] float64 metres.

    Tracks are seen from there: to float32 a place on a map, millions of metres from its origin, has no centimetres.
    """
    return np.array(frame.tracks[0]["past"][-1] if frame.tracks else (0, 0), dtype=np.float64)


def read_image(storage: Storage, frame: Frame, size: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
    """A frame's image in RGB at a size (width, height).

    Raises:
        Refused: the file can't be read as an image, or isn't of the size that the manifest says; naming the file.
    """
    picture, header = read_picture(storage.read(frame.source), frame.source, near=size)
    if differs := header.differs((frame.width, frame.height), "the manifest"):
        raise Refused(f"{frame.source} {differs}.")
    return picture if picture.size == size else picture.resize(size, resampling)


def read_mask(storage: Storage, frame: Frame, masks: MaskReader) -> np.ndarray:
    """Class indices [H, W] uint8 of a frame's mask, in the frame's own pixels, 255 where they aren't compared.

    Raises:
        Refused: the file can't be read as a mask, has a value that means nothing, or isn't of the frame's size.
    """
    assert frame.segmentation is not None
    mask = masks.read(storage.read(frame.segmentation), frame.segmentation)
    height, width = mask.shape
    if (width, height) != (frame.width, frame.height):
        raise Refused(
            f"{frame.segmentation} has {width}x{height} pixels; by the manifest its image {frame.source} has "
            f"{frame.width}x{frame.height}, and a mask must be of its image's size."
        )
    return mask
