"""Progress, as whoever reads the file while a job goes on sees it."""

import json
from pathlib import Path
from typing import Any

import pytest

from proving_ground import progress
from proving_ground.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress sees, in its only item."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def written(folder: Path) -> dict[str, Any]:
    """The file as it is."""
    return json.loads((folder / "progress.json").read_text())


def test_shows_training_between_the_validations_of_epochs_shorter_than_its_pause(
    tmp_path: Path, clock: list[float]
) -> None:
    """A validation's last step is always written; it doesn't use up the turn of the training."""
    shown, stages = Progress(tmp_path, True), []
    for epoch in range(1, 41):
        for step, stage in ((epoch, "train"), (1, "validate")):
            clock[0] += 0.05
            shown.show(stage, step, 40 if stage == "train" else 1, epoch=(epoch, 40))
            stages.append(written(tmp_path)["stage"])
    assert stages.count("train") == pytest.approx(40 * 0.1 / progress.EVERY_SECONDS, abs=2)
    assert written(tmp_path) | {"seconds_left": None} == {
        "stage": "validate", "epoch": 40, "epochs": 40, "step": 1, "steps": 1,
        "loss": None, "metric": None, "seconds_left": None,
    }  # fmt: skip


def test_writes_the_first_and_the_last_step_and_between_them_no_more_often_than_its_pause(
    tmp_path: Path, clock: list[float]
) -> None:
    """A thousand steps of a millisecond are a few files; time left follows from their speed."""
    shown, steps = Progress(tmp_path, True), set()
    for step in range(1001):
        clock[0] += 0.001
        shown.show("train", step, 1000)
        steps.add(written(tmp_path)["step"])
        if written(tmp_path)["step"] == 400:
            assert written(tmp_path)["seconds_left"] == pytest.approx(0.6, abs=0.05)
    assert {0, 1000} <= steps
    assert 3 <= len(steps) <= 5


def test_is_written_by_the_first_rank_alone(tmp_path: Path) -> None:
    """Other ranks have nothing to say."""
    Progress(tmp_path, False).show("train", 0, 1)
    assert list(tmp_path.iterdir()) == []
