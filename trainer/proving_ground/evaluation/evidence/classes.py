"""Tables of statistics become the scores of each category and class on each slice, of both models side by side.

They are evidence and no checks: beside a slice's own scores they say which category moved it. What is to be gated on a
slice has a slice of its category, or stands overall, and has an interval there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation.scores import Part, Tables, measure

# By head, before the name of a category or class.
METRICS = {"detection": "ap", "segmentation": "iou"}
# With more figures than this the slices are left out.
MAX_FIGURES = 10_000


def compare_classes(
    candidate: Tables, production: Tables | None, slices: Sequence[FrameSlice], frames: int
) -> dict[str, Any]:
    """ap/<category> and iou/<class> as JSON: a row overall and for each slice of no category, None for no model.

    A figure is None where there is nothing to measure, and for a head that a model doesn't have.
    """
    models = {"candidate": candidate, "production": production}
    known = [model for model in models.values() if model is not None]
    names = {"detection": candidate.categories, "segmentation": candidate.classes}
    metrics = [
        f"{metric}/{name}"
        for head, metric in METRICS.items()
        for name in (names[head] if any(head in model.labelled for model in known) else ())
    ]
    parts: list[tuple[str | None, np.ndarray]] = [(None, np.ones(frames, dtype=bool))]
    every = parts + [(item.name, item.frames) for item in slices if item.category is None]
    if len(metrics) * len(every) * len(known) <= MAX_FIGURES:
        parts = every
    rows = []
    for name, chosen in parts if metrics else []:
        row = {of: None if model is None else figures_of(model, metrics, chosen) for of, model in models.items()}
        rows.append({"slice": name, **row})
    return {"metrics": metrics, "rows": rows}


def figures_of(tables: Tables, metrics: Sequence[str], frames: np.ndarray) -> list[float | None]:
    """A model's figures on some frames [F] bool, to four decimals: they are looked at."""
    # As if these frames were all there are: of those every category and class is scored.
    part, values = Part(name=None, category=None, frames=frames), {}
    for head in METRICS:
        if head in tables.labelled:
            values |= measure(tables, head, part, frames & tables.labelled[head], None)[0]
    return [None if values.get(metric) is None else round(values[metric], 4) for metric in metrics]
