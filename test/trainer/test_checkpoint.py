"""A checkpoint ..."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from proving_ground import checkpoint
from proving_ground.checkpoint import State
from proving_ground.errors import Refused


def state(step: int, run: str = "train-a") -> State:
    """A state with a bit of everything."""
    optimizer = {
        "state": {0: {"step": torch.tensor(float(step)), "exp_avg": torch.ones(3)}},
        "param_groups": [{"lr": 0.1}],
    }
    history = [{"epoch": 1, "loss": {"total": 0.5}, "validation": {"map": None}}]
    best = {"weight": torch.zeros(3)}
    model = {"weight": torch.arange(3.0) + step}
    return State(
        run=run,
        model=model,
        optimizer=optimizer,
        scaler={},
        step=step,
        history=history,
        best=best,
        best_epoch=1,
        best_score=0.2,
    )


def flip_a_byte(place: Path) -> None:
    content = bytearray((place / "state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (place / "state.pt").write_bytes(content)


def cut_it_short(place: Path) -> None:
    (place / "state.pt").write_bytes((place / "state.pt").read_bytes()[:-10])


def empty_the_manifest(place: Path) -> None:
    (place / "manifest.json").write_text("{}")


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(7))
    loaded, passed_over = checkpoint.load(tmp_path, "train-a")
    assert passed_over == []
    assert loaded is not None
    assert loaded.model["weight"].tolist() == [7.0, 8.0, 9.0]
    assert loaded.optimizer["state"][0]["exp_avg"].tolist() == [1.0, 1.0, 1.0]
    expected = {name: value for name, value in vars(state(7)).items() if name not in ("model", "optimizer", "best")}
    assert {name: value for name, value in vars(loaded).items() if name in expected} == expected


def test_is_the_newest_by_number_and_only_two_are_kept(tmp_path: Path) -> None:
    for step in (9, 10, 100, 1000):
        checkpoint.save(tmp_path, state(step))
    assert [place.name for place in checkpoint.checkpoints(tmp_path)] == ["step-00000100", "step-00001000"]
    loaded, _ = checkpoint.load(tmp_path, "train-a")
    assert loaded is not None
    assert loaded.step == 1000


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_byte,
        cut_it_short,
        empty_the_manifest,
        lambda place: (place / "manifest.json").unlink(),
        lambda place: (place / "state.pt").unlink(),
    ],
    ids=["a byte flipped", "cut short", "manifest empty", "manifest gone", "state gone"],
)
def test_is_passed_over_when_damaged_and_says_so(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, state(step))
    damage(tmp_path / "step-00000002")
    loaded, passed_over = checkpoint.load(tmp_path, "train-a")
    assert loaded is not None
    assert loaded.step == 1
    assert len(passed_over) == 1
    assert passed_over[0].startswith("step-00000002 is damaged and was passed over: ")


def test_is_absent_when_all_are_damaged(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1))
    flip_a_byte(tmp_path / "step-00000001")
    loaded, passed_over = checkpoint.load(tmp_path, "train-a")
    assert loaded is None
    assert len(passed_over) == 1
    assert checkpoint.load(tmp_path / "nothing", "train-a") == (None, [])


def test_replaces_a_damaged_one_of_the_same_step(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(4))
    flip_a_byte(tmp_path / "step-00000004")
    checkpoint.save(tmp_path, state(4))
    loaded, passed_over = checkpoint.load(tmp_path, "train-a")
    assert (loaded is not None, passed_over) == (True, [])


def test_of_another_run_is_a_mix_up(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(4, run="train-b"))
    with pytest.raises(Refused, match=r"step-00000004 is of the run train-b, and this is train-a"):
        checkpoint.load(tmp_path, "train-a")


def test_is_whole_or_absent_when_saving_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, state(1))

    def break_off(_: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", break_off)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, state(2))
    assert [place.name for place in checkpoint.checkpoints(tmp_path)] == ["step-00000001"]


def test_leaves_nothing_of_a_killed_save_behind(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1))
    (tmp_path / ".step-00000002.abcd").mkdir()
    (tmp_path / ".step-00000002.abcd/state.pt").write_bytes(b"half")
    checkpoint.load(tmp_path, "train-a")
    assert [place.name for place in tmp_path.iterdir()] == ["step-00000001"]


def test_carries_no_code(tmp_path: Path) -> None:
    class Surprise:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))

    bad = state(1)
    bad.scaler = {"x": Surprise()}
    checkpoint.save(tmp_path, bad)
    loaded, passed_over = checkpoint.load(tmp_path, "train-a")
    assert loaded is None
    assert len(passed_over) == 1
    assert not (tmp_path / "ran").exists()
