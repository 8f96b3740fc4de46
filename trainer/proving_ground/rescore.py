"""Stored statistics and a file of slices become scores: without the frames, the models, or a GPU."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from proving_ground.data.slices import load_slices, select_frames
from proving_ground.errors import Refused
from proving_ground.evaluation import FrameSlice, Statistics, compare
from proving_ground.evaluation.frame_index import FrameIndex
from proving_ground.evaluation.intervals import units_of
from proving_ground.files import digest, inside, read_json
from proving_ground.schema import check_document


def rescore(evaluation: Path, slices: Path, against: Path | None) -> dict[str, Any]:
    """Slices, scores and uncertainty, as eval_report.json has them, of an evaluation's candidate on other slices.

    evaluation, against: folders of evaluations; the candidate of `against` takes the place of production, with all of
    its own latencies left out: they were not taken side by side. Raises Refused for what is damaged, can't be read, or
    is of other frames.
    """
    report = read_report(evaluation)
    candidate = read_statistics(evaluation, report, "candidate")
    production = read_production(evaluation, report, against)
    index = index_of(evaluation, candidate)
    if production is not None and not index.is_of_the_frames_of(index_of(against or evaluation, production)):
        raise Refused(f"{against or evaluation}: it covers other frames than {evaluation}")
    listed = load_slices(slices, None, candidate.categories)
    judged = judged_frames(len(index.sources), report.get("added", {}).get("ranges", ()))
    selected = select_frames(listed, index.attributes)
    chosen = [replace(item, frames=item.frames & judged) for item in selected]
    uncertainty = report["uncertainty"]
    try:
        scores = compare(
            candidate,
            production,
            chosen,
            resamples=uncertainty["resamples"],
            seed=uncertainty["seed"],
            total_frames=len(index.sources),
            units=np.where(judged, units_of(index.sequences), -1),
        )
    except ValueError as error:
        raise Refused(f"{against or evaluation}: {error}") from error
    latencies = [] if against else [score for score in report["scores"] if score["metric"].startswith("latency_")]
    return {
        "slices": [describe_slice(item, index, candidate.categories) for item in chosen],
        "scores": scores + latencies,
        "uncertainty": uncertainty,
    }


def judged_frames(total: int, added: Iterable[Sequence[int]]) -> np.ndarray:
    """[F] bool: the frames that decide. `added` are ranges, without their ends, of frames that don't yet.

    Raises Refused where a range isn't of the manifest, or no frame is left.
    """
    judged = np.ones(total, dtype=bool)
    for first, end in added:
        if not 0 <= first < end <= total:
            raise Refused(f"the added frames {first} to {end} are not of a manifest of {total} frames")
        judged[first:end] = False
    if not judged.any():
        raise Refused("every test frame was added: none is left to judge on")
    return judged


def read_report(folder: Path) -> dict[str, Any]:
    """An evaluation's eval_report.json; raises Refused where it is absent, damaged or of another version."""
    file = folder / "eval_report.json"
    return check_document("eval_report", read_json(file), str(file))


def read_statistics(folder: Path, report: dict[str, Any], of: str) -> Statistics:
    """A model's statistics of an evaluation; raises Refused where they are not the bytes that its report names."""
    kept = next((kept for kept in report["statistics"] if kept["of"] == of), None)
    if kept is None:
        raise Refused(f"{folder}: the evaluation has no statistics of a {of}")
    return load_kept(folder, kept)


def load_kept(folder: Path, kept: dict[str, Any]) -> Statistics:
    """Statistics that a report names; raises Refused where they are damaged, or not the bytes that it names."""
    place = inside(folder, kept["file"])
    if digest(place) != kept["sha256"]:
        raise Refused(f"{place}: the statistics don't match the digest in eval_report.json ({kept['sha256']})")
    return Statistics.load(place)


def read_production(folder: Path, report: dict[str, Any], against: Path | None) -> Statistics | None:
    """What the candidate is compared with: another evaluation's candidate, or this one's production, if any."""
    if against is not None:
        return read_statistics(against, read_report(against), "candidate")
    return read_statistics(folder, report, "production") if report["production"] else None


def index_of(folder: Path, statistics: Statistics) -> FrameIndex:
    """Which frames were measured; raises Refused where the statistics don't say."""
    if statistics.index is None:
        raise Refused(f"{folder}: the statistics don't say which frames they cover")
    return statistics.index


def describe_slice(item: FrameSlice, index: FrameIndex, categories: tuple[str, ...]) -> dict[str, Any]:
    """A slice with its numbers of frames and objects, crowds left out."""
    objects = dict(zip(categories, index.objects[item.frames].sum(axis=0).tolist(), strict=True))
    return {
        "name": item.name,
        "where": item.where,
        "category": item.category,
        "protected": item.protected,
        "frames": int(item.frames.sum()),
        "objects": sum(objects.values()) if item.category is None else objects[item.category],
    }
