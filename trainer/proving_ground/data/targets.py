"""Labels in the network's pixels become the maps that its outputs are compared with."""

import numpy as np

# The heads work on cells of so many pixels.
STRIDE = 4
# Two lanes to the left of the camera and two to its right.
LANE_SLOTS = 4
# Cells whose Gaussian is above this learn the box: the middle of an object, not its rim.
BOX_REGION = 0.6


def lane_rows(height: int) -> int:
    """How many rows of cells, from the bottom, a lane is looked for in: the lower six tenths of the image."""
    return round(0.6 * height / STRIDE)


def detection_maps(
    boxes: np.ndarray, categories: list[int], crowd: list[bool], count: int, size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Draw boxes ([N, 4] x1 y1 x2 y2, pixels) as maps of cells (Zhou et al. 2019, Objects as Points).

    Returns heat [C, h, w] float32 in 0..1, 1 at each centre; box [4, h, w] float32, distances to the sides in cells;
    positive [1, h, w] float32, 1 where a box is learned; counted [1, h, w] float32, 0 where crowds hide what is there.
    """
    height, width = size[0] // STRIDE, size[1] // STRIDE
    heat = np.zeros((count, height, width), dtype=np.float32)
    box = np.zeros((4, height, width), dtype=np.float32)
    positive = np.zeros((1, height, width), dtype=np.float32)
    counted = np.ones((1, height, width), dtype=np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None] + 0.5
    columns = np.arange(width, dtype=np.float32)[None, :] + 0.5
    cells = boxes / STRIDE
    areas = (cells[:, 2] - cells[:, 0]) * (cells[:, 3] - cells[:, 1])
    # Large boxes first: a small one in front of a large one keeps its cells.
    for number in np.argsort(-areas, kind="stable"):
        x1, y1, x2, y2 = cells[number]
        if crowd[number]:
            counted[0, (rows[:, 0] >= y1) & (rows[:, 0] <= y2)] *= ((columns[0] < x1) | (columns[0] > x2)).astype(
                np.float32
            )
            continue
        at_x, at_y = min(int((x1 + x2) / 2), width - 1), min(int((y1 + y2) / 2), height - 1)
        spread_x, spread_y = max((x2 - x1) / 6, 0.5), max((y2 - y1) / 6, 0.5)
        gauss = np.exp(
            -((columns - at_x - 0.5) ** 2) / (2 * spread_x**2) - ((rows - at_y - 0.5) ** 2) / (2 * spread_y**2)
        )
        np.maximum(heat[categories[number]], gauss, out=heat[categories[number]])
        inside = (gauss > BOX_REGION) & (columns > x1) & (columns < x2) & (rows > y1) & (rows < y2)
        inside[at_y, at_x] = True
        sides = np.broadcast_arrays(columns - x1, rows - y1, x2 - columns, y2 - rows)
        box[:, inside] = np.maximum(np.stack(sides)[:, inside], 0.1)
        positive[0, inside] = 1
    return {"heat": heat, "box": box, "positive": positive, "counted": counted}


def lane_targets(lanes: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Columns of each lane slot in each row of cells: [slots, rows] float32 in cells, NaN where there is no lane.

    Slots are outer left, left, right, outer right of the image's middle, by where a lane meets the image's bottom.
    """
    height, width = size
    rows = lane_rows(height)
    centers = (np.arange(height // STRIDE - rows, height // STRIDE) + 0.5) * STRIDE
    target = np.full((LANE_SLOTS, rows), np.nan, dtype=np.float32)
    placed = []
    for lane in lanes:
        if len(lane) < 2:
            continue
        order = np.argsort(lane[:, 1], kind="stable")
        y, x = lane[order, 1], lane[order, 0]
        if y[-1] - y[0] < 1e-3:
            continue
        column = np.interp(centers, y, x, left=np.nan, right=np.nan)
        # The nearest stretch of the line is prolonged to the bottom edge.
        below = y.searchsorted(y[-1] - max(2 * STRIDE, 0.2 * (y[-1] - y[0])))
        first = min(below, len(y) - 2)
        slope = (x[-1] - x[first]) / max(y[-1] - y[first], 1e-3)
        bottom = x[-1] + slope * (height - y[-1])
        column = np.where(centers > y[-1], x[-1] + slope * (centers - y[-1]), column)
        column[(column < 0) | (column >= width)] = np.nan
        placed.append((bottom - width / 2, column / STRIDE))
    left = sorted((item for item in placed if item[0] < 0), key=lambda item: -item[0])
    right = sorted((item for item in placed if item[0] >= 0), key=lambda item: item[0])
    for slot, (_, column) in [*zip((1, 0), left, strict=False), *zip((2, 3), right, strict=False)]:
        target[slot] = column
    return target
