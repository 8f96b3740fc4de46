"""Matches by falling score become curves of precision over recall, for frames that are chosen.

Rows of the chosen frames are taken from the lowest score to the highest, and what they are at an IoU threshold is a bit
in words of 64 rows: a hit, a miss, or ignored. Of hits that follow one another the last has the highest precision,
since (n + 1) / (m + 1) is no less than n / m: no other is looked at.
"""

from functools import partial

import numpy as np

from proving_ground.evaluation.compiled import compiled
from proving_ground.evaluation.detection.bits import WORD, count_ones, pick_bits

# pycocotools adds np.spacing(1) to every denominator of a precision.
SPACING = float(np.spacing(1.0))
NONE, ONE = np.uint64(0), np.uint64(1)
# Categories whose precisions fill a line of the cache.
SIDE = 8
# Up to so many objects, what is reached at each number of hits is worked out once: other categories ask for the same.
TABLED = 512


@compiled
def accumulate_into(ordered, chosen, table, tabled, precision, recall):
    """Fill precision [T, R, K] and recall [T, K] of chosen frames, [F] uint8 of ones and zeros; -1: no objects.

    table, tabled: as find_targets takes them. Categories lie side by side in the results: SIDE of them are traced
    before any is written, so that whole lines of the cache are.
    """
    thresholds, places, categories = precision.shape
    curves, recalls, room = np.empty((thresholds, places, SIDE)), np.empty(thresholds), make_room(ordered)
    for first in range(0, categories, SIDE):
        count = min(SIDE, categories - first)
        curves[:, :, :] = 0.0
        for side in range(count):
            category = first + side
            objects = count_objects(ordered, category, chosen)
            if objects == 0:
                recall[:, category] = -1.0
                continue
            targets = find_targets(objects, table, tabled)
            trace_chosen(ordered, category, chosen, targets, room, curves, side, recalls)
            for number in range(thresholds):
                recall[number, category] = recalls[number] / objects
        keep_highest(curves)
        for side in range(count):
            if recall[0, first + side] < 0.0:
                curves[:, :, side] = -1.0
        write_lines(curves, precision, first, count)


@compiled
def make_room(ordered):
    """Room for the outcomes of a category's rows, matched and ignored, and for one threshold's words of them."""
    longest = 0
    for category in range(len(ordered.begins) - 1):
        longest = max(longest, ordered.begins[category + 1] - ordered.begins[category])
    rows = np.empty((2, longest + np.int64(WORD)), np.uint16)
    words = np.empty((2, longest // np.int64(WORD) + 1), np.uint64)
    return rows[0], rows[1], words[0], words[1]


@compiled
def count_objects(ordered, category, weights):
    """How many objects of a category there are in frames that count so many times."""
    frames = ordered.object_frame[ordered.object_begins[category] : ordered.object_begins[category + 1]]
    objects = 0
    for place in range(np.uint64(len(frames))):
        objects += np.int64(weights[frames[place]])
    return objects


# Of a signed number that is a place numba asks whether it counts from the end: those here have no sign.
@compiled
def gather_rows(ordered, category, chosen, matched, ignored):
    """Outcomes of a category's chosen rows, from the last to the first; returns how many."""
    begin, end = np.uint64(ordered.begins[category]), np.uint64(ordered.begins[category + 1])
    kept = NONE
    for back in range(end - begin):
        row = end - ONE - back
        # Written in any case, and overwritten by the next if it isn't chosen: nothing for the processor to guess.
        matched[kept], ignored[kept] = ordered.matched[row], ordered.ignored[row]
        kept += np.uint64(chosen[np.uint64(ordered.frame[row])])
    return kept


@partial(compiled, error_model="numpy")
def trace_chosen(ordered, category, chosen, targets, room, curves, side, hits):
    """Note in `curves` [T, R, S] at the targets that are reached the highest precision from there on, and `hits` [T].

    Counting the rows of words gives all hits and misses; going over them, what is left is what stands before.
    """
    matched, ignored, hit_words, row_words = room
    rows = gather_rows(ordered, category, chosen, matched, ignored)
    words = (rows + WORD - ONE) // WORD
    for number in range(np.uint64(len(hits))):
        found, seen = 0, 0
        for word in range(words):
            first = word * WORD
            # The last word's other rows are left from before.
            here = ~NONE if rows - first >= WORD else (ONE << (rows - first)) - ONE
            row_words[word] = here & ~pick_bits(ignored, first, number)
            hit_words[word] = row_words[word] & pick_bits(matched, first, number)
            found, seen = found + count_ones(hit_words[word]), seen + count_ones(row_words[word])
        hits[number] = found
        highest, after_miss = 0.0, ONE
        for word in range(words):
            hit, row = hit_words[word], row_words[word]
            lasts, after_miss = hits_after_misses(hit, row, after_miss)
            while lasts:
                # All bits up to the lowest one.
                upto = lasts ^ (lasts - ONE)
                lasts &= lasts - ONE
                hits_here, rows_here = found + 1 - count_ones(hit & upto), seen + 1 - count_ones(row & upto)
                precision = hits_here / (rows_here + SPACING)
                highest = precision if precision > highest else highest
                curves[number, targets[np.uint64(hits_here)], side] = highest
            found, seen = found - count_ones(hit), seen - count_ones(row)


@compiled
def hits_after_misses(hit, row, after_miss):
    """Those of a word's hits before which, of all its rows that aren't ignored, a miss comes: a word of their bits.

    after_miss: one where the row before the word is a miss or isn't there; returned for the next word too. A one that
    is put behind each miss is carried by the addition over what is ignored.
    """
    miss = row & ~hit
    behind = (miss << ONE) | after_miss
    carried = behind + ~row
    return carried & hit, (miss >> (WORD - ONE)) | np.uint64(carried < behind)


@compiled
def keep_highest(curves):
    """Make each precision of curves [T, R, SIDE] the highest of those at its recall and above."""
    thresholds, places, _ = curves.shape
    line, flat = np.uint64(SIDE), curves.reshape(curves.size)
    # Threshold by threshold at each place: the processor needn't wait for what it wrote just before.
    for back in range(np.uint64(places - 1)):
        for number in range(np.uint64(thresholds)):
            begin = (number * np.uint64(places) + np.uint64(places - 2) - back) * line
            for side in range(line):
                here, above = flat[begin + side], flat[begin + line + side]
                flat[begin + side] = here if here > above else above


@compiled
def write_lines(curves, precision, first, count):
    """Write the first of curves [T, R, S] to precision [T, R, K] from one category on."""
    thresholds, places, categories = precision.shape
    flat, written = curves.reshape(curves.size), precision.reshape(precision.size)
    for line in range(np.uint64(thresholds * places)):
        begin, place = line * np.uint64(SIDE), line * np.uint64(categories) + np.uint64(first)
        for side in range(np.uint64(count)):
            written[place + side] = flat[begin + side]


@partial(compiled, error_model="numpy")
def places_reached(hits, objects):
    """How many of the 101 recall thresholds so many hits reach; none without a hit, as a float.

    The thresholds are np.linspace's: so many times 0.01. Hits and objects are whole: a recall that isn't just so many
    hundredths is far from each by more than any rounding.
    """
    recall = hits / objects
    place = np.floor(recall * 100.0 + 1e-7)
    reached = place + (1.0 if recall >= place * 0.01 else 0.0)
    return reached if hits > 0.0 else 0.0


@compiled
def make_table():
    """Room for what find_targets finds, and what of it is there yet."""
    return np.empty(TABLED * (TABLED + 1) // 2, np.uint8), np.zeros(TABLED, np.bool_)


@compiled
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
