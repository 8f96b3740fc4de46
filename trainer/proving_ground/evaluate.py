"""Two models' weights and the test frames become eval_report.json: same frames, same code, same job."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from proving_ground.card import render_card
from proving_ground.checks import check_files, files_of
from proving_ground.config import EvaluateRun, read_architecture
from proving_ground.data.dataset import FrameDataset
from proving_ground.data.loader import EVALUATION_BATCH, evaluation_loader, watch
from proving_ground.data.manifest import Frame, read_manifest
from proving_ground.data.slices import load_slices, select_frames
from proving_ground.errors import Refused
from proving_ground.evaluation import Evaluator, FrameSlice, Statistics, compare
from proving_ground.evaluation.frame_index import FrameIndex
from proving_ground.evaluation.intervals import units_of
from proving_ground.figures import make_figures
from proving_ground.files import digest, read_model, verify_manifest, write_atomic, write_json, write_manifest
from proving_ground.job import Job
from proving_ground.latency import latency_side_by_side
from proving_ground.model.network import Network
from proving_ground.model.predictions import predict
from proving_ground.rescore import describe_slice, judged_frames, load_kept, read_report
from proving_ground.schema import check_document


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained model's folder, verified, with its model.json."""

    folder: Path
    document: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders of an evaluation."""

    data: Path
    """The dataset."""

    output: Path
    """Where the artefacts go, manifest.json last."""

    models: dict[str, Path]
    """The models to measure: `candidate`, and `production` where there is one."""

    earlier: dict[str, Path]
    """By the same names, evaluations that have measured a model on the same frames by the same code: its statistics are
    taken as they are."""


@dataclass(frozen=True, kw_only=True)
class TestSplit:
    """The frames that the models are judged on."""

    data: Path
    """The dataset's folder."""

    frames: list[Frame]
    """All of the manifest, in its order."""

    slices: list[FrameSlice]
    """Those of the plan, with the judged frames of each."""

    judged: np.ndarray
    """[F] bool: the frames that decide, which leaves out those that production wasn't judged on."""


class Measured(NamedTuple):
    """A model's statistics (None on ranks other than the first), and the evaluation that measured them."""

    statistics: Statistics | None
    evaluation: str


def evaluate(job: Job[EvaluateRun], places: Places) -> None:
    """Measure both models and write the evaluation's artefacts; raises Refused for what isn't what the run names."""
    run, group = job.run, job.group
    split = open_split(run, places.data)
    if ("production" in places.models) != (run.production is not None):
        raise Refused("the run names a production model and the job was given none, or the other way round")
    models = {name: open_model(folder, getattr(run, name)["manifest"], run) for name, folder in places.models.items()}
    datasets = {
        name: FrameDataset(split.data, split.frames, run.data, read_architecture(model.document["architecture"]))
        for name, model in models.items()
        if name not in places.earlier
    }
    check_files(job, list({files.needs: files for files in map(files_of, datasets.values())}.values()))
    measured: dict[str, Measured] = {}
    for name, model in models.items():
        if folder := places.earlier.get(name):
            measured[name] = read_measured(folder, run, getattr(run, name)["manifest"], group.is_first)
            continue
        network = open_network(model, run).to(group.device, memory_format=torch.channels_last)
        dataset = datasets[name]
        batches = evaluation_loader(dataset, (group.rank, group.size), job.conditions.loader)
        measured[name] = Measured(measure(job, network, dataset, batches, f"evaluate {name}"), run.id)
    if group.is_first:
        write_artefacts(job, split, models, measured, places.output)
    # The other ranks stay until the figures are written: a rank that leaves early would end the job.
    group.barrier()


def open_split(run: EvaluateRun, data: Path) -> TestSplit:
    """Read the test manifest and its slices; raises Refused where they are not what the run names."""
    manifest = run.data.manifests["test"]
    frames = read_manifest(data / manifest.file, manifest.sha256, list(run.data.detection))
    slices = load_slices(data / run.data.slices.file, run.data.slices.sha256, run.data.detection)
    judged = judged_frames(len(frames), run.added)
    selected = select_frames(slices, [frame.attributes for frame in frames])
    slices = [replace(item, frames=item.frames & judged) for item in selected]
    return TestSplit(data=data, frames=frames, slices=slices, judged=judged)


def measure(
    job: Job[Any],
    network: Network,
    dataset: FrameDataset,
    loader: DataLoader[Any],
    stage: str,
    epoch: tuple[int, int] | None = None,
) -> Statistics | None:
    """Statistics of a network over all frames of a dataset, on rank 0; each frame is seen by one rank alone.

    Raises Stopped on every rank where any was asked to stop.
    """
    group, architecture, data = job.group, dataset.architecture, dataset.data
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
            job.progress.show(stage, turn + 1, turns, epoch=epoch)
    parts = group.gather(evaluator.statistics())
    return Statistics.merge(parts) if group.is_first else None


def open_model(folder: Path, manifest: str, run: EvaluateRun) -> Model:
    """Read a trained model; raises Refused where its bytes or its categories are not what the run asks for."""
    verify_manifest(folder, manifest)
    document = read_model(folder)
    own = document["categories"]
    wanted = {"detection": list(run.data.detection), "segmentation": list(run.data.segmentation)}
    for head in document["architecture"]["heads"]:
        if head in wanted and own[head] != wanted[head]:
            raise Refused(
                f"{folder}: the model was trained for the {head} categories {', '.join(own[head])}, but the data has "
                f"{', '.join(wanted[head])}: they can't be compared on the same frames"
            )
    return Model(folder=folder, document=document)


def open_network(model: Model, run: EvaluateRun) -> Network:
    """The network with its weights."""
    categories = model.document["categories"]
    architecture = read_architecture(model.document["architecture"])
    network = Network(architecture, len(categories["detection"]), len(categories["segmentation"]), run.data.tracks)
    network.load_state_dict(load_file(model.folder / "weights.safetensors"))
    return network


def read_measured(folder: Path, run: EvaluateRun, manifest: str, is_first: bool) -> Measured:
    """A model's statistics from an earlier evaluation; raises Refused where they are damaged, or of anything else."""
    report = read_report(folder)
    wanted = identity_of(run, manifest)
    kept = next((kept for kept in report["statistics"] if wanted.items() <= kept.items()), None)
    if kept is None:
        raise Refused(
            f"{folder / 'eval_report.json'}: it isn't an evaluation of the model {manifest} "
            "on these frames by this code"
        )
    if not is_first:
        return Measured(None, kept["evaluation"])
    return Measured(load_kept(folder, kept), kept["evaluation"])


def identity_of(run: EvaluateRun, manifest: str) -> dict[str, str]:
    """What decides a model's statistics: its artefacts, the data, which of their frames, and the code.

    A manifest names images and not their bytes; the dataset's version has those too.
    """
    frames = run.data.manifests["test"].sha256
    return {"model": manifest, "data": run.data.version, "frames": frames, "code": run.document["code"]}


def write_artefacts(
    job: Job[EvaluateRun], split: TestSplit, models: dict[str, Model], measured: dict[str, Measured], output: Path
) -> None:
    """Compare, time, and write statistics, figures, report and card; the manifest last."""
    run, slices = job.run, split.slices
    job.progress.show("compare", 0, 1)
    index = FrameIndex.of(split.frames, run.data.detection)
    kept = keep_statistics(run, measured, index, output)
    statistics = {name: values.statistics for name, values in measured.items() if values.statistics is not None}
    units = units_of(index.sequences)

    def compare_on(frames: np.ndarray, slices: list[FrameSlice]) -> list[dict[str, Any]]:
        return compare(
            statistics["candidate"],
            statistics.get("production"),
            slices,
            resamples=run.resamples,
            seed=run.seed,
            total_frames=len(split.frames),
            units=np.where(frames, units, -1),
        )

    scores = compare_on(split.judged, slices)
    apart = compare_on(~split.judged, []) if run.added else []
    job.progress.show("latency", 0, 1)
    folders = {name: model.folder for name, model in models.items()}
    latency, latency_scores, times = latency_side_by_side(folders, run.resamples, run.seed)
    job.progress.show("figures", 0, 1)
    figures = make_figures(statistics, slices, split.frames, split.data, times)
    check_document("figures", figures, "figures.json")
    write_atomic(output / "figures.json", (json.dumps(figures, separators=(",", ":")) + "\n").encode())
    artefacts = [{"name": "figures", "file": "figures.json", "sha256": digest(output / "figures.json")}]
    report = {
        "schema": 1,
        "run": run.id,
        "candidate": described(run.candidate, models["candidate"]),
        "production": described(run.production, models["production"]) if run.production else None,
        "data": describe_data(run, index),
        "slices": [describe_slice(item, index, run.data.detection) for item in slices],
        "scores": scores + latency_scores,
        **describe_added(run, apart, split.judged),
        "uncertainty": describe_uncertainty(run, index),
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


def describe_added(run: EvaluateRun, scores: list[dict[str, Any]], judged: np.ndarray) -> dict[str, Any]:
    """The frames that were scored apart, with their scores; nothing where there are none."""
    if not run.added:
        return {}
    ranges = [list(ends) for ends in run.added]
    return {"added": {"ranges": ranges, "frames": int((~judged).sum()), "scores": scores}}


def keep_statistics(
    run: EvaluateRun, measured: dict[str, Measured], index: FrameIndex, output: Path
) -> list[dict[str, Any]]:
    """Write the statistics; returns their list for the report, with what decides them."""
    (output / "statistics").mkdir(parents=True, exist_ok=True)
    kept = []
    for name, (statistics, evaluation) in measured.items():
        file = f"statistics/{name}.npz"
        replace(statistics, index=index).save(output / file)
        identity = identity_of(run, getattr(run, name)["manifest"])
        kept.append({"of": name, "file": file, "sha256": digest(output / file), "evaluation": evaluation, **identity})
    return kept


def described(document: dict[str, Any], model: Model) -> dict[str, Any]:
    """How the report names a measured model."""
    return {**document, "parameters": model.document["parameters"]}


def describe_data(run: EvaluateRun, index: FrameIndex) -> dict[str, Any]:
    """What the report says of the test data."""
    return {
        "name": run.data.name,
        "version": run.data.version,
        "frames": len(index.sources),
        "objects": dict(zip(run.data.detection, index.objects.sum(axis=0).tolist(), strict=True)),
    }


def describe_uncertainty(run: EvaluateRun, index: FrameIndex) -> dict[str, Any]:
    """How the report's intervals were made."""
    return {
        "method": "paired studentised bootstrap",
        "unit": index.unit,
        "resamples": run.resamples,
        "seed": run.seed,
        "level": 0.95,
    }
