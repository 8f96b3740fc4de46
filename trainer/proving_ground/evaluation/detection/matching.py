"""Boxes and ground truth become matches: COCO's greedy matching, once for all frames, categories and IoU thresholds.

The same arithmetic in the same order as pycocotools (COCOeval.evaluateImg, maskApi bbIou), so that every figure made of
it is equal to the last bit.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from proving_ground.evaluation.compiled import compiled

# np.linspace's own rounding is part of the definition.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = 100
# What counts as found, and as the same place, where boxes are counted and not ranked.
MIN_SCORE, MIN_IOU = 0.3, 0.5
# The radix sort's digits: their counts fit in the fastest cache.
DIGIT_BITS = 11
SIGN = np.uint64(1 << 63)


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
    gt_order = stable_order(whole_keys(ignored), whole_keys(truth.frame), whole_keys(truth.category))
    dt_order = stable_order(falling_keys(scores), whole_keys(detections.frame), whole_keys(detections.category))
    rank = group_rank(detections.category[dt_order], detections.frame[dt_order])
    kept = rank < MAX_DETECTIONS
    if not kept.all():
        dt_order, rank = dt_order[kept], rank[kept]
    outside = (detections.area < area_range[0]) | (detections.area > area_range[1])
    category, gt_category = detections.category[dt_order], truth.category[gt_order]
    frame, gt_frame, gt_ignored = detections.frame[dt_order], truth.frame[gt_order], ignored[gt_order]
    matched, ignored_bits = match_rows(
        (category, frame, detections.xywh[dt_order], outside[dt_order]),
        (gt_category, gt_frame, truth.xywh[gt_order], crowd[gt_order], gt_ignored),
        np.minimum(IOU_THRESHOLDS, 1 - 1e-10),
    )
    return Matches(
        frame=frame,
        category=category,
        score=scores[dt_order],
        rank=rank,
        matched=matched,
        ignored=ignored_bits,
        gt_frame=gt_frame,
        gt_category=gt_category,
        gt_ignored=gt_ignored,
    )


def for_each(work: Callable[[Any], Any], items: Sequence[Any], threads: int) -> list[Any]:
    """What `work` returns of each item, in their order; the threads end with the call, so that forking stays safe."""
    if threads == 1 or len(items) < 2:
        return [work(item) for item in items]
    made, places = [None] * len(items), iter(range(len(items)))

    def take() -> None:
        for place in places:
            made[place] = work(items[place])

    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(take) for _ in range(threads - 1)]
        # This thread works too: what it keeps for itself needn't be made anew.
        take()
        for other in others:
            other.result()
    return made


def falling_keys(values: np.ndarray) -> np.ndarray:
    """Keys [N] uint64 that rise as float64 values fall; zeros of both signs are equal, NaN is last."""
    # Zero is added to make one zero of two.
    bits = (np.asarray(values, dtype=np.float64) + 0.0).view(np.uint64)
    keys = np.where(bits & SIGN, bits, ~(bits | SIGN))
    return np.where(np.isnan(values), ~np.uint64(0), keys)


def whole_keys(values: np.ndarray) -> np.ndarray:
    """Keys [N] uint64 that rise as whole numbers do."""
    return values.astype(np.int64).view(np.uint64) ^ SIGN


def stable_order(*keys: np.ndarray) -> np.ndarray:
    """Places in the order of the last key, then of those before it, as np.lexsort has them."""
    order = np.arange(len(keys[0]))
    for each in keys:
        order = sort_by_digits(each, order)
    return order


@compiled
def sort_by_digits(keys, order):
    """`order` [N], which is taken over, sorted stably by keys[order]: digit by digit, leaving out those all share."""
    differing = np.uint64(0)
    for key in keys:
        differing |= key ^ keys[0]
    one = np.uint64(1)
    size, mask = 1 << DIGIT_BITS, (one << np.uint64(DIGIT_BITS)) - one
    starts, following = np.empty(size, np.int64), np.empty_like(order)
    for shift in range(0, 64, DIGIT_BITS):
        low = np.uint64(shift)
        if (differing >> low) & mask == 0:
            continue
        starts[:] = 0
        for key in keys:
            starts[(key >> low) & mask] += 1
        begin = 0
        for digit in range(size):
            begin, starts[digit] = begin + starts[digit], begin
        for place in order:
            digit = (keys[place] >> low) & mask
            following[starts[digit]] = place
            starts[digit] += 1
        order, following = following, order
    return order


def group_rank(category: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Place of each row within its run of equal category and frame."""
    if len(category) == 0:
        return np.zeros(0, dtype=np.int64)
    begins = np.flatnonzero(np.r_[True, (np.diff(category) != 0) | (np.diff(frame) != 0)])
    lengths = np.diff(np.r_[begins, len(category)])
    return np.arange(len(category)) - np.repeat(begins, lengths)


@compiled
def match_rows(columns, gt_columns, thresholds):
    """Match each run of equal category and frame; returns the bits of matched and ignored, [N] uint16 each."""
    category, frame, xywh, outside = columns
    gt_category, gt_frame, gt_xywh, gt_crowd, gt_ignored = gt_columns
    count, total = len(category), len(gt_category)
    matched, ignored = np.zeros(count, np.uint16), np.zeros(count, np.uint16)
    overlaps, taken = np.empty(total), np.empty(total, np.int64)
    every = (1 << len(thresholds)) - 1
    begin, gt_begin = 0, 0
    while begin < count:
        end = begin
        while end < count and category[end] == category[begin] and frame[end] == frame[begin]:
            end += 1
        while gt_begin < total and (
            gt_category[gt_begin] < category[begin]
            or (gt_category[gt_begin] == category[begin] and gt_frame[gt_begin] < frame[begin])
        ):
            gt_begin += 1
        gt_end = gt_begin
        while gt_end < total and gt_category[gt_end] == category[begin] and gt_frame[gt_end] == frame[begin]:
            # A bit for each threshold: what is taken at one is free at another.
            taken[gt_end] = 0
            gt_end += 1
        for row in range(begin, end):
            reaching, only = overlap_all(row, xywh, gt_begin, gt_end, gt_xywh, gt_crowd, thresholds, overlaps)
            found, passed = 0, 0
            if only >= 0:
                # With one object to choose there is one answer for all thresholds: where it is reached and free.
                found = reaching if gt_crowd[only] else reaching & ~taken[only]
                taken[only] |= found
                passed = found if gt_ignored[only] else passed
            else:
                for number in range(len(thresholds)):
                    bit = 1 << number
                    if reaching & bit:
                        best = find_match(
                            overlaps, taken, bit, gt_begin, gt_end, gt_crowd, gt_ignored, thresholds[number]
                        )
                        if best >= 0:
                            taken[best] |= bit
                            found |= bit
                            passed |= bit if gt_ignored[best] else 0
            matched[row] = found
            ignored[row] = passed | (every & ~found) if outside[row] else passed
        begin, gt_begin = end, gt_end
    return matched, ignored


@compiled
def overlap_all(row, xywh, begin, end, gt_xywh, gt_crowd, thresholds, overlaps):
    """Fill `overlaps` with a box's IoU with objects `begin` to `end`.

    Returns the bits of the thresholds that the highest reaches, and the one object that reaches any, -1 for none or
    several.
    """
    highest, only, count = -1.0, -1, 0
    for place in range(begin, end):
        overlap = overlap_pair(xywh, row, gt_xywh, place, gt_crowd[place])
        overlaps[place] = overlap
        # As in C, NaN isn't below any threshold; what it does is left to find_match.
        if np.isnan(overlap):
            highest, count = np.inf, count + 2
        elif overlap >= thresholds[0]:
            highest, only, count = max(highest, overlap), place, count + 1
    bits = 0
    for number in range(len(thresholds)):
        bits |= (thresholds[number] <= highest) << number
    return bits, only if count == 1 else -1


@compiled
def find_match(overlaps, taken, bit, begin, end, crowd, ignored, threshold):
    """Best ground truth for a detection, -1 for none: the last of equals, an ignored one only where no other is."""
    best, most = -1, threshold
    for place in range(begin, end):
        if taken[place] & bit and not crowd[place]:
            continue
        if best > -1 and not ignored[best] and ignored[place]:
            break
        if overlaps[place] < most:
            continue
        most = overlaps[place]
        best = place
    return best


@compiled
def box_iou(found, truth, crowd):
    """IoU of boxes x y w h, [N, M]; against a crowd the overlap is divided by the detection's own area."""
    overlaps = np.empty((len(found), len(truth)))
    for row in range(len(found)):
        for column in range(len(truth)):
            overlaps[row, column] = overlap_pair(found, row, truth, column, crowd[column])
    return overlaps


# As in C, nothing divided by nothing is NaN and no error: boxes whose areas underflow are still boxes.
@partial(compiled, error_model="numpy")
def overlap_pair(found, row, truth, column, crowd):
    """IoU of two boxes x y w h: `found` at `row` and `truth` at `column`."""
    x, y, w, h = found[row, 0], found[row, 1], found[row, 2], found[row, 3]
    gx, gy, gw, gh = truth[column, 0], truth[column, 1], truth[column, 2], truth[column, 3]
    width = min(w + x, gw + gx) - max(x, gx)
    if width <= 0:
        return 0.0
    height = min(h + y, gh + gy) - max(y, gy)
    if height <= 0:
        return 0.0
    inner = width * height
    return inner / (w * h if crowd else w * h + gw * gh - inner)
