"""A training becomes a run of Weights & Biases, as itself, offline by default, and never in the way of training.

All calls of the library are made by a thread of its own, from a queue with an end: a service that is slow, unreachable
or gone costs figures, never a step. Everything lands under the job's folder; `wandb sync` sends what was kept offline.
"""

import math
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from proving_ground.config import TrainRun
from proving_ground.data.dataset import FrameDataset
from proving_ground.evaluation import Prediction, Statistics
from proving_ground.model.network import Network
from proving_ground.model.predictions import predict

# A log takes the library a millisecond: every so many steps are figures enough.
EVERY_STEPS = 10
QUEUE = 10_000
FINISH_SECONDS = 10.0
INIT_SECONDS = 30.0
MIN_SCORE = 0.3
BINS = 64


def open_tracking(run: TrainRun, settings: dict[str, Any], work: Path, first: bool = True) -> "Tracking":
    """Begin to track, in the background. settings are the conditions' tracking; only the first rank tracks."""
    return Tracking(run, settings, work) if first and settings["mode"] != "off" else Tracking(run, None, work)


class Tracking:
    """One run of Weights & Biases; without settings every method does nothing.

    url is the run's page, once it is known and there is one.
    """

    def __init__(self, run: TrainRun, settings: dict[str, Any] | None, work: Path) -> None:
        self.run, self.settings, self.work = run, settings or {}, work
        self.url: str | None = None
        self.calls: queue.Queue[Callable[[Any], None] | None] = queue.Queue(QUEUE)
        self.is_on, self.has_dropped = settings is not None, False
        self.thread = threading.Thread(target=self.work_off, name="tracking", daemon=True)
        if self.is_on:
            self.thread.start()

    def wants(self, step: int) -> bool:
        """Whether a step's figures are kept."""
        return self.is_on and step % EVERY_STEPS == 0

    def send(self, call: Callable[[Any], None]) -> None:
        """Queue a call of the library with its run; where the queue is full it is dropped, which is said once."""
        if not self.is_on:
            return
        try:
            self.calls.put_nowait(call)
        except queue.Full:
            if not self.has_dropped:
                print("tracking: Weights & Biases takes figures more slowly than they come; some are lost", flush=True)
            self.has_dropped = True

    def step(self, step: int, values: dict[str, float]) -> None:
        """A step's figures by name; what is no finite number is left out."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self.send(lambda tracked: tracked.log(finite, step=step))

    def gradients(self, step: int, network: nn.Module) -> None:
        """Norms, and histograms where they are asked for, of the gradients of each part of the network."""
        if not self.is_on:
            return
        parts: dict[str, list[torch.Tensor]] = {}
        for name, parameter in network.named_parameters():
            if parameter.grad is not None:
                words = name.split(".")
                part = ".".join(words[:2]) if words[0] == "heads" else words[0]
                parts.setdefault(part, []).append(parameter.grad.detach().flatten())
        joined = {part: torch.cat(values).float().cpu().numpy() for part, values in parts.items()}
        norms = {f"gradient/{part}": float(np.linalg.norm(values)) for part, values in joined.items()}
        counted = {
            part: np.histogram(values, BINS)
            for part, values in joined.items()
            if self.settings["histograms"] and np.isfinite(values).all()
        }

        def log(tracked: Any) -> None:
            import wandb

            histograms = {f"gradients/{part}": wandb.Histogram(np_histogram=it) for part, it in counted.items()}
            tracked.log({**norms, **histograms}, step=step)

        self.send(log)

    def epoch(
        self,
        step: int,
        epoch: int,
        figures: dict[str, float | None],
        frames: FrameDataset,
        network: Network,
        statistics: Statistics | None,
    ) -> None:
        """An epoch's validation: figures, precision over recall by category, some frames with boxes and masks."""
        if not self.is_on:
            return
        values = {f"validation/{name}": value for name, value in figures.items() if value is not None}
        shown = show_frames(network, frames, self.settings["images"])
        curves = precision_curves(statistics, len(frames)) if statistics is not None else {}

        def log(tracked: Any) -> None:
            import wandb

            media: dict[str, Any] = (
                {"frames": [wandb.Image(image, **layers) for image, layers in shown]} if shown else {}
            )
            if curves:
                recall = np.linspace(0, 1, 101).tolist()
                plot = wandb.plot.line_series(
                    recall, list(curves.values()), list(curves), "Precision, IoU 0.5", "recall"
                )
                media["precision_recall"] = plot
            tracked.log({**values, "epoch": epoch, **media}, step=step)

        self.send(log)

    def finish(self, state: str, output: Path | None = None) -> None:
        """End the run: finished, stopped or failed; the model's folder becomes an artefact with its lineage.

        Waits at most FINISH_SECONDS for what is still in the queue.
        """
        if not self.is_on:
            return
        data, weights = self.run.data, self.run.weights
        lineage = {
            "run": self.run.id,
            "dataset": {"name": data.name, "version": data.version},
            "weights": weights and weights["manifest"],
        }

        def end(tracked: Any) -> None:
            import wandb

            if output is not None:
                artefact = wandb.Artifact(safe_name(self.run.id), "model", metadata=lineage)
                for file in sorted(output.glob("*")):
                    if file.is_file():
                        artefact.add_reference(f"file://{file.resolve()}", name=file.name)
                tracked.log_artifact(artefact)
            tracked.summary["state"] = state
            tracked.finish(exit_code=0 if state == "finished" else 1)

        self.send(end)
        self.send_last()
        self.thread.join(FINISH_SECONDS)
        if self.thread.is_alive():
            print(
                f"tracking: Weights & Biases did not end within {FINISH_SECONDS:g} s; what it has is in "
                f"{self.work / 'wandb'}",
                flush=True,
            )

    def send_last(self) -> None:
        """Let the thread end after what is queued."""
        try:
            self.calls.put(None, timeout=FINISH_SECONDS)
        except queue.Full:
            return

    def work_off(self) -> None:
        """The thread: open the run and make the calls that are queued; nothing that happens here reaches training."""
        try:
            tracked = open_run(self.run, self.settings, self.work)
            if self.settings["mode"] == "online":
                self.url = tracked.url
        except Exception as error:
            print(f"tracking: Weights & Biases can't be used: {first_line(error)}", flush=True)
            tracked = None
        while (call := self.calls.get()) is not None:
            if tracked is None:
                continue
            try:
                call(tracked)
            except Exception as error:
                print(f"tracking: lost figures: {first_line(error)}", flush=True)


def open_run(run: TrainRun, settings: dict[str, Any], work: Path) -> Any:
    """Open or go on with the run; where the service can't be reached it is kept offline, with a sentence."""
    import wandb

    # Where it can't write, the library would go to the machine's temporary folder.
    (work / "wandb").mkdir(parents=True, exist_ok=True)
    # A run that is resumed is the same run: its id follows from ours.
    common = {
        "dir": str(work),
        "id": safe_name(run.id),
        "name": run.experiment,
        "group": run.model,
        "project": settings["project"],
        "entity": settings["entity"],
        "job_type": "train",
        "tags": [run.data.name, *run.architecture.heads],
        "config": run.document,
        "resume": "allow",
    }
    quiet = {"silent": True, "console": "off", "disable_git": True, "disable_code": True, "save_code": False}
    if settings["mode"] == "online":
        try:
            return wandb.init(mode="online", settings=wandb.Settings(**quiet, init_timeout=INIT_SECONDS), **common)
        except Exception as error:
            print(f"tracking: Weights & Biases can't be reached, kept offline: {first_line(error)}", flush=True)
            wandb.teardown()
    return wandb.init(mode="offline", settings=wandb.Settings(**quiet), **common)


def safe_name(name: str) -> str:
    """A name as W&B takes it: no slashes, no colons, at most 64 characters."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)[:64]


def first_line(error: Exception) -> str:
    """An error in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def precision_curves(statistics: Statistics, frames: int) -> dict[str, list[float]]:
    """Precision at IoU 0.5 over 101 recalls, by category with objects; empty for a model that detects nothing."""
    if "detection" not in statistics.heads:
        return {}
    from proving_ground.evaluation.detection import accumulate
    from proving_ground.evaluation.scores import tabulate

    precision, _ = accumulate(tabulate(statistics, frames).ordered)
    names = enumerate(statistics.categories)
    return {name: precision[0, :, place].tolist() for place, name in names if precision[0, 0, place] >= 0}


def show_frames(network: Network, frames: FrameDataset, count: int) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """The first frames with boxes and masks of the network and of the labels, as wandb.Image takes them."""
    size = (frames.architecture.width, frames.architecture.height)
    chosen = [index for index in range(min(count, len(frames))) if frames.example(index).image is not None]
    shown = []
    device = next(network.parameters()).device
    for index in chosen if size[0] > 0 else []:
        inputs = {name: torch.from_numpy(value.copy())[None].to(device) for name, value in frames.inputs(index).items()}
        with torch.inference_mode():
            prediction = predict(network(**inputs), [size], size)[0]
        example = frames.example(index)
        layers: dict[str, Any] = {}
        if "detection" in frames.architecture.heads:
            names = dict(enumerate(frames.data.detection))
            layers["boxes"] = {"predictions": {"box_data": predicted_boxes(prediction), "class_labels": names}}
            if example.boxes is not None:
                found = [box_of(box, category) for box, category in zip(example.boxes, example.categories, strict=True)]
                layers["boxes"]["labels"] = {"box_data": found, "class_labels": names}
        if prediction.segmentation is not None:
            names = dict(enumerate(frames.data.segmentation))
            layers["masks"] = {"predictions": {"mask_data": prediction.segmentation, "class_labels": names}}
            if example.mask is not None:
                layers["masks"]["labels"] = {"mask_data": example.mask, "class_labels": names}
        shown.append((example.image, layers))
    return shown


def predicted_boxes(prediction: Prediction) -> list[dict[str, Any]]:
    """Boxes of a prediction that score enough to be looked at."""
    return [
        {**box_of(box, category), "scores": {"score": float(score)}}
        for box, category, score in zip(prediction.boxes, prediction.categories, prediction.scores, strict=True)
        if score >= MIN_SCORE
    ]


def box_of(box: np.ndarray, category: int) -> dict[str, Any]:
    """A box x1 y1 x2 y2 in pixels as W&B has it."""
    sides = dict(zip(("minX", "minY", "maxX", "maxY"), (float(side) for side in box), strict=True))
    return {"position": sides, "class_id": int(category), "domain": "pixel"}
