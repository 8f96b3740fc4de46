"""A dataset of loose files becomes the same dataset in a few large files: WebDataset's tar shards, with an index.

A frame is one sample: <split>-<position>.jpg (the image's bytes and suffix), .mask.png, .json (the manifest's line).
"""

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from proving_ground.data.manifest import SPLITS, Frame, read_lines
from proving_ground.data.storage import BLOCK, INDEX, Place, open_storage, read_index, read_places
from proving_ground.errors import Refused
from proving_ground.files import digest, digest_bytes, whole_folder, write_json

MEGABYTE = 1_000_000
# Two empty blocks end a tar file.
END = bytes(2 * BLOCK)
SLICES = "slices.yaml"


def pack(dataset: Path, out: Path, megabytes: int, slices: str = SLICES) -> str:
    """Write the shards of a dataset, each of at most `megabytes` million bytes unless one frame alone has more.

    `slices` is the dataset's file of them.

    The same dataset makes the same bytes. Where `out` holds these very shards already, nothing is done.

    Returns:
        One sentence that says what was done.

    Raises:
        Refused: the dataset can't be taken, or `out` holds something else.
    """
    if megabytes < 1:
        raise Refused(f"found {megabytes} megabytes for a shard; it must be 1 or more.")
    frames = {split: list(read_lines(dataset / manifest_of(split), None)) for split in SPLITS}
    storage = open_storage(dataset)
    files = {name: digest_bytes(storage.read(name)) for name in files_of(frames)}
    whole = (*map(manifest_of, SPLITS), slices)
    packed = shards_digest(dataset, whole, files, megabytes)
    if out.exists():
        found = read_index(out)["dataset"] if (out / INDEX).is_file() else "no shards"
        if found != packed:
            raise Refused(f"{out}: holds {found}, but these shards would be {packed}; delete it to make them.")
        open_storage(out)
        return f"{out}: already holds these shards ({packed})."

    def read(name: str) -> bytes:
        content = storage.read(name)
        if digest_bytes(content) != files[name]:
            raise Refused(f"{name}: changed while the shards were made; start again.")
        return content

    with whole_folder(out) as folder:
        (folder / "shards").mkdir()
        places: dict[str, Place] = {}
        shards: dict[str, str] = {}
        for split in SPLITS:
            samples = (sample_of(split, number, *frame) for number, frame in enumerate(frames[split]))
            placed, written = write_shards(folder, split, samples, megabytes * MEGABYTE, read)
            places, shards = {**placed, **places}, {**shards, **written}
        for name in whole:
            (folder / name).write_bytes((dataset / name).read_bytes())
        index = {"schema": 1, "dataset": packed, "megabytes": megabytes, "files": places, "shards": shards}
        write_json(folder / INDEX, index)
    return f"{out}: {sum(map(len, frames.values()))} frames in {len(shards)} shards ({packed})."


def shards_digest(dataset: Path, whole: tuple[str, ...], files: dict[str, str], megabytes: int) -> str:
    """Digest of what is packed and how: of the manifests, the slices, every file by its own digest, and the size."""
    digests = {name: digest(dataset / name) for name in whole}
    content = {"schema": 1, "megabytes": megabytes, "dataset": digests, "files": files}
    return digest_bytes(json.dumps(content, sort_keys=True).encode())


def manifest_of(split: str) -> str:
    """File of a split's manifest."""
    return f"golden_{split}.manifest"


def files_of(frames: dict[str, list[tuple[bytes, Frame]]]) -> Iterator[str]:
    """Every file that the frames name, in their order, each once."""
    named: dict[str, None] = {}
    for of_split in frames.values():
        for _, frame in of_split:
            named |= {name: None for name in (frame.source if frame.has_image else None, frame.segmentation) if name}
    return iter(named)


Sample = list[tuple[str, str | None, bytes]]


def sample_of(split: str, number: int, line: bytes, frame: Frame) -> Sample:
    """Members of a frame: the member's name, the file whose bytes it has or None, and otherwise its bytes."""
    # A key of WebDataset ends at the name's first dot, so it is made from the position, not from the image's name.
    key = f"{split}-{number:06d}"
    members: Sample = []
    if frame.has_image:
        members.append((key + (PurePosixPath(frame.source).suffix or ".image"), frame.source, b""))
    if frame.segmentation is not None:
        members.append((f"{key}.mask.png", frame.segmentation, b""))
    return [*members, (f"{key}.json", None, line)]


def write_shards(
    folder: Path, split: str, samples: Iterator[Sample], limit: int, read: Callable[[str], bytes]
) -> tuple[dict[str, Place], dict[str, str]]:
    """Write a split's samples into shards of at most `limit` bytes; returns where each file is and the shards' digests.

    A sample is never divided: one that is larger than the limit has a shard of its own.
    """
    places: dict[str, Place] = {}
    shards: dict[str, str] = {}
    pending = next(samples, None)
    while pending is not None:
        shard = f"shards/{split}-{len(shards):06d}.tar"
        checksum, position = hashlib.sha256(), 0
        with (folder / shard).open("wb") as tar:
            while pending is not None:
                blocks, placed = layout(pending, read, position)
                if position > 0 and position + len(blocks) + len(END) > limit:
                    break
                for name, place in placed.items():
                    places.setdefault(name, (shard, *place))
                tar.write(blocks)
                checksum.update(blocks)
                position, pending = position + len(blocks), next(samples, None)
            tar.write(END)
            checksum.update(END)
        shards[shard] = f"sha256:{checksum.hexdigest()}"
    return places, shards


def layout(sample: Sample, read: Callable[[str], bytes], position: int) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """A sample as a tar file has it from `position` on, and each file's offset and size there."""
    blocks, placed = b"", {}
    for member, name, line in sample:
        content = line if name is None else read(name)
        blocks += header_of(member, len(content))
        if name is not None:
            placed[name] = (position + len(blocks), len(content))
        blocks += content + bytes(-len(content) % BLOCK)
    return blocks, placed


def header_of(member: str, size: int) -> bytes:
    """Header of a member, one block: of nobody, from no time, so that the same content makes the same shard."""
    info = tarfile.TarInfo(member)
    info.size, info.mode, info.mtime, info.uid, info.gid = size, 0o644, 0, 0, 0
    try:
        return info.tobuf(tarfile.USTAR_FORMAT)
    except ValueError as error:
        raise Refused(f"{member}: can't be a member of a shard ({error}).") from error


def verify_shards(folder: Path) -> int:
    """Check that every shard has the bytes that were packed, and that every file a manifest names is in one.

    Returns:
        How many shards there are.

    Raises:
        Refused: naming the first shard or file that differs, is cut short, or is absent.
    """
    index: dict[str, Any] = read_index(folder)
    for shard, expected in index["shards"].items():
        found = digest(folder / shard)
        if found != expected:
            raise Refused(f"{folder / shard}: its digest is {found}, but {INDEX} names {expected}.")
    places = read_places(folder, index)
    open_storage(folder)
    for split in SPLITS:
        for name in files_of({split: list(read_lines(folder / manifest_of(split), None))}):
            if name not in places:
                raise Refused(f"{name}: isn't in the shards that {folder / INDEX} lists.")
    return len(index["shards"])
