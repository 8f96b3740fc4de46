"""Frames are loaded ..."""

import gc
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import data_document, train_document, write_document

from proving_ground.attempt import Places, open_frames, open_training
from proving_ground.config import TrainRun, read_run
from proving_ground.data.loader import EVALUATION_BATCH, Order, evaluation_loader, stack, training_batches, watch
from proving_ground.errors import LostWorker, Refused, lost_loader

ALONE = {"workers": 0, "prefetch": 2, "pin_memory": False}
HELPED = {"workers": 2, "prefetch": 2, "pin_memory": False}


def planned(dataset: Path, work: Path, **train: Any) -> TrainRun:
    """A run for one process."""
    run = read_run(write_document(work / "run.json", train_document(dataset, **train) | {"processes": 1}), "train")
    assert isinstance(run, TrainRun)
    return run


def order(**changes: int) -> Order:
    """An order over 21 frames in batches of 4."""
    return Order(**{"new": 21, "old": 0, "seed": 3, "global_batch": 4, "replayed": 0, **changes})


def test_in_an_order_that_is_a_function_of_seed_and_epoch() -> None:
    epoch = [order().batch(2, step).tolist() for step in range(order().steps)]
    assert len(epoch) == 5
    assert len({index for batch in epoch for index in batch}) == 20
    assert epoch == [order().batch(2, step).tolist() for step in range(5)]
    assert epoch != [order().batch(3, step).tolist() for step in range(5)]
    assert epoch != [order(seed=4).batch(2, step).tolist() for step in range(5)]


def test_round_and_round_where_the_data_are_fewer_than_a_batch() -> None:
    small = order(new=3, global_batch=8)
    assert small.steps == 1
    assert np.bincount(small.batch(0, 0)).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_with_a_share_of_old_frames_spread_over_every_batch_and_all_in_turn() -> None:
    mixed = order(new=24, old=5, global_batch=8, replayed=2)
    assert mixed.steps == 4
    batches = [mixed.batch(epoch, step) for epoch in range(3) for step in range(4)]
    assert all(((batch >= 24).nonzero()[0] == [3, 7]).all() for batch in batches)
    old = [index - 24 for batch in batches for index in batch[batch >= 24]]
    for turn in range(4):
        assert sorted(old[5 * turn : 5 * turn + 5]) == [0, 1, 2, 3, 4]
    assert sorted(index for batch in batches[:4] for index in batch[batch < 24]) == list(range(24))


@pytest.mark.parametrize("parts", [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1)])
def test_whatever_the_processes_and_parts_a_step_has_the_same_frames(
    dataset: Path, tmp_path: Path, parts: tuple[int, int]
) -> None:
    run = planned(dataset, tmp_path)
    frames, whole = open_training(run, Places(data=dataset, work=tmp_path))
    size, accumulation = parts
    seen: list[list[str]] = [[] for _ in range(3)]
    for rank in range(size):
        batches = list(training_batches(frames, whole, range(4, 7), (rank, size, accumulation), ALONE))
        assert len(batches) == 3 * accumulation
        for number, batch in enumerate(batches):
            seen[number // accumulation] += batch.frames
    expected = [[frames.datasets[0].frames[i].source for i in whole.batch(0, step)] for step in (4, 5)]
    assert [sorted(names) for names in seen[:2]] == [sorted(names) for names in expected]
    assert all(len(names) == 4 for names in seen)


def test_with_the_same_bits_by_two_ranks_and_by_one_with_two_parts(dataset: Path, tmp_path: Path) -> None:
    frames, whole = open_training(planned(dataset, tmp_path), Places(data=dataset, work=tmp_path))
    by_ranks = [list(training_batches(frames, whole, range(2), (rank, 2, 1), ALONE)) for rank in (0, 1)]
    by_parts = list(training_batches(frames, whole, range(2), (0, 1, 2), HELPED))
    for number, batch in enumerate(by_parts):
        other = by_ranks[number % 2][number // 2]
        assert batch.frames == other.frames
        assert all(torch.equal(batch.tensors[name], other.tensors[name]) or name == "lane" for name in batch.tensors)


def test_ahead_by_workers_that_outlive_an_epoch(dataset: Path, tmp_path: Path) -> None:
    frames, whole = open_training(planned(dataset, tmp_path), Places(data=dataset, work=tmp_path))
    known = children()
    batches = training_batches(frames, whole, range(4, 8), (0, 1, 1), HELPED)
    first = next(batches)
    workers = [child for child in children() if child not in known]
    rest = [next(batches) for _ in range(3)]
    assert len(workers) == 2
    assert [child for child in children() if child not in known] == workers
    alone = list(training_batches(frames, whole, range(4, 8), (0, 1, 1), ALONE))
    assert [batch.frames for batch in [first, *rest]] == [batch.frames for batch in alone]


def children() -> list[int]:
    """Processes that this one has started."""
    return sorted(int(child) for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_and_a_worker_that_is_lost_is_said_to_be(dataset: Path, tmp_path: Path) -> None:
    frames, whole = open_training(planned(dataset, tmp_path), Places(data=dataset, work=tmp_path))
    known = children()
    batches = training_batches(frames, whole, range(100_000), (0, 1, 1), HELPED)
    next(batches)
    # The signal of its end comes whenever it likes: while batches are waited for, most often, and not in the middle of
    # this test.
    worker = next(child for child in children() if child not in known)
    end = threading.Timer(0.2, os.kill, (worker, signal.SIGKILL))
    end.start()
    with pytest.raises(RuntimeError) as caught:
        for _ in batches:
            pass
    lost = caught.value if isinstance(caught.value, LostWorker) else lost_loader(caught.value)
    end.join()
    assert re.match(
        r"A process that loads frames was lost .* (is killed|exited unexpectedly|Connection re|EOFError)", str(lost)
    )
    # The other worker's end isn't the occasion to say it again, wherever this process is by then.
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    # Where its connection broke, Python leaves the socket to the collector: here, and in no other test.
    del caught, lost, batches
    gc.collect()


def test_and_so_wherever_torch_says_it() -> None:
    signal.signal(signal.SIGCHLD, lambda *_: None)
    lost = lost_loader(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))
    assert isinstance(lost, LostWorker)
    assert "(pid 7)" in str(lost)
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    assert lost_loader(RuntimeError("something else")) is None
    assert lost_loader(ValueError("DataLoader worker")) is None


class Broken:
    """A loader whose next batch is an error."""

    def __init__(self, error: Exception, workers: int) -> None:
        self.error, self.num_workers = error, workers

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_and_so_where_its_connection_breaks_before_its_signal_comes(error: Exception) -> None:
    with pytest.raises(LostWorker, match="was lost"):
        next(watch(Broken(error, 2)))
    # Of frames that are read here, or by a worker that tells of it, it's an error like any other.
    with pytest.raises(type(error)):
        next(watch(Broken(error, 0)))
    told = type(error)("Caught in DataLoader worker process 0.")
    with pytest.raises(type(error), match="Caught"):
        next(watch(Broken(told, 2)))


@pytest.mark.parametrize("loader", [ALONE, HELPED], ids=["alone", "by workers"])
def test_and_a_frame_that_is_no_image_is_named(tmp_path: Path, dataset: Path, loader: dict[str, Any]) -> None:
    copy = tmp_path / "data"
    for file in dataset.rglob("*"):
        if file.is_file():
            (copy / file.relative_to(dataset)).parent.mkdir(parents=True, exist_ok=True)
            (copy / file.relative_to(dataset)).write_bytes(file.read_bytes())
    (copy / "images/train-000003.jpg").write_bytes(b"no image")
    frames, whole = open_training(planned(copy, tmp_path), Places(data=copy, work=tmp_path))
    message = r"images/train-000003\.jpg: can't be read as an image: its 8 bytes begin with"
    with pytest.raises(Refused, match=message):
        list(training_batches(frames, whole, range(6), (0, 1, 1), loader))


def test_for_evaluation_each_once_whatever_the_processes(dataset: Path, tmp_path: Path) -> None:
    frames = open_frames(planned(dataset, tmp_path), dataset, "train")
    for size in (1, 2, 5):
        seen = []
        for rank in range(size):
            loader = evaluation_loader(frames, (rank, size), ALONE)
            for _ in range(2):
                batches = [indices for indices, _, _ in watch(loader)]
            assert all(len(indices) <= EVALUATION_BATCH for indices in batches)
            seen += [index for indices in batches for index in indices]
        assert sorted(seen) == list(range(24))


def test_with_tracks_padded_to_the_longest() -> None:
    examples = [
        {"past": np.ones((count, 2, 2), np.float32), "future": np.ones((count, 3, 2), np.float32)} for count in (0, 2)
    ]
    tensors = stack(examples)
    assert tensors["track"].tolist() == [[False, False], [True, True]]
    assert tensors["past"].shape == (2, 2, 2, 2)
    assert tensors["future"][0].abs().sum() == 0
    assert stack(examples[:1])["past"].shape == (1, 1, 2, 2)


def test_old_frames_need_a_share_that_leaves_room_for_both(dataset: Path, tmp_path: Path) -> None:
    document = train_document(dataset) | {"processes": 1, "replay": {"share": 0.05, "data": data_document(dataset)}}
    run = read_run(write_document(tmp_path / "run.json", document), "train")
    assert isinstance(run, TrainRun)
    with pytest.raises(Refused, match=r"replay.share: 0.05 of a global batch of 4 is 0 frames"):
        open_training(run, Places(data=dataset, work=tmp_path, replay=dataset))
