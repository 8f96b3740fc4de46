"""A source's mask becomes a frame's: of the frame's size, its values as they were."""

from pathlib import Path

import numpy as np
from PIL import Image

from proving_ground.data.decode import read_values
from proving_ground.errors import Refused
from proving_ground.importers.images import read_bytes


def read_mask(file: Path, size: tuple[int, int], *, colours: bool = False) -> np.ndarray:
    """The values of a mask of an image's size (width, height), [H, W] integers as read_values gives them.

    Raises:
        Refused: it can't be read as a mask, or has another size.
    """
    values = read_values(read_bytes(file, "a mask"), str(file), colours=colours)
    if values.shape != size[::-1]:
        found = f"{values.shape[1]}x{values.shape[0]}"
        raise Refused(f"{file}: the mask has {found} pixels; its image has {size[0]}x{size[1]}.")
    return values


def write_mask(values: np.ndarray, target: Path, size: tuple[int, int], *, colours: bool = False) -> None:
    """Write values [H, W] at a size (width, height) as PNG, of 8 bits where they fit; the nearest pixel gives each."""
    # By the middle of each pixel, as Pillow's own nearest does, which not every mode has.
    rows, columns = ((np.arange(new) + 0.5) * (old / new) for new, old in zip(size[::-1], values.shape, strict=True))
    values = values[rows.astype(np.int64)[:, None], columns.astype(np.int64)]
    if colours:
        values = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=-1)
    Image.fromarray(values.astype(np.uint8 if colours or values.max() < 256 else np.uint16)).save(target)
