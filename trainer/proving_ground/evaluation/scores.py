"""Statistics become scores: overall and for each slice, of one model, or of two on the same frames with intervals.

Intervals are of the percentile bootstrap (Efron 1979) over frames. A slice's own frames are drawn with replacement, as
many as it has; both models get the same draws, so the interval of their difference is paired.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation.detection import Ordered, detection_scores, order, resampled_detection, restrict
from proving_ground.evaluation.lanes import lane_f1
from proving_ground.evaluation.matching import Boxes, match
from proving_ground.evaluation.segmentation import segmentation_scores
from proving_ground.evaluation.statistics import Statistics

LEVEL = 0.95
# With more resamples than this share having nothing to measure, the rest is no fair sample of what could have been.
MAX_UNMEASURED = 0.05

Key = tuple[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """A model's statistics by frame of the manifest, ready to be summed.

    labelled: by head, [F] bool. ordered: detections. confusion [F, K, K] and lanes [F, 3] are zero for frames without
    labels. lane_truth [F] counts labelled lines.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    heads: tuple[str, ...]
    labelled: dict[str, np.ndarray]
    ordered: Ordered
    confusion: np.ndarray
    lanes: np.ndarray
    lane_truth: np.ndarray


def tabulate(statistics: Statistics, total: int) -> Tables:
    """Match detections once, and lay all statistics out by frame; `total` is the number of frames in the manifest."""
    columns = statistics.columns
    frames = columns["frames/frame"]
    labelled = {}
    for head in statistics.heads:
        labelled[head] = np.zeros(total, dtype=bool)
        labelled[head][frames] = columns[f"frames/{head}"]
    found, truth = boxes_of(columns, "detections"), boxes_of(columns, "truth")
    matches = match(found, columns["detections/score"], truth, columns["truth/crowd"])
    confusion = np.zeros((total, len(statistics.classes), len(statistics.classes)), dtype=np.int64)
    confusion[columns["confusion/frame"]] = columns["confusion/matrix"]
    lanes, lane_truth = np.zeros((total, 3), dtype=np.int64), np.zeros(total, dtype=np.int64)
    lanes[columns["lane_counts/frame"]] = columns["lane_counts/counts"]
    lane_truth[columns["lane_counts/frame"]] = columns["lane_counts/labelled"]
    return Tables(
        names=statistics.categories,
        classes=statistics.classes,
        heads=statistics.heads,
        labelled=labelled,
        ordered=order(matches, len(statistics.categories), total),
        confusion=confusion,
        lanes=lanes,
        lane_truth=lane_truth,
    )


def boxes_of(columns: dict[str, np.ndarray], table: str) -> Boxes:
    """A table's boxes."""
    xywh = np.stack([columns[f"{table}/{side}"] for side in "xywh"], axis=1)
    return Boxes(
        frame=columns[f"{table}/frame"],
        category=columns[f"{table}/category"],
        xywh=xywh,
        area=xywh[:, 2] * xywh[:, 3],
    )


def score(statistics: Statistics, slices: Sequence[FrameSlice], total_frames: int) -> dict[Key, float | None]:
    """Scores by metric and slice (None: overall); None where there is nothing to measure."""
    tables = tabulate(statistics, total_frames)
    scores = measured(tables, np.ones(total_frames, dtype=bool), None, None)
    for item in slices:
        scores |= measured(tables, item.frames, item.name, item.category)
    return scores


def compare(
    candidate: Statistics,
    production: Statistics | None,
    slices: Sequence[FrameSlice],
    *,
    resamples: int,
    seed: int,
    total_frames: int | None = None,
) -> list[dict[str, Any]]:
    """The report's scores of two models on the same frames, overall first, with 95 % intervals.

    Raises ValueError where the two were not measured on the same frames.
    """
    frames = candidate.columns["frames/frame"]
    if production is not None and not np.array_equal(frames, production.columns["frames/frame"]):
        raise ValueError("candidate and production were not measured on the same frames")
    total = total_frames if total_frames is not None else int(frames.max(initial=-1)) + 1
    models = [tabulate(candidate, total), *([tabulate(production, total)] if production is not None else [])]
    everything = np.ones(total, dtype=bool)
    rows = []
    for number, (chosen, name, category) in enumerate(
        [(everything, None, None), *((item.frames, item.name, item.category) for item in slices)]
    ):
        values = [measured(model, chosen, name, category) for model in models]
        weights = draw_weights(int(chosen.sum()), resamples, seed, number)
        spreads = [resampled(model, chosen, name, category, weights) for model in models]
        rows += [describe(key, values, spreads, models[0], chosen, category) for key in values[0]]
    return rows


def draw_weights(count: int, resamples: int, seed: int, place: int) -> np.ndarray:
    """How often each of `count` frames is drawn in each resample: [B, count] int64, a function of seed and place."""
    if count == 0:
        return np.zeros((resamples, 0), dtype=np.int64)
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, place, 0, 0]))
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples)


def measured(tables: Tables, frames: np.ndarray, name: str | None, category: str | None) -> dict[Key, float | None]:
    """Scores of one model on some frames; a slice of a category has that category's AP alone."""
    scores: dict[str, float | None] = {}
    if "detection" in tables.heads:
        scores |= detection_scores(restrict(tables.ordered, frames), tables.names)
    if "segmentation" in tables.heads:
        sums = tables.confusion[frames].sum(axis=0)
        scores |= {metric: number(value) for metric, value in segmentation_scores(sums, tables.classes).items()}
    if "lanes" in tables.heads:
        scores["lane_f1"] = number(lane_f1(tables.lanes[frames].sum(axis=0)))
    return {(metric, name): scores[metric] for metric in chosen_metrics(tables, name, category)}


def resampled(
    tables: Tables, frames: np.ndarray, name: str | None, category: str | None, weights: np.ndarray
) -> dict[Key, np.ndarray]:
    """The same for each resample: [B] float64, NaN where a resample has nothing to measure."""
    scores: dict[str, np.ndarray] = {}
    if "detection" in tables.heads:
        scores |= resampled_detection(restrict(tables.ordered, frames), tables.names, weights)
    if "segmentation" in tables.heads:
        flat = tables.confusion[frames].reshape(int(frames.sum()), -1)
        # Whole numbers below 2^53: float64 sums them exactly, and in the processor's fastest routine.
        sums = (weights.astype(np.float64) @ flat.astype(np.float64)).reshape(-1, *tables.confusion.shape[1:])
        scores |= segmentation_scores(sums, tables.classes)
    if "lanes" in tables.heads:
        scores["lane_f1"] = lane_f1(weights @ tables.lanes[frames])
    return {(metric, name): scores[metric] for metric in chosen_metrics(tables, name, category)}


def chosen_metrics(tables: Tables, name: str | None, category: str | None) -> list[str]:
    """Metrics that are reported overall, on a slice, or on a slice of a category."""
    if category is not None:
        return [f"ap/{category}"] if "detection" in tables.heads else []
    metrics = []
    if "detection" in tables.heads:
        metrics += ["map", "ap50", "ar"] + ([f"ap/{category}" for category in tables.names] if name is None else [])
    if "segmentation" in tables.heads:
        metrics += ["miou"] + ([f"iou/{name}" for name in tables.classes] if name is None else [])
    return metrics + (["lane_f1"] if "lanes" in tables.heads else [])


def describe(
    key: Key,
    values: list[dict[Key, float | None]],
    spreads: list[dict[Key, np.ndarray]],
    tables: Tables,
    frames: np.ndarray,
    category: str | None,
) -> dict[str, Any]:
    """One row of the report's scores."""
    metric, name = key
    head = head_of(metric)
    counted = frames & tables.labelled[head]
    own, other = values[0][key], values[1].get(key) if len(values) > 1 else None
    compared = own is not None and other is not None
    count = int(counted.sum())
    return {
        "metric": metric,
        "slice": name,
        "frames": count,
        "objects": count_objects(tables, counted, metric),
        "candidate": own,
        "candidate_interval": interval(spreads[0][key], count) if own is not None else None,
        "production": other,
        "delta": own - other if compared else None,
        "delta_interval": interval(spreads[0][key] - spreads[1][key], count) if compared else None,
    }


def head_of(metric: str) -> str:
    """The head whose labels a metric is measured on."""
    if metric == "lane_f1":
        return "lanes"
    return "segmentation" if metric == "miou" or metric.startswith("iou/") else "detection"


def count_objects(tables: Tables, frames: np.ndarray, metric: str) -> int | None:
    """Ground truth behind a score; None for segmentation, where frames are all that counts."""
    if metric == "lane_f1":
        return int(tables.lane_truth[frames].sum())
    if head_of(metric) == "segmentation":
        return None
    truth = tables.ordered.truth[:, frames]
    return int(truth[tables.names.index(metric[3:])].sum() if metric.startswith("ap/") else truth.sum())


def interval(spread: np.ndarray, frames: int) -> list[float] | None:
    """The middle 95 % of a figure's resamples; None with fewer than two frames or too many resamples unmeasured."""
    known = spread[~np.isnan(spread)]
    if frames < 2 or known.size < (1 - MAX_UNMEASURED) * spread.size:
        return None
    low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return [float(low), float(high)]


def number(value: np.ndarray | float) -> float | None:
    """A float, or None for NaN."""
    return None if np.isnan(value) else float(value)
