"""What the tests of importers share: datasets that are read back, refusals, pictures whose place can be seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from proving_ground.data.manifest import SPLITS, Frame, read_manifest

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


def frames_of(folder: Path, categories: list[str] | None = None) -> dict[str, list[Frame]]:
    """Every frame of a dataset by split."""
    return {split: read_manifest(folder / f"golden_{split}.manifest", None, categories or []) for split in SPLITS}


def refusal(importer: Callable[[dict[str, Any], Path], None], spec: dict[str, Any], out: Path) -> str:
    """What an importer says to settings or files that it refuses; it leaves nothing behind."""
    with pytest.raises(ValueError) as refused:
        importer(spec, out)
    assert not out.exists()
    return str(refused.value)


def picture(file: Path, size: tuple[int, int], shade: int = 90) -> None:
    """Write an image of one shade."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, shade, shade)).save(file)


def mask_of(folder: Path, frame: Frame) -> np.ndarray:
    """The mask of a frame of a dataset, [H, W]."""
    with Image.open(folder / str(frame.segmentation)) as image:
        return np.asarray(image)


def by_sequence(seed: int = 1) -> dict[str, Any]:
    """Splits by shares of the sequences."""
    return {"by": "sequence", "seed": seed, "shares": SHARES}
