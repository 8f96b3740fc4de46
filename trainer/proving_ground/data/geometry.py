"""Windows of frames are put onto a new frame, and their labels go with them, cut at the borders.

Coordinates are continuous: the first pixel reaches from 0 to 1, and an image ends at its width and height.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from proving_ground.data.example import Example

# What no frame covers: mid-gray, and the mask's value for pixels that aren't compared.
GRAY, IGNORED = 128, 255
# A box of which less than this share of its area is left is dropped, and so is one that is narrower or lower than a
# pixel. A crowd keeps whatever is left: there nothing is counted, and that stays so.
MIN_SHARE, MIN_SIDE = 0.25, 1.0
# A lane shorter than this, in pixels, is dropped.
MIN_LENGTH = 1.0
# Points of lanes so near to a border, in pixels, lie on it: scaling in float32 has moved them.
SNAP = 1e-3


@dataclass(frozen=True, kw_only=True)
class Window:
    """A part of a frame, x1 y1 x2 y2 in its pixels, and the whole pixels of the new frame that show it."""

    source: tuple[float, float, float, float]
    target: tuple[int, int, int, int]

    def is_whole(self, width: int, height: int) -> bool:
        """Whether it shows all of a frame of this size, unscaled, where it was."""
        return self.source == (0, 0, width, height) and self.target == (0, 0, width, height)

    @property
    def low(self) -> np.ndarray:
        """Upper left corner in the new frame, [2] float64."""
        return np.array(self.target[:2], dtype=np.float64)

    @property
    def high(self) -> np.ndarray:
        """Lower right corner in the new frame, [2] float64."""
        return np.array(self.target[2:], dtype=np.float64)

    def move(self, points: np.ndarray) -> np.ndarray:
        """Points of the frame, [..., 2], as points of the new one, float64, not clipped."""
        begin, end = np.array(self.source[:2]), np.array(self.source[2:])
        return (points - begin) * ((self.high - self.low) / (end - begin)) + self.low


def mirror(example: Example) -> Example:
    """Mirror a frame left to right: image and labels at the image's middle, tracks at their origin."""
    tracks = {
        name: None if track is None else track * np.array([-1, 1], dtype=np.float32)
        for name, track in (("past", example.past), ("future", example.future))
    }
    if example.image is None:
        assert example.boxes is None and example.mask is None and example.lanes is None, (
            "labels in pixels need an image"
        )
        return replace(example, **tracks)
    width = example.image.shape[1]
    boxes, mask, lanes = example.boxes, example.mask, example.lanes
    return replace(
        example,
        image=np.ascontiguousarray(example.image[:, ::-1]),
        boxes=None
        if boxes is None
        else np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1),
        mask=None if mask is None else np.ascontiguousarray(mask[:, ::-1]),
        lanes=None if lanes is None else [np.stack([width - lane[:, 0], lane[:, 1]], axis=1) for lane in lanes],
        **tracks,
    )


def compose(parts: list[tuple[Example, Window]]) -> Example:
    """Put windows of frames onto a gray frame of the first one's size; its tracks are the first one's.

    Labels of a kind stay where all the frames have it, and are None otherwise.
    """
    own = parts[0][0]
    boxes = categories = crowd = mask = lanes = None
    image = np.full_like(own.image, GRAY)
    for example, window in parts:
        put(image, example.image, window, Image.Resampling.BILINEAR)
    if all(example.mask is not None for example, _ in parts):
        mask = np.full_like(own.mask, IGNORED)
        for example, window in parts:
            put(mask, example.mask, window, Image.Resampling.NEAREST)
    if all(example.boxes is not None for example, _ in parts):
        moved = [move_boxes(example, window) for example, window in parts]
        boxes, categories, crowd = (np.concatenate(arrays) for arrays in zip(*moved, strict=True))
    if all(example.lanes is not None for example, _ in parts):
        lanes = [lane for example, window in parts for lane in move_lanes(example.lanes, window)]
    return replace(own, image=image, boxes=boxes, categories=categories, crowd=crowd, mask=mask, lanes=lanes)


def put(canvas: np.ndarray, pixels: np.ndarray, window: Window, resampling: Image.Resampling) -> None:
    """Scale a window of an image [H, W, 3] or a mask [H, W] into its place on a canvas, which is changed."""
    x1, y1, x2, y2 = window.target
    canvas[y1:y2, x1:x2] = Image.fromarray(pixels).resize((x2 - x1, y2 - y1), resampling, box=window.source)


def move_boxes(example: Example, window: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes [M, 4] float32 inside the window's target, categories [M] and crowd [M] of those that are kept."""
    moved = window.move(example.boxes.reshape(-1, 2, 2))
    clipped = np.clip(moved, window.low, window.high)
    before, sides = moved[:, 1] - moved[:, 0], clipped[:, 1] - clipped[:, 0]
    enough = example.crowd | (sides.prod(axis=1) >= MIN_SHARE * before.prod(axis=1))
    kept = enough & (sides >= MIN_SIDE).all(axis=1)
    return clipped[kept].reshape(-1, 4).astype(np.float32), example.categories[kept], example.crowd[kept]


def move_lanes(lanes: list[np.ndarray], window: Window) -> list[np.ndarray]:
    """Lanes [P, 2] float32 cut exactly at the borders of the window's target, points in their order.

    A lane that leaves and comes back keeps its longest stretch. Clipping is Liang and Barsky's (1984), for all
    segments of all lanes at once.
    """
    if sum(len(lane) for lane in lanes) < 2:
        return []
    points = window.move(np.concatenate(lanes))
    for border in (window.low, window.high):
        points = np.where(np.abs(points - border) < SNAP, border, points)
    owner = np.repeat(np.arange(len(lanes)), [len(lane) for lane in lanes])
    begin, step = points[:-1], np.diff(points, axis=0)
    # Along each segment, the part between `enter` and `leave` lies inside; there is one where the former is smaller.
    slopes = np.concatenate([-step, step], axis=1)
    rooms = np.concatenate([begin - window.low, window.high - begin], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = rooms / slopes
    enter = np.where(slopes < 0, crossings, 0).max(axis=1, initial=0)
    leave = np.where(slopes > 0, crossings, 1).min(axis=1, initial=1)
    outside = ((slopes == 0) & (rooms < 0)).any(axis=1)
    visible = (owner[1:] == owner[:-1]) & (enter < leave) & ~outside
    first = np.clip(begin + enter[:, None] * step, window.low, window.high)
    last = np.where((leave == 1)[:, None], points[1:], begin + leave[:, None] * step)
    last = np.clip(last, window.low, window.high)
    goes_on = visible[:-1] & visible[1:] & (leave[:-1] == 1) & (enter[1:] == 0)
    starts = visible & ~np.concatenate([[False], goes_on])
    return longest_stretches(np.flatnonzero(visible), np.cumsum(starts), owner, first, last)


def longest_stretches(
    visible: np.ndarray, stretch: np.ndarray, owner: np.ndarray, first: np.ndarray, last: np.ndarray
) -> list[np.ndarray]:
    """The longest stretch of each lane, [P, 2] float32, of those that are long enough.

    Args:
        visible: [V] indices of segments of which something is left.
        stretch: [S] number of the stretch that each segment belongs to.
        owner: [S + 1] number of the lane that each point belongs to.
        first, last: [S, 2] ends of what is left of each segment, in pixels.
    """
    lengths = np.bincount(stretch[visible], weights=np.hypot(*(last - first)[visible].T))
    best: dict[int, int] = {}
    for segment in visible:
        lane, number = int(owner[segment]), int(stretch[segment])
        if lane not in best or lengths[number] > lengths[best[lane]]:
            best[lane] = number
    kept = [visible[stretch[visible] == number] for number in best.values() if lengths[number] >= MIN_LENGTH]
    return [np.concatenate([first[segments[:1]], last[segments]]).astype(np.float32) for segments in kept]
