"""Statistics become curves of precision over recall: by category overall, and on each slice."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation.detection.average_precision import (
    RECALL_THRESHOLDS,
    Ordered,
    accumulate,
    scores_at_recall,
)
from proving_ground.evaluation.detection.matching import MIN_SCORE
from proving_ground.evaluation.scores import tabulate
from proving_ground.evaluation.statistics import Statistics

# Places in IOU_THRESHOLDS.
IOU_PLACES = {0.5: 0, 0.75: 5}
# With more curves on slices than this, a slice has the mean of its categories instead of one curve for each.
MAX_SLICE_CURVES = 400


class Line(NamedTuple):
    """Precision [101] at recalls from 0 to 1, and the last place of them that boxes which count reach: None for none.

    A mean of categories has no such place: each category has its own.
    """

    precision: np.ndarray
    reached: int | None


class Curve(NamedTuple):
    """Which precision a curve is of: slice (None: overall), category (None: the mean of all that have objects), IoU."""

    slice: str | None
    category: str | None
    iou: float


def precision_curves(statistics: Statistics, slices: Sequence[FrameSlice], frames: int) -> dict[Curve, Line]:
    """Precision over recall; none for what has no objects, or for a model that detects nothing.

    Overall each category has one at IoU 0.5 and at 0.75; a slice has those at 0.5 of its category, or of all.
    """
    if "detection" not in statistics.heads:
        return {}
    ordered, names = tabulate(statistics, frames).ordered, statistics.categories
    curves = curves_of(ordered, names, None, None, IOU_PLACES)
    each = len(slices) * len(names) <= MAX_SLICE_CURVES
    for item in slices:
        made = curves_of(ordered, names, item.name, item.frames, {0.5: IOU_PLACES[0.5]})
        wanted = {item.category} if item.category is not None else {None, *(names if each else ())}
        curves |= {key: values for key, values in made.items() if key.category in wanted}
    return curves


def curves_of(
    ordered: Ordered, names: Sequence[str], name: str | None, frames: np.ndarray | None, places: dict[float, int]
) -> dict[Curve, Line]:
    """The curves of some frames [F] bool, or of all: of each category and their mean."""
    precision, _ = accumulate(ordered, frames)
    scores = scores_at_recall(ordered, frames)
    measured = precision[0, 0] > -1
    curves = {}
    for iou, place in places.items():
        for category in np.flatnonzero(measured):
            counted = np.flatnonzero(scores[place, :, category] >= MIN_SCORE)
            reached = int(counted[-1]) if counted.size else None
            curves[Curve(name, names[category], iou)] = Line(precision[place, :, category], reached)
        if measured.any():
            curves[Curve(name, None, iou)] = Line(precision[place][:, measured].mean(axis=1), None)
    return curves


def compare_curves(
    candidate: Statistics, production: Statistics | None, slices: Sequence[FrameSlice], frames: int
) -> dict[str, Any]:
    """Curves of both models as JSON: recall [101], and for each slice, category and IoU the precision [101] of both.

    `reached` has the place on each that boxes of the least score which counts reach.
    """
    own = precision_curves(candidate, slices, frames)
    other = precision_curves(production, slices, frames) if production is not None else {}
    curves = [
        {
            **key._asdict(),
            **{name: line and rounded(line.precision) for name, line in lines.items()},
            "reached": {name: line and line.reached for name, line in lines.items()},
        }
        for key in {**own, **other}
        for lines in [{"candidate": own.get(key), "production": other.get(key)}]
    ]
    return {"recall": rounded(RECALL_THRESHOLDS), "curves": curves}


def rounded(values: np.ndarray) -> list[float]:
    """Numbers to four decimals: curves are looked at."""
    return [round(float(value), 4) for value in values]
