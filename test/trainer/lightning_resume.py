"""What kill_resume.py does to our trainer, done to Lightning's: the same network and losses, a checkpoint each step.

One process, frames shuffled as Lightning's users do it: seed_everything and a shuffling loader. Lightning is among the
packages that `npm run bench` installs.
"""

import logging
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

TRAINER = Path(__file__).parents[2] / "trainer"
sys.path[:0] = [str(TRAINER), str(Path(__file__).parent)]


def train(folder: Path, data: Path) -> None:
    """Train to the end, from the last checkpoint if there is one, and write the weights' digest."""
    import hashlib

    import lightning
    import torch
    from conftest import train_document, write_document
    from lightning.pytorch.callbacks import ModelCheckpoint

    from proving_ground.attempt import open_frames
    from proving_ground.config import read_run
    from proving_ground.data.loader import TrainingFrames, collate_training
    from proving_ground.model.losses import head_losses
    from proving_ground.model.network import build_network

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    lightning.seed_everything(3, verbose=False)
    document = train_document(data) | {"processes": 1}
    run = read_run(write_document(folder / "run.json", document), "train")
    frames = TrainingFrames([open_frames(run, data, "train")], run.train, run.seed)

    class Frames(torch.utils.data.Dataset):
        """Our frames, without their place in an epoch, which Lightning's users don't have."""

        def __len__(self) -> int:
            return len(frames.datasets[0])

        def __getitem__(self, index: int) -> Any:
            return frames[0, index]

    class Module(lightning.LightningModule):
        """The network, as Lightning wants it."""

        def __init__(self) -> None:
            super().__init__()
            self.network = build_network(run.architecture, 3, 7, run.seed)

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            """The loss of a batch."""
            losses = head_losses(self.network(image=batch["image"]), batch, run.train.loss)
            return torch.stack(list(losses.values())).sum()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            """The optimizer."""
            return torch.optim.AdamW(self.parameters(), lr=run.train.learning_rate)

    keep = ModelCheckpoint(folder / "checkpoints", every_n_train_steps=1, save_last=True, save_top_k=0)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=3,
        callbacks=[keep],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(
        Frames(), batch_size=4, shuffle=True, collate_fn=lambda items: collate_training(items).tensors
    )
    last = folder / "checkpoints/last.ckpt"
    module = Module()
    trainer.fit(module, loader, ckpt_path=last if last.exists() else None, weights_only=False)
    content = b"".join(value.numpy().tobytes() for value in module.network.state_dict().values())
    (folder / "digest").write_text(hashlib.sha256(content).hexdigest())


def run_once(folder: Path, data: Path, kill_after: float | None) -> str | None:
    """Run a training in a process of its own; kill it so many seconds after its first checkpoint, if asked to."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, str(folder), str(data)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while kill_after is not None and process.poll() is None:
            if (folder / "checkpoints/last.ckpt").exists():
                time.sleep(kill_after)
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        process.wait(240)
    return (folder / "digest").read_text() if (folder / "digest").exists() else None


def compare_lightning(folder: Path, data: Path, times: int, seed: int) -> int:
    """How many of `times` killed trainings end with the weights of an undisturbed one."""
    expected = run_once(folder / "lightning", data, None)
    # It repeats itself where nothing disturbs it: what differs below is the resuming.
    assert run_once(folder / "lightning-twin", data, None) == expected is not None
    equal = 0
    for number in range(times):
        rng = random.Random(seed * 1000 + number)
        place = folder / f"lightning-{number}"
        run_once(place, data, rng.uniform(0, 0.6))
        found = run_once(place, data, None)
        equal += found == expected
        print(f"Lightning {number + 1}: {'equal' if found == expected else 'DIFFERENT'}", flush=True)
    return equal


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]))
