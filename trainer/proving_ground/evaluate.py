"""Two models' weights and the test frames become eval_report.json: same frames, same code, same job."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from proving_ground.card import render_card
from proving_ground.config import EvaluateRun, check_document, read_architecture
from proving_ground.data.dataset import FrameDataset
from proving_ground.data.manifest import Frame, read_manifest
from proving_ground.data.slices import load_slices, select_frames
from proving_ground.distributed import Group
from proving_ground.errors import Refused
from proving_ground.evaluation import Evaluator, FrameSlice, Statistics, compare
from proving_ground.export import latency_side_by_side
from proving_ground.files import digest, read_json, verify_manifest, write_atomic, write_json, write_manifest
from proving_ground.model.network import Network
from proving_ground.model.predictions import predict
from proving_ground.progress import Progress

BATCH = 16


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
    progress: Progress,
) -> None:
    """Measure both models and write the evaluation's artefacts; raises Refused for what isn't what the run names."""
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
        statistics[name] = measure(model.network, dataset, group, progress, f"evaluate {name}")
    if group.is_first:
        write_artefacts(run, models, statistics, frames, chosen, output, progress)
    # The other ranks stay until the figures are written: a rank that leaves early would end the job.
    group.barrier()


def measure(network: Network, dataset: FrameDataset, group: Group, progress: Progress, stage: str) -> Statistics | None:
    """Statistics of a network over all frames of a dataset, on rank 0; each frame is seen by one rank alone."""
    architecture, data = dataset.architecture, dataset.data
    evaluator = Evaluator(
        heads=architecture.heads, detection_categories=data.detection, segmentation_classes=data.segmentation
    )
    network.eval()
    # Unpadded: the ranks' shares differ by a frame where the world size doesn't divide them.
    mine = list(range(group.rank, len(dataset), group.size))
    with torch.inference_mode():
        for begin in range(0, len(mine), BATCH):
            indices = mine[begin : begin + BATCH]
            images = dataset.images(indices).to(group.device).contiguous(memory_format=torch.channels_last)
            sizes = [(dataset.frames[index].width, dataset.frames[index].height) for index in indices]
            predictions = predict(network(images), sizes, (architecture.width, architecture.height))
            for index, prediction in zip(indices, predictions, strict=True):
                evaluator.add(index, prediction, dataset.target(index))
            progress.show(stage, min(begin + BATCH, len(mine)), len(mine))
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
    network = Network(read_architecture(document["architecture"]), len(own["detection"]), len(own["segmentation"]))
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return Model(folder=folder, network=network, document=document)


def write_artefacts(
    run: EvaluateRun,
    models: dict[str, Model],
    statistics: dict[str, Statistics | None],
    frames: list[Frame],
    slices: list[FrameSlice],
    output: Path,
    progress: Progress,
) -> None:
    """Compare, time, and write statistics, report and card; the manifest last."""
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
    )
    progress.show("latency", 0, 1)
    folders = {name: model.folder for name, model in models.items()}
    shapes = {name: model.document["architecture"]["input"] for name, model in models.items()}
    latency, latency_scores = latency_side_by_side(folders, shapes, run.resamples, run.seed)
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
            "method": "paired percentile bootstrap",
            "unit": "frame",
            "resamples": run.resamples,
            "seed": run.seed,
            "level": 0.95,
        },
        "latency": latency,
        "exports": models["candidate"].document["exports"],
        "training": models["candidate"].document["training"],
        "statistics": kept,
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
