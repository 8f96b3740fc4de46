"""slices.yaml and the frames' attributes become which frames belong to each slice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from proving_ground.errors import Refused
from proving_ground.files import digest

KEYS = {"name", "where", "category", "protected"}


@dataclass(frozen=True, kw_only=True)
class FrameSlice:
    """A slice and its frames: `frames` is [F] bool over the manifest."""

    name: str
    where: dict[str, Any]
    category: str | None
    protected: bool
    frames: np.ndarray


def load_slices(file: Path, expected: str | None, categories: Sequence[str]) -> list[dict[str, Any]]:
    """Read slices.yaml; raises Refused for what can't be taken, or where its digest isn't `expected`."""
    if expected is not None and digest(file) != expected:
        raise Refused(f"{file}: its content is not what the run was planned with ({expected}): plan again")
    content = yaml.safe_load(file.read_text())
    if not isinstance(content, dict) or set(content) != {"slices"} or not isinstance(content["slices"], list):
        raise Refused(f"{file}: it must have one key, slices, with a list")
    for number, item in enumerate(content["slices"]):
        at = f"{file}, slice {number + 1}"
        if not isinstance(item, dict) or not {"name", "where"} <= set(item) <= KEYS:
            raise Refused(f"{at}: found {item!r}; a slice has name and where, and may have category and protected")
        if not isinstance(item["where"], dict) or not item["where"]:
            raise Refused(f"{at}: where must name an attribute and its value")
        if item.get("category") is not None and item["category"] not in categories:
            raise Refused(f"{at}: found the category {item['category']!r}; allowed: {', '.join(categories)}")
    return content["slices"]


def select_frames(slices: Sequence[dict[str, Any]], attributes: Sequence[dict[str, str]]) -> list[FrameSlice]:
    """Choose each slice's frames: every attribute of `where` must hold, a list means any of its values."""
    return [
        FrameSlice(
            name=item["name"],
            where=item["where"],
            category=item.get("category"),
            protected=bool(item.get("protected", False)),
            frames=np.array([holds(item["where"], frame) for frame in attributes], dtype=bool),
        )
        for item in slices
    ]


def holds(where: dict[str, Any], attributes: dict[str, str]) -> bool:
    """Whether a frame's attributes meet a condition; an attribute that is absent meets none."""
    return all(
        attributes.get(name) in (wanted if isinstance(wanted, list) else [wanted]) and name in attributes
        for name, wanted in where.items()
    )
