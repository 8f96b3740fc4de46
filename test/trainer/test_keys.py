"""Every key that a person can write is read ..."""

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import ALL_FEATURES, CHECKPOINT, all_features_document, data_document
from test_loop import BALANCES, fit, read

from proving_ground import loop
from proving_ground.config import TrainRun
from proving_ground.schema import SCHEMAS

ROOT = Path(__file__).parents[2]
TRAINER = ROOT / "trainer/proving_ground"


class Watched(dict):
    """A mapping that remembers which of its keys were read."""

    def __init__(self, content: dict[str, Any], path: str, seen: set[str]) -> None:
        super().__init__(
            {
                key: Watched(value, f"{path}.{key}", seen) if isinstance(value, dict) else value
                for key, value in content.items()
            }
        )
        self.path, self.seen = path, seen

    def __getitem__(self, key: str) -> Any:
        self.seen.add(f"{self.path}.{key}")
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As a mapping's."""
        self.seen.add(f"{self.path}.{key}")
        return super().get(key, default)

    def items(self) -> Any:
        """Whoever goes through all entries has read the keys."""
        self.seen.update(f"{self.path}.{key}" for key in self)
        return super().items()


def watched_settings(value: Any, path: str, seen: set[str]) -> Any:
    """A frozen dataclass whose fields, and what is in them, are watched."""
    kind = type(value)

    def read_field(self: Any, name: str) -> Any:
        if name in kind.__dataclass_fields__:
            seen.add(f"{path}.{name}")
        return object.__getattribute__(self, name)

    content = {
        name: Watched(item, f"{path}.{name}", seen)
        if isinstance(item, dict)
        else watched_settings(item, f"{path}.{name}", seen)
        if hasattr(item, "__dataclass_fields__")
        else item
        for name in kind.__dataclass_fields__
        for item in [getattr(value, name)]
    }
    return type(f"Watched{kind.__name__}", (kind,), {"__getattribute__": read_field})(**content)


def leaves(schema: dict[str, Any], path: str) -> set[str]:
    """Paths of all keys that a schema lets one write, below a path."""
    found: set[str] = set()
    for option in schema.get("oneOf", []):
        found |= leaves(option, path)
    for name, child in schema.get("properties", {}).items():
        found |= {f"{path}.{name}"} | leaves(child, f"{path}.{name}")
    return found


def test_of_a_runs_training_and_architecture(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    for number, balance in enumerate(BALANCES):
        # A dynamic weight average needs two epochs before it weighs.
        epochs = 3 if balance["method"] == "dwa" else 1
        document = all_features_document(dataset, balance=balance, epochs=epochs, checkpoint={**CHECKPOINT, "steps": 3})
        document["replay"] = {"share": 0.25, "data": data_document(dataset)}
        run = read(document, tmp_path / str(number))
        watched: TrainRun = replace(
            run,
            train=watched_settings(run.train, "train", seen),
            architecture=watched_settings(run.architecture, "architecture", seen),
        )
        monkeypatch.setattr(loop, "SETTLED_STEPS", 1)
        fit(watched, dataset, tmp_path / str(number), replay=dataset)
    schema = json.loads((SCHEMAS / "run.schema.json").read_text())["definitions"]["train"]["properties"]
    # A curriculum's start names heads: those that it was given are read.
    wanted = {path for path in leaves(schema["train"], "train") if not path.startswith("train.balance.start.")}
    assert len(wanted) > 60
    assert wanted - seen == set()
    # The architecture's names differ in our own values: what is written becomes a field each.
    fields = {f"architecture.{name}" for name in ("width", "height", "widths", "depth", "neck", "heads")}
    assert fields | {"architecture.trajectory.modes", "architecture.trajectory.hidden"} <= seen
    assert set(ALL_FEATURES["augment"]) == set(schema["train"]["properties"]["augment"]["properties"])


def strings_of(*folders: str) -> set[str]:
    """Every string, attribute and argument name in the trainer's code."""
    found: set[str] = set()
    for folder in folders:
        for file in (TRAINER / folder).glob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
                elif isinstance(node, ast.Attribute):
                    found.add(node.attr)
    return found


def test_of_the_conditions() -> None:
    schema = json.loads((SCHEMAS / "conditions.schema.json").read_text())
    paths = leaves(schema, "conditions")
    names = {path.rpartition(".")[2] for path in paths} | {"metric", "bound", "value"}
    assert len(names) > 15
    assert names - strings_of(".") == set()


def test_of_an_importer() -> None:
    schema = json.loads((ROOT / "recipes/data/data.schema.json").read_text())
    names: set[str] = set()

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            names.update(node.get("properties", {}))
            for child in node.values():
                collect(child)
        elif isinstance(node, list):
            for child in node:
                collect(child)

    collect(schema["properties"]["importer"])
    # The attributes of the scenes and the slices' own keys are read in files of their own.
    assert len(names) > 15
    assert names - strings_of("data", "importers") == set()
