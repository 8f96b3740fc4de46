"""A team's own index (JSON Lines or Parquet, a row for each image) becomes a dataset, read as the recipe says."""

import posixpath
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from proving_ground.config import read_masks
from proving_ground.data.manifest import SPLITS, check_points, is_number, shorten
from proving_ground.data.masks import MaskReader
from proving_ground.errors import Refused
from proving_ground.importers.fields import captured_of, fields, text_of
from proving_ground.importers.images import fit_box, inside, write_resized
from proving_ground.importers.lines import fit_lane
from proving_ground.importers.naming import check_labels, map_names
from proving_ground.importers.record import Record
from proving_ground.importers.rows import Row, read_rows
from proving_ground.importers.segments import BACKGROUND, Segment, draw_mask
from proving_ground.importers.sequences import assign_sequences, is_by_sequence
from proving_ground.importers.source_masks import read_mask, write_mask
from proving_ground.importers.writing import write_dataset

# The split of a row that belongs to none.
NO_SPLIT = len(SPLITS)
# Of the values of a column so many are told.
MOST_TOLD = 10
# A normalised coordinate beyond this is none: what is cut off at an edge lies a little outside.
FARTHEST = 2


@dataclass(frozen=True, kw_only=True)
class Index:
    """What is known of a file before any image is read.

    splits: the number of each row's split; names: our category of each of the source's, for boxes and for segments.
    """

    file: Path
    columns: list[str]
    splits: array
    names: dict[str, dict[str, str]]
    masks: MaskReader

    def rows(self, split: str) -> Iterator[Row]:
        """Rows of a split, in the file's order."""
        number = SPLITS.index(split)
        return read_rows(self.file, self.columns, lambda at: at < len(self.splits) and self.splits[at] == number)


def import_index(spec: dict[str, Any], out: Path) -> None:
    """Write the dataset that an importer's settings describe.

    Raises:
        Refused: the index, a row of it or a file that it names can't be taken; the message names file and row.
    """
    record = Record()
    index = look_through(spec, record)
    counts = {split: index.splits.count(at) for at, split in enumerate(SPLITS)}
    rows = {split: index.rows(split) for split in SPLITS}

    def take(split: str, at: int, folder: Path) -> dict[str, Any]:
        row = next(rows[split], None)
        if row is None:
            raise Refused(f"{index.file}: it has fewer rows than before; it was changed while it was read.")
        return Taker(spec, index, row, split, record).take(folder, f"{split}-{at:06d}")

    write_dataset(out, spec, counts, take, record)


def columns_of(spec: dict[str, Any]) -> list[str]:
    """The columns that a recipe names."""
    found = [spec["splits"]["column"]] if "column" in spec["splits"] else []
    for name, value in spec["columns"].items():
        if isinstance(value, str):
            found.append(value)
        elif name == "attributes":
            found += value.values()
        else:
            found += [value[key] for key in ("column", "categories") if key in value]
    return found


def look_through(spec: dict[str, Any], record: Record) -> Index:
    """Read every row once: its split, and the names of its labels; raises Refused for what no image is needed for."""
    file, given, columns = Path(spec["file"]), spec["columns"], columns_of(spec)
    if "mask" in given and "segments" in given:
        raise Refused("columns: found both mask and segments; a frame's classes come from one of them.")
    if is_by_sequence(spec["splits"]) and "sequence" not in given:
        raise Refused("splits.by is sequence, but columns.sequence isn't there: name the column that has it.")
    record.read(file)
    unseen, images = dict.fromkeys(columns), set[int]()
    known: dict[str, set[str]] = {head: set() for head in ("boxes", "segments") if head in given}
    chooser = Chooser(spec)
    for row in read_rows(file, columns, lambda _: True):
        for column in [column for column in unseen if row.read(column) is not None]:
            del unseen[column]
        image = row.read(given["image"])
        # The path itself would take a hundred bytes of each of a million rows.
        short = hash(posixpath.normpath(image)) if isinstance(image, str) else None
        if short is None or short in images:
            reason = "has a row already; each image has one" if short is not None else "must be a path"
            raise Refused(f"{row.place}: the image {shorten(image)} {reason}.")
        images.add(short)
        for head, names in known.items():
            names.update(read_names(row.read(given[head]["categories"]), f"{row.place}: {head}"))
        chooser.add(row)
    if not images:
        raise Refused(f"{file}: it has no rows.")
    if unseen:
        raise Refused(f"{file}: no row has anything in {', '.join(unseen)}; columns must name what is there.")
    labels = spec.get("labels", {})
    check_labels(labels, spec["categories"])
    wanted = {"boxes": spec["categories"]["detection"], "segments": spec["categories"]["segmentation"]}
    names = {head: map_names(drawn(head, wanted[head]), labels, found, str(file)) for head, found in known.items()}
    masks = MaskReader(spec["categories"]["segmentation"], read_masks(spec.get("masks")))
    return Index(file=file, columns=columns, splits=chooser.finish(file, record), names=names, masks=masks)


def drawn(head: str, categories: list[str]) -> list[str]:
    """The categories that a source's labels must have; the background is what no segment covers."""
    return [name for name in categories if head == "boxes" or name != BACKGROUND]


def read_names(value: object, place: str) -> list[str]:
    """Names of labels as text; none where there are none."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused(f"{place}: found the categories {shorten(value)}; they must be a list, one for each label.")
    return [text_of(name, "category", place) for name in value]


class Chooser:
    """The split of each row, by a column's value or by its sequence."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.wanted = spec["splits"]
        self.is_by_sequence = is_by_sequence(self.wanted)
        self.column = spec["columns"]["sequence"] if self.is_by_sequence else self.wanted["column"]
        # Rows by the number of their value: four bytes each.
        self.values: dict[str, int] = {}
        self.rows = array("I")

    def add(self, row: Row) -> None:
        """Note a row's value."""
        value = row.text(self.column)
        if not value and self.is_by_sequence:
            raise Refused(f"{row.place}: {self.column} is empty; splits.by is sequence, so each row must have one.")
        self.rows.append(self.values.setdefault(value, len(self.values)))

    def finish(self, file: Path, record: Record) -> array:
        """The number of each row's split."""
        numbers = Counter(self.rows)
        frames = {value: numbers[number] for value, number in self.values.items()}
        owner = assign_sequences(self.wanted, frames) if self.is_by_sequence else self.owners(file, frames)
        left = {value or "empty": count for value, count in frames.items() if value not in owner}
        shown = " or ".join(sorted(left)[:MOST_TOLD]) + (" or another" if len(left) > MOST_TOLD else "")
        record.leave("no split", "frames", f"their {self.column} is {shown}", sum(left.values()))
        splits = [SPLITS.index(owner[value]) if value in owner else NO_SPLIT for value in self.values]
        return array("B", (splits[number] for number in self.rows))

    def owners(self, file: Path, frames: dict[str, int]) -> dict[str, str]:
        """The split of each value of a column; raises Refused for a split without rows."""
        owner: dict[str, str] = {}
        for split in SPLITS:
            for value in self.wanted[split]:
                if value in owner:
                    raise Refused(f"splits: {value} is in both {owner[value]} and {split}; a value is one split's.")
                owner[value] = split
            if not any(value in frames for value in self.wanted[split]):
                there = ", ".join(
                    f"{value or 'nothing'} ({count})" for value, count in sorted(frames.items())[:MOST_TOLD]
                )
                raise Refused(
                    f"{file}: no row's {self.column} is {' or '.join(self.wanted[split])} (splits.{split}); "
                    f"there are {there}."
                )
        return owner


class Taker:
    """One row and its image, which become a frame."""

    def __init__(self, spec: dict[str, Any], index: Index, row: Row, split: str, record: Record) -> None:
        self.spec, self.index, self.row, self.split, self.record = spec, index, row, split, record
        self.columns, self.size = spec["columns"], (spec["width"], spec["height"])
        self.own = self.size

    def take(self, folder: Path, name: str) -> dict[str, Any]:
        """Resize the image into the folder, under a name, and return its line of the manifest."""
        source = self.path(self.columns["image"])
        self.own = write_resized(source, folder / f"images/{name}.jpg", self.size).size
        self.record.see(source)
        self.record.write(self.split, "frames")
        sequence = self.row.text(self.columns["sequence"]) if "sequence" in self.columns else ""
        line = {
            "source-ref": f"images/{name}.jpg",
            "width": self.size[0],
            "height": self.size[1],
            **fields(self.attributes(), sequence or None, self.captured()),
        }
        labels = {"detection": self.boxes(), "lanes": self.lanes()}
        line.update({key: value for key, value in labels.items() if value is not None})
        mask = self.mask() if "mask" in self.columns else self.segments()
        if mask is not None:
            colours = "mask" in self.columns and self.index.masks.colours
            write_mask(mask, folder / f"masks/{name}.png", self.size, colours=colours)
            line["segmentation-ref"] = f"masks/{name}.png"
        return line

    def path(self, column: str) -> Path:
        """The file that a column names."""
        return inside(Path(self.spec["images"]), self.row.read(column), self.row.place)

    def attributes(self) -> dict[str, str]:
        """Attributes as text, the camera among them; those that are empty are left out."""
        named = dict(self.columns.get("attributes", {}))
        if "camera" in self.columns:
            named["camera"] = self.columns["camera"]
        texts = {key: self.row.text(column) for key, column in named.items()}
        return {key: text for key, text in texts.items() if text}

    def captured(self) -> str | None:
        """When the frame was taken; raises Refused for what is no day or time."""
        said = self.row.read(self.columns["captured"]) if "captured" in self.columns else None
        captured = captured_of(said)
        if captured is None and said is not None:
            raise Refused(
                f"{self.row.place}: {self.columns['captured']}: found {shorten(said)}; it must be a day or a time, "
                "such as 2026-11-01 or 2026-11-01T08:30:00Z."
            )
        return captured

    def scale(self, head: str) -> np.ndarray:
        """What a coordinate of the source is multiplied with to be a pixel of its image: [2] float64."""
        return np.array(self.own if self.columns[head].get("unit") == "normalised" else (1, 1), dtype=np.float64)

    def check_unit(self, head: str, values: object, place: str) -> None:
        """Refuse coordinates that can't be normalised ones where the recipe says that they are."""
        if self.columns[head].get("unit") != "normalised":
            return
        if np.abs(np.array(values, dtype=np.float64)).max(initial=0) > FARTHEST:
            raise Refused(f"{place}: found {shorten(values)}; a normalised coordinate lies between 0 and 1.")

    def labels(self, head: str) -> Iterator[tuple[Any, str, str]] | None:
        """Each label with its category and what errors call it; None where nobody labelled the frame."""
        value = self.row.read(self.columns[head]["column"]) if head in self.columns else None
        if value is None:
            return None
        names = read_names(self.row.read(self.columns[head]["categories"]), f"{self.row.place}: {head}")
        if not isinstance(value, list) or len(value) != len(names):
            found = len(value) if isinstance(value, list) else shorten(value)
            raise Refused(f"{self.row.place}: {head}: found {found} for {len(names)} categories; each must have one.")
        return self.wanted(head, value, names)

    def wanted(self, head: str, values: list[Any], names: list[str]) -> Iterator[tuple[Any, str, str]]:
        """Those labels whose category the recipe has."""
        for at, (value, name) in enumerate(zip(values, names, strict=True)):
            if name in self.index.names[head]:
                yield value, self.index.names[head][name], f"{self.row.place}: {head}[{at}]"
            else:
                self.record.leave(self.split, head, "of categories that the recipe leaves out")

    def boxes(self) -> list[dict[str, Any]] | None:
        """Boxes as the manifest has them."""
        labels = self.labels("boxes")
        if labels is None:
            return None
        scale = np.array(self.size) / self.own * self.scale("boxes")
        found = []
        for box, category, place in labels:
            if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
                raise Refused(f"{place}: found {shorten(box)}; a box must be four finite numbers.")
            self.check_unit("boxes", box, place)
            form = self.columns["boxes"]["form"]
            sides = [box[0], box[1], box[0] + box[2], box[1] + box[3]] if form == "xywh" else box
            if sides[2] < sides[0] or sides[3] < sides[1]:
                raise Refused(f"{place}: found {shorten(box)}, whose width or height is negative as {form}.")
            fitted = fit_box(sides, (scale[0], scale[1]), self.size)
            if self.record.takes_box(self.split, fitted, is_wanted=True):
                found.append({"category": category, "box": fitted, "crowd": False})
        return found

    def lanes(self) -> list[list[list[float]]] | None:
        """Lanes as the manifest has them; None where nobody labelled them."""
        value = self.row.read(self.columns["lanes"]["column"]) if "lanes" in self.columns else None
        if value is None:
            return None
        if not isinstance(value, list):
            raise Refused(f"{self.row.place}: lanes: found {shorten(value)}; it must be a list of lanes.")
        found = []
        for at, lane in enumerate(value):
            place = f"{self.row.place}: lanes[{at}]"
            check_points(place, lane)
            self.check_unit("lanes", lane, place)
            points = np.array(lane, dtype=np.float64).reshape(-1, 2) * self.scale("lanes")
            fitted = fit_lane(points, self.own, self.size)
            if fitted is None:
                self.record.leave(self.split, "lanes", "fewer than two points in the image")
            else:
                self.record.write(self.split, "lanes")
                found.append(fitted)
        return found

    def mask(self) -> np.ndarray | None:
        """The values of a mask file [H, W], which mean what the recipe says; None where the row names none."""
        if self.row.read(self.columns["mask"]) is None:
            return None
        file = self.path(self.columns["mask"])
        self.record.read(file)
        values = read_mask(file, self.own, colours=self.index.masks.colours)
        # The trainer reads them as the recipe says: here it is only seen that it can.
        self.index.masks.index(values, str(file))
        return values

    def segments(self) -> np.ndarray | None:
        """The classes of polygons or RLE [H, W]; None where nobody labelled them."""
        labels = self.labels("segments")
        if labels is None:
            return None
        classes = self.spec["categories"]["segmentation"]
        segments = []
        for value, category, place in labels:
            if isinstance(value, dict):
                # Parquet has a text of bytes where another file has a string.
                counts = value.get("counts")
                value = {**value, "counts": counts.decode("latin-1") if isinstance(counts, bytes) else counts}
            else:
                parts = polygons_of(value, place)
                self.check_unit("segments", [point for part in parts for point in part], place)
                value = [(np.array(part) * self.scale("segments")).ravel().tolist() for part in parts]
            self.record.write(self.split, "segments")
            segments.append(Segment(value=value, label=classes.index(category), box=[0, 0, 0, 0], place=place))
        return draw_mask(segments, classes, self.own)


def polygons_of(value: object, place: str) -> list[list[list[float]]]:
    """Polygons as lists of points: from points, from x, y, x, y, …, or from a list of either."""
    if isinstance(value, list) and value:
        if all(map(is_number, value)) and len(value) >= 6 and len(value) % 2 == 0:
            return [[[x, y] for x, y in zip(value[::2], value[1::2], strict=True)]]
        pairs = [item for item in value if isinstance(item, list) and len(item) == 2 and all(map(is_number, item))]
        if len(pairs) == len(value) >= 3:
            return [pairs]
        if all(isinstance(item, list) and len(item) >= 3 for item in value):
            return [part for item in value for part in polygons_of(item, place)]
    raise Refused(
        f"{place}: found {shorten(value)}; a segment is RLE, or polygons of three points or more, each x, y or [x, y]."
    )
