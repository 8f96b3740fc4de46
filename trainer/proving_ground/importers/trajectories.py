"""Tables of positions (frame, id, x, y) become a dataset without images: each frame with the tracks that are whole.

A table's step is the most common time between two positions of an agent. A clock may jitter: two positions whose
distance is a step to within JITTER of one follow each other, and are kept as they were measured.
"""

from pathlib import Path
from typing import Any

import numpy as np

from proving_ground.data.manifest import LARGEST, SPLITS
from proving_ground.errors import Refused
from proving_ground.importers.fields import fields
from proving_ground.importers.record import Record
from proving_ground.importers.writing import write_dataset

# Whole numbers beyond this are not exact as float64.
MAX_WHOLE = 2**53
# Of a metre: finer than any tracker.
DECIMALS = 4
# Of a step: a position is measured so much too early or too late at most, and is a fifth of a step's way off.
JITTER = 0.2


def import_trajectories(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: a table can't be taken (the message names file and line), or a split has no whole track.
    """
    record = Record()
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
        lengths = (spec["past"], spec["future"])
        lines[split] = [line for file in files for line in frames_of(file, lengths, record, split)]
        if not lines[split]:
            raise Refused(
                f"splits.{split}: no track of {', '.join(map(str, files))} has {spec['past']} past and "
                f"{spec['future']} future points."
            )
        record.write(split, "frames", len(lines[split]))
    counts = {split: len(lines[split]) for split in SPLITS}
    write_dataset(
        out, spec, counts, lambda split, at, _: lines[split][at], record, lambda split, at: lines[split][at]["id"]
    )


def frames_of(file: Path, lengths: tuple[int, int], record: Record, split: str) -> list[dict[str, Any]]:
    """Lines of the manifest: a table's frames in their order, each with all tracks that are whole around it."""
    record.read(file)
    table = read_table(file)
    step, past = typical_step(table), lengths[0]
    tracks = windows(table, step, sum(lengths))
    present = table[tracks[:, past - 1], 0]
    jitter = np.abs(np.diff(table[tracks, 0], axis=1) - step).max(axis=1, initial=0)
    if jitter.any():
        present = frame_times(present, step)
        share = 100 * jitter.max() / step
        record.note(split, f"Tracks of a clock that jitters, by up to {share:.2g} % of a step", int((jitter > 0).sum()))
    record.write(split, "tracks", len(tracks))
    used = len(np.unique(tracks))
    record.write(split, "rows", used)
    record.leave(split, "rows", "in no whole track: too few in a row a step apart", len(table) - used)
    points = np.round(table[:, 2:], DECIMALS).tolist()
    frames: dict[int, list[dict[str, Any]]] = {}
    for at in np.argsort(present, kind="stable"):
        track = [points[row] for row in tracks[at]]
        frames.setdefault(int(present[at]), []).append({"past": track[:past], "future": track[past:]})
    scene = file.stem
    said = fields({"scene": scene}, scene, None)
    return [{"id": f"{scene}:{frame}", **said, "tracks": whole} for frame, whole in frames.items()]


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


def typical_step(table: np.ndarray) -> float:
    """Time between two positions of an agent: the most common one, the smallest of equally common ones.

    Where it isn't the half of all, the clock jitters: the step is then the middle of those around which most are.
    """
    steps = np.diff(table[:, 0])[np.diff(table[:, 1]) == 0]
    if not len(steps):
        return 1.0
    values, counts = np.unique(steps, return_counts=True)
    if 2 * counts.max() >= len(steps):
        return float(values[counts.argmax()])
    ordered = np.sort(steps)
    first, last = (
        np.searchsorted(ordered, values * (1 + reach), side) for reach, side in ((-JITTER, "left"), (JITTER, "right"))
    )
    best = (last - first).argmax()
    return float(np.median(ordered[first[best] : last[best]]))


def windows(table: np.ndarray, step: float, length: int) -> np.ndarray:
    """Rows of every whole track, [T, length] int64: an agent's positions a step apart, none missing.

    table: [N, 4] float64 in the order of (id, frame).
    """
    following = next_rows(table, step)
    tracks = [np.arange(len(table))]
    for _ in range(length - 1):
        # Of a row that nothing follows, nothing follows either: the last entry, -1, is taken for -1.
        tracks.append(np.append(following, -1)[tracks[-1]])
    whole = tracks[-1] >= 0
    return np.stack([rows[whole] for rows in tracks], axis=1)


def next_rows(table: np.ndarray, step: float) -> np.ndarray:
    """The row of the same agent that is nearest to a step later, [N] int64; -1 where none is within JITTER of it."""
    # Complex numbers are ordered by their real part, then by their imaginary one: as the table is.
    keys = table[:, 1] + 1j * table[:, 0]
    after = np.searchsorted(keys, keys + 1j * step).clip(max=len(keys) - 1)
    early = np.maximum(after - 1, 0)
    wanted = table[:, 0] + step
    distances = [
        np.where(table[rows, 1] == table[:, 1], np.abs(table[rows, 0] - wanted), np.inf) for rows in (early, after)
    ]
    nearest, distance = np.where(distances[0] < distances[1], early, after), np.minimum(*distances)
    near = np.flatnonzero((distance <= JITTER * step) & (table[nearest, 0] > table[:, 0]))
    # Of two rows that the same one would follow, such as doubles, the nearer has it.
    near = near[np.lexsort((distance[near], nearest[near]))]
    followed, kept = np.unique(nearest[near], return_index=True)
    rows = np.full(len(table), -1)
    rows[near[kept]] = followed
    return rows


def frame_times(present: np.ndarray, step: float) -> np.ndarray:
    """Times of a jittering table's tracks [T] as those of its frames: what is within JITTER of a step is one frame."""
    known, inverse = np.unique(present, return_inverse=True)
    first, frames = 0, known.copy()
    for place, time in enumerate(known):
        if time - known[first] > JITTER * step:
            first = place
        frames[place] = known[first]
    return frames[inverse]
