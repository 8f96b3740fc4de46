"""Frames become batches, loaded ahead by worker processes, in an order that depends on (seed, epoch) alone.

A step's frames are the same whatever the number of processes, accumulated parts and workers, and wherever it goes on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from proving_ground.config import Training
from proving_ground.data.augment import augment
from proving_ground.data.dataset import FrameDataset
from proving_ground.errors import Refused, lost_loader
from proving_ground.randomness import generator

# Purposes among the places of randomness: frames' own choices have others.
NEW_ORDER, OLD_ORDER = 0, 1
EVALUATION_BATCH = 16
# What has one row for each track of a frame, and is padded to the batch's longest.
PADDED = ("past", "future")


@dataclass
class Batch:
    """Input and targets of some frames.

    frames: the frames' names. tensors: image [B, 3, H, W] uint8. has_detection, has_lanes: [B] bool, whether a frame
    has such labels. heat [B, C, H/4, W/4], box [B, 4, H/4, W/4], positive and counted [B, 1, H/4, W/4]: see
    data.targets.detection_maps. mask: [B, H, W] int64, 255 where it is ignored. lane: [B, S, R] float32, columns in
    cells, NaN where there is none. past [B, T, P, 2], future [B, T, F, 2] float32 metres, track [B, T] bool, False for
    padding.
    """

    frames: list[str]
    tensors: dict[str, torch.Tensor]

    def pin_memory(self) -> "Batch":
        """The same in page-locked memory: DataLoader calls it where it is asked to pin."""
        return Batch(self.frames, {name: tensor.pin_memory() for name, tensor in self.tensors.items()})


@dataclass(frozen=True)
class Failure:
    """What a worker could not load, in words: an exception would reach us wrapped into the worker's traceback."""

    message: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """Which frames a step takes: `new` ones of this run's data and `old` ones, `replayed` of them in each batch."""

    new: int
    old: int
    seed: int
    global_batch: int
    replayed: int

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch, a pass over the new frames; a last, short batch is left out unless alone."""
        return max(self.new // (self.global_batch - self.replayed), 1)

    def batch(self, epoch: int, step: int) -> np.ndarray:
        """Indices [global_batch] int64 of a step; those from `new` on are old frames."""
        share = self.global_batch - self.replayed
        # A dataset smaller than a batch goes round, so that every process has frames in every step.
        places = np.arange(step * share, (step + 1) * share) % self.new
        fresh = permutation(self.new, self.seed, epoch, NEW_ORDER)[places]
        if self.replayed == 0:
            return fresh
        begin = (epoch * self.steps + step) * self.replayed
        replayed = [self.replay(place) for place in range(begin, begin + self.replayed)]
        indices, positions = np.empty(self.global_batch, dtype=np.int64), np.arange(self.global_batch)
        # Spread over the batch, so that every process has its share of them.
        is_old = (positions + 1) * self.replayed // self.global_batch > positions * self.replayed // self.global_batch
        indices[is_old], indices[~is_old] = np.array(replayed) + self.new, fresh
        return indices

    def replay(self, place: int) -> int:
        """The old frame at a place of their own endless order: pass after pass, each in another permutation."""
        turn, within = divmod(place, self.old)
        return int(permutation(self.old, self.seed, turn, OLD_ORDER)[within])


@lru_cache(maxsize=4)
def permutation(count: int, seed: int, turn: int, purpose: int) -> np.ndarray:
    """Order of `count` frames in one pass, [count] int64: the same for all its steps, so it is kept."""
    return generator(seed, turn, 0, purpose).permutation(count)


class TrainingFrames:
    """Training frames by (epoch, index), augmented, with their targets; old frames come after the new ones."""

    def __init__(self, datasets: Sequence[FrameDataset], config: Training, seed: int) -> None:
        self.datasets, self.policies, self.seed = datasets, config.augment, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[str, dict[str, np.ndarray]] | Failure:
        epoch, index = key
        dataset, local = self.locate(index)
        try:
            example = dataset.example(local)
            changed = augment(example, self.policies, (self.seed, epoch, index), dataset.example, len(dataset))
            return dataset.frames[local].source, {**dataset.inputs_of(changed), **dataset.targets(changed)}
        except Refused as error:
            return Failure(str(error))

    def locate(self, index: int) -> tuple[FrameDataset, int]:
        """The dataset of an index, and the index there."""
        for dataset in self.datasets[:-1]:
            if index < len(dataset):
                return dataset, index
            index -= len(dataset)
        return self.datasets[-1], index


class EvaluationFrames:
    """Frames by index, as they are, with their labels for evaluation."""

    def __init__(self, dataset: FrameDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> tuple[int, dict[str, np.ndarray], Any] | Failure:
        try:
            return index, self.dataset.inputs(index), self.dataset.target(index)
        except Refused as error:
            return Failure(str(error))


def collate_training(items: list[Any]) -> Batch | Failure:
    """Examples become a batch; the first that could not be loaded stands for all."""
    failed = next((item for item in items if isinstance(item, Failure)), None)
    return failed or Batch([name for name, _ in items], stack([tensors for _, tensors in items]))


def collate_evaluation(items: list[Any]) -> tuple[list[int], dict[str, torch.Tensor], list[Any]] | Failure:
    """Indices, inputs and targets of some frames."""
    failed = next((item for item in items if isinstance(item, Failure)), None)
    return failed or ([item[0] for item in items], stack([item[1] for item in items]), [item[2] for item in items])


def stack(examples: Sequence[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Arrays of frames become tensors of a batch; tracks are padded to the longest, `track` tells the real ones."""
    tensors = {}
    for name in examples[0]:
        arrays = [example[name] for example in examples]
        if name in PADDED:
            longest = max(1, *(len(array) for array in arrays))
            counts = np.array([len(array) for array in arrays])
            tensors["track"] = torch.from_numpy(np.arange(longest)[None] < counts[:, None])
            arrays = [np.pad(array, ((0, longest - len(array)), (0, 0), (0, 0))) for array in arrays]
        tensors[name] = torch.from_numpy(np.stack(arrays))
    return tensors


def training_batches(
    frames: TrainingFrames, order: Order, steps: range, part: tuple[int, int, int], settings: dict[str, Any]
) -> Iterator[Batch]:
    """A process's batches of some optimizer steps of the whole run, `accumulation` of them for each step.

    part is (rank, world size, accumulation); settings are the conditions' loader. Workers live as long as the iterator
    and load ahead across epochs. Raises Refused for a frame that can't be loaded, LostWorker where a worker is gone.
    """
    rank, size, accumulation = part

    def keys() -> Iterator[list[tuple[int, int]]]:
        for step in steps:
            epoch, within = divmod(step, order.steps)
            indices = order.batch(epoch, within)
            for turn in range(accumulation):
                # In this order one rank with two parts has the frames of two ranks with one.
                yield [(epoch, int(index)) for index in indices[turn * size + rank :: size * accumulation]]

    return watch(open_loader(frames, keys(), collate_training, settings))


def evaluation_loader(dataset: FrameDataset, part: tuple[int, int], settings: dict[str, Any]) -> DataLoader[Any]:
    """A process's share of all frames, for any number of passes; part is (rank, world size).

    Unpadded: the shares differ by a frame where the world size doesn't divide them.
    """
    mine = list(range(part[0], len(dataset), part[1]))
    batches = [mine[begin : begin + EVALUATION_BATCH] for begin in range(0, len(mine), EVALUATION_BATCH)]
    return open_loader(EvaluationFrames(dataset), batches, collate_evaluation, settings)


def open_loader(frames: Any, batches: Any, collate: Any, settings: dict[str, Any]) -> DataLoader[Any]:
    """PyTorch's loader with persistent workers, over batches of keys."""
    workers = settings["workers"]
    return DataLoader(
        frames,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=settings["prefetch"] if workers > 0 else None,
        pin_memory=settings["pin_memory"] and torch.cuda.is_available(),
        multiprocessing_context="fork" if workers > 0 else None,
        # One of its own: nothing here moves the process's global generator.
        generator=torch.Generator(),
    )


def watch(loader: DataLoader[Any]) -> Iterator[Any]:
    """What a loader yields; raises Refused for a frame that could not be loaded, LostWorker for a worker that died."""
    batches = iter(loader)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (RuntimeError, ConnectionError, EOFError) as error:
            lost = lost_loader(error, receiving=loader.num_workers > 0)
            if lost is None:
                raise
            raise lost from error
        if isinstance(batch, Failure):
            raise Refused(batch.message)
        yield batch
