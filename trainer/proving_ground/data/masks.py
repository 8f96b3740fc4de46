"""A mask's values become class indices, by the order of the classes or as the data recipe says."""

from collections.abc import Sequence

import numpy as np

from proving_ground.config import Masks
from proving_ground.data.decode import read_values
from proving_ground.errors import Refused

# Class index of pixels that aren't compared; without `values` also the value of such pixels.
IGNORED = 255
UNKNOWN = -1
# Of wrong values so many are told.
MOST_TOLD = 10


class MaskReader:
    """Reads masks of a dataset as [H, W] uint8 class indices, 255 where a pixel isn't compared."""

    def __init__(self, classes: Sequence[str], masks: Masks | None) -> None:
        """Raises Refused where the recipe's `masks` don't give each class one value of its own."""
        self.classes, self.masks = tuple(classes), masks or Masks(values=None, ignore=())
        values = self.masks.values
        named = dict(enumerate(classes)) if values is None else {value: name for name, value in values.items()}
        self.colours = any(isinstance(value, str) for value in (*named, *self.masks.ignore))
        check_masks(self.classes, self.masks)
        # A look into a table is as quick as the decoding; for colours it has 32 MB.
        self.table = np.full(1 << 24 if self.colours else 1 << 16, UNKNOWN, dtype=np.int16)
        if not self.colours:
            self.table[IGNORED] = IGNORED
        for value in self.masks.ignore:
            self.table[number_of(value)] = IGNORED
        for value, name in named.items():
            self.table[number_of(value)] = self.classes.index(name)

    def read(self, content: bytes, name: str) -> np.ndarray:
        """Class indices of a mask's bytes; raises Refused naming the file and the values that are no class's."""
        return self.index(read_values(content, name, colours=self.colours), name)

    def index(self, values: np.ndarray, name: str) -> np.ndarray:
        """Class indices of a mask's values [H, W]; raises Refused as `read` does."""
        indices = self.table.take(values)
        if indices.min() == UNKNOWN:
            raise Refused(f"{name}: {self.describe_unknown(values[indices == UNKNOWN])}")
        return indices.astype(np.uint8)

    def describe_unknown(self, values: np.ndarray) -> str:
        """A sentence on values [N] that are no class's: which, and which are allowed."""
        found = [self.told(value) for value in np.unique(values).tolist()]
        shown = ", ".join(found[:MOST_TOLD]) + (f" and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else "")
        own = self.masks.values or {name: index for index, name in enumerate(self.classes)}
        allowed = ", ".join(f"{own[name]} ({name})" for name in self.classes)
        return (
            f"the mask has the value{'s' * (len(found) > 1)} {shown} in {len(values)} pixels, but the "
            f"{len(self.classes)} classes have {allowed}; {self.told_ignored()}"
        )

    def told_ignored(self) -> str:
        """Which values are ignored, and where the recipe names them."""
        ignored = [*([] if self.is_named(IGNORED) or self.colours else [IGNORED]), *self.masks.ignore]
        said = f"{', '.join(map(str, ignored))} {'are' if len(ignored) > 1 else 'is'} ignored" if ignored else ""
        return f"{said}{', ' * bool(said)}name other values that are to be ignored in masks.ignore of the data recipe."

    def is_named(self, value: int) -> bool:
        """Whether the recipe says what a value means."""
        return value in (self.masks.values or {}).values() or value in self.masks.ignore

    def told(self, value: int) -> str:
        """A value as the recipe writes it."""
        return f"#{value:06x}" if self.colours else str(value)


def number_of(value: int | str) -> int:
    """A value as read_values gives it."""
    return int(value[1:], 16) if isinstance(value, str) else value


def check_masks(classes: Sequence[str], masks: Masks) -> None:
    """Refuse `masks` of a recipe that don't give each class one value of its own."""
    values = masks.values
    if values is not None and set(values) != set(classes):
        odd = sorted(set(values) ^ set(classes))
        raise Refused(
            f"masks.values: found values of {', '.join(values)}; it must name each class once: {', '.join(classes)} "
            f"({', '.join(odd)} {'differ' if len(odd) > 1 else 'differs'})."
        )
    named: list[int | str] = list(range(len(classes))) if values is None else list(values.values())
    every = [*named, *masks.ignore]
    if len({type(value) for value in every}) > 1:
        raise Refused(f"masks: found {', '.join(map(str, every))}; they must be all numbers or all colours (#rrggbb).")
    twice = sorted({str(value) for value in every if [number_of(it) for it in every].count(number_of(value)) > 1})
    if twice:
        raise Refused(f"masks: the value {twice[0]} has two meanings; each value must have one.")
