"""A box in space becomes the box of its picture: what of it a camera without distortion sees inside its image."""

from collections.abc import Sequence

import numpy as np

# Metres before the camera from which on something is seen.
NEAR = 0.1
# Corners of a cuboid's faces, of the eight whose index has a bit for each axis.
FACES = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))


def rotation_of(quaternion: Sequence[float]) -> np.ndarray:
    """The rotation [3, 3] float64 of a quaternion w, x, y, z of any length but zero."""
    w, x, y, z = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def corners_of(center: Sequence[float], size: Sequence[float], rotation: np.ndarray) -> np.ndarray:
    """The corners [8, 3] float64 of a cuboid; size: width, length and height, which lie along y, x and z."""
    width, length, height = size
    signs = np.array([[(at >> 2 & 1) - 0.5, (at >> 1 & 1) - 0.5, (at & 1) - 0.5] for at in range(8)])
    return signs * (length, width, height) @ rotation.T + center


def picture_box(corners: np.ndarray, intrinsic: np.ndarray, size: tuple[int, int]) -> tuple[float, ...] | None:
    """The box x1, y1, x2, y2 in pixels around what an image (width, height) shows of a cuboid; None for nothing.

    corners: [8, 3] float64 in the camera's frame, whose z looks ahead; intrinsic: [3, 3]. Each face is cut at the sides
    of what the camera sees before it is projected: a corner behind the camera has no place in the image, and the box of
    what is cut off isn't the cut off box.
    """
    # Each point as (x z, y z, z) with x and y in pixels: what the image shows lies on one side of five planes.
    seen = corners @ intrinsic.T
    planes = np.array([[0, 0, 1], [1, 0, 0], [-1, 0, size[0]], [0, 1, 0], [0, -1, size[1]]], dtype=np.float64)
    least = np.array([NEAR, 0, 0, 0, 0])
    outside = seen @ planes.T < least
    # Most cuboids are wholly beyond a plane, or wholly inside: those need no cutting.
    if outside.all(axis=0).any():
        return None
    points = seen
    if outside.any():
        pieces = []
        for face in FACES:
            piece = seen[list(face)]
            for plane, bound in zip(planes, least, strict=True):
                piece = cut(piece, piece @ plane - bound)
            pieces.append(piece)
        points = np.concatenate(pieces)
    if not len(points):
        return None
    pixels = points[:, :2] / points[:, 2:]
    return (*pixels.min(axis=0).tolist(), *pixels.max(axis=0).tolist())


def cut(polygon: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """The part of a convex polygon [P, 3] at distances [P] of 0 or more from a plane (Sutherland and Hodgman 1974)."""
    kept = []
    for at in range(len(polygon)):
        (near, far), (start, end) = distances[[at - 1, at]], polygon[[at - 1, at]]
        if (near < 0) != (far < 0):
            kept.append(start + (end - start) * (near / (near - far)))
        if far >= 0:
            kept.append(end)
    return np.array(kept).reshape(-1, 3)
