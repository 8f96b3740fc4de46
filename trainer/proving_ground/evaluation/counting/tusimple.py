"""Predicted and labelled lane lines become TuSimple's accuracy, false positives and false negatives of a frame.

By the benchmark's own evaluator (github.com/TuSimple/tusimple-benchmark, evaluate/lane.py): lines are compared at fixed
rows; a point is right within 20 pixels over the cosine of the labelled line's angle, and so is one that neither line
has; a line's accuracy is the share of its rows that the best predicted line has right, and it is found from 0.85.

Every frame is taken to the benchmark's 1,280 by 720 pixels, and lines to its rows 160, 170, ... 710.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 1280, 720
ROWS = np.arange(160.0, HEIGHT, 10.0)
MAX_PIXELS = 20.0
MIN_ACCURACY = 0.85
# With so many predicted lines more than labelled ones, nothing in the frame is right.
MAX_EXTRA = 2
# So many labelled lines of a frame count: the benchmark asks for those of the own lane and its neighbours.
MAX_LINES = 4
# What the benchmark puts for a point that a line doesn't have.
ABSENT = -100.0
# An imported line ends where it was labelled but for what rounding took: so many rows are made up for.
ROUNDED = 1.0


class FrameAccuracy(NamedTuple):
    """What the benchmark says of a frame: shares of points, of predicted lines, and of labelled lines."""

    accuracy: float
    false_positives: float
    false_negatives: float


def rate_lanes(
    predicted: Sequence[np.ndarray], labelled: Sequence[np.ndarray], size: tuple[int, int]
) -> FrameAccuracy | None:
    """A frame's figures; None where no labelled line crosses a row, which the benchmark has nowhere.

    Lines that cross no row can't be written in the benchmark's form, and are left out. Of more than four labelled lines
    the best four count; the benchmark has five at most. One predicted line may be the best of two labelled ones: then
    the false positives may be below zero, as they may in the benchmark.

    Args:
        predicted, labelled: lines, each [P, 2] float64 in pixels.
        size: width and height of the frame.
    """
    found, wanted = (
        np.array([x for x in (at_rows(line, size) for line in lines) if (x != ABSENT).any()]).reshape(-1, len(ROWS))
        for lines in (predicted, labelled)
    )
    if len(wanted) == 0:
        return None
    if len(found) > len(wanted) + MAX_EXTRA:
        return FrameAccuracy(0.0, 0.0, 1.0)
    limits = np.array([MAX_PIXELS * np.hypot(1.0, slope(x)) for x in wanted])
    right = np.abs(found[:, None] - wanted) < limits[:, None]
    best = right.mean(axis=2).max(axis=0, initial=0.0)
    matched = int((best >= MIN_ACCURACY).sum())
    counted = min(len(wanted), MAX_LINES)
    return FrameAccuracy(
        accuracy=float(np.sort(best)[-counted:].sum() / counted),
        false_positives=(len(found) - matched) / len(found) if len(found) else 0.0,
        false_negatives=max(counted - matched, 0) / counted,
    )


def at_rows(line: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A line's x at each row, [R] float64 in the benchmark's pixels; ABSENT where it has none or leaves the image.

    Of a line that crosses a row several times the first crossing counts.
    """
    columns, rows = np.full(len(ROWS), ABSENT), ROWS
    x, y = line[:, 0] * (WIDTH / size[0]), line[:, 1] * (HEIGHT / size[1])
    low, high = np.minimum(y[:-1], y[1:]), np.maximum(y[:-1], y[1:])
    # Level stretches cross no row.
    parts = np.flatnonzero(high > low)
    for part in parts[::-1]:
        crossed = (rows >= low[part]) & (rows <= high[part])
        share = (rows[crossed] - y[part]) / (y[part + 1] - y[part])
        columns[crossed] = x[part] + (x[part + 1] - x[part]) * share
    for end in (0, -1) if len(parts) else ():
        columns[(columns == ABSENT) & (np.abs(rows - y[end]) <= ROUNDED)] = x[end]
    return np.where((columns >= 0) & (columns < WIDTH), columns, ABSENT)


def slope(columns: np.ndarray) -> float:
    """Columns per row of the straight line nearest to a line's points, by least squares; 0 for a single point."""
    known = columns != ABSENT
    x, y = columns[known], ROWS[known]
    if len(x) < 2:
        return 0.0
    off = y - y.mean()
    return float(off @ x / (off @ off))
