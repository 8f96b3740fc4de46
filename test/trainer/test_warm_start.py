"""A training starts from the weights of an earlier model ..."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import train_document, write_document
from safetensors.torch import save_file

from proving_ground.config import TrainRun, read_run
from proving_ground.errors import Refused
from proving_ground.files import digest, write_json, write_manifest
from proving_ground.model.network import Network, build_network
from proving_ground.warm_start import Transfer, load_into, match_weights

TRAINER = Path(__file__).parents[2] / "trainer"
OWN = {"backbone.a": (3, 3), "heads.lanes.w": (4,), "heads.detection.w": (7,)}


def planned(dataset: Path, work: Path, weights: dict[str, Any] | None = None) -> TrainRun:
    """A run for one process that starts from weights."""
    document = train_document(dataset) | {"processes": 1, "weights": weights}
    run = read_run(write_document(work / "run.json", document), "train")
    assert isinstance(run, TrainRun)
    return run


def build(run: TrainRun, seed: int, categories: int = 3) -> Network:
    """The run's network."""
    return build_network(run.architecture, categories, 7, seed, run.data.tracks)


def stored(folder: Path, network: Network, categories: list[str] | None = None) -> dict[str, Any]:
    """A model's folder with a network's weights; returns how a run names it."""
    folder.mkdir(parents=True)
    save_file(network.state_dict(), folder / "weights.safetensors")
    names = {"detection": categories or ["vehicle", "pedestrian", "rider"], "segmentation": list("abcdefg")}
    if categories:
        write_json(folder / "model.json", {"categories": names, "architecture": {"heads": ["detection"]}})
    write_manifest(folder, "earlier")
    return {"manifest": digest(folder / "manifest.json"), "file": "weights.safetensors", "rename": {}, "leave": []}


def test_taking_over_all_that_fits() -> None:
    found = match_weights(OWN, OWN, {}, [])
    assert found == Transfer(loaded=sorted(OWN), renamed=[], left=[], fresh=[])


def test_under_new_names_where_it_is_told_them() -> None:
    there = {"encoder.a": (3, 3), "heads.lanes.w": (4,), "heads.detection.w": (7,)}
    found = match_weights(there, OWN, {"encoder": "backbone"}, [])
    assert found.renamed == [("encoder.a", "backbone.a")]
    assert found.loaded == ["backbone.a", "heads.detection.w", "heads.lanes.w"]


def test_leaving_what_it_is_told_to_leave() -> None:
    there = {"backbone.a": (3, 3), "heads.detection.w": (9,), "heads.depth.w": (2,)}
    found = match_weights(there, OWN, {}, ["heads"])
    assert found.loaded == ["backbone.a"]
    assert found.left == [
        ("heads.depth.w", "not in this network"),
        ("heads.detection.w", "[9] there, [7] here"),
    ]
    assert found.fresh == ["heads.detection.w", "heads.lanes.w"]


@pytest.mark.parametrize(
    ("there", "rename", "leave", "message"),
    [
        (
            {**OWN, "heads.depth.w": (2,)},
            {},
            [],
            "heads.depth.w can't be loaded (not in this network); add heads.depth to weights.leave to leave it out",
        ),
        (
            {**OWN, "backbone.a": (3, 5)},
            {},
            [],
            "backbone.a can't be loaded ([3, 5] there, [3, 3] here); add backbone to weights.leave to leave it out",
        ),
        (
            {name: OWN[name] for name in list(OWN)[:2]},
            {},
            [],
            "heads.detection.w [7] is not among the stored weights; add heads.detection to weights.leave to let it "
            "start fresh",
        ),
        (OWN, {"encoder": "backbone"}, [], "weights.rename: no stored tensor begins with encoder"),
        (OWN, {}, ["heads.depth"], "weights.leave: no tensor begins with heads.depth"),
    ],
)
def test_and_what_does_not_fit_is_refused_with_what_to_write(
    there: dict[str, tuple[int, ...]], rename: dict[str, str], leave: list[str], message: str
) -> None:
    with pytest.raises(Refused) as caught:
        match_weights(there, OWN, rename, leave)
    assert message in str(caught.value).splitlines()


def test_loads_the_very_tensors(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path)
    given = build(run, seed=77)
    weights = stored(tmp_path / "model", given)
    network = build(run, seed=1)
    transfer = load_into(network, tmp_path / "model", weights)
    assert transfer.fresh == transfer.left == []
    assert all(torch.equal(value, given.state_dict()[name]) for name, value in network.state_dict().items())


def test_leaves_a_new_head_as_the_seed_made_it(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path)
    given, network = build(run, seed=77, categories=5), build(run, seed=1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weights = stored(tmp_path / "model", given) | {"leave": ["heads.detection"]}
    load_into(network, tmp_path / "model", weights)
    for name, value in network.state_dict().items():
        expected = before if name.startswith("heads.detection.") else given.state_dict()
        assert torch.equal(value, expected[name])


def test_refuses_other_bytes_than_the_run_names(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path)
    weights = stored(tmp_path / "model", build(run, seed=77))
    content = bytearray((tmp_path / "model/weights.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "model/weights.safetensors").write_bytes(content)
    with pytest.raises(Refused, match=r"weights\.safetensors: its digest is sha256:"):
        load_into(build(run, seed=1), tmp_path / "model", weights)
    (tmp_path / "model/manifest.json").unlink()
    with pytest.raises(Refused, match=r"weights\.safetensors: its digest is sha256:"):
        load_into(build(run, seed=1), tmp_path / "model", weights)
    (tmp_path / "text").mkdir()
    (tmp_path / "text/w.safetensors").write_text("no weights")
    named = {"manifest": digest(tmp_path / "text/w.safetensors"), "file": "w.safetensors", "rename": {}, "leave": []}
    with pytest.raises(Refused, match=r"w\.safetensors: not a file of weights"):
        load_into(build(run, seed=1), tmp_path / "text", named)


def test_is_described_before_anything_starts(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path)
    weights = stored(tmp_path / "model", build(run, seed=77), ["vehicle", "pedestrian", "rider"])
    planned(dataset, tmp_path, weights)
    command = [sys.executable, "-m", "proving_ground", "describe", "--document", str(tmp_path / "run.json")]
    command += ["--weights", str(tmp_path / "model")]
    environment = {"PYTHONPATH": str(TRAINER), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert len(found["loaded"]) == len(build(run, seed=1).state_dict())
    assert (found["left"], found["renamed"], found["fresh"]) == ([], [], [])
    weights = stored(tmp_path / "other", build(run, seed=77), ["pedestrian", "vehicle", "rider"])
    planned(dataset, tmp_path, weights)
    done = subprocess.run(
        [*command[:-1], str(tmp_path / "other")], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 65
    assert "add heads.detection to weights.leave" in done.stderr.strip().splitlines()[-1]
