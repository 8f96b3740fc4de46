"""A training frame becomes a changed one; what changes is a function of (seed, epoch, index)."""

import numpy as np

from proving_ground.randomness import generator

# Names the purpose among the places of randomness: the order of frames has another.
PURPOSE = 7


def augment(
    image: np.ndarray,
    boxes: np.ndarray,
    mask: np.ndarray | None,
    lanes: list[np.ndarray] | None,
    settings: dict[str, float],
    place: tuple[int, int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, list[np.ndarray] | None]:
    """Flip and relight a frame, with its labels.

    Args:
        image: [H, W, 3] uint8.
        boxes: [N, 4] float32, x1 y1 x2 y2 in pixels of the image.
        mask: [H, W] uint8 or None.
        lanes: each [P, 2] float32 in pixels of the image, or None.
        settings: `flip`, a probability; `photometric`, the largest relative change of brightness and contrast.
        place: seed, epoch, index of the frame.
    """
    seed, epoch, index = place
    rng = generator(seed, epoch, index, PURPOSE)
    flip, brightness, contrast = rng.random() < settings["flip"], rng.uniform(-1, 1), rng.uniform(-1, 1)
    width = image.shape[1]
    if flip:
        image = image[:, ::-1]
        boxes = (
            np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
            if len(boxes)
            else boxes
        )
        mask = None if mask is None else mask[:, ::-1]
        lanes = None if lanes is None else [np.stack([width - lane[:, 0], lane[:, 1]], axis=1) for lane in lanes]
    strength = settings["photometric"]
    if strength > 0:
        mean = image.mean()
        # A pixel has 256 values: the arithmetic is done for those, and the image only looks them up.
        levels = np.arange(256, dtype=np.float32)
        changed = (levels - mean) * (1 + strength * contrast) + mean * (1 + strength * brightness)
        image = np.clip(changed, 0, 255).astype(np.uint8)[image]
    return np.ascontiguousarray(image), boxes, None if mask is None else np.ascontiguousarray(mask), lanes
