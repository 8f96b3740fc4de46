"""A training becomes a run of Weights & Biases, as itself, offline by default, and never in the way of training.

All calls of the library are made by a thread of its own, from a queue with an end: a service that is slow, unreachable
or gone costs figures, never a step. Everything lands under the job's folder; `wandb sync` sends what was kept offline,
the parts of a run that was resumed in their order.
"""

import contextlib
import functools
import json
import math
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from proving_ground.config import TrainRun
from proving_ground.data.dataset import FrameDataset
from proving_ground.evaluation import Statistics
from proving_ground.files import MANIFEST, digest
from proving_ground.model.network import Network, part_of
from proving_ground.pictures import curves_by_category, show_frames

# A log takes the library a millisecond: every so many steps are figures enough.
EVERY_STEPS = 10
QUEUE = 10_000
# How long a service may take to answer at first, to take the last figures, and to end; longer, and it goes on without.
INIT_SECONDS = 8.0
UPLOAD_SECONDS = 8.0
FINISH_SECONDS = 12.0
BINS = 64
# Histograms are of at most this many values of a part, evenly spread: all of a large network's take seconds.
SAMPLE = 65_536


def open_tracking(run: TrainRun, settings: dict[str, Any], work: Path, first: bool = True) -> "Tracking":
    """Begin to track, in the background. settings are the conditions' tracking; only the first rank tracks."""
    return Tracking(run, settings, work) if first and settings["mode"] != "off" else Tracking(run, None, work)


def harmless(method: Callable[..., None]) -> Callable[..., None]:
    """A method of Tracking that does nothing where nothing is tracked, and whose failure is a sentence."""

    @functools.wraps(method)
    def call(self: "Tracking", *arguments: Any) -> None:
        if not self.is_on:
            return
        try:
            method(self, *arguments)
        except Exception as error:
            self.say("lost", f"some figures are missing; the rest are in {self.work / 'wandb'}: {first_line(error)}")

    return call


class Tracking:
    """One run of Weights & Biases; without settings every method does nothing. No method raises.

    url is the run's page, once it is known and there is one.
    """

    def __init__(self, run: TrainRun, settings: dict[str, Any] | None, work: Path) -> None:
        self.run, self.settings, self.work = run, settings or {}, work
        self.url: str | None = None
        self.calls: queue.Queue[Callable[[Any], None] | None] = queue.Queue(QUEUE)
        self.last: Callable[[Any], None] | None = None
        self.is_on, self.has_ended, self.said = settings is not None, False, set[str]()
        self.thread = threading.Thread(target=self.work_off, name="tracking", daemon=True)
        if self.is_on:
            # A loader's worker that is forked while another thread imports may wait for that import for ever.
            with contextlib.suppress(Exception):
                prepare_library(work / "wandb")
            self.thread.start()

    def wants(self, step: int) -> bool:
        """Whether a step's figures are kept."""
        return self.is_on and step % EVERY_STEPS == 0

    def say(self, kind: str, sentence: str) -> None:
        """Print a sentence, the first time that there is one of its kind."""
        if kind not in self.said:
            self.said.add(kind)
            print(f"tracking: {sentence}", flush=True)

    def send(self, call: Callable[[Any], None]) -> None:
        """Queue a call of the library with its run; where the queue is full it is dropped."""
        try:
            self.calls.put_nowait(call)
        except queue.Full:
            self.say("full", "Weights & Biases can't keep up; some figures are lost")

    @harmless
    def step(self, step: int, values: dict[str, float]) -> None:
        """A step's figures by name; what is no finite number is left out."""
        kept = finite(values)
        self.send(lambda tracked: log(tracked, step, kept))

    @harmless
    def gradients(self, step: int, network: nn.Module) -> None:
        """Norms, and histograms where they are asked for, of the gradients of each part of the network."""
        norms, samples = {}, {}
        for part, values in gradients_by_part(network).items():
            norms[f"gradient/{part}"] = float(nn.utils.get_total_norm(values))
            if self.settings["histograms"]:
                samples[f"gradients/{part}"] = sample(values)

        def send_gradients(tracked: Any) -> None:
            import wandb

            histograms = {
                name: wandb.Histogram(np_histogram=np.histogram(values, BINS))
                for name, values in samples.items()
                if np.isfinite(values).all()
            }
            log(tracked, step, {**finite(norms), **histograms})

        self.send(send_gradients)

    @harmless
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
        values = {"epoch": epoch, **finite({f"validation/{name}": value for name, value in figures.items()})}
        self.send(lambda tracked: log(tracked, step, values))
        shown = show_frames(network, frames, self.settings["images"])
        curves = curves_by_category(statistics, len(frames)) if statistics is not None else {}

        def send_media(tracked: Any) -> None:
            import wandb

            media: dict[str, Any] = {}
            if shown:
                media["frames"] = [wandb.Image(image, file_type="jpg", **layers) for image, layers in shown]
            if curves:
                recall = np.linspace(0, 1, 101).tolist()
                media["precision_recall"] = wandb.plot.line_series(
                    recall, list(curves.values()), list(curves), "Precision, IoU 0.5", "recall"
                )
            log(tracked, step, media)

        self.send(send_media)

    @harmless
    def finish(self, state: str, output: Path | None = None) -> None:
        """End the run: finished, stopped or failed; the model's folder, if there is one, becomes an artefact.

        Waits at most FINISH_SECONDS for what is still in the queue, then ends the library's service.
        """
        if output is not None:
            self.send(functools.partial(log_model, run=self.run, output=output))
        self.last = functools.partial(end_run, state=state)
        deadline = time.monotonic() + FINISH_SECONDS
        with contextlib.suppress(queue.Full):
            self.calls.put(None, timeout=FINISH_SECONDS)
        self.thread.join(max(deadline - time.monotonic(), 0))
        if self.thread.is_alive():
            self.say(
                "lost",
                f"Weights & Biases did not finish within {FINISH_SECONDS:g} s; its files are in {self.work / 'wandb'}",
            )
        if not self.has_ended:
            kill_service()

    def work_off(self) -> None:
        """The thread: open the run and make the calls that are queued; nothing that happens here reaches training."""
        try:
            tracked = open_run(self.run, self.settings, self.work, self.say)
            if self.settings["mode"] == "online":
                self.url = tracked.url
        except Exception as error:
            self.say("unusable", f"Weights & Biases can't be used: {first_line(error)}")
            return
        self.make(functools.partial(begin_run, run=self.run), tracked)
        while (call := self.calls.get()) is not None:
            self.make(call, tracked)
        self.has_ended = self.last is not None and self.make(self.last, tracked)

    def make(self, call: Callable[[Any], None], tracked: Any) -> bool:
        """Make a call of the library; returns whether it could be made."""
        try:
            call(tracked)
        except Exception as error:
            self.say("lost", f"some figures are missing; the rest are in {self.work / 'wandb'}: {first_line(error)}")
            return False
        return True


def prepare_library(folder: Path) -> None:
    """Import the library, all of whose files go to a folder, and which reports nothing of its own errors."""
    own = {name: str(folder / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    os.environ |= {f"WANDB_{name}_DIR": place for name, place in own.items()}
    os.environ |= {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    import wandb  # noqa: F401


def open_run(run: TrainRun, settings: dict[str, Any], work: Path, say: Callable[[str, str], None]) -> Any:
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
    own = {
        "silent": True,
        "console": "off",
        "disable_git": True,
        "disable_code": True,
        "save_code": False,
        "disable_job_creation": True,
        "x_save_requirements": False,
        # On SageMaker it would take the job's name for the run instead of ours.
        "sagemaker_disable": True,
        "init_timeout": INIT_SECONDS,
        "finish_timeout": UPLOAD_SECONDS,
        "finish_timeout_raises": True,
    }
    try:
        return wandb.init(mode=settings["mode"], settings=wandb.Settings(**own), **common)
    except Exception as error:
        if settings["mode"] == "offline":
            raise
        say("offline", f"Weights & Biases can't be reached, so figures are kept offline: {first_line(error)}")
        wandb.teardown()
        return wandb.init(mode="offline", settings=wandb.Settings(**own), **common)


def log(tracked: Any, step: int, values: dict[str, Any]) -> None:
    """Log values of a step, and the step among them.

    The library's own steps only grow: where a run that goes on repeats steps, they stay where they are.
    """
    tracked.log({"step": step, **values}, step=max(step, tracked.step))


def begin_run(tracked: Any, run: TrainRun) -> None:
    """Say what figures are shown over, and which dataset and start weights the run uses; equal digests are one."""
    tracked.define_metric("*", step_metric="step")
    parents = [
        document_artefact(f"data-{run.data.name}", "dataset", run.document["data"], {"version": run.data.version})
    ]
    if run.weights is not None:
        parents.append(model_artefact(run.model, run.weights["manifest"], {}))
    for parent in parents:
        # Private, since no public call does it: use_artifact refuses offline runs, and waits for the upload in others.
        # This is what it is made of; the library's version is locked.
        tracked._log_artifact(parent, is_user_created=True, use_after_commit=True)


def model_artefact(model: str, manifest: str, metadata: dict[str, Any]) -> Any:
    """A model of a line: its manifest's digest, so that a model that was made and one that is used are the same."""
    return document_artefact(f"model-{model}", "model", {"manifest": manifest}, metadata)


def document_artefact(name: str, kind: str, document: dict[str, Any], metadata: dict[str, Any]) -> Any:
    """An artefact of one small document, which W&B tells from others by its bytes."""
    import wandb

    artefact = wandb.Artifact(safe_name(name), kind, metadata=metadata)
    with artefact.new_file(f"{kind}.json", encoding="utf-8") as file:
        json.dump(document, file, indent=2, sort_keys=True)
    return artefact


def log_model(tracked: Any, run: TrainRun, output: Path) -> None:
    """Log a model's folder as an artefact: its digest, where it comes from, and the digests of its files."""
    lineage = {
        "run": run.id,
        "dataset": {"name": run.data.name, "version": run.data.version},
        "weights": run.weights and run.weights["manifest"],
        "files": json.loads((output / MANIFEST).read_bytes())["files"],
    }
    tracked.log_artifact(model_artefact(run.model, digest(output / MANIFEST), lineage), aliases=[safe_name(run.id)])


def end_run(tracked: Any, state: str) -> None:
    """Tell the state, and end the run and the library's service."""
    import wandb

    tracked.summary["state"] = state
    if state == "stopped":
        tracked.mark_preempting()
    try:
        tracked.finish(exit_code=0 if state == "finished" else 1)
    finally:
        wandb.teardown()


def kill_service() -> None:
    """End the library's own process at once: left alone it would be waited for when this one exits."""
    with contextlib.suppress(Exception):
        from wandb.sdk import wandb_setup

        # Private, since every public call waits: teardown() for the service, and so does the hook at exit that _cleanup
        # takes away. The library's version is locked, and a test that stops the service notices if these names go.
        connection = wandb_setup.singleton()._connection
        connection._cleanup()
        connection._proc._process.kill()


def gradients_by_part(network: nn.Module) -> dict[str, list[torch.Tensor]]:
    """Gradients of the backbone, of the neck and of each head; what has none is left out."""
    parts: dict[str, list[torch.Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            parts.setdefault(part_of(name), []).append(parameter.grad.detach())
    return parts


def sample(tensors: list[torch.Tensor]) -> np.ndarray:
    """At most SAMPLE values of all tensors together and one more of each, evenly spread: [N] float32."""
    stride = math.ceil(sum(tensor.numel() for tensor in tensors) / SAMPLE)
    return torch.cat([tensor.flatten()[::stride] for tensor in tensors]).float().cpu().numpy()


def finite(values: dict[str, float | None]) -> dict[str, float]:
    """Those values that are finite numbers."""
    return {name: value for name, value in values.items() if isinstance(value, Real) and math.isfinite(value)}


def safe_name(name: str) -> str:
    """A name as W&B takes it: no slashes, no colons, at most 64 characters."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:64]


def first_line(error: Exception) -> str:
    """An error in a line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
