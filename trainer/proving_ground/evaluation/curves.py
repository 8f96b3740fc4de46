"""Statistics become curves and confusion matrices: precision over recall, and what is taken for what."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation.detection import RECALL_THRESHOLDS, Ordered, accumulate, restrict, single_category
from proving_ground.evaluation.scores import tabulate
from proving_ground.evaluation.statistics import Statistics

# A curve is given at these places of IOU_THRESHOLDS: 0.5 and 0.75.
CURVES = {"0.5": 0, "0.75": 5}
# What a confusion matrix counts as found, and as the same place.
MIN_SCORE, MIN_IOU = 0.3, 0.5


def make_curves(statistics: Statistics, slices: Sequence[FrameSlice], frames: int) -> dict[str, Any]:
    """Precision at 101 recalls, by category, overall and on each slice of a category.

    Returns recall [101] and curves: slice (None: overall), category, and precision [101] by IoU; none for what has no
    objects.
    """
    curves = []
    if "detection" in statistics.heads:
        ordered = tabulate(statistics, frames).ordered
        names = statistics.categories
        for place, name in enumerate(names):
            curves += curve_of(single_category(ordered, place), None, name)
        for item in slices:
            if item.category is not None:
                part = single_category(restrict(ordered, item.frames), names.index(item.category))
                curves += curve_of(part, item.name, item.category)
    return {"schema": 1, "recall": rounded(RECALL_THRESHOLDS), "curves": curves}


def curve_of(ordered: Ordered, slice_name: str | None, category: str) -> list[dict[str, Any]]:
    """The curve of one category, in a list; an empty list where there is no object."""
    precision, _ = accumulate(ordered)
    if precision[0, 0, 0] < 0:
        return []
    by_iou = {name: rounded(precision[place, :, 0]) for name, place in CURVES.items()}
    return [{"slice": slice_name, "category": category, "precision": by_iou}]


def make_confusion(statistics: Statistics) -> dict[str, Any]:
    """Confusion matrices: rows are what is true, columns what was said.

    detection [K + 1, K + 1]: boxes from a score of 0.3, each label with the free box of the highest IoU from 0.5,
    whatever the categories, best scores first; the last row and column are background. Crowds count for nothing.
    segmentation [K, K]: pixels. None for a head that there isn't.
    """
    columns, found = statistics.columns, {"schema": 1, "detection": None, "segmentation": None}
    if "detection" in statistics.heads:
        names = [*statistics.categories, "background"]
        matrix = confuse_boxes(columns, len(statistics.categories))
        found["detection"] = {"names": names, "matrix": matrix.tolist(), "min_score": MIN_SCORE, "min_iou": MIN_IOU}
    if "segmentation" in statistics.heads:
        total = columns["confusion/matrix"].sum(axis=0)
        found["segmentation"] = {"names": list(statistics.classes), "matrix": total.tolist()}
    return found


def confuse_boxes(columns: dict[str, np.ndarray], categories: int) -> np.ndarray:
    """[K + 1, K + 1] int64 counts: labels by row, boxes by column."""
    from proving_ground.evaluation.matching import box_iou

    matrix = np.zeros((categories + 1, categories + 1), dtype=np.int64)
    tables = {}
    for table, chosen in (("detections", columns["detections/score"] >= MIN_SCORE), ("truth", ~columns["truth/crowd"])):
        xywh = np.stack([columns[f"{table}/{side}"] for side in "xywh"], axis=1)[chosen]
        tables[table] = (columns[f"{table}/frame"][chosen], columns[f"{table}/category"][chosen], xywh)
    scores = columns["detections/score"][columns["detections/score"] >= MIN_SCORE]
    (dt_frame, dt_category, dt_box), (gt_frame, gt_category, gt_box) = tables["detections"], tables["truth"]
    for frame in columns["frames/frame"]:
        dt = slice(*np.searchsorted(dt_frame, [frame, frame + 1]))
        gt = slice(*np.searchsorted(gt_frame, [frame, frame + 1]))
        overlaps = box_iou(dt_box[dt], gt_box[gt], np.zeros(gt.stop - gt.start, dtype=bool))
        free = np.ones(gt.stop - gt.start, dtype=bool)
        for row in np.argsort(-scores[dt], kind="stable"):
            open_overlaps = np.where(free, overlaps[row], -1.0) if len(free) else np.zeros(0)
            best = int(np.argmax(open_overlaps)) if len(free) else -1
            is_hit = best >= 0 and open_overlaps[best] >= MIN_IOU
            matrix[gt_category[gt][best] if is_hit else categories, dt_category[dt][row]] += 1
            if is_hit:
                free[best] = False
        np.add.at(matrix[:, categories], gt_category[gt][free], 1)
    return matrix


def rounded(values: np.ndarray) -> list[float]:
    """Numbers to four decimals: curves are looked at."""
    return [round(float(value), 4) for value in values]
