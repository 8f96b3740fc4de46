"""A job, run as the local executor runs it, ..."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnxruntime
import pytest
import ranks
from conftest import (
    CATEGORIES,
    Shared,
    conditions_document,
    evaluate_document,
    scenes_spec,
    train_document,
    write_document,
)
from jobs import WEIGHTS_ALONE, arguments_of, run_alone, run_job
from kill_resume import TRAINER, Training, compare
from PIL import Image
from safetensors.numpy import load_file

from proving_ground.config import read_run
from proving_ground.errors import Refused
from proving_ground.evaluate import read_measured
from proving_ground.evaluation import Evaluator, Statistics
from proving_ground.files import digest
from proving_ground.rescore import judged_frames


@pytest.fixture(scope="module")
def evaluated(dataset: Path, trained: Path, shared: Shared) -> Path:
    """The folder of an evaluation of a model against itself."""
    model = trained / "output"

    def evaluate(folder: Path) -> None:
        document = evaluate_document(dataset, model, model)
        assert run_job("evaluate", folder, document, dataset, candidate=model, production=model) == (0, "")

    return shared("evaluated", evaluate)


def read(file: Path) -> Any:
    """A JSON document."""
    return json.loads(file.read_text())


def test_leaves_a_model_with_every_file_in_its_manifest(trained: Path) -> None:
    output = trained / "output"
    manifest = read(output / "manifest.json")
    last = [f"checkpoints/step-00000018/{name}" for name in ("manifest.json", "state.json", "state.safetensors")]
    names = [*last, "data_profile.json", "environment.json", "model.int8.onnx", "model.json", "model.onnx"]
    names += ["model.pt2", "model.torchscript.pt", "weights.safetensors"]
    assert [entry["file"] for entry in manifest["files"]] == names
    there = [path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()]
    assert sorted(there) == sorted([*names, "manifest.json"])
    for entry in manifest["files"]:
        assert entry["sha256"] == digest(output / entry["file"])
        assert entry["bytes"] == (output / entry["file"]).stat().st_size
    model = read(output / "model.json")
    assert model["categories"] == CATEGORIES
    assert model["training"]["processes"] == 2
    # What is learned, and the running statistics of the batch norms, which are not.
    weights = load_file(output / "weights.safetensors")
    learned = {name: value for name, value in weights.items() if "running" not in name and "num_batches" not in name}
    assert sum(value.size for value in learned.values()) == model["parameters"]


def test_exports_what_it_trained(trained: Path, dataset: Path) -> None:
    output = trained / "output"
    exports = read(output / "model.json")["exports"]
    assert [item["format"] for item in exports] == ["torchscript", "torch_export", "onnx", "onnx_int8"]
    assert all(item["agrees"] == (item["difference"] <= item["tolerance"]) for item in exports)
    assert all(item["agrees"] for item in exports[:3])
    session = onnxruntime.InferenceSession(output / "model.onnx", providers=["CPUExecutionProvider"])
    frame = json.loads((dataset / "golden_val.manifest").read_text().splitlines()[0])
    image = np.asarray(Image.open(dataset / frame["source-ref"])).transpose(2, 0, 1)[None]
    outputs = dict(
        zip((value.name for value in session.get_outputs()), session.run(None, {"image": image}), strict=True)
    )
    shapes = {name: value.shape for name, value in outputs.items()}
    assert shapes == {"detection": (1, 7, 16, 24), "segmentation": (1, 7, 16, 24), "lanes": (1, 4, 10, 25)}


def test_reports_by_the_schema_and_finds_a_model_equal_to_itself(evaluated: Path) -> None:
    output = evaluated / "output"
    report = read(output / "eval_report.json")
    jsonschema.validate(report, read(TRAINER / "proving_ground/schemas/eval_report.schema.json"))
    quality = [score for score in report["scores"] if not score["metric"].startswith("latency")]
    assert all(score["candidate"] == score["production"] for score in quality)
    assert {score["delta"] for score in quality} <= {0.0, None}
    own = {score["metric"] for score in report["scores"] if score["slice"] == "night-pedestrian"}
    assert own == {"ap/pedestrian", "ece/pedestrian"}
    assert report["data"]["frames"] == 9
    assert [item["of"] for item in report["statistics"]] == ["candidate", "production"]
    for item in report["statistics"]:
        assert digest(output / item["file"]) == item["sha256"]
    files = [entry["file"] for entry in read(output / "manifest.json")["files"]]
    made = ["eval_report.json", "figures.json", "model_card.md"]
    assert files == [*made, "statistics/candidate.npz", "statistics/production.npz"]
    figures = read(output / "figures.json")
    jsonschema.validate(figures, read(TRAINER / "proving_ground/schemas/figures.schema.json"))
    assert all(curve["candidate"] == curve["production"] for curve in figures["curves"])
    drawn = figures["classes"]["rows"] + figures["calibration"]["diagrams"]
    assert {item["slice"] for item in drawn} > {None, "night"}
    assert all(item["candidate"] == item["production"] is not None for item in drawn)
    assert [item["of"] for item in figures["latency"]] == [
        f"{name}{export}" for export in ("", " int8") for name in ("candidate", "production")
    ]
    # A model that is compared with itself has neither lost nor won a frame.
    assert figures["examples"] == []
    for item in report["artefacts"]:
        assert digest(output / item["file"]) == item["sha256"]


def test_writes_a_card_with_origin_scores_and_caveats(evaluated: Path, trained: Path) -> None:
    card = (evaluated / "output/model_card.md").read_text()
    for heading in ("Where it comes from", "Scores", "By slice", "Limitations"):
        assert f"## {heading}" in card
    model = read(trained / "output/model.json")
    assert f"`{model['data']['version']}`" in card
    assert "has only" in card


def test_counts_each_frame_once_whatever_the_number_of_processes(
    dataset: Path, trained: Path, evaluated: Path, tmp_path: Path
) -> None:
    model = trained / "output"
    document = evaluate_document(dataset, model, None) | {"processes": 1}
    code, said = run_job("evaluate", tmp_path, document, dataset, candidate=model)
    assert (code, said) == (0, "")
    kept = "output/statistics/candidate.npz"
    assert digest(tmp_path / kept) == digest(evaluated / kept)


def test_answers_from_an_earlier_evaluations_statistics_without_the_frames(
    dataset: Path, trained: Path, evaluated: Path, tmp_path: Path
) -> None:
    """Nothing is measured twice: the same statistics, scores and curves where the images are gone."""
    shutil.copytree(dataset, tmp_path / "data")
    shutil.rmtree(tmp_path / "data/images")
    model, earlier = trained / "output", evaluated / "output"
    document = evaluate_document(dataset, model, model) | {"id": "evaluate-again"}
    places = {"candidate": model, "production": model, "measured-candidate": earlier, "measured-production": earlier}
    code, said = run_job("evaluate", tmp_path / "job", document, tmp_path / "data", **places)
    assert (code, said) == (0, "")
    output = tmp_path / "job/output"
    for name in ("candidate", "production"):
        assert digest(output / f"statistics/{name}.npz") == digest(earlier / f"statistics/{name}.npz")
    before, after = read(earlier / "eval_report.json"), read(output / "eval_report.json")
    assert [kept["evaluation"] for kept in before["statistics"]] == ["evaluate-tiny", "evaluate-tiny"]
    assert after["statistics"] == before["statistics"]
    scores = [
        [score for score in report["scores"] if not score["metric"].startswith("latency_")]
        for report in (before, after)
    ]
    assert scores[0] == scores[1]
    assert {score["metric"] for score in after["scores"]} > {"latency_p50_ms"}
    kinds = ("curves", "confusion", "examples")
    drawn = [read(folder / "figures.json") for folder in (earlier, output)]
    assert [drawn[0].get(kind) for kind in kinds] == [drawn[1].get(kind) for kind in kinds]


def test_scores_added_frames_apart(dataset: Path, trained: Path, evaluated: Path, tmp_path: Path) -> None:
    """The others decide, in the report and when it is scored again."""
    model, earlier = trained / "output", evaluated / "output"
    total = len((dataset / "golden_test.manifest").read_text().splitlines())
    document = evaluate_document(dataset, model, model) | {"id": "evaluate-more", "added": [[0, 1], [total - 2, total]]}
    places = {"candidate": model, "production": model, "measured-candidate": earlier, "measured-production": earlier}
    assert run_job("evaluate", tmp_path / "job", document, dataset, **places) == (0, "")
    output = tmp_path / "job/output"
    before, report = read(earlier / "eval_report.json"), read(output / "eval_report.json")
    assert report["added"]["ranges"] == document["added"]
    assert report["added"]["frames"] == 3

    def frames(scores: list[dict[str, Any]]) -> int:
        return next(score["frames"] for score in scores if (score["metric"], score["slice"]) == ("map", None))

    assert frames(before["scores"]) == total
    assert (frames(report["scores"]), frames(report["added"]["scores"])) == (total - 3, 3)
    assert {score["slice"] for score in report["added"]["scores"]} == {None}
    counts = [sum(item["frames"] for item in each["slices"]) for each in (before, report)]
    assert counts[1] < counts[0]
    again, said = rescored(output, dataset / "slices.yaml")
    assert (again, said) == ({name: report[name] for name in ("slices", "scores", "uncertainty")}, "")


def test_refuses_added_frames_that_are_not_of_the_manifest_or_are_all_of_it() -> None:
    assert judged_frames(4, [(1, 3)]).tolist() == [True, False, False, True]
    for added in ([(0, 4)], [(0, 2), (2, 4)], [(3, 5)], [(2, 2)]):
        with pytest.raises(Refused):
            judged_frames(4, added)


def test_refuses_an_earlier_evaluation_that_is_damaged_or_of_something_else(
    dataset: Path, trained: Path, evaluated: Path, tmp_path: Path
) -> None:
    """One clear error each, that names the file; never a wrong number."""
    earlier, model = evaluated / "output", trained / "output"
    document = evaluate_document(dataset, model, None)
    run = read_run(write_document(tmp_path / "run.json", document), "evaluate")
    manifest = document["candidate"]["manifest"]
    assert read_measured(earlier, run, manifest, True).evaluation == "evaluate-tiny"

    def refused(change: Any, run: Any = run, manifest: str = manifest) -> str:
        folder = tmp_path / "earlier"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(earlier, folder)
        change(folder / "eval_report.json", folder / "statistics/candidate.npz")
        with pytest.raises(Refused, match="^" + re.escape(str(folder))) as caught:
            read_measured(folder, run, manifest, True)
        return str(caught.value)

    def nothing(report: Path, statistics: Path) -> None:
        pass

    def cut(report: Path, statistics: Path) -> None:
        statistics.write_bytes(statistics.read_bytes()[:-100])

    def swap(report: Path, statistics: Path) -> None:
        other = Evaluator(heads=["lanes"], detection_categories=[], segmentation_classes=[]).statistics()
        other.save(statistics)

    def age(report: Path, statistics: Path) -> None:
        with np.load(statistics) as stored:
            content = {name: stored[name] for name in stored.files}
        np.savez(statistics, **{**content, "version": np.array(1)})
        # As an earlier version would have written both.
        written = json.loads(report.read_text())
        kept = next(one for one in written["statistics"] if one["of"] == "candidate")
        kept["sha256"] = digest(statistics)
        report.write_text(json.dumps(written))

    assert "the statistics don't match the digest in eval_report.json" in refused(cut)
    assert "the statistics don't match the digest in eval_report.json" in refused(swap)
    assert "statistics of version 1; this code reads version 4" in refused(age)
    assert "can't be read" in refused(lambda report, _: report.unlink())
    assert "not JSON" in refused(lambda report, _: report.write_text("{"))
    assert "of this version" in refused(lambda report, _: report.write_text('{"schema": 0}'))
    assert "candidate.npz: can't be read (No such file" in refused(lambda _, statistics: statistics.unlink())
    assert "isn't an evaluation of the model sha256:ffff" in refused(nothing, manifest="sha256:" + "f" * 64)
    code = read_run(write_document(tmp_path / "run.json", document | {"code": "sha256:" + "a" * 64}), "evaluate")
    assert "by this code" in refused(nothing, run=code)
    data = document["data"] | {"version": "sha256:" + "b" * 64}
    frames = read_run(write_document(tmp_path / "run.json", document | {"data": data}), "evaluate")
    assert "on these frames" in refused(nothing, run=frames)


WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from proving_ground.__main__ import main; sys.exit(main())"


def rescored(evaluation: Path, slices: Path, *more: str) -> tuple[dict[str, Any] | None, str]:
    """What rescore prints where there is no torch, and what it says."""
    arguments = ["rescore", str(evaluation), "--slices", str(slices), *more]
    environment = {**os.environ, "PYTHONPATH": str(TRAINER)}
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 65), done.stderr
    return json.loads(done.stdout) if done.returncode == 0 else None, done.stderr.strip()


def test_is_scored_again_from_its_statistics_alone(dataset: Path, evaluated: Path, tmp_path: Path) -> None:
    """The same slices give what the job gave; others are measured without a frame, a model or torch."""
    output, report = evaluated / "output", read(evaluated / "output/eval_report.json")
    again, said = rescored(output, dataset / "slices.yaml")
    assert said == ""
    assert again == {name: report[name] for name in ("slices", "scores", "uncertainty")}
    other = tmp_path / "slices.yaml"
    other.write_text("slices:\n  - { name: by-day, where: { timeofday: day }, category: vehicle }\n")
    new, _ = rescored(output, other, "--against", str(output))
    by_day = next(item for item in new["slices"] if item["name"] == "by-day")
    frames = [json.loads(line) for line in (dataset / "golden_test.manifest").read_text().splitlines()]
    inside = [frame for frame in frames if frame["attributes"]["timeofday"] == "day"]
    vehicles = [label for frame in inside for label in frame["detection"] if label["category"] == "vehicle"]
    assert (by_day["frames"], by_day["objects"]) == (len(inside), len(vehicles))
    assert {score["slice"] for score in new["scores"]} == {None, "by-day"}
    assert {score["delta"] for score in new["scores"] if score["candidate"] is not None} == {0.0}
    assert not any(score["metric"].startswith("latency_") for score in new["scores"])


def test_is_not_scored_again_from_what_is_damaged_or_of_other_frames(
    dataset: Path, evaluated: Path, tmp_path: Path
) -> None:
    """One clear error each."""
    output, slices = evaluated / "output", dataset / "slices.yaml"
    (tmp_path / "bad.yaml").write_text("slices: [{ name: Day, where: {} }]")
    assert f"{tmp_path}/bad.yaml:1:18: found Day for name" in rescored(output, tmp_path / "bad.yaml")[1]
    assert rescored(tmp_path / "none", slices)[1].startswith(f"{tmp_path}/none/eval_report.json: can't be read")

    def changed(name: str, statistics: Statistics) -> Path:
        folder = tmp_path / name
        shutil.copytree(output, folder)
        statistics.save(folder / "statistics/candidate.npz")
        report = read(folder / "eval_report.json")
        report["statistics"][0]["sha256"] = digest(folder / "statistics/candidate.npz")
        write_document(folder / "eval_report.json", report)
        return folder

    kept = Statistics.load(output / "statistics/candidate.npz")
    bare = changed("bare", replace(kept, index=None))
    assert rescored(bare, slices)[1] == f"{bare}: the statistics don't say which frames they cover"
    index = replace(kept.index, sources=("another.jpg", *kept.index.sources[1:]))
    moved = changed("moved", replace(kept, index=index))
    assert rescored(output, slices, "--against", str(moved))[1] == f"{moved}: it covers other frames than {output}"
    with (moved / "statistics/candidate.npz").open("ab") as file:
        file.write(b"more")
    assert "the statistics don't match the digest in eval_report.json" in rescored(moved, slices)[1]


def test_ends_with_the_same_bits_after_being_stopped_and_killed(dataset: Path, trained: Path, tmp_path: Path) -> None:
    training = Training(tmp_path, trained / "run.json", dataset)
    training.stop()
    assert read(tmp_path / "failure.json")["kind"] == "stopped"
    assert not (tmp_path / "output/manifest.json").exists()
    rng, known = random.Random(5), training.checkpoints()
    arguments = arguments_of("train", tmp_path, read(trained / "run.json"), dataset)
    killed = ranks.start(arguments, 2, tmp_path / "log.txt")
    while training.checkpoints() == known:
        assert not killed.has_ended(), killed.log.read_text()
        time.sleep(0.002)
    # The export that follows the last step takes longer than this.
    time.sleep(rng.uniform(0, 0.6))
    os.kill(rng.choice(killed.pids), signal.SIGKILL)
    assert killed.wait()[0] != 0
    assert not (tmp_path / "output/manifest.json").exists()
    code, _ = ranks.run(arguments, 2, tmp_path / "log.txt", script=WEIGHTS_ALONE)
    weights = [(folder / "output/weights.safetensors").read_bytes() for folder in (tmp_path, trained)]
    assert (code, weights[0] == weights[1]) == (0, True)
    assert read(tmp_path / "output/model.json")["training"]["attempts"] == 3


@pytest.mark.soak
def test_ends_with_the_same_bits_after_being_killed_ten_times_of_ten(tmp_path: Path) -> None:
    assert len(compare(tmp_path, times=10, seed=1)) == 10


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_refuses_a_document_of_the_other_kind(dataset: Path, tmp_path: Path, kind: str) -> None:
    run = write_document(
        tmp_path / "run.json", train_document(dataset) | ({"kind": "evaluate"} if kind == "train" else {})
    )
    conditions = write_document(tmp_path / "conditions.json", conditions_document())
    arguments = [
        "--document",
        str(run),
        "--conditions",
        str(conditions),
        "--data",
        str(dataset),
        "--work",
        str(tmp_path),
        "--output",
        str(tmp_path / "o"),
    ]
    more = ["--candidate", str(tmp_path)] if kind == "evaluate" else []
    code, said = run_alone([kind, *arguments, *more], "", tmp_path / "said.txt")
    assert code == 65
    failure = read(tmp_path / "failure.json")
    assert failure == {"kind": "invalid_data", "message": said}
    assert str(run) in said


def test_refuses_a_model_whose_bytes_are_not_those_that_were_trained(
    dataset: Path, trained: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained / "output", model)
    document = evaluate_document(dataset, model, None)
    weights = bytearray((model / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "weights.safetensors").write_bytes(weights)
    code, _ = run_job("evaluate", tmp_path / "job", document, dataset, candidate=model)
    assert code != 0
    failure = read(tmp_path / "job/failure.json")
    assert failure["kind"] == "invalid_data"
    assert "weights.safetensors: its digest is sha256:" in failure["message"]
    assert not (tmp_path / "job/output/manifest.json").exists()


def test_imports_a_dataset_from_settings_on_its_input(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "scenes"
    spec, log = json.dumps(scenes_spec()), tmp_path / "said.txt"
    assert run_alone(["import", "scenes", "--spec", "-", "--out", str(out)], spec, log)[0] == 0
    assert (out / "golden_test.manifest").read_bytes() == (dataset / "golden_test.manifest").read_bytes()
    code, said = run_alone(["import", "scenes", "--spec", "-", "--out", str(out)], spec, log)
    assert (code, said) == (65, f"{out}: already exists; delete it to make it again.")
    code, said = run_alone(["import", "scenes", "--spec", "-", "--out", str(tmp_path / "other")], "{", log)
    assert code == 65
