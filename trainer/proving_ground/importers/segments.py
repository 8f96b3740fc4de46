"""COCO's segments, polygons and run lengths, become the mask of an image: one class index for each pixel.

Where segments overlap the smaller one is seen, as if it were in front. A pixel of none is `background` where the recipe
has that class, and ignored otherwise. So is the box of an object that has no segment: what is in it nobody says.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from proving_ground.data.manifest import is_number, shorten
from proving_ground.errors import Refused

BACKGROUND = "background"
IGNORED = 255
# COCO's strings hold five bits of a number in each character, from this one on; the sixth says that it goes on.
FIRST_CHARACTER, CONTINUES = 48, 32
# No run of an image needs more characters.
MOST_CHARACTERS = 7


@dataclass(frozen=True, kw_only=True)
class Segment:
    """An annotation's segment, as COCO has it (None where it has none), its class and its box x, y, width, height."""

    value: Any
    label: int
    box: list[float]
    place: str


def draw_mask(segments: list[Segment], classes: list[str], size: tuple[int, int]) -> np.ndarray:
    """The mask [H, W] uint8 of an image's segments; size is width and height; raises Refused naming the annotation."""
    background = classes.index(BACKGROUND) if BACKGROUND in classes else IGNORED
    mask = np.full((size[1], size[0]), background, dtype=np.uint8)
    drawn = [(segment.label, pixels_of(segment, size)) for segment in segments if segment.value]
    for segment in segments:
        if not segment.value:
            x, y, width, height = segment.box
            mask[span(y, height), span(x, width)] = IGNORED
    for label, pixels in sorted(drawn, key=lambda item: -int(item[1].sum())):
        mask[pixels] = label
    return mask


def span(begin: float, length: float) -> slice:
    """The pixels that a side of a box touches."""
    return slice(max(0, math.floor(begin)), max(0, math.ceil(begin + length)))


def pixels_of(segment: Segment, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a segment, [H, W] bool; raises Refused for one of another size or form."""
    if isinstance(segment.value, list):
        return fill_runs(outline_runs(segment, size), size)
    value = segment.value
    if not isinstance(value, dict) or value.get("size") != [size[1], size[0]]:
        raise Refused(
            f"{segment.place}: found the segmentation {shorten(value)}; it must be polygons, or run lengths of size "
            f"[{size[1]}, {size[0]}]."
        )
    counts = value.get("counts")
    runs = decode_runs(counts) if isinstance(counts, str) else counts
    if not (
        isinstance(runs, list)
        and all(type(run) in (int, float) and run >= 0 and run % 1 == 0 for run in runs)
        and sum(runs) == size[0] * size[1]
    ):
        raise Refused(
            f"{segment.place}: found the counts {shorten(counts)}; they must be whole numbers that add up to "
            f"{size[0]}x{size[1]} pixels, or COCO's string of them."
        )
    return fill_runs(runs, size)


def fill_runs(runs: list[int], size: tuple[int, int]) -> np.ndarray:
    """Pixels [H, W] bool from run lengths down the columns, outside and inside by turns."""
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, np.array(runs, dtype=np.int64))
    return inside.reshape(size).T


def decode_runs(text: str) -> list[int] | None:
    """The run lengths in COCO's string of them (rleFrString of its maskApi.c); None for any other string."""
    runs: list[int] = []
    number = length = 0
    for character in text:
        bits = ord(character) - FIRST_CHARACTER
        if not 0 <= bits < 2 * CONTINUES or length >= MOST_CHARACTERS:
            return None
        number |= (bits & 31) << (5 * length)
        length += 1
        if bits & CONTINUES:
            continue
        if bits & 16:
            number -= 1 << (5 * length)
        # From the fourth on a number is the difference to the one two before.
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = length = 0
    return None if length else runs


def outline_runs(segment: Segment, size: tuple[int, int]) -> list[int]:
    """Run lengths of the pixels inside of any of a segment's polygons, as pycocotools draws them."""
    # Imported here: of all importers this one alone needs it, and only for polygons.
    from pycocotools import mask

    # The drawing takes memory for every pixel of the outline, also outside of the image.
    reach = 2 * max(size)
    for polygon in segment.value:
        if not (
            isinstance(polygon, list)
            and len(polygon) >= 6
            and len(polygon) % 2 == 0
            and all(is_number(number) and abs(number) <= reach for number in polygon)
        ):
            raise Refused(
                f"{segment.place}: found the polygon {shorten(polygon)}; it must be x1, y1, x2, y2, x3, y3 and so on, "
                f"in the image of {size[0]}x{size[1]} pixels."
            )
    outlines = mask.frPyObjects([[float(number) for number in polygon] for polygon in segment.value], size[1], size[0])
    return decode_runs(mask.merge(outlines)["counts"].decode()) or []
