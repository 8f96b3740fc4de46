"""Sequences become splits: all frames of a drive go to the same one, so that a test has nothing of what was learnt."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from proving_ground.data.manifest import SPLITS
from proving_ground.errors import Refused

Entry = TypeVar("Entry")


def is_by_sequence(splits: Mapping[str, Any]) -> bool:
    """Whether a recipe's splits are shares of sequences."""
    return splits.get("by") == "sequence"


def source_of(splits: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    """What a recipe says of a split's source: the split's own settings, or those of all where sequences are shared."""
    return splits if is_by_sequence(splits) else splits[split]


def split_by_sequence(
    splits: Mapping[str, Any],
    entries: Iterable[Entry],
    name: Callable[[Entry], str | None],
    place: Callable[[Entry], str],
) -> dict[str, list[Entry]]:
    """Entries of each split, in their order; `name` gives an entry's sequence, `place` what an error calls it.

    Raises:
        Refused: an entry has no sequence, or the sequences can't be shared out.
    """
    named = [(entry, name(entry)) for entry in entries]
    for entry, sequence in named:
        if not sequence:
            raise Refused(f"{place(entry)}: it has no sequence, and splits.by is sequence.")
    owner = assign_sequences(splits, Counter(sequence for _, sequence in named if sequence))
    chosen: dict[str, list[Entry]] = {split: [] for split in SPLITS}
    for entry, sequence in named:
        chosen[owner[sequence or ""]].append(entry)
    return chosen


def assign_sequences(splits: Mapping[str, Any], frames: Mapping[str, int]) -> dict[str, str]:
    """The split of each sequence, given how many frames each has.

    The sequences are sorted by a hash of seed and name, and cut at the shares of their number; each split gets one at
    least. So the same names give the same splits, in whatever order they come, and one more sequence moves at most one
    other across each of the two cuts.

    Raises:
        Refused: the shares don't sum to 1, or there are fewer than three sequences.
    """
    shares = splits["shares"]
    total = math.fsum(shares[split] for split in SPLITS)
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise Refused(f"splits.shares: found the sum {total:g}; the shares must sum to 1.")
    if len(frames) < len(SPLITS):
        found = ", ".join(f"{name} with {count} frames" for name, count in sorted(frames.items())) or "none"
        raise Refused(f"splits.by: found {len(frames)} sequences ({found}); train, val and test need one each.")

    def order(name: str) -> tuple[str, str]:
        return hashlib.sha256(f"{splits['seed']}\n{name}".encode()).hexdigest(), name

    count = len(frames)
    # Half of one is rounded up: of n and n + 1 sequences, each cut differs by 0 or 1.
    first = min(max(math.floor(shares["train"] * count + 0.5), 1), count - 2)
    second = min(max(math.floor((shares["train"] + shares["val"]) * count + 0.5), first + 1), count - 1)
    ordered = sorted(frames, key=order)
    return {name: SPLITS[(at >= first) + (at >= second)] for at, name in enumerate(ordered)}
