"""Losses: value and gradient against the references, in both dtypes, with every option."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigurationError, DataError, EngineError, ShapeError
from engine.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from tests import reference as ref
from tests.building import DTYPES
from tests.reference import Array
from tests.tolerances import BACKWARD, FORWARD, assert_close

both = pytest.mark.parametrize("dtype", DTYPES)
REDUCTIONS = ("mean", "sum", "none")


def numbers(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    return (np.random.default_rng(seed).standard_normal(shape) * 3).astype(dtype)


def shares(shape: tuple[int, ...], dtype: str) -> Array:
    raw = np.random.default_rng(1).random(shape)
    return (raw / raw.sum(axis=1, keepdims=True)).astype(dtype)


def compare(loss: Any, x: Array, target: Array, value: Array, gradient: Array) -> None:
    """Compare value and gradient; "none" gives one value per sample."""
    if np.ndim(value) == 0:
        assert_close(np.asarray(loss(x, target), x.dtype), value, FORWARD, "loss")
    else:
        assert_close(loss(x, target), value, FORWARD, "losses")
    assert_close(loss.gradient(x, target), gradient, BACKWARD, "gradient")


@both
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_with_indices(
    dtype: str, reduction: str, weighted: bool, smoothing: float
) -> None:
    weight = np.array([0.5, 1.0, 2.0, 0.1, 3.0]) if weighted else None
    s = ref.CrossEntropy(weight, 3, smoothing, reduction)
    loss = CrossEntropyLoss(
        weight=weight, ignore_index=3, label_smoothing=smoothing, reduction=reduction
    )
    x, target = numbers((7, 5), dtype), np.array([0, 1, 2, 3, 4, 3, 1])
    compare(
        loss,
        x,
        target,
        ref.cross_entropy(x, target, s),
        ref.cross_entropy_backward(x, target, s),
    )


@both
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_with_probabilities(dtype: str, reduction: str, smoothing: float) -> None:
    weight = np.array([0.5, 1.0, 2.0, 0.1, 3.0])
    s = ref.CrossEntropy(weight, -100, smoothing, reduction)
    loss = CrossEntropyLoss(weight=weight, label_smoothing=smoothing, reduction=reduction)
    x, target = numbers((7, 5), dtype), shares((7, 5), dtype)
    compare(
        loss,
        x,
        target,
        ref.cross_entropy(x, target, s),
        ref.cross_entropy_backward(x, target, s),
    )


@both
def test_cross_entropy_of_huge_logits_stays_finite(dtype: str) -> None:
    x = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], dtype)
    target = np.array([0, 0])
    loss = CrossEntropyLoss()
    assert float(loss(x, target)) == pytest.approx(1e4)
    np.testing.assert_allclose(loss.gradient(x, target)[1], [-0.5, 0.5, 0.0])


@both
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4, 5)])
def test_mean_squared_error(dtype: str, shape: tuple[int, ...], reduction: str) -> None:
    x, target = numbers(shape, dtype), numbers(shape, dtype, 1)
    compare(
        MSELoss(reduction=reduction),
        x,
        target,
        ref.mse(x, target, reduction),
        ref.mse_backward(x, target, reduction),
    )


@both
@pytest.mark.parametrize(
    ("reduction", "weighted", "positive"),
    list(itertools.product(REDUCTIONS, *[(False, True)] * 2)),
)
def test_binary_cross_entropy(dtype: str, reduction: str, weighted: bool, positive: bool) -> None:
    weight = np.array([0.5, 2.0, 1.5]) if weighted else None
    pos_weight = np.array([3.0, 1.0, 0.25]) if positive else None
    x, target = numbers((5, 3), dtype), np.random.default_rng(3).random((5, 3)).astype(dtype)
    target[0] = [0, 1, 0]
    compare(
        BCEWithLogitsLoss(weight=weight, pos_weight=pos_weight, reduction=reduction),
        x,
        target,
        ref.bce_with_logits(x, target, weight, pos_weight, reduction),
        ref.bce_with_logits_backward(x, target, weight, pos_weight, reduction),
    )


@both
def test_binary_cross_entropy_of_huge_logits_stays_finite(dtype: str) -> None:
    x, target = np.array([[800.0, -800.0]], dtype), np.array([[0.0, 1.0]], dtype)
    assert float(BCEWithLogitsLoss()(x, target)) == pytest.approx(800.0)


@pytest.mark.parametrize("target", [[0, 3], [-1, 0], [0, 10**12]])
def test_labels_out_of_range_are_named(target: list[int]) -> None:
    with pytest.raises(DataError) as caught:
        CrossEntropyLoss()(numbers((2, 3), "float32"), np.array(target))
    bad = str(next(t for t in target if not 0 <= t < 3))
    assert bad in str(caught.value)
    assert "3" in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (CrossEntropyLoss(), np.array([0, 1, 2])),
        (CrossEntropyLoss(), np.zeros((2, 4))),
        (CrossEntropyLoss(), np.array(1)),
        (MSELoss(), np.zeros((3, 3))),
        (BCEWithLogitsLoss(), np.zeros((2, 1, 3))),
    ],
)
def test_targets_of_a_wrong_shape_are_refused(loss: Any, target: Array) -> None:
    with pytest.raises(ShapeError) as caught:
        loss(numbers((2, 3), "float32"), target)
    assert "(2, 3)" in str(caught.value) or "(2,)" in str(caught.value)
    assert str(target.shape) in str(caught.value)


def test_float_labels_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(EngineError):
        CrossEntropyLoss()(numbers((2, 3), "float32"), np.array([0.5, 1.0]))


@pytest.mark.parametrize(
    "build",
    [
        lambda: CrossEntropyLoss(reduction="average"),
        lambda: CrossEntropyLoss(label_smoothing=1.5),
        lambda: CrossEntropyLoss(weight=np.array([1.0, -1.0])),
        lambda: MSELoss(reduction="median"),
    ],
)
def test_impossible_settings_are_refused(build: Any) -> None:
    with pytest.raises(ConfigurationError):
        build()
