"""Documents and artefacts become files that are whole or absent, with digests that are checked when they are read."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from proving_ground.errors import Refused
from proving_ground.schema import check_document

MANIFEST, MODEL = "manifest.json", "model.json"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename alone may be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write beside, sync, rename: a reader sees the old file or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with beside.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, document: object, *, durable: bool = True) -> None:
    """Write a document; NaN and infinity are refused with a ValueError, since JSON has neither."""
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomic(path, text.encode(), durable=durable)


def read_json(path: Path) -> object:
    """Read a document.

    Raises:
        Refused: the file is absent or no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise Refused(f"{path}: can't be read ({error.strerror}).") from error
    except ValueError as error:
        raise Refused(f"{path}: not JSON: {error}.") from error


def digest_bytes(content: bytes) -> str:
    """SHA-256 as documents write it: sha256: and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        Refused: the file can't be read.
    """
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise Refused(f"{path}: can't be read ({error.strerror}).") from error


def write_manifest(folder: Path, run: str) -> str:
    """List every file of an output folder with its digest; written last, it says that the job succeeded.

    Returns:
        The manifest's own digest.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    listing = [
        {"file": path.relative_to(folder).as_posix(), "sha256": digest(path), "bytes": path.stat().st_size}
        for path in files
        if path != folder / MANIFEST
    ]
    write_json(folder / MANIFEST, {"schema": 1, "run": run, "files": listing})
    return digest(folder / MANIFEST)


def verify_manifest(folder: Path, expected: str) -> None:
    """Check that a model's folder holds the very bytes that its digest names.

    Raises:
        Refused: the manifest or a file differs, with both digests, or the manifest is none.
    """
    found = digest(folder / MANIFEST)
    if found != expected:
        raise Refused(f"{folder / MANIFEST}: its digest is {found}, but the run names {expected}.")
    for file, listed in listed_files(folder).items():
        found = digest(inside(folder, file))
        if found != listed:
            raise Refused(f"{folder / file}: its digest is {found}, but the manifest names {listed}.")


def listed_files(folder: Path) -> dict[str, str]:
    """The files that a folder's manifest lists, with their digests; raises Refused where it is no manifest."""
    manifest = check_document("manifest", read_json(folder / MANIFEST), str(folder / MANIFEST))
    return {entry["file"]: entry["sha256"] for entry in manifest["files"]}


def inside(folder: Path, name: str) -> Path:
    """A file that somebody names in a folder; raises Refused where it, or a link on the way to it, leads out."""
    place = folder / name
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise Refused(f"{place}: leads out of {folder}; only files inside it are read.")
    if not place.resolve().is_relative_to(folder.resolve()):
        raise Refused(f"{place}: is a link that leads out of {folder}; only files inside it are read.")
    return place


def read_model(folder: Path) -> dict[str, Any]:
    """What a trained model says of itself; raises Refused where it isn't a model.json."""
    model: dict[str, Any] = check_document("model", read_json(folder / MODEL), str(folder / MODEL))
    return model


@contextlib.contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Make a folder that is whole or absent: it is filled beside its place and renamed at the end.

    Raises:
        Refused: the folder is there already.
    """
    out = out.absolute()
    if out.exists():
        raise Refused(f"{out}: already exists; delete it to make it again.")
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield beside
        # mkdtemp is for one user's eyes; a dataset is for everybody that may read the place.
        beside.chmod(0o755)
        beside.rename(out)
        sync_folder(out.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
