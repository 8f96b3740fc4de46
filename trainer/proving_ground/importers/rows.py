"""A file of JSON Lines or Parquet becomes rows, one at a time: a million of them need no more memory than one."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from proving_ground.data.manifest import lines_of, refuse_constant, shorten
from proving_ground.errors import Refused
from proving_ground.importers.fields import text_of

# Rows of Parquet that are in memory at once.
BATCH = 256
INSTALL = "python -m pip install --no-deps --require-hashes -r trainer/requirements-parquet.txt"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its number from 0, what errors call it, and its columns."""

    number: int
    place: str
    columns: dict[str, Any]

    def read(self, path: str) -> Any:
        """A column's value; None where it isn't there. A dot leads into an object, or into each one of a list.

        Raises:
            Refused: it leads into something else.
        """
        keys = [path] if path in self.columns else path.split(".")
        return self.descend(self.columns, keys, path)

    def text(self, path: str) -> str:
        """A column's value as text, empty where there is none; raises Refused for a list or an object."""
        value = self.read(path)
        return "" if value is None else text_of(value, path, self.place)

    def descend(self, value: Any, keys: list[str], path: str) -> Any:
        """What keys lead to from a value of the path."""
        if not keys or value is None:
            return value.isoformat() if isinstance(value, date) else value
        if isinstance(value, list):
            return [self.descend(item, keys, path) for item in value]
        if not isinstance(value, dict):
            raise Refused(f"{self.place}: {path}: found {shorten(value)}; it must be an object, or a list of them.")
        return self.descend(value.get(keys[0]), keys[1:], path)


def read_rows(file: Path, columns: list[str], wanted: Callable[[int], bool]) -> Iterator[Row]:
    """Those rows of a file whose number is wanted, in its order; Parquet with these columns alone.

    Raises:
        Refused: the file or a row can't be read, or a column isn't there; a column of JSON Lines may lack in some rows.
    """
    if file.suffix == ".parquet":
        return read_parquet(file, columns, wanted)
    if file.suffix in (".jsonl", ".ndjson"):
        return read_lines(file, wanted)
    raise Refused(f"{file}: found the suffix {file.suffix!r}; an index must be .jsonl, .ndjson or .parquet.")


def read_lines(file: Path, wanted: Callable[[int], bool]) -> Iterator[Row]:
    """Rows of JSON Lines; empty lines are none."""
    for row, (number, _, text) in enumerate(lines_of(file)):
        if not wanted(row):
            continue
        place = f"{file}, line {number}"
        try:
            value = json.loads(text, parse_constant=refuse_constant)
        except (ValueError, RecursionError) as error:
            raise Refused(f"{place}: not JSON: {error}.") from error
        if not isinstance(value, dict):
            raise Refused(f"{place}: a row must be an object.")
        yield Row(number=row, place=place, columns=value)


def read_parquet(file: Path, columns: list[str], wanted: Callable[[int], bool]) -> Iterator[Row]:
    """Rows of Parquet, a batch at a time."""
    with reading(file):
        from pyarrow.parquet import ParquetFile

        table = ParquetFile(file)
        schema = table.schema_arrow
        for path in columns:
            if path not in schema.names and not leads(schema, path.split(".")):
                raise Refused(f"{file}: there is no column {path}; there are {', '.join(schema.names)}.")
        tops = sorted({path if path in schema.names else path.split(".")[0] for path in columns})
        batches = table.iter_batches(batch_size=BATCH, columns=tops)
    first = 0
    while True:
        with reading(file):
            batch = next(batches, None)
            if batch is None:
                return
            numbers = [at for at in range(batch.num_rows) if wanted(first + at)]
            values = batch.take(numbers).to_pylist() if numbers else []
        for at, value in zip(numbers, values, strict=True):
            yield Row(number=first + at, place=f"{file}, row {first + at + 1}", columns=value)
        first += batch.num_rows


def leads(kind: Any, path: list[str]) -> bool:
    """Whether a path of keys leads somewhere in a schema or a type of pyarrow."""
    while getattr(kind, "value_type", None) is not None:
        kind = kind.value_type
    if not path:
        return True
    names = getattr(kind, "names", None)
    return names is not None and path[0] in names and leads(kind.field(path[0]).type, path[1:])


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """What pyarrow, or that it is absent, says about a file becomes a sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Refused(
            f"{file}: Parquet is read by the package {error.name}, which isn't installed: {INSTALL}"
        ) from error
    except Refused:
        raise
    except (OSError, ValueError, NotImplementedError) as error:
        raise Refused(f"{file}: can't be read as Parquet ({str(error).splitlines()[0]}).") from error
