"""Predicted and labelled lane lines become hits and misses, as CULane counts them (Pan et al. 2018, section 4), and
their sums over frames, with TuSimple's figures beside them, become scores.

Each line is drawn with a width of 30 pixels in CULane's 1,640, scaled to the frame and at least 2; a predicted and a
labelled line whose drawings overlap with an IoU of at least 0.5 can be a pair, and pairs are one to one.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from proving_ground.evaluation.counting.tusimple import FrameAccuracy

# CULane's, and TuSimple's three.
METRICS = ("lane_f1", "lane_accuracy", "lane_fp", "lane_fn")
LINE_WIDTH = 30 / 1640
# A line of one pixel has no overlap with its neighbour: in small frames every drawing would be a miss.
MIN_PIXELS = 2
MIN_IOU = 0.5


def count_lanes(
    predicted: Sequence[np.ndarray], labelled: Sequence[np.ndarray], size: tuple[int, int]
) -> tuple[int, int, int]:
    """Hits, false alarms and misses of a frame.

    Args:
        predicted, labelled: lines, each [P, 2] float64 in pixels; one with fewer than two points can't be drawn and is
            never hit.
        size: width and height of the frame.
    """
    # It takes as long to import as all else here together; models without lanes don't wait for it.
    from scipy.optimize import linear_sum_assignment

    overlaps = lane_iou([draw_lane(line, size) for line in predicted], [draw_lane(line, size) for line in labelled])
    # As many pairs as can be: which of several possible pairs is taken doesn't matter to the counts.
    rows, columns = linear_sum_assignment(overlaps >= MIN_IOU, maximize=True)
    hits = int((overlaps[rows, columns] >= MIN_IOU).sum())
    return hits, len(predicted) - hits, len(labelled) - hits


def draw_lane(line: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draw a line: [H, W] bool."""
    image = Image.new("1", size)
    if len(line) >= 2:
        width = max(MIN_PIXELS, round(LINE_WIDTH * size[0]))
        ImageDraw.Draw(image).line([(float(x), float(y)) for x, y in line], fill=1, width=width, joint="curve")
    return np.asarray(image, dtype=bool)


def lane_iou(predicted: Sequence[np.ndarray], labelled: Sequence[np.ndarray]) -> np.ndarray:
    """IoU of drawings: [P, L] float64, 0 where nothing is drawn."""
    overlaps = np.zeros((len(predicted), len(labelled)))
    found, wanted = [np.count_nonzero(one) for one in predicted], [np.count_nonzero(one) for one in labelled]
    for row, one in enumerate(predicted):
        for column, other in enumerate(labelled):
            both = np.count_nonzero(one & other)
            overlaps[row, column] = both / (found[row] + wanted[column] - both) if both else 0.0
    return overlaps


def sum_lanes(columns: dict[str, np.ndarray], total: int) -> np.ndarray:
    """Sums by frame: [total, 7] float64, hits, false alarms and misses, then whether TuSimple's figures are known, and
    those; zero for frames without labels.
    """
    sums = np.zeros((total, 3 + 1 + len(FrameAccuracy._fields)))
    sums[columns["lane_counts/frame"], :3] = columns["lane_counts/counts"]
    rated = [columns[f"lane_points/{name}"] for name in FrameAccuracy._fields]
    sums[columns["lane_points/frame"], 3:] = np.stack([np.ones(len(rated[0])), *rated], axis=1)
    return sums


def lane_scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Scores from such sums over frames [..., 7]: [...] each, NaN where no line is labelled.

    TuSimple's are means over the frames with a labelled line, as the benchmark's are.
    """
    frames = sums[..., 3]
    rates = {
        metric: np.divide(sums[..., place], frames, out=np.full(frames.shape, np.nan), where=frames > 0)
        for place, metric in enumerate(METRICS[1:], start=4)
    }
    return {"lane_f1": lane_f1(sums[..., :3]), **rates}


def lane_f1(counts: np.ndarray) -> np.ndarray:
    """F1 from sums of hits, false alarms and misses [..., 3]: [...], NaN where no line is labelled."""
    hits, alarms, misses = counts[..., 0], counts[..., 1], counts[..., 2]
    total = (2 * hits + alarms + misses).astype(np.float64)
    return np.divide(2.0 * hits, total, out=np.full(total.shape, np.nan), where=hits + misses > 0)
