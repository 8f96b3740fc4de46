"""A training frame becomes a changed one; what changes is a function of (seed, epoch, index) and the policy alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from proving_ground.data.camera import blur, noise, photometric
from proving_ground.data.example import Example
from proving_ground.data.geometry import Window, compose, mirror
from proving_ground.data.weather import fog, night, rain
from proving_ground.randomness import generator

# Each policy has its own place of randomness, (epoch, index, purpose), so that switching one on or off leaves the
# choices of the others as they were. The order of frames has other purposes.
PURPOSES = {
    "mosaic": 7,
    "crop": 8,
    "flip": 9,
    "photometric": 10,
    "fog": 11,
    "rain": 12,
    "night": 13,
    "blur": 14,
    "noise": 15,
}
# Changes of the pixels that leave every label where it is, in the order of light's way: the air between us and the
# things, what falls through it, what lights both, the lens, the sensor.
PIXELS = {"photometric": photometric, "fog": fog, "rain": rain, "night": night, "blur": blur, "noise": noise}
# A mosaic's centre lies between these shares of the width and of the height.
MOSAIC_CENTER = (0.3, 0.7)


def augment(
    example: Example,
    policies: dict[str, dict[str, float]],
    place: tuple[int, int, int],
    others: Callable[[int], Example],
    count: int,
) -> Example:
    """Change a frame and its labels: mosaic, crop, flip, then light and weather, then blur and noise.

    A frame without an image is only flipped, as its tracks. The input is never modified; the output may share arrays
    with it.

    Args:
        example: the frame; labels that are None stay None.
        policies: settings of each policy by name, numbers in 0..1: `probability` and, but for flip and mosaic,
            `strength`; a policy that is absent is off.
        place: seed, epoch, index of the frame.
        others: gives the unchanged training frame at an index below `count`, for mosaics.
        count: training frames.

    Raises:
        KeyError: a policy is unknown, or lacks a setting.
    """
    chosen = choose(policies, place)
    if example.image is None:
        return mirror(example) if "flip" in chosen else example
    if "mosaic" in chosen:
        example = mosaic(example, chosen["mosaic"], others, count)
    if "crop" in chosen:
        example = crop(example, chosen["crop"], policies["crop"]["strength"])
    if "flip" in chosen:
        example = mirror(example)
    image = example.image
    for name, change in PIXELS.items():
        if name in chosen:
            image = change(image, chosen[name], policies[name]["strength"])
    return example if image is example.image else replace(example, image=image)


def choose(policies: dict[str, dict[str, float]], place: tuple[int, int, int]) -> dict[str, np.random.Generator]:
    """Generators of the policies that change the frame at a place; raises KeyError for an unknown policy."""
    seed, epoch, index = place
    chosen = {}
    for name, settings in policies.items():
        rng = generator(seed, epoch, index, PURPOSES[name])
        if rng.random() < settings["probability"]:
            chosen[name] = rng
    return chosen


def crop(example: Example, rng: np.random.Generator, strength: float) -> Example:
    """Cut and scale a frame to its own size; what lies outside it is gray, and ignored in the mask.

    The zoom is log-uniform in 1 / (1 + strength) .. 1 + strength, the shift uniform in plus or minus strength / 2 of
    the size. Tracks stay: they are metres on the ground.
    """
    height, width = example.image.shape[:2]
    zoom = (1 + strength) ** rng.uniform(-1, 1)
    across, down = rng.uniform(-0.5, 0.5, 2) * strength
    source_x, target_x = overlap(width, zoom, across * width)
    source_y, target_y = overlap(height, zoom, down * height)
    window = Window(
        source=(source_x[0], source_y[0], source_x[1], source_y[1]),
        target=(target_x[0], target_y[0], target_x[1], target_y[1]),
    )
    return example if window.is_whole(width, height) else compose([(example, window)])


def overlap(length: int, zoom: float, shift: float) -> tuple[tuple[float, float], tuple[int, int]]:
    """What stays visible of an axis that is zoomed about its middle, then shifted, and the pixels that show it."""
    begin = length / 2 * (1 - zoom) + shift
    end = begin + zoom * length
    source = (max(-begin / zoom, 0.0), min((length - begin) / zoom, float(length)))
    return source, (max(round(begin), 0), min(round(end), length))


def mosaic(example: Example, rng: np.random.Generator, others: Callable[[int], Example], count: int) -> Example:
    """Show a frame and three others, each in a quarter around a random centre (Bochkovskiy et al. 2020, YOLOv4).

    Each is scaled, without distortion, to cover its quarter, and cut at random. Labels of a kind stay where all four
    frames have it; tracks are the frame's own. Where one of the others has no image the frame stays as it is.
    """
    height, width = example.image.shape[:2]
    frames = [example, *(others(int(index)) for index in rng.integers(count, size=3))]
    x, y = (round(size * rng.uniform(*MOSAIC_CENTER)) for size in (width, height))
    quarters = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
    order, offsets = rng.permutation(4), rng.random((4, 2))
    if any(frame.image is None for frame in frames):
        return example
    parts = [
        (frame, cover(frame.image.shape, quarters[quarter], offset))
        for frame, quarter, offset in zip(frames, order, offsets, strict=True)
    ]
    return compose(parts)


def cover(shape: tuple[int, ...], quarter: tuple[int, int, int, int], offset: np.ndarray) -> Window:
    """The window that fills a quarter from an image [H, W, 3]; `offset` in 0..1 says which part of it is shown."""
    height, width = shape[:2]
    x1, y1, x2, y2 = quarter
    scale = max((x2 - x1) / width, (y2 - y1) / height)
    shown = min((x2 - x1) / scale, width), min((y2 - y1) / scale, height)
    left, top = offset[0] * (width - shown[0]), offset[1] * (height - shown[1])
    return Window(source=(left, top, min(left + shown[0], width), min(top + shown[1], height)), target=quarter)
