"""One frame with its labels: at the network's size, as training changes it, and in its own pixels, as it is judged."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Example:
    """A frame and its labels; None for what it has not.

    image: [H, W, 3] uint8, None for frames that are tracks alone. boxes [N, 4] float32, x1 y1 x2 y2 in pixels of the
    image, categories [N] int64, crowd [N] bool; empty where there are none, all three None where none were labelled.
    mask: [H, W] uint8, 255 is ignored. lanes: each [P, 2] float32 in pixels of the image. past [T, P, 2] and future
    [T, F, 2] float32 in metres on the ground, x to the right, from where the first of them is at present: the tracks.
    """

    image: np.ndarray | None
    boxes: np.ndarray | None = None
    categories: np.ndarray | None = None
    crowd: np.ndarray | None = None
    mask: np.ndarray | None = None
    lanes: list[np.ndarray] | None = None
    past: np.ndarray | None = None
    future: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is true of one frame, in its own pixels and, for tracks, metres; None for labels that were never made.

    boxes [N, 4] float64 x1 y1 x2 y2, categories [N] int64, crowd [N] bool: a region of many objects that are not told
    apart; segmentation [H, W] uint8 classes, 255 is ignored; lanes are [P, 2] float64 each; tracks are the one future
    that came true, [T, F, 2] float64, from the `origin` [2] float64. width and height are the frame's, in pixels.
    """

    boxes: np.ndarray | None
    categories: np.ndarray | None
    crowd: np.ndarray | None
    segmentation: np.ndarray | None
    lanes: list[np.ndarray] | None
    width: int
    height: int
    tracks: np.ndarray | None = None
    origin: np.ndarray | None = None
