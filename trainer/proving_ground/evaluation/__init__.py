"""Predictions and labels become exact scores, with intervals: matching, accumulation, slices, bootstrap."""

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation.scores import compare, score
from proving_ground.evaluation.statistics import Evaluator, Prediction, Statistics, Target

__all__ = ["Evaluator", "FrameSlice", "Prediction", "Statistics", "Target", "compare", "score"]
