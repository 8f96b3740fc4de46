"""Matches become average precision and recall, overall, on any subset of frames, or on frames that count several times.

A stable sort of all scores, restricted to some frames, is the stable sort of those frames' scores: one matching and one
order for each category serve every slice and every resample.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from proving_ground.evaluation.matching import IOU_THRESHOLDS, MAX_DETECTIONS, Matches

# np.linspace's own rounding is part of the definition.
RECALL_THRESHOLDS = np.linspace(0.0, 1.00, 101)
# pycocotools adds np.spacing(1) to every denominator of a precision.
SPACING = float(np.spacing(1.0))


class Ordered(NamedTuple):
    """Matches of all categories by falling score, as numba takes them.

    begins is [K + 1] int64, the categories' runs; frame is [N] int64; matched and ignored are [N] uint16 with a bit for
    each IoU threshold; tied is [N] bool, whether a row has the score and the frame of the row before it; truth is
    [K, F] int64, the objects of each category and frame that aren't ignored.
    """

    begins: np.ndarray
    frame: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    tied: np.ndarray
    truth: np.ndarray


def order(matches: Matches, categories: int, frames: int, max_detections: int = MAX_DETECTIONS) -> Ordered:
    """Sort matches by category and falling score; frames are 0 to `frames` - 1."""
    kept = np.flatnonzero(matches.rank < max_detections)
    by_score = kept[np.lexsort((-matches.score[kept], matches.category[kept]))]
    category, frame, score = matches.category[by_score], matches.frame[by_score], matches.score[by_score]
    tied = np.zeros(len(by_score), dtype=bool)
    tied[1:] = (category[1:] == category[:-1]) & (frame[1:] == frame[:-1]) & (score[1:] == score[:-1])
    counted = ~matches.gt_ignored
    truth = np.zeros((categories, frames), dtype=np.int64)
    np.add.at(truth, (matches.gt_category[counted], matches.gt_frame[counted]), 1)
    return Ordered(
        begins=np.searchsorted(category, np.arange(categories + 1)),
        frame=frame,
        matched=matches.matched[by_score],
        ignored=matches.ignored[by_score],
        tied=tied,
        truth=truth,
    )


def restrict(ordered: Ordered, frames: np.ndarray) -> Ordered:
    """The same for some frames, renumbered in their order; `frames` is [F] bool."""
    places = np.cumsum(frames) - 1
    kept = frames[ordered.frame]
    before = np.concatenate([[0], np.cumsum(kept)])
    return Ordered(
        begins=before[ordered.begins],
        frame=places[ordered.frame[kept]],
        matched=ordered.matched[kept],
        ignored=ordered.ignored[kept],
        tied=ordered.tied[kept],
        truth=np.ascontiguousarray(ordered.truth[:, frames]),
    )


def single_category(ordered: Ordered, place: int) -> Ordered:
    """The same for one category alone."""
    rows = slice(ordered.begins[place], ordered.begins[place + 1])
    return Ordered(
        begins=ordered.begins[place : place + 2] - ordered.begins[place],
        frame=ordered.frame[rows],
        matched=ordered.matched[rows],
        ignored=ordered.ignored[rows],
        tied=ordered.tied[rows],
        truth=ordered.truth[place : place + 1],
    )


def accumulate(ordered: Ordered, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Precision [T, R, K] and recall [T, K] as pycocotools' COCOeval.accumulate has them; -1 where there is no object.

    weights: [F] int64, how often each frame counts; once where it is left out. The result is that of a dataset in which
    each frame stands as often, its copies side by side.
    """
    categories = len(ordered.begins) - 1
    precision = -np.ones((len(IOU_THRESHOLDS), len(RECALL_THRESHOLDS), categories))
    recall = -np.ones((len(IOU_THRESHOLDS), categories))
    if weights is None:
        weights = np.ones(ordered.truth.shape[1], dtype=np.int64)
    accumulate_into(ordered, weights, RECALL_THRESHOLDS, precision, recall)
    return precision, recall


@njit(cache=True)
def accumulate_into(ordered, weights, recall_thresholds, precision, recall):
    """Fill precision [T, R, K] and recall [T, K] for frames that count `weights` times."""
    thresholds = recall.shape[0]
    curves, recalls = np.empty((thresholds, len(recall_thresholds))), np.empty(thresholds)
    for category in range(recall.shape[1]):
        objects = count_objects(ordered.truth[category], weights)
        if objects == 0:
            continue
        times, matched, ignored = repeat_rows(ordered, category, weights)
        trace(times, matched, ignored, objects, recall_thresholds, curves, recalls)
        for number in range(thresholds):
            recall[number, category] = recalls[number]
            for place in range(len(recall_thresholds)):
                precision[number, place, category] = curves[number, place]


@njit(cache=True)
def resample_into(ordered, weights, recall_thresholds, figures):
    """For each row of weights [B, F], AP, AP50 and AR of each category into figures [B, 3, K]; NaN without objects."""
    thresholds = 10
    curves, recalls = np.empty((thresholds, len(recall_thresholds))), np.empty(thresholds)
    for category in range(figures.shape[2]):
        for sample in range(weights.shape[0]):
            objects = count_objects(ordered.truth[category], weights[sample])
            if objects == 0:
                figures[sample, :, category] = np.nan
                continue
            times, matched, ignored = repeat_rows(ordered, category, weights[sample])
            trace(times, matched, ignored, objects, recall_thresholds, curves, recalls)
            heights, reached = 0.0, 0.0
            for number in range(thresholds):
                reached += recalls[number]
                mean = curves[number].sum() / len(recall_thresholds)
                heights += mean
                if number == 0:
                    figures[sample, 1, category] = mean
            figures[sample, 0, category] = heights / thresholds
            figures[sample, 2, category] = reached / thresholds


@njit(cache=True)
def count_objects(truth, weights):
    """Objects of a category in frames that count `weights` times."""
    objects = 0
    for frame in range(len(truth)):
        objects += truth[frame] * weights[frame]
    return objects


@njit(cache=True)
def repeat_rows(ordered, category, weights):
    """A category's rows with the times that each counts [P] float64, and its bits of matched and ignored.

    The copies of a row are one entry: between them precision is never above that of the last. Rows of a frame that tie
    with one another are written out, since copies of a frame keep their order (a, b, a, b and not a, a, b, b).
    """
    begin, end = ordered.begins[category], ordered.begins[category + 1]
    size = 0
    for row in range(begin, end):
        alone = not ordered.tied[row] and not (row + 1 < end and ordered.tied[row + 1])
        weight = weights[ordered.frame[row]]
        size += min(weight, 1) if alone else weight
    times, matched, ignored = np.empty(size), np.empty(size, np.uint16), np.empty(size, np.uint16)
    place, row = 0, begin
    while row < end:
        stop = row + 1
        while stop < end and ordered.tied[stop]:
            stop += 1
        weight = weights[ordered.frame[row]]
        alone = stop == row + 1
        for _ in range(min(weight, 1) if alone else weight):
            for one in range(row, stop):
                times[place] = weight if alone else 1
                matched[place] = ordered.matched[one]
                ignored[place] = ordered.ignored[one]
                place += 1
        row = stop
    return times, matched, ignored


@njit(cache=True)
def trace(times, matched, ignored, objects, recall_thresholds, curves, recalls):
    """Fill `curves` [T, R] with precision at each recall threshold and `recalls` [T], in one walk over the rows.

    All counts are whole numbers that float64 holds, so that any order of adding them gives the same bits.
    """
    thresholds, rows = len(recalls), len(times)
    heights, reached = np.empty((thresholds, rows)), np.empty((thresholds, rows))
    points, hits, passed = np.zeros(thresholds, np.int64), np.zeros(thresholds), np.zeros(thresholds)
    seen = 0.0
    for row in range(rows):
        seen += times[row]
        # What is matched nowhere is a miss everywhere: one addition for all thresholds.
        if matched[row] == 0 and ignored[row] == 0:
            continue
        for number in range(thresholds):
            bit = np.uint16(1 << number)
            if ignored[row] & bit:
                passed[number] += times[row]
            elif matched[row] & bit:
                hits[number] += times[row]
                # Only a hit can be the first to reach a recall; a miss only lowers what stands before it.
                reached[number, points[number]] = hits[number] / objects
                heights[number, points[number]] = hits[number] / (seen - passed[number] + SPACING)
                points[number] += 1
    for number in range(thresholds):
        count = points[number]
        for place in range(count - 1, 0, -1):
            heights[number, place - 1] = max(heights[number, place - 1], heights[number, place])
        place = 0
        for target in range(len(recall_thresholds)):
            while place < count and reached[number, place] < recall_thresholds[target]:
                place += 1
            curves[number, target] = heights[number, place] if place < count else 0.0
        recalls[number] = hits[number] / objects


def mean_of_measured(values: np.ndarray) -> float | None:
    """Mean over what was measured, summed as pycocotools' COCOeval.summarize sums; None where nothing was."""
    measured = values[values > -1]
    return float(np.mean(measured)) if measured.size else None


def detection_scores(
    ordered: Ordered, names: Sequence[str], frames: np.ndarray | None = None, each: bool = True
) -> dict[str, float | None]:
    """map, ap50 and ar of some frames [F] bool, of all where they are left out; and ap/<category> with `each`."""
    precision, recall = accumulate(ordered, None if frames is None else frames.astype(np.int64))
    scores = {
        "map": mean_of_measured(precision),
        "ap50": mean_of_measured(precision[:1]),
        "ar": mean_of_measured(recall),
    }
    for place, name in enumerate(names if each else ()):
        scores[f"ap/{name}"] = mean_of_measured(precision[:, :, place])
    return scores


def resampled_detection(ordered: Ordered, names: Sequence[str], weights: np.ndarray) -> dict[str, np.ndarray]:
    """map, ap50, ar and ap/<category> of each resample, [B] each, NaN without objects; weights [B, F] int64.

    Equal to `detection_scores` but for the order of the sums: the last bits may differ.
    """
    figures = np.empty((len(weights), 3, len(names)))
    resample_into(ordered, weights, RECALL_THRESHOLDS, figures)
    # Every measured category has the same number of entries: the mean of means is the mean of all.
    measured = ~np.isnan(figures)
    count = measured.sum(axis=2)
    total = np.where(measured, figures, 0.0).sum(axis=2)
    means = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    values = {"map": means[:, 0], "ap50": means[:, 1], "ar": means[:, 2]}
    return values | {f"ap/{name}": figures[:, 0, place] for place, name in enumerate(names)}
