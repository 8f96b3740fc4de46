"""Rows of an index become its file, its pictures and the settings that read them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from imports import write_image

SIZE = (40, 20)
DETECTION = ["car", "person"]
CLASSES = ["background", "road", "car"]
Rows = list[dict[str, Any]]


def rows_of() -> Rows:
    """A row for each split."""
    return [
        {
            "file": f"pictures/{split}.png",
            "fold": split,
            "drive": f"drive-{split}",
            "meta": {"time": "2026-11-04T17:20:31Z", "sensor": "front", "weather": "rain", "lanes": 3, "wet": True},
            "objects": [{"box": [4, 2, 10, 8], "label": "car"}, {"box": [0, 0, 5, 5], "label": "dog"}],
            "lines": [[[10, 2], [20, 10], [30, 19]]],
        }
        for split in ("train", "val", "test")
    ]


def write(root: Path, rows: Rows, form: str = "jsonl") -> dict[str, Any]:
    """Write an index and its pictures; returns settings."""
    for shade, row in enumerate(rows):
        if isinstance(row.get("file"), str):
            write_image(root / row["file"], SIZE, shade)
    file = root / f"frames.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=2)
    else:
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return {
        "name": "index",
        "file": str(file),
        "images": str(root),
        "width": 2 * SIZE[0],
        "height": SIZE[1],
        "columns": {
            "image": "file",
            "boxes": {"column": "objects.box", "categories": "objects.label", "form": "xyxy", "unit": "absolute"},
            "lanes": {"column": "lines", "unit": "absolute"},
            "sequence": "drive",
            "captured": "meta.time",
            "camera": "meta.sensor",
            "attributes": {"weather": "meta.weather", "lanes": "meta.lanes", "wet": "meta.wet"},
        },
        "splits": {"column": "fold", "train": ["train"], "val": ["val"], "test": ["test"]},
        "labels": {"person": ["dog"]},
        "slices": [],
        "categories": {"detection": DETECTION, "segmentation": CLASSES},
    }
