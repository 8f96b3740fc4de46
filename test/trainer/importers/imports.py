"""An importer's settings become the frames that it has written, or what it says where it refuses."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from proving_ground.data.dataset_check import check_dataset
from proving_ground.data.manifest import Frame, read_manifest

REAL = Path(__file__).parents[3] / "../shared/data"
SPLITS = ("train", "val", "test")
Importer = Callable[[dict[str, Any], Path], None]


def needs(name: str) -> Path:
    """A folder of real data beside the project, or a skip that says so."""
    folder = (REAL / name).resolve()
    if not folder.is_dir():
        pytest.skip(f"{folder} isn't there")
    return folder


def frames_of(folder: Path, categories: list[str] | None = None) -> dict[str, list[Frame]]:
    """Every frame of a dataset by split."""
    return {split: read_manifest(folder / f"golden_{split}.manifest", None, categories or []) for split in SPLITS}


def imported(importer: Importer, spec: dict[str, Any], out: Path) -> tuple[dict[str, list[Frame]], dict[str, Any], str]:
    """The frames that an importer writes, what importer.json keeps of it, and what is printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        importer(spec, out)
    kept = json.loads((out / "importer.json").read_text())
    assert {name: kept[name] for name in spec} == spec
    return frames_of(out, spec["categories"]["detection"]), kept, printed.getvalue()


def refusal(importer: Importer, spec: dict[str, Any], out: Path) -> str:
    """What an importer says to settings or files that it refuses; it leaves nothing behind."""
    with pytest.raises(ValueError) as refused:
        importer(spec, out)
    assert not out.exists()
    return str(refused.value)


def write_image(file: Path, size: tuple[int, int] = (100, 50), color: int = 90) -> None:
    """An image of one gray, in folders that may be absent."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (color, color, color)).save(file)


def write_json(file: Path, value: object) -> str:
    """A JSON file, in folders that may be absent; returns its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))
    return str(file)


def problems_of(folder: Path, spec: dict[str, Any]) -> str:
    """What the trainer's own check says of a dataset that an importer has written; empty where it has no problem."""
    try:
        check_dataset(folder, {name: spec[name] for name in ("categories", "masks") if name in spec})
    except ValueError as error:
        return str(error)
    return ""


def mask_of(folder: Path, frame: Frame) -> np.ndarray:
    """The mask of a frame of a dataset, [H, W]."""
    with Image.open(folder / str(frame.segmentation)) as image:
        return np.asarray(image)


def by_sequence(seed: int = 1) -> dict[str, Any]:
    """Splits by shares of the sequences."""
    return {"by": "sequence", "seed": seed, "shares": {"train": 0.6, "val": 0.2, "test": 0.2}}
