"""The trainer beside its peers, each in this run: overhead of a step, stall of a checkpoint, resuming, loading.

Run:  .venv/bin/python test/bench/trainer.py [step] [checkpoint] [resume] [loader]

step: microseconds that a step takes beyond a bare loop of the same network, losses, optimizer and clipping, on the same
batches; peers are Lightning Fabric and Lightning's Trainer. checkpoint: how long a step waits for a checkpoint of about
300 MB; peer is torch.distributed.checkpoint.async_save. resume: from the start of the process to the end of the first
resumed step; peer is Lightning's Trainer. loader: frames a second from JPEGs of 1280x720 to 192x112 pixels; peers
are a loop of Pillow over loose files, and WebDataset over the shards, each with as many processes.
"""

import argparse
import contextlib
import io
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
TRAINER, TESTS = Path(__file__).parents[2] / "trainer", Path(__file__).parents[1] / "trainer"
sys.path[:0] = [str(TRAINER), str(TESTS)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from conftest import CHECKPOINT, conditions_document, scenes_spec, train_document, write_document  # noqa: E402
from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

from proving_ground import loop  # noqa: E402
from proving_ground.attempt import Attempt, Places, open_training  # noqa: E402
from proving_ground.balancing import Balance  # noqa: E402
from proving_ground.checkpoint import Keeper, State  # noqa: E402
from proving_ground.config import CheckpointRule, read_conditions, read_run  # noqa: E402
from proving_ground.data import dataset  # noqa: E402
from proving_ground.data.loader import Batch, training_batches  # noqa: E402
from proving_ground.data.shards import pack  # noqa: E402
from proving_ground.distributed import join_group  # noqa: E402
from proving_ground.importers.scenes import import_scenes  # noqa: E402
from proving_ground.job import Job  # noqa: E402
from proving_ground.model.losses import head_losses  # noqa: E402
from proving_ground.model.network import build_network  # noqa: E402
from proving_ground.progress import Progress  # noqa: E402
from proving_ground.step import make_optimizer  # noqa: E402
from proving_ground.tracking import open_tracking  # noqa: E402

SEED = 1
STEPS, ROUNDS = 400, 7
ALONE = {"workers": 0, "prefetch": 2, "pin_memory": False}
HELPED = {"workers": 2, "prefetch": 4, "pin_memory": False}


def small_run(folder: Path, data: Path, **train: Any) -> Any:
    """A run of one process that trains a small network, without checks."""
    settings = {"sanity": False, "determinism_steps": 0, "channels_last": False, "checkpoint": NEVER, **train}
    document = train_document(data, **settings) | {"processes": 1}
    return read_run(write_document(folder / "run.json", document), "train")


NEVER = {**CHECKPOINT, "steps": 1_000_000, "minutes": 1440}


@contextlib.contextmanager
def alone() -> Iterator[Any]:
    """A process group of this process alone."""
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    with join_group(conditions_document()["network"]) as group:
        yield group


CPU = torch.device("cpu")


def parts_of(run: Any) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The network and optimizer that every loop of the step's bench trains."""
    network = build_network(run.architecture, 3, 7, run.seed)
    return network, make_optimizer(network, Balance(run.train.balance, run.architecture.heads, CPU), run.train)


def loss_of(network: Callable[..., Any], batch: dict[str, torch.Tensor], run: Any) -> torch.Tensor:
    """What every loop minimises."""
    losses = head_losses(network(image=batch["image"]), batch, run.train.loss)
    return torch.stack(list(losses.values())).sum()


def bare_loop(run: Any, batches: list[Batch]) -> float:
    """Seconds of the steps, by hand."""
    network, optimizer = parts_of(run)
    network.train()
    began = time.perf_counter()
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        loss_of(network, batch.tensors, run).backward()
        nn.utils.clip_grad_norm_(network.parameters(), run.train.clip_norm)
        optimizer.step()
    return time.perf_counter() - began


def fabric_loop(run: Any, batches: list[Batch]) -> float:
    """Seconds of the steps, by Lightning Fabric."""
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=1)
    network, optimizer = fabric.setup(*parts_of(run))
    network.train()
    began = time.perf_counter()
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss_of(network, batch.tensors, run))
        fabric.clip_gradients(network, optimizer, max_norm=run.train.clip_norm)
        optimizer.step()
    return time.perf_counter() - began


class Given:
    """Batches as an iterable for Lightning, which takes a list for several loaders."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return (batch.tensors for batch in self.batches)


EXTRAS = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")


def lightning_module(run: Any) -> Any:
    """The network, losses and optimizer as a LightningModule."""
    import lightning

    class Module(lightning.LightningModule):
        """The network, as Lightning wants it."""

        def __init__(self) -> None:
            super().__init__()
            self.network, self.optimizer = parts_of(run)

        def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
            """The loss of a batch."""
            return loss_of(self.network, batch, run)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            """The optimizer."""
            return self.optimizer

    return Module()


def lightning_trainer(run: Any, epochs: int, callback: Any) -> Any:
    """Lightning's Trainer without its extras."""
    import lightning

    return lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        gradient_clip_val=run.train.clip_norm,
        callbacks=[callback],
        **dict.fromkeys(EXTRAS, False),
    )


def lightning_loop(run: Any, batches: list[Batch]) -> float:
    """Seconds of the steps, by Lightning's Trainer."""
    import lightning

    class Watch(lightning.Callback):
        """Looks at the clock when training begins and ends."""

        def on_train_start(self, *_: Any) -> None:
            """Begin to count."""
            self.began = time.perf_counter()

        def on_train_end(self, *_: Any) -> None:
            """Stop counting."""
            self.seconds = time.perf_counter() - self.began

    watch = Watch()
    lightning_trainer(run, 1, watch).fit(lightning_module(run), Given(batches))
    return watch.seconds


def our_loop(run: Any, batches: list[Batch], folder: Path) -> float:
    """Seconds of the steps, by the whole of our loop but for loading and validating."""
    began: list[float] = []

    def given(*_: Any) -> Iterator[Batch]:
        began.append(time.perf_counter())
        yield from batches

    def no_validation(attempt: Attempt, _: Any) -> None:
        attempt.state.history.append({})
        attempt.state.best = attempt.session.network.state_dict()

    conditions = read_conditions(write_document(folder / "conditions.json", conditions_document()))
    kept = loop.training_batches, loop.end_epoch
    loop.training_batches, loop.end_epoch = given, no_validation
    try:
        with alone() as group:
            places = Places(data=folder / "data", work=folder)
            opened = open_training(run, places)
            tracking = open_tracking(run, conditions.tracking, folder)
            clock = Clock(folder)
            job = Job(run=run, conditions=conditions, group=group, progress=clock)
            loop.train(job, places, opened, tracking)
    finally:
        loop.training_batches, loop.end_epoch = kept
    return clock.ended - began[0]


class Clock(Progress):
    """Remembers when the last step was shown: the checkpoint at the end of a run is no part of a step."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, True)
        self.ended = 0.0

    def show(self, stage: str, step: int, steps: int, **details: Any) -> None:
        """Show it, and look at the clock."""
        super().show(stage, step, steps, **details)
        self.ended = time.perf_counter()


def bench_step(folder: Path) -> None:
    """Overhead of a step."""
    import_scenes(scenes_spec(splits={"train": [{"frames": STEPS}], **VAL_TEST}), folder / "data")
    run = small_run(folder, folder / "data", epochs=1, global_batch=1)
    # As small as can be: the less a step takes, the less of its own noise hides what is around it.
    run = replace(run, architecture=replace(run.architecture, width=32, height=32, heads=("detection",)))
    frames, order = open_training(run, Places(data=folder / "data", work=folder))
    batches = list(training_batches(frames, order, range(STEPS), (0, 1, 1), ALONE))
    loops = {
        "bare loop": lambda turn: bare_loop(run, batches),
        "ours": lambda turn: our_loop(run, batches, fresh(folder, f"ours-{turn}")),
        "Lightning Fabric": lambda turn: fabric_loop(run, batches),
        "Lightning Trainer": lambda turn: lightning_loop(run, batches),
    }
    times: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(ROUNDS + 1):
        for name, measure in loops.items():
            seconds = measure(turn)
            if turn > 0:
                times[name].append(1e6 * seconds / STEPS)
    bare = statistics.median(times["bare loop"])
    rows = [
        (name, f"{statistics.median(values):.0f} µs", f"{statistics.median(values) - bare:+.0f} µs")
        for name, values in times.items()
    ]
    show(f"A step of a small network (median of {ROUNDS} rounds of {STEPS} steps)", ("loop", "step", "overhead"), rows)


VAL_TEST = {"val": [{"frames": 2}], "test": [{"frames": 2}]}


def fresh(folder: Path, name: str) -> Path:
    """A new folder in which the data can be reached."""
    place = folder / name
    place.mkdir()
    (place / "data").symlink_to(folder / "data")
    return place


def bench_checkpoint(folder: Path) -> None:
    """Stall of a checkpoint of about 300 MB."""
    from torch.distributed.checkpoint import async_save

    tensors = {f"layer.{number}": torch.randn(1024, 1024) for number in range(75)}
    megabytes = sum(tensor.nbytes for tensor in tensors.values()) / 1e6
    keeper = Keeper(folder / "ours", CheckpointRule(**CHECKPOINT))
    state = State(run="bench", model=tensors)
    times: dict[str, list[float]] = {"ours": [], "DCP async_save": []}
    with alone(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        for turn in range(ROUNDS + 1):
            state.step += 1
            began = time.perf_counter()
            keeper.save(state)
            ours = time.perf_counter() - began
            keeper.wait()
            began = time.perf_counter()
            pending = async_save({"model": tensors}, checkpoint_id=str(folder / f"dcp-{turn}"))
            theirs = time.perf_counter() - began
            pending.result()
            if turn > 0:
                times["ours"].append(1e3 * ours)
                times["DCP async_save"].append(1e3 * theirs)
    keeper.close()
    peer = statistics.median(times["DCP async_save"])
    rows = [
        (name, f"{statistics.median(values):.1f} ms", f"{statistics.median(values) / peer:.2f}x")
        for name, values in times.items()
    ]
    title = f"How long a step waits for a checkpoint of {megabytes:.0f} MB (median of {ROUNDS})"
    show(title, ("checkpoint", "stall", "against DCP"), rows)


def bench_resume(folder: Path) -> None:
    """From the start of a process to the end of the first resumed step."""
    data = folder / "data"
    import_scenes(scenes_spec(splits={"train": [{"frames": 64}], **VAL_TEST}), data)
    train = {"epochs": 50, "checkpoint": {**CHECKPOINT, "steps": 1}}
    document = train_document(data, **train) | {"processes": 1}
    run = write_document(folder / "run.json", document)
    write_document(folder / "conditions.json", conditions_document())
    commands = {
        "ours": [str(Path(__file__)), "--resume-ours", str(folder), "--run", str(run)],
        "Lightning Trainer": [str(Path(__file__)), "--resume-lightning", str(folder), "--run", str(run)],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(ROUNDS + 1):
        for name, command in commands.items():
            began = time.time()
            done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
            if turn > 0:
                times[name].append(float(done.stdout.strip().splitlines()[-1]) - began)
    peer = statistics.median(times["Lightning Trainer"])
    rows = [
        (name, f"{statistics.median(values):.2f} s", f"{statistics.median(values) / peer:.2f}x")
        for name, values in times.items()
    ]
    title = f"From the start of the process to the first resumed step (median of {ROUNDS})"
    show(title, ("trainer", "time", "against Lightning"), rows)


class FirstStep(Progress):
    """Says when the first step of this process is done, and ends it."""

    def show(self, stage: str, step: int, steps: int, **_: Any) -> None:
        """Print the time and go."""
        if stage == "train":
            print(time.time(), flush=True)
            # The checkpoint after the first step is the next process's begin; later ones begin at that, too.
            if (self.folder / "checkpoints").exists():
                os._exit(0)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, True)
        self.folder = folder


def resume_ours(folder: Path, run_file: Path) -> None:
    """Our side of the resume bench: the first process leaves a checkpoint, the others go on from it."""
    run, conditions = read_run(run_file, "train"), read_conditions(folder / "conditions.json")
    with alone() as group:
        places = Places(data=folder / "data", work=folder / "ours")
        places.work.mkdir(exist_ok=True)
        tracking = open_tracking(run, conditions.tracking, places.work)
        opened = open_training(run, places)
        job = Job(run=run, conditions=conditions, group=group, progress=FirstStep(places.work))
        loop.train(job, places, opened, tracking)


def resume_lightning(folder: Path, run_file: Path) -> None:
    """Lightning's side: the same network, losses and frames."""
    import lightning

    run, known = read_run(run_file, "train"), folder / "lightning.ckpt"
    frames, order = open_training(run, Places(data=folder / "data", work=folder))

    class Leave(lightning.Callback):
        """Says when the first step is done, leaves a checkpoint the first time, and goes."""

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            """After the first step."""
            print(time.time(), flush=True)
            if not known.exists():
                trainer.save_checkpoint(known)
            os._exit(0)

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    batches = Given(training_batches(frames, order, range(order.steps), (0, 1, 1), ALONE))
    trainer = lightning_trainer(run, 50, Leave())
    trainer.fit(lightning_module(run), batches, ckpt_path=known if known.exists() else None, weights_only=False)


def bench_loader(folder: Path) -> None:
    """Frames a second, from JPEG to the network's size."""
    import webdataset

    data, count = folder / "data", 400
    make_camera_frames(data, count)
    pack(data, folder / "shards", 50)
    run = small_run(folder, data, epochs=1, global_batch=16, augment={})
    architecture = replace(run.architecture, heads=("detection",), width=192, height=112)
    run = replace(run, architecture=architecture)

    # Each frame is decoded each time, as in a dataset that is larger than memory.
    dataset.CACHE_BYTES = 0
    opened = {place: open_training(run, Places(data=place, work=folder)) for place in (data, folder / "shards")}

    def ours(place: Path, loader: dict[str, Any]) -> int:
        frames, order = opened[place]
        return sum(
            len(batch.frames) for batch in training_batches(frames, order, range(order.steps), (0, 1, 1), loader)
        )

    def decode(content: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB").resize((192, 112), Image.Resampling.BILINEAR))

    class Loose(torch.utils.data.Dataset):
        """Loose files by Pillow."""

        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int) -> np.ndarray:
            return decode((data / f"images/train-{index:06d}.jpg").read_bytes())

    def pillow(workers: int) -> int:
        loader = torch.utils.data.DataLoader(Loose(), batch_size=16, shuffle=True, num_workers=workers)
        return sum(len(batch) for batch in loader)

    def wds(workers: int) -> int:
        urls = sorted(str(file) for file in (folder / "shards/shards").glob("train-*.tar"))
        samples = webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).map(
            lambda sample: decode(sample["jpg"])
        )
        loader = webdataset.WebLoader(samples, batch_size=16, num_workers=workers)
        return sum(len(batch) for batch in loader)

    ways: dict[str, Callable[[], int]] = {
        "Pillow, loose files": lambda: pillow(0),
        "ours, loose files": lambda: ours(data, ALONE),
        "Pillow, loose files, 2 workers": lambda: pillow(2),
        "ours, loose files, 2 workers": lambda: ours(data, HELPED),
        "WebDataset, shards": lambda: wds(0),
        "ours, shards": lambda: ours(folder / "shards", ALONE),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(4):
        for name, way in ways.items():
            began = time.perf_counter()
            frames = way()
            if turn > 0:
                rates[name].append(frames / (time.perf_counter() - began))
    middle = {name: statistics.median(values) for name, values in rates.items()}
    peers = {
        "ours, loose files": "Pillow, loose files",
        "ours, loose files, 2 workers": "Pillow, loose files, 2 workers",
        "ours, shards": "WebDataset, shards",
    }
    rows = [
        (name, f"{rate:.0f} frames/s", f"{rate / middle[peers[name]]:.2f}x" if name in peers else "1.00x")
        for name, rate in middle.items()
    ]
    show("JPEGs of 1280x720 to 192x112, with their targets where ours (median of 3)", ("loader", "rate", "ratio"), rows)


def make_camera_frames(data: Path, count: int) -> None:
    """A dataset of large frames: scenes enlarged, with noise, about as large as BDD100K's (60 kB a JPEG)."""
    spec = scenes_spec(width=320, height=192, splits={"train": [{"frames": count}], **VAL_TEST})
    import_scenes(spec, data)
    rng = np.random.default_rng(SEED)
    noise = rng.normal(0, 1.2, (720, 1280, 3))
    for file in sorted((data / "images").glob("train-*.jpg")):
        with Image.open(file) as image:
            pixels = np.asarray(image.resize((1280, 720)), dtype=np.float64)
        Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(file, quality=84)


def show(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a Markdown table."""
    print(f"\n{title}\n\n| {' | '.join(header)} |\n|:--|{'--:|' * (len(header) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


BENCHES = {"step": bench_step, "checkpoint": bench_checkpoint, "resume": bench_resume, "loader": bench_loader}


def main() -> None:
    """Run the benches that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benches", nargs="*", choices=[*BENCHES, []])
    parser.add_argument("--resume-ours", type=Path)
    parser.add_argument("--resume-lightning", type=Path)
    parser.add_argument("--run", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.resume_ours:
        return resume_ours(arguments.resume_ours, arguments.run)
    if arguments.resume_lightning:
        return resume_lightning(arguments.resume_lightning, arguments.run)
    warnings.simplefilter("ignore")
    logging.getLogger("lightning").setLevel(logging.ERROR)
    for name in arguments.benches or BENCHES:
        with tempfile.TemporaryDirectory() as place:
            BENCHES[name](Path(place))
    return None


if __name__ == "__main__":
    main()
