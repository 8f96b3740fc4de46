"""A generated dataset of a few small frames and the run documents that name it, for every test that needs one.

Tests marked `soak` are the rest of an exhaustive set: they run where PROVING_GROUND_SOAK=1 asks for the whole.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ranks

from proving_ground.files import digest
from proving_ground.importers.scenes import import_scenes

# Nothing above loads torch, which reads it once: several test processes only slow each other with a thread a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Whether the whole of the exhaustive sets runs, or the part of them that each run has.
SOAK = os.environ.get("PROVING_GROUND_SOAK") == "1"
CATEGORIES = {
    "detection": ["vehicle", "pedestrian", "rider"],
    "segmentation": [
        "background",
        "sky",
        "road",
        "lane",
        "vehicle",
        "pedestrian",
        "rider",
    ],
}
SLICES = [
    {"name": "night", "where": {"timeofday": "night"}, "protected": True},
    {
        "name": "night-pedestrian",
        "where": {"timeofday": "night"},
        "category": "pedestrian",
    },
]
ZERO = "sha256:" + "0" * 64
CHECKPOINT = {
    "steps": 2,
    "minutes": 10,
    "keep_last": 2,
    "keep_every_hours": 0,
    "durable_minutes": 0,
}
# Every feature that a resumed run has to carry on.
ALL_FEATURES = {
    "accumulation": 2,
    "ema_decay": 0.9,
    "balance": {"method": "gradnorm", "alpha": 1.5, "learning_rate": 0.05},
    "loss": {
        "detection": {"weight": 1, "gamma": 2, "box_weight": 0.5},
        "segmentation": {"weight": 1},
        "lanes": {"weight": 0.5},
        "trajectory": {"weight": 0.2, "class_weight": 0.5},
    },
    "augment": {
        "flip": {"probability": 0.5},
        "crop": {"probability": 0.5, "strength": 0.3},
        "photometric": {"probability": 1, "strength": 0.2},
        "blur": {"probability": 0.3, "strength": 0.5},
        "noise": {"probability": 0.3, "strength": 0.3},
        "rain": {"probability": 0.2, "strength": 0.5},
        "fog": {"probability": 0.2, "strength": 0.5},
        "night": {"probability": 0.2, "strength": 0.5},
        "mosaic": {"probability": 0.3},
    },
}


def scenes_spec(**changes: Any) -> dict[str, Any]:
    """Settings of the importer for a dataset that is made in a tenth of a second."""
    splits = {
        "train": [{"frames": 24}],
        "val": [{"frames": 6}],
        "test": [{"frames": 9}],
    }
    spec = {
        "name": "scenes",
        "seed": 1,
        "width": 96,
        "height": 64,
        "splits": splits,
        "slices": SLICES,
    }
    return {**spec, "categories": CATEGORIES, **changes}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for the soak alone, where this isn't one."""
    if not SOAK:
        left = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


def rest_for_soak(whole: Iterable[Any], part: Iterable[Any]) -> list[Any]:
    """The parameters of an exhaustive set, of which those outside of a part run in the soak alone."""
    chosen = list(part)
    return [value if value in chosen else pytest.param(value, marks=pytest.mark.soak) for value in whole]


Shared = Callable[[str, Callable[[Path], Any]], Path]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Fills a folder once for all processes of a test run; a test that changes what is in it takes a copy."""
    base = tmp_path_factory.getbasetemp()
    # The folders of xdist's processes lie in one of the run.
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    root.mkdir(exist_ok=True)

    def make(name: str, fill: Callable[[Path], Any]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                # What an attempt that failed in another process has left.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session", autouse=True)
def server_of_ranks() -> Iterator[None]:
    """The server that forks jobs' processes ends with the tests."""
    yield
    ranks.close_server()


@pytest.fixture(scope="session")
def dataset(shared: Shared) -> Path:
    """A folder with 24 training, 6 validation and 9 test frames of 96x64 pixels."""
    return shared("dataset", lambda folder: import_scenes(scenes_spec(), folder / "scenes")) / "scenes"


@pytest.fixture(scope="session")
def trained(dataset: Path, shared: Shared) -> Path:
    """The folder of a training on two processes, started by torchrun."""
    from jobs import run_torchrun

    def train(folder: Path) -> None:
        document = train_document(dataset, epochs=3, checkpoint={**CHECKPOINT, "steps": 1})
        assert run_torchrun("train", folder, document, dataset) == (0, "")

    return shared("trained", train)


def data_document(folder: Path) -> dict[str, Any]:
    """The `data` part of run.json for a dataset's folder."""
    manifests = {
        split: {
            "file": f"golden_{split}.manifest",
            "sha256": digest(folder / f"golden_{split}.manifest"),
            "frames": len((folder / f"golden_{split}.manifest").read_text().splitlines()),
        }
        for split in ("train", "val", "test")
    }
    slices = {"file": "slices.yaml", "sha256": digest(folder / "slices.yaml")}
    return {
        "name": "scenes",
        "version": ZERO,
        "dvc": None,
        "manifests": manifests,
        "slices": slices,
        "categories": CATEGORIES,
        "tracks": {"past": 4, "future": 6, "step_seconds": 0.4},
    }


def train_document(folder: Path, **train: Any) -> dict[str, Any]:
    """A run.json that trains a network of a few thousand parameters; `train` changes its settings."""
    settings = {
        "epochs": 2,
        "global_batch": 4,
        "learning_rate": 0.003,
        "weight_decay": 0.0001,
        "warmup_steps": 2,
        "clip_norm": 10,
        "accumulation": 1,
        "ema_decay": 0,
        "freeze": [],
        "precision": "fp32",
        "matmul_precision": "high",
        "channels_last": True,
        "compile": False,
        "max_loss_factor": 1000,
        "sanity": True,
        "determinism_steps": 1,
        "checkpoint": CHECKPOINT,
        "balance": {"method": "fixed"},
        "loss": {
            "detection": {"weight": 1, "gamma": 2, "box_weight": 0.5},
            "segmentation": {"weight": 1},
            "lanes": {"weight": 0.5},
        },
        "augment": {
            "flip": {"probability": 0.5},
            "photometric": {"probability": 1, "strength": 0.2},
        },
    }
    return {
        "schema": 1,
        "kind": "train",
        "id": "train-tiny",
        "experiment": "tiny",
        "model": "perception",
        "seed": 3,
        "processes": 2,
        "data": data_document(folder),
        "architecture": {
            "input": {"width": 96, "height": 64},
            "backbone": {"widths": [4, 8, 8, 8], "depth": 1},
            "neck": {"channels": 8},
            "heads": ["detection", "segmentation", "lanes"],
        },
        "train": {**settings, **train},
        "code": ZERO,
        "image": None,
        "weights": None,
        "replay": None,
    }


def all_features_document(folder: Path, **train: Any) -> dict[str, Any]:
    """A run.json whose training uses everything that a resumed run has to carry on, on every head."""
    document = train_document(folder, **{**ALL_FEATURES, **train})
    document["architecture"]["heads"].append("trajectory")
    document["architecture"]["trajectory"] = {"modes": 3, "hidden": 16}
    return document


def evaluate_document(folder: Path, candidate: Path, production: Path | None) -> dict[str, Any]:
    """A run.json that compares two trained models, or judges one alone."""
    measured = {"run": "train-tiny", "manifest": digest(candidate / "manifest.json")}
    against = None
    if production is not None:
        against = {
            "version": 1,
            "run": "train-tiny",
            "manifest": digest(production / "manifest.json"),
        }
    return {
        "schema": 1,
        "kind": "evaluate",
        "id": "evaluate-tiny",
        "experiment": "tiny",
        "model": "perception",
        "processes": 2,
        "data": data_document(folder),
        "candidate": measured,
        "production": against,
        "code": ZERO,
        "resamples": 100,
        "seed": 3,
    }


def conditions_document(**changes: Any) -> dict[str, Any]:
    """A conditions.json that guards nothing and tracks nothing."""
    return {
        "schema": 1,
        "loader": {"workers": 0, "prefetch": 2, "pin_memory": False},
        "network": {"instance": None, "floor_gbps": None, "timeout_seconds": 60},
        "drift": "off",
        "latency": [],
        "tracking": {
            "mode": "off",
            "project": "perception",
            "entity": None,
            "images": 2,
            "histograms": True,
        },
        **changes,
    }


def write_document(file: Path, document: dict[str, Any]) -> Path:
    """Write a run.json and return its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))
    return file
