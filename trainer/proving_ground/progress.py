"""How far a job is becomes progress.json, a few times a second, from rank 0 alone."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

EVERY_SECONDS = 0.4


class Progress:
    """Writes progress.json in a job's folder; other ranks' calls do nothing."""

    def __init__(self, folder: Path, is_first: bool) -> None:
        self.file = folder / "progress.json" if is_first else None
        # Of each stage by itself: the validation of a short epoch would else take every turn of the training.
        self.last: dict[str, float] = {}
        self.began: dict[str, tuple[float, int]] = {}

    def show(
        self,
        stage: str,
        step: int,
        steps: int,
        *,
        epoch: tuple[int, int] | None = None,
        loss: float | None = None,
        metric: dict[str, float | None] | None = None,
    ) -> None:
        """Say that `step` of `steps` of a stage is done; time left follows from this attempt's own speed."""
        now = time.monotonic()
        began, first = self.began.setdefault(stage, (now, step))
        if self.file is None or (now - self.last.get(stage, 0.0) < EVERY_SECONDS and step not in (0, steps)):
            return
        self.last[stage] = now
        rate = (step - first) / (now - began) if now > began else 0
        left = round((steps - step) / rate, 1) if rate > 0 else None
        value: dict[str, Any] = {"stage": stage, "epoch": None, "epochs": None, "step": step, "steps": steps}
        if epoch is not None:
            value["epoch"], value["epochs"] = epoch
        finite = loss if loss is not None and abs(loss) < float("inf") else None
        value |= {"loss": finite, "metric": metric, "seconds_left": left}
        beside = self.file.with_name(".tmp-progress.json")
        # Nobody's training ends because a line can't be shown; a checkpoint that can't be written does end it.
        with contextlib.suppress(OSError):
            beside.write_text(json.dumps(value) + "\n")
            beside.replace(self.file)
