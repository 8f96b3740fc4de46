"""What lies in a store or a registry ..."""

import io
import json
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import measure_sample
from test_warm_start import build, named, planned, stored, told

from proving_ground.errors import Refused
from proving_ground.evaluate import open_model
from proving_ground.evaluation.columns import MOST_BYTES
from proving_ground.evaluation.statistics import Statistics, checksum
from proving_ground.files import digest, verify_manifest, write_json
from proving_ground.rescore import load_kept
from proving_ground.warm_start import check_meaning, describe, load_into

GOOD = {"file": "weights.safetensors", "sha256": f"sha256:{'0' * 64}", "bytes": 1}


@pytest.mark.parametrize(
    "listing",
    [
        {"schema": 1, "run": "earlier", "files": ["weights.safetensors"]},
        {"schema": 1, "run": "earlier", "files": [None]},
        {"schema": 1, "run": "earlier", "files": None},
        {"schema": 1, "run": "earlier", "files": "weights.safetensors"},
        {"schema": 1, "run": "earlier", "files": []},
        {"schema": 1, "run": "earlier", "files": [{**GOOD, "file": None}]},
        {"schema": 1, "run": "earlier", "files": [{**GOOD, "sha256": None}]},
        {"schema": 1, "run": "earlier"},
        None,
        [],
    ],
)
def test_is_refused_as_a_manifest_in_words(dataset: Path, tmp_path: Path, listing: Any) -> None:
    run = planned(dataset, tmp_path)
    stored(tmp_path / "model", build(run, seed=1))
    write_json(tmp_path / "model/manifest.json", listing)
    weights = named(tmp_path / "model/manifest.json")
    for read in (
        lambda: verify_manifest(tmp_path / "model", weights["manifest"]),
        lambda: load_into(build(run, seed=1), tmp_path / "model", weights),
        lambda: describe(planned(dataset, tmp_path, weights), tmp_path / "model"),
    ):
        with pytest.raises(Refused, match=r"manifest\.json: not a manifest\.json of this version: \$"):
            read()


@pytest.mark.parametrize("name", ["../outside.bin", "a/../../outside.bin", "a\n/../../outside.bin", "absolute"])
def test_leads_to_no_file_outside_of_its_folder_even_where_its_digest_fits(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside.bin"
    outside.write_bytes(b"secret")
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (folder / "a\n").mkdir()
    file = str(outside) if name == "absolute" else name
    entry = {"file": file, "sha256": digest(outside), "bytes": 6}
    write_json(folder / "manifest.json", {"schema": 1, "run": "earlier", "files": [entry]})
    with pytest.raises(Refused):
        verify_manifest(folder, digest(folder / "manifest.json"))


def test_leads_nowhere_by_a_link(dataset: Path, tmp_path: Path) -> None:
    run = planned(dataset, tmp_path)
    network = build(run, seed=1)
    weights = stored(tmp_path / "model", network)
    (tmp_path / "model/weights.safetensors").rename(tmp_path / "outside.safetensors")
    (tmp_path / "model/weights.safetensors").symlink_to(tmp_path / "outside.safetensors")
    with pytest.raises(Refused, match="is a link that leads out of"):
        load_into(network, tmp_path / "model", weights)
    with pytest.raises(Refused, match="leads out of"):
        load_into(network, tmp_path / "model", {**weights, "file": "../outside.safetensors"})
    with pytest.raises(Refused, match="leads out of"):
        load_kept(tmp_path / "model", {"file": "../outside.safetensors", "sha256": "sha256:"})


@pytest.mark.parametrize(
    "changes",
    [
        {"categories": {"detection": None, "segmentation": None}},
        {"categories": {"detection": [None], "segmentation": []}},
        {"categories": None},
        {"categories": []},
        {"architecture": None},
        {"architecture": {"heads": None}},
        {"architecture": {"heads": [None]}},
        {"tracks": "all"},
    ],
)
def test_is_refused_as_a_model_in_words(dataset: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    run = planned(dataset, tmp_path)
    weights = stored(tmp_path / "model", build(run, seed=1), told(run, **changes))
    with pytest.raises(Refused, match=r"model\.json: not a model\.json of this version: \$"):
        check_meaning(tmp_path / "model", run, [])
    with pytest.raises(Refused, match=r"model\.json: not a model\.json of this version: \$"):
        open_model(tmp_path / "model", weights["manifest"], run)  # type: ignore[arg-type]


def altered(path: Path, change: Any) -> Path:
    """A file of statistics with its columns changed and its checksum right."""
    whole = measure_sample(1, frames=2)
    whole.save(path)
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    change(content)
    content.pop("checksum")
    rest = {name: values for name, values in content.items() if name not in ("format", "version")}
    np.savez_compressed(path, checksum=np.array(checksum(rest)), **content)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda columns: columns.pop("heads"), "heads is missing"),
        (lambda columns: columns.pop("truth/frame"), "truth/frame is missing"),
        (lambda columns: columns.pop("tracks/ade"), "tracks/ade is missing"),
        (lambda columns: columns.update(heads=np.zeros(2)), "heads is no list of names"),
        (lambda columns: columns.update(heads=np.array("detection")), "heads is no list of names"),
        (lambda columns: columns.update({"truth/x": np.zeros(1)}), r"truth/x is float64 \(1,\); it must be float64"),
        (lambda columns: columns.update({"truth/frame": np.array(["a"])}), "truth/frame is <U1"),
        (lambda columns: columns.update({"confusion/matrix": np.zeros((1, 2, 2), np.int64)}), "confusion/matrix is"),
        (lambda columns: columns.update({"index/sources": np.array(["a"])}), "attribute_names is missing"),
    ],
)
def test_is_refused_as_statistics_in_words(tmp_path: Path, change: Any, message: str) -> None:
    path = altered(tmp_path / "statistics.npz", change)
    with pytest.raises(Refused, match=f"these statistics can't be understood: {message}"):
        Statistics.load(path)


def npy(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    """An array's file that says to have a shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def bomb(path: Path, members: dict[str, bytes]) -> Path:
    """A zip file of such members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def test_is_not_inflated_where_it_would_fill_the_memory(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # It says that it is small, and its array that it is a terabyte.
    lies = bomb(tmp_path / "lies.npz", {"format": npy((1 << 37,), bytes(1 << 20))})
    with pytest.raises(Refused, match=r"format asks for 1099511627776 bytes of float64, and its member has 1048576"):
        Statistics.load(lies)
    # It says itself that it is larger than anything that we write.
    honest = bomb(tmp_path / "honest.npz", {"format": npy((1,), bytes(8))})
    content = bytearray(honest.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (0xFFFFFFFE).to_bytes(4, "little")
    honest.write_bytes(content)
    with pytest.raises(Refused):
        Statistics.load(honest)
    many = tmp_path / "many.npz"
    with zipfile.ZipFile(many, "w", zipfile.ZIP_DEFLATED) as file:
        chunk = bytes(1 << 20)
        for number in range(3):
            with file.open(f"{number}.npy", "w", force_zip64=True) as part:
                part.write(npy((1 << 22,)))
                for _ in range(32):
                    part.write(chunk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proving_ground.evaluation.columns.MOST_BYTES", 64 << 20)
        with pytest.raises(Refused, match=r"it unpacks to \d+ bytes; at most 67108864 are read"):
            Statistics.load(many)
    assert MOST_BYTES <= 8 << 30
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 256 * 1024


def test_is_read_where_it_is_whole(dataset: Path, tmp_path: Path) -> None:
    measure_sample(1, frames=2).save(tmp_path / "statistics.npz")
    kept = {"file": "statistics.npz", "sha256": digest(tmp_path / "statistics.npz")}
    assert load_kept(tmp_path, kept).heads
    run = planned(dataset, tmp_path)
    network = build(run, seed=1)
    weights = stored(tmp_path / "model", network, told(run))
    check_meaning(tmp_path / "model", run, [])
    assert load_into(network, tmp_path / "model", weights).loaded


def test_says_so_of_a_manifest_of_another_digest(tmp_path: Path) -> None:
    tmp_path.joinpath("manifest.json").write_text(json.dumps({"schema": 1}))
    with pytest.raises(Refused, match="its digest is"):
        verify_manifest(tmp_path, "sha256:" + "0" * 64)
