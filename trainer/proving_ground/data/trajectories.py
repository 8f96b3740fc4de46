"""Tables of positions (frame, id, x, y) become a dataset without images: each frame with the tracks that are whole."""

from pathlib import Path
from typing import Any

import numpy as np

from proving_ground.data.manifest import LARGEST, SPLITS, write_dataset
from proving_ground.errors import Refused

# Whole numbers beyond this are not exact as float64.
MAX_WHOLE = 2**53
# Of a metre: finer than any tracker.
DECIMALS = 4


def import_trajectories(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: a table can't be taken (the message names file and line), or a split has no whole track.
    """
    lines: dict[str, list[dict[str, Any]]] = {}
    for split in SPLITS:
        files = [Path(name) for name in spec["splits"][split]]
        stems = [file.stem for file in files]
        for stem in stems:
            if stems.count(stem) > 1:
                raise Refused(
                    f"splits.{split}: two tables are named {stem}; give each its own name, because "
                    "frames are named after their table."
                )
        lines[split] = [line for file in files for line in frames_of(file, spec["past"], spec["future"])]
        if not lines[split]:
            raise Refused(
                f"splits.{split}: no track of {', '.join(map(str, files))} has {spec['past']} past and "
                f"{spec['future']} future points."
            )
    write_dataset(out, spec, {split: len(lines[split]) for split in SPLITS}, lambda split, at, _: lines[split][at])


def frames_of(file: Path, past: int, future: int) -> list[dict[str, Any]]:
    """Lines of the manifest: a table's frames in their order, each with all tracks that are whole around it."""
    table = read_table(file)
    tracks = windows(table, frame_step(table), past, future)
    present = table[tracks[:, past - 1], 0]
    points = np.round(table[:, 2:], DECIMALS).tolist()
    frames: dict[int, list[dict[str, Any]]] = {}
    for at in np.argsort(present, kind="stable"):
        track = [points[row] for row in tracks[at]]
        frames.setdefault(int(present[at]), []).append({"past": track[:past], "future": track[past:]})
    scene = file.stem
    return [
        {"id": f"{scene}:{frame}", "attributes": {"scene": scene}, "tracks": whole} for frame, whole in frames.items()
    ]


def read_table(file: Path) -> np.ndarray:
    """Rows of a table in the order of (id, frame): [N, 4] float64 frame, id, x, y; raises Refused naming the line."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Refused(f"{file}: can't be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise Refused(f"{file}: not text in UTF-8 ({error}).") from error
    lines = text.split("\n")
    numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbers:
        raise Refused(f"{file}: the table has no rows.")
    rows = [parse_row(lines[number - 1], f"{file}, line {number}") for number in numbers]
    table = np.array(rows, dtype=np.float64)
    whole = (np.abs(table[:, :2]) <= MAX_WHOLE) & (table[:, :2] == np.round(table[:, :2]))
    for wrong in np.flatnonzero(~(whole.all(axis=1) & (np.abs(table) <= LARGEST).all(axis=1)))[:1]:
        raise Refused(
            f"{file}, line {numbers[wrong]}: found {lines[numbers[wrong] - 1]!r}; "
            "frame and id must be whole numbers, x and y finite ones."
        )
    return sort_table(file, table, numbers)


def parse_row(line: str, place: str) -> list[float]:
    """Four numbers."""
    cells = line.split()
    if len(cells) != 4:
        raise Refused(f"{place}: found {len(cells)} columns; a row must have four: frame, id, x and y.")
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise Refused(f"{place}: found {line!r}; frame, id, x and y must be numbers.") from error


def sort_table(file: Path, table: np.ndarray, numbers: list[int]) -> np.ndarray:
    """Rows in the order of (id, frame); raises Refused for a position that is there twice."""
    order = np.lexsort((table[:, 0], table[:, 1]))
    table = table[order]
    for twice in np.flatnonzero((table[1:, :2] == table[:-1, :2]).all(axis=1))[:1]:
        # Equal rows keep the file's order, so the second of them is the later line.
        first, second = numbers[order[twice]], numbers[order[twice + 1]]
        frame, agent = (int(value) for value in table[twice, :2])
        raise Refused(f"{file}, line {second}: frame {frame} of id {agent} appears twice, first in line {first}.")
    return table


def frame_step(table: np.ndarray) -> float:
    """Frames between two positions of an agent: the most common difference, the smallest of equally common ones."""
    steps = np.diff(table[:, 0])[np.diff(table[:, 1]) == 0]
    if not len(steps):
        return 1.0
    values, counts = np.unique(steps, return_counts=True)
    return float(values[counts.argmax()])


def windows(table: np.ndarray, step: float, past: int, future: int) -> np.ndarray:
    """Rows of every whole track, [T, past + future] int64: an agent's positions a step apart, none missing.

    table: [N, 4] float64 in the order of (id, frame).
    """
    # Complex numbers are ordered by their real part, then by their imaginary one: as the table is.
    keys = table[:, 1] + 1j * table[:, 0]
    wanted = [keys + 1j * step * offset for offset in range(1 - past, future + 1)]
    places = [np.searchsorted(keys, at).clip(max=len(keys) - 1) for at in wanted]
    whole = np.all([keys[place] == at for place, at in zip(places, wanted, strict=True)], axis=0)
    return np.stack([place[whole] for place in places], axis=1)
