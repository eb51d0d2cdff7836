"""How good predictions are. All take class scores (n, classes) and labels (n,)."""

from __future__ import annotations

import numpy as np

from engine.errors import ConfigurationError, DataError, DtypeError, ShapeError
from engine.typing import Array


def _check(scores: Array, labels: Array) -> tuple[Array, Array]:
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or labels.ndim != 1 or len(scores) != len(labels):
        raise ShapeError(
            "expected scores (n, classes) and labels (n,), "
            f"received {scores.shape} and {labels.shape}"
        )
    if not len(labels):
        raise DataError("expected at least one prediction, received none")
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"expected labels that are class numbers (int64), received {labels.dtype}")
    return scores, labels


def predictions(scores: Array) -> Array:
    """Return the class with the largest score of each row, int64; -1 for a row with NaN.

    NumPy's argmax would call a row of NaN class 0 and make a broken net look right there.
    """
    return np.where(np.isnan(scores).any(1), -1, scores.argmax(1))


def accuracy(scores: Array, labels: Array) -> float:
    """Return the share of rows whose largest score is at the label.

    Raises
    ------
    ShapeError, DataError
        If the arrays do not belong together, or are empty.
    """
    scores, labels = _check(scores, labels)
    return float(np.mean(predictions(scores) == labels))


def top_k_accuracy(scores: Array, labels: Array, k: int = 5) -> float:
    """Return the share of rows whose label is among the k largest scores.

    Raises
    ------
    ConfigurationError
        If k is not between 1 and the number of classes.
    """
    scores, labels = _check(scores, labels)
    if not 1 <= k <= scores.shape[1]:
        raise ConfigurationError(f"k: expected 1 to {scores.shape[1]} (the classes), received {k}")
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return float(np.mean((best == labels[:, None]).any(1)))


def confusion_matrix(scores: Array, labels: Array) -> Array:
    """Return int64 counts, shape (classes, classes): row is the label, column the prediction.

    Raises
    ------
    DataError
        If a label is not a class.
    """
    scores, labels = _check(scores, labels)
    classes = scores.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"expected labels 0 to {classes - 1}, received {labels.min()} to {labels.max()}"
        )
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, scores.argmax(1)), 1)
    return matrix
