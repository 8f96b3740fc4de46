"""The loop ..."""

import contextlib
import json
import math
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import train_document, write_document
from safetensors.torch import save_file

from proving_ground import checkpoint
from proving_ground.checkpoint import State
from proving_ground.config import TrainRun, read_run
from proving_ground.distributed import Group, join_group
from proving_ground.errors import NonFiniteLoss, Refused, Stopped
from proving_ground.loop import learning_rate, train
from proving_ground.model.network import Network, build_network
from proving_ground.progress import Progress


@contextlib.contextmanager
def alone() -> Iterator[Group]:
    """A process group of this process alone, without torchrun."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1, "MASTER_PORT": port}
    before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    os.environ |= {name: str(value) for name, value in environment.items()} | {"MASTER_ADDR": "127.0.0.1"}
    try:
        with join_group() as group:
            yield group
    finally:
        signal.signal(signal.SIGTERM, handler)
        os.environ.clear()
        os.environ.update(before)


def planned(dataset: Path, work: Path, **train_settings: Any) -> TrainRun:
    """A run for one process."""
    document = train_document(dataset, **train_settings) | {"processes": 1}
    run = read_run(write_document(work / "run.json", document), "train")
    assert isinstance(run, TrainRun)
    return run


def fit(run: TrainRun, dataset: Path, work: Path, weights: Path | None = None) -> tuple[Network, State]:
    """Train alone, to the end."""
    with alone() as group:
        return train(run, group, dataset, work, weights, Progress(work, True))


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
    assert set(state.history[0]["loss"]) == {"total", "detection", "segmentation", "lanes"}
    assert set(state.history[0]["validation"]) == {"map", "miou", "lane_f1"}
    assert (state.step, state.attempts) == (12, 1)


@pytest.mark.parametrize("step", [1, 5, 6, 11])
def test_goes_on_after_a_stop_as_if_there_had_been_none(
    dataset: Path, tmp_path: Path, undisturbed: tuple[Network, State], step: int
) -> None:
    # Checkpoints are never due here: only the stop saves one, inside an epoch, at its end, and before the last step.
    run = planned(dataset, tmp_path, checkpoint_steps=1000)
    with alone() as group, pytest.raises(Stopped, match=rf"saved a checkpoint at step {step + 1} of 12"):
        train(run, group, dataset, tmp_path, None, StopsAfter(tmp_path, step))
    network, state = fit(run, dataset, tmp_path)
    assert equal(network, undisturbed[0])
    assert state.history == undisturbed[1].history
    assert (state.best_epoch, state.attempts) == (undisturbed[1].best_epoch, 2)


def test_goes_on_from_the_checkpoint_before_a_damaged_one(
    dataset: Path, tmp_path: Path, undisturbed: tuple[Network, State], capsys: pytest.CaptureFixture[str]
) -> None:
    run = planned(dataset, tmp_path)
    fit(run, dataset, tmp_path)
    newest = checkpoint.checkpoints(tmp_path / "checkpoints")[-1]
    (newest / "state.pt").write_bytes(b"damaged")
    network, _ = fit(run, dataset, tmp_path)
    assert equal(network, undisturbed[0])
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"{newest.name} is damaged and was passed over: its content is not what its manifest says",
        "resumed at step 10",
    ]


def test_stops_at_a_loss_that_is_not_finite_and_names_the_frames(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path, learning_rate=1e30, warmup_steps=0, checkpoint_steps=1000)
    with pytest.raises(NonFiniteLoss) as caught:
        fit(run, dataset, tmp_path)
    message = str(caught.value)
    assert message.startswith("The loss is not a finite number at step ")
    frames = message.partition("on the frames ")[2].removesuffix(".").split(", ")
    known = {json.loads(line)["source-ref"] for line in (dataset / "golden_train.manifest").read_text().splitlines()}
    assert len(frames) == 4
    assert set(frames) <= known


def test_starts_from_the_weights_that_it_is_given(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path, learning_rate=1e-12, epochs=1)
    given = build_network(run.architecture, 3, 7, seed=77)
    save_file(given.state_dict(), tmp_path / "weights.safetensors")
    network, _ = fit(run, dataset, tmp_path, tmp_path)
    for name, value in given.named_parameters():
        torch.testing.assert_close(network.state_dict()[name], value.detach(), atol=1e-6, rtol=0)


def test_names_the_first_tensor_of_weights_that_do_not_fit(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path)
    other = build_network(run.architecture, 4, 7, seed=1)
    save_file(other.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(Refused, match=r"heads\.detection\.1\.bias is \(8,\) there and \(7,\) in this architecture"):
        fit(run, dataset, tmp_path, tmp_path)


def test_refuses_data_that_changed_since_the_plan(dataset: Path, tmp_path: Path) -> None:
    document = train_document(dataset) | {"processes": 1}
    document["data"]["manifests"]["train"]["sha256"] = "sha256:" + "1" * 64
    run = read_run(write_document(tmp_path / "run.json", document), "train")
    with pytest.raises(Refused, match=r"golden_train\.manifest: its content is not what the run was planned with"):
        fit(run, dataset, tmp_path)


def test_warms_up_and_then_falls_as_a_cosine(dataset: Path, tmp_path: Path) -> None:
    config = planned(dataset, tmp_path, learning_rate=0.5, warmup_steps=4).train
    rates = [learning_rate(config, step, 20) for step in range(20)]
    assert rates[:4] == pytest.approx([0.125, 0.25, 0.375, 0.5])
    assert rates[4:] == pytest.approx([0.25 * (1 + math.cos(math.pi * step / 16)) for step in range(16)])


def test_says_how_far_it_is(dataset: Path, tmp_path: Path) -> None:
    fit(planned(dataset, tmp_path, epochs=1), dataset, tmp_path)
    shown = json.loads((tmp_path / "progress.json").read_text())
    assert set(shown) == {"stage", "epoch", "epochs", "step", "steps", "metric", "loss", "seconds_left"}
    assert shown["stage"] in ("train", "validate")
    assert shown["step"] <= shown["steps"]
