"""Frames drawn with replacement become 95 % intervals: the percentile bootstrap over frames (Efron 1979).

The frames that are drawn are those of the slice with labels of the head, as many as there are: the size of the slice is
fixed. Two models get the same draws, so that the interval of their difference is paired.
"""

import hashlib

import numpy as np

LOW_PERCENT, HIGH_PERCENT = 2.5, 97.5
# With more resamples than this share having nothing to measure, the rest is no fair sample of what could have been.
MAX_UNMEASURED = 0.05


def draw_weights(count: int, resamples: int, seed: int, name: str | None) -> np.ndarray:
    """How often each of `count` frames is drawn in each resample: [B, count] int64, each row's sum is `count`.

    A function of the seed and the slice's name alone (None: overall): a slice that is added or moved leaves the others'
    intervals as they were.
    """
    if count == 0:
        return np.zeros((resamples, 0), dtype=np.int64)
    place = int.from_bytes(hashlib.sha256((name or "").encode()).digest()[:8], "little")
    # The key is the seed; the slice's place in the counter leaves 2^64 blocks of numbers to each.
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, place, 0, 0]))
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples)


def interval(spread: np.ndarray, frames: int) -> list[float] | None:
    """The middle 95 % of a figure's resamples [B] float64, NaN where a resample had nothing to measure.

    None with fewer than two frames, or where more than 5 % of the resamples had nothing to measure.
    """
    known = spread[~np.isnan(spread)]
    if frames < 2 or known.size < (1 - MAX_UNMEASURED) * spread.size or known.size == 0:
        return None
    low, high = np.percentile(known, [LOW_PERCENT, HIGH_PERCENT])
    return [float(low), float(high)]
