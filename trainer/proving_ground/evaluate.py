"""Two models' weights and the test frames become eval_report.json: same frames, same code, same job."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from proving_ground.card import render_card
from proving_ground.config import EvaluateRun, check_document, read_architecture
from proving_ground.data.dataset import FrameDataset
from proving_ground.data.loader import EVALUATION_BATCH, evaluation_loader, watch
from proving_ground.data.manifest import Frame, read_manifest
from proving_ground.data.slices import load_slices, select_frames
from proving_ground.distributed import Group
from proving_ground.errors import Refused
from proving_ground.evaluation import Evaluator, FrameSlice, Statistics, compare
from proving_ground.evaluation.intervals import units_of
from proving_ground.figures import make_figures
from proving_ground.files import digest, read_json, verify_manifest, write_atomic, write_json, write_manifest
from proving_ground.latency import latency_side_by_side
from proving_ground.model.network import Network
from proving_ground.model.predictions import predict
from proving_ground.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained model's folder, read and verified."""

    folder: Path
    network: Network
    document: dict[str, Any]


def evaluate(
    run: EvaluateRun,
    group: Group,
    data: Path,
    candidate: Path,
    production: Path | None,
    output: Path,
    loader: dict[str, Any],
    progress: Progress,
) -> None:
    """Measure both models and write the evaluation's artefacts; raises Refused for what isn't what the run names.

    loader: how frames are loaded, as the conditions have it.
    """
    manifest = run.data.manifests["test"]
    frames = read_manifest(data / manifest.file, manifest.sha256, list(run.data.detection))
    slices = load_slices(data / run.data.slices.file, run.data.slices.sha256, run.data.detection)
    chosen = select_frames(slices, [frame.attributes for frame in frames])
    if (production is None) != (run.production is None):
        raise Refused("the run names a production model and the job was given none, or the other way round")
    models = {"candidate": open_model(candidate, run.candidate["manifest"], run)}
    if production is not None:
        models["production"] = open_model(production, run.production["manifest"], run)

    statistics: dict[str, Statistics | None] = {}
    for name, model in models.items():
        model.network.to(group.device, memory_format=torch.channels_last)
        dataset = FrameDataset(data, frames, run.data, read_architecture(model.document["architecture"]))
        batches = evaluation_loader(dataset, (group.rank, group.size), loader)
        statistics[name] = measure(model.network, dataset, batches, group, progress, f"evaluate {name}")
    if group.is_first:
        write_artefacts(run, models, statistics, frames, chosen, data, output, progress)
    # The other ranks stay until the figures are written: a rank that leaves early would end the job.
    group.barrier()


def measure(
    network: Network,
    dataset: FrameDataset,
    loader: DataLoader[Any],
    group: Group,
    progress: Progress,
    stage: str,
    epoch: tuple[int, int] | None = None,
) -> Statistics | None:
    """Statistics of a network over all frames of a dataset, on rank 0; each frame is seen by one rank alone.

    Raises Stopped on every rank where any was asked to stop.
    """
    architecture, data = dataset.architecture, dataset.data
    evaluator = Evaluator(
        heads=architecture.heads, detection_categories=data.detection, segmentation_classes=data.segmentation
    )
    network.eval()
    # As many turns on every rank: the one with a frame less may have a batch less.
    turns = math.ceil(math.ceil(len(dataset) / group.size) / EVALUATION_BATCH)
    batches = watch(loader)
    with torch.inference_mode():
        for turn in range(turns):
            group.check_stop(f"while it measured ({stage})")
            indices, inputs, targets = next(batches, ([], {}, []))
            if not indices:
                continue
            inputs = {name: tensor.to(group.device) for name, tensor in inputs.items()}
            if "image" in inputs:
                inputs["image"] = inputs["image"].contiguous(memory_format=torch.channels_last)
            counts = inputs["track"].sum(dim=1).tolist() if "track" in inputs else None
            sizes = [(target.width, target.height) for target in targets]
            predictions = predict(network(**inputs), sizes, (architecture.width, architecture.height), counts)
            for index, prediction, target in zip(indices, predictions, targets, strict=True):
                evaluator.add(index, prediction, target)
            progress.show(stage, turn + 1, turns, epoch=epoch)
    parts = group.gather(evaluator.statistics())
    return Statistics.merge(parts) if group.is_first else None


def open_model(folder: Path, manifest: str, run: EvaluateRun) -> Model:
    """Read a trained model; raises Refused where its bytes or its categories are not what the run asks for."""
    verify_manifest(folder, manifest)
    document = read_json(folder / "model.json")
    own = document["categories"]
    wanted = {"detection": list(run.data.detection), "segmentation": list(run.data.segmentation)}
    for head in document["architecture"]["heads"]:
        if head in wanted and own[head] != wanted[head]:
            raise Refused(
                f"{folder}: the model was trained for the {head} categories {', '.join(own[head])}, and the data has "
                f"{', '.join(wanted[head])}: they can't be compared on the same frames"
            )
    architecture = read_architecture(document["architecture"])
    network = Network(architecture, len(own["detection"]), len(own["segmentation"]), run.data.tracks)
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return Model(folder=folder, network=network, document=document)


def write_artefacts(
    run: EvaluateRun,
    models: dict[str, Model],
    statistics: dict[str, Statistics | None],
    frames: list[Frame],
    slices: list[FrameSlice],
    data: Path,
    output: Path,
    progress: Progress,
) -> None:
    """Compare, time, and write statistics, figures, report and card; the manifest last."""
    progress.show("compare", 0, 1)
    (output / "statistics").mkdir(parents=True, exist_ok=True)
    kept = []
    for name, values in statistics.items():
        file = f"statistics/{name}.npz"
        values.save(output / file)
        kept.append({"of": name, "file": file, "sha256": digest(output / file)})
    scores = compare(
        statistics["candidate"],
        statistics.get("production"),
        slices,
        resamples=run.resamples,
        seed=run.seed,
        total_frames=len(frames),
        units=units_of([frame.sequence for frame in frames]),
    )
    progress.show("latency", 0, 1)
    folders = {name: model.folder for name, model in models.items()}
    latency, latency_scores, times = latency_side_by_side(folders, run.resamples, run.seed)
    progress.show("figures", 0, 1)
    measured = {name: values for name, values in statistics.items() if values is not None}
    figures = make_figures(measured, slices, frames, data, times)
    check_document("figures", figures, "figures.json")
    write_atomic(output / "figures.json", (json.dumps(figures, separators=(",", ":")) + "\n").encode())
    artefacts = [{"name": "figures", "file": "figures.json", "sha256": digest(output / "figures.json")}]
    report = {
        "schema": 1,
        "run": run.id,
        "candidate": described(run.candidate, models["candidate"]),
        "production": described(run.production, models["production"]) if run.production else None,
        "data": {
            "name": run.data.name,
            "version": run.data.version,
            "frames": len(frames),
            "objects": count_objects(frames, run.data.detection),
        },
        "slices": [describe_slice(item, frames) for item in slices],
        "scores": scores + latency_scores,
        "uncertainty": {
            "method": "paired studentised bootstrap",
            "unit": "frame" if all(frame.sequence is None for frame in frames) else "sequence",
            "resamples": run.resamples,
            "seed": run.seed,
            "level": 0.95,
        },
        "latency": latency,
        "exports": models["candidate"].document["exports"],
        "training": models["candidate"].document["training"],
        "statistics": kept,
        "artefacts": artefacts,
    }
    check_document("eval_report", report, "eval_report.json")
    write_json(output / "eval_report.json", report)
    write_atomic(output / "model_card.md", render_card(run, models["candidate"].document, report).encode())
    write_manifest(output, run.id)


def described(document: dict[str, Any], model: Model) -> dict[str, Any]:
    """How the report names a measured model."""
    return {**document, "parameters": model.document["parameters"]}


def count_objects(frames: list[Frame], categories: tuple[str, ...]) -> dict[str, int]:
    """Objects of each category, crowds left out."""
    counts = dict.fromkeys(categories, 0)
    for frame in frames:
        for label in frame.detection or []:
            counts[label["category"]] += not label.get("crowd", False)
    return counts


def describe_slice(item: FrameSlice, frames: list[Frame]) -> dict[str, Any]:
    """A slice with its numbers of frames and objects."""
    chosen = [frame for frame, inside in zip(frames, item.frames, strict=True) if inside]
    names = sorted({label["category"] for frame in chosen for label in frame.detection or []})
    counts = count_objects(chosen, tuple(names))
    return {
        "name": item.name,
        "where": item.where,
        "category": item.category,
        "protected": item.protected,
        "frames": int(item.frames.sum()),
        "objects": sum(counts.values()) if item.category is None else counts.get(item.category, 0),
    }
