"""Replays of the kernels' arithmetic for `explain`: the same operations in the same order.

The functions here are compiled with the kernels' own flags, so that a replayed number has the bits
that the engine stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.kernels import functions, winograd
from engine.kernels.arithmetic import fma
from engine.kernels.cpu._python import compiled
from engine.typing import Array, Scalar


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
        compiled(_products)(left, right, used, np.array(starts, np.int64), totals)
    return totals


def sums(values: Array, starts: tuple[int, ...] = (0,)) -> Array:
    """Return the running totals of `values` by plain additions; see `products` for `starts`."""
    totals = np.zeros_like(values)
    if values.size:
        compiled(_sums)(values, np.array(starts, np.int64), totals)
    return totals


def _exponentials(values: Array, results: Array) -> None:
    for i in range(values.size):
        results[i] = functions.exp(values[i])


def exponentials(values: Array) -> Array:
    """Return the exponentials of an array of any shape as kernels compute them."""
    results = np.empty(values.shape, values.dtype)
    with np.errstate(all="ignore"):
        compiled(_exponentials)(np.ascontiguousarray(values).ravel(), results.ravel())
    return results


def _fma_of_arrays(a: Scalar, b: Any, c: Any) -> Any:
    """Multiply by a number, mostly a power of two, and add: all elements rounded once."""
    value = a * b + c
    if math.frexp(abs(float(a)))[0] == 0.5 and abs(a) >= 1 and np.isfinite(value).all():
        return value  # the product has no rounding
    return np.frompyfunc(fma, 3, 1)(a, b, c).astype(value.dtype)[()]


def _like_of_arrays(x: Any, value: float) -> Scalar:
    result: Scalar = x.dtype.type(value)
    return result


_transform = winograd.with_primitives(fma=_fma_of_arrays, like=_like_of_arrays)["transform"]


def _winograd(kinds: tuple[int, int, int], tile: int, left: Array, right: Array) -> Array:
    """Transform pairs of tiles (n, numbers), sum their products in order, and transform back."""
    count = (tile + 2) ** 2
    sides = [[np.ascontiguousarray(side[:, k]) for k in range(count)] for side in (left, right)]
    with np.errstate(all="ignore"):
        for kind, side in zip(kinds, sides, strict=False):
            _transform(kind, tile, side)
        zero = [left.dtype.type(0)]
        sums = [[*zero, *products(a, b)][-1] for a, b in zip(*sides, strict=True)]
        _transform(kinds[2], tile, sums)
    return np.array(sums, left.dtype).reshape(tile + 2, tile + 2)


def winograd_outputs(tile: int, patches: Array, kernels: Array) -> Array:
    """Return one tile of outputs of a convolution by Winograd's method.

    Parameters
    ----------
    tile : int
        Its edge, 2 or 4.
    patches, kernels : arrays, shape (channels, numbers of a tile)
        As `engine.kernels.winograd` lays them out.

    Returns
    -------
    array, shape (tile + 2, tile + 2)
        The outputs in its upper left corner.
    """
    return _winograd((winograd.INPUT, winograd.WEIGHT, winograd.OUTPUT), tile, patches, kernels)


def winograd_kernel(tile: int, patches: Array, gradients: Array) -> Array:
    """Return the gradient of one kernel from patches and tiles of output gradients, in order.

    Parameters and result are like those of `winograd_outputs`, with tiles in place of channels.
    """
    kinds = winograd.INPUT, winograd.GRADIENT, winograd.WEIGHT_GRADIENT
    return _winograd(kinds, tile, patches, gradients)


def call(function: Callable[..., Any], *arguments: Scalar | float) -> Scalar:
    """Return a function of `scalar` at these numbers, compiled as in the kernels.

    The dtype of the result is that of the first argument.
    """
    first = np.asarray(arguments[0])
    kind = first.dtype.type if first.dtype.kind == "f" else np.float64
    with np.errstate(all="ignore"):
        value = compiled(function)(*(kind(a) for a in arguments))
    result: Scalar = kind(value)
    return result
