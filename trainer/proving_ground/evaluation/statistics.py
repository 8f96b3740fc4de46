"""Frames' predictions and labels become per-frame statistics: flat columns from which any score can be computed again.

A file of them needs no frame, no model and no GPU: another slice or another comparison is a sum over its rows.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proving_ground.errors import Refused
from proving_ground.evaluation.lanes import count_lanes
from proving_ground.evaluation.segmentation import confusion
from proving_ground.files import write_atomic

FORMAT = "proving-ground frame statistics"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model says of one frame, in the frame's own pixels.

    boxes [N, 4] float64 x1 y1 x2 y2, scores [N] float64, categories [N] int64; segmentation [H, W] uint8 classes; lanes,
    each [P, 2] float64. None for a head that the model doesn't have.
    """

    boxes: np.ndarray
    scores: np.ndarray
    categories: np.ndarray
    segmentation: np.ndarray | None
    lanes: list[np.ndarray] | None


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is true of one frame; None for labels that were never made. crowd is [N] bool, 255 in segmentation is ignored."""

    boxes: np.ndarray | None
    categories: np.ndarray | None
    crowd: np.ndarray | None
    segmentation: np.ndarray | None
    lanes: list[np.ndarray] | None
    width: int
    height: int


# Columns by table. Each table's first column is the frame that the row is of.
TABLES = {
    "frames": {"frame": np.int64, "detection": np.bool_, "segmentation": np.bool_, "lanes": np.bool_},
    "detections": {"frame": np.int64, "category": np.int64, "score": np.float64, "x": np.float64, "y": np.float64}
    | {"w": np.float64, "h": np.float64},
    "truth": {"frame": np.int64, "category": np.int64, "crowd": np.bool_, "x": np.float64, "y": np.float64}
    | {"w": np.float64, "h": np.float64},
    "confusion": {"frame": np.int64, "matrix": np.int64},
    "lane_counts": {"frame": np.int64, "counts": np.int64, "labelled": np.int64},
}


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Columns of every table, rows sorted by frame; boxes are x y w h.

    confusion/matrix is [rows, K, K], lane_counts/counts is [rows, 3]: hits, false alarms, misses.
    """

    heads: tuple[str, ...]
    categories: tuple[str, ...]
    classes: tuple[str, ...]
    columns: dict[str, np.ndarray]

    @staticmethod
    def merge(parts: Sequence["Statistics"]) -> "Statistics":
        """Join the ranks' parts: the same bits whatever the split. Raises ValueError where a frame comes twice."""
        first = parts[0]
        if any(
            (part.heads, part.categories, part.classes) != (first.heads, first.categories, first.classes)
            for part in parts
        ):
            raise ValueError("statistics of different heads or categories can't be merged")
        columns = {}
        for table, names in TABLES.items():
            frames = np.concatenate([part.columns[f"{table}/frame"] for part in parts])
            # Rows of one frame are in one part, so a stable sort keeps their own order.
            order = np.argsort(frames, kind="stable")
            for name in names:
                columns[f"{table}/{name}"] = np.concatenate([part.columns[f"{table}/{name}"] for part in parts])[order]
        frames = columns["frames/frame"]
        twice = frames[1:][frames[1:] == frames[:-1]]
        if twice.size:
            raise ValueError(f"frame {int(twice[0])} was counted twice")
        return Statistics(heads=first.heads, categories=first.categories, classes=first.classes, columns=columns)

    def save(self, path: Path) -> None:
        """Write the columns, compressed, with a checksum of their own; whole or not at all."""
        header = {
            "format": np.array(FORMAT),
            "version": np.array(VERSION),
            "heads": np.array(self.heads, dtype=np.str_),
            "categories": np.array(self.categories, dtype=np.str_),
            "classes": np.array(self.classes, dtype=np.str_),
            "checksum": np.array(checksum(self.columns)),
        }
        content = io.BytesIO()
        np.savez_compressed(content, **header, **self.columns)
        write_atomic(path, content.getvalue())

    @staticmethod
    def load(path: Path) -> "Statistics":
        """Read a file; raises Refused with a sentence for one that is damaged, foreign, or of another version."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                content = {name: stored[name] for name in stored.files}
        except OSError as error:
            raise Refused(f"{path}: the statistics can't be read: {error}") from error
        except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
            raise Refused(f"{path}: the statistics are damaged, or no statistics at all: {error}") from error
        if str(content.get("format")) != FORMAT:
            raise Refused(f"{path}: not a file of frame statistics")
        if int(content["version"]) != VERSION:
            raise Refused(f"{path}: statistics of version {int(content['version'])}; this code reads version {VERSION}")
        wanted = [f"{table}/{name}" for table, names in TABLES.items() for name in names]
        missing = [name for name in wanted if name not in content]
        columns = {name: content[name] for name in wanted if name in content}
        if missing or checksum(columns) != int(content["checksum"]):
            raise Refused(
                f"{path}: the statistics are damaged: {'no ' + missing[0] if missing else 'the checksum differs'}"
            )
        names = {key: tuple(str(name) for name in content[key]) for key in ("heads", "categories", "classes")}
        return Statistics(**names, columns=columns)


def checksum(columns: dict[str, np.ndarray]) -> int:
    """CRC-32 over all columns in the order of their names."""
    value = 0
    for name in sorted(columns):
        value = zlib.crc32(np.ascontiguousarray(columns[name]).tobytes(), zlib.crc32(name.encode(), value))
    return value


class Evaluator:
    """Takes frames one at a time and hands over their statistics; one for each rank and model."""

    def __init__(
        self, *, heads: Sequence[str], detection_categories: Sequence[str], segmentation_classes: Sequence[str]
    ) -> None:
        self.heads = tuple(heads)
        self.categories, self.classes = tuple(detection_categories), tuple(segmentation_classes)
        self.rows: dict[str, list[np.ndarray]] = {
            f"{table}/{name}": [] for table, names in TABLES.items() for name in names
        }

    def add(self, frame: int, prediction: Prediction, target: Target) -> None:
        """Add a frame by its index in the manifest; a head without labels adds nothing but its absence."""
        labelled = {
            "detection": "detection" in self.heads and target.boxes is not None,
            "segmentation": "segmentation" in self.heads and target.segmentation is not None,
            "lanes": "lanes" in self.heads and target.lanes is not None,
        }
        self.append("frames", frame, {name: np.array([value]) for name, value in labelled.items()}, 1)
        if labelled["detection"]:
            self.append_boxes("detections", frame, prediction.boxes, prediction.categories, score=prediction.scores)
            self.append_boxes("truth", frame, target.boxes, target.categories, crowd=target.crowd)
        if labelled["segmentation"]:
            matrix = confusion(prediction.segmentation, target.segmentation, len(self.classes))
            self.append("confusion", frame, {"matrix": matrix[None]}, 1)
        if labelled["lanes"]:
            counts = count_lanes(prediction.lanes, target.lanes, (target.width, target.height))
            self.append(
                "lane_counts", frame, {"counts": np.array([counts]), "labelled": np.array([len(target.lanes)])}, 1
            )

    def append_boxes(
        self, table: str, frame: int, boxes: np.ndarray, categories: np.ndarray, **columns: np.ndarray
    ) -> None:
        """Add a frame's boxes as x y w h."""
        sides = {"x": boxes[:, 0], "y": boxes[:, 1], "w": boxes[:, 2] - boxes[:, 0], "h": boxes[:, 3] - boxes[:, 1]}
        self.append(table, frame, {"category": categories, **columns, **sides}, len(boxes))

    def append(self, table: str, frame: int, columns: dict[str, np.ndarray], rows: int) -> None:
        """Add rows of a table."""
        self.rows[f"{table}/frame"].append(np.full(rows, frame))
        for name, values in columns.items():
            self.rows[f"{table}/{name}"].append(values)

    def statistics(self) -> Statistics:
        """Everything that was added, sorted by frame."""
        shapes = {"confusion/matrix": (len(self.classes), len(self.classes)), "lane_counts/counts": (3,)}
        columns = {}
        for table, names in TABLES.items():
            for name, dtype in names.items():
                key = f"{table}/{name}"
                empty = np.zeros((0, *shapes.get(key, ())), dtype=dtype)
                columns[key] = np.concatenate([empty, *self.rows[key]]).astype(dtype)
        part = Statistics(heads=self.heads, categories=self.categories, classes=self.classes, columns=columns)
        return Statistics.merge([part])
