"""Predicted and labelled classes of pixels become confusion matrices, and their sums become IoU."""

import numpy as np

IGNORED = 255


def confusion(predicted: np.ndarray, labelled: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix [K, K] int64 of a frame, rows labelled, columns predicted; pixels labelled 255 don't count.

    Raises ValueError for a label that is no class.
    """
    counted = labelled != IGNORED
    if labelled[counted].size and int(labelled[counted].max()) >= classes:
        raise ValueError(
            f"the mask has the class {int(labelled[counted].max())}; there are {classes}, and 255 is ignored"
        )
    pairs = labelled[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def intersection_over_union(matrix: np.ndarray) -> np.ndarray:
    """IoU of each class from confusion matrices [..., K, K]: [..., K], NaN for a class that is neither labelled nor found."""
    both = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    union = matrix.sum(-1) + matrix.sum(-2) - both
    return np.divide(both, union, out=np.full(both.shape, np.nan), where=union > 0)


def segmentation_scores(matrix: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """miou and iou/<class> from sums of confusion matrices [..., K, K]; the mean is over classes that have an IoU."""
    values = intersection_over_union(matrix)
    known = ~np.isnan(values)
    count = known.sum(-1)
    total = np.where(known, values, 0.0).sum(-1)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return {"miou": mean, **{f"iou/{name}": values[..., place] for place, name in enumerate(names)}}
