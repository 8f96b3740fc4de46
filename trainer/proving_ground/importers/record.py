"""What an import reads, writes and leaves out becomes its record: digests of the sources, counts with their reasons."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from proving_ground.files import digest, digest_bytes


class Record:
    """What an importer notes while it works, for importer.json and for the sentence at its end.

    sources: by absolute path, the digest of a file of labels, that of the names in a folder of them, or the bytes of an
    image: where one is another later, the dataset is no longer what its sources say. counts: by split and thing
    (frames, boxes, ...), how many were written, and how many left out for each reason: together as many as were read.
    notes: by split, what else a person should know, and how often.
    """

    def __init__(self) -> None:
        self.sources: dict[str, str | int] = {}
        self.counts: dict[str, dict[str, Counter[str]]] = {}
        self.notes: dict[str, Counter[str]] = {}

    def read(self, file: Path) -> None:
        """Note a file of labels; raises Refused where it can't be read."""
        self.sources[str(file.absolute())] = digest(file)

    def list_names(self, folder: Path) -> None:
        """Note the names of all files in a folder of labels, hidden ones apart: one more is another source."""
        files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        names = sorted(path.relative_to(folder).as_posix().encode() for path in files)
        self.sources[str(folder.absolute())] = digest_bytes(b"\n".join(names))

    def see(self, image: Path) -> None:
        """Note an image that has been read."""
        self.sources[str(image.absolute())] = image.stat().st_size

    def write(self, split: str, thing: str, number: int = 1) -> None:
        """Count what is in the dataset."""
        self.counter(split, thing)["written"] += number

    def leave(self, split: str, thing: str, reason: str, number: int = 1) -> None:
        """Count what was read and isn't in the dataset."""
        if number:
            self.counter(split, thing)[reason] += number

    def takes_box(self, split: str, box: object, *, is_wanted: bool) -> bool:
        """Count a box of fit_box, of a category that the recipe has or not; returns whether it is in the dataset."""
        if not is_wanted:
            self.leave(split, "boxes", "of categories that the recipe leaves out")
        elif box is None:
            self.leave(split, "boxes", "less than a pixel wide or high in the frame")
        else:
            self.write(split, "boxes")
            return True
        return False

    def choose(self, split: str, chosen: int, total: int) -> None:
        """Count the frames that a split takes of a file, and those that its `frames` and `skip` leave out."""
        self.write(split, "frames", chosen)
        self.leave(split, "frames", "outside of frames and skip", total - chosen)

    def note(self, split: str, text: str, number: int = 1) -> None:
        """Count what a person should know of a split."""
        if number:
            self.notes.setdefault(split, Counter())[text] += number

    def counter(self, split: str, thing: str) -> Counter[str]:
        """The counts of a thing in a split."""
        return self.counts.setdefault(split, {}).setdefault(thing, Counter())

    def document(self) -> dict[str, Any]:
        """What importer.json keeps beside the importer's settings."""
        return {"sources": self.sources, "counts": self.counts, "notes": self.notes}

    def sentences(self) -> Iterator[str]:
        """A line for each split: what was written, what was left out and why."""
        for split, things in self.counts.items():
            written = ", ".join(f"{thing} {counts['written']}" for thing, counts in things.items())
            reasons = [
                f"{thing} {number} ({reason})"
                for thing, counts in things.items()
                for reason, number in counts.items()
                if reason != "written"
            ]
            left = f"; left out: {', '.join(reasons)}" if reasons else ""
            notes = "".join(f" {text}: {number}." for text, number in self.notes.get(split, {}).items())
            yield f"{split}: {written}{left}.{notes}"
