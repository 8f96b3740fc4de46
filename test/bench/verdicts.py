"""Models of known quality become scores with intervals, many times over: what test/bench/verdicts.ts judges.

Run:  npm run bench -- verdicts

Each trial draws its own test frames, in slices of 20, 100, 500 and 2,000, and what two models find on them. How hard an
object is, is the same for both models; how hard a frame and its drive (of --cluster frames) are, is partly so, and
partly each model's own. What is true is measured once on very many frames. Prints a line of JSON for the truth, and one
for each trial.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "trainer"))

from proving_ground.data.slices import FrameSlice
from proving_ground.evaluation import Statistics, compare, scores
from proving_ground.evaluation.counting.tusimple import FrameAccuracy

SIZES = (20, 100, 500, 2000)
OBJECTS, ALARMS, RECALL = 6, 3.0, 0.7
# As many frames that what is true is known to a tenth of a point.
TRUTH_FRAMES = 100_000


def draw_statistics(rng: np.random.Generator, frames: int, drive: int, drops: tuple[float, float]) -> list[Statistics]:
    """Statistics of two models on the same frames; the models find `drops` less of the objects each."""
    drives = np.arange(frames) // drive
    shared = rng.normal(0, 0.8, frames) + rng.normal(0, 0.8, drives.max() + 1)[drives]
    frame = np.repeat(np.arange(frames), OBJECTS)
    # The far and the hidden are hard for both: that is what makes the comparison on the same frames worth so much.
    objects = rng.normal(0, 2.0, len(frame)) + shared[frame]
    truth = np.stack([np.tile(np.arange(OBJECTS) * 40.0, frames), np.zeros(len(frame))], axis=1)
    # What one model alone finds hard is its drive's as well: so do two models differ from drive to drive.
    own = [rng.normal(0, 0.5, drives.max() + 1)[drives] for _ in drops]
    return [
        measure(rng, frame, truth, objects + hard[frame], frames, RECALL - drop)
        for hard, drop in zip(own, drops, strict=True)
    ]


def measure(
    rng: np.random.Generator, frame: np.ndarray, truth: np.ndarray, hard: np.ndarray, frames: int, recall: float
) -> Statistics:
    """What a model finds: boxes a little off, with scores that tell them from false alarms not quite."""
    chance = 1 / (1 + np.exp(-(np.log(recall / (1 - recall)) + hard)))
    found = np.flatnonzero(rng.random(len(frame)) < chance)
    alarms = np.repeat(np.arange(frames), rng.poisson(ALARMS, frames))
    place = np.concatenate([truth[found] + rng.normal(0, 1.2, (len(found), 2)), np.full((len(alarms), 2), 900.0)])
    score = np.concatenate([rng.beta(4, 2, len(found)), rng.beta(2, 4, len(alarms))])
    of = np.concatenate([frame[found], alarms])
    order = np.argsort(of, kind="stable")
    columns = {
        "frames/frame": np.arange(frames),
        **{f"frames/{head}": np.full(frames, head == "detection") for head in scores.HEADS},
        **table("detections", of[order], place[order], score=score[order]),
        **table("truth", frame, truth, crowd=np.zeros(len(frame), dtype=bool)),
        "confusion/frame": np.zeros(0, dtype=np.int64),
        "confusion/matrix": np.zeros((0, 0, 0), dtype=np.int64),
        "lane_counts/frame": np.zeros(0, dtype=np.int64),
        "lane_counts/counts": np.zeros((0, 3), dtype=np.int64),
        **{f"lane_points/{name}": np.zeros(0, dtype=np.int64) for name in ("frame", *FrameAccuracy._fields)},
        **{f"tracks/{name}": np.zeros(0, dtype=np.int64) for name in ("frame", "ade", "fde", "min_ade", "min_fde")},
        "tracks/missed": np.zeros(0, dtype=bool),
    }
    return Statistics(heads=("detection",), categories=("vehicle",), classes=(), columns=columns)


def table(name: str, frame: np.ndarray, corner: np.ndarray, **others: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of boxes of 20 x 20 pixels."""
    side = np.full(len(frame), 20.0)
    boxes = {"frame": frame, "category": np.zeros(len(frame), dtype=np.int64), "x": corner[:, 0], "y": corner[:, 1]}
    return {f"{name}/{key}": values for key, values in {**boxes, "w": side, "h": side, **others}.items()}


def trial(number: int, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The scores of one trial, map alone."""
    rng = np.random.default_rng([arguments.seed, number])
    total = sum(SIZES)
    ends = np.cumsum(SIZES)
    slices = []
    for size, end in zip(SIZES, ends, strict=True):
        chosen = (np.arange(total) >= end - size) & (np.arange(total) < end)
        slices.append(FrameSlice(name=f"s{size}", where={}, category=None, protected=False, frames=chosen))
    models = draw_statistics(rng, total, arguments.cluster, (arguments.drop, 0.0))
    units = np.arange(total) if arguments.mistake == "frames" else np.arange(total) // arguments.cluster
    options = {"resamples": arguments.resamples, "seed": number, "units": units}
    rows = compare(*models, slices, **options)
    if arguments.mistake == "unpaired":
        unpair(rows, compare(models[1], None, slices, **{**options, "seed": number + 10**6}))
    return [row for row in rows if row["metric"] == "map"]


def unpair(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """The mistake of taking two models on the same frames for two on frames of their own: variances add up."""
    for row, other in zip(rows, others, strict=True):
        reach = (row["delta_interval"][1] - row["delta_interval"][0]) / 2 / row["delta_error"]
        row["delta_error"] = float(np.hypot(row["candidate_error"], other["candidate_error"]))
        row["delta_interval"] = [row["delta"] + sign * reach * row["delta_error"] for sign in (-1, 1)]


def main() -> None:
    """Print the truth and the trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cluster", type=int, default=1, help="frames of a drive")
    parser.add_argument("--drop", type=float, default=0.0, help="how much less of the objects the candidate finds")
    parser.add_argument("--mistake", choices=["unpaired", "frames"])
    arguments = parser.parse_args()
    rng = np.random.default_rng([arguments.seed, 10**9])
    models = draw_statistics(rng, TRUTH_FRAMES, arguments.cluster, (arguments.drop, 0.0))
    own, other = (scores.score(model, [], TRUTH_FRAMES)["map", None] for model in models)
    print(json.dumps({"candidate": own, "production": other, "delta": own - other if arguments.drop else 0.0}))
    with ProcessPoolExecutor(2) as pool:
        for rows in pool.map(partial(trial, arguments=arguments), range(arguments.trials)):
            print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    main()
