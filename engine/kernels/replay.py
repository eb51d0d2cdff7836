"""Replays of the kernels' arithmetic for `explain`: the same operations in the same order.

The functions here are compiled with the kernels' own flags, so that a replayed number has the bits
that the engine stored.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.kernels.arithmetic import fma
from engine.kernels.cpu._jit import inline
from engine.typing import Array, Scalar


@inline
def _products(left: Array, right: Array, used: Array, starts: Array, totals: Array) -> None:
    next_start = 0
    total = left[0] - left[0]
    for i in range(left.size):
        if next_start < starts.size and starts[next_start] == i:
            total = totals.dtype.type(0)
            while next_start < starts.size and starts[next_start] == i:
                next_start += 1
        if used[i]:
            total = fma(left[i], right[i], total)
        totals[i] = total


@inline
def _sums(values: Array, starts: Array, totals: Array) -> None:
    next_start = 0
    total = totals.dtype.type(0)
    for i in range(values.size):
        if next_start < starts.size and starts[next_start] == i:
            total = totals.dtype.type(0)
            while next_start < starts.size and starts[next_start] == i:
                next_start += 1
        total = total + values[i]
        totals[i] = total


def products(
    left: Array, right: Array, used: Array | None = None, starts: tuple[int, ...] = (0,)
) -> Array:
    """Return the running totals of ``left * right`` by fused multiply-adds.

    Parameters
    ----------
    left, right : arrays, shape (terms,), one float dtype
    used : bool array, shape (terms,), optional
        False where the engine leaves the term out (padding).
    starts : tuple of int
        Terms before which the total starts again from zero.
    """
    totals = np.zeros_like(left)
    used = np.ones(left.size, np.bool_) if used is None else used
    if left.size:
        _products(left, right, used, np.array(starts, np.int64), totals)
    return totals


def sums(values: Array, starts: tuple[int, ...] = (0,)) -> Array:
    """Return the running totals of `values` by plain additions; see `products` for `starts`."""
    totals = np.zeros_like(values)
    if values.size:
        _sums(values, np.array(starts, np.int64), totals)
    return totals


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return inline(function)


def call(function: Callable[..., Any], *arguments: Scalar | float) -> Scalar:
    """Return a function of `scalar` at these numbers, compiled as in the kernels.

    The dtype of the result is that of the first argument.
    """
    first = np.asarray(arguments[0])
    kind = first.dtype.type if first.dtype.kind == "f" else np.float64
    with np.errstate(all="ignore"):
        value = _compiled(function)(*(kind(a) for a in arguments))
    result: Scalar = kind(value)
    return result
