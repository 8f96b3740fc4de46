"""Statistics become scores: overall and for each slice, of one model, or of two on the same frames with intervals."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation.counting.lanes import METRICS as LANE_METRICS
from proving_ground.evaluation.counting.lanes import lane_scores, sum_lanes
from proving_ground.evaluation.counting.segmentation import segmentation_scores
from proving_ground.evaluation.counting.trajectories import METRICS, sum_tracks, trajectory_scores
from proving_ground.evaluation.detection.average_precision import (
    Ordered,
    detection_scores,
    order,
    resampled_detection,
    restrict,
    single_category,
)
from proving_ground.evaluation.detection.calibration import all_gaps, calibration_scores
from proving_ground.evaluation.detection.matching import Boxes, for_each, match
from proving_ground.evaluation.intervals import draw_weights, spread_of, weighted_sums
from proving_ground.evaluation.statistics import Statistics

# The order in which scores are listed.
HEADS = ("detection", "segmentation", "lanes", "trajectory")
# What is scored on a slice that names no category; overall has the scores of each category and class beside these.
SLICE_METRICS = ("map", "ap50", "ar", "ece", "miou", *LANE_METRICS, *METRICS)


@dataclass(frozen=True, kw_only=True)
class Part:
    """The frames behind some scores: overall where the name is None; frames is [F] bool over the manifest."""

    name: str | None
    category: str | None
    frames: np.ndarray

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that have scores here: a category is one of detection's."""
        return HEADS if self.category is None else ("detection",)


@dataclass(frozen=True, kw_only=True)
class Tables:
    """A model's statistics by frame of the manifest, ready to be summed.

    labelled: by head, [F] bool. ordered: detections. gaps [F, BINS + 1], confusion [F, K, K], lanes [F, 7] and tracks
    [F, 6] are zero for frames without labels.
    """

    categories: tuple[str, ...]
    classes: tuple[str, ...]
    labelled: dict[str, np.ndarray]
    ordered: Ordered
    gaps: np.ndarray
    confusion: np.ndarray
    lanes: np.ndarray
    tracks: np.ndarray


def tabulate(statistics: Statistics, total: int) -> Tables:
    """Match detections once, and lay all statistics out by frame; `total` is the number of frames in the manifest.

    Raises ValueError where they are not of each frame of the manifest.
    """
    columns = statistics.columns
    frames = columns["frames/frame"]
    if not np.array_equal(frames, np.arange(total)):
        raise ValueError(f"the statistics cover {len(frames)} frames, but the manifest has {total}")
    found, truth = boxes_of(columns, "detections"), boxes_of(columns, "truth")
    matches = match(found, columns["detections/score"], truth, columns["truth/crowd"])
    confusion = np.zeros((total, len(statistics.classes), len(statistics.classes)), dtype=np.int64)
    confusion[columns["confusion/frame"]] = columns["confusion/matrix"]
    ordered = order(matches, len(statistics.categories), total)
    return Tables(
        categories=statistics.categories,
        classes=statistics.classes,
        labelled={head: columns[f"frames/{head}"] for head in HEADS if head in statistics.heads},
        ordered=ordered,
        gaps=all_gaps(ordered),
        confusion=confusion,
        lanes=sum_lanes(columns, total),
        tracks=sum_tracks(columns, total),
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


def score(
    statistics: Statistics, slices: Sequence[FrameSlice], total_frames: int, threads: int | None = None
) -> dict[tuple[str, str | None], float | None]:
    """Scores by metric and slice (None: overall); None where there is nothing to measure.

    threads: the same bits whatever their number; as many as there are processors where it is left out.
    Raises ValueError where statistics or slices are not of the manifest's `total_frames` frames.
    """
    threads = threads or usable_processors()
    tables = tabulate(statistics, total_frames)

    def score_part(part: Part) -> dict[tuple[str, str | None], float | None]:
        scores = {}
        for head in part.heads:
            if head in tables.labelled:
                values, _ = measure(tables, head, part, part.frames & tables.labelled[head], None)
                scores |= {(metric, part.name): value for metric, value in values.items()}
        return scores

    merged = {}
    for scores in for_each(score_part, parts_of(slices, total_frames), threads):
        merged |= scores
    return merged


def usable_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compare(
    candidate: Statistics,
    production: Statistics | None,
    slices: Sequence[FrameSlice],
    *,
    resamples: int,
    seed: int,
    total_frames: int | None = None,
    units: np.ndarray | None = None,
    threads: int | None = None,
) -> list[dict[str, Any]]:
    """The report's scores of two models on the same frames, overall first, with 95 % intervals.

    A head that one of the two doesn't have is listed all the same, with None for that model: what was lost is seen.
    units: [F] int64, what is drawn together (see intervals.units_of); each frame for itself where it is left out.
    A frame whose unit is below zero is in no score. threads: as for `score`.
    Raises ValueError where the two were not measured on the same frames and labels, all `total_frames` of a manifest.
    """
    if production is not None:
        check_same_labels(candidate, production)
    total = len(candidate.columns["frames/frame"]) if total_frames is None else total_frames
    units = np.arange(total) if units is None else units
    if len(units) != total:
        raise ValueError(f"the units are of {len(units)} frames; the manifest has {total}")
    threads = threads or usable_processors()
    models = [tabulate(each, total) for each in (candidate, production) if each is not None]
    parts = parts_of(slices, total)
    parts = [replace(part, frames=part.frames & (units >= 0)) for part in parts]
    # Each thread draws and resamples parts of its own; where there is but one part, they share its resamples.
    inner = threads if len(parts) == 1 else 1

    def compare_part(part: Part) -> list[dict[str, Any]]:
        rows = []
        for head in part.heads:
            owners = [model for model in models if head in model.labelled]
            if owners:
                frames = part.frames & owners[0].labelled[head]
                weights = draw_weights(units[frames], resamples, seed, part.name)
                measures = [
                    measure(model, head, part, frames, weights, inner) if head in model.labelled else ({}, {})
                    for model in models
                ]
                rows += describe(measures, owners[0], head, part, frames, len(np.unique(units[frames])))
        return rows

    return [row for rows in for_each(compare_part, parts, threads) for row in rows]


def check_same_labels(candidate: Statistics, production: Statistics) -> None:
    """Raise ValueError where two models' statistics are not of the same frames, categories and labels."""
    one, other = candidate.columns, production.columns
    if not np.array_equal(one["frames/frame"], other["frames/frame"]):
        raise ValueError("candidate and production were not measured on the same frames")
    for head in set(candidate.heads) & set(production.heads):
        same = np.array_equal(one[f"frames/{head}"], other[f"frames/{head}"])
        if head == "detection":
            truth = [name for name in one if name.startswith("truth/")]
            same &= candidate.categories == production.categories
            same &= all(np.array_equal(one[name], other[name]) for name in truth)
        elif head == "segmentation":
            same &= candidate.classes == production.classes
            same = same and np.array_equal(one["confusion/matrix"].sum(axis=2), other["confusion/matrix"].sum(axis=2))
        elif head == "trajectory":
            same &= all(np.array_equal(one[f"tracks/{name}"], other[f"tracks/{name}"]) for name in ("frame", "x", "y"))
        elif same:
            hits_and_misses = [columns["lane_counts/counts"][:, [0, 2]].sum(axis=1) for columns in (one, other)]
            same = np.array_equal(*hits_and_misses)
            same &= np.array_equal(*(columns["lane_points/frame"] for columns in (one, other)))
        if not same:
            raise ValueError(f"candidate and production were not measured on the same labels of {head}")


def parts_of(slices: Sequence[FrameSlice], total: int) -> list[Part]:
    """Overall, then the slices; raises ValueError for a slice of another number of frames."""
    for item in slices:
        if len(item.frames) != total:
            raise ValueError(f"the slice {item.name} is over {len(item.frames)} frames; the manifest has {total}")
    overall = Part(name=None, category=None, frames=np.ones(total, dtype=bool))
    return [overall, *(Part(name=item.name, category=item.category, frames=item.frames) for item in slices)]


def measure(
    tables: Tables, head: str, part: Part, frames: np.ndarray, weights: np.ndarray | None, threads: int = 1
) -> tuple[dict[str, float | None], dict[str, np.ndarray]]:
    """A head's scores on some frames, None where nothing can be measured, and each score's resamples [B], NaN there.

    frames: [F] bool, those of the part with labels of the head. weights: [B, frames] int32; without them no resamples.
    """
    if head == "detection":
        ordered, names = tables.ordered, tables.categories
        if part.category is not None:
            ordered, names = single_category(ordered, names.index(part.category)), (part.category,)
        each = part.name is None or part.category is not None
        values = detection_scores(ordered, names, frames, each)
        spreads = {} if weights is None else resampled_detection(restrict(ordered, frames), names, weights, threads)
        errors, resampled = calibration_scores(tables.gaps, ordered, names if each else (), frames, weights)
        values, spreads = values | errors, spreads | resampled
    elif head == "segmentation":
        matrices = tables.confusion[frames]
        values = segmentation_scores(matrices.sum(axis=0), tables.classes)
        spreads = {} if weights is None else segmentation_scores(weighted_sums(weights, matrices), tables.classes)
    elif head == "trajectory":
        values = trajectory_scores(tables.tracks[frames].sum(axis=0))
        spreads = {} if weights is None else trajectory_scores(weighted_sums(weights, tables.tracks[frames]))
    else:
        values = lane_scores(tables.lanes[frames].sum(axis=0))
        spreads = {} if weights is None else lane_scores(weighted_sums(weights, tables.lanes[frames]))
    chosen = [metric for metric in values if is_reported(metric, part)]
    return {metric: number(values[metric]) for metric in chosen}, {
        metric: spreads[metric] for metric in chosen if metric in spreads
    }


def is_reported(metric: str, part: Part) -> bool:
    """Whether a metric is listed: all overall, the heads' own on a slice, the category's own on a slice of one."""
    if part.category is not None:
        return metric in (f"ap/{part.category}", f"ece/{part.category}")
    return part.name is None or metric in SLICE_METRICS


def describe(
    measures: list[tuple[dict[str, float | None], dict[str, np.ndarray]]],
    tables: Tables,
    head: str,
    part: Part,
    frames: np.ndarray,
    units: int,
) -> list[dict[str, Any]]:
    """Rows of the report's scores: a head's, on one part, of the candidate and, where there is one, of production."""
    (values, spreads), (others, other_spreads) = measures[0], measures[1] if len(measures) > 1 else ({}, {})
    count = int(frames.sum())
    rows = []
    for metric in values or others:
        own, other = values.get(metric), others.get(metric)
        compared = own is not None and other is not None
        delta = own - other if compared else None
        own_spread = spread_of(own, spreads[metric], units) if own is not None else None
        gap = spread_of(delta, spreads[metric] - other_spreads[metric], units) if compared else None
        rows.append(
            {
                "metric": metric,
                "slice": part.name,
                "frames": count,
                "units": units,
                "objects": count_truth(tables, head, metric, frames),
                "candidate": own,
                "candidate_error": own_spread and own_spread.error,
                "candidate_interval": own_spread and [own_spread.low, own_spread.high],
                "production": other,
                "delta": delta,
                "delta_error": gap and gap.error,
                "delta_interval": gap and [gap.low, gap.high],
            }
        )
    return rows


def count_truth(tables: Tables, head: str, metric: str, frames: np.ndarray) -> int | None:
    """Ground truth behind a score, crowds left out; None for segmentation, where frames are all that counts."""
    if head == "segmentation":
        return None
    if head == "trajectory":
        return int(tables.tracks[frames][:, 0].sum())
    if head == "lanes":
        # Every labelled line is a hit or a miss.
        return int(tables.lanes[frames][:, [0, 2]].sum())
    truth, (_, of, category) = tables.ordered.truth[:, frames], metric.partition("/")
    return int(truth[tables.categories.index(category)].sum() if of else truth.sum())


def number(value: np.ndarray | float | None) -> float | None:
    """A float, or None for NaN."""
    return None if value is None or np.isnan(value) else float(value)
