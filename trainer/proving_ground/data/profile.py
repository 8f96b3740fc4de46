"""Frames become the profile of a dataset: what its images, boxes, tracks and attributes are like, in one small file.

The profile is kept with the model that was trained on the data, as data_profile.json.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from proving_ground.data.example import Example
from proving_ground.errors import Refused

# What is a number; then categories.
NUMERIC = ("brightness", "contrast", "sharpness", "boxes", "box_size", "speed", "path_length")
CLASS, ATTRIBUTE = "class", "attributes/"
ABSENT = "(absent)"

# A profile holds so many quantiles of a column, attributes, values of an attribute, characters of a value, classes.
QUANTILES, MAX_ATTRIBUTES, MAX_VALUES, MAX_CHARACTERS, MAX_CLASSES = 512, 32, 32, 64, 1000


def frame_statistics(
    example: Example, attributes: Mapping[str, str], categories: Sequence[str], step_seconds: float | None = None
) -> dict[str, Any]:
    """What is counted of one frame before augmentation.

    Args:
        example: The frame; image [H, W, 3] uint8.
        attributes: The frame's own, such as its time of day.
        categories: Names of the detection classes, in the order of `example.categories`.
        step_seconds: Time between two points of a track, for frames with tracks.

    Returns:
        brightness and contrast: mean and standard deviation of the luma (ITU-R BT.601), 0 to 255. sharpness: log10 of
        the variance of its Laplacian (Pech-Pacheco et al. 2000). box_size: log10 of each box's area in percent of the
        image. class: each box's. speed (m/s, over the past) and path_length (m, of the future) of each track.
        Crowds aren't counted, and what the frame hasn't has no key.
    """
    found: dict[str, Any] = {"attributes": {str(key): str(value) for key, value in attributes.items()}}
    if example.image is not None:
        luma = example.image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        inner = luma[1:-1, 1:-1]
        laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
        found["brightness"] = float(luma.mean(dtype=np.float64))
        found["contrast"] = float(luma.std(dtype=np.float64))
        # A hundredth: an image of one colour has no variance and still a logarithm.
        found["sharpness"] = math.log10(float(laplacian.var(dtype=np.float64)) + 0.01 if laplacian.size else 0.01)
    if example.boxes is not None:
        kept = ~example.crowd if example.crowd is not None else np.ones(len(example.boxes), dtype=bool)
        found["boxes"] = int(kept.sum())
        found[CLASS] = [categories[index] for index in example.categories[kept].tolist()]
        if example.image is not None:
            sides = np.clip(example.boxes[kept, 2:] - example.boxes[kept, :2], 0, None).astype(np.float64)
            percent = 100 * sides.prod(axis=1) / (example.image.shape[0] * example.image.shape[1])
            found["box_size"] = np.log10(np.maximum(percent, 1e-4)).tolist()
    if example.past is not None and step_seconds is not None:
        steps = np.linalg.norm(np.diff(example.past.astype(np.float64), axis=1), axis=2)
        found["speed"] = (steps.mean(axis=1) / step_seconds).tolist() if steps.shape[1] else []
    if example.future is not None and example.past is not None:
        whole = np.concatenate([example.past[:, -1:], example.future], axis=1).astype(np.float64)
        found["path_length"] = np.linalg.norm(np.diff(whole, axis=1), axis=2).sum(axis=1).tolist()
    return found


def make_profile(
    statistics: Sequence[Mapping[str, Any]], name: str, version: str, image_size: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """The profile of frames, as JSON: it doesn't depend on their order, and has at most about 100 kB.

    Args:
        statistics: What frame_statistics returns, one for each frame.
        name: The dataset's.
        version: The dataset's.
        image_size: Width and height of the images that were measured; sharpness is compared only at one size.

    Raises:
        Refused: there are no frames.
    """
    if not statistics:
        raise Refused(f"{name}: a data profile needs at least one frame, found none.")
    columns: dict[str, Any] = {}
    for column in (*NUMERIC, CLASS):
        found = [frame[column] for frame in statistics if column in frame]
        # A frame's own number is a list of one.
        lists = [value if isinstance(value, list) else [value] for value in found]
        if any(lists):
            columns[column] = categorical(lists, MAX_CLASSES) if column == CLASS else numeric(lists)
    present = Counter(key for frame in statistics for key in frame["attributes"])
    for key, _ in sorted(present.items(), key=lambda item: (-item[1], item[0]))[:MAX_ATTRIBUTES]:
        values = [[frame["attributes"].get(key, ABSENT)] for frame in statistics]
        columns[ATTRIBUTE + key] = categorical(values, MAX_VALUES)
    return {
        "schema": 1,
        "name": name,
        "version": version,
        "frames": len(statistics),
        "image_size": list(image_size),
        "columns": dict(sorted(columns.items())),
    }


def independent(lists: Iterable[list[Any]]) -> float:
    """How many independent frames the values of all frames are worth: those of one frame say much the same.

    Kish's effective sample size (1965) for values that are equal within a frame: (sum of sizes)^2 / sum of squares.
    """
    sizes = [len(values) for values in lists]
    return round(sum(sizes) ** 2 / sum(size**2 for size in sizes), 1)


def numeric(lists: list[list[float]]) -> dict[str, Any]:
    """A numeric column: evenly spaced quantiles, which have far less noise than a sample of as many values."""
    values = np.sort([value for frame in lists for value in frame])
    places = (np.arange(QUANTILES) + 0.5) / QUANTILES
    kept = values if len(values) <= QUANTILES else np.quantile(values, places, method="inverted_cdf")
    return {
        "kind": "numeric",
        "count": len(values),
        "independent": independent(lists),
        "mean": float(f"{math.fsum(values) / len(values):.5g}"),
        "values": [float(f"{value:.5g}") for value in kept],
    }


def categorical(lists: list[list[str]], limit: int) -> dict[str, Any]:
    """A column of categories: how often each is there; where they are more than `limit` only their number."""
    counts = Counter(value[:MAX_CHARACTERS] for frame in lists for value in frame)
    return {
        "kind": "categorical",
        "count": counts.total(),
        "independent": independent(lists),
        "distinct": len(counts),
        "counts": dict(sorted(counts.items())) if len(counts) <= limit else {},
    }


def check_profile(document: Any, where: str) -> dict[str, Any]:
    """The profile itself.

    Raises:
        Refused: it isn't one of this version, or is damaged; the message says where and what.
    """
    try:
        if document["schema"] != 1:
            raise Refused(f"{where}: the data profile has schema {document['schema']!r}, but this version reads 1.")
        good = all(isinstance(document[key], kind) for key, kind in (("name", str), ("version", str), ("frames", int)))
        good = good and len(document["image_size"]) == 2
        for column, item in document["columns"].items():
            is_numeric = item["kind"] == "numeric"
            entries = item["values"] if is_numeric else item["counts"].values()
            good = good and is_numeric == (column in NUMERIC) and item["count"] > 0 and item["independent"] > 0
            good = good and all(isinstance(entry, int | float) and math.isfinite(entry) for entry in entries)
            good = good and (len(entries) > 0 and math.isfinite(item["mean"]) if is_numeric else item["distinct"] > 0)
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{where}: not a data profile: {error!r}.") from error
    if not good:
        raise Refused(f"{where}: a damaged data profile; make it again.")
    return document
