"""exp, log, log1p and tanh: next to exact values, at their limits, the same bits in all worlds."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numba
import numpy as np
import pytest

from engine.kernels import functions
from engine.kernels.cpu._jit import JIT_DISABLED
from tests.tolerances import assert_same_bits

CONTEXT = decimal.Context(prec=50, Emin=-9999, Emax=9999)
COUNT = 60 if JIT_DISABLED else 1500
"""Random arguments of each kind; plain Python takes a millisecond for one."""
inf, nan = math.inf, math.nan


def _exact_exp(x: Decimal) -> Decimal:
    return CONTEXT.exp(x)


def _exact_log(x: Decimal) -> Decimal:
    return CONTEXT.ln(x)


def _exact_log1p(x: Decimal) -> Decimal:
    if x < Decimal(10) ** -12:
        return CONTEXT.subtract(x, x * x / 2)
    return CONTEXT.ln(CONTEXT.add(x, Decimal(1)))


def _exact_tanh(x: Decimal) -> Decimal:
    if abs(x) < Decimal(10) ** -9:
        return CONTEXT.subtract(x, x * x * x / 3)
    e = CONTEXT.exp(2 * x)
    return CONTEXT.divide(e - 1, e + 1)


EXACT: dict[str, Callable[[Decimal], Decimal]] = {
    "exp": _exact_exp,
    "log": _exact_log,
    "log1p": _exact_log1p,
    "tanh": _exact_tanh,
}
ULPS = {
    ("exp", "float64"): 0.8,
    ("log", "float64"): 0.95,
    ("log1p", "float64"): 0.95,
    ("tanh", "float64"): 0.9,
    ("exp", "float32"): 1.2,
    ("log", "float32"): 0.95,
    ("log1p", "float32"): 2.0,
    ("tanh", "float32"): 2.0,
}
"""Largest distance from the exact value, in units in the last place of the result."""


def compiled(name: str) -> Callable[[Any], Any]:
    """Return a function of arrays that calls one of ours for each number."""
    function = getattr(functions, name)

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator, unused-ignore]
    def each(x: Any, result: Any) -> None:
        for i in range(x.size):
            result[i] = function(x[i])

    def call(x: Any) -> Any:
        result = np.empty_like(x)
        with np.errstate(all="ignore"):
            each(x, result)
        return result

    return call


COMPILED = {name: compiled(name) for name in EXACT}


def arguments(name: str, dtype: str) -> Any:
    """Return arguments over the whole range, and around the places where formulas change."""
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype).type
    tiny, huge = np.log(np.finfo(kind).smallest_subnormal), np.log(np.finfo(kind).max)
    if name == "exp":
        kinds = [rng.uniform(tiny, huge, COUNT), rng.uniform(-1, 1, COUNT), near(0.34657, rng)]
        kinds += [rng.uniform(tiny, tiny + 40, COUNT), 10 ** rng.uniform(-20, 0, COUNT)]
    elif name == "log":
        whole = np.exp(rng.uniform(tiny * 0.995, huge * 0.999, COUNT))
        kinds = [whole, rng.uniform(0.5, 2, COUNT), near(math.sqrt(0.5), rng), near(1.0, rng)]
    elif name == "log1p":
        kinds = [rng.uniform(0, 1, COUNT), 10 ** rng.uniform(-20, 0, COUNT), near(0.5, rng)]
    else:
        kinds = [rng.uniform(-3, 3, COUNT), rng.uniform(-25, 25, COUNT), near(0.625, rng)]
        kinds += [10 ** rng.uniform(-20, 0, COUNT)]
    found = np.concatenate(kinds).astype(dtype)
    return found[np.isfinite(found)]


def near(place: float, rng: Any) -> Any:
    """Return numbers on both sides of a place, some of them its next neighbours."""
    steps = np.concatenate([rng.integers(-20, 20, COUNT // 4), rng.integers(-(2**40), 2**40, 50)])
    return place * (1 + steps * 2.0**-50)


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(EXACT))
def test_results_are_next_to_the_exact_value(name: str, dtype: str) -> None:
    x = arguments(name, dtype)
    results = COMPILED[name](x)
    worst, where = 0.0, None
    for argument, result in zip(x.tolist(), results, strict=True):
        exact = EXACT[name](Decimal(argument))
        unit = Decimal(float(np.spacing(np.abs(result.dtype.type(float(exact))))))
        distance = float(abs(Decimal(float(result)) - exact) / unit)
        if distance > worst:
            worst, where = distance, argument
    assert worst <= ULPS[name, dtype], where
    assert worst > 0.4, "the arguments are too easy"


SPECIAL = {
    "exp": {
        **{0.0: 1.0, inf: inf, -inf: 0.0, nan: nan, 1e30: inf, -1e30: 0.0},
        **{1e-42: 1.0, -5e-324: 1.0, 1e-20: 1.0},
    },
    "log": {
        **{1.0: 0.0, 0.0: -inf, inf: inf, -inf: nan, nan: nan, -1.0: nan, -1e-42: nan},
        -5e-324: nan,
    },
    "log1p": {0.0: 0.0, nan: nan, 1e-42: 1e-42, 5e-324: 5e-324, 1e-25: 1e-25},
    "tanh": {
        **{0.0: 0.0, inf: 1.0, -inf: -1.0, nan: nan, 1e30: 1.0, -1e30: -1.0, 30.0: 1.0},
        **{1e-42: 1e-42, -5e-324: -5e-324, 1e-20: 1e-20},
    },
}
OF_MINUS_ZERO = {"exp": 1.0, "log": -inf, "log1p": -0.0, "tanh": -0.0}


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(EXACT))
def test_limits(name: str, dtype: str) -> None:
    for given, expected in [*SPECIAL[name].items(), (-0.0, OF_MINUS_ZERO[name])]:
        argument = np.array([given], dtype)
        if name == "log" and given == -5e-324:
            expected = -inf if dtype == "float32" else nan  # a zero of float32
        result = COMPILED[name](argument)
        if math.isnan(expected):
            assert np.isnan(result[0]), given
        else:
            assert_same_bits(result, np.array([expected], dtype), f"{name}({given})")


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exp_rounds_once_at_both_ends(dtype: str) -> None:
    kind: Any = np.dtype(dtype).type
    top, least = np.log(np.finfo(kind).max), np.finfo(kind).smallest_subnormal
    below = kind(top)
    while Decimal(float(np.finfo(kind).max)) < EXACT["exp"](Decimal(float(below))):
        below = np.nextafter(below, kind(0))
    above = np.nextafter(below, kind(inf))
    assert np.isfinite(COMPILED["exp"](np.array([below], dtype))[0])
    assert np.isinf(COMPILED["exp"](np.array([kind(above) + kind(1e-3)], dtype))[0])
    bottom = kind(np.log(np.float64(least)) if dtype == "float32" else -744.44)
    assert COMPILED["exp"](np.array([bottom], dtype))[0] == least
    assert COMPILED["exp"](np.array([bottom - kind(1)], dtype))[0] == 0


@pytest.mark.skipif(JIT_DISABLED, reason="nothing to compare with")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(EXACT))
def test_plain_python_has_the_bits_of_compiled_code(name: str, dtype: str) -> None:
    x = arguments(name, dtype)[:: COUNT // 30]
    x = np.append(x, np.array([*SPECIAL[name], -0.0], dtype))
    function = getattr(functions, name)
    with np.errstate(all="ignore"):
        plain = [function(number) for number in x]
    assert all(type(one) is x.dtype.type for one in plain)
    results = COMPILED[name](x)
    assert_same_bits(np.nan_to_num(np.array(plain)), np.nan_to_num(results))
    np.testing.assert_array_equal(np.isnan(plain), np.isnan(results))


def test_numbers_of_python_are_float64() -> None:
    for name in EXACT:
        result = getattr(functions, name)(0.25)
        assert type(result) is float
        assert result == pytest.approx(getattr(math, name)(0.25), rel=1e-15)
