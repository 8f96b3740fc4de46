"""A dataset's folder becomes the bytes of its files, whether they lie loose or in shards; the bytes are the same."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proving_ground.errors import Refused
from proving_ground.files import read_json

INDEX = "shards.json"
# A tar member's data follows its header of one block: its name, its size in octal at 124, and what it is at 257.
BLOCK = 512
SIZE_FIELD, MAGIC = slice(124, 135), slice(257, 262)

SHARD = re.compile(r"shards/[a-z]+-[0-9]+\.tar")

# Of a file in shards: the shard, the offset of its first byte in it, and its bytes.
Place = tuple[str, int, int]


@dataclass
class Storage:
    """Files of a dataset by the names that its manifests use.

    Safe in threads and forked workers, since reads name their own offset, and in spawned ones, which open their own
    shards.
    """

    folder: Path
    places: dict[str, Place] | None
    """Where each file is in the shards, or None where files lie loose."""
    descriptors: dict[str, int] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        """A file's bytes; raises Refused naming the file where it is absent, damaged or can't be read."""
        try:
            if self.places is None:
                return (self.folder / name).read_bytes()
            return self.read_member(name, self.places)
        except (OSError, ValueError) as error:
            if isinstance(error, Refused):
                raise
            reason = error.strerror if isinstance(error, OSError) else error
            raise Refused(f"{self.folder / name}: can't be read ({reason}).") from error

    def read_member(self, name: str, places: dict[str, Place]) -> bytes:
        """Header and data of a member in one read; the header says whether the index is of this very shard."""
        if name not in places:
            raise Refused(f"{name}: isn't in the shards that {self.folder / INDEX} lists.")
        shard, offset, size = places[name]
        if shard not in self.descriptors:
            opened = os.open(self.folder / shard, os.O_RDONLY | os.O_CLOEXEC)
            # Another thread may have opened it meanwhile.
            if self.descriptors.setdefault(shard, opened) != opened:
                os.close(opened)
        content = os.pread(self.descriptors[shard], BLOCK + size, offset - BLOCK)
        if len(content) != BLOCK + size:
            raise Refused(
                f"{self.folder / shard}: {name} is cut short: {max(len(content) - BLOCK, 0)} of {size} bytes are there."
            )
        header = content[:BLOCK]
        if header[MAGIC] != b"ustar" or header[SIZE_FIELD] != b"%011o" % size:
            raise Refused(f"{self.folder / shard}: found no {name} of {size} bytes at {offset}: the shard is damaged.")
        return content[BLOCK:]

    def __getstate__(self) -> dict[str, Any]:
        """What another process is given: descriptors are of this one."""
        return {**self.__dict__, "descriptors": {}}

    def __del__(self) -> None:
        """Close the shards."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)


def open_storage(folder: Path) -> Storage:
    """The files of a dataset's folder: in the shards that shards.json lists where it is there, loose otherwise.

    Raises:
        Refused: shards.json can't be taken, or a shard is absent or shorter than it says.
    """
    if not (folder / INDEX).exists():
        return Storage(folder, None)
    places = read_places(folder, read_index(folder))
    ends: dict[str, int] = {}
    for shard, offset, size in places.values():
        ends[shard] = max(ends.get(shard, 0), offset + size)
    for shard, end in ends.items():
        try:
            found = (folder / shard).stat().st_size
        except OSError as error:
            raise Refused(f"{folder / shard}: can't be read ({error.strerror}).") from error
        if found < end:
            raise Refused(f"{folder / shard}: is cut short: it has {found} bytes, but {INDEX} names byte {end}.")
    return Storage(folder, places)


def read_index(folder: Path) -> dict[str, Any]:
    """shards.json; raises Refused where it isn't one."""
    index = read_json(folder / INDEX)
    if not isinstance(index, dict) or index.get("schema") != 1:
        raise Refused(f"{folder / INDEX}: not an index of shards with schema 1; make the shards again.")
    for name, kind in (("dataset", str), ("megabytes", int), ("files", dict), ("shards", dict)):
        if not isinstance(index.get(name), kind):
            raise Refused(f"{folder / INDEX}: {name} is missing or of another type; make the shards again.")
    if not all(map(SHARD.fullmatch, index["shards"])):
        raise Refused(f"{folder / INDEX}: shards must be named shards/<split>-<number>.tar; make the shards again.")
    return index


def read_places(folder: Path, index: dict[str, Any]) -> dict[str, Place]:
    """Where each file is; raises Refused naming the file whose place can't be one."""
    places = {}
    for name, place in index["files"].items():
        if not (
            isinstance(place, list)
            and len(place) == 3
            and isinstance(place[0], str)
            and place[0] in index["shards"]
            and all(type(number) is int for number in place[1:])
            and place[1] >= BLOCK
            and place[2] >= 0
        ):
            raise Refused(
                f"{folder / INDEX}: {name} has the place {place}; it must be a listed shard, an offset, a size."
            )
        places[name] = (place[0], place[1], place[2])
    return places
