"""Tables of positions ..."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imports import SPLITS, frames_of, imported, refusal

from proving_ground.config import Architecture, Data, Tracks
from proving_ground.data.augment import augment
from proving_ground.data.dataset import FrameDataset
from proving_ground.data.loader import stack
from proving_ground.evaluation import Evaluator
from proving_ground.importers.trajectories import import_trajectories
from proving_ground.model.network import build_network
from proving_ground.model.predictions import predict
from proving_ground.model.trajectory import trajectory_loss

PAST, FUTURE = 4, 4


def spec_of(folder: Path, rows: np.ndarray, name: str = "walk") -> dict[str, Any]:
    """Settings for a table [N, 4] of frame, id, x, y that is every split."""
    folder.mkdir(exist_ok=True)
    lines = [f"{frame:.0f}\t{agent:.0f}\t{x:.4f}\t{y:.4f}" for frame, agent, x, y in rows]
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return {
        "name": "trajectories",
        "past": PAST,
        "future": FUTURE,
        "step_seconds": 0.4,
        "splits": {key: [str(folder / f"{name}.txt")] for key in SPLITS},
        "slices": [],
        "categories": {"detection": [], "segmentation": []},
    }


def walk(agents: int, steps: int, jitter: float = 0, step: int = 100, exact: int = 2) -> np.ndarray:
    """Rows of agents that walk straight on; the clock of all but the first two jitters by up to a share of a step."""
    rng = np.random.default_rng(5)
    rows = []
    for agent in range(agents):
        at = np.arange(steps)
        late = rng.uniform(-jitter, jitter, steps) * (agent >= exact)
        frame = np.round(step * (at + late))
        rows += [(time, agent, 0.4 * k + agent, 0.2 * k) for k, time in zip(at, frame, strict=True)]
    return np.array(rows)


def windows_of(frames: list[Any]) -> int:
    """How many tracks the frames have."""
    return sum(len(frame.tracks) for frame in frames)


@pytest.mark.parametrize("step", [1, 100, 10**8])
@pytest.mark.parametrize("jitter", [0, 0.02, 0.08])
def test_keep_every_whole_window_of_a_clock_that_jitters(tmp_path: Path, jitter: float, step: int) -> None:
    rows = walk(20, 30, jitter, step)
    read, kept, printed = imported(import_trajectories, spec_of(tmp_path, rows), tmp_path / "out")
    assert windows_of(read["train"]) == 20 * 23
    # Agents that are seen together stay together.
    assert [len(frame.tracks) for frame in read["train"]] == [20] * 23
    assert kept["counts"]["train"] == {"tracks": {"written": 460}, "rows": {"written": 600}, "frames": {"written": 23}}
    assert ("clock that jitters" in printed) == (round(jitter * step) > 0)


def test_have_the_step_around_which_most_are(tmp_path: Path) -> None:
    rows = walk(20, 30, 0.08, 1000, exact=0)
    steps = np.diff(rows[:, 0])[np.diff(rows[:, 1]) == 0]
    # By chance the most common of all is far from the true one.
    rows[(rows[:, 1] == 0), 0] = np.arange(30) * 860
    assert (np.diff(rows[rows[:, 1] == 0, 0]) == 860).sum() > np.unique(steps, return_counts=True)[1].max()
    read = imported(import_trajectories, spec_of(tmp_path, rows), tmp_path / "out")[0]
    assert windows_of(read["train"]) == 20 * 23


def test_are_left_out_and_told_where_a_clock_jitters_too_much(tmp_path: Path) -> None:
    rows = walk(20, 30, 0.4)
    read, kept, printed = imported(import_trajectories, spec_of(tmp_path, rows), tmp_path / "out")
    counts = kept["counts"]["train"]
    assert sum(counts["rows"].values()) == 600
    assert counts["tracks"]["written"] == windows_of(read["train"]) < 100
    assert f"left out: rows {600 - counts['rows']['written']} (in no whole track" in printed


def test_end_at_gaps_and_are_none_of_doubles(tmp_path: Path) -> None:
    rows = walk(3, 30, 0.02)
    rows = rows[~((rows[:, 1] == 0) & (rows[:, 0] == 1500))]
    double = rows[(rows[:, 1] == 1) & (rows[:, 0] == 1000)] + np.array([7, 0, 0.01, 0])
    read, kept, _ = imported(import_trajectories, spec_of(tmp_path, np.concatenate([rows, double])), tmp_path / "out")
    frames = read["train"]
    # 15 and 14 positions before and after the gap have 8 + 7 windows; the others have 23 each.
    assert windows_of(frames) == 15 + 23 + 23
    assert all(len(frame.tracks) <= 3 for frame in frames)
    assert kept["counts"]["train"]["rows"] == {
        "written": len(rows),
        "in no whole track: too few in a row a step apart": 1,
    }


def test_stay_exact_where_the_clock_is(tmp_path: Path) -> None:
    # Agents between the frames of others, by less than a clock may jitter, have frames of their own.
    rows = walk(2, 10)
    rows[rows[:, 1] == 1, 0] += 10
    read, _, printed = imported(import_trajectories, spec_of(tmp_path, rows), tmp_path / "out")
    assert [frame.source for frame in read["test"]] == [
        f"walk:{at}" for k in (3, 4, 5) for at in (100 * k, 100 * k + 10)
    ]
    assert "jitters" not in printed


def test_are_of_one_drive_for_each_table(tmp_path: Path) -> None:
    read = imported(import_trajectories, spec_of(tmp_path, walk(2, 10)), tmp_path / "out")[0]
    assert {frame.sequence for frame in read["test"]} == {"walk"}


def test_are_refused_at_ids_that_are_no_whole_numbers(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, walk(1, 10))
    file = tmp_path / "walk.txt"
    file.write_text(file.read_text().replace("\t0\t", "\t0.5\t"))
    assert "frame and id must be whole numbers" in refusal(import_trajectories, spec, tmp_path / "out")
    file.write_text(file.read_text().replace("\t0.5\t", "\t5.0\t"))
    assert windows_of(imported(import_trajectories, spec, tmp_path / "out")[0]["val"]) == 3


def figures(folder: Path, rows: np.ndarray) -> tuple[dict[str, np.ndarray], list[np.ndarray], float]:
    """Errors of an untrained network, what it learns from under augmentation, and its loss."""
    import_trajectories(spec_of(folder, rows), folder / "out")
    frames = frames_of(folder / "out")["test"]
    tracks = Tracks(past=PAST, future=FUTURE, step_seconds=0.4)
    data = Data(name="walk", version="", manifests={}, slices=None, detection=(), segmentation=(), tracks=tracks)
    architecture = architecture_of()
    dataset = FrameDataset(folder / "out", frames, data, architecture)
    network = build_network(architecture, 0, 0, seed=1, tracks=tracks).eval()
    with torch.no_grad():
        for last in (network.heads["trajectory"].offsets, network.heads["trajectory"].logits):
            torch.nn.init.normal_(last.weight, generator=torch.Generator().manual_seed(2))
    evaluator = Evaluator(heads=["trajectory"], detection_categories=[], segmentation_classes=[])
    learnt, loss = [], 0.0
    for index in range(len(frames)):
        inputs = stack([dataset.inputs(index)])
        with torch.inference_mode():
            outputs = network(**inputs)
        evaluator.add(index, predict(outputs, [(0, 0)], (0, 0))[0], dataset.target(index))
        example = augment(dataset.example(index), {"flip": {"probability": 0.5}}, (1, 0, index), dataset.example, 1)
        targets = stack([dataset.targets(example)])
        learnt += [example.past, example.future]
        futures, logits = outputs["trajectory"], outputs["trajectory_logits"]
        loss += float(trajectory_loss(futures, logits, targets, {"class_weight": 0.5}))
    return evaluator.statistics().columns, learnt, loss


def architecture_of() -> Architecture:
    """A small network of tracks alone."""
    from test_trajectory import architecture

    return architecture("trajectory")


@pytest.mark.parametrize("origin", [(5e6, 5e6), (691234.5, 5334567.25), (-1234567.8901, 0.1)])
def test_are_the_same_wherever_a_map_has_its_origin(tmp_path: Path, origin: tuple[float, float]) -> None:
    rows = walk(5, 14)
    rows[:, 2:] += np.random.default_rng(1).normal(0, 0.3, (len(rows), 2))
    rows[:, 2:] = rows[:, 2:].round(4)
    here = figures(tmp_path / "here", rows)
    there = figures(tmp_path / "there", rows + np.array([0, 0, *origin]))
    for name in ("ade", "fde", "min_ade", "min_fde", "missed"):
        assert np.array_equal(here[0][f"tracks/{name}"], there[0][f"tracks/{name}"]), name
    assert here[0]["tracks/ade"].max() > 0.1
    assert all(np.array_equal(one, other) for one, other in zip(here[1], there[1], strict=True))
    assert here[2] == there[2]
    # By their ends labels are known as the same; those of other places aren't.
    assert not np.array_equal(here[0]["tracks/x"], there[0]["tracks/x"])
