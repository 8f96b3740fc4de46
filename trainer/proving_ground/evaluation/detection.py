"""Matches become average precision and recall, overall, on any subset of frames, or on frames with weights.

A stable sort of all scores, restricted to some frames, is the stable sort of those frames' scores: one matching and one
order for each category serve every slice and every resample.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from proving_ground.evaluation.matching import IOU_THRESHOLDS, MAX_DETECTIONS, Matches

# np.linspace's own rounding is part of the definition.
RECALL_THRESHOLDS = np.linspace(0.0, 1.00, 101)


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """Matches of all categories by falling score: `begins` [K + 1] are the categories' runs.

    frame is [N] int64; matched and ignored are [N] uint16; truth is [K, F] int64, objects of each category and frame that
    aren't ignored.
    """

    begins: np.ndarray
    frame: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    truth: np.ndarray


def order(matches: Matches, categories: int, frames: int, max_detections: int = MAX_DETECTIONS) -> Ordered:
    """Sort matches by category and falling score; frames are 0 to `frames` - 1."""
    kept = np.flatnonzero(matches.rank < max_detections)
    by_score = kept[np.lexsort((-matches.score[kept], matches.category[kept]))]
    counted = ~matches.gt_ignored
    truth = np.zeros((categories, frames), dtype=np.int64)
    np.add.at(truth, (matches.gt_category[counted], matches.gt_frame[counted]), 1)
    return Ordered(
        begins=np.searchsorted(matches.category[by_score], np.arange(categories + 1)),
        frame=matches.frame[by_score],
        matched=matches.matched[by_score],
        ignored=matches.ignored[by_score],
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
        truth=np.ascontiguousarray(ordered.truth[:, frames]),
    )


def accumulate(ordered: Ordered, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Precision [T, R, K] and recall [T, K] as pycocotools' COCOeval.accumulate has them; -1 where there is no object.

    weights: [F] int64, how often each frame counts; once where it is left out.
    """
    categories = len(ordered.begins) - 1
    precision = -np.ones((len(IOU_THRESHOLDS), len(RECALL_THRESHOLDS), categories))
    recall = -np.ones((len(IOU_THRESHOLDS), categories))
    if weights is None:
        weights = np.ones(ordered.truth.shape[1], dtype=np.int64)
    accumulate_into(
        ordered.begins,
        ordered.frame,
        ordered.matched,
        ordered.ignored,
        ordered.truth,
        weights,
        RECALL_THRESHOLDS,
        precision,
        recall,
    )
    return precision, recall


@njit(cache=True)
def accumulate_into(begins, frame, matched, ignored, truth, weights, recall_thresholds, precision, recall):
    """Fill precision [T, R, K] and recall [T, K] for frames that count `weights` times."""
    longest = 0
    for category in range(len(begins) - 1):
        longest = max(longest, begins[category + 1] - begins[category])
    heights = np.empty(longest)
    reached = np.empty(longest)
    for category in range(len(begins) - 1):
        objects = 0
        for place in range(truth.shape[1]):
            objects += truth[category, place] * weights[place]
        if objects == 0:
            continue
        for number in range(precision.shape[0]):
            bit = np.uint16(1 << number)
            hits, misses, points = 0.0, 0.0, 0
            for row in range(begins[category], begins[category + 1]):
                weight = weights[frame[row]]
                if weight == 0 or ignored[row] & bit:
                    continue
                if matched[row] & bit:
                    hits += weight
                    # Only a hit can be the first to reach a recall; a miss only lowers what stands before it.
                    reached[points] = hits / objects
                    heights[points] = hits / (misses + hits + 2.220446049250313e-16)
                    points += 1
                else:
                    misses += weight
            recall[number, category] = hits / objects
            for place in range(points - 1, 0, -1):
                heights[place - 1] = max(heights[place - 1], heights[place])
            place = 0
            for target in range(len(recall_thresholds)):
                while place < points and reached[place] < recall_thresholds[target]:
                    place += 1
                precision[number, target, category] = heights[place] if place < points else 0.0


@njit(cache=True)
def resample_into(begins, frame, matched, ignored, truth, weights, recall_thresholds, figures):
    """For each row of weights [B, F], AP, AP50 and AR of each category into figures [B, 3, K]; NaN without objects."""
    categories = len(begins) - 1
    precision = np.empty((10, len(recall_thresholds), categories))
    recall = np.empty((10, categories))
    for sample in range(weights.shape[0]):
        precision[:] = -1.0
        recall[:] = -1.0
        accumulate_into(begins, frame, matched, ignored, truth, weights[sample], recall_thresholds, precision, recall)
        for category in range(categories):
            if recall[0, category] < 0:
                figures[sample, :, category] = np.nan
                continue
            figures[sample, 0, category] = precision[:, :, category].mean()
            figures[sample, 1, category] = precision[0, :, category].mean()
            figures[sample, 2, category] = recall[:, category].mean()


def mean_of_measured(values: np.ndarray) -> float | None:
    """Mean over what was measured, summed as pycocotools' COCOeval.summarize sums; None where nothing was."""
    measured = values[values > -1]
    return float(np.mean(measured)) if measured.size else None


def detection_scores(ordered: Ordered, names: tuple[str, ...]) -> dict[str, float | None]:
    """map, ap50, ar and ap/<category>."""
    precision, recall = accumulate(ordered)
    scores = {
        "map": mean_of_measured(precision),
        "ap50": mean_of_measured(precision[:1]),
        "ar": mean_of_measured(recall),
    }
    for place, name in enumerate(names):
        scores[f"ap/{name}"] = mean_of_measured(precision[:, :, place])
    return scores


def resampled_detection(ordered: Ordered, names: tuple[str, ...], weights: np.ndarray) -> dict[str, np.ndarray]:
    """map, ap50, ar and ap/<category> of each resample, [B] each; weights [B, F] int64."""
    figures = np.empty((len(weights), 3, len(names)))
    resample_into(
        ordered.begins,
        ordered.frame,
        ordered.matched,
        ordered.ignored,
        ordered.truth,
        weights,
        RECALL_THRESHOLDS,
        figures,
    )
    # Every measured category has the same number of entries: the mean of means is the mean of all.
    measured = ~np.isnan(figures[:, 0])
    sums = np.where(measured[:, None], figures, 0.0).sum(axis=2)
    with np.errstate(invalid="ignore"):
        means = sums / measured.sum(axis=1)[:, None]
    values = {"map": means[:, 0], "ap50": means[:, 1], "ar": means[:, 2]}
    return values | {f"ap/{name}": figures[:, 0, place] for place, name in enumerate(names)}
