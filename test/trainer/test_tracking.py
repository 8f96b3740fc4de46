"""A training is tracked in Weights & Biases ..."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import train_document, write_document
from wandb_log import read_run as read_wandb

from proving_ground import tracking as module
from proving_ground.config import TrainRun, read_run
from proving_ground.loop import open_frames
from proving_ground.model.network import Network, build_network
from proving_ground.tracking import open_tracking, safe_name

SETTINGS = {"mode": "offline", "project": "perception", "entity": None, "images": 2, "histograms": True}
TRAINER = Path(__file__).parents[2] / "trainer"


@pytest.fixture
def run(dataset: Path, tmp_path: Path) -> TrainRun:
    """A run for one process."""
    found = read_run(write_document(tmp_path / "run.json", train_document(dataset) | {"processes": 1}), "train")
    assert isinstance(found, TrainRun)
    return found


def build(run: TrainRun) -> Network:
    """The run's network, with gradients."""
    network = build_network(run.architecture, 3, 7, run.seed, run.data.tracks)
    for parameter in network.parameters():
        parameter.grad = parameter.detach().clone()
    return network


def folders(work: Path) -> list[Path]:
    """Offline runs of a job, in the order in which they began."""
    return sorted((work / "wandb").glob("offline-run-*"))


def test_offline_with_figures_gradients_pictures_curves_and_an_artefact(
    run: TrainRun, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked = open_tracking(run, SETTINGS, tmp_path)
    network = build(run)
    tracked.step(10, {"loss/total": 1.5, "learning_rate": 0.1, "broken": float("nan")})
    tracked.gradients(10, network)
    tracked.epoch(12, 1, {"map": 0.25, "miou": None}, open_frames(run, dataset, "val"), network, None)
    (tmp_path / "model.onnx").write_bytes(b"bytes")
    tracked.finish("finished", tmp_path)
    found = read_wandb(folders(tmp_path)[0])
    assert (found["id"], found["group"], found["project"]) == ("train-tiny", "perception", "perception")
    assert found["config"]["train"]["epochs"] == 2
    rows = found["history"]
    assert any(row.get("loss/total") == 1.5 and row["_step"] == 10 and "broken" not in row for row in rows)
    assert any("gradient/heads.lanes" in row and row["gradients/backbone/_type"] == "histogram" for row in rows)
    (last,) = [row for row in rows if "validation/map" in row]
    assert (last["validation/map"], last["_step"], "validation/miou" in last) == (0.25, 12, False)
    assert last["frames/count"] == 2
    assert len(list((folders(tmp_path)[0] / "files/media/images").rglob("*.png"))) >= 2
    names = dict(found["artefacts"])
    assert names["train-tiny"]["dataset"] == {"name": "scenes", "version": run.data.version}
    assert found["exit"] == 0
    assert capsys.readouterr().out == ""


def test_as_the_same_run_when_it_goes_on(run: TrainRun, tmp_path: Path) -> None:
    for step, state in ((10, "stopped"), (20, "finished")):
        tracked = open_tracking(run, SETTINGS, tmp_path)
        tracked.step(step, {"loss/total": 1.0})
        tracked.finish(state)
        # The library names its folders by the second.
        time.sleep(1.1)
    found = [read_wandb(folder) for folder in folders(tmp_path)]
    assert [item["id"] for item in found] == ["train-tiny", "train-tiny"]
    assert [item["history"][0]["_step"] for item in found] == [10, 20]
    assert [item["exit"] for item in found] == [1, 0]


def test_not_at_all_when_it_is_off(run: TrainRun, tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from proving_ground.config import read_run
from proving_ground.tracking import open_tracking
tracked = open_tracking(read_run(Path(sys.argv[1]), "train"), {"mode": "off"}, Path(sys.argv[2]))
tracked.step(10, {"loss": 1.0})
tracked.gradients(10, None)
tracked.epoch(1, 1, {}, None, None, None)
tracked.finish("finished")
assert tracked.url is None and not tracked.wants(10)
assert "wandb" not in sys.modules
"""
    command = [sys.executable, "-c", script, str(tmp_path / "run.json"), str(tmp_path)]
    subprocess.run(command, env={"PYTHONPATH": str(TRAINER), "OMP_NUM_THREADS": "1"}, check=True, timeout=60)
    assert not (tmp_path / "wandb").exists()


class Broken(BaseHTTPRequestHandler):
    """A service that answers every request with an error."""

    def do_POST(self) -> None:
        self.send_error(500)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(params=["refuses", "fails", "hangs"])
def service(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a service that can't be used."""
    if request.param == "fails":
        server = HTTPServer(("127.0.0.1", 0), Broken)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
        server.server_close()
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "hangs":
            listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_and_a_service_that_cannot_be_used_is_never_in_the_way(run: TrainRun, tmp_path: Path, service: str) -> None:
    script = """
import sys, time
from pathlib import Path
from proving_ground import tracking
from proving_ground.config import read_run
tracking.FINISH_SECONDS, tracking.INIT_SECONDS = 15.0, 3.0
settings = {"mode": "online", "project": "p", "entity": None, "images": 0, "histograms": False}
began = time.monotonic()
tracked = tracking.open_tracking(read_run(Path(sys.argv[1]), "train"), settings, Path(sys.argv[2]))
for step in range(100):
    tracked.step(step, {"loss": 1.0})
assert time.monotonic() - began < 1
tracked.finish("finished")
assert time.monotonic() - began < 20
print("trained", flush=True)
import os
os._exit(0)
"""
    environment = {"PYTHONPATH": str(TRAINER), "OMP_NUM_THREADS": "1", "WANDB_BASE_URL": service, "HOME": str(tmp_path)}
    environment |= {"WANDB_API_KEY": "0" * 40, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", script, str(tmp_path / "run.json"), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "trained"
    assert any(line.startswith("tracking: ") for line in lines)
    assert "0" * 40 not in done.stdout


def test_and_figures_that_come_too_fast_are_dropped_and_said_to_be_once(
    run: TrainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "QUEUE", 3)
    monkeypatch.setattr(module, "open_run", lambda *_: time.sleep(0.5))
    tracked = open_tracking(run, SETTINGS, tmp_path)
    for step in range(50):
        tracked.step(step, {"loss": 1.0})
    tracked.finish("finished")
    assert capsys.readouterr().out.count("some are lost") == 1


def test_and_a_folder_that_cannot_be_written_costs_a_sentence(
    run: TrainRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    tracked = open_tracking(run, SETTINGS, tmp_path / "file")
    tracked.step(1, {"loss": 1.0})
    tracked.finish("finished")
    assert "tracking: Weights & Biases can't be used: " in capsys.readouterr().out


def test_under_a_name_that_it_takes() -> None:
    assert safe_name("candidate/night:2026-11-24") == "candidate-night-2026-11-24"
