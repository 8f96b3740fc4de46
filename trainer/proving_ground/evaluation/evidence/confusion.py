"""Statistics become confusion matrices: what is taken for what, overall and on each slice."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation.detection.matching import MIN_IOU, MIN_SCORE, box_iou
from proving_ground.evaluation.statistics import Statistics

# With more cells than this in all of a head's matrices, those of the slices are left out.
MAX_CELLS = 40_000


class Pairs(NamedTuple):
    """Labels and boxes of a model, one with the other: all [P] int64.

    truth and found are categories; of a box without a label, or a label without a box, the other is the number of
    categories: background. label and box are places in the tables `truth` and `detections`, -1 for background.
    """

    frame: np.ndarray
    truth: np.ndarray
    found: np.ndarray
    label: np.ndarray
    box: np.ndarray

    @property
    def is_error(self) -> np.ndarray:
        """[P] bool: missed, found where nothing is, or taken for another category."""
        return self.truth != self.found


def pair_boxes(statistics: Statistics) -> Pairs:
    """Boxes from a score of 0.3, best first, each with the free label of the highest IoU from 0.5, of any category.

    Crowds are no labels here: a box on a crowd alone is one where nothing is.
    """
    columns, background = statistics.columns, len(statistics.categories)
    boxes = np.flatnonzero(columns["detections/score"] >= MIN_SCORE)
    labels = np.flatnonzero(~columns["truth/crowd"])
    dt_xywh, gt_xywh = (
        np.stack([columns[f"{table}/{side}"] for side in "xywh"], axis=1)[chosen]
        for table, chosen in (("detections", boxes), ("truth", labels))
    )
    dt_ends, gt_ends = (
        np.searchsorted(columns[f"{table}/frame"][chosen], [columns["frames/frame"], columns["frames/frame"] + 1]).T
        for table, chosen in (("detections", boxes), ("truth", labels))
    )
    rows: list[tuple[int, int, int]] = []
    for frame, dt, gt in zip(columns["frames/frame"], dt_ends, gt_ends, strict=True):
        own, truth = slice(*dt), slice(*gt)
        overlaps = box_iou(dt_xywh[own], gt_xywh[truth], np.zeros(gt[1] - gt[0], dtype=bool))
        scores = columns["detections/score"][boxes[own]]
        rows += ((frame, *pair) for pair in pair_frame(overlaps, scores, boxes[own], labels[truth]))
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    frame, label, box = table.T
    truth = np.where(label >= 0, np.append(columns["truth/category"], background)[label], background)
    found = np.where(box >= 0, np.append(columns["detections/category"], background)[box], background)
    return Pairs(frame=frame, truth=truth, found=found, label=label, box=box)


def pair_frame(
    overlaps: np.ndarray, scores: np.ndarray, boxes: np.ndarray, labels: np.ndarray
) -> list[tuple[int, int]]:
    """A frame's pairs of label and box; overlaps [boxes, labels]."""
    free = np.ones(len(labels), dtype=bool)
    pairs = []
    for row in np.argsort(-scores, kind="stable"):
        label = -1
        if free.any():
            best = int(np.argmax(np.where(free, overlaps[row], -1.0)))
            if overlaps[row, best] >= MIN_IOU:
                label, free[best] = int(labels[best]), False
        pairs.append((label, int(boxes[row])))
    return pairs + [(int(label), -1) for label in labels[free]]


def compare_confusion(
    candidate: Statistics, production: Statistics | None, slices: Sequence[FrameSlice], pairs: Sequence[Pairs | None]
) -> list[dict[str, Any]]:
    """Confusion matrices of both models as JSON, by head and slice: rows are what is true, columns what was said.

    detection [K + 1, K + 1]: boxes and labels as `pairs` has them of either model, the last row and column are
    background. segmentation [K, K]: pixels.
    """
    made = []
    models = [candidate, production]
    for head in ("detection", "segmentation"):
        if head not in candidate.heads:
            continue
        names = [*candidate.categories, "background"] if head == "detection" else [*candidate.classes]
        owners = [model is not None and head in model.heads for model in models]
        parts: list[FrameSlice | None] = [None, *(item for item in slices if item.category is None)]
        if len(names) ** 2 * len(parts) * sum(owners) > MAX_CELLS:
            parts = [None]
        for part in parts:
            matrices = [
                count_cells(head, model, pair, len(names), part).tolist() if owner else None
                for model, pair, owner in zip(models, pairs, owners, strict=True)
            ]
            made.append(
                {
                    "head": head,
                    "slice": part and part.name,
                    "names": names,
                    "candidate": matrices[0],
                    "production": matrices[1],
                }
            )
    return made


def count_cells(
    head: str, statistics: Statistics, pairs: Pairs | None, size: int, part: FrameSlice | None
) -> np.ndarray:
    """A model's matrix [size, size] int64 on a slice's frames, on all without one."""
    if head == "segmentation":
        matrices = statistics.columns["confusion/matrix"]
        chosen = slice(None) if part is None else part.frames[statistics.columns["confusion/frame"]]
        return matrices[chosen].sum(axis=0)
    chosen = slice(None) if part is None else part.frames[pairs.frame]
    cells = pairs.truth[chosen] * size + pairs.found[chosen]
    return np.bincount(cells, minlength=size * size).reshape(size, size)
