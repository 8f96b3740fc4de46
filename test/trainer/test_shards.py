"""Shards ..."""

import gc
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from proving_ground.data.manifest import SPLITS
from proving_ground.data.shards import pack, verify_shards
from proving_ground.data.storage import open_storage
from proving_ground.importers.writing import write_dataset

TRAINER = Path(__file__).parents[2] / "trainer"


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of five training, two validation and two test frames of 270 kB each, more than one to a shard."""

    def make(split: str, index: int, folder: Path) -> dict[str, Any]:
        rng = np.random.default_rng((SPLITS.index(split), index))
        name = f"{split}.of-{index}"
        pixels = rng.integers(0, 255, (300, 300, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"images/{name}.png")
        Image.fromarray(pixels[..., 0] % 7).save(folder / f"masks/{name}.png")
        return {
            "source-ref": f"images/{name}.png",
            "width": 300,
            "height": 300,
            "attributes": {"weather": "rain"},
            "segmentation-ref": f"masks/{name}.png",
            "detection": [{"category": "car", "box": [0, 0, 30.5, index + 1]}],
        }

    out = tmp_path_factory.mktemp("loose") / "data"
    write_dataset(out, {"slices": []}, {"train": 5, "val": 2, "test": 2}, make)
    return out


@pytest.fixture
def shards(loose: Path, tmp_path: Path) -> Path:
    """The same in shards of a megabyte."""
    pack(loose, tmp_path / "shards", 1)
    return tmp_path / "shards"


def names_in(folder: Path) -> list[str]:
    """Every image and mask of a loose dataset."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.png"))


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_hold_every_file_of_a_dataset_byte_for_byte(loose: Path, shards: Path) -> None:
    files, packed = open_storage(loose), open_storage(shards)
    assert len(names_in(loose)) == 18
    for name in names_in(loose):
        assert packed.read(name) == files.read(name) == (loose / name).read_bytes()
    for name in ("golden_train.manifest", "golden_val.manifest", "golden_test.manifest", "slices.yaml"):
        assert (shards / name).read_bytes() == (loose / name).read_bytes()
    with pytest.raises(ValueError, match=r"images/none\.png: can't be read \(No such file or directory\)"):
        files.read("images/none.png")
    index = json.loads((shards / "shards.json").read_text())
    assert list(index["shards"]) == [
        *(f"shards/train-00000{number}.tar" for number in range(2)),
        "shards/val-000000.tar",
        "shards/test-000000.tar",
    ]
    assert all((shards / shard).stat().st_size <= 1_000_000 for shard in index["shards"])
    assert verify_shards(shards) == 4


# The library leaves it to the collector to close them.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_are_read_by_the_webdataset_library(loose: Path, shards: Path) -> None:
    import webdataset

    lines = [json.loads(line) for line in (loose / "golden_train.manifest").read_text().splitlines()]
    tars = [str(path) for path in sorted((shards / "shards").glob("train-*.tar"))]
    samples = list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False).decode("pil"))
    gc.collect()
    assert [sample["__key__"] for sample in samples] == [f"train-{number:06d}" for number in range(5)]
    for sample, line in zip(samples, lines, strict=True):
        assert sample["json"] == line
        for key, name in (("png", "source-ref"), ("mask.png", "segmentation-ref")):
            with Image.open(loose / line[name]) as image:
                assert (np.asarray(sample[key]) == np.asarray(image.convert(sample[key].mode))).all()
    with tarfile.open(tars[0]) as tar:
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in tar} == {(0, 0, 0, "")}
        names = tar.getnames()
        assert names[:4] == ["train-000000.png", "train-000000.mask.png", "train-000000.json", "train-000001.png"]
        assert tar.extractfile("train-000000.png").read() == (loose / lines[0]["source-ref"]).read_bytes()


def test_are_the_same_bytes_from_the_same_dataset(loose: Path, shards: Path, tmp_path: Path) -> None:
    pack(loose, tmp_path / "again", 1)
    assert content(tmp_path / "again") == content(shards)
    # From shards as from loose files, but in another size.
    pack(shards, tmp_path / "larger", 2)
    assert (tmp_path / "larger/shards/val-000000.tar").read_bytes() == (shards / "shards/val-000000.tar").read_bytes()
    assert not (tmp_path / "larger/shards/train-000001.tar").exists()


def test_divide_no_frame_where_one_alone_is_larger(tmp_path: Path, loose: Path) -> None:
    large = tmp_path / "large"
    lines = {split: (loose / f"golden_{split}.manifest").read_text().splitlines()[:2] for split in SPLITS}
    (large / "images").mkdir(parents=True)
    (large / "slices.yaml").write_text("slices: []\n")
    for split in SPLITS:
        frames = [json.loads(line) | {"segmentation-ref": None} for line in lines[split]]
        (large / f"golden_{split}.manifest").write_text("".join(json.dumps(frame) + "\n" for frame in frames))
        for frame in frames:
            (large / frame["source-ref"]).write_bytes(os.urandom(1_200_000))
    pack(large, tmp_path / "out", 1)
    assert len(list((tmp_path / "out/shards").iterdir())) == 6
    for split in SPLITS:
        name = json.loads(lines[split][1])["source-ref"]
        assert open_storage(tmp_path / "out").read(name) == (large / name).read_bytes()


def test_are_made_once_and_never_over_other_ones(loose: Path, shards: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in shards.rglob("*")}
    assert "already holds these shards (sha256:" in pack(loose, shards, 1)
    assert {path: path.stat().st_mtime_ns for path in shards.rglob("*")} == before
    with pytest.raises(ValueError, match=r"shards: holds sha256:\w+, but these shards would be sha256:\w+; delete it"):
        pack(loose, shards, 2)
    with pytest.raises(ValueError, match=r"data: holds no shards, but these shards would be"):
        pack(loose, loose, 1)
    changed = tmp_path / "changed"
    changed.mkdir()
    for name, bytes_of in content(loose).items():
        (changed / name).parent.mkdir(exist_ok=True)
        (changed / name).write_bytes(bytes_of)
    assert "already" in pack(changed, shards, 1)
    (changed / names_in(changed)[0]).write_bytes(b"other")
    with pytest.raises(ValueError, match="delete it"):
        pack(changed, shards, 1)


def test_are_whole_or_absent(loose: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in content(loose):
        (broken / name).parent.mkdir(exist_ok=True)
        (broken / name).symlink_to(loose / name)
    (broken / names_in(loose)[3]).unlink()
    with pytest.raises(ValueError, match=r"images/test\.of-1\.png|images/train.of-1.png: can't be read"):
        pack(broken, tmp_path / "out", 1)
    with pytest.raises(ValueError, match="found 0 megabytes for a shard; it must be 1 or more"):
        pack(loose, tmp_path / "out", 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]


def test_notice_a_file_that_changes_while_they_are_made(
    loose: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proving_ground.data import shards as module

    storage = open_storage(loose)
    read = iter(range(1000))
    monkeypatch.setattr(storage, "read", lambda name: (loose / name).read_bytes() + b"x" * (next(read) >= 18))
    monkeypatch.setattr(module, "open_storage", lambda folder: storage)
    with pytest.raises(ValueError, match=r"images/train\.of-0\.png: changed while the shards were made; start again"):
        pack(loose, tmp_path / "out", 1)
    assert list(tmp_path.iterdir()) == []


def test_hold_frames_without_images(tmp_path: Path) -> None:
    track = {"past": [[0, 0], [1, 1]], "future": [[2, 2]]}

    def make(split: str, index: int, folder: Path) -> dict[str, Any]:
        return {"id": f"{split}:{index}", "tracks": [track]}

    write_dataset(tmp_path / "loose", {"slices": []}, dict.fromkeys(SPLITS, 3), make)
    pack(tmp_path / "loose", tmp_path / "out", 1)
    assert json.loads((tmp_path / "out/shards.json").read_text())["files"] == {}
    with tarfile.open(tmp_path / "out/shards/train-000000.tar") as tar:
        assert tar.getnames() == [f"train-{number:06d}.json" for number in range(3)]
        assert json.load(tar.extractfile("train-000001.json")) == {"id": "train:1", "tracks": [track]}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_are_read_in_other_processes(loose: Path, shards: Path, method: str) -> None:
    storage, names = open_storage(shards), names_in(loose)
    expected = [storage.read(name) for name in names]
    assert storage.descriptors
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(storage.read, names, chunksize=2) == expected
    assert [storage.read(name) for name in names] == expected
    assert pickle.loads(pickle.dumps(storage)).descriptors == {}


def truncate(folder: Path) -> None:
    """Cut the end off the last training shard."""
    shard = folder / "shards/train-000001.tar"
    shard.write_bytes(shard.read_bytes()[:-5000])


def shift(folder: Path) -> None:
    """Move what a training shard holds, as another shard in its place would."""
    shard = folder / "shards/train-000001.tar"
    shard.write_bytes(bytes(512) + shard.read_bytes())


def change_index(key: str, value: object) -> Callable[[Path], None]:
    """Write a value into shards.json."""

    def change(folder: Path) -> None:
        index = json.loads((folder / "shards.json").read_text())
        (folder / "shards.json").write_text(json.dumps(index | {key: value}))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "shards/train-000001.tar: is cut short: it has"),
        (shift, "shards/train-000001.tar: found no "),
        (lambda folder: (folder / "shards/train-000001.tar").unlink(), "train-000001.tar: can't be read (No such file"),
        (lambda folder: (folder / "shards.json").write_text("{"), "shards.json: not JSON"),
        (change_index("schema", 2), "shards.json: not an index of shards with schema 1"),
        (change_index("dataset", None), "shards.json: dataset is missing or of another type"),
        (change_index("files", {"a.png": ["shards/train-000000.tar", 0, 5]}), "shards.json: a.png has the place"),
        (change_index("files", {"a.png": ["shards/other-0.tar", 512, 5]}), "shards.json: a.png has the place"),
        (change_index("files", {}), "images/train.of-4.png: isn't in the shards that"),
        (
            change_index("shards", {"../a.tar": "sha256:0"}),
            "shards.json: shards must be named shards/<split>-<number>.tar",
        ),
    ],
)
def test_are_refused_where_they_are_damaged(shards: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(shards)
    with pytest.raises(ValueError) as refused:
        open_storage(shards).read("images/train.of-4.png")
    assert message in str(refused.value)
    with pytest.raises(ValueError):
        verify_shards(shards)


def test_are_refused_where_they_shrink_after_they_were_opened(shards: Path) -> None:
    storage = open_storage(shards)
    truncate(shards)
    with pytest.raises(ValueError, match=r"train-000001\.tar: masks/train\.of-4\.png is cut short: \d+ of \d+ bytes"):
        storage.read("masks/train.of-4.png")


def test_are_checked_bit_by_bit_when_they_are_verified(shards: Path) -> None:
    shard = shards / "shards/val-000000.tar"
    content = bytearray(shard.read_bytes())
    content[4000] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match=r"val-000000\.tar: its digest is sha256:\w+, but shards\.json names sha256:"):
        verify_shards(shards)


def test_are_made_and_verified_by_a_command(loose: Path, tmp_path: Path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "proving_ground", "shards", *arguments]
        return subprocess.run(line, cwd=TRAINER, capture_output=True, text=True, check=False)

    out = tmp_path / "out"
    made = command(str(loose), str(out), "--megabytes", "1")
    assert (made.returncode, made.stderr) == (0, "")
    assert "9 frames in 4 shards (sha256:" in made.stdout
    verified = command(str(out), "--verify")
    assert (verified.returncode, verified.stdout) == (0, f"{out}: 4 shards, all as they were packed.\n")
    refused = command(str(loose), str(out), "--megabytes", "2")
    assert (refused.returncode, refused.stdout) == (65, "")
    assert refused.stderr.startswith(f"{out}: holds sha256:")
