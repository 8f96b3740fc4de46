"""Statistics become examples: the frames where the candidate lost most against production, and where it won most."""

from typing import Any, NamedTuple

import numpy as np

from proving_ground.evaluation.evidence.confusion import Pairs
from proving_ground.evaluation.statistics import Statistics

# Of each kind.
EXAMPLES = 6
# What is counted of a frame, by head; of two models that share several heads the first is looked at.
COUNTED = {
    "detection": "errors",
    "segmentation": "share of pixels wrong",
    "lanes": "lines wrong",
    "trajectory": "metres off",
}


class Example(NamedTuple):
    """A frame by its place in the manifest, why it is shown, and what was counted of both models there."""

    frame: int
    kind: str
    head: str
    candidate: float
    production: float | None


def choose_examples(
    candidate: Statistics, production: Statistics | None, pairs: tuple[Pairs | None, Pairs | None], frames: int
) -> list[Example]:
    """Frames that were lost and won, the largest difference first; the worst ones where there is no production."""
    models = [candidate] if production is None else [candidate, production]
    head = next((head for head in COUNTED if all(head in model.heads for model in models)), None)
    if head is None:
        return []
    own, *others = (
        count_errors(head, model, pair, frames) for model, pair in zip(models, pairs[: len(models)], strict=True)
    )
    if not others:
        worst = [place for place in np.argsort(-own, kind="stable")[:EXAMPLES] if own[place] > 0]
        return [Example(int(place), "worst", head, float(own[place]), None) for place in worst]
    lost = own - others[0]
    return [
        Example(int(place), kind, head, float(own[place]), float(others[0][place]))
        for kind, order in (("lost", -lost), ("won", lost))
        for place in np.argsort(order, kind="stable")[:EXAMPLES]
        if order[place] < 0
    ]


def count_errors(head: str, statistics: Statistics, pairs: Pairs | None, frames: int) -> np.ndarray:
    """What a model got wrong in each frame: [F] float64, in the unit that COUNTED names."""
    columns = statistics.columns
    if head == "detection":
        return np.bincount(pairs.frame[pairs.is_error], minlength=frames).astype(np.float64)
    counted = np.zeros(frames)
    if head == "segmentation":
        matrices = columns["confusion/matrix"]
        pixels = matrices.sum(axis=(1, 2))
        right = np.trace(matrices, axis1=1, axis2=2)
        counted[columns["confusion/frame"]] = np.divide(
            pixels - right, pixels, out=np.zeros(len(pixels)), where=pixels > 0
        )
    elif head == "lanes":
        counted[columns["lane_counts/frame"]] = columns["lane_counts/counts"][:, 1:3].sum(axis=1)
    else:
        np.add.at(counted, columns["tracks/frame"], columns["tracks/min_fde"])
    return counted


def boxes_of_frame(statistics: Statistics, pairs: Pairs | None, frame: int) -> list[dict[str, Any]]:
    """A model's boxes in a frame that `pairs` counts: category, score, box x y w h, and whether it is right."""
    if pairs is None:
        return []
    rows = np.flatnonzero((pairs.frame == frame) & (pairs.box >= 0))
    return [
        describe_box(statistics, "detections", int(box), right=bool(right), score=score)
        for box, right in zip(pairs.box[rows], ~pairs.is_error[rows], strict=True)
        for score in [round(float(statistics.columns["detections/score"][box]), 3)]
    ]


def labels_of_frame(
    statistics: Statistics, pairs: tuple[Pairs | None, Pairs | None], frame: int
) -> list[dict[str, Any]]:
    """The labels of a frame: category, box x y w h, and whether candidate and production found it.

    `statistics` are those of any of the models; the labels are the same.
    """
    found: dict[int, dict[str, bool | None]] = {}
    for name, model in zip(("candidate", "production"), pairs, strict=True):
        if model is not None:
            rows = np.flatnonzero((model.frame == frame) & (model.label >= 0))
            for label, right in zip(model.label[rows], ~model.is_error[rows], strict=True):
                found.setdefault(int(label), {"candidate": None, "production": None})[name] = bool(right)
    return [describe_box(statistics, "truth", label, found=found[label]) for label in sorted(found)]


def describe_box(statistics: Statistics, table: str, row: int, **others: Any) -> dict[str, Any]:
    """One row of a table of boxes as JSON."""
    columns = statistics.columns
    box = [round(float(columns[f"{table}/{side}"][row]), 1) for side in "xywh"]
    return {"category": statistics.categories[columns[f"{table}/category"][row]], "box": box, **others}
