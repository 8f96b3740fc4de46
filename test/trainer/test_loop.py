"""The loop ..."""

import contextlib
import json
import math
import os
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import (
    CHECKPOINT,
    all_features_document,
    conditions_document,
    data_document,
    train_document,
    write_document,
)

from proving_ground import checkpoint, loop, step
from proving_ground.attempt import Places, open_training
from proving_ground.checkpoint import State
from proving_ground.config import TrainRun, read_conditions, read_run
from proving_ground.data.shards import pack
from proving_ground.distributed import Group, join_group
from proving_ground.errors import NonFiniteLoss, Refused, Stopped
from proving_ground.job import Job
from proving_ground.loop import learning_rate, train
from proving_ground.model.network import Network, build_network
from proving_ground.progress import Progress
from proving_ground.tracking import open_tracking

HEADS = ("detection", "segmentation", "lanes")
BALANCES = [
    {"method": "fixed"},
    {"method": "uncertainty"},
    {"method": "dwa", "temperature": 2},
    {"method": "gradnorm", "alpha": 1.5, "learning_rate": 0.05},
    {
        "method": "curriculum",
        "start": {"lanes": 0.5, "trajectory": 1},
        "ramp_epochs": 1,
    },
]


@contextlib.contextmanager
def alone() -> Iterator[Group]:
    """A process group of this process alone, without torchrun."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "RANK": 0,
        "WORLD_SIZE": 1,
        "LOCAL_RANK": 0,
        "LOCAL_WORLD_SIZE": 1,
        "MASTER_PORT": port,
    }
    before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    os.environ |= {name: str(value) for name, value in environment.items()} | {"MASTER_ADDR": "127.0.0.1"}
    try:
        with join_group(conditions_document()["network"]) as group:
            yield group
    finally:
        signal.signal(signal.SIGTERM, handler)
        os.environ.clear()
        os.environ.update(before)


def planned(dataset: Path, work: Path, **train_settings: Any) -> TrainRun:
    """A run for one process."""
    return read(train_document(dataset, **train_settings), work)


def read(document: dict[str, Any], work: Path) -> TrainRun:
    """A run's document, for one process."""
    run = read_run(write_document(work / "run.json", document | {"processes": 1}), "train")
    assert isinstance(run, TrainRun)
    return run


def too_fast(run: TrainRun) -> TrainRun:
    """The run with a learning rate at which no network survives its first step."""
    return replace(run, train=replace(run.train, learning_rate=1e30))


def fit(
    run: TrainRun,
    dataset: Path,
    work: Path,
    *,
    progress: Progress | None = None,
    loader: dict[str, Any] | None = None,
    **places: Path,
) -> tuple[Network, State]:
    """Train alone, to the end."""
    document = conditions_document(**({"loader": loader} if loader else {}))
    conditions = read_conditions(write_document(work / "conditions.json", document))
    with alone() as group:
        tracking = open_tracking(run, conditions.tracking, work)
        where = Places(data=dataset, work=work, **places)
        opened = open_training(run, where)
        job = Job(run=run, conditions=conditions, group=group, progress=progress or Progress(work, True))
        return train(job, where, opened, tracking)


def without_speed(state: State) -> list[dict[str, Any]]:
    """A history without what differs from run to run."""
    return [{name: value for name, value in epoch.items() if name != "speed"} for epoch in state.history]


class StopsAfter(Progress):
    """Asks this process to stop when a step is reached, as a signal would."""

    def __init__(self, work: Path, step: int) -> None:
        super().__init__(work, True)
        self.step = step

    def show(self, stage: str, step: int, steps: int, **details: Any) -> None:
        """Raise the signal in time."""
        if stage == "train" and step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)
        super().show(stage, step, steps, **details)


def equal(one: Network, other: Network) -> bool:
    """Whether two networks have the same bits, running statistics included."""
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, State]:
    work = tmp_path_factory.mktemp("undisturbed")
    return fit(planned(dataset, work), dataset, work)


def test_learns_and_remembers_every_epoch(undisturbed: tuple[Network, State]) -> None:
    _, state = undisturbed
    assert [item["epoch"] for item in state.history] == [1, 2]
    assert state.history[1]["loss"]["total"] < state.history[0]["loss"]["total"]
    assert set(state.history[0]["loss"]) == {
        "total",
        "detection",
        "segmentation",
        "lanes",
    }
    assert set(state.history[0]["validation"]) == {"map", "miou", "lane_f1"}
    assert (state.step, state.attempts) == (12, 1)


@pytest.mark.parametrize("step", [1, 5, 6, 11])
def test_goes_on_after_a_stop_as_if_there_had_been_none(
    dataset: Path, tmp_path: Path, undisturbed: tuple[Network, State], step: int
) -> None:
    # Checkpoints are never due here: only the stop saves one, inside an epoch, at its end, and before the last step.
    run = planned(dataset, tmp_path, checkpoint={**CHECKPOINT, "steps": 1000})
    with pytest.raises(Stopped, match=rf"saved a checkpoint at step {step + (step % 6 > 0)} of 12"):
        fit(run, dataset, tmp_path, progress=StopsAfter(tmp_path, step))
    network, state = fit(run, dataset, tmp_path)
    assert equal(network, undisturbed[0])
    assert without_speed(state) == without_speed(undisturbed[1])
    assert (state.best_epoch, state.attempts) == (undisturbed[1].best_epoch, 2)


@pytest.mark.parametrize("balance", BALANCES, ids=[item["method"] for item in BALANCES])
def test_carries_every_feature_over_a_stop(dataset: Path, tmp_path: Path, balance: dict[str, Any]) -> None:
    document = all_features_document(dataset, balance=balance, checkpoint={**CHECKPOINT, "steps": 1000})
    expected, undisturbed = fit(read(document, tmp_path / "a"), dataset, tmp_path / "a")
    run = read(document, tmp_path / "b")
    with pytest.raises(Stopped):
        fit(run, dataset, tmp_path / "b", progress=StopsAfter(tmp_path / "b", 7))
    network, state = fit(run, dataset, tmp_path / "b")
    assert equal(network, expected)
    assert without_speed(state) == without_speed(undisturbed)


def test_has_the_same_bits_whatever_the_number_of_loading_processes(
    dataset: Path, tmp_path: Path, undisturbed: tuple[Network, State]
) -> None:
    loader = {"workers": 2, "prefetch": 3, "pin_memory": False}
    network, state = fit(planned(dataset, tmp_path), dataset, tmp_path, loader=loader)
    assert equal(network, undisturbed[0])
    assert all(0 <= epoch["speed"]["data_wait_percent"] <= 100 for epoch in state.history)


def test_has_the_same_bits_from_shards(dataset: Path, tmp_path: Path, undisturbed: tuple[Network, State]) -> None:
    pack(dataset, tmp_path / "shards", 1)
    run = planned(dataset, tmp_path)
    with pytest.raises(Stopped):
        fit(run, tmp_path / "shards", tmp_path, progress=StopsAfter(tmp_path, 4))
    network, _ = fit(run, tmp_path / "shards", tmp_path)
    assert equal(network, undisturbed[0])


def test_goes_on_from_the_checkpoint_before_a_damaged_one(
    dataset: Path,
    tmp_path: Path,
    undisturbed: tuple[Network, State],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = planned(dataset, tmp_path)
    fit(run, dataset, tmp_path)
    newest = checkpoint.checkpoints(tmp_path / "checkpoints")[-1]
    (newest / "state.safetensors").write_bytes(b"damaged")
    network, _ = fit(run, dataset, tmp_path)
    assert equal(network, undisturbed[0])
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"{newest} is damaged and was skipped: the content of state.safetensors doesn't match its manifest",
        "resumed at step 10",
    ]


def test_goes_on_from_the_durable_store_when_the_machine_is_gone(
    dataset: Path,
    tmp_path: Path,
    undisturbed: tuple[Network, State],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, stores = (
        planned(dataset, tmp_path),
        {"fast": tmp_path / "fast", "durable": tmp_path / "durable"},
    )
    with pytest.raises(Stopped):
        fit(
            run,
            dataset,
            tmp_path / "one",
            progress=StopsAfter(tmp_path / "one", 5),
            **stores,
        )
    network, _ = fit(run, dataset, tmp_path / "another", **stores)
    assert "resumed at step 6" in capsys.readouterr().out
    assert equal(network, undisturbed[0])


def test_stops_at_a_loss_that_is_not_finite_and_names_the_frames(dataset: Path, tmp_path: Path) -> None:
    run = too_fast(planned(dataset, tmp_path, warmup_steps=0, sanity=False, determinism_steps=0))
    with pytest.raises(NonFiniteLoss) as caught:
        fit(run, dataset, tmp_path)
    message = str(caught.value)
    assert re.match(
        r"At step \d+ \(epoch 1\) the loss is not a finite number on rank 0, on the frames ",
        message,
    )
    frames = message.partition("on the frames ")[2].removesuffix(".").split(", ")
    known = {json.loads(line)["source-ref"] for line in (dataset / "golden_train.manifest").read_text().splitlines()}
    assert len(frames) == 4
    assert set(frames) <= known


def test_stops_at_a_loss_that_explodes_and_keeps_the_last_checkpoint(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SETTLED_STEPS", 4)
    losses = step.head_losses
    calls = []

    def explode(*arguments: Any) -> dict[str, torch.Tensor]:
        calls.append(1)
        return {name: loss * (1e4 if len(calls) == 8 else 1) for name, loss in losses(*arguments).items()}

    monkeypatch.setattr(step, "head_losses", explode)
    run = planned(dataset, tmp_path, sanity=False, determinism_steps=0)
    with pytest.raises(
        NonFiniteLoss,
        match=r"At step 7 \(epoch 2\) the loss .* has exploded, on rank 0, on the frames",
    ):
        fit(run, dataset, tmp_path)
    assert [place.name for place in checkpoint.checkpoints(tmp_path / "checkpoints")][-1] == "step-00000006"


def test_tries_a_batch_of_the_largest_shapes_before_the_first_step(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(dataset, tmp_path)
    monkeypatch.setattr(
        step, "head_losses", lambda outputs, *_: {head: math.nan * outputs[head].sum() for head in HEADS}
    )
    with pytest.raises(
        NonFiniteLoss,
        match=r"Before the first step, on the sanity batch, the loss is not a finite",
    ):
        fit(run, dataset, tmp_path)


def test_leaves_no_trace_of_the_checks_before_the_first_step(
    dataset: Path, tmp_path: Path, undisturbed: tuple[Network, State]
) -> None:
    network, state = fit(planned(dataset, tmp_path, sanity=False, determinism_steps=0), dataset, tmp_path)
    assert equal(network, undisturbed[0])
    assert state.checks == {}
    found = undisturbed[1].checks["determinism"]
    assert found == {"steps": 1, "difference": 0.0, "band": 0.0, "agrees": True}


def test_tells_a_harness_that_does_not_repeat(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, rng = step.head_losses, iter(range(100))

    def drift(*arguments: Any) -> dict[str, torch.Tensor]:
        return {name: loss * (1 + 0.01 * next(rng)) for name, loss in losses(*arguments).items()}

    monkeypatch.setattr(step, "head_losses", drift)
    _, state = fit(planned(dataset, tmp_path, sanity=False, epochs=1), dataset, tmp_path)
    assert state.checks["determinism"]["agrees"] is False
    assert state.checks["determinism"]["difference"] > 0


def test_keeps_frozen_parts_as_they_were(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path, freeze=["backbone", "heads.lanes"], epochs=1)
    begun = build_network(run.architecture, 3, 7, run.seed).state_dict()
    network, _ = fit(run, dataset, tmp_path)
    kept = {name for name, value in network.state_dict().items() if torch.equal(value, begun[name])}
    frozen = {name for name in begun if name.startswith(("backbone.", "heads.lanes."))}
    assert frozen <= kept
    assert "neck.smooth.0.weight" not in kept


def test_follows_the_weights_with_their_moving_average(dataset: Path, tmp_path: Path) -> None:
    plain, _ = fit(planned(dataset, tmp_path / "a", epochs=1), dataset, tmp_path / "a")
    slow, state = fit(
        planned(dataset, tmp_path / "b", epochs=1, ema_decay=0.999),
        dataset,
        tmp_path / "b",
    )
    begun = build_network(planned(dataset, tmp_path).architecture, 3, 7, 3).state_dict()
    name = "neck.smooth.0.weight"
    moved = [(network.state_dict()[name] - begun[name]).abs().mean() for network in (plain, slow)]
    assert 0 < moved[1] < 0.05 * moved[0]
    assert set(state.average) == set(begun)


def test_replays_older_frames_in_every_batch(dataset: Path, tmp_path: Path) -> None:
    document = train_document(dataset, epochs=1)
    document["replay"] = {"share": 0.25, "data": data_document(dataset)}
    _, state = fit(read(document, tmp_path), dataset, tmp_path, replay=dataset)
    # 24 new frames, three of them in each batch of four.
    assert state.step == 8


def test_refuses_data_that_changed_since_the_plan(dataset: Path, tmp_path: Path) -> None:
    document = train_document(dataset) | {"processes": 1}
    document["data"]["manifests"]["train"]["sha256"] = "sha256:" + "1" * 64
    run = read_run(write_document(tmp_path / "run.json", document), "train")
    with pytest.raises(
        Refused,
        match=r"golden_train\.manifest: it has changed since the run was planned",
    ):
        fit(run, dataset, tmp_path)


def test_warms_up_and_then_falls_as_a_cosine(dataset: Path, tmp_path: Path) -> None:
    config = planned(dataset, tmp_path, learning_rate=0.5, warmup_steps=4).train
    rates = [learning_rate(config, step, 20) for step in range(20)]
    assert rates[:4] == pytest.approx([0.125, 0.25, 0.375, 0.5])
    assert rates[4:] == pytest.approx([0.25 * (1 + math.cos(math.pi * step / 16)) for step in range(16)])


def test_says_how_far_it_is(dataset: Path, tmp_path: Path) -> None:
    fit(planned(dataset, tmp_path, epochs=1), dataset, tmp_path)
    shown = json.loads((tmp_path / "progress.json").read_text())
    assert set(shown) == {
        "stage",
        "epoch",
        "epochs",
        "step",
        "steps",
        "metric",
        "loss",
        "seconds_left",
    }
    assert shown["stage"] in ("train", "validate")
    assert shown["step"] <= shown["steps"]


def test_what_a_stopped_job_still_holds_does_not_end_the_process_group() -> None:
    # PyTorch itself keeps a process's first group.
    for _ in range(2):
        with alone() as group:
            forward = step.distribute(torch.nn.Linear(2, 2), group)
    threads = set(Path("/proc/self/task").iterdir())
    # As when an exception that held the network is let go. The reducer would join gloo's threads, which may wait for
    # the interpreter's lock that it holds.
    for name in ("process_group", "logger", "reducer"):
        del forward.__dict__[name]
    assert set(Path("/proc/self/task").iterdir()) == threads
