"""A manifest's frames become columns beside their statistics: what a new slice is chosen by, without the frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proving_ground.data.manifest import Frame


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameIndex:
    """Every frame of a manifest, in its order.

    objects is [F, K] int64: labelled objects by the data's categories for detection, crowds left out.
    """

    sources: tuple[str, ...]
    sequences: tuple[str | None, ...]
    attributes: tuple[dict[str, str], ...]
    objects: np.ndarray

    @staticmethod
    def of(frames: Sequence[Frame], categories: Sequence[str]) -> "FrameIndex":
        """Read it from a manifest's frames."""
        places = {name: place for place, name in enumerate(categories)}
        objects = np.zeros((len(frames), len(categories)), dtype=np.int64)
        for at, frame in enumerate(frames):
            for label in frame.detection or []:
                objects[at, places[label["category"]]] += not label.get("crowd", False)
        return FrameIndex(
            sources=tuple(frame.source for frame in frames),
            sequences=tuple(frame.sequence for frame in frames),
            attributes=tuple(frame.attributes for frame in frames),
            objects=objects,
        )

    def is_of_the_frames_of(self, other: "FrameIndex") -> bool:
        """Whether both are of the same frames, in the same order, with the same attributes and drives."""
        own, others = [(each.sources, each.sequences, each.attributes) for each in (self, other)]
        return own == others

    @property
    def unit(self) -> str:
        """What is drawn together when intervals are made."""
        return "frame" if all(name is None for name in self.sequences) else "sequence"

    def columns(self) -> dict[str, np.ndarray]:
        """Flat columns: texts once, and their places, -1 for none."""
        names = sorted({name for frame in self.attributes for name in frame})
        rows = [[frame.get(name) for name in names] for frame in self.attributes]
        sequences, drives = encode(self.sequences)
        values, codes = encode([value for row in rows for value in row])
        return {
            "sources": np.array(self.sources, dtype=np.str_),
            "sequences": drives,
            "sequence_names": sequences,
            "attributes": codes.reshape(len(rows), len(names)),
            "attribute_names": np.array(names, dtype=np.str_),
            "attribute_values": values,
            "objects": self.objects,
        }

    @staticmethod
    def from_columns(columns: dict[str, np.ndarray]) -> "FrameIndex":
        """What `columns` made."""
        names, values = columns["attribute_names"].tolist(), columns["attribute_values"].tolist()
        drives = columns["sequence_names"].tolist()
        return FrameIndex(
            sources=tuple(columns["sources"].tolist()),
            sequences=tuple(None if place < 0 else drives[place] for place in columns["sequences"].tolist()),
            attributes=tuple(
                {name: values[place] for name, place in zip(names, row, strict=True) if place >= 0}
                for row in columns["attributes"].tolist()
            ),
            objects=columns["objects"],
        )


def encode(texts: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Texts without repetition, and the place of each among them: [N] int64, -1 for None."""
    known: dict[str, int] = {}
    places = [-1 if text is None else known.setdefault(text, len(known)) for text in texts]
    return np.array(list(known), dtype=np.str_), np.array(places, dtype=np.int64)
