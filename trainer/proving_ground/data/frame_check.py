"""Frames become the problems of their files: what a training would stumble over when a batch happens to have them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from proving_ground.data.dataset import read_mask
from proving_ground.data.decode import check_picture
from proving_ground.data.manifest import Frame
from proving_ground.data.masks import IGNORED, MaskReader
from proving_ground.data.storage import Storage
from proving_ground.errors import Refused

# So many problems are told, and the rest counted.
MOST_TOLD = 20
# Frames that a thread has before it.
AHEAD = 16

# Of a frame: the number of its set, and its index there.
Place = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class FrameFiles:
    """Frames of one manifest, and which of their files are read."""

    dataset: str
    """The dataset's name."""

    storage: Storage
    frames: Sequence[Frame]

    images: bool
    """Whether images are read."""

    masks: MaskReader | None
    """None where masks aren't read."""

    @property
    def needs(self) -> tuple[bool, bool]:
        """Whether images and whether masks are read."""
        return self.images, self.masks is not None

    def check(self, index: int) -> tuple[list[str], np.ndarray]:
        """A frame's problems, and which class indices its mask has, [256] bool.

        Of an image the header is read, and its pixels where that leaves a doubt; of a mask every value.
        """
        frame, problems, classes = self.frames[index], [], np.zeros(IGNORED + 1, dtype=bool)
        try:
            if self.images and frame.has_image:
                header = check_picture(self.storage.read(frame.source), frame.source)
                if differs := header.differs((frame.width, frame.height), "the manifest"):
                    problems.append(f"{frame.source} {differs}.")
        except Refused as error:
            problems.append(str(error))
        try:
            if self.masks is not None and frame.segmentation is not None:
                classes[np.flatnonzero(np.bincount(read_mask(self.storage, frame, self.masks).ravel()))] = True
        except Refused as error:
            problems.append(str(error))
        return problems, classes


@dataclass(kw_only=True)
class Found:
    """What was found in some frames."""

    problems: list[tuple[Place, str]] = field(default_factory=list)
    """The first of them."""

    count: int = 0
    """All of them."""

    classes: dict[str, np.ndarray] = field(default_factory=dict)
    """By dataset, which class indices its masks have, [256] bool."""

    def add(self, other: "Found") -> None:
        """Take in what was found in other frames."""
        self.problems = sorted([*self.problems, *other.problems])[:MOST_TOLD]
        self.count += other.count
        for dataset, classes in other.classes.items():
            self.classes[dataset] = classes | self.classes.get(dataset, False)


def check_frames(
    sets: Sequence[FrameFiles],
    places: Sequence[Place],
    threads: int,
    show: Callable[[int, int], None],
    is_stopped: Callable[[], bool] = lambda: False,
) -> Found:
    """Check the frames at some places, until it is asked to stop; `show` is told how many of how many are done.

    In threads: reading waits for the disk, and decoding holds no lock of the interpreter.
    """
    found, done, left = Found(), 0, iter(places)
    with ThreadPoolExecutor(threads) as pool:
        while not is_stopped() and (turn := list(islice(left, threads * AHEAD))):
            checked = pool.map(lambda place: sets[place[0]].check(place[1]), turn)
            for place, (problems, classes) in zip(turn, checked, strict=True):
                told = [(place, problem) for problem in problems]
                found.add(Found(problems=told, count=len(told), classes={sets[place[0]].dataset: classes}))
            done += len(turn)
            show(done, len(places))
    return found


def places_of(sets: Sequence[FrameFiles], most: int | None = None) -> list[Place]:
    """Every frame's place, or so many of them that are spread evenly."""
    places = [(number, index) for number, files in enumerate(sets) for index in range(len(files.frames))]
    return places if most is None else places[:: max(-(-len(places) // most), 1)]


def refusal(found: Found, sets: Sequence[FrameFiles], others: Sequence[str] = ()) -> Refused | None:
    """All that was found and `others`, the first problems a line each and then a count; None where all is well."""
    readers = {files.dataset: files.masks for files in sets if files.masks is not None}
    general = [
        *others,
        *(said for name, it in found.classes.items() if name in readers and (said := unlabelled(readers[name], it))),
    ]
    count = len(general) + found.count
    if count == 0:
        return None
    told = [*general, *(problem for _, problem in found.problems)][:MOST_TOLD]
    left = [f"... and {count - len(told)} more problems."] if count > len(told) else []
    return Refused("\n".join([*told, *left]))


def unlabelled(masks: MaskReader, classes: np.ndarray) -> str | None:
    """Why masks that all have only 0 and 255, or only 255, can't be meant so; None for others.

    classes: [256] bool, which class indices the masks of a dataset have.
    """
    # Of a binary mask nothing but the background would be learnt, and its score would be perfect.
    seen = np.flatnonzero(classes).tolist()
    if masks.is_named(IGNORED) or IGNORED not in seen or not set(seen) <= {0, IGNORED}:
        return None
    classes_told = ", ".join(f"{index} ({name})" for index, name in enumerate(masks.classes))
    example = ", ".join(f"{name}: {value}" for name, value in zip(masks.classes, (0, IGNORED), strict=False))
    return (
        f"All masks have only the value{'s 0 and' * (0 in seen)} {IGNORED}, and {IGNORED} is ignored; the "
        f"{len(masks.classes)} classes are {classes_told}. If {IGNORED} is a class, name it in the data recipe, as in "
        f"masks: {{ values: {{ {example} }} }}; if it is to be ignored, masks: {{ ignore: [{IGNORED}] }}."
    )
