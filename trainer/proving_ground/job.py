"""A document, its conditions and the ranks become one value: the job that this process has a part in."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from proving_ground.config import Conditions, EvaluateRun, TrainRun
from proving_ground.distributed import Group
from proving_ground.progress import Progress

Run = TypeVar("Run", TrainRun, EvaluateRun)


@dataclass(frozen=True, kw_only=True)
class Job(Generic[Run]):
    """What every step of a training or an evaluation is given."""

    run: Run
    """What decides the bits."""

    conditions: Conditions
    """What surrounds them, and changes none."""

    group: Group
    """This process among the job's others."""

    progress: Progress
    """Where rank 0 tells how far the job is."""
