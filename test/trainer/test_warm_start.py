"""A training starts from the weights of an earlier model ..."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ranks
import torch
from conftest import train_document, write_document
from safetensors.torch import save_file

from proving_ground.config import TrainRun, read_run
from proving_ground.errors import Refused
from proving_ground.files import digest, write_json, write_manifest
from proving_ground.model.network import Network, build_network
from proving_ground.warm_start import Transfer, check_meaning, describe, load_into, match_weights

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


def stored(folder: Path, network: Network, model: dict[str, Any] | None = None) -> dict[str, Any]:
    """A model's folder with a network's weights, and its model.json; returns how a run names it."""
    folder.mkdir(parents=True)
    save_file(network.state_dict(), folder / "weights.safetensors")
    if model:
        write_json(folder / "model.json", model)
    write_manifest(folder, "earlier")
    return named(folder / "manifest.json")


def named(digested: Path, file: str = "weights.safetensors", **changes: Any) -> dict[str, Any]:
    """How a run names weights."""
    return {"manifest": digest(digested), "file": file, "rename": {}, "leave": [], **changes}


def told(run: TrainRun, **changes: Any) -> dict[str, Any]:
    """What the run's model.json says of its heads."""
    parts = {key: run.document["data"][key] for key in ("categories", "tracks")}
    return {"run": "earlier", "architecture": run.document["architecture"], **parts, **changes}


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
        (
            {**OWN, "encoder.a": (3, 3)},
            {"encoder": "backbone"},
            [],
            "backbone.a and encoder.a would both be loaded as backbone.a; rename one of them, or add it to "
            "weights.leave",
        ),
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


def test_loads_the_one_of_two_that_is_not_left(dataset: Path, tmp_path: Path) -> None:
    given = build(planned(dataset, tmp_path), seed=77)
    there = given.state_dict()
    tensors = {
        **there,
        **{f"encoder{name.removeprefix('backbone')}": value + 1 for name, value in there.items() if "backbone" in name},
    }
    save_file(tensors, tmp_path / "two.safetensors")
    for left, more in (("encoder", 0), ("unused", 1)):
        rename = {"encoder": "backbone"} | ({"backbone": "unused"} if more else {})
        weights = named(tmp_path / "two.safetensors", "two.safetensors", rename=rename, leave=[left])
        network = build(planned(dataset, tmp_path), seed=1)
        transfer = load_into(network, tmp_path, weights)
        assert transfer.fresh == []
        assert len(transfer.left) == sum("backbone" in name for name in there)
        for name, value in network.state_dict().items():
            assert torch.equal(value, there[name] + (more if name.startswith("backbone.") else 0))


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
    with pytest.raises(Refused, match=r"w\.safetensors: not a file of weights"):
        load_into(build(run, seed=1), tmp_path / "text", named(tmp_path / "text/w.safetensors", "w.safetensors"))


def test_refuses_weights_that_the_manifest_does_not_list(dataset: Path, tmp_path: Path) -> None:
    network = build(planned(dataset, tmp_path), seed=1)
    stored(tmp_path / "model", network)
    entry = {"file": "other.bin", "sha256": f"sha256:{'0' * 64}", "bytes": 1}
    others = {"schema": 1, "run": "earlier", "files": [entry]}
    for listing in (others, {"files": []}, {"version": 3}, ["weights.safetensors"]):
        write_json(tmp_path / "model/manifest.json", listing)
        wrong = (
            "it doesn't list weights.safetensors, so" if listing is others else "not a manifest.json of this version"
        )
        with pytest.raises(Refused, match=re.escape(wrong)):
            load_into(network, tmp_path / "model", named(tmp_path / "model/manifest.json"))


def test_refuses_heads_that_fit_by_shape_and_mean_something_else(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path)
    categories = run.document["data"]["categories"]
    other = {**categories, "segmentation": categories["segmentation"][::-1]}
    weights = stored(tmp_path / "model", build(run, seed=77), told(run, categories=other))
    with pytest.raises(Refused, match=r"rider, .*, background, but these data have background, .*, rider; add heads\."):
        describe(planned(dataset, tmp_path, weights), tmp_path / "model")
    left = json.loads(describe(planned(dataset, tmp_path, {**weights, "leave": ["heads"]}), tmp_path / "model"))
    assert {name.split(".")[0] for name, _ in left["left"]} == {"heads"}
    elsewhere = stored(tmp_path / "elsewhere", build(run, seed=77), {"categories": ["another tool's"]})
    found = json.loads(describe(planned(dataset, tmp_path, elsewhere), tmp_path / "elsewhere"))
    assert found["left"] == found["fresh"] == []


def test_refuses_tracks_of_another_step(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path)
    tracks = {"past": 8, "future": 12, "step_seconds": 0.4}
    heads = {**run.document["architecture"], "heads": ["trajectory"]}
    faster = replace(
        run,
        architecture=replace(run.architecture, heads=["trajectory"]),
        document={**run.document, "data": {**run.document["data"], "tracks": {**tracks, "step_seconds": 0.1}}},
    )
    stored(tmp_path / "model", build(run, seed=77), told(run, tracks=tracks, architecture=heads))
    with pytest.raises(Refused, match=r"tracks of past 8, future 12, step_seconds 0\.4, but these data have"):
        check_meaning(tmp_path / "model", faster, [])
    check_meaning(tmp_path / "model", faster, ["heads.trajectory"])


def test_is_described_before_anything_starts(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path)
    weights = stored(tmp_path / "model", build(run, seed=77), told(run))
    planned(dataset, tmp_path, weights)
    command = ["describe", "--document", str(tmp_path / "run.json"), "--weights", str(tmp_path / "model")]
    code, said = ranks.run(command, 1, tmp_path / "said.txt")
    assert code == 0
    found = json.loads(said)
    assert len(found["loaded"]) == len(build(run, seed=1).state_dict())
    assert (found["left"], found["renamed"], found["fresh"]) == ([], [], [])
    planned(dataset, tmp_path, {**weights, "leave": ["heads.depth"]})
    code, said = ranks.run(command, 1, tmp_path / "said.txt")
    assert code == 65
    assert said.splitlines() == [
        "The weights to start from don't fit:",
        "weights.leave: no tensor begins with heads.depth",
    ]
