"""run.json becomes frozen values, checked against its schema."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from proving_ground.errors import Refused

SCHEMAS = Path(__file__).parent / "schemas"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The network: input size in pixels, channels of the four stages, blocks in each, channels of the neck, heads."""

    width: int
    height: int
    widths: tuple[int, ...]
    depth: int
    neck: int
    heads: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the network is trained; `loss` and `augment` are as the recipe has them."""

    epochs: int
    global_batch: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    clip_norm: float
    precision: str
    checkpoint_steps: int
    loss: dict[str, dict[str, float]]
    augment: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest's file name and the digest it was planned with."""

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Data:
    """The dataset: its name and version, its files by digest, the names behind the labels."""

    name: str
    version: str
    manifests: dict[str, Manifest]
    slices: Manifest
    detection: tuple[str, ...]
    segmentation: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TrainRun:
    """A training's document."""

    id: str
    experiment: str
    model: str
    seed: int
    processes: int
    data: Data
    architecture: Architecture
    train: Training
    weights: str | None
    document: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class EvaluateRun:
    """An evaluation's document; `candidate` and `production` name runs and digests."""

    id: str
    experiment: str
    model: str
    processes: int
    data: Data
    candidate: dict[str, Any]
    production: dict[str, Any] | None
    resamples: int
    seed: int
    document: dict[str, Any]


def read_run(file: Path, kind: str) -> TrainRun | EvaluateRun:
    """Read run.json; raises Refused where it isn't a document of this kind and version."""
    document = check_document("run", json.loads(file.read_text()), str(file))
    if document["kind"] != kind:
        raise Refused(f"{file}: found a run of kind {document['kind']}; this process does {kind}")
    common = {key: document[key] for key in ("id", "experiment", "model", "seed", "processes")}
    common |= {"data": read_data(document["data"]), "document": document}
    if kind == "evaluate":
        return EvaluateRun(**common, **{key: document[key] for key in ("candidate", "production", "resamples")})
    train = Training(**document["train"])
    if train.global_batch % document["processes"]:
        raise Refused(
            f"{file}: {document['processes']} processes don't divide the global batch of {train.global_batch}"
        )
    return TrainRun(
        **common, architecture=read_architecture(document["architecture"]), train=train, weights=document["weights"]
    )


def read_architecture(value: dict[str, Any]) -> Architecture:
    """Architecture from its document form, as run.json and model.json have it."""
    return Architecture(
        width=value["input"]["width"],
        height=value["input"]["height"],
        widths=tuple(value["backbone"]["widths"]),
        depth=value["backbone"]["depth"],
        neck=value["neck"]["channels"],
        heads=tuple(value["heads"]),
    )


def read_data(value: dict[str, Any]) -> Data:
    """Dataset from its document form."""
    return Data(
        name=value["name"],
        version=value["version"],
        manifests={split: Manifest(file=it["file"], sha256=it["sha256"]) for split, it in value["manifests"].items()},
        slices=Manifest(**value["slices"]),
        detection=tuple(value["categories"]["detection"]),
        segmentation=tuple(value["categories"]["segmentation"]),
    )


def check_document(name: str, value: Any, where: str) -> Any:
    """Check a document against the schema that both languages read; raises Refused naming the place."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    error = jsonschema.exceptions.best_match(jsonschema.Draft7Validator(schema).iter_errors(value))
    if error is not None:
        raise Refused(f"{where}: not a {name}.json of this version: {error.json_path} {error.message}")
    return value
