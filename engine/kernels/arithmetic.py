"""The two primitives that plain Python lacks: a fused multiply-add and a number of another's type.

Both work in four worlds with the same meaning: compiled for the CPU, compiled for CUDA, in the CUDA
simulator, and in plain Python with the JIT switched off.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from engine.kernels.intrinsics import emitted


def fma(a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c`` rounded once, for float32 or float64 scalars of one type.

    In plain Python the exact rational result is rounded; slow, and right to the bit for finite
    numbers.
    """
    kind = type(c) if isinstance(c, np.floating) else np.float64
    if not (np.isfinite(a) and np.isfinite(b) and np.isfinite(c)):
        return kind(a) * kind(b) + kind(c)
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if exact == 0:
        # The product is representable here, so the unfused form has the right sign of zero.
        return kind(a) * kind(b) + kind(c)
    return _round_fraction(exact, kind)


def _round_fraction(exact: Fraction, kind: type[Any]) -> Any:
    """Round a rational number to the nearest float of `kind`, ties to even."""
    try:
        guess = kind(float(exact))
    except OverflowError:  # beyond float64
        return kind(np.inf) if exact > 0 else kind(-np.inf)
    if kind is np.float64 or not np.isfinite(guess) or Fraction(float(guess)) == exact:
        return guess
    # float(exact) rounds to float64 first; near a tie of float32 that can go the wrong way.
    best = guess
    for candidate in (np.nextafter(guess, kind(-np.inf)), np.nextafter(guess, kind(np.inf))):
        distance = abs(Fraction(float(candidate)) - exact)
        nearest = abs(Fraction(float(best)) - exact)
        even = int(candidate.view(np.uint32)) % 2 == 0
        if distance < nearest or (distance == nearest and even):
            best = candidate
    return best


@emitted
def _fma_intrinsic(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Emit LLVM's fused multiply-add for one floating type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return c(c, c, c), generate


@overload(fma, strict=False)
def _overload_fma(a: Any, b: Any, c: Any) -> Any:
    if isinstance(c, types.Float):
        return lambda a, b, c: _fma_intrinsic(a, b, c)
    return None


def like(x: Any, value: Any) -> Any:
    """Return `value` as a number of the type of `x`; keeps float32 arithmetic from widening."""
    return type(x)(value) if isinstance(x, np.floating) else float(value)


@emitted
def _like_intrinsic(typing_context: Any, x: Any, value: Any) -> Any:
    """Emit the cast of `value` to the type of `x`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[1], signature.args[1], signature.return_type)

    return x(x, value), generate


@overload(like, strict=False)
def _overload_like(x: Any, value: Any) -> Any:
    if isinstance(x, types.Float):
        return lambda x, value: _like_intrinsic(x, value)
    return None
