"""Metrics on cases small enough to count by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigurationError, DataError, EngineError, ShapeError
from engine.metrics import accuracy, confusion_matrix, top_k_accuracy

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.6, 0.1, 0.3]], np.float32)
LABELS = np.array([1, 1, 2, 2])


def test_accuracy() -> None:
    assert accuracy(SCORES, LABELS) == 0.5
    assert accuracy(SCORES, SCORES.argmax(axis=1)) == 1.0


@pytest.mark.parametrize(("k", "expected"), [(1, 0.5), (2, 1.0), (3, 1.0)])
def test_top_k_accuracy(k: int, expected: float) -> None:
    assert top_k_accuracy(SCORES, LABELS, k) == expected


def test_confusion_matrix_has_labels_down_and_predictions_across() -> None:
    matrix = confusion_matrix(SCORES, LABELS)
    np.testing.assert_array_equal(matrix, [[0, 0, 0], [1, 1, 0], [1, 0, 1]])
    assert matrix.dtype == np.int64
    assert np.trace(matrix) / matrix.sum() == accuracy(SCORES, LABELS)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: accuracy(SCORES, LABELS[:3]), ShapeError),
        (lambda: accuracy(SCORES[0], LABELS), ShapeError),
        (lambda: accuracy(SCORES[:0], LABELS[:0]), DataError),
        (lambda: top_k_accuracy(SCORES, LABELS, 0), ConfigurationError),
        (lambda: top_k_accuracy(SCORES, LABELS, 4), ConfigurationError),
        (lambda: confusion_matrix(SCORES, LABELS + 1), DataError),
        (lambda: confusion_matrix(SCORES, LABELS - 2), DataError),
        (lambda: confusion_matrix(SCORES, LABELS + 0.5), EngineError),
    ],
)
def test_unusable_arguments_are_refused(call: Any, error: type[EngineError]) -> None:
    with pytest.raises(error):
        call()


def test_a_row_of_nan_counts_as_wrong() -> None:
    """argmax of NaN is 0; a broken network must not look right on class 0."""
    scores = np.full((2, 3), np.nan, np.float32)
    assert accuracy(scores, np.array([0, 0])) == 0.0
