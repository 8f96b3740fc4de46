"""A dataset's folder and what its recipe says of labels become all of its problems, or a sentence that it has none."""

import os
import sys
from pathlib import Path
from typing import Any

import jsonschema

from proving_ground.config import read_masks
from proving_ground.data.frame_check import FrameFiles, check_frames, places_of, refusal
from proving_ground.data.manifest import SPLITS, read_manifest
from proving_ground.data.masks import MaskReader
from proving_ground.data.storage import open_storage
from proving_ground.errors import Refused
from proving_ground.schema import validator_of


def check_dataset(folder: Path, spec: dict[str, Any]) -> str:
    """Read each manifest as training does, and every image and mask that it names.

    Args:
        spec: the data recipe's `categories`, and its `masks` where it has them.

    Returns:
        A sentence on what was read.

    Raises:
        Refused: with the first problems, a line each, and a count of the others.
    """
    check_spec(spec)
    categories = spec["categories"]
    masks = (
        MaskReader(categories["segmentation"], read_masks(spec.get("masks"))) if categories["segmentation"] else None
    )
    storage, sets, others = open_storage(folder), [], []
    for split in SPLITS:
        try:
            frames = read_manifest(folder / f"golden_{split}.manifest", None, categories["detection"])
        except Refused as error:
            others.append(str(error))
            continue
        sets.append(FrameFiles(dataset=folder.name, storage=storage, frames=frames, images=True, masks=masks))
    found = check_frames(sets, places_of(sets), os.cpu_count() or 1, show)
    if refused := refusal(found, sets, others):
        raise refused
    return f"{folder}: {sum(len(files.frames) for files in sets)} frames, all as they should be."


def check_spec(spec: object) -> None:
    """Hold a spec to what run.json has of the same names; raises Refused for what differs."""
    of_data = validator_of("run").schema["definitions"]["data"]["properties"]
    properties = {name: of_data[name] for name in ("categories", "masks")}
    schema = {"type": "object", "additionalProperties": False, "required": ["categories"], "properties": properties}
    error = jsonschema.exceptions.best_match(jsonschema.Draft7Validator(schema).iter_errors(spec))
    if error is not None:
        raise Refused(f"--spec: {error.json_path} {error.message[:300]}")


def show(done: int, total: int) -> None:
    """Tell a terminal how many frames are checked."""
    if sys.stderr.isatty():
        print(f"\r{done} of {total} frames checked", end="\n" if done == total else "", file=sys.stderr, flush=True)
