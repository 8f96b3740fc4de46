"""Sequences are shared out ..."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import SOAK
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import by_sequence, frames_of, refusal, write_image

from proving_ground.data.manifest import SPLITS
from proving_ground.importers.bdd100k import import_bdd100k
from proving_ground.importers.coco import import_coco
from proving_ground.importers.sequences import assign_sequences, split_by_sequence

examples = settings(derandomize=True, deadline=None, max_examples=500 if SOAK else 50)
names = st.text(min_size=1, max_size=6)


@st.composite
def shares(draw: st.DrawFn) -> dict[str, float]:
    """Three shares that sum to 1."""
    parts = draw(st.tuples(*[st.integers(1, 100)] * 3))
    return {split: part / sum(parts) for split, part in zip(SPLITS, parts, strict=True)}


def wanted(shares: dict[str, float], seed: int = 1) -> dict[str, Any]:
    """Splits by these shares."""
    return {"by": "sequence", "seed": seed, "shares": shares}


@examples
@given(st.sets(names, min_size=3, max_size=30), shares(), st.integers(0, 9))
def test_by_their_number_in_whatever_order_they_come(found: set[str], parts: dict[str, float], seed: int) -> None:
    owner = assign_sequences(wanted(parts, seed), dict.fromkeys(sorted(found), 1))
    assert owner == assign_sequences(wanted(parts, seed), dict.fromkeys(sorted(found, reverse=True), 7))
    counts = Counter(owner.values())
    assert set(owner) == found
    assert min(counts[split] for split in SPLITS) >= 1
    # Where rounding leaves each split one, each has its share of the number to the nearest whole one.
    cuts = [counts["train"], counts["train"] + counts["val"]]
    asked = [parts["train"] * len(found), (parts["train"] + parts["val"]) * len(found)]
    for cut, share in zip(cuts, asked, strict=True):
        assert abs(cut - share) <= 0.5 + 1e-6 or 1 in counts.values()


@examples
@given(st.sets(names, min_size=4, max_size=30), shares())
def test_so_that_one_more_moves_no_more_than_one_other_across_each_cut(
    found: set[str], parts: dict[str, float]
) -> None:
    *before, added = sorted(found)
    old = assign_sequences(wanted(parts), dict.fromkeys(before, 1))
    new = assign_sequences(wanted(parts), dict.fromkeys([*before, added], 1))
    cuts = Counter(cut for name in before for cut in (1, 2) if (rank(old[name]) < cut) != (rank(new[name]) < cut))
    assert all(count <= 1 for count in cuts.values())


def rank(split: str) -> int:
    """The place of a split among them."""
    return SPLITS.index(split)


def test_by_the_seed() -> None:
    frames = {f"drive-{number}": 1 for number in range(40)}
    owners = [assign_sequences(by_sequence(seed), frames) for seed in (1, 1, 2)]
    assert owners[0] == owners[1] != owners[2]
    assert Counter(owners[2].values()) == {"train": 24, "val": 8, "test": 8}


def test_only_where_there_are_enough_and_the_shares_are_whole() -> None:
    with pytest.raises(
        ValueError, match=r"found 2 sequences \(a with 3 frames, b with 1 frames\); train, val and test"
    ):
        assign_sequences(by_sequence(), {"b": 1, "a": 3})
    with pytest.raises(ValueError, match=r"shares: found the sum 0.9; the shares must sum to 1"):
        assign_sequences(wanted({"train": 0.7, "val": 0.1, "test": 0.1}), {"a": 1, "b": 1, "c": 1})
    with pytest.raises(ValueError, match=r"line 2: it has no sequence, and splits.by is sequence"):
        split_by_sequence(by_sequence(), [(1, "a"), (2, None)], lambda it: it[1], lambda it: f"line {it[0]}")


def spread(frames: dict[str, list[Any]]) -> dict[str, str]:
    """The split of each sequence; it has one, and every one is written."""
    owner = {}
    for split, some in frames.items():
        for frame in some:
            assert owner.setdefault(frame.sequence, split) == split
    return owner


def test_of_cocos_videos(tmp_path: Path) -> None:
    for number in range(10):
        write_image(tmp_path / f"images/{number}.png", (64, 48), number)
    images = [{"id": at, "file_name": f"{at}.png", "width": 64, "height": 48, "video_id": at % 5} for at in range(10)]
    boxes = [{"id": at, "image_id": at, "category_id": 1, "bbox": [1, 2, 30, 20]} for at in range(10)]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "labels.json").write_text(json.dumps(document))
    spec = {
        "name": "coco",
        "width": 64,
        "height": 48,
        "splits": {**by_sequence(), "images": str(tmp_path / "images"), "annotations": str(tmp_path / "labels.json")},
        "slices": [],
        "categories": {"detection": ["car"], "segmentation": []},
    }
    import_coco(spec, tmp_path / "out")
    frames = frames_of(tmp_path / "out", ["car"])
    assert {split: len(some) for split, some in frames.items()} == {"train": 6, "val": 2, "test": 2}
    assert set(spread(frames)) == {"0", "1", "2", "3", "4"}
    del images[3]["video_id"]
    (tmp_path / "labels.json").write_text(json.dumps(document))
    assert "labels.json, image 3: it has no sequence" in refusal(import_coco, spec, tmp_path / "again")


def test_of_bdd100ks_videos_whatever_split_they_were_of(tmp_path: Path) -> None:
    frames = []
    for number in range(10):
        split = "train" if number < 6 else "val"
        write_image(tmp_path / f"images/{split}/{number}.jpg", (64, 48), number)
        label = {"category": "car", "box2d": {"x1": 1, "y1": 2, "x2": 30, "y2": 20}}
        frames.append({"name": f"{number}.jpg", "videoName": f"video-{number % 5}", "labels": [label]})
    (tmp_path / "labels.json").write_text(json.dumps(frames))
    spec = {
        "name": "bdd100k",
        "labels": str(tmp_path / "labels.json"),
        "images": str(tmp_path / "images"),
        "width": 64,
        "height": 48,
        "splits": by_sequence(),
        "slices": [],
        "categories": {"detection": ["car"], "segmentation": []},
    }
    import_bdd100k(spec, tmp_path / "out")
    read = frames_of(tmp_path / "out", ["car"])
    assert {split: len(some) for split, some in read.items()} == {"train": 6, "val": 2, "test": 2}
    assert set(spread(read)) == {f"video-{number}" for number in range(5)}
