"""The fused multiply-add that every explanation rests on: plain Python against exact rationals."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numba
import numpy as np
import pytest

from engine.kernels.arithmetic import fma, like
from tests.tolerances import assert_same_bits

KINDS: tuple[Any, ...] = (np.float32, np.float64)


@numba.njit  # type: ignore[untyped-decorator, unused-ignore]
def _compiled_fma(a: Any, b: Any, c: Any, out: Any) -> None:
    for i in range(a.shape[0]):
        out[i] = fma(a[i], b[i], c[i])


def _operands(kind: Any) -> tuple[Any, Any, Any]:
    """Random numbers, then cases in which rounding twice, or no fusing, shows."""
    rng = np.random.default_rng(3)
    a, b, c = (rng.standard_normal(400).astype(kind) for _ in range(3))
    c[100:200] = -(a[100:200] * b[100:200])  # only the rounding error of the product is left
    c[200:300] = -(a[200:300] * b[200:300]) * (1 + np.finfo(kind).eps)
    scale = 2.0 ** rng.integers(-40, 40, 100)
    c[300:] = (c[300:] * scale).astype(kind)
    half = np.finfo(kind).eps / 2
    tiny, huge = np.finfo(kind).smallest_normal, np.finfo(kind).max
    special = [
        (1 + 2 * half, 1.0, half),
        (1.0, half, 1.0),
        (1 + 2 * half, half, 1.0),
        (tiny, half, 0.0),
        (-tiny, tiny, 0.0),
        (tiny, 0.75, tiny),
        (huge, 2.0, -huge),
        (huge, 2.0, 0.0),
        (-huge, huge, 1.0),
        (0.0, -1.0, 0.0),
        (0.0, -1.0, -0.0),
        (2.0, 3.0, -6.0),
        (np.inf, 0.0, 1.0),
        (np.inf, 1.0, -np.inf),
        (np.inf, 2.0, 1.0),
        (np.nan, 1.0, 1.0),
        (1.0, 1.0, -np.inf),
    ]
    more = np.array(special, kind)
    return tuple(np.concatenate([x, more[:, i]]) for i, x in enumerate((a, b, c)))  # type: ignore[return-value]


@pytest.mark.parametrize("kind", KINDS)
def test_plain_fma_is_the_nearest_number_to_the_exact_result(kind: Any) -> None:
    rng = np.random.default_rng(0)
    for a, b, c in rng.standard_normal((200, 3)).astype(kind):
        result = fma(a, b, c)
        assert type(result) is kind
        exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
        distance = abs(Fraction(float(result)) - exact)
        for neighbour in (np.nextafter(result, kind(-9e9)), np.nextafter(result, kind(9e9))):
            assert distance <= abs(Fraction(float(neighbour)) - exact)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
def test_plain_fma_has_the_bits_of_the_compiled_one(kind: Any) -> None:
    a, b, c = _operands(kind)
    compiled = np.zeros_like(a)
    with np.errstate(all="ignore"):
        _compiled_fma(a, b, c, compiled)
        plain = np.array([fma(*abc) for abc in zip(a, b, c, strict=True)], kind)
    finite = ~np.isnan(compiled)
    assert_same_bits(plain[finite], compiled[finite])
    np.testing.assert_array_equal(np.isnan(plain), ~finite)


@pytest.mark.parametrize("kind", KINDS)
def test_like_keeps_the_type(kind: Any) -> None:
    assert type(like(kind(2), 1.5)) is kind
    assert like(kind(2), 1.5) == 1.5
