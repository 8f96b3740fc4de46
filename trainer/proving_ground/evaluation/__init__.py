"""Predictions and labels become exact scores, with intervals: matching, accumulation, slices, bootstrap."""

from typing import Any

from proving_ground.data.example import Target
from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation.counting.trajectories import METRICS as TRACK_METRICS
from proving_ground.evaluation.counting.trajectories import constant_velocity
from proving_ground.evaluation.statistics import Evaluator, Prediction, Statistics

LOWER_IS_BETTER = frozenset({*TRACK_METRICS, "ece", "lane_fp", "lane_fn", "latency_p50_ms", "latency_p95_ms"})

__all__ = [
    "LOWER_IS_BETTER",
    "Evaluator",
    "FrameSlice",
    "Prediction",
    "Statistics",
    "Target",
    "compare",
    "constant_velocity",
    "score",
]


def __getattr__(name: str) -> Any:
    """Import what scores at its first use: numba takes half a second, and of all ranks one alone scores."""
    if name in ("compare", "score"):
        from proving_ground.evaluation import scores

        return getattr(scores, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
