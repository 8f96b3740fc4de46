"""A training is tracked in Weights & Biases ..."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ranks
import torch
from conftest import ZERO, train_document, write_document
from wandb_log import read_run as read_wandb

from proving_ground import tracking as module
from proving_ground.attempt import open_frames
from proving_ground.config import TrainRun, read_run
from proving_ground.evaluation import Prediction, Statistics
from proving_ground.evaluation.statistics import Evaluator
from proving_ground.files import write_manifest
from proving_ground.model.network import Network, build_network
from proving_ground.tracking import SAMPLE, open_tracking, safe_name, sample

SETTINGS = {"mode": "offline", "project": "perception", "entity": None, "images": 2, "histograms": True}
TRAINER = Path(__file__).parents[2] / "trainer"
KEY = "0123456789" * 4
# Tracks as a training does, in a process of its own whose service is sent a signal, and says how long it took.
DISTURBED = """
import json, os, signal, sys, time
from pathlib import Path
from proving_ground import tracking
from proving_ground.config import read_run
tracking.UPLOAD_SECONDS, tracking.FINISH_SECONDS = 1.0, 2.0
settings = {"mode": "offline", "project": "p", "entity": None, "images": 0, "histograms": False}
tracked = tracking.open_tracking(read_run(Path(sys.argv[1]), "train"), settings, Path(sys.argv[2]))
tracked.step(0, {"loss": 1.0})
while not tracked.calls.empty():
    time.sleep(0.02)
from wandb.sdk import wandb_setup
wandb_setup.singleton()._connection._proc._process.send_signal(int(sys.argv[3]))
began = time.monotonic()
for step in range(100):
    tracked.step(step, {"loss": 1.0})
ended = time.monotonic()
tracked.finish("finished")
print(json.dumps({"steps": ended - began, "finish": time.monotonic() - ended}), flush=True)
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that tracking sets for the library go with the test."""
    for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ERROR_REPORTING", "SILENT"):
        monkeypatch.setenv(f"WANDB_{name}", "")
    monkeypatch.setenv("WANDB_API_KEY", KEY)


@pytest.fixture
def run(dataset: Path, tmp_path: Path) -> TrainRun:
    """A run for one process that starts from weights."""
    start = {"manifest": ZERO, "file": "model.safetensors", "rename": {}, "leave": []}
    document = train_document(dataset) | {"processes": 1, "weights": start}
    found = read_run(write_document(tmp_path / "run.json", document), "train")
    assert isinstance(found, TrainRun)
    return found


def build(run: TrainRun) -> Network:
    """The run's network, with gradients."""
    network = build_network(run.architecture, 3, 7, run.seed, run.data.tracks).eval()
    for parameter in network.parameters():
        parameter.grad = parameter.detach().clone()
    return network


def perfect(run: TrainRun, dataset: Path) -> Statistics:
    """Statistics of a model that finds all vehicles and nothing else."""
    frames = open_frames(run, dataset, "val")
    evaluator = Evaluator(
        heads=run.architecture.heads,
        detection_categories=run.data.detection,
        segmentation_classes=run.data.segmentation,
    )
    for index in range(len(frames)):
        target = frames.target(index)
        vehicles = target.categories == 0
        scores = np.full(vehicles.sum(), 0.9)
        found = Prediction(
            boxes=target.boxes[vehicles],
            scores=scores,
            categories=target.categories[vehicles],
            segmentation=np.zeros((target.height, target.width), np.uint8),
            lanes=[],
        )
        evaluator.add(index, found, target)
    return evaluator.statistics()


def folders(work: Path) -> list[Path]:
    """Offline runs of a job, in the order in which they began."""
    return sorted((work / "wandb").glob("offline-run-*"))


def services(parent: int) -> list[int]:
    """Processes of the library's service that a process started and that still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"wandb-core") and words[-2] == str(parent).encode():
            found.append(int(process.name))
    return found


def begin(run: TrainRun, work: Path, mode: str = "offline") -> module.Tracking:
    """Begin to track, and wait until the run is open."""
    tracked = open_tracking(run, {**SETTINGS, "mode": mode}, work)
    tracked.step(0, {"loss": 1.0})
    while not tracked.calls.empty():
        time.sleep(0.02)
    return tracked


def test_offline_with_all_that_belongs_to_it(
    run: TrainRun, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked = open_tracking(run, SETTINGS, tmp_path)
    network = build(run)
    tracked.step(10, {"loss/total": 1.5, "learning_rate": 0.1, "broken": float("nan")})
    tracked.gradients(10, network)
    figures = {"map": 0.25, "miou": None}
    tracked.epoch(12, 1, figures, open_frames(run, dataset, "val"), network, perfect(run, dataset))
    tracked.finish("finished")
    (folder,) = folders(tmp_path)
    found = read_wandb(folder)
    assert (found["id"], found["name"], found["group"], found["project"]) == (
        run.id,
        "tiny",
        "perception",
        "perception",
    )
    assert found["tags"] == ["scenes", "detection", "segmentation", "lanes"]
    assert found["config"]["train"] == run.document["train"]
    assert found["config"].keys() - {"_wandb"} == run.document.keys()
    assert {"memory_percent", "proc.memory.rssMB"} <= found["system"]
    first, last = found["history"]
    assert (first["_step"], first["step"], first["loss/total"], "broken" in first) == (10, 10, 1.5, False)
    assert first["gradient/heads.lanes"] == pytest.approx(
        float(torch.cat([it.grad.flatten() for it in network.heads["lanes"].parameters()]).norm()), rel=1e-5
    )
    assert first["gradients/backbone/_type"] == "histogram"
    assert (last["_step"], last["validation/map"], "validation/miou" in last) == (12, 0.25, False)
    assert last["frames/count"] == 2
    layers = [*last["frames/all_boxes"], *last["frames/all_masks"]]
    files = [*last["frames/filenames"], *(layer["path"] for found in layers for layer in found.values())]
    assert len(files) == 10
    assert all((folder / "files" / file).stat().st_size > 0 for file in files)
    table = json.loads((folder / "files" / last["precision_recall_table/path"]).read_text())
    by_name = {name: [row for row in table["data"] if name in row] for name in run.data.detection}
    assert [len(by_name[name]) for name in ("vehicle", "pedestrian")] == [101, 101]
    assert all(1.0 in row for row in by_name["vehicle"])
    assert all(0.0 in row for row in by_name["pedestrian"])
    assert found["exit"] == 0
    assert capsys.readouterr().out == ""
    assert services(os.getpid()) == []


def test_with_the_lineage_of_its_model(run: TrainRun, tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (output / "model.onnx").write_bytes(b"bytes")
    digest = write_manifest(output, run.id)
    tracked = open_tracking(run, SETTINGS, tmp_path)
    tracked.finish("finished", output)
    (data, parent, made) = read_wandb(folders(tmp_path)[0])["artefacts"]
    assert [(name, it["type"], it["used"]) for name, it in (data, parent, made)] == [
        ("data-scenes", "dataset", True),
        ("model-perception", "model", True),
        ("model-perception", "model", False),
    ]
    assert data[1]["metadata"] == {"version": run.data.version}
    assert json.loads(data[1]["files"]["dataset.json"].read_text()) == run.document["data"]
    assert json.loads(made[1]["files"]["model.json"].read_text()) == {"manifest": digest}
    assert made[1]["metadata"]["dataset"] == {"name": "scenes", "version": run.data.version}
    assert [file["file"] for file in made[1]["metadata"]["files"]] == ["model.onnx"]
    # A run that starts from this model uses the very version that was made here.
    assert module.model_artefact("perception", digest, {}).digest == made[1]["digest"]
    assert parent[1]["digest"] == module.model_artefact("perception", ZERO, {}).digest != made[1]["digest"]


def test_as_the_same_run_when_it_goes_on(run: TrainRun, tmp_path: Path) -> None:
    for step, state in ((10, "stopped"), (20, "finished")):
        tracked = open_tracking(run, SETTINGS, tmp_path)
        tracked.step(step, {"loss/total": 1.0})
        tracked.finish(state)
        # The library names its folders by the second.
        time.sleep(1.1)
    found = [read_wandb(folder) for folder in folders(tmp_path)]
    assert [(item["id"], item["resume"]) for item in found] == [("train-tiny", True)] * 2
    assert [(item["history"][0]["_step"], item["history"][0]["step"]) for item in found] == [(10, 10), (20, 20)]
    assert [item["exit"] for item in found] == [1, 0]


def test_where_steps_are_repeated_without_losing_what_comes_with_them() -> None:
    class Tracked:
        step, rows = 13, list[tuple[int, dict[str, float]]]()

        def log(self, values: dict[str, float], step: int) -> None:
            self.rows.append((step, values))

    tracked = Tracked()
    module.log(tracked, 12, {"validation/map": 0.5})
    module.log(tracked, 20, {"loss": 1.0})
    assert tracked.rows == [(13, {"step": 12, "validation/map": 0.5}), (20, {"step": 20, "loss": 1.0})]


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
    arguments = [str(tmp_path / "run.json"), str(tmp_path)]
    assert ranks.run(arguments, 1, tmp_path / "log.txt", script=script) == (0, "")
    assert not (tmp_path / "wandb").exists()


class Service(BaseHTTPRequestHandler):
    """A service that answers every request with an error, or that opens runs and takes what they send."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.server.stops_answering.is_set():
            self.server.may_end.wait()
        if not self.server.opens:
            self.send_error(500)
            return
        project = {"id": "p", "name": "p", "entity": {"id": "e", "name": "e"}}
        bucket = {"id": "b", "name": "train-tiny", "displayName": "tiny", "config": "{}", "project": project}
        artefact = {"id": "a", "state": "COMMITTED", "artifactSequence": {"id": "s", "latestArtifact": None}}
        data = {
            "upsertBucket": {"bucket": bucket, "inserted": True},
            "createArtifact": {"artifact": artefact},
            "createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []},
            "project": {"artifact": None},
            "viewer": {"id": "v", "entity": "e", "username": "u", "flags": "{}", "teams": {"edges": []}},
        }
        asked = json.loads(body) if self.path == "/graphql" else {}
        answered = {name: value for name, value in data.items() if name in asked.get("query", "")}
        content = json.dumps({"data": answered}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A service that opens runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.opens, server.stops_answering, server.may_end = True, threading.Event(), threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.may_end.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("how", ["refuses", "fails", "hangs"])
def test_offline_where_the_service_cannot_be_used(
    run: TrainRun,
    tmp_path: Path,
    how: str,
    server: ThreadingHTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    server.opens = False
    if how == "hangs":
        server.stops_answering.set()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1] if how == "refuses" else server.server_port
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(module, "INIT_SECONDS", 1)
        began = time.monotonic()
        tracked = open_tracking(run, {**SETTINGS, "mode": "online"}, tmp_path)
        for step in range(100):
            tracked.step(step, {"loss": 1.0})
        assert time.monotonic() - began < 1
        tracked.finish("finished")
    said, complaints = capfd.readouterr()
    (sentence,) = said.splitlines()
    assert sentence.startswith("tracking: Weights & Biases can't be reached, so figures are kept offline: ")
    (folder,) = folders(tmp_path)
    assert [row["loss"] for row in read_wandb(folder)["history"]] == [1.0] * 100
    files = [file for file in (tmp_path / "wandb").rglob("*") if file.is_file()]
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert complaints == ""
    assert services(os.getpid()) == []


def test_online_and_ends_in_time_where_the_service_hangs_in_the_middle(
    run: TrainRun,
    tmp_path: Path,
    server: ThreadingHTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(module, "UPLOAD_SECONDS", 1)
    # The library's own time should end this, but on a busy machine it sometimes goes on beyond that: then ours does.
    monkeypatch.setattr(module, "FINISH_SECONDS", 20)
    tracked = begin(run, tmp_path, "online")
    assert tracked.url == f"http://127.0.0.1:{server.server_port}/e/p/runs/train-tiny"
    server.stops_answering.set()
    began = time.monotonic()
    for step in range(1, 100):
        tracked.step(step, {"loss": 1.0})
    assert time.monotonic() - began < 1
    tracked.finish("finished")
    said, place = capsys.readouterr().out, tmp_path / "wandb"
    theirs = f"tracking: some figures are missing; the rest are in {place}: Timed out finishing run.\n"
    assert said in (theirs, f"tracking: Weights & Biases did not finish within 20 s; its files are in {place}\n")
    (folder,) = place.glob("run-*")
    steps = [row["step"] for row in read_wandb(folder)["history"]]
    assert steps == list(range(100 if said == theirs else len(steps)))
    assert services(os.getpid()) == []


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_and_the_librarys_own_process_may_hang_or_die(run: TrainRun, tmp_path: Path, number: int) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    own = {"PYTHONPATH": str(TRAINER), "OMP_NUM_THREADS": "1", "HOME": str(home), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", DISTURBED, str(tmp_path / "run.json"), str(tmp_path / "work"), str(int(number))]
    with subprocess.Popen(command, env=own, cwd=here, stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    sentence, figures = said.splitlines()
    assert sentence.startswith("tracking: ")
    assert str(tmp_path / "work/wandb") in sentence
    assert json.loads(figures)["steps"] < 1
    assert json.loads(figures)["finish"] < 4
    assert services(process.pid) == []
    assert [*home.iterdir(), *here.iterdir()] == []


def test_and_figures_that_come_too_fast_are_dropped_and_said_to_be_once(
    run: TrainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "QUEUE", 3)
    monkeypatch.setattr(module, "open_run", lambda *_: time.sleep(0.5))
    tracked = open_tracking(run, SETTINGS, tmp_path)
    for step in range(50):
        tracked.step(step, {"loss": 1.0})
    tracked.finish("finished")
    assert capsys.readouterr().out.count("some figures are lost") == 1


def test_whatever_the_values_are(run: TrainRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracked = open_tracking(run, SETTINGS, tmp_path)
    odd = {"nan": float("nan"), "inf": -float("inf"), "none": None, "text": "x", "tensor": torch.ones(3), "list": []}
    tracked.step(10, {**odd, "loss": np.float32(1.5), "steps": 3})
    tracked.step(20, None)
    tracked.gradients(20, None)
    tracked.epoch(20, 1, {"map": 0.5}, None, None, None)
    tracked.finish("failed", tmp_path / "absent")
    row = read_wandb(folders(tmp_path)[0])["history"][0]
    assert {name: value for name, value in row.items() if not name.startswith("_")} == {
        "loss": 1.5,
        "step": 10,
        "steps": 3,
    }
    (sentence,) = capsys.readouterr().out.splitlines()
    assert sentence.startswith(f"tracking: some figures are missing; the rest are in {tmp_path / 'wandb'}: ")


def test_and_a_folder_that_cannot_be_written_costs_a_sentence(
    run: TrainRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    tracked = open_tracking(run, SETTINGS, tmp_path / "file")
    tracked.step(1, {"loss": 1.0})
    tracked.finish("finished")
    assert "tracking: Weights & Biases can't be used: " in capsys.readouterr().out


def test_and_a_full_disk_stops_nothing(run: TrainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs more rights than this user has")
    monkeypatch.setattr(module, "FINISH_SECONDS", 3)
    try:
        tracked = begin(run, place)
        with (place / "full").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"0" * 4096)
        for step in range(1, 200):
            tracked.step(step, {f"loss/{name}": 1.0 for name in range(20)})
        tracked.finish("finished")
        assert not tracked.thread.is_alive()
        assert services(os.getpid()) == []
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_with_histograms_of_at_most_so_many_values() -> None:
    found = sample([torch.arange(300_000.0), torch.zeros(7, 3)])
    assert found.size <= SAMPLE + 2
    assert np.array_equal(found[:3], [0.0, 5.0, 10.0])


def test_under_a_name_that_it_takes() -> None:
    assert safe_name("candidate/night:2026-11-24") == "candidate-night-2026-11-24"
