"""The tile transforms of Winograd convolution, written once for every device and for `explain`.

A 3 x 3 convolution with stride 1 computes `tile` x `tile` neighbouring outputs from a patch of
(tile + 2) x (tile + 2) inputs: patch and kernel are transformed into as many numbers, multiplied
one by one, summed over the channels, and transformed back. For tile 2 that takes 16 products for
what would be 36, for tile 4 it takes 36 for 144.

The matrices are those of Lavin and Gray 2016, arXiv:1509.09308, for the points 0, 1, -1, infinity
(tile 2) and 0, 1, -1, 2, -2, infinity (tile 4). Each formula stands here once, with every rounding
fixed: products that are added go through `fma`, so no compiler can join them in another way. Apart
from kernels and their gradients, all factors are powers of two.

A tile travels as a flat array of (tile + 2)^2 numbers in rows of (tile + 2). A transform works in
place, first down all columns, then along all rows; what is smaller than the array lies in its upper
left corner.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from numba.extending import register_jitable

from engine.kernels.arithmetic import fma, like

INPUT, WEIGHT, OUTPUT, GRADIENT, WEIGHT_GRADIENT = range(5)
"""The transforms: of an input patch, of a kernel, back to outputs, of a tile of output gradients,
and back to the gradient of a kernel. The last two are the transposes of OUTPUT and WEIGHT."""
NUMBERS = 36
"""The most numbers a tile has."""


@register_jitable  # type: ignore[untyped-decorator, unused-ignore]
def edges(kind: int, tile: int) -> tuple[int, int]:
    """Return how many rows and columns a transform takes, and how many it makes."""
    size = tile + 2
    if kind == INPUT:
        return size, size
    if kind == WEIGHT:
        return 3, size
    if kind == OUTPUT:
        return size, tile
    if kind == GRADIENT:
        return tile, size
    return size, 3


@register_jitable  # type: ignore[untyped-decorator, unused-ignore]
def line(kind: int, tile: int, v: Any, at: int, step: int) -> None:
    """Transform the numbers at ``v[at]``, ``v[at + step]`` ... of one column or row, in place."""
    if tile == 2:
        short_line(kind, v, at, step)
    else:
        long_line(kind, v, at, step)


@register_jitable  # type: ignore[untyped-decorator, unused-ignore]
def short_line(kind: int, v: Any, at: int, step: int) -> None:
    """Transform a line for tiles of 2."""
    b, c, d = at + step, at + 2 * step, at + 3 * step
    half = like(v[at], 0.5)
    if kind == INPUT:
        v0, v1, v2, v3 = v[at], v[b], v[c], v[d]
        v[at], v[b], v[c], v[d] = v0 - v2, v1 + v2, v2 - v1, v1 - v3
    elif kind == WEIGHT:
        v0, v1, v2 = v[at], v[b], v[c]
        outer = v0 + v2
        v[b], v[c], v[d] = half * (outer + v1), half * (outer - v1), v2
    elif kind == OUTPUT:
        v0, v1, v2, v3 = v[at], v[b], v[c], v[d]
        v[at], v[b] = v0 + v1 + v2, v1 - v2 - v3
    elif kind == GRADIENT:
        v0, v1 = v[at], v[b]
        v[b], v[c], v[d] = v0 + v1, v0 - v1, -v1
    else:
        v0, v1, v2, v3 = v[at], v[b], v[c], v[d]
        both = v1 + v2
        v[at], v[b], v[c] = fma(half, both, v0), half * (v1 - v2), fma(half, both, v3)


@register_jitable  # type: ignore[untyped-decorator, unused-ignore]
def long_line(kind: int, v: Any, at: int, step: int) -> None:
    """Transform a line for tiles of 4."""
    b, c, d, e, f = at + step, at + 2 * step, at + 3 * step, at + 4 * step, at + 5 * step
    two, four = like(v[at], 2), like(v[at], 4)
    if kind == INPUT:
        v0, v1, v2, v3, v4, v5 = v[at], v[b], v[c], v[d], v[e], v[f]
        even, odd = fma(-four, v2, v4), fma(-four, v1, v3)
        v[b], v[c] = even + odd, even - odd
        even, odd = v4 - v2, v3 - v1
        v[d], v[e] = fma(two, odd, even), fma(-two, odd, even)
        v[at] = fma(four, v0 - v2, even)
        v[f] = fma(-four, odd, v5 - v3)
    elif kind == WEIGHT:
        v0, v1, v2 = v[at], v[b], v[c]
        sixth, small = like(v0, -1 / 6), like(v0, 1 / 24)
        outer, wide = v0 + v2, fma(four, v2, v0)
        v[at] = like(v0, 0.25) * v0
        v[b], v[c] = sixth * (outer + v1), sixth * (outer - v1)
        v[d], v[e] = small * fma(two, v1, wide), small * fma(-two, v1, wide)
        v[f] = v2
    elif kind == OUTPUT:
        v0, v1, v2, v3, v4, v5 = v[at], v[b], v[c], v[d], v[e], v[f]
        even, odd, far_even, far_odd = v1 + v2, v1 - v2, v3 + v4, v3 - v4
        v[at] = v0 + even + far_even
        v[b] = fma(two, far_odd, odd)
        v[c] = fma(four, far_even, even)
        v[d] = fma(like(v0, 8), far_odd, odd) + v5
    elif kind == GRADIENT:
        v0, v1, v2, v3 = v[at], v[b], v[c], v[d]
        even, odd = v0 + v2, v1 + v3
        v[b], v[c] = even + odd, even - odd
        even, odd = fma(four, v2, v0), fma(four, v3, v1)
        v[d], v[e] = fma(two, odd, even), fma(-two, odd, even)
        v[f] = v3
    else:
        v0, v1, v2, v3, v4, v5 = v[at], v[b], v[c], v[d], v[e], v[f]
        even, odd, far_even, far_odd = v1 + v2, v2 - v1, v3 + v4, v3 - v4
        sixth = like(v0, 1 / 6)
        v[at] = fma(like(v0, 0.25), v0, fma(-sixth, even, like(v0, 1 / 24) * far_even))
        v[b] = fma(sixth, odd, like(v0, 1 / 12) * far_odd)
        v[c] = fma(sixth, far_even - even, v5)


@register_jitable  # type: ignore[untyped-decorator, unused-ignore]
def transform(kind: int, tile: int, v: Any) -> None:
    """Transform a tile in place: down its columns, then along its rows."""
    size = tile + 2
    before, after = edges(kind, tile)
    for column in range(before):
        line(kind, tile, v, column, size)
    for row in range(after):
        line(kind, tile, v, row * size, 1)


@register_jitable  # type: ignore[untyped-decorator, unused-ignore]
def tiles_of(size: int, tile: int) -> int:
    """Return how many tiles cover `size` outputs; the last may reach beyond."""
    return (size + tile - 1) // tile


def with_primitives(**primitives: Callable[..., Any]) -> dict[str, Any]:
    """Return the functions of this module as they are with another `fma` and another `like`.

    So the same formulas work on whatever those two understand and ``+ - *`` do.
    """
    names: dict[str, Any] = {**globals(), **primitives}
    for function in (short_line, long_line, line, edges, transform):
        names[function.__name__] = types.FunctionType(function.__code__, names)
    return names
