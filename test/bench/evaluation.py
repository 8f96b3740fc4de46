"""Generated frames become times for the same figures: overall and every slice, by our evaluator and by its peers.

Run:  .venv/bin/python test/bench/evaluation.py [--frames 5000] [--categories 80] [--slices 32] [--threads 2]

All run in this process and compute map, ap50 and ar over all areas with 100 detections. A peer that evaluates slices in
one call is asked so, the others are run once for each slice. What is made once of the boxes, our columns and the
peers' indexes, is timed by itself; so is the file of statistics, beside the same boxes in other files. pycocotools has
one thread; the others have as many as --threads says. Times are of the clock, the best of several runs where a run is
short. Exits with 1 where a figure of ours differs in a bit from pycocotools'.
"""

import os

# Before numpy: its threads are counted when it is imported.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import argparse
import contextlib
import importlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

sys.path.insert(0, str(Path(__file__).parents[2] / "trainer"))

from proving_ground.evaluation import Evaluator, FrameSlice, Prediction, Statistics, Target, compare, score

OBJECTS, DETECTIONS = 7, 10
METRICS = ("map", "ap50", "ar")
# A peer that would take longer on all slices is run on some of them.
PATIENCE = 240.0
# Of shorter runs the best of several is taken; of ours, overall and with all slices in turn, the best of so many TURNS.
SHORT, REPEATS, TURNS = 2.0, 25, 100
# Figures by slice, None for overall.
Figures = dict[str | None, list[float | None]]


def make_frames(seed: int, frames: int, categories: int, model: int = 0) -> list[tuple[Prediction, Target]]:
    """Frames with about 7 objects and 10 detections, most of which lie near an object; models differ in detections."""
    made = []
    for frame in range(frames):
        rng = np.random.default_rng([seed, frame])
        objects, extra = int(rng.poisson(OBJECTS)), int(rng.poisson(DETECTIONS - OBJECTS))
        corners = rng.integers(0, 1000, (objects + extra, 2)).astype(np.float64)
        boxes = np.hstack([corners, corners + rng.integers(10, 200, corners.shape)])
        classes, crowd = rng.integers(0, categories, objects + extra), rng.random(objects) < 0.02
        rng = np.random.default_rng([seed, frame, model])
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
            crowd=crowd,
            segmentation=None,
            lanes=None,
            width=1280,
            height=720,
        )
        made.append((prediction, target))
    return made


def to_coco(frames: list[tuple[Prediction, Target]], categories: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same frames as a COCO document and its results."""
    truth, found = [], []
    for frame, (prediction, target) in enumerate(frames):
        for box, category, crowd in zip(target.boxes, target.categories, target.crowd, strict=True):
            truth.append(coco_row(len(truth) + 1, frame, box, category) | {"iscrowd": int(crowd)})
        for box, category, value in zip(prediction.boxes, prediction.categories, prediction.scores, strict=True):
            found.append(coco_row(len(found) + 1, frame, box, category) | {"iscrowd": 0, "score": float(value)})
    document = {
        "images": [
            {"id": frame, "width": 1280, "height": 720, "file_name": f"{frame}"} for frame in range(len(frames))
        ],
        "categories": [{"id": category, "name": f"c{category}"} for category in range(categories)],
        "annotations": truth,
    }
    return document, found


def coco_row(number: int, frame: int, box: np.ndarray, category: int) -> dict[str, Any]:
    """One box as COCO writes it."""
    x, y, w, h = float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])
    return {"id": number, "image_id": frame, "category_id": int(category), "bbox": [x, y, w, h], "area": w * h}


def collect(frames: list[tuple[Prediction, Target]], categories: int) -> Statistics:
    """Statistics of the frames."""
    names = [f"c{number}" for number in range(categories)]
    evaluator = Evaluator(heads=["detection"], detection_categories=names, segmentation_classes=[])
    for number, (prediction, target) in enumerate(frames):
        evaluator.add(number, prediction, target)
    return evaluator.statistics()


class Reruns:
    """A peer with pycocotools' interface, which is run anew for each slice."""

    def __init__(self, index: type, evaluation: type, document: dict[str, Any], results: list[dict[str, Any]]) -> None:
        self.evaluation = evaluation
        self.truth, self.found = index(), index()
        for coco, rows in ((self.truth, document["annotations"]), (self.found, results)):
            coco.dataset = {**document, "annotations": [dict(row) for row in rows]}
            coco.createIndex()

    def run(self, slices: list[FrameSlice]) -> Figures:
        """Figures overall and of slices."""
        every = np.ones(len(self.truth.dataset["images"]), dtype=bool)
        return {None: self.evaluate(every)} | {item.name: self.evaluate(item.frames) for item in slices}

    def evaluate(self, frames: np.ndarray) -> list[float | None]:
        """Figures of some frames, computing no more than these."""
        evaluation = self.evaluation(self.truth, self.found, "bbox")
        evaluation.params.imgIds = np.flatnonzero(frames).tolist()
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
        precision, recall = (np.asarray(evaluation.eval[name]) for name in ("precision", "recall"))
        kept = [values[values > -1] for values in (precision, precision[:1], recall)]
        return [float(np.mean(values)) if values.size else None for values in kept]


class Hotcoco:
    """hotcoco, which matches once and accumulates each slice."""

    def __init__(self, hotcoco: Any, document: dict[str, Any], results: list[dict[str, Any]]) -> None:
        self.hotcoco = hotcoco
        self.truth = hotcoco.COCO(document)
        self.found = self.truth.load_res(
            [{key: row[key] for key in row if key not in ("id", "area")} for row in results]
        )

    def run(self, slices: list[FrameSlice]) -> Figures:
        """Figures overall and of slices."""
        evaluation = self.hotcoco.COCOeval(self.truth, self.found, "bbox")
        evaluation.params.area_rng, evaluation.params.area_rng_lbl = [[0, 1e10]], ["all"]
        evaluation.params.max_dets = [100]
        evaluation.evaluate()
        if not slices:
            evaluation.accumulate()
            precision, recall = (np.asarray(evaluation.eval[name]) for name in ("precision", "recall"))
            kept = [values[values > -1] for values in (precision, precision[:1], recall)]
            return {None: [float(np.mean(values)) for values in kept]}
        made = evaluation.slice_by({item.name: np.flatnonzero(item.frames).tolist() for item in slices})
        names = {None: "_overall"} | {item.name: item.name for item in slices}
        return {name: [made[key][metric] for metric in ("AP", "AP50", "AR100")] for name, key in names.items()}


class Vernier:
    """vernier, which matches once; it computes all of COCO's twelve figures, of a slice and of what isn't in it."""

    def __init__(self, vernier: Any, document: dict[str, Any], results: list[dict[str, Any]]) -> None:
        instance = importlib.import_module(f"{vernier.__name__}.instance")
        self.evaluator = instance.Evaluator(iou=instance.Bbox(), parity_mode="strict")
        self.truth = instance.CocoDataset.from_json(json.dumps(document).encode())
        self.frames = len(document["images"])
        self.found = np.array([[row["image_id"], *row["bbox"], row["score"], row["category_id"]] for row in results])
        # What reads its table of slices.
        self.arrow = importlib.import_module("pyarrow")

    def run(self, slices: list[FrameSlice]) -> Figures:
        """Figures overall and of slices."""
        threads = int(os.environ["VERNIER_NUM_THREADS"])
        if not slices:
            summary = self.evaluator.evaluate(self.truth, self.found, num_threads=threads)
            return {None: [summary.stats[place] for place in (0, 1, 8)]}
        rows = [
            {"key": frame} | {item.name: "in" if item.frames[frame] else "out" for item in slices}
            for frame in range(self.frames)
        ]
        manifest = {"manifest_version": "1", "key_kind": "image_id", "rows": rows}
        made = self.evaluator.evaluate(self.truth, self.found, manifest=manifest, num_threads=threads)
        table = self.arrow.record_batch(made._slices_batch).to_pylist()
        figures: Figures = {None: [made.summary.stats[place] for place in (0, 1, 8)]}
        return figures | {row["axis"]: [row["ap"], row["ap50"], row["ar_100"]] for row in table if row["value"] == "in"}


def peers_of(document: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Callable[[], Any]]:
    """How each peer is made ready: imported, and given its index."""

    def rerun(module: str, index: str, evaluation: str) -> Callable[[], Reruns]:
        def make() -> Reruns:
            peer = importlib.import_module(module)
            return Reruns(getattr(peer, index), getattr(peer, evaluation), document, results)

        return make

    return {
        "faster_coco_eval": rerun("faster_coco_eval", "COCO", "COCOeval_faster"),
        "ultrafast_pycocotools": rerun("ultrafast_pycocotools", "COCO", "COCOeval"),
        "hotcoco": lambda: Hotcoco(importlib.import_module("hotcoco"), document, results),
        "vernier": lambda: Vernier(importlib.import_module("vernier"), document, results),
    }


def timed(work: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """Seconds of the clock and what was returned; the best of several where it is short."""
    best, made = np.inf, None
    for _ in range(repeats):
        begin = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            made = work()
        best = min(best, time.perf_counter() - begin)
        if best > SHORT:
            break
    return best, made


def largest_difference(theirs: Figures, ours: Figures) -> float:
    """By how much a peer's figures differ at most."""
    pairs = [pair for name, values in theirs.items() for pair in zip(values, ours[name], strict=True)]
    return max(abs((one or 0.0) - (other or 0.0)) for one, other in pairs)


def run_peer(peer: Any, slices: list[FrameSlice]) -> tuple[float, float, Figures, str]:
    """Seconds overall, seconds overall and on all slices, the figures, and what is to be said of it."""
    overall, figures = timed(lambda: peer.run([]))
    share = sum(item.frames.mean() for item in slices)
    if overall * share <= PATIENCE or not isinstance(peer, Reruns):
        return overall, *timed(lambda: peer.run(slices)), ""
    some = slices[: max(1, int(len(slices) * PATIENCE / (overall * share)))]
    spent, figures = timed(lambda: peer.run(some))
    # By frames: a slice of few takes less.
    rest = share / sum(item.frames.mean() for item in some)
    return overall, overall + (spent - overall) * rest, figures, f"run on {len(some)} of the slices, and multiplied"


def describe_ours(statistics: Statistics, slices: list[FrameSlice], frames: int, threads: int) -> tuple[float, float]:
    """Print our times with so many threads; returns those overall, and overall and on all slices."""
    runs = [lambda part=part: score(statistics, part, frames, threads=threads) for part in ([], slices)]
    # In turn: where the machine is slower for a while, it is so for both, and their difference holds.
    turns = [[timed(run, 1)[0] for run in runs] for _ in range(TURNS)]
    overall, every = np.min(turns, axis=0).tolist()
    more = (every - overall) / max(len(slices), 1)
    print(f"  ours, {threads} thread{'s' if threads > 1 else ' '}  {overall:20.4f} s {every:20.4f} s", end="")
    print(f"   one more slice {more * 1e3:.2f} ms, {more / overall:.1%} of overall")
    return overall, every


def main() -> int:
    """Time all, print a table, and say whether the figures are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"frames": 5000, "categories": 80, "slices": 32, "threads": 2, "resamples": 1000, "seed": 1}
    for name, count in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    asked = parser.parse_args()
    os.environ.update(RAYON_NUM_THREADS=str(asked.threads), VERNIER_NUM_THREADS=str(asked.threads))
    frames = make_frames(asked.seed, asked.frames, asked.categories)
    rng = np.random.default_rng(asked.seed)
    slices = [
        FrameSlice(name=f"s{number}", where={}, category=None, protected=False, frames=chosen)
        for number, chosen in enumerate(rng.random((asked.slices, len(frames))) < rng.random((asked.slices, 1)))
    ]
    begin = time.perf_counter()
    score(collect(frames[:2], asked.categories), [], 2)
    warmed = time.perf_counter() - begin
    collected, statistics = timed(lambda: collect(frames, asked.categories))
    document, results = to_coco(frames, asked.categories)
    print(f"{len(frames)} frames, {len(results)} detections, {asked.categories} categories, seed {asked.seed}")
    print(f"  {'':14}{'overall':>20}   {'and ' + str(len(slices)) + ' slices':>20}")
    mine = {threads: describe_ours(statistics, slices, len(frames), threads) for threads in sorted({1, asked.threads})}
    print(f"  ours, collecting frames before, once  {collected:.3f} s; import and compiled code  {warmed:.3f} s")
    ours: Figures = {}
    for (metric, name), value in score(statistics, slices, len(frames)).items():
        if metric in METRICS:
            ours.setdefault(name, []).append(value)
    keep(statistics, document, results)
    differing = compare_peers(document, results, slices, ours, mine, collected)
    with contextlib.redirect_stdout(io.StringIO()):
        peer = Reruns(COCO, COCOeval, document, results)
    resample(asked, statistics, slices, peer)
    return 1 if differing else 0


def compare_peers(
    document: dict[str, Any],
    results: list[dict[str, Any]],
    slices: list[FrameSlice],
    ours: Figures,
    mine: dict[int, tuple[float, float]],
    collected: float,
) -> bool:
    """Print each peer's times and ratios; returns whether pycocotools' figures differ from ours."""
    missing, differing, threads = [], False, max(mine)
    makers = {"pycocotools": lambda: Reruns(COCO, COCOeval, document, results)} | peers_of(document, results)
    for name, make in makers.items():
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                begin = time.perf_counter()
                peer = make()
                indexed = time.perf_counter() - begin
        except ImportError as error:
            missing.append(f"{name} ({error})")
            continue
        overall, every, figures, note = run_peer(peer, slices)
        gap = largest_difference(figures, ours)
        if name == "pycocotools":
            differing = any(ours[key] != values for key, values in figures.items())
        ratios = ", ".join(f"{every / pair[1]:.1f} x ours with {count}" for count, pair in mine.items())
        said = "equal to the last bit" if all(ours[key] == figures[key] for key in figures) else f"differ by {gap:.1e}"
        pair = mine[threads]
        whole = (indexed + every) / (collected + pair[1])
        print(f"  {name:22}{overall:10.4f} s {every:20.4f} s   {ratios} thread(s), {overall / pair[0]:.1f} x overall")
        print(f"  {'':22}with its index, {indexed:.2f} s, and our collecting {whole:.1f} x; figures {said}", end="")
        print(f"; {note}" if note else "")
    print(f"  not installed, and not compared: {', '.join(missing) if missing else 'none, all peers ran'}")
    return differing


def keep(statistics: Statistics, document: dict[str, Any], results: list[dict[str, Any]]) -> None:
    """Print size and read time of the statistics' file, and of the same boxes as COCO's JSON and as Parquet files."""
    frames = len(document["images"])
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        statistics.save(place / "statistics.npz")
        (place / "truth.json").write_text(json.dumps(document))
        (place / "results.json").write_text(json.dumps(results))
        read_json = [
            lambda name=name: json.loads((place / name).read_bytes()) for name in ("truth.json", "results.json")
        ]
        ways = {
            "statistics, checksum verified": (["statistics.npz"], [lambda: Statistics.load(place / "statistics.npz")]),
            "COCO JSON, labels and results": (["truth.json", "results.json"], read_json),
        }
        with contextlib.suppress(ImportError):
            arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
            names = ("detections", "truth")
            for name in names:
                columns = {key: each for key, each in statistics.columns.items() if key.startswith(f"{name}/")}
                parquet.write_table(arrow.table(columns), place / f"{name}.parquet", compression="zstd")
            files = [f"{name}.parquet" for name in names]
            ways["Parquet, zstd, the boxes alone"] = (
                files,
                [lambda name=name: parquet.read_table(place / name, use_threads=False) for name in files],
            )
        sizes = {name: sum((place / file).stat().st_size for file in files) for name, (files, _) in ways.items()}
        times = {name: sum(timed(read)[0] for read in reads) for name, (_, reads) in ways.items()}
    own = "statistics, checksum verified"
    for name in ways:
        print(f"  {name:31}{sizes[name] / frames:8.0f} bytes a frame, {sizes[name] / sizes[own]:5.2f} x", end="")
        print(f"   read in {times[name] * 1e3:7.1f} ms, {times[name] / times[own]:5.2f} x")


def resample(asked: argparse.Namespace, statistics: Statistics, slices: list[FrameSlice], peer: Reruns) -> None:
    """Print the time of two models' paired resamples overall and on all slices, beside one overall pycocotools run."""
    other = collect(make_frames(asked.seed, asked.frames, asked.categories, model=1), asked.categories)
    compare(statistics, other, [], resamples=2, seed=1, threads=asked.threads)
    begin = time.perf_counter()
    compare(statistics, other, slices, resamples=asked.resamples, seed=1, threads=asked.threads)
    spent = time.perf_counter() - begin
    # Just after, as fast as the machine is now.
    once, _ = timed(lambda: peer.run([]))
    print(
        f"  {asked.resamples} paired resamples of 2 models, overall and {len(slices)} slices, {asked.threads} threads:"
    )
    print(f"  {spent:.2f} s, {spent / once:.2f} x of one overall pycocotools run")


if __name__ == "__main__":
    sys.exit(main())
