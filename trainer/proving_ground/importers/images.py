"""An importer's image and its boxes become a frame of the dataset's size."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from proving_ground.data.decode import Header, read_picture
from proving_ground.errors import Refused

# Little of what a detector sees is lost at this quality, and a frame stays a tenth of its size as PNG.
JPEG_QUALITY = 95
# A box that is thinner than this after resizing can't be seen, let alone learnt.
MIN_PIXELS = 1.0


def write_resized(source: Path, target: Path, size: tuple[int, int]) -> Header:
    """Write an image, upright, at a size (width, height) as JPEG; returns what it was.

    Raises:
        Refused: the file can't be read as an image; the message names it.
    """
    picture, header = read_picture(read_bytes(source, "an image"), str(source), near=(2 * size[0], 2 * size[1]))
    picture.resize(size, Image.Resampling.BOX).save(target, quality=JPEG_QUALITY)
    return header


def read_bytes(file: Path, kind: str) -> bytes:
    """The bytes of a file that is to be of a kind, such as an image; raises Refused where it can't be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refused(f"{file}: can't be read as {kind} ({error.strerror}).") from error


def fit_box(sides: Sequence[float], scale: tuple[float, float], size: tuple[int, int]) -> list[float] | None:
    """A box x1, y1, x2, y2 scaled and clipped to a frame (width, height); None where it is too thin to be seen."""
    x1, x2 = (min(max(side * scale[0], 0.0), float(size[0])) for side in (sides[0], sides[2]))
    y1, y2 = (min(max(side * scale[1], 0.0), float(size[1])) for side in (sides[1], sides[3]))
    if x2 - x1 < MIN_PIXELS or y2 - y1 < MIN_PIXELS:
        return None
    return [round(side, 2) for side in (x1, y1, x2, y2)]


def choose(entries: Sequence[Any], split: str, wanted: dict[str, Any], place: str) -> list[Any]:
    """Entries of a split, in their order: at most `frames` after the first `skip`; raises Refused for none."""
    skip = wanted.get("skip", 0)
    chosen = list(entries[skip : skip + wanted.get("frames", len(entries))])
    if not chosen:
        raise Refused(
            f"{place}: splits.{split} asks for frames after the first {skip}, but there are only {len(entries)}."
        )
    return chosen


def inside(folder: Path, name: object, place: str) -> Path:
    """Path of a file that an entry names in a folder; raises Refused for a name that leads out of it."""
    if not isinstance(name, str) or not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise Refused(f"{place}: found the file name {name!r}; it must be a path inside {folder}.")
    return folder / name
