"""Predicted and labelled classes of pixels become confusion matrices, and their sums become IoU."""

from collections.abc import Sequence

import numpy as np

IGNORED = 255


def confusion(predicted: np.ndarray, labelled: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix [K, K] int64 of a frame, rows labelled, columns predicted; pixels labelled 255 don't count.

    Raises ValueError for masks of different sizes and for a value that is no class.
    """
    if predicted.shape != labelled.shape:
        raise ValueError(f"the predicted mask is {predicted.shape} and the labelled mask {labelled.shape}")
    counted = labelled != IGNORED
    for what, values in (("labelled", labelled[counted]), ("predicted", predicted[counted])):
        if values.size and not 0 <= int(values.min()) <= int(values.max()) < classes:
            raise ValueError(f"the {what} mask has the class {int(values.max())}; there are {classes} classes")
    pairs = labelled[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def intersection_over_union(matrix: np.ndarray) -> np.ndarray:
    """IoU of each class from confusion matrices [..., K, K]: [..., K], NaN for a class that isn't labelled.

    Where a class isn't labelled there is nothing to find, as for AP: its false pixels count against the classes that
    they cover, and not once more as a 0, which a model without a single one of them would be spared. So two models'
    means are always over the same classes.
    """
    both = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    labelled = matrix.sum(-1)
    union = labelled + matrix.sum(-2) - both
    return np.divide(both, union, out=np.full(both.shape, np.nan), where=labelled > 0)


def segmentation_scores(matrix: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """miou and iou/<class> from sums of confusion matrices [..., K, K]; the mean is over the labelled classes."""
    values = intersection_over_union(matrix)
    known = ~np.isnan(values)
    count = known.sum(-1)
    total = np.where(known, values, 0.0).sum(-1)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return {"miou": mean, **{f"iou/{name}": values[..., place] for place, name in enumerate(names)}}
