"""A source that somebody has broken is read, or refused by a sentence, by the importer of ..."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import test_cityscapes
import test_nuscenes
from conftest import SOAK
from hypothesis import given, settings
from imports import by_sequence
from indices import rows_of, write
from test_any_source import broken

from proving_ground.errors import Refused
from proving_ground.importers.cityscapes import import_cityscapes
from proving_ground.importers.index import import_index
from proving_ground.importers.nuscenes import import_nuscenes

examples = settings(derandomize=True, deadline=None, max_examples=500 if SOAK else 40)
Importer = Callable[[dict[str, Any], Path], None]


def try_it(importer: Importer, spec: dict[str, Any], folder: Path) -> None:
    """Import; any other error than a refusal is a bug."""
    out = folder / f"out-{len(list(folder.iterdir()))}"
    try:
        importer(spec, out)
    except Refused as error:
        # A message is shown in a log: text that can be encoded.
        str(error).encode()
        assert not out.exists()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with an index's pictures, and settings for it."""
    folder = tmp_path_factory.mktemp("index")
    spec = write(folder, rows_of())
    spec["columns"]["segments"] = {"column": "objects.shape", "categories": "objects.label"}
    return folder, {**spec, "labels": {"person": ["dog"], "road": ["car"]}, "categories": {**CATEGORIES}}


CATEGORIES = {"detection": ["car", "person"], "segmentation": ["road"]}
SHAPE = [[1, 1], [9, 1], [9, 9]]
ROWS = [{**row, "objects": [{**item, "shape": SHAPE} for item in row["objects"]]} for row in rows_of()]


@examples
@given(rows=broken(ROWS))
def test_an_index(index: tuple[Path, dict[str, Any]], rows: Any) -> None:
    folder, spec = index
    lines = (json.dumps(row).encode("utf-8", "surrogatepass") for row in rows)
    (folder / "frames.jsonl").write_bytes(b"\n".join(lines))
    try_it(import_index, spec, folder)
    try_it(import_index, {**spec, "splits": by_sequence()}, folder)


@pytest.fixture(scope="module")
def nuscenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with nuScenes' pictures, and settings for it."""
    folder = tmp_path_factory.mktemp("nuscenes")
    spec = test_nuscenes.write(folder, TABLES)
    return folder, {**spec, "tracks": {"past": 2, "future": 1, "step_seconds": 0.5, "frame": "ego"}}


TABLES = test_nuscenes.tables_of(samples=3)


@examples
@given(tables=broken(TABLES))
def test_nuscenes_tables(nuscenes: tuple[Path, dict[str, Any]], tables: Any) -> None:
    folder, spec = nuscenes
    for name in TABLES:
        text = json.dumps(tables.get(name, []), indent=0)
        (folder / f"v1.0-mini/{name}.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    try_it(import_nuscenes, spec, folder)


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder of Cityscapes' without masks of instances, and settings for it."""
    folder = tmp_path_factory.mktemp("cityscapes")
    spec = test_cityscapes.small(folder)
    for file in folder.rglob("*_instanceIds.png"):
        file.unlink()
    return folder, spec


@examples
@given(value=broken({"objects": [{"label": "cargroup", "polygon": [[1, 2], [9, 2], [9.5, 12]], "deleted": 0}]}))
def test_cityscapes_polygons(cityscapes: tuple[Path, dict[str, Any]], value: Any) -> None:
    folder, spec = cityscapes
    for file in folder.rglob("*_labelIds.png"):
        polygons = file.with_name(file.name.replace("labelIds.png", "polygons.json"))
        polygons.write_bytes(json.dumps(value).encode("utf-8", "surrogatepass"))
    try_it(import_cityscapes, spec, folder)
