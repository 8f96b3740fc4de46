"""Matched boxes become the error of their scores: what scores promise, against how often such boxes are right.

The expected calibration error (Guo et al. 2017, On Calibration of Modern Neural Networks), for detection with precision
in the place of accuracy (Küppers et al. 2020, Multivariate Confidence Calibration for Object Detection): boxes are put
in bins of a tenth by their score, and the gaps between mean score and precision of the bins are averaged by number of
boxes. A box is right that is matched at IoU 0.5; boxes on crowds and below the least score that counts are left out.

The figure is never below the error that it estimates, on average, and is further above it the fewer the boxes: two
models are compared on the same frames, and a slice is not compared with another.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation.detection.average_precision import Ordered
from proving_ground.evaluation.detection.matching import MIN_SCORE
from proving_ground.evaluation.intervals import weighted_sums

# Tenths, and not np.linspace's: a score of 0.3 belongs to the bin that begins there.
EDGES = np.arange(round(10 * MIN_SCORE), 11) / 10
BINS = len(EDGES) - 1
# Scores are summed as whole numbers of so many to one, which float64 adds exactly in any order. Those of a network are
# float32: from 0.25 on they are such numbers to the last bit.
UNITS = float(1 << 30)
# At this place in the bits of matched and ignored is IoU 0.5.
FIRST = np.uint16(1)


def count_boxes(ordered: Ordered, category: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row [N] of each box that counts, its bin [N], and one or zero, as it is right, less its score [N], in UNITS.

    Of all categories or of one, by its place.
    """
    begin, end = (0, len(ordered.score)) if category is None else ordered.begins[category : category + 2]
    score, ignored = ordered.score[begin:end], ordered.ignored[begin:end]
    rows = begin + np.flatnonzero((score >= MIN_SCORE) & (ignored & FIRST == 0))
    score, right = ordered.score[rows], ordered.matched[rows] & FIRST
    return rows, np.searchsorted(EDGES[1:-1], score, side="right"), right * UNITS - np.round(score * UNITS)


def sum_gaps(group: np.ndarray, places: np.ndarray, gap: np.ndarray, groups: int) -> np.ndarray:
    """Boxes [N] summed by group: [groups, BINS + 1] float64, the gaps of each bin, and the number of boxes last."""
    gaps = np.bincount(group * BINS + places, gap, minlength=groups * BINS)
    return np.column_stack([gaps.reshape(groups, BINS), np.bincount(group, minlength=groups)])


def all_gaps(ordered: Ordered) -> np.ndarray:
    """By how much precision is above the score in each frame, of all categories: [F, BINS + 1] float64."""
    rows, places, gap = count_boxes(ordered, None)
    return sum_gaps(ordered.frame[rows], places, gap, ordered.truth.shape[1])


def gaps_by_category(ordered: Ordered, frames: np.ndarray) -> np.ndarray:
    """The same of some frames [F] bool, by category: [K, BINS + 1] float64."""
    rows, places, gap = count_boxes(ordered, None)
    chosen = frames[ordered.frame[rows]]
    category = np.searchsorted(ordered.begins, rows[chosen], side="right") - 1
    return sum_gaps(category, places[chosen], gap[chosen], len(ordered.begins) - 1)


def gaps_by_frame(ordered: Ordered, category: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames that have a box of a category [N], and the same of each: [N, BINS + 1] float64."""
    rows, places, gap = count_boxes(ordered, category)
    frames, group = np.unique(ordered.frame[rows], return_inverse=True)
    return frames, sum_gaps(group, places, gap, len(frames))


def expected_error(sums: np.ndarray) -> np.ndarray:
    """The expected calibration error from sums of gaps over frames [..., BINS + 1]: [...], NaN without a box."""
    total = UNITS * sums[..., -1]
    return np.divide(np.abs(sums[..., :-1]).sum(-1), total, out=np.full(total.shape, np.nan), where=total > 0)


def calibration_scores(
    gaps: np.ndarray, ordered: Ordered, names: Sequence[str], frames: np.ndarray, weights: np.ndarray | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """ece and ece/<category> on some frames [F] bool, and of each resample [B]; NaN where no box counts.

    gaps: `all_gaps` of all categories. ordered: boxes of the categories with these names. weights: [B, frames] int32;
    without them there are no resamples.
    """
    values = {"ece": expected_error(frames.astype(np.float64) @ gaps)}
    if names:
        errors = expected_error(gaps_by_category(ordered, frames))
        values |= {f"ece/{name}": errors[place] for place, name in enumerate(names)}
    if weights is None:
        return values, {}
    spreads, column = {"ece": expected_error(weighted_sums(weights, gaps[frames]))}, np.cumsum(frames) - 1
    for place, name in enumerate(names):
        known, own = gaps_by_frame(ordered, place)
        # Most categories are in few of the frames.
        chosen = frames[known]
        drawn = weights[:, column[known[chosen]]]
        spreads[f"ece/{name}"] = expected_error(weighted_sums(drawn, own[chosen]))
    return values, spreads


def reliability(ordered: Ordered, category: int | None, frames: np.ndarray) -> dict[str, list[Any]]:
    """A reliability diagram of some frames [F] bool as JSON: by bin the boxes, their mean score and precision."""
    rows, places, _ = count_boxes(ordered, category)
    chosen = frames[ordered.frame[rows]]
    rows, places = rows[chosen], places[chosen]
    count, score, found = (
        np.bincount(places, weights, minlength=BINS)
        for weights in (None, ordered.score[rows], ordered.matched[rows] & FIRST)
    )
    return {
        "boxes": count.tolist(),
        **{
            name: [round(float(total / boxes), 4) if boxes else None for total, boxes in zip(sums, count, strict=True)]
            for name, sums in (("score", score), ("precision", found))
        },
    }


def compare_calibration(
    ordered: Sequence[Ordered | None], names: Sequence[str], slices: Sequence[FrameSlice], frames: int
) -> dict[str, Any]:
    """Reliability diagrams of candidate and production as JSON, None for a model that isn't there or detects nothing.

    Overall there is one of all categories and one of each; a slice has one of its category, or of all.
    """
    every = np.ones(frames, dtype=bool)
    wanted = [(None, name, every) for name in (None, *names)]
    wanted += [(item.name, item.category, item.frames) for item in slices]
    diagrams = []
    for part, category, chosen in wanted if any(model is not None for model in ordered) else []:
        place = None if category is None else names.index(category)
        models = [None if model is None else reliability(model, place, chosen) for model in ordered]
        diagrams.append({"slice": part, "category": category, "candidate": models[0], "production": models[1]})
    return {"edges": EDGES.tolist(), "diagrams": diagrams}
