"""Matches by falling score become curves of precision: for one set of frames, or for many resamples of them.

Frames count as often as their weights say. A row that is a hit nowhere only lowers what stands before it: beside one
walk that counts rows, only hits are visited, those of one IoU threshold after the other. Of hits that follow one
another the last has the highest precision: (n + 1) / (m + 1) is no less than n / m, however often each counts.
"""

import numpy as np
from numba import njit

# pycocotools adds np.spacing(1) to every denominator of a precision.
SPACING = float(np.spacing(1.0))
THRESHOLDS = 10
ONE = np.uint64(1)
# Resamples that are traced side by side.
LANES = 64
# Where each of a lane's numbers begins in the state of all lanes.
FOUND, HIGHEST, SUMS, PASSED, COUNTED, OBJECTS = (LANES * place for place in range(6))
# Categories whose precisions fill a line of the cache.
SIDE = 8
# Up to so many objects, what is reached at each number of hits is worked out once: other categories ask for the same.
TABLED = 512


@njit(cache=True, nogil=True)
def accumulate_into(ordered, weights, table, tabled, precision, recall):
    """Fill precision [T, R, K] and recall [T, K] for frames that count `weights` [F] int32 times; -1: no objects.

    table, tabled: as find_targets takes them. Categories lie side by side in the results: SIDE of them are traced
    before any is written, so that whole lines of the cache are.
    """
    thresholds, places, categories = precision.shape
    curves, recalls, room = np.empty((thresholds, places, SIDE)), np.empty(thresholds), make_room(ordered)
    for first in range(0, categories, SIDE):
        count = min(SIDE, categories - first)
        curves[:, :, :] = 0.0
        for side in range(count):
            if trace(ordered, first + side, weights, table, tabled, room, curves, side, recalls):
                recall[:, first + side] = recalls
            else:
                recall[:, first + side] = -1.0
        keep_highest(curves)
        for side in range(count):
            if recall[0, first + side] < 0.0:
                curves[:, :, side] = -1.0
        for number in range(thresholds):
            for place in range(places):
                line, row = curves[number, place], precision[number, place]
                for side in range(count):
                    row[first + side] = line[side]


@njit(cache=True, nogil=True)
def resample_into(ordered, weights, recall_thresholds, figures):
    """For each row of weights [B, F], AP, AP50 and AR by category into figures [B, 3, K]; NaN: no objects.

    LANES resamples go side by side, so that the processor takes several in one instruction. They share the order of
    rows; those in which tied rows have to be written out are traced one by one.
    """
    thresholds, categories = THRESHOLDS, figures.shape[2]
    curves, recalls = np.empty((thresholds, len(recall_thresholds), 1)), np.empty(thresholds)
    (table, tabled), room = make_table(), make_room(ordered)
    times, own = np.empty((weights.shape[1], LANES), np.int32), np.empty(weights.shape[1], np.int32)
    for begin in range(0, weights.shape[0], LANES):
        lanes = min(LANES, weights.shape[0] - begin)
        times[:, :] = 0
        for frame in range(len(times)):
            here = times[frame]
            for lane in range(lanes):
                here[lane] = weights[begin + lane, frame]
        for category in range(categories):
            objects, alone = count_lanes_objects(ordered, category, times)
            heights, first, reached = trace_lanes(ordered, category, times, objects, thresholds)
            for lane in range(lanes):
                if objects[lane] == 0.0:
                    figures[begin + lane, :, category] = np.nan
                elif alone[lane]:
                    own[:] = times[:, lane]
                    curves[:, :, :] = 0.0
                    trace(ordered, category, own, table, tabled, room, curves, 0, recalls)
                    keep_highest(curves)
                    figures[begin + lane, 0, category] = curves.sum() / curves.size
                    figures[begin + lane, 1, category] = curves[0].sum() / len(recall_thresholds)
                    figures[begin + lane, 2, category] = recalls.sum() / thresholds
                else:
                    figures[begin + lane, 0, category] = heights[lane] / curves.size
                    figures[begin + lane, 1, category] = first[lane] / len(recall_thresholds)
                    figures[begin + lane, 2, category] = reached[lane] / objects[lane] / thresholds


@njit(cache=True, nogil=True)
def count_lanes_objects(ordered, category, times):
    """Objects of each lane [L] float64, and whether tied rows have to be written out for it [L] bool."""
    objects, alone = np.zeros(LANES), np.zeros(LANES, np.bool_)
    for place in range(ordered.object_begins[category], ordered.object_begins[category + 1]):
        row = times[ordered.object_frame[place]]
        for lane in range(LANES):
            objects[lane] += row[lane]
    for place in range(ordered.mixed_begins[category], ordered.mixed_begins[category + 1]):
        row = times[ordered.mixed_frame[place]]
        for lane in range(LANES):
            alone[lane] |= row[lane] > 1
    return objects, alone


# A lane without objects divides nothing by nothing; it is not looked at.
@njit(cache=True, nogil=True, error_model="numpy")
def trace_lanes(ordered, category, times, objects, thresholds):
    """For each lane, precision summed over recalls and IoUs, the same at the first IoU, and hits summed: [L] each.

    From the last run of hits to the first: each run has the highest precision from there on at the recall thresholds
    that its hits are the first to reach.
    """
    begin, end = ordered.begins[category], ordered.begins[category + 1]
    seen = np.empty((end - begin + 1, LANES))
    seen[0, :] = 0.0
    for row in range(end - begin):
        here, now, weight = seen[row], seen[row + 1], times[ordered.frame[begin + row]]
        for lane in range(LANES):
            now[lane] = here[lane] + weight[lane]
    heights, first, reached = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    # One array, so that the compiler needn't ask whether what it writes overlaps what it reads.
    state = np.empty(6 * LANES)
    state[OBJECTS : OBJECTS + LANES] = objects
    for number in range(thresholds):
        group = category * thresholds + number
        start, stop = ordered.hit_begins[group], ordered.hit_begins[group + 1]
        skip = ordered.pass_begins[group]
        left = ordered.pass_begins[group + 1] - skip
        state[:OBJECTS] = 0.0
        for place in range(start, stop):
            add_rows(state, FOUND, seen[ordered.hit_end[place]], seen[ordered.hit_first[place]], 1.0)
        for place in range(left):
            row = ordered.pass_row[skip + place]
            add_rows(state, PASSED, seen[row + np.uint32(1)], seen[row], 1.0)
        for lane in range(LANES):
            reached[lane] += state[FOUND + lane]
            state[COUNTED + lane] = places_reached(state[FOUND + lane], state[OBJECTS + lane])
        for place in range(stop - 1, start - 1, -1):
            while left > ordered.hit_passed[place]:
                left -= 1
                row = ordered.pass_row[skip + left]
                add_rows(state, PASSED, seen[row + np.uint32(1)], seen[row], -1.0)
            take_run(state, seen[ordered.hit_end[place]], seen[ordered.hit_first[place]])
        for lane in range(LANES):
            heights[lane] += state[SUMS + lane]
        if number == 0:
            first[:] = state[SUMS : SUMS + LANES]
    return heights, first, reached


@njit(cache=True, nogil=True)
def add_rows(state, at, here, before, sign):
    """Add what counts from one row to another to the lanes' numbers that begin at a place of their state."""
    for lane in range(LANES):
        state[at + lane] += sign * (here[lane] - before[lane])


@njit(cache=True, nogil=True, error_model="numpy")
def take_run(state, here, before):
    """Go back over a run of hits, from the row after it to its first."""
    for lane in range(LANES):
        found = state[FOUND + lane]
        precision = found / (here[lane] - state[PASSED + lane] + SPACING)
        highest = max(state[HIGHEST + lane], precision)
        rest = found - (here[lane] - before[lane])
        count = places_reached(rest, state[OBJECTS + lane])
        state[SUMS + lane] += highest * (state[COUNTED + lane] - count)
        state[FOUND + lane] = rest
        state[HIGHEST + lane] = highest
        state[COUNTED + lane] = count


@njit(cache=True, nogil=True, error_model="numpy")
def places_reached(hits, objects):
    """How many of the 101 recall thresholds so many hits reach; none without a hit, as a float.

    The thresholds are np.linspace's: so many times 0.01. Hits and objects are whole: a recall that isn't just so many
    hundredths is far from each by more than any rounding.
    """
    recall = hits / objects
    place = np.floor(recall * 100.0 + 1e-7)
    reached = place + (1.0 if recall >= place * 0.01 else 0.0)
    return reached if hits > 0.0 else 0.0


@njit(cache=True, nogil=True)
def trace(ordered, category, weights, table, tabled, room, curves, side, recalls):
    """Note precisions in `curves` [T, R, S] at a side, and fill `recalls` [T]; returns whether there are objects.

    A precision stands at the highest recall threshold that its hits reach, zeros elsewhere; see keep_highest.
    All counts are whole numbers that float64 holds, so that any order of adding them gives the same bits.
    """
    objects = 0
    for place in range(ordered.object_begins[category], ordered.object_begins[category + 1]):
        objects += weights[ordered.object_frame[place]]
    if objects == 0:
        return False
    written_out = False
    for place in range(ordered.mixed_begins[category], ordered.mixed_begins[category + 1]):
        written_out |= weights[ordered.mixed_frame[place]] > 1
    targets = find_targets(objects, table, tabled)
    if written_out:
        trace_copies(ordered, category, weights, targets, curves, side, recalls)
    else:
        trace_hits(ordered, category, weights, targets, room, curves, side, recalls)
    for number in range(len(recalls)):
        recalls[number] /= objects
    return True


@njit(cache=True, nogil=True)
def keep_highest(curves):
    """Make each precision of curves [T, R, S] the highest of those at its recall and above."""
    for number in range(curves.shape[0]):
        own = curves[number]
        last, sides = np.uint64(len(own)) - ONE, np.uint64(own.shape[1])
        for side in range(sides):
            highest = 0.0
            for back in range(last + ONE):
                here = own[last - back, side]
                highest = here if here > highest else highest
                own[last - back, side] = highest


@njit(cache=True, nogil=True)
def make_table():
    """Room for what find_targets finds, and what of it is there yet."""
    return np.empty(TABLED * (TABLED + 1) // 2, np.uint8), np.zeros(TABLED, np.bool_)


@njit(cache=True, nogil=True)
def find_targets(objects, table, tabled):
    """For each number of hits, the place of the highest recall threshold that they reach: [objects + 1] uint8.

    Those of few objects are kept in `table`, one after the other; `tabled` says of which.
    """
    if objects >= TABLED:
        targets = np.empty(objects + 1, np.uint8)
    else:
        begin = objects * (objects + 1) // 2
        targets = table[begin : begin + objects + 1]
        if tabled[objects]:
            return targets
        tabled[objects] = True
    # Without a hit there is nothing to write but a precision of zero.
    targets[0] = 0
    for hits in range(1, objects + 1):
        targets[hits] = np.uint8(places_reached(float(hits), float(objects)) - 1.0)
    return targets


# Where no frame counts there is nothing to divide by but SPACING.
@njit(cache=True, nogil=True, error_model="numpy")
def trace_hits(ordered, category, weights, targets, room, curves, side, hits):
    """Note in `curves` [T, R, S] at the targets that are reached the highest precision from there on, and `hits` [T].

    A run of hits in frames that don't count repeats a lower precision of the hits before it, which changes nothing.
    Of a signed number that is a place numba asks whether it counts from the end: those here have no sign.
    """
    seen, passed, found, counted, precision = room
    count_rows(ordered.frame[ordered.begins[category] : ordered.begins[category + 1]], weights, seen)
    passed[0] = 0
    # Counting, dividing and looking for the highest each have a loop of their own: the processor divides several
    # numbers at a time, and waits for none of them.
    for number in range(np.uint64(len(hits))):
        group = category * len(hits) + number
        rows = ordered.pass_row[ordered.pass_begins[group] : ordered.pass_begins[group + 1]]
        for place in range(np.uint64(len(rows))):
            row = rows[place]
            passed[place + ONE] = passed[place] + (seen[row + ONE] - seen[row])
        runs = slice(ordered.hit_begins[group], ordered.hit_begins[group + 1])
        first, end, before = ordered.hit_first[runs], ordered.hit_end[runs], ordered.hit_passed[runs]
        total, last = np.int32(0), np.uint64(len(end))
        for run in range(last):
            here = seen[end[run]]
            total = np.int32(total + (here - seen[first[run]]))
            found[run], counted[run] = total, np.int32(here - passed[before[run]])
        for run in range(last):
            precision[run] = found[run] / (counted[run] + SPACING)
        highest = 0.0
        for back in range(last):
            run = last - ONE - back
            here = precision[run]
            highest = here if here > highest else highest
            curves[number, targets[np.uint32(found[run])], side] = highest
        hits[number] = total


@njit(cache=True, nogil=True)
def make_room(ordered):
    """Room for what trace_hits counts by row and by run of hits, of which there are no more than rows."""
    longest = 1
    for category in range(len(ordered.begins) - 1):
        longest = max(longest, ordered.begins[category + 1] - ordered.begins[category] + 1)
    counts = np.empty((4, longest), np.int32)
    return counts[0], counts[1], counts[2], counts[3], np.empty(longest)


@njit(cache=True, nogil=True)
def count_rows(frame, weights, seen):
    """Fill seen [N + 1] with how many times the first rows of a category count, for each number of them."""
    total = np.int32(0)
    seen[0] = 0
    for row in range(np.uint64(len(frame))):
        total = np.int32(total + weights[np.uint64(frame[row])])
        seen[row + ONE] = total


@njit(cache=True, nogil=True)
def trace_copies(ordered, category, weights, targets, curves, side, hits):
    """The same with the copies of tied rows written out, row by row."""
    times, matched, ignored = repeat_rows(ordered, category, weights)
    for number in range(len(hits)):
        bit = np.uint16(1 << number)
        seen, found = 0, 0
        for row in range(len(times)):
            if ignored[row] & bit:
                continue
            seen += times[row]
            if matched[row] & bit:
                found += times[row]
                place = targets[found]
                curves[number, place, side] = max(curves[number, place, side], found / (seen + SPACING))
        hits[number] = found


@njit(cache=True, nogil=True)
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
