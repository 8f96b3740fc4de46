"""Before anything is spent ..."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Shared, conditions_document, scenes_spec, train_document
from jobs import WEIGHTS_ALONE, run_job

from proving_ground.importers.scenes import import_scenes
from proving_ground.preflight import judge_latency

P95 = {"metric": "latency_p95_ms", "bound": "max", "value": 10.0}
RISE = {"metric": "latency_p50_ms", "bound": "max_regression_percent", "value": 20.0}


def samples(candidate: float, production: float | None = None) -> dict[str, np.ndarray]:
    """Times around some means, with a tenth of noise."""
    rng = np.random.default_rng(1)
    found = {"candidate": candidate * rng.normal(1, 0.1, 100)}
    return found if production is None else {**found, "production": production * rng.normal(1, 0.1, 100)}


def test_a_latency_that_the_gate_allows_is_no_reason_to_stop() -> None:
    assert judge_latency(samples(5), [P95], 500, 1) == []
    assert judge_latency(samples(5, 5), [P95, RISE], 500, 1) == []
    assert judge_latency(samples(5), [RISE], 500, 1) == [], "there is nothing to compare with"


def test_a_latency_that_noise_may_explain_is_none_either() -> None:
    assert judge_latency(samples(9), [P95], 500, 1) == []
    assert judge_latency(samples(6, 5), [RISE], 500, 1) == []


def test_a_latency_that_no_training_can_mend_is_told_with_both_figures() -> None:
    (said,) = judge_latency(samples(20), [P95], 500, 1)
    assert said.startswith("p95 2")
    assert said.endswith("but the gate allows 10 ms")
    (said,) = judge_latency(samples(10, 5), [RISE], 500, 1)
    assert "ms against production's" in said
    assert said.endswith("% more, but the gate allows 20 %")


def train(folder: Path, data: Path, production: Path, **surroundings: Any) -> tuple[int, dict[str, Any]]:
    """Train against a production model; returns the exit code, and failure.json or model.json."""
    document = train_document(data, epochs=1) | {"processes": 1}
    code, _ = run_job("train", folder, document, data, surroundings, WEIGHTS_ALONE, production=production)
    file = folder / ("output/model.json" if code == 0 else "failure.json")
    return code, json.loads(file.read_text())


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of nights alone, with as many frames as drift can be told from."""
    out = tmp_path_factory.mktemp("nights") / "data"
    part = [{"frames": 60, "attributes": {"timeofday": {"night": 1}}}]
    import_scenes(scenes_spec(splits={"train": part, "val": [{"frames": 2}], "test": [{"frames": 2}]}), out)
    return out


@pytest.fixture(scope="module")
def days(trained: Path, shared: Shared) -> Path:
    """A model's folder whose training data were days, not compared with those of the model that was there before."""

    def train_on_days(folder: Path) -> None:
        part = [{"frames": 60, "attributes": {"timeofday": {"day": 1}}}]
        splits = {"train": part, "val": [{"frames": 2}], "test": [{"frames": 2}]}
        import_scenes(scenes_spec(splits=splits), folder / "data")
        code, _ = train(folder / "job", folder / "data", trained / "output", drift="off")
        assert code == 0

    return shared("days", train_on_days) / "job/output"


def test_an_untrained_network_that_is_too_slow_for_the_gate_is_not_trained(
    dataset: Path, trained: Path, tmp_path: Path
) -> None:
    limits = [{"metric": "latency_p95_ms", "bound": "max", "value": 1e-6}]
    code, failure = train(tmp_path, dataset, trained / "output", latency=limits)
    assert code != 0
    assert failure["kind"] == "invalid_data"
    assert failure["message"].startswith(
        "No training can meet the latency gate: the untrained network already takes p95"
    )
    assert not (tmp_path / "checkpoints").exists()


def test_data_that_drifted_from_productions_are_told_and_where_the_gate_says_so_not_trained_on(
    nights: Path, days: Path, tmp_path: Path
) -> None:
    code, model = train(tmp_path / "warned", nights, days, drift="warn")
    assert code == 0
    found = model["training"]["checks"]["drift"]
    assert {"brightness", "attributes/timeofday"} <= set(found["drifted"])
    assert any(sentence.startswith("brightness: mean ") for sentence in found["sentences"])
    code, failure = train(tmp_path / "aborted", nights, days, drift="abort")
    assert code != 0
    assert failure["message"].startswith("The training data have drifted from production's: ")
    assert json.loads((days / "model.json").read_text())["training"]["checks"]["drift"] is None


def test_a_network_slower_than_its_floor_ends_the_job(dataset: Path, tmp_path: Path) -> None:
    network = {**conditions_document()["network"], "floor_gbps": 1e6}
    code, _ = run_job("train", tmp_path, train_document(dataset), dataset, {"network": network})
    assert code != 0
    failure = json.loads((tmp_path / "failure.json").read_text())
    assert "the floor is 1e+06 GB/s" in failure["message"]
