"""Generated frames become two times for the same figures: overall and every slice, by our evaluator and by pycocotools.

Run:  .venv/bin/python test/bench/evaluation.py [--frames 1000] [--categories 20] [--slices 32]

Both run in this process on one thread and compute map, ap50 and ar over all areas with 100 detections; pycocotools is
run once for each slice, as it has no other way to evaluate some of the images. Times are the processor's, which other
work on the machine doesn't lengthen. Exits with 1 where a figure differs in a bit.
"""

import os

# Before numpy: its threads are counted when it is imported.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import argparse
import contextlib
import io
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

sys.path.insert(0, str(Path(__file__).parents[2] / "trainer"))

from proving_ground.evaluation import Evaluator, FrameSlice, Prediction, Statistics, Target, score

OBJECTS, DETECTIONS = 7, 10
METRICS = ("map", "ap50", "ar")


def make_frames(seed: int, frames: int, categories: int) -> list[tuple[Prediction, Target]]:
    """Frames with about 7 objects and 10 detections, most of which lie near an object."""
    made = []
    for frame in range(frames):
        rng = np.random.default_rng([seed, frame])
        objects, extra = int(rng.poisson(OBJECTS)), int(rng.poisson(DETECTIONS - OBJECTS))
        corners = rng.integers(0, 1000, (objects + extra, 2)).astype(np.float64)
        boxes = np.hstack([corners, corners + rng.integers(10, 200, corners.shape)])
        classes = rng.integers(0, categories, objects + extra)
        found = boxes + rng.integers(-8, 9, boxes.shape) * (rng.random(boxes.shape) < 0.7)
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        prediction = Prediction(
            boxes=found,
            scores=rng.integers(1, 1000, objects + extra) / 1000,
            categories=np.where(rng.random(objects + extra) < 0.9, classes, 0),
            segmentation=None,
            lanes=None,
        )
        target = Target(
            boxes=boxes[:objects],
            categories=classes[:objects],
            crowd=rng.random(objects) < 0.02,
            segmentation=None,
            lanes=None,
            width=1280,
            height=720,
        )
        made.append((prediction, target))
    return made


def to_coco(frames: list[tuple[Prediction, Target]], categories: int) -> tuple[COCO, COCO]:
    """The same frames as pycocotools' ground truth and detections, indexed."""
    header = {
        "images": [{"id": frame} for frame in range(len(frames))],
        "categories": [{"id": category} for category in range(categories)],
    }
    truth, found = [], []
    for frame, (prediction, target) in enumerate(frames):
        for box, category, crowd in zip(target.boxes, target.categories, target.crowd, strict=True):
            truth.append(coco_row(len(truth) + 1, frame, box, category) | {"iscrowd": int(crowd)})
        for box, category, value in zip(prediction.boxes, prediction.categories, prediction.scores, strict=True):
            found.append(coco_row(len(found) + 1, frame, box, category) | {"iscrowd": 0, "score": float(value)})
    pair = COCO(), COCO()
    for coco, rows in zip(pair, (truth, found), strict=True):
        coco.dataset = {**header, "annotations": rows}
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
    return pair


def coco_row(number: int, frame: int, box: np.ndarray, category: int) -> dict[str, Any]:
    """One box as COCO writes it."""
    x, y, w, h = float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])
    return {"id": number, "image_id": frame, "category_id": int(category), "bbox": [x, y, w, h], "area": w * h}


def run_pycocotools(truth: COCO, found: COCO, frames: np.ndarray) -> list[float | None]:
    """map, ap50 and ar of some frames, computing no more than these."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.params.imgIds = np.flatnonzero(frames).tolist()
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    kept = [values[values > -1] for values in (precision, precision[:1], recall)]
    return [float(np.mean(values)) if values.size else None for values in kept]


def collect(frames: list[tuple[Prediction, Target]], categories: int) -> Statistics:
    """Statistics of the frames."""
    names = [f"c{number}" for number in range(categories)]
    evaluator = Evaluator(heads=["detection"], detection_categories=names, segmentation_classes=[])
    for number, (prediction, target) in enumerate(frames):
        evaluator.add(number, prediction, target)
    return evaluator.statistics()


def main() -> int:
    """Time both, print a table, and say whether the figures are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("frames", 1000), ("categories", 20), ("slices", 32), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=count)
    arguments = parser.parse_args()
    frames = make_frames(arguments.seed, arguments.frames, arguments.categories)
    rng = np.random.default_rng(arguments.seed)
    slices = [
        FrameSlice(name=f"s{number}", where={}, category=None, protected=False, frames=chosen)
        for number, chosen in enumerate(rng.random((arguments.slices, len(frames))) < rng.random((arguments.slices, 1)))
    ]

    begin = time.process_time()
    score(collect(frames[:2], arguments.categories), [], 2)
    warmed = time.process_time()
    statistics = collect(frames, arguments.categories)
    collected = time.process_time()
    ours = score(statistics, slices, len(frames))
    scored = time.process_time()

    truth, found = to_coco(frames, arguments.categories)
    indexed = time.process_time()
    overall = {None: run_pycocotools(truth, found, np.ones(len(frames), dtype=bool))}
    once = time.process_time()
    theirs = overall | {item.name: run_pycocotools(truth, found, item.frames) for item in slices}
    done = time.process_time()

    differing = [name for name, values in theirs.items() if values != [ours[metric, name] for metric in METRICS]]
    mine, peer = scored - warmed, done - indexed
    print(f"evaluation of {len(frames)} frames, {len(statistics.columns['detections/frame'])} detections, overall and")
    print(f"{len(slices)} slices, {arguments.categories} categories, one thread, seed {arguments.seed}")
    print(f"  ours, collecting frames     {collected - warmed:8.3f} s")
    print(f"  ours, matching and scoring  {scored - collected:8.3f} s")
    print(f"  pycocotools, overall        {once - indexed:8.3f} s   (its index is made before, and not counted)")
    print(f"  pycocotools, every slice    {done - once:8.3f} s")
    print(f"  ratio                       {peer / mine:8.0f} x  ({peer:.2f} s to {mine:.3f} s)")
    print(f"  ours, import and numba      {warmed - begin:8.3f} s   (once in a process, compiled code from the disk)")
    print(f"  figures                     {'differ: ' + str(differing) if differing else 'equal to the last bit'}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
