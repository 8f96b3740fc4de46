"""Lines of a manifest become frames, strictly; an importer's frames become a dataset, whole or not at all."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from proving_ground.errors import Refused
from proving_ground.files import digest, whole_folder

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame and its labels; a label that is None was never made, an empty one says that nothing is there."""

    source: str
    width: int
    height: int
    attributes: dict[str, str] = field(default_factory=dict)
    detection: list[dict[str, Any]] | None = None
    segmentation: str | None = None
    lanes: list[list[list[float]]] | None = None


def read_manifest(file: Path, expected: str | None, categories: list[str]) -> list[Frame]:
    """Read a manifest; raises Refused with the line for what can't be taken, or where its digest isn't `expected`."""
    if expected is not None and digest(file) != expected:
        raise Refused(f"{file}: its content is not what the run was planned with ({expected}): plan again")
    frames = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                frames.append(parse_frame(json.loads(line), categories))
            except (ValueError, KeyError, TypeError) as error:
                reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
                raise Refused(f"{file}, line {number}: {reason}") from error
    if not frames:
        raise Refused(f"{file}: the manifest has no frames")
    return frames


def parse_frame(value: dict[str, Any], categories: list[str]) -> Frame:
    """Check one line's value; raises Refused, KeyError or TypeError."""
    for number, label in enumerate(value.get("detection") or []):
        x1, y1, x2, y2 = (float(side) for side in label["box"])
        if label["category"] not in categories:
            raise Refused(
                f"detection[{number}]: found the category {label['category']!r}; allowed: {', '.join(categories)}"
            )
        if not (x2 > x1 and y2 > y1):
            raise Refused(f"detection[{number}]: the box {label['box']} has no area; it is x1, y1, x2, y2")
    return Frame(
        source=value["source-ref"],
        width=int(value["width"]),
        height=int(value["height"]),
        attributes=dict(value.get("attributes") or {}),
        detection=value.get("detection"),
        segmentation=value.get("segmentation-ref"),
        lanes=value.get("lanes"),
    )


def write_dataset(
    out: Path,
    spec: dict[str, Any],
    counts: dict[str, int],
    make: Callable[[str, int, Path], dict[str, Any]],
) -> None:
    """Write a dataset: `make` is called for each frame of each split and returns its line of the manifest."""
    with whole_folder(out) as folder:
        for name in ("images", "masks"):
            (folder / name).mkdir()
        for split in SPLITS:
            with (folder / f"golden_{split}.manifest").open("w", encoding="utf-8") as manifest:
                for index in range(counts[split]):
                    manifest.write(json.dumps(make(split, index, folder), separators=(",", ":")) + "\n")
        (folder / "slices.yaml").write_text(yaml.safe_dump({"slices": spec["slices"]}, sort_keys=False))
        # The settings stay with what was made from them: a recipe that changed meanwhile is noticed.
        (folder / "importer.json").write_text(json.dumps(spec, indent=2) + "\n")
