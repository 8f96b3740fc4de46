"""run.json becomes frozen values, checked against its schema."""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from proving_ground.errors import Refused
from proving_ground.schema import check_document


@dataclass(frozen=True, kw_only=True)
class TrajectoryHead:
    """The trajectory head: how many futures it predicts for a track, and the channels of its encoder."""

    modes: int
    hidden: int


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """Shape of the data's tracks: points of the past (the present is its last), of the future, seconds between two."""

    past: int
    future: int
    step_seconds: float


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The network: input size in pixels, channels of the four stages, blocks in each, channels of the neck, heads.

    A network of tracks alone has no image: width and height are 0, and there is no backbone and no neck.
    """

    width: int
    height: int
    widths: tuple[int, ...]
    depth: int
    neck: int
    heads: tuple[str, ...]
    trajectory: TrajectoryHead | None = None


@dataclass(frozen=True, kw_only=True)
class CheckpointRule:
    """When a checkpoint is written, which are kept, and how often one goes to the durable store."""

    steps: int
    minutes: float
    keep_last: int
    keep_every_hours: float
    durable_minutes: float


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the network is trained; `balance`, `loss` and `augment` are as the recipe has them."""

    epochs: int
    global_batch: int
    accumulation: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    clip_norm: float
    ema_decay: float
    freeze: list[str]
    precision: str
    matmul_precision: str
    channels_last: bool
    compile: bool
    max_loss_factor: float
    sanity: bool
    determinism_steps: int
    checkpoint: CheckpointRule
    balance: dict[str, Any]
    loss: dict[str, dict[str, float]]
    augment: dict[str, dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest's file name and the digest it was planned with."""

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Masks:
    """What the values of masks mean, where they aren't the classes' indices: whole numbers, or colours as #rrggbb."""

    values: dict[str, int | str] | None
    """Each class's value; None where it is the class's index."""

    ignore: tuple[int | str, ...]
    """Values of pixels that aren't compared."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """The dataset: its name and version, its files by digest, the names behind the labels."""

    name: str
    version: str
    manifests: dict[str, Manifest]
    slices: Manifest
    detection: tuple[str, ...]
    segmentation: tuple[str, ...]
    tracks: Tracks | None
    masks: Masks | None = None


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Older data, a share of which stands in every batch."""

    share: float
    data: Data


@dataclass(frozen=True, kw_only=True)
class Window:
    """Days, in UTC, of which the training frames are taken: both ends are inside."""

    first: date
    last: date


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
    weights: dict[str, Any] | None
    replay: Replay | None
    window: Window | None
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
    added: tuple[tuple[int, int], ...] = ()
    """Test frames that production wasn't judged on: places in the manifest, each range without its end. They are scored
    apart."""


def read_run(file: Path, kind: str) -> TrainRun | EvaluateRun:
    """Read run.json; raises Refused where it isn't a document of this kind and version."""
    document = check_document("run", json.loads(file.read_text()), str(file))
    if document["kind"] != kind:
        raise Refused(f"{file}: found a run of kind {document['kind']}; this process does {kind}")
    common = {key: document[key] for key in ("id", "experiment", "model", "seed", "processes")}
    common |= {"data": read_data(document["data"]), "document": document}
    if kind == "evaluate":
        added = tuple((first, end) for first, end in document.get("added", ()))
        of_both = {key: document[key] for key in ("candidate", "production", "resamples")}
        return EvaluateRun(**common, **of_both, added=added)
    train = Training(**{**document["train"], "checkpoint": CheckpointRule(**document["train"]["checkpoint"])})
    parts = document["processes"] * train.accumulation
    if train.global_batch % parts:
        raise Refused(
            f"{file}: found a global batch of {train.global_batch}; it must be a multiple of {parts}, for "
            f"{document['processes']} processes with {train.accumulation} accumulated parts each"
        )
    replay = document["replay"]
    return TrainRun(
        **common,
        architecture=read_architecture(document["architecture"]),
        train=train,
        weights=document["weights"],
        replay=replay and Replay(share=replay["share"], data=read_data(replay["data"])),
        window=read_window(document.get("window"), file),
    )


def read_window(value: dict[str, str] | None, file: Path) -> Window | None:
    """Window from its document form; raises Refused for days that no calendar has."""
    try:
        return value and Window(first=date.fromisoformat(value["from"]), last=date.fromisoformat(value["to"]))
    except ValueError as error:
        raise Refused(f"{file}: window: {error}") from error


def read_architecture(value: dict[str, Any]) -> Architecture:
    """Architecture from its document form, as run.json and model.json have it."""
    head = value.get("trajectory")
    image = value.get("input", {"width": 0, "height": 0})
    return Architecture(
        width=image["width"],
        height=image["height"],
        widths=tuple(value["backbone"]["widths"]) if "backbone" in value else (),
        depth=value["backbone"]["depth"] if "backbone" in value else 0,
        neck=value["neck"]["channels"] if "neck" in value else 0,
        heads=tuple(value["heads"]),
        trajectory=head and TrajectoryHead(**head),
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
        tracks=value["tracks"] and Tracks(**value["tracks"]),
        masks=read_masks(value.get("masks")),
    )


def read_masks(value: dict[str, Any] | None) -> Masks | None:
    """What masks mean, from its document form."""
    return value and Masks(values=value.get("values"), ignore=tuple(value.get("ignore", ())))


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What surrounds a training and is no part of what it is: its results don't depend on any of it.

    loader: workers, prefetch, pin_memory. network: instance, floor_gbps, timeout_seconds. drift: off, warn or abort.
    latency: the gate's limits. tracking: mode, project, entity, images, histograms.
    """

    loader: dict[str, Any]
    network: dict[str, Any]
    drift: str
    latency: list[dict[str, Any]]
    tracking: dict[str, Any]


def read_conditions(file: Path) -> Conditions:
    """Read conditions.json; raises Refused where it isn't one of this version."""
    document = check_document("conditions", json.loads(file.read_text()), str(file))
    return Conditions(**{key: value for key, value in document.items() if key != "schema"})
