"""A model card ..."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Shared, all_features_document, evaluate_document
from jobs import run_job

from proving_ground.card import metric_name, render_card
from proving_ground.config import EvaluateRun, read_run

Carded = tuple[EvaluateRun, dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def carded(dataset: Path, shared: Shared) -> Carded:
    """A run, model.json and eval_report.json of a small model with every head."""

    def train_and_evaluate(folder: Path) -> None:
        document = all_features_document(dataset, epochs=1, accumulation=1) | {"processes": 1}
        assert run_job("train", folder / "train", document, dataset) == (0, "")
        model = folder / "train/output"
        evaluation = evaluate_document(dataset, model, None) | {"processes": 1}
        assert run_job("evaluate", folder / "evaluate", evaluation, dataset, candidate=model) == (0, "")

    folder = shared("carded", train_and_evaluate)
    run = read_run(folder / "evaluate/run.json", "evaluate")
    assert isinstance(run, EvaluateRun)
    report = json.loads((folder / "evaluate/output/eval_report.json").read_text())
    return run, json.loads((folder / "train/output/model.json").read_text()), report


def front_matter(card: str) -> dict[str, Any]:
    """The YAML between the card's first two rules."""
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


def test_has_the_front_matter_that_a_hub_reads(carded: Carded) -> None:
    found = front_matter(render_card(*carded))
    assert found["library_name"] == "pytorch"
    assert found["pipeline_tag"] == "object-detection"
    assert found["datasets"] == ["scenes"]
    assert "base_model" not in found
    (entry,) = found["model-index"]
    for result in entry["results"]:
        assert set(result) == {"task", "dataset", "metrics"}
        assert {"type", "name"} <= set(result["task"]) & set(result["dataset"])
        assert all(isinstance(metric["value"], float) for metric in result["metrics"])
    measured = [score for score in carded[2]["scores"] if score["candidate"] is not None]
    assert len(entry["results"]) == len(measured)


def test_says_how_the_exports_are_fed_and_read(carded: Carded) -> None:
    card = render_card(*carded)
    assert "- Input `image`: 1 x 3 x 64 x 96 uint8; RGB, resized" in card
    for name in ("detection", "segmentation", "lanes", "trajectory"):
        assert f"- Output `{name}`: " in card
    assert "`model.int8.onnx`" in card


def test_tells_what_follows_from_the_checks(carded: Carded) -> None:
    run, model, report = carded
    sentences = ["brightness: mean 92 → 61, drift 0.43 (allowed 0.10)"]
    checks = {
        **report["training"]["checks"],
        "drift": {"drifted": ["brightness"], "share": 0.2, "sentences": sentences, "columns": []},
        "determinism": {"steps": 2, "difference": 0.5, "band": 0.001, "agrees": False},
    }
    changed = {**report, "training": {**report["training"], "checks": checks, "energy_kwh": 0.5}}
    model = {**model, "weights": {"manifest": "sha256:abc"}, "replay": {"share": 0.25, "data": "older"}}
    windowed = {**model, "window": {"from": "2026-11-01", "to": "2026-11-28"}}
    assert "- Training frames: those captured from 2026-11-01 to 2026-11-28" in render_card(run, windowed, changed)
    card = render_card(run, model, changed)
    assert "The training data drifted from the last production model's: brightness: mean 92 → 61" in card
    assert "Training is not deterministic here: 2 steps run twice differ by 5.0e-01" in card
    assert "- Started from: the weights of `sha256:abc`" in card
    assert "- Replayed: 25 % of each batch from `older`" in card
    assert "- Energy: 0.5000 kWh" in card
    assert "- Training frames: all of the training manifest" in card
    assert front_matter(card)["base_model"] == ["sha256:abc"]


def test_names_metrics_as_the_comment_does(carded: Carded) -> None:
    names = json.loads((Path(__file__).parents[1] / "contract/metric_names.json").read_text())
    assert {metric: metric_name(metric) for metric in names} == names
    card = render_card(*carded)
    measured = {score["metric"] for score in carded[2]["scores"]}
    assert {metric for metric in measured if "/" not in metric} <= names.keys()
    for metric in measured:
        assert metric_name(metric) != metric
        assert f"| {metric_name(metric)} | " in card
        assert f"| {metric} |" not in card
    (entry,) = front_matter(card)["model-index"]
    named = {metric["type"]: metric["name"] for result in entry["results"] for metric in result["metrics"]}
    assert named["map"] == "mAP"


def test_calls_an_error_weak_where_it_is_higher(carded: Carded) -> None:
    run, model, report = carded
    scores = [
        {**score, "candidate": 1.0 if score["slice"] is None else 2.0} if score["metric"] == "min_fde" else score
        for score in report["scores"]
    ]
    assert "- Weak on `night`: minFDE 2.000, 1.000 overall." in render_card(run, model, {**report, "scores": scores})
