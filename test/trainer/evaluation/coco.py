"""COCO documents become figures twice: through the evaluator's own code, and through pycocotools."""

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from proving_ground.evaluation.detection.average_precision import accumulate, mean_of_measured, order, restrict
from proving_ground.evaluation.detection.matching import Boxes, match

AREA_RANGES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
CATEGORY_IDS = (3, 5, 8, 21, 34)


def boxes_of(document: dict[str, Any], rows: list[dict[str, Any]]) -> Boxes:
    """Annotations or results as the evaluator takes them: frames and categories numbered in the order of their ids."""
    frames = {number: place for place, number in enumerate(sorted(image["id"] for image in document["images"]))}
    categories = {number: place for place, number in enumerate(sorted(item["id"] for item in document["categories"]))}
    xywh = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
    return Boxes(
        frame=np.array([frames[row["image_id"]] for row in rows], dtype=np.int64),
        category=np.array([categories[row["category_id"]] for row in rows], dtype=np.int64),
        xywh=xywh,
        # As pycocotools: the area that an annotation states, and a detection's own.
        area=np.array([row.get("area", row["bbox"][2] * row["bbox"][3]) for row in rows], dtype=np.float64),
    )


def our_figures(
    document: dict[str, Any], results: list[dict[str, Any]], subsets: list[np.ndarray | None]
) -> list[list[float]]:
    """The twelve figures of COCOeval.summarize on each subset of frames ([F] bool; None: all), -1 for none.

    Each area range is matched once, whatever the number of subsets.
    """
    truth, detections = boxes_of(document, document["annotations"]), boxes_of(document, results)
    scores = np.array([row["score"] for row in results], dtype=np.float64)
    crowd = np.array([bool(row["iscrowd"]) for row in document["annotations"]], dtype=bool)
    size = (len(document["categories"]), len(document["images"]))
    matches = {name: match(detections, scores, truth, crowd, limits) for name, limits in AREA_RANGES.items()}
    every = {name: order(found, *size) for name, found in matches.items()}
    first, ten = order(matches["all"], *size, max_detections=1), order(matches["all"], *size, max_detections=10)
    figures = []
    for chosen in subsets:
        kept = np.ones(size[1], dtype=bool) if chosen is None else chosen
        curves = {name: accumulate(restrict(ordered, kept)) for name, ordered in every.items()}
        recalls = [accumulate(restrict(ordered, kept))[1] for ordered in (first, ten)]
        precision = curves["all"][0]
        values = [precision, precision[:1], precision[5:6], *(curves[name][0] for name in ("small", "medium", "large"))]
        values += [*recalls, *(curves[name][1] for name in AREA_RANGES)]
        means = [mean_of_measured(value) for value in values]
        figures.append([-1.0 if mean is None else mean for mean in means])
    return figures


def run_pycocotools(
    document: dict[str, Any],
    results: list[dict[str, Any]],
    images: list[int] | None = None,
    categories: list[int] | None = None,
) -> COCOeval:
    """COCOeval after summarize, on some images and categories (None: all)."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        # createIndex and evaluate write into the rows.
        truth.dataset = {**document, "annotations": [dict(row) for row in document["annotations"]]}
        truth.createIndex()
        # What COCO.loadRes makes of results; it can't take an empty list.
        rows = [
            {**row, "id": place, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0}
            for place, row in enumerate(results, start=1)
        ]
        found.dataset = {**document, "annotations": rows}
        found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        if images is not None:
            evaluation.params.imgIds = images
        if categories is not None:
            evaluation.params.catIds = categories
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def replicate(
    document: dict[str, Any], results: list[dict[str, Any]], weights: np.ndarray
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The dataset in which each image, in the order of the ids, stands `weights` [F] times, side by side."""
    copies: dict[int, list[int]] = {}
    numbers = iter(range(1, int(weights.sum()) + 1))
    for number, weight in zip(sorted(image["id"] for image in document["images"]), weights, strict=True):
        copies[number] = [next(numbers) for _ in range(weight)]
    rows = [{**row, "image_id": copy} for row in document["annotations"] for copy in copies[row["image_id"]]]
    annotations = [{**row, "id": place} for place, row in enumerate(rows, start=1)]
    images = [{"id": copy} for places in copies.values() for copy in places]
    found = [{**row, "image_id": copy} for row in results for copy in copies[row["image_id"]]]
    return {**document, "images": images, "annotations": annotations}, found


def hard_case(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A small COCO document and results, full of what makes evaluators differ.

    Ties of scores and of IoU, IoU at the very thresholds, crowds, areas at and across the ranges' limits, images
    without objects or detections, categories without objects, boxes without area, over 100 detections of an image.
    """
    rng = np.random.default_rng([20, seed])
    images = rng.permutation(1000)[: rng.integers(1, 9)].tolist()
    categories = list(CATEGORY_IDS[: rng.integers(1, len(CATEGORY_IDS) + 1)])
    labelled = categories[: rng.integers(1, len(categories) + 1)]
    scale = rng.choice([1.0, 4.0, 20.0, 0.37])
    annotations, results = [], []
    for image in images:
        for _ in range(rng.integers(0, 9) * rng.integers(0, 2)):
            box = hard_box(rng, scale)
            area = rng.choice([box[2] * box[3], 32.0**2, 96.0**2, box[2] * box[3] * 0.7])
            annotations.append({"image_id": image, "category_id": int(rng.choice(labelled)), "bbox": box, "area": area})
            annotations[-1] |= {"iscrowd": int(rng.random() < 0.2), "id": len(annotations)}
        own = [row for row in annotations if row["image_id"] == image]
        many = rng.random() < 0.05
        for _ in range(int(rng.integers(101, 140)) if many else rng.integers(0, 14) * rng.integers(0, 2)):
            box, category = hard_box(rng, scale), int(rng.choice(categories))
            if own and rng.random() < 0.7:
                near = own[rng.integers(len(own))]
                category = near["category_id"] if rng.random() < 0.9 else category
                moved = np.array(near["bbox"]) + scale * rng.integers(-1, 2, 4) * (rng.random(4) < 0.4)
                box = [*moved[:2].tolist(), *np.maximum(moved[2:], 0).tolist()]
            score = float(rng.integers(0, 6) / 5 if rng.random() < 0.7 else rng.random())
            results.append({"image_id": image, "category_id": labelled[0] if many else category, "bbox": box})
            results[-1]["score"] = score
    order_of_file = rng.permutation(len(results))
    document = {
        "images": [{"id": image} for image in images],
        "categories": [{"id": category, "name": str(category)} for category in categories],
        "annotations": annotations,
    }
    return document, [results[place] for place in order_of_file]


def hard_box(rng: np.random.Generator, scale: float) -> list[float]:
    """A box on a coarse grid, so that many have the same IoU; now and then one whose area is none, or underflows."""
    x, y, w, h = (scale * rng.integers(0, 5, 4) + [0, 0, scale, scale]).tolist()
    kind = rng.random()
    if kind < 0.03:
        return [x, y, 0.0, h]
    if kind < 0.05:
        return [0.0, 0.0, 1e-170, 1e-170]
    return [x, y, w, h]
