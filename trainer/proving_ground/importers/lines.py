"""An importer's lane becomes one of a frame: the points inside the image, scaled, from near to far."""

import numpy as np


def fit_lane(points: np.ndarray, own: tuple[int, int], size: tuple[int, int]) -> list[list[float]] | None:
    """A lane [P, 2] float64 in an image's pixels (width, height) as one of a frame; None where no line is left of it.

    Points beyond the image's edges are left out. A line of one point can be neither drawn nor learnt.
    """
    inside = points[((points >= 0) & (points <= own)).all(axis=1)]
    if len(inside) < 2:
        return None
    ordered = inside if inside[0, 1] >= inside[-1, 1] else inside[::-1]
    return np.round(ordered * (size[0] / own[0], size[1] / own[1]), 2).tolist()
