"""A checkpoint ..."""

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SOAK

from proving_ground import checkpoint
from proving_ground.checkpoint import Keeper, Snapshot, State, checkpoints, load
from proving_ground.config import CheckpointRule
from proving_ground.errors import Refused, StorageFailure


def rule(**changes: Any) -> CheckpointRule:
    """Which checkpoints are kept."""
    settings = {"steps": 1, "minutes": 10, "keep_last": 2, "keep_every_hours": 0, "durable_minutes": 0}
    return CheckpointRule(**{**settings, **changes})


def state(step: int, run: str = "train-a", **changes: Any) -> State:
    """A state with a bit of everything: types, layouts, nesting, numbers as keys."""
    picture = torch.arange(48.0).reshape(2, 2, 3, 4).to(memory_format=torch.channels_last) + step
    return State(
        run=run,
        model={"weight": torch.arange(3.0) + step, "filter": picture, "seen": torch.tensor(step)},
        average={"weight": torch.ones(3, dtype=torch.bfloat16)},
        optimizer={
            "state": {0: {"step": torch.tensor(float(step)), "exp_avg": picture * 2}, 1: {"exp_avg": torch.ones(1)}},
            "param_groups": [{"lr": 0.1, "betas": [0.9, 0.999], "params": [0, 1], "capturable": False}],
        },
        scaler={"scale": 65536.0},
        balance={"weights": {"lanes": 0.5}, "mask": torch.tensor([True, False])},
        step=step,
        history=[{"epoch": 1, "loss": {"total": 0.5}, "validation": {"map": None}}],
        best={"weight": torch.zeros(3, dtype=torch.float64)},
        **{"best_epoch": 1, "best_score": 0.2, **changes},
    )


def save(folder: Path, *states: State, keep: CheckpointRule | None = None, **stores: Path) -> None:
    """Save states one after the other, as a run does."""
    keeper = Keeper(folder, keep or rule(), **stores)
    for item in states:
        keeper.save(item)
    keeper.wait()
    keeper.close()


def same(one: Any, other: Any) -> bool:
    """Whether two nested structures are equal to the last bit, layouts in memory included."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype and one.stride() == other.stride()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    return one == other


def names(folder: Path) -> list[int]:
    """Steps of the checkpoints of a folder."""
    return [int(place.name.removeprefix("step-")) for place in checkpoints(folder)]


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, state(7))
    loaded, passed_over = load([tmp_path], "train-a")
    assert loaded is not None
    assert passed_over == []
    assert same(vars(loaded), vars(state(7)))


def test_is_a_copy_that_later_steps_do_not_change(tmp_path: Path) -> None:
    live, snapshot = state(7), Snapshot()
    snapshot.take(live)
    live.model["weight"].zero_()
    live.history.append({"epoch": 2})
    snapshot.write(tmp_path)
    loaded, _ = load([tmp_path], "train-a")
    assert loaded is not None
    assert same(vars(loaded), vars(state(7)))


def test_is_laid_out_anew_when_the_state_grows(tmp_path: Path) -> None:
    first = state(1)
    first.best = {}
    save(tmp_path, first, state(2))
    loaded, _ = load([tmp_path], "train-a")
    assert loaded is not None
    assert same(vars(loaded), vars(state(2)))


def test_is_the_newest_by_number_and_the_last_are_kept(tmp_path: Path) -> None:
    save(tmp_path, *(state(step) for step in (9, 10, 100, 1000)), keep=rule(keep_last=2))
    # The first with the best weights, and the last two.
    assert names(tmp_path) == [9, 100, 1000]
    loaded, _ = load([tmp_path], "train-a")
    assert loaded is not None
    assert loaded.step == 1000


def test_of_the_best_epoch_and_of_every_so_many_hours_stay(tmp_path: Path) -> None:
    states = [
        state(step, seconds=1800.0 * step, best_epoch=epoch) for step, epoch in enumerate((0, 1, 1, 2, 2, 2, 2, 2))
    ]
    save(tmp_path, *states, keep=rule(keep_last=1, keep_every_hours=2))
    # Of hours 0 to 2 the first, of hours 2 to 4 the first, the first with the weights of epoch 2, and the last.
    assert names(tmp_path) == [0, 3, 4, 7]


def test_that_is_the_newest_whole_one_is_never_deleted(tmp_path: Path) -> None:
    save(tmp_path, *(state(step, best_epoch=step) for step in (1, 2, 3, 4)), keep=rule(keep_last=9))
    for step in (3, 4):
        cut(tmp_path / f"step-{step:08d}", "state.safetensors")
    checkpoint.prune(tmp_path, rule(keep_last=1))
    loaded, passed_over = load([tmp_path], "train-a")
    assert loaded is not None
    assert (loaded.step, len(passed_over)) == (2, 1)


def cut(place: Path, name: str) -> None:
    """Cut the last bytes off a file."""
    content = (place / name).read_bytes()
    (place / name).write_bytes(content[: max(len(content) - 9, 0)])


def flip(place: Path, name: str, rng: random.Random) -> None:
    """Flip one bit of a file."""
    content = bytearray((place / name).read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    (place / name).write_bytes(content)


def tear(place: Path, name: str, rng: random.Random) -> None:
    """Let a part of a file be zeros, as after a power cut."""
    content = bytearray((place / name).read_bytes())
    begin = rng.randrange(len(content) // 2)
    content[begin : begin + 64] = bytes(min(64, len(content) - begin))
    (place / name).write_bytes(content)


def grow(file: Path) -> None:
    """Add bytes at the end."""
    file.write_bytes(file.read_bytes() + b"more")


FILES = ("state.safetensors", "state.json", "manifest.json")
DAMAGES: dict[str, Callable[[Path, random.Random], Any]] = {
    "a bit flipped": lambda place, rng: flip(place, rng.choice(FILES), rng),
    "cut short": lambda place, rng: cut(place, rng.choice(FILES)),
    "torn": lambda place, rng: tear(place, rng.choice(FILES[:2]), rng),
    "emptied": lambda place, rng: (place / rng.choice(FILES)).write_bytes(b""),
    "gone": lambda place, rng: (place / rng.choice(FILES)).unlink(),
    "grown": lambda place, rng: grow(place / rng.choice(FILES[:2])),
    "mixed": lambda place, rng: shutil.copy(place.parent / "step-00000001" / rng.choice(FILES), place),
    "misnamed": lambda place, _: place.rename(place.with_name("step-00000009")),
    "of another schema": lambda place, _: edit(place, schema=1),
    "no folder": lambda place, _: (shutil.rmtree(place), place.write_text("a file")),
}


def edit(place: Path, **changes: Any) -> None:
    """Change what the manifest says."""
    file = place / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("damage", DAMAGES, ids=list(DAMAGES))
def test_is_passed_over_when_damaged_and_says_so(tmp_path: Path, damage: str) -> None:
    # Ten of each kind in the soak: a hundred in all, none of which may be taken for the state that it isn't.
    for turn in range(10 if SOAK else 3):
        folder = tmp_path / str(turn)
        save(folder, state(1), state(2))
        DAMAGES[damage](folder / "step-00000002", random.Random(f"{damage} {turn}"))
        before = {place.name: content_of(place) for place in checkpoints(folder)}
        loaded, passed_over = load([folder], "train-a")
        assert loaded is not None
        if passed_over:
            assert same(vars(loaded), vars(state(1)))
            assert len(passed_over) == 1
            assert "is damaged and was skipped: " in passed_over[0]
        else:
            # A manifest holds things that nobody reads to load, such as the seconds; the state is the right one.
            assert same(vars(loaded), vars(state(2)))
            assert damage in ("a bit flipped", "mixed")
        assert before == {place.name: content_of(place) for place in checkpoints(folder)}


def content_of(place: Path) -> Any:
    """The bytes of a checkpoint, whatever is left of it."""
    return {file.name: file.read_bytes() for file in place.iterdir()} if place.is_dir() else place.read_bytes()


def test_is_a_refusal_when_all_are_damaged(tmp_path: Path) -> None:
    save(tmp_path, state(1), state(2))
    for place in checkpoints(tmp_path):
        cut(place, "state.safetensors")
    with pytest.raises(
        Refused, match=r"No checkpoint is intact; delete them to start from the beginning:\n.*00002.*\n.*00001"
    ):
        load([tmp_path], "train-a")
    assert load([tmp_path / "nothing"], "train-a") == (None, [])


def test_replaces_a_damaged_one_of_the_same_step(tmp_path: Path) -> None:
    save(tmp_path, state(4))
    cut(tmp_path / "step-00000004", "state.json")
    save(tmp_path, state(4))
    loaded, passed_over = load([tmp_path], "train-a")
    assert (loaded is not None, passed_over) == (True, [])


def test_of_another_run_is_a_mix_up(tmp_path: Path) -> None:
    save(tmp_path, state(4, run="train-b"))
    with pytest.raises(Refused, match=r"step-00000004 belongs to the run train-b, but this is train-a"):
        load([tmp_path], "train-a")


def test_is_whole_or_absent_when_saving_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, state(1))

    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_json", break_off)
    snapshot = Snapshot()
    snapshot.take(state(2))
    with pytest.raises(KeyboardInterrupt):
        snapshot.write(tmp_path)
    assert [place.name for place in tmp_path.iterdir()] == ["step-00000001"]


def test_leaves_nothing_of_a_killed_save_behind(tmp_path: Path) -> None:
    save(tmp_path, state(1))
    (tmp_path / ".step-00000002.abcd").mkdir()
    (tmp_path / ".step-00000002.abcd/state.safetensors").write_bytes(b"half")
    load([tmp_path], "train-a")
    assert [place.name for place in tmp_path.iterdir()] == ["step-00000001"]


def test_that_cannot_be_written_is_told_at_the_next_one_with_the_last_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper(tmp_path, rule())
    keeper.save(state(1))
    keeper.wait()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    keeper.save(state(2))
    message = "can't be written to .*: No space left on device; the last good one is step-00000001"
    with pytest.raises(StorageFailure, match=message):
        keeper.save(state(3))
    keeper.close()
    assert names(tmp_path) == [1]


def test_goes_to_the_fast_store_each_time_and_to_the_durable_one_at_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fast, durable = tmp_path / "fast", tmp_path / "durable"
    keeper = Keeper(tmp_path / "own", rule(durable_minutes=60, keep_last=9), fast, durable)
    for step in (1, 2):
        keeper.save(state(step))
    keeper.wait()
    assert (names(fast), names(durable)) == ([1, 2], [])
    keeper.save(state(3), last=True)
    assert (names(fast), names(durable)) == ([1, 2, 3], [3])
    shutil.rmtree(tmp_path / "own")
    cut(fast / "step-00000003", "state.json")
    loaded, passed_over = load([tmp_path / "own", fast, durable], "train-a")
    assert loaded is not None
    assert loaded.step == 3
    assert len(passed_over) == (1 if passed_over else 0)
    shutil.rmtree(fast)
    fast.write_text("no folder")
    keeper.save(state(4), last=True)
    keeper.close()
    assert "step-00000004 could not be copied to" in capsys.readouterr().out
    assert names(durable) == [3, 4]


def test_is_due_by_steps_and_by_minutes(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, rule(steps=10, minutes=1))
    assert [step for step in range(1, 31) if keeper.due(step)] == [10, 20, 30]
    keeper.saved_at -= 61
    assert keeper.due(11)
    keeper.close()


def test_holds_no_code(tmp_path: Path) -> None:
    bad = state(1)
    bad.scaler = {"x": object()}
    with pytest.raises(TypeError, match="not JSON serializable"):
        Snapshot().take(bad)
