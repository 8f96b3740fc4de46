"""Boxes and ground truth become matches: COCO's greedy matching, once for all frames, categories and IoU thresholds.

The same arithmetic in the same order as pycocotools (COCOeval.evaluateImg, maskApi bbIou), so that every figure made of
it is equal to the last bit.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

# np.linspace's own rounding is part of the definition.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = 100


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """Boxes of many frames, flat: frame [N] int64, category [N] int64, xywh [N, 4] float64, area [N] float64."""

    frame: np.ndarray
    category: np.ndarray
    xywh: np.ndarray
    area: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Detections after matching, by category, then frame, then falling score; at most 100 of a frame and category.

    matched and ignored are [N] uint16 with a bit for each IoU threshold, rank is the place among the frame's detections
    of the category. gt_ignored is [M] bool in the order of gt_frame and gt_category.
    """

    frame: np.ndarray
    category: np.ndarray
    score: np.ndarray
    rank: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    gt_frame: np.ndarray
    gt_category: np.ndarray
    gt_ignored: np.ndarray


def match(
    detections: Boxes,
    scores: np.ndarray,
    truth: Boxes,
    crowd: np.ndarray,
    area_range: tuple[float, float] = (0.0, 1e10),
) -> Matches:
    """Match detections with ground truth.

    Args:
        detections: in any order; ties of score keep it.
        scores: [N] float64.
        truth: ground truth.
        crowd: [M] bool; a crowd takes any number of detections, which then count for nothing.
        area_range: objects outside it are ignored, and so are unmatched detections outside it.
    """
    ignored = crowd | (truth.area < area_range[0]) | (truth.area > area_range[1])
    # Ignored objects come last in their group; both sorts are stable, as pycocotools' are.
    gt_order = np.lexsort((ignored, truth.frame, truth.category))
    dt_order = np.lexsort((-scores, detections.frame, detections.category))
    rank = group_rank(detections.category[dt_order], detections.frame[dt_order])
    dt_order, rank = dt_order[rank < MAX_DETECTIONS], rank[rank < MAX_DETECTIONS]
    outside = (detections.area < area_range[0]) | (detections.area > area_range[1])
    matched, ignored_bits = match_groups(
        detections.category[dt_order],
        detections.frame[dt_order],
        detections.xywh[dt_order],
        outside[dt_order],
        truth.category[gt_order],
        truth.frame[gt_order],
        truth.xywh[gt_order],
        crowd[gt_order],
        ignored[gt_order],
        np.minimum(IOU_THRESHOLDS, 1 - 1e-10),
    )
    return Matches(
        frame=detections.frame[dt_order],
        category=detections.category[dt_order],
        score=scores[dt_order],
        rank=rank,
        matched=matched,
        ignored=ignored_bits,
        gt_frame=truth.frame[gt_order],
        gt_category=truth.category[gt_order],
        gt_ignored=ignored[gt_order],
    )


def group_rank(category: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Place of each row within its run of equal category and frame."""
    if len(category) == 0:
        return np.zeros(0, dtype=np.int64)
    begins = np.flatnonzero(np.r_[True, (np.diff(category) != 0) | (np.diff(frame) != 0)])
    lengths = np.diff(np.r_[begins, len(category)])
    return np.arange(len(category)) - np.repeat(begins, lengths)


@njit(cache=True)
def match_groups(
    dt_category, dt_frame, dt_xywh, dt_outside, gt_category, gt_frame, gt_xywh, gt_crowd, gt_ignored, thresholds
):
    """Match each run of equal category and frame; returns the bits of matched and ignored, [N] uint16 each."""
    count, total = len(dt_category), len(gt_category)
    matched = np.zeros(count, np.uint16)
    ignored = np.zeros(count, np.uint16)
    every = np.uint16((1 << len(thresholds)) - 1)
    begin, gt_begin = 0, 0
    while begin < count:
        category, frame = dt_category[begin], dt_frame[begin]
        end = begin
        while end < count and dt_category[end] == category and dt_frame[end] == frame:
            end += 1
        while gt_begin < total and (
            gt_category[gt_begin] < category or (gt_category[gt_begin] == category and gt_frame[gt_begin] < frame)
        ):
            gt_begin += 1
        gt_end = gt_begin
        while gt_end < total and gt_category[gt_end] == category and gt_frame[gt_end] == frame:
            gt_end += 1
        crowd, passed_over = gt_crowd[gt_begin:gt_end], gt_ignored[gt_begin:gt_end]
        overlaps = box_iou(dt_xywh[begin:end], gt_xywh[gt_begin:gt_end], crowd)
        # A bit for each threshold: what is taken at one is free at another.
        taken = np.zeros(gt_end - gt_begin, np.uint16)
        for row in range(end - begin):
            if is_below(overlaps[row], thresholds[0]):
                if dt_outside[begin + row]:
                    ignored[begin + row] = every
                continue
            for number in range(len(thresholds)):
                bit = np.uint16(1 << number)
                best = find_match(overlaps[row], taken, bit, crowd, passed_over, thresholds[number])
                if best >= 0:
                    taken[best] |= bit
                    matched[begin + row] |= bit
                    if passed_over[best]:
                        ignored[begin + row] |= bit
                elif dt_outside[begin + row]:
                    ignored[begin + row] |= bit
        begin, gt_begin = end, gt_end
    return matched, ignored


@njit(cache=True)
def is_below(overlaps, lowest):
    """Whether no overlap reaches the lowest threshold; one that is NaN may, as in C."""
    reaching = 0
    for overlap in overlaps:
        reaching += not overlap < lowest
    return reaching == 0


@njit(cache=True)
def find_match(overlaps, taken, bit, crowd, ignored, threshold):
    """Best ground truth for a detection, -1 for none: the last of equals, an ignored one only where no other is."""
    best, most = -1, threshold
    for place in range(len(overlaps)):
        if taken[place] & bit and not crowd[place]:
            continue
        if best > -1 and not ignored[best] and ignored[place]:
            break
        if overlaps[place] < most:
            continue
        most = overlaps[place]
        best = place
    return best


# As in C, nothing divided by nothing is NaN and no error: boxes whose areas underflow are still boxes.
@njit(cache=True, error_model="numpy")
def box_iou(found, truth, crowd):
    """IoU of boxes x y w h, [N, M]; against a crowd the overlap is divided by the detection's own area."""
    overlaps = np.zeros((len(found), len(truth)))
    for row in range(len(found)):
        x, y, w, h = found[row]
        for column in range(len(truth)):
            gx, gy, gw, gh = truth[column]
            width = min(w + x, gw + gx) - max(x, gx)
            if width <= 0:
                continue
            height = min(h + y, gh + gy) - max(y, gy)
            if height <= 0:
                continue
            inner = width * height
            outer = w * h if crowd[column] else w * h + gw * gh - inner
            overlaps[row, column] = inner / outer
    return overlaps
