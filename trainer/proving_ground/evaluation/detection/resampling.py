"""Matches by falling score become curves of precision for frames that count several times: for many resamples at once.

A row that is a hit nowhere only lowers what stands before it: beside one walk that counts rows, only hits are visited,
those of one IoU threshold after the other. Of hits that follow one another the last has the highest precision,
however often each counts.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from proving_ground.evaluation.compiled import compiled
from proving_ground.evaluation.detection.matching import IOU_THRESHOLDS
from proving_ground.evaluation.detection.tracing import (
    ONE,
    SPACING,
    count_objects,
    find_targets,
    make_table,
    places_reached,
)

THRESHOLDS = len(IOU_THRESHOLDS)
# Resamples that are traced side by side.
LANES = 64
# Where each of a lane's numbers begins in the state of all lanes.
FOUND, HIGHEST, SUMS, PASSED, COUNTED, OBJECTS = (LANES * place for place in range(6))


class Runs(NamedTuple):
    """Where the hits and ignored rows of Ordered are, rows counted from their category's first.

    Hits that follow one another are one run from hit_first to before hit_end; these, and ignored rows, stand by
    category and threshold, [K * T + 1] begins. hit_passed counts the ignored rows before a run. mixed_frame has the
    frames where tied rows fare differently, by category.
    """

    hit_begins: np.ndarray
    hit_first: np.ndarray
    hit_end: np.ndarray
    hit_passed: np.ndarray
    pass_begins: np.ndarray
    pass_row: np.ndarray
    mixed_begins: np.ndarray
    mixed_frame: np.ndarray


def find_runs(ordered) -> Runs:
    """Runs of hits of all categories, and what else its resamples need."""
    hits = ordered.matched & ~ordered.ignored
    hit_begins, hit_first, hit_end = join_runs(*rows_by_bit(ordered.begins, hits, THRESHOLDS))
    pass_begins, pass_row = rows_by_bit(ordered.begins, ordered.ignored, THRESHOLDS)
    mixed = mixed_rows(ordered.matched, ordered.ignored, ordered.tied)
    return Runs(
        hit_begins=hit_begins,
        hit_first=hit_first,
        hit_end=hit_end,
        hit_passed=count_passed(hit_begins, hit_first, pass_begins, pass_row),
        pass_begins=pass_begins,
        pass_row=pass_row,
        mixed_begins=np.searchsorted(mixed, ordered.begins),
        mixed_frame=ordered.frame[mixed],
    )


def mixed_rows(matched: np.ndarray, ignored: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """Rows that tie with the row before them in one frame and fare differently: the order of copies counts there."""
    differing = np.zeros(len(tied), dtype=bool)
    differing[1:] = (matched[1:] != matched[:-1]) | (ignored[1:] != ignored[:-1])
    return np.flatnonzero(tied & differing)


@compiled
def rows_by_bit(begins, bits, thresholds):
    """Rows that have a bit, by category and bit: begins [K * T + 1], and the rows counted from the category's first."""
    counts = np.zeros((len(begins) - 1) * thresholds + 1, np.int64)
    for category in range(len(begins) - 1):
        for row in range(begins[category], begins[category + 1]):
            if bits[row]:
                for number in range(thresholds):
                    counts[category * thresholds + number + 1] += (bits[row] >> number) & 1
    starts = np.cumsum(counts)
    rows, places = np.empty(starts[-1], np.uint32), starts.copy()
    for category in range(len(begins) - 1):
        for row in range(begins[category], begins[category + 1]):
            if bits[row]:
                for number in range(thresholds):
                    if (bits[row] >> number) & 1:
                        rows[places[category * thresholds + number]] = row - begins[category]
                        places[category * thresholds + number] += 1
    return starts, rows


@compiled
def join_runs(begins, rows):
    """Rows that follow one another joined: begins of the runs, the first row of each, and the row after its last."""
    run_begins, first, end = np.zeros_like(begins), np.empty_like(rows), np.empty_like(rows)
    count = 0
    for group in range(len(begins) - 1):
        for place in range(begins[group], begins[group + 1]):
            if place == begins[group] or rows[place] != end[count - 1]:
                first[count] = rows[place]
                count += 1
            end[count - 1] = rows[place] + 1
        run_begins[group + 1] = count
    return run_begins, first[:count].copy(), end[:count].copy()


@compiled
def count_passed(hit_begins, hit_first, pass_begins, pass_row):
    """For each run of hits, how many ignored rows of its category and threshold are before it."""
    counts = np.empty_like(hit_first)
    for group in range(len(hit_begins) - 1):
        passed = pass_begins[group]
        for place in range(hit_begins[group], hit_begins[group + 1]):
            while passed < pass_begins[group + 1] and pass_row[passed] < hit_first[place]:
                passed += 1
            counts[place] = passed - pass_begins[group]
    return counts


@compiled
def resample_into(ordered, runs, weights, recall_thresholds, figures):
    """For each row of weights [B, F], AP, AP50 and AR by category into figures [B, 3, K]; NaN: no objects.

    LANES resamples go side by side, so that the processor takes several in one instruction. They share the order of
    rows; those in which tied rows have to be written out are traced one by one.
    """
    thresholds, categories = THRESHOLDS, figures.shape[2]
    curves, recalls = np.empty((thresholds, len(recall_thresholds))), np.empty(thresholds)
    table, tabled = make_table()
    times, own = np.empty((weights.shape[1], LANES), np.int32), np.empty(weights.shape[1], np.int32)
    for begin in range(0, weights.shape[0], LANES):
        lanes = min(LANES, weights.shape[0] - begin)
        times[:, :] = 0
        for frame in range(len(times)):
            here = times[frame]
            for lane in range(lanes):
                here[lane] = weights[begin + lane, frame]
        for category in range(categories):
            objects, alone = count_lanes_objects(ordered, runs, category, times)
            heights, first, reached = trace_lanes(ordered, runs, category, times, objects, thresholds)
            for lane in range(lanes):
                if objects[lane] == 0.0:
                    figures[begin + lane, :, category] = np.nan
                elif alone[lane]:
                    own[:] = times[:, lane]
                    trace_copies(ordered, category, own, table, tabled, curves, recalls)
                    figures[begin + lane, 0, category] = curves.sum() / curves.size
                    figures[begin + lane, 1, category] = curves[0].sum() / len(recall_thresholds)
                    figures[begin + lane, 2, category] = recalls.sum() / thresholds
                else:
                    figures[begin + lane, 0, category] = heights[lane] / curves.size
                    figures[begin + lane, 1, category] = first[lane] / len(recall_thresholds)
                    figures[begin + lane, 2, category] = reached[lane] / objects[lane] / thresholds


@compiled
def count_lanes_objects(ordered, runs, category, times):
    """Objects of each lane [L] float64, and whether tied rows have to be written out for it [L] bool."""
    objects, alone = np.zeros(LANES), np.zeros(LANES, np.bool_)
    for place in range(ordered.object_begins[category], ordered.object_begins[category + 1]):
        frame = ordered.object_frame[place]
        for lane in range(LANES):
            objects[lane] += times[frame, lane]
    for place in range(runs.mixed_begins[category], runs.mixed_begins[category + 1]):
        frame = runs.mixed_frame[place]
        for lane in range(LANES):
            alone[lane] |= times[frame, lane] > 1
    return objects, alone


# A lane without objects divides nothing by nothing; it is not looked at.
@partial(compiled, error_model="numpy")
def trace_lanes(ordered, runs, category, times, objects, thresholds):
    """For each lane, precision summed over recalls and IoUs, the same at the first IoU, and hits summed: [L] each.

    From the last run of hits to the first: each run has the highest precision from there on at the recall thresholds
    that its hits are the first to reach.
    """
    begin, end = ordered.begins[category], ordered.begins[category + 1]
    seen = np.empty((end - begin + 1, LANES))
    seen[0, :] = 0.0
    for row in range(np.uint64(end - begin)):
        frame = np.uint64(ordered.frame[np.uint64(begin) + row])
        for lane in range(LANES):
            seen[row + ONE, lane] = seen[row, lane] + times[frame, lane]
    heights, first, reached = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    # One array, so that the compiler needn't ask whether what it writes overlaps what it reads.
    state = np.empty(6 * LANES)
    state[OBJECTS : OBJECTS + LANES] = objects
    for number in range(thresholds):
        group = category * thresholds + number
        start, stop = runs.hit_begins[group], runs.hit_begins[group + 1]
        skip = runs.pass_begins[group]
        left = runs.pass_begins[group + 1] - skip
        state[:OBJECTS] = 0.0
        for place in range(start, stop):
            add_rows(state, FOUND, seen, runs.hit_first[place], runs.hit_end[place], 1.0)
        for place in range(left):
            row = np.uint64(runs.pass_row[skip + place])
            add_rows(state, PASSED, seen, row, row + ONE, 1.0)
        for lane in range(LANES):
            reached[lane] += state[FOUND + lane]
            state[COUNTED + lane] = places_reached(state[FOUND + lane], state[OBJECTS + lane])
        for place in range(stop - 1, start - 1, -1):
            while left > runs.hit_passed[place]:
                left -= 1
                row = np.uint64(runs.pass_row[skip + left])
                add_rows(state, PASSED, seen, row, row + ONE, -1.0)
            take_run(state, seen, runs.hit_first[place], runs.hit_end[place])
        for lane in range(LANES):
            heights[lane] += state[SUMS + lane]
        if number == 0:
            first[:] = state[SUMS : SUMS + LANES]
    return heights, first, reached


# A row of its own would be an array, whose users numba counts: rows are found by their numbers.
@compiled
def add_rows(state, at, seen, first, end, sign):
    """Add what counts from a row to before another to the lanes' numbers that begin at a place of their state."""
    for lane in range(LANES):
        state[at + lane] += sign * (seen[end, lane] - seen[first, lane])


@partial(compiled, error_model="numpy")
def take_run(state, seen, first, end):
    """Go back over a run of hits."""
    for lane in range(LANES):
        found, here = state[FOUND + lane], seen[end, lane]
        precision = found / (here - state[PASSED + lane] + SPACING)
        highest = max(state[HIGHEST + lane], precision)
        rest = found - (here - seen[first, lane])
        count = places_reached(rest, state[OBJECTS + lane])
        state[SUMS + lane] += highest * (state[COUNTED + lane] - count)
        state[FOUND + lane] = rest
        state[HIGHEST + lane] = highest
        state[COUNTED + lane] = count


@compiled
def accumulate_copies(ordered, weights, precision, recall):
    """Fill precision [T, R, K] and recall [T, K] for frames that count `weights` [F] int32 times; -1: no objects."""
    thresholds, places, categories = precision.shape
    curves, recalls, (table, tabled) = np.empty((thresholds, places)), np.empty(thresholds), make_table()
    for category in range(categories):
        if trace_copies(ordered, category, weights, table, tabled, curves, recalls):
            precision[:, :, category], recall[:, category] = curves, recalls
        else:
            precision[:, :, category], recall[:, category] = -1.0, -1.0


@compiled
def trace_copies(ordered, category, weights, table, tabled, curves, recalls):
    """Fill curves [T, R] and recalls [T], row by row with the copies of tied rows written out.

    Returns whether there are objects; without them nothing is filled. All counts are whole numbers that float64 holds,
    so that any order of adding them gives the same bits.
    """
    objects = count_objects(ordered, category, weights)
    if objects == 0:
        return False
    targets = find_targets(objects, table, tabled)
    times, matched, ignored = repeat_rows(ordered, category, weights)
    curves[:, :] = 0.0
    for number in range(len(recalls)):
        curve, bit = curves[number], np.uint16(1 << number)
        seen, found = 0, 0
        for row in range(len(times)):
            if ignored[row] & bit:
                continue
            seen += times[row]
            if matched[row] & bit:
                found += times[row]
                place = targets[found]
                curve[place] = max(curve[place], found / (seen + SPACING))
        recalls[number] = found / objects
        for place in range(len(curve) - 2, -1, -1):
            curve[place] = max(curve[place], curve[place + 1])
    return True


@compiled
def repeat_rows(ordered, category, weights):
    """A category's rows with the times that each counts [P] int64, and its bits of matched and ignored.

    The copies of a row are one entry: between them precision is never above that of the last. Rows of a frame that tie
    with one another are written out, since copies of a frame keep their order (a, b, a, b and not a, a, b, b).
    """
    begin, end = ordered.begins[category], ordered.begins[category + 1]
    size = 0
    for row in range(begin, end):
        alone = not ordered.tied[row] and not (row + 1 < end and ordered.tied[row + 1])
        weight = weights[ordered.frame[row]]
        size += min(weight, 1) if alone else weight
    times, matched, ignored = np.empty(size, np.int64), np.empty(size, np.uint16), np.empty(size, np.uint16)
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
