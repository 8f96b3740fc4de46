"""Predicted futures and labelled ones become displacement errors of each track, in metres (ADE, FDE, miss rate).

ADE and FDE are of the most likely mode; min ADE and min FDE are of the best of all modes, each chosen on its own (Gupta
et al. 2018, Social GAN, on ETH/UCY; Caesar et al. 2020, nuScenes). A track is missed where no mode ends within
MISS_DISTANCE metres of its end (Chang et al. 2019, Argoverse).
"""

from typing import Any

import numpy as np

MISS_DISTANCE = 2.0
METRICS = ("ade", "fde", "min_ade", "min_fde", "miss_rate")


def constant_velocity(past: Any, steps: Any) -> Any:
    """Go on as in the last step: the baseline that a trajectory model must beat (Schöller et al. 2020).

    past [..., P, 2], P at least 2, the present last; steps [F], how many steps ahead: 1, 2, ... Returns [..., F, 2].
    Takes arrays of numpy or tensors.
    """
    return past[..., -1:, :] + (past[..., -1:, :] - past[..., -2:-1, :]) * steps[:, None]


def count_tracks(futures: np.ndarray | None, scores: np.ndarray | None, labelled: np.ndarray) -> dict[str, np.ndarray]:
    """Errors of each track [T]: float64 metres, and whether it was missed; x and y are where it truly ends.

    futures [T, K, F, 2], scores [T, K], labelled [T, F, 2]. Raises ValueError for predictions of other tracks or times,
    and for what is no finite number.
    """
    if futures is None or scores is None:
        raise ValueError("the tracks are labelled, but none are predicted")
    if labelled.ndim != 3 or futures.ndim != 4 or futures.shape[::2] != labelled.shape[:2] or not futures.shape[1]:
        raise ValueError(
            f"the futures {futures.shape} are not [T, K, F, 2] for the labelled [T, F, 2] {labelled.shape}"
        )
    if futures.shape[:2] != scores.shape:
        raise ValueError(f"the tracks' scores {scores.shape} are not one for each future of {futures.shape[:2]}")
    if not all(np.isfinite(values).all() for values in (futures, scores, labelled)):
        raise ValueError("a track has a value that isn't finite")
    distance = np.linalg.norm(futures.astype(np.float64) - labelled[:, None], axis=-1)
    average, final = distance.mean(axis=-1), distance[..., -1]
    likely = scores.argmax(axis=1)[:, None]
    return {
        "ade": np.take_along_axis(average, likely, axis=1)[:, 0],
        "fde": np.take_along_axis(final, likely, axis=1)[:, 0],
        "min_ade": average.min(axis=1),
        "min_fde": final.min(axis=1),
        "missed": final.min(axis=1) > MISS_DISTANCE,
        "x": labelled[:, -1, 0],
        "y": labelled[:, -1, 1],
    }


def sum_tracks(columns: dict[str, np.ndarray], total: int) -> np.ndarray:
    """Sums by frame of the table `tracks`: [total, 6] float64, the count of tracks, then the sum behind each metric."""
    frame = columns["tracks/frame"]
    values = [columns[f"tracks/{name}"] for name in ("ade", "fde", "min_ade", "min_fde", "missed")]
    return np.stack([np.bincount(frame, weights, minlength=total) for weights in (None, *values)], axis=1).astype(float)


def trajectory_scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Scores from such sums over frames [..., 6]: [...] each, NaN where there is no track."""
    count = sums[..., 0]
    return {
        metric: np.divide(sums[..., place], count, out=np.full(count.shape, np.nan), where=count > 0)
        for place, metric in enumerate(METRICS, start=1)
    }
