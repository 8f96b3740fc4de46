"""Frames' predictions and labels become per-frame statistics: flat columns from which any score can be computed again.

A file of them needs no frame, no model and no GPU: another slice or another comparison is a sum over its rows.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proving_ground.data.example import Target
from proving_ground.errors import Refused
from proving_ground.evaluation.columns import read_columns
from proving_ground.evaluation.counting.lanes import count_lanes
from proving_ground.evaluation.counting.segmentation import confusion
from proving_ground.evaluation.counting.trajectories import count_tracks
from proving_ground.evaluation.counting.tusimple import rate_lanes
from proving_ground.evaluation.frame_index import FrameIndex
from proving_ground.files import write_atomic

FORMAT = "proving-ground frame statistics"
VERSION = 4
# Before the names of the columns that say which frames these are.
INDEX = "index/"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model says of one frame, in the frame's own pixels and, for tracks, metres.

    boxes [N, 4] float64 x1 y1 x2 y2, scores [N] float64, categories [N] int64; segmentation [H, W] uint8 classes; lanes
    are [P, 2] float64 each; tracks [T, K, F, 2] float64 are K futures of each track, track_scores [T, K] float64 say
    how likely each is. None for a head that the model doesn't have.
    """

    boxes: np.ndarray
    scores: np.ndarray
    categories: np.ndarray
    segmentation: np.ndarray | None
    lanes: list[np.ndarray] | None
    tracks: np.ndarray | None = None
    track_scores: np.ndarray | None = None


# Columns by table. Each table's first column is the frame that the row is of.
TABLES = {
    "frames": {"frame": np.int64, "detection": np.bool_, "segmentation": np.bool_, "lanes": np.bool_}
    | {"trajectory": np.bool_},
    "detections": {"frame": np.int64, "category": np.int64, "score": np.float64, "x": np.float64, "y": np.float64}
    | {"w": np.float64, "h": np.float64},
    "truth": {"frame": np.int64, "category": np.int64, "crowd": np.bool_, "x": np.float64, "y": np.float64}
    | {"w": np.float64, "h": np.float64},
    "confusion": {"frame": np.int64, "matrix": np.int64},
    "lane_counts": {"frame": np.int64, "counts": np.int64},
    "lane_points": {"frame": np.int64, "accuracy": np.float64, "false_positives": np.float64}
    | {"false_negatives": np.float64},
    "tracks": {"frame": np.int64, "ade": np.float64, "fde": np.float64, "min_ade": np.float64, "min_fde": np.float64}
    | {"missed": np.bool_, "x": np.float64, "y": np.float64},
}


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Columns of every table, rows sorted by frame; boxes are x y w h.

    confusion/matrix is [rows, K, K], lane_counts/counts is [rows, 3]: hits, false alarms, misses. lane_points has a row
    for each frame with a labelled line: see tusimple.rate_lanes. tracks has a row for each track, in metres: see
    trajectories.count_tracks. index has the frames of the whole manifest, measured or not; without it no new slice can
    be chosen.
    """

    heads: tuple[str, ...]
    categories: tuple[str, ...]
    classes: tuple[str, ...]
    columns: dict[str, np.ndarray]
    index: FrameIndex | None = None

    @staticmethod
    def merge(parts: Sequence["Statistics"]) -> "Statistics":
        """Join the ranks' parts: the same bits whatever the split.

        Raises ValueError where a frame comes twice, where parts differ in heads or categories, and without any part.
        """
        if not parts:
            raise ValueError("there are no statistics to merge")
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
        content = {
            "heads": np.array(self.heads, dtype=np.str_),
            "categories": np.array(self.categories, dtype=np.str_),
            "classes": np.array(self.classes, dtype=np.str_),
            **self.columns,
        }
        if self.index is not None:
            content |= {f"{INDEX}{name}": values for name, values in self.index.columns().items()}
        file = io.BytesIO()
        np.savez_compressed(
            file, format=np.array(FORMAT), version=np.array(VERSION), checksum=np.array(checksum(content)), **content
        )
        write_atomic(path, file.getvalue())

    @staticmethod
    def load(path: Path) -> "Statistics":
        """Read a file; raises Refused, a ValueError, for one that is damaged, foreign, or of another version."""
        try:
            content = read_columns(path)
        except OSError as error:
            raise Refused(f"{path}: the statistics can't be read ({error.strerror or error})") from error
        # A wrong byte ends in any of a dozen errors of zip, of its compressions and of numpy's own header.
        except Exception as error:
            raise Refused(f"{path}: the file is damaged, or isn't a file of statistics: {error}") from error
        if str(content.pop("format", None)) != FORMAT:
            raise Refused(f"{path}: not a file of frame statistics")
        version = str(content.pop("version", None))
        if version != str(VERSION):
            raise Refused(f"{path}: statistics of version {version}; this code reads version {VERSION}")
        if str(content.pop("checksum", None)) != str(checksum(content)):
            raise Refused(f"{path}: the statistics are damaged: their checksum differs")
        try:
            names = {key: names_of(content, key) for key in ("heads", "categories", "classes")}
            index = {name: content.pop(name) for name in list(content) if name.startswith(INDEX)}
            frames = {name.removeprefix(INDEX): values for name, values in index.items()}
            check_columns(content, len(names["classes"]))
            found = FrameIndex.from_columns(frames) if frames else None
        except (LookupError, TypeError, ValueError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            raise Refused(f"{path}: these statistics can't be understood: {reason}") from error
        return Statistics(**names, columns=content, index=found)


def names_of(content: dict[str, np.ndarray], key: str) -> tuple[str, ...]:
    """A column of names, taken out; raises KeyError where it is missing, ValueError where it is anything else."""
    names = content.pop(key)
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError(f"{key} is no list of names")
    return tuple(names.tolist())


def check_columns(content: dict[str, np.ndarray], classes: int) -> None:
    """Raise KeyError for a column that is missing, ValueError for one of another type or shape."""
    for table, names in TABLES.items():
        rows = len(content[f"{table}/frame"])
        for name, dtype in names.items():
            key = f"{table}/{name}"
            shape = (rows, *shapes_of(classes).get(key, ()))
            if content[key].dtype != dtype or content[key].shape != shape:
                raise ValueError(
                    f"{key} is {content[key].dtype} {content[key].shape}; it must be {np.dtype(dtype)} {shape}"
                )


def shapes_of(classes: int) -> dict[str, tuple[int, ...]]:
    """Shape of a row, of those columns that have more than one value in it."""
    return {"confusion/matrix": (classes, classes), "lane_counts/counts": (3,)}


def checksum(content: dict[str, np.ndarray]) -> int:
    """CRC-32 over all arrays, their shapes and types, in the order of their names."""
    value = 0
    for name in sorted(content):
        array = content[name]
        value = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), value)
        value = zlib.crc32(np.ascontiguousarray(array).tobytes(), value)
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
        """Add a frame by its index in the manifest; a head without labels adds nothing but its absence.

        Raises ValueError, which names the frame, for predictions or labels that are not what their class says, and adds
        nothing then.
        """
        try:
            tables = self.count(prediction, target)
        except ValueError as error:
            raise ValueError(f"frame {frame}: {error}") from error
        for table, columns in tables.items():
            rows = len(next(iter(columns.values())))
            self.rows[f"{table}/frame"].append(np.full(rows, frame))
            for name, values in columns.items():
                self.rows[f"{table}/{name}"].append(values)

    def count(self, prediction: Prediction, target: Target) -> dict[str, dict[str, np.ndarray]]:
        """A frame's rows of each table; raises ValueError for what can't be counted."""
        labels = {"detection": target.boxes, "segmentation": target.segmentation, "lanes": target.lanes}
        labels["trajectory"] = target.tracks
        labelled = {head: head in self.heads and labels[head] is not None for head in labels}
        tables = {"frames": {head: np.array([value]) for head, value in labelled.items()}}
        if labelled["detection"]:
            tables["detections"] = box_columns(
                "predicted", prediction.boxes, prediction.categories, len(self.categories), score=prediction.scores
            )
            tables["truth"] = box_columns(
                "labelled", target.boxes, target.categories, len(self.categories), crowd=target.crowd
            )
        if labelled["segmentation"]:
            if prediction.segmentation is None:
                raise ValueError("the mask is labelled, but none is predicted")
            matrix = confusion(prediction.segmentation, target.segmentation, len(self.classes))
            tables["confusion"] = {"matrix": matrix[None]}
        if labelled["lanes"]:
            if prediction.lanes is None:
                raise ValueError("the lanes are labelled, but none are predicted")
            if not all(np.isfinite(line).all() for line in [*prediction.lanes, *target.lanes]):
                raise ValueError("a lane has a point that isn't finite")
            counts = count_lanes(prediction.lanes, target.lanes, (target.width, target.height))
            tables["lane_counts"] = {"counts": np.array([counts])}
            rated = rate_lanes(prediction.lanes, target.lanes, (target.width, target.height))
            if rated is not None:
                tables["lane_points"] = {name: np.array([value]) for name, value in rated._asdict().items()}
        if labelled["trajectory"]:
            counted = count_tracks(prediction.tracks, prediction.track_scores, target.tracks)
            if target.origin is not None:
                # In float32, as statistics of earlier trainers have them: by their ends equal labels are known.
                ends = (np.stack([counted["x"], counted["y"]]) + target.origin[:, None]).astype(np.float32)
                counted |= {"x": ends[0], "y": ends[1]}
            tables["tracks"] = counted
        return tables

    def statistics(self) -> Statistics:
        """Everything that was added, sorted by frame."""
        shapes = shapes_of(len(self.classes))
        columns = {}
        for table, names in TABLES.items():
            for name, dtype in names.items():
                key = f"{table}/{name}"
                empty = np.zeros((0, *shapes.get(key, ())), dtype=dtype)
                columns[key] = np.concatenate([empty, *self.rows[key]]).astype(dtype)
        part = Statistics(heads=self.heads, categories=self.categories, classes=self.classes, columns=columns)
        return Statistics.merge([part])


def box_columns(
    what: str, boxes: np.ndarray, categories: np.ndarray, count: int, **others: np.ndarray
) -> dict[str, np.ndarray]:
    """Boxes as x y w h beside their categories and other columns.

    Raises ValueError for columns of different lengths, numbers that are not finite, a box whose ends are before its
    beginnings, and a category that isn't one of `count`: each would give figures, and wrong ones.
    """
    for name, values in {"categories": categories, **others}.items():
        if len(values) != len(boxes):
            raise ValueError(f"{name} has {len(values)} values for {len(boxes)} {what} boxes")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} of the {what} boxes has a value that isn't finite")
    if boxes.shape != (len(boxes), 4) or not np.isfinite(boxes).all():
        raise ValueError(f"the {what} boxes are not all four finite numbers")
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    if (w < 0).any() or (h < 0).any():
        raise ValueError(f"a {what} box ends before it begins; boxes are x1, y1, x2, y2")
    if len(categories) and not 0 <= categories.min() <= categories.max() < count:
        raise ValueError(f"a {what} box has no category from 0 to {count - 1}: {sorted(set(categories.tolist()))}")
    return {"category": categories, **others, "x": boxes[:, 0], "y": boxes[:, 1], "w": w, "h": h}
