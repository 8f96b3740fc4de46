"""Units drawn with replacement become standard errors and 95 % intervals: the bootstrap (Efron 1979), studentised.

A unit is a sequence (a drive) where the manifest names one, else a frame: frames of one drive are alike, and drawn one
by one they would make intervals too narrow (the cluster bootstrap, Davison and Hinkley 1997, section 3.8). The units
that are drawn are those of the slice with labels of the head, as many as there are. Two models get the same draws, so
that the interval of their difference is paired.

An interval is the figure and Student's t with one degree of freedom less than there are units, times the bootstrap's
standard error. Both that and the factor n / (n - 1) on the variance, which the bootstrap lacks, are what the plain
percentile interval falls short by on small slices (Hesterberg 2015, What Teachers Should Know About the Bootstrap).
"""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from proving_ground.evaluation.compiled import compiled

TAIL = 0.025
# With more resamples than this share having nothing to measure, the rest is no fair sample of what could have been.
MAX_UNMEASURED = 0.05
# Numbers of one block of draws: what a processor's cache holds.
DRAWN_AT_ONCE = 1 << 17


class Spread(NamedTuple):
    """How far a figure may be off: its standard error, and the ends of its 95 % interval."""

    error: float
    low: float
    high: float


def units_of(sequences: Sequence[str | None]) -> np.ndarray:
    """The unit of each frame, [F] int64 from 0: its sequence; a frame without one is a unit of its own."""
    known: dict[str | int, int] = {}
    return np.array(
        [known.setdefault(place if name is None else name, len(known)) for place, name in enumerate(sequences)]
    )


def draw_weights(units: np.ndarray, resamples: int, seed: int, name: str | None) -> np.ndarray:
    """How often each frame counts in each resample: [B, frames] int32; units [frames] int64 are drawn with replacement.

    A function of the seed and the slice's name alone (None: overall): a slice that is added or moved leaves the others'
    intervals as they were.
    """
    if len(units) == 0:
        return np.zeros((resamples, 0), dtype=np.int32)
    drawn, place_of = np.unique(units, return_inverse=True)
    place = int.from_bytes(hashlib.sha256((name or "").encode()).digest()[:8], "little")
    # The key is the seed; the slice's place in the counter leaves 2^64 blocks of numbers to each.
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, place, 0, 0]))
    counts = draw_counts(rng, len(drawn), resamples)
    # Most often each frame is a unit of its own, and in its place.
    if np.array_equal(place_of, np.arange(len(drawn))):
        return counts
    return np.ascontiguousarray(counts[:, place_of])


def draw_counts(rng: np.random.Generator, units: int, resamples: int) -> np.ndarray:
    """How often each unit comes in as many draws with replacement, [B, units] int32: multinomials, drawn unit by unit.

    Several times as fast as the generator's own, which draws a binomial for each unit.
    """
    counts = np.zeros((resamples, units), dtype=np.int32)
    rows = max(1, DRAWN_AT_ONCE // units)
    for first in range(0, resamples, rows):
        block = counts[first : first + rows]
        count_draws(rng.integers(units, size=block.shape, dtype=np.int32), block)
    return counts


@compiled
def count_draws(drawn, counts):
    """Add to counts [B, units] what was drawn [B, N]."""
    for row in range(drawn.shape[0]):
        for place in range(drawn.shape[1]):
            counts[row, drawn[row, place]] += 1


def weighted_sums(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums over frames of counts [N, ...] for each row of weights [B, N]: [B, ...] float64."""
    # Whole numbers below 2^53 (all but metres and shares): float64 sums them exactly, in any order, in the processor's
    # fastest routine.
    return np.tensordot(weights.astype(np.float64), counts.astype(np.float64), axes=1)


def spread_of(figure: float, resampled: np.ndarray, units: int) -> Spread | None:
    """A figure's standard error and interval from its resamples [B] float64, NaN where nothing could be measured.

    None with fewer than two units, or where more than 5 % of the resamples had nothing to measure.
    """
    known = resampled[~np.isnan(resampled)]
    if units < 2 or known.size < 2 or known.size < (1 - MAX_UNMEASURED) * resampled.size:
        return None
    error = float(np.std(known, ddof=1)) * math.sqrt(units / (units - 1))
    reach = quantile_of(units) * error
    return Spread(error=error, low=figure - reach, high=figure + reach)


def quantile_of(units: int) -> float:
    """How many standard errors an interval reaches to each side, of so many units."""
    return float(-stdtrit(units - 1, TAIL))
