"""A source's mask becomes a frame's: the index of a class for each pixel, or 255."""

from pathlib import Path

import numpy as np
from PIL import Image

from proving_ground.errors import Refused

IGNORED = 255
# Modes of Pillow whose values are indices, as they are.
MODES = ("1", "L", "P", "I;16", "I")


def read_indices(file: Path, size: tuple[int, int]) -> np.ndarray:
    """The values of a mask of an image's size (width, height): [H, W] int64.

    Raises:
        Refused: it can't be read, has colours instead of indices, or another size.
    """
    try:
        with Image.open(file) as image:
            found, mode = image.size, image.mode
            values = np.asarray(image).astype(np.int64) if mode in MODES and found == size else None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Refused(f"{file}: can't be read as a mask ({error}).") from error
    if found != size:
        raise Refused(f"{file}: the mask has {found[0]}x{found[1]} pixels; its image has {size[0]}x{size[1]}.")
    if values is None:
        raise Refused(f"{file}: found the mode {mode}; a mask must have one whole number for each pixel, not colours.")
    return values


def check_classes(file: Path, values: np.ndarray, classes: list[str]) -> None:
    """Refuse values of a mask that are the index of no class, nor 255."""
    strange = sorted(set(np.unique(values).tolist()) - {*range(len(classes)), IGNORED})
    if strange:
        raise Refused(
            f"{file}: found the values {', '.join(map(str, strange[:10]))}; a mask has 0 to {len(classes) - 1} for the "
            f"{len(classes)} classes, and {IGNORED} for what is ignored."
        )


def write_mask(indices: np.ndarray, target: Path, size: tuple[int, int]) -> None:
    """Write class indices [H, W] at a size (width, height) as an 8-bit PNG; the nearest pixel gives the class."""
    Image.fromarray(indices.astype(np.uint8)).resize(size, Image.Resampling.NEAREST).save(target)
