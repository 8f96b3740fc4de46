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


@njit(cache=True, nogil=True)
def accumulate_into(ordered, weights, recall_thresholds, precision, recall):
    """Fill precision [T, R, K] and recall [T, K] for frames that count `weights` [F] int32 times."""
    thresholds = recall.shape[0]
    curves, recalls = np.empty((len(recall_thresholds), thresholds)), np.empty(thresholds)
    for category in range(recall.shape[1]):
        if trace(ordered, category, weights, recall_thresholds, curves, recalls):
            recall[:, category] = recalls
            for number in range(thresholds):
                for place in range(len(recall_thresholds)):
                    precision[number, place, category] = curves[place, number]


@njit(cache=True, nogil=True)
def resample_into(ordered, weights, recall_thresholds, figures):
    """For each row of weights [B, F], AP, AP50 and AR of each category into figures [B, 3, K]; NaN without objects."""
    thresholds = THRESHOLDS
    curves, recalls = np.empty((len(recall_thresholds), thresholds)), np.empty(thresholds)
    times, sums = np.empty(weights.shape[1], np.int32), np.empty(thresholds)
    for sample in range(weights.shape[0]):
        times[:] = weights[sample]
        for category in range(figures.shape[2]):
            if not trace(ordered, category, times, recall_thresholds, curves, recalls):
                figures[sample, :, category] = np.nan
                continue
            sums[:] = 0.0
            for place in range(len(recall_thresholds)):
                for number in range(thresholds):
                    sums[number] += curves[place, number]
            heights, reached = 0.0, 0.0
            for number in range(thresholds):
                reached += recalls[number]
                heights += sums[number] / len(recall_thresholds)
            figures[sample, 0, category] = heights / thresholds
            figures[sample, 1, category] = sums[0] / len(recall_thresholds)
            figures[sample, 2, category] = reached / thresholds


@njit(cache=True, nogil=True)
def trace(ordered, category, weights, recall_thresholds, curves, recalls):
    """Fill `curves` [R, T] with precision at recall thresholds and `recalls` [T]; returns whether there are objects.

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
    targets = targets_of(objects, recall_thresholds)
    curves[:] = 0.0
    if written_out:
        trace_copies(ordered, category, weights, targets, curves, recalls)
    else:
        trace_hits(ordered, category, weights, targets, curves, recalls)
    for number in range(len(recalls)):
        recalls[number] /= objects
    for place in range(len(recall_thresholds) - 2, -1, -1):
        for number in range(len(recalls)):
            curves[place, number] = max(curves[place, number], curves[place + 1, number])
    return True


@njit(cache=True, nogil=True)
def targets_of(objects, recall_thresholds):
    """For each number of hits, the place of the highest recall threshold that they reach: [objects + 1] int64."""
    targets = np.empty(objects + 1, np.uint32)
    last = len(recall_thresholds) - 1
    for hits in range(objects + 1):
        recall = hits / objects
        # A guess that is off by one at most, the thresholds being even but for their rounding.
        place = min(int(recall * last), last)
        place += place < last and recall_thresholds[place + 1] <= recall
        targets[hits] = place - (recall_thresholds[place] > recall)
    return targets


@njit(cache=True, nogil=True)
def trace_hits(ordered, category, weights, targets, curves, hits):
    """Fill `curves` [R, T] at the targets that are reached with the highest precision from there on, and `hits` [T]."""
    begin, end = ordered.begins[category], ordered.begins[category + 1]
    seen, total = np.empty(end - begin + 1), 0.0
    seen[0] = 0.0
    for row in range(end - begin):
        total += weights[ordered.frame[begin + row]]
        seen[row + 1] = total
    thresholds = len(hits)
    for number in range(thresholds):
        group = category * thresholds + number
        begin_run, stop = ordered.hit_begins[group], ordered.hit_begins[group + 1]
        found, passed, highest = 0.0, 0.0, 0.0
        for place in range(begin_run, stop):
            found += seen[ordered.hit_end[place]] - seen[ordered.hit_first[place]]
        hits[number] = found
        for place in range(ordered.pass_begins[group], ordered.pass_begins[group + 1]):
            passed += seen[ordered.pass_row[place] + 1] - seen[ordered.pass_row[place]]
        # From the last row to the first: between two ignored rows as many have been passed over.
        for place in range(ordered.pass_begins[group + 1] - 1, ordered.pass_begins[group] - 1, -1):
            start = ordered.pass_place[place]
            first, last = ordered.hit_first[start:stop], ordered.hit_end[start:stop]
            found, highest = descend(first, last, seen, passed, found, highest, targets, curves[:, number])
            passed -= seen[ordered.pass_row[place] + 1] - seen[ordered.pass_row[place]]
            stop = start
        first, last = ordered.hit_first[begin_run:stop], ordered.hit_end[begin_run:stop]
        descend(first, last, seen, passed, found, highest, targets, curves[:, number])


# Where no frame counts there is nothing to divide by but SPACING.
@njit(cache=True, nogil=True, error_model="numpy")
def descend(first, end, seen, passed, found, highest, targets, curve):
    """Walk runs of hits from the last to the first, with the hits so far and the highest precision after them.

    A run in frames that don't count repeats a lower precision of the hits before it, which changes nothing. Returns
    the number of hits before the first run, and the highest precision.
    """
    for place in range(len(first) - 1, -1, -1):
        here = seen[end[place]]
        precision = found / (here - passed + SPACING)
        if precision > highest:
            highest = precision
        curve[targets[int(found)]] = highest
        found -= here - seen[first[place]]
    return found, highest


@njit(cache=True, nogil=True)
def trace_copies(ordered, category, weights, targets, curves, hits):
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
                curves[place, number] = max(curves[place, number], found / (seen + SPACING))
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
