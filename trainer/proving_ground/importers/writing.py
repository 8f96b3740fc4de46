"""An importer's frames become a dataset, whole or not at all, and nothing in it that a reader would refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from proving_ground.data.manifest import MOST_LINE, SPLITS, parse_frame
from proving_ground.errors import Refused
from proving_ground.files import digest, whole_folder
from proving_ground.importers.record import Record


def write_dataset(
    out: Path,
    spec: dict[str, Any],
    counts: dict[str, int],
    make: Callable[[str, int, Path], dict[str, Any]],
    record: Record | None = None,
    place: Callable[[str, int], str] = "frame {1} of {0}".format,
) -> None:
    """Write a dataset: `make` is called for each frame of each split and returns its line of the manifest.

    The record says at the end what was read, written and left out; `place` names a frame's entry in the source.

    Raises:
        Refused: `make` refuses, or makes a line that a reader would refuse.
    """
    categories = spec.get("categories", {}).get("detection")
    with whole_folder(out) as folder:
        for name in ("images", "masks"):
            (folder / name).mkdir()
        for split in SPLITS:
            pictures: set[str] = set()
            with (folder / f"golden_{split}.manifest").open("wb") as manifest:
                for index in range(counts[split]):
                    line = make(split, index, folder)
                    manifest.write(encode_line(line, categories, place(split, index)) + b"\n")
                    if record is not None and "source-ref" in line:
                        note_picture(digest(folder / line["source-ref"]), pictures, record, split)
        for name in ("images", "masks"):
            if not any((folder / name).iterdir()):
                (folder / name).rmdir()
        (folder / "slices.yaml").write_text(yaml.safe_dump({"slices": spec["slices"]}, sort_keys=False))
        # The settings stay with what was made from them: a recipe that changed meanwhile, or a source, is noticed.
        document = {**spec, **({} if record is None else record.document())}
        (folder / "importer.json").write_text(json.dumps(document, indent=2) + "\n")
    if record is not None:
        print("\n".join(record.sentences()))


def encode_line(line: dict[str, Any], categories: list[str] | None, place: str) -> bytes:
    """A line as a manifest has it; raises Refused, naming the source's entry, for one that a reader would refuse."""
    try:
        content = json.dumps(line, separators=(",", ":"), allow_nan=False).encode()
        if len(content) > MOST_LINE:
            raise Refused(f"its line has {len(content)} bytes; at most {MOST_LINE} are read")
        parse_frame(json.loads(content), categories)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise Refused(f"{place}: {reason}.") from error
    return content


def note_picture(picture: str, pictures: set[str], record: Record, split: str) -> None:
    """Tell of a picture that a split has twice: the same evidence counts twice, and makes intervals too narrow."""
    if picture in pictures:
        record.note(split, "Frames that show the same picture as an earlier one")
    pictures.add(picture)
