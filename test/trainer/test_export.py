"""A trained network is exported ..."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from conftest import all_features_document, train_document, write_document

from proving_ground.attempt import open_frames
from proving_ground.config import TrainRun, read_run
from proving_ground.environment import Meter, describe_environment
from proving_ground.evaluation.intervals import quantile_of
from proving_ground.export import TRACKS, describe_io, export_inputs, export_model, quietly
from proving_ground.latency import REPEATS, open_session, time_sessions, upper_spread
from proving_ground.model.network import Network, build_network


def planned(document: dict[str, Any], work: Path) -> TrainRun:
    """A run for one process."""
    run = read_run(write_document(work / "run.json", document | {"processes": 1}), "train")
    assert isinstance(run, TrainRun)
    return run


def build(run: TrainRun) -> Network:
    """The run's network, its batch norms with figures of their own."""
    network = build_network(run.architecture, 3, 7, run.seed, run.data.tracks)
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand(buffer.shape, generator=torch.Generator().manual_seed(len(name))) + 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def exported(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainRun, list[dict[str, Any]]]:
    """A folder of exports of a network with every head."""
    output = tmp_path_factory.mktemp("export")
    run = planned(all_features_document(dataset), output)
    frames = open_frames(run, dataset, "val")
    metadata = {"run": run.id, **describe_io(run.architecture, run.data)}
    exports = export_model(build(run), export_inputs(frames, 3), export_inputs(frames, 6), metadata, output)
    return output, run, exports


def test_into_every_format_with_its_difference(exported: tuple[Path, TrainRun, list[dict[str, Any]]]) -> None:
    output, _, exports = exported
    found = {item["format"]: item for item in exports}
    assert list(found) == ["torchscript", "torch_export", "onnx", "onnx_int8"]
    for name in ("torchscript", "torch_export", "onnx"):
        assert found[name]["difference"] <= found[name]["tolerance"] == 1e-3
    assert 0 < found["onnx_int8"]["difference"] < 0.25
    assert found["onnx_int8"]["measure"] == "relative"
    assert all((output / item["file"]).stat().st_size == item["bytes"] for item in exports)


def test_as_quantised_convolutions(exported: tuple[Path, TrainRun, list[dict[str, Any]]]) -> None:
    output, _, _ = exported
    kinds = [node.op_type for node in onnx.load(output / "model.int8.onnx").graph.node]
    assert kinds.count("QuantizeLinear") > 10
    weights = [item for item in onnx.load(output / "model.int8.onnx").graph.initializer if item.data_type == 3]
    assert weights, "weights are int8"
    activations = [item for item in onnx.load(output / "model.int8.onnx").graph.initializer if item.data_type == 2]
    assert activations, "activations' zero points are uint8"


def test_with_what_its_user_must_know_inside(exported: tuple[Path, TrainRun, list[dict[str, Any]]]) -> None:
    output, run, _ = exported
    for file in ("model.onnx", "model.int8.onnx"):
        (told,) = [item.value for item in onnx.load(output / file).metadata_props if item.key == "proving_ground"]
        assert json.loads(told)["run"] == run.id
    extra = {"proving_ground": ""}
    with quietly():
        torch.jit.load(output / "model.torchscript.pt", _extra_files=extra)
    told = json.loads(extra["proving_ground"])
    assert told["inputs"]["image"]["shape"] == [1, 3, 64, 96]
    assert told["inputs"]["past"]["shape"] == [1, TRACKS, 4, 2]
    assert told["outputs"]["detection"]["categories"] == ["vehicle", "pedestrian", "rider"]
    assert set(told["outputs"]) == {"detection", "segmentation", "lanes", "trajectory"}


def test_with_named_inputs_and_outputs(exported: tuple[Path, TrainRun, list[dict[str, Any]]]) -> None:
    output, _, _ = exported
    session = open_session(output / "model.onnx")
    assert [item.name for item in session.get_inputs()] == ["image", "past", "track"]
    names = ["detection", "segmentation", "lanes", "trajectory", "trajectory_logits"]
    assert [item.name for item in session.get_outputs()] == names


def test_and_timed_in_turn(exported: tuple[Path, TrainRun, list[dict[str, Any]]]) -> None:
    output, _, _ = exported
    samples = time_sessions({"a": output / "model.onnx", "b": output / "model.int8.onnx"}, 5, seed=1, warm_up=1)
    assert {name: values.shape for name, values in samples.items()} == {"a": (5,), "b": (5,)}
    assert all((values > 0).all() for values in samples.values())


def test_of_tracks_alone(dataset: Path, tmp_path: Path) -> None:
    document = train_document(dataset)
    document["architecture"] = {"heads": ["trajectory"], "trajectory": {"modes": 2, "hidden": 8}}
    document["train"]["loss"] = {"trajectory": {"weight": 1, "class_weight": 0.5}}
    run = planned(document, tmp_path)
    frames = open_frames(run, dataset, "val")
    inputs = export_inputs(frames, 2)
    assert list(inputs[0]) == ["past", "track"]
    exports = export_model(build(run), inputs, inputs, {}, tmp_path)
    assert [item["agrees"] for item in exports[:3]] == [True, True, True]
    found = open_session(tmp_path / "model.onnx").run(None, {name: it.numpy() for name, it in inputs[0].items()})
    assert found[0].shape == (1, TRACKS, 2, 6, 2)
    assert np.isfinite(found[0]).all()


def test_on_a_machine_that_is_described_without_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do not tell")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = describe_environment()
    assert found["packages"]["torch"] == torch.__version__
    assert found["variables"]["OMP_NUM_THREADS"] == "1"
    assert "do not tell" not in json.dumps(found)


def test_and_its_energy_is_a_figure_or_none() -> None:
    used = Meter().kilowatt_hours()
    assert used is None or used >= 0


def test_a_latency_with_hiccups_has_the_interval_of_its_resamples() -> None:
    # One repeat in fifty took ten times as long: so does the p95 of a resample in many hundreds.
    rng = np.random.default_rng(3)
    times = np.where(np.arange(REPEATS) < 4, 20.0, 2.0) + rng.uniform(0, 0.1, REPEATS)
    resampled = np.percentile(times[rng.integers(0, REPEATS, (1000, REPEATS))], 95, axis=1)
    found = upper_spread(float(np.percentile(times, 95)), resampled)
    assert found.low < found.high < 3
    assert float(np.percentile(times, 95)) + quantile_of(REPEATS) * found.error == pytest.approx(found.high)
