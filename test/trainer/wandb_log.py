"""Reads back what wandb wrote offline: a LevelDB log of protocol buffers (wandb/core/internal/transactionlog)."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK, HEADER, IDENT = 32768, 7, 7


def read_records(file: Path) -> Iterator[Any]:
    """Records of a .wandb file, in order; a record that was cut off at the end is left out."""
    content, place, parts = file.read_bytes(), IDENT, b""
    while place + HEADER <= len(content):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + HEADER])
        parts += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        # 1 is whole, 2 the first part, 3 a middle, 4 the last.
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def read_run(folder: Path) -> dict[str, Any]:
    """An offline run: id, name, config, history rows, figures of the system, artefacts by name, exit code.

    Its service writes on for a moment after a run has ended.
    """
    deadline = time.monotonic() + 20
    while "exit" not in (found := read_now(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def read_now(folder: Path) -> dict[str, Any]:
    """What is in the log now."""
    (file,) = folder.glob("run-*.wandb")
    found: dict[str, Any] = {"history": [], "artefacts": [], "config": {}, "system": set()}
    for record in read_records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found |= {"id": record.run.run_id, "group": record.run.run_group, "project": record.run.project}
            found |= {"name": record.run.display_name, "tags": list(record.run.tags), "resume": record.run.resume}
            found["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "config":
            found["config"] |= {item.key: json.loads(item.value_json) for item in record.config.update if item.key}
        elif kind == "history":
            rows = {(item.key or "/".join(item.nested_key)): item.value_json for item in record.history.item}
            found["history"].append({key: json.loads(value) for key, value in rows.items()})
        elif kind == "artifact":
            described = {"metadata": json.loads(record.artifact.metadata or "{}"), "digest": record.artifact.digest}
            described |= {"type": record.artifact.type, "used": record.artifact.use_after_commit}
            described["files"] = {item.path: Path(item.local_path) for item in record.artifact.manifest.contents}
            found["artefacts"].append((record.artifact.name, described))
        elif kind == "stats":
            found["system"] |= {item.key for item in record.stats.item}
        elif kind == "exit":
            found["exit"] = record.exit.exit_code
    return found
