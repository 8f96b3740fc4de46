"""Matches become average precision and recall, overall, on any subset of frames, or on frames that count several times.

A stable sort of all scores, restricted to some frames, is the stable sort of those frames' scores: one matching and one
order for each category serve every slice and every resample.
"""

import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from proving_ground.evaluation.compiled import compiled
from proving_ground.evaluation.detection.matching import (
    IOU_THRESHOLDS,
    MAX_DETECTIONS,
    Matches,
    falling_keys,
    for_each,
    stable_order,
    whole_keys,
)
from proving_ground.evaluation.detection.resampling import accumulate_copies, find_runs, resample_into
from proving_ground.evaluation.detection.tracing import accumulate_into, make_table

# np.linspace's own rounding is part of the definition.
RECALL_THRESHOLDS = np.linspace(0.0, 1.00, 101)


class Ordered(NamedTuple):
    """Matches of all categories by falling score, as numba takes them.

    begins is [K + 1] int64, the categories' runs; score is [N] float64; frame is [N] int64; matched and ignored are [N]
    uint16 with a bit for each IoU threshold; tied is [N] bool, whether a row has the score and the frame of the row
    before it; truth is [K, F] int64, the objects of each category and frame that aren't ignored. object_frame has each
    object's frame, by category from object_begins [K + 1] on.
    """

    begins: np.ndarray
    score: np.ndarray
    frame: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    tied: np.ndarray
    truth: np.ndarray
    object_begins: np.ndarray
    object_frame: np.ndarray


def order(matches: Matches, categories: int, frames: int, max_detections: int = MAX_DETECTIONS) -> Ordered:
    """Sort matches by category and falling score; frames are 0 to `frames` - 1."""
    kept = np.flatnonzero(matches.rank < max_detections)
    by_score = kept[stable_order(falling_keys(matches.score[kept]), whole_keys(matches.category[kept]))]
    category, frame, score = matches.category[by_score], matches.frame[by_score], matches.score[by_score]
    tied = np.zeros(len(by_score), dtype=bool)
    tied[1:] = (category[1:] == category[:-1]) & (frame[1:] == frame[:-1]) & (score[1:] == score[:-1])
    counted = ~matches.gt_ignored
    places = matches.gt_category[counted] * frames + matches.gt_frame[counted]
    return lay_out(
        np.searchsorted(category, np.arange(categories + 1)),
        score,
        frame,
        matches.matched[by_score],
        matches.ignored[by_score],
        tied,
        np.bincount(places, minlength=categories * frames).reshape(categories, frames),
    )


def lay_out(begins, score, frame, matched, ignored, tied, truth) -> Ordered:
    """Rows by category and falling score, with the objects listed; see Ordered."""
    object_begins = np.concatenate([[0], np.cumsum(truth.sum(axis=1))])
    listed = list_objects(truth, object_begins[-1])
    return Ordered(begins, score, frame, matched, ignored, tied, truth, object_begins, listed)


@compiled
def list_objects(truth, total):
    """The frame of each of the `total` objects counted in truth [K, F], by category."""
    frames, place = np.empty(total, np.uint32), 0
    for category in range(truth.shape[0]):
        for frame in range(truth.shape[1]):
            for _ in range(truth[category, frame]):
                frames[place] = frame
                place += 1
    return frames


def restrict(ordered: Ordered, frames: np.ndarray) -> Ordered:
    """The same for some frames, renumbered in their order; `frames` is [F] bool."""
    places = np.cumsum(frames) - 1
    kept = frames[ordered.frame]
    before = np.concatenate([[0], np.cumsum(kept)])
    return lay_out(
        before[ordered.begins],
        ordered.score[kept],
        places[ordered.frame[kept]],
        ordered.matched[kept],
        ordered.ignored[kept],
        ordered.tied[kept],
        np.ascontiguousarray(ordered.truth[:, frames]),
    )


def single_category(ordered: Ordered, place: int) -> Ordered:
    """The same for one category alone."""
    rows = slice(ordered.begins[place], ordered.begins[place + 1])
    return lay_out(
        ordered.begins[place : place + 2] - ordered.begins[place],
        ordered.score[rows],
        ordered.frame[rows],
        ordered.matched[rows],
        ordered.ignored[rows],
        ordered.tied[rows],
        ordered.truth[place : place + 1],
    )


def accumulate(ordered: Ordered, frames: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Precision [T, R, K] and recall [T, K] as pycocotools' COCOeval.accumulate has them; -1 where there is no object.

    frames: [F] bool, those that count, all where it is left out; or [F] int64, how often each does: the result is that
    of a dataset in which each frame stands as often, its copies side by side.
    """
    space = make_space(len(ordered.begins) - 1)
    accumulate_in(space, ordered, frames)
    return space.precision, space.recall


class Space(NamedTuple):
    """Arrays that hold one set of frames' curves after another: fresh memory costs more than what is computed."""

    precision: np.ndarray
    recall: np.ndarray
    table: np.ndarray
    tabled: np.ndarray


# Each thread's own space, for the number of categories that it had last.
spaces = threading.local()


def make_space(categories: int) -> Space:
    """Space for the curves of so many categories."""
    shape = (len(IOU_THRESHOLDS), len(RECALL_THRESHOLDS), categories)
    return Space(np.empty(shape), np.empty(shape[::2]), *make_table())


def own_space(categories: int) -> Space:
    """This thread's space, which its next call for other frames overwrites."""
    space: Space | None = getattr(spaces, "space", None)
    if space is None or space.recall.shape[1] != categories:
        space = spaces.space = make_space(categories)
    return space


def accumulate_in(space: Space, ordered: Ordered, frames: np.ndarray | None) -> None:
    """Fill precision and recall of a space; see accumulate."""
    chosen = np.ones(ordered.truth.shape[1], dtype=np.bool_) if frames is None else frames
    if chosen.dtype == np.bool_:
        ones = np.ascontiguousarray(chosen).view(np.uint8)
        accumulate_into(ordered, ones, space.table, space.tabled, space.precision, space.recall)
    else:
        accumulate_copies(ordered, chosen.astype(np.int32), space.precision, space.recall)


def scores_at_recall(ordered: Ordered, frames: np.ndarray | None = None) -> np.ndarray:
    """The score at which each recall is reached, [T, R, K] as pycocotools' `scores`; 0 where it never is.

    -1 where there is no object. frames: [F] bool, all where it is left out.
    """
    chosen = np.ones(ordered.truth.shape[1], dtype=np.bool_) if frames is None else frames
    scores = np.full((len(IOU_THRESHOLDS), len(RECALL_THRESHOLDS), len(ordered.begins) - 1), -1.0)
    find_scores(
        ordered.begins, ordered.score, ordered.frame, ordered.matched & ~ordered.ignored, ordered.truth, chosen, scores
    )
    return scores


@compiled
def find_scores(begins, score, frame, hits, truth, chosen, scores):
    """Fill in what scores_at_recall returns, for every category that has an object."""
    for category in range(len(begins) - 1):
        objects = 0
        for place in range(len(chosen)):
            if chosen[place]:
                objects += truth[category, place]
        if objects == 0:
            continue
        scores[:, :, category] = 0.0
        for number in range(scores.shape[0]):
            found, reached = 0, 0
            for row in range(begins[category], begins[category + 1]):
                if not chosen[frame[row]]:
                    continue
                found += (hits[row] >> number) & 1
                while reached < len(RECALL_THRESHOLDS) and found / objects >= RECALL_THRESHOLDS[reached]:
                    scores[number, reached, category] = score[row]
                    reached += 1


def mean_of_measured(values: np.ndarray, complete: bool = False) -> float | None:
    """Mean over what was measured, summed as pycocotools' COCOeval.summarize sums; None where nothing was.

    complete: all of it was, and there is nothing to pick.
    """
    measured = values.ravel() if complete else values[values > -1]
    # What np.mean does, but for what it asks before.
    return float(np.add.reduce(measured) / measured.size) if measured.size else None


def detection_scores(
    ordered: Ordered, names: Sequence[str], frames: np.ndarray | None = None, each: bool = True
) -> dict[str, float | None]:
    """map, ap50 and ar of some frames [F] bool, of all where they are left out; and ap/<category> with `each`."""
    space = own_space(len(names))
    accumulate_in(space, ordered, frames)
    precision, recall = space.precision, space.recall
    # Most often there are objects of every category.
    complete = bool((recall > -1).all())
    scores = {
        "map": mean_of_measured(precision, complete),
        "ap50": mean_of_measured(precision[:1], complete),
        "ar": mean_of_measured(recall, complete),
    }
    for place, name in enumerate(names if each else ()):
        scores[f"ap/{name}"] = mean_of_measured(precision[:, :, place])
    return scores


def resampled_detection(
    ordered: Ordered, names: Sequence[str], weights: np.ndarray, threads: int = 1
) -> dict[str, np.ndarray]:
    """map, ap50, ar and ap/<category> of each resample, [B] each, NaN without objects; weights [B, F] int32.

    Equal to `detection_scores` but for the order of the sums: the last bits may differ. They are the same bits whatever
    the number of threads, which share the resamples.
    """
    figures, runs = np.empty((len(weights), 3, len(names))), find_runs(ordered)

    def resample_run(rows: slice) -> None:
        resample_into(ordered, runs, weights[rows], RECALL_THRESHOLDS, figures[rows])

    ends = np.linspace(0, len(weights), threads + 1).astype(int).tolist()
    for_each(resample_run, [slice(*pair) for pair in pairwise(ends)], threads)
    # Every measured category has the same number of entries: the mean of means is the mean of all.
    measured = ~np.isnan(figures)
    count = measured.sum(axis=2)
    total = np.where(measured, figures, 0.0).sum(axis=2)
    means = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    values = {"map": means[:, 0], "ap50": means[:, 1], "ar": means[:, 2]}
    return values | {f"ap/{name}": figures[:, 0, place] for place, name in enumerate(names)}
