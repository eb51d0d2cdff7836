"""Penalties add up in the public order of a weight, whatever its layout and vectors are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.device import Launch, backend_for
from engine.kernels import arithmetic
from engine.kernels.cpu.backend import all_kernels
from engine.regularizers import L1, L2, Regularizer
from tests.kernels.test_vector_twins import assert_twins
from tests.tolerances import assert_same_bits

SHAPES = [(1, 1), (3, 5), (37, 11), (2, 300), (1, 1, 1, 1), (19, 3, 2, 3), (33, 4, 1, 2)]
shapes = pytest.mark.parametrize("shape", SHAPES)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
kinds = pytest.mark.parametrize("kind", [L1, L2])


def buffers(shape: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
    """Return a weight of random numbers and a loss value of 0.75."""
    arena = backend_for("cpu").arena()
    role: Any = "kernel" if len(shape) == 4 else "matrix"
    weight, value = arena.request("weight", shape, dtype, role), arena.request("value", (1,), dtype)
    arena.commit()
    weight.write(np.random.default_rng(0).standard_normal(shape))
    value.write(np.array([0.75]))
    return weight, value


def slowly(kind: type[Regularizer], weight: Any, value: Any, strength: float) -> Any:
    """Return the loss value with the penalty: outputs one by one, their numbers in order."""
    real = weight.dtype.type
    total = real(0)
    for output in weight:
        row = real(0)
        for w in output.ravel():
            row = arithmetic.fma(w, w, row) if kind is L2 else row + abs(w)
        total = total + row
    return arithmetic.fma(real(strength), total, value)


@pytest.mark.nojit
@kinds
@dtypes
@shapes
def test_the_order_is_output_input_row_column(
    shape: tuple[int, ...], dtype: str, kind: Any
) -> None:
    weight, value = buffers(shape, dtype)
    expected = slowly(kind, weight.read(), value.read()[0], 0.3)
    penalty, replayed = kind(0.3).replayed(weight.read(), value.read()[0])
    backend_for("cpu").prepare([kind(0.3).penalty(weight, value)], dtype).run(0, 1)
    assert_same_bits(value.read()[0], expected)
    assert_same_bits(replayed, expected)
    assert replayed == pytest.approx(0.75 + penalty, rel=1e-6)


@kinds
@dtypes
@shapes
def test_fast_and_plain_loops_have_the_same_bits(
    shape: tuple[int, ...], dtype: str, kind: Any
) -> None:
    weight, value = buffers(shape, dtype)
    launch: Launch = kind(0.3).penalty(weight, value)
    assert all_kernels()[launch.kernel].truth is not None
    assert_twins(launch.kernel, (weight, value), launch.settings, value)
