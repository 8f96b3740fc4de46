"""One training frame with its labels, at the network's size: what augmentation changes and targets are made of."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Example:
    """A frame and its labels; None for what it has not.

    image: [H, W, 3] uint8, None for frames that are tracks alone. boxes [N, 4] float32, x1 y1 x2 y2 in pixels of the
    image, categories [N] int64, crowd [N] bool; empty where there are none, all three None where none were labelled.
    mask: [H, W] uint8, 255 is ignored. lanes: each [P, 2] float32 in pixels of the image. past [T, P, 2] and future
    [T, F, 2] float32 in metres on the ground, x to the right: the tracks.
    """

    image: np.ndarray | None
    boxes: np.ndarray | None = None
    categories: np.ndarray | None = None
    crowd: np.ndarray | None = None
    mask: np.ndarray | None = None
    lanes: list[np.ndarray] | None = None
    past: np.ndarray | None = None
    future: np.ndarray | None = None
