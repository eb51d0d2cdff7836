"""What plain Python lacks: a fused multiply-add, a number of another's type, float32 functions.

All work in four worlds with the same meaning: compiled for the CPU, compiled for CUDA, in the CUDA
simulator, and in plain Python with the JIT switched off.

`exp`, `tanh` and `log1p` of a float32 are polynomials made of the two primitives (minimax fits of
our own), of a float64 they are those of `math`. A call of the C library takes one number at a time
and, for `tanh`, over a hundred times as long; of a polynomial LLVM makes vector code, and the CPU,
CUDA and `explain` get the same bits. Errors are below 1.2 units in the last place for `exp`, and
below 2 for the others.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from llvmlite import ir
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


# ---------------------------------------------------------------------- functions of float32


def low32(number: Any) -> Any:
    """Return the lowest 32 bits of a whole number: unsigned, so that arithmetic may wrap around."""
    return int(number) & 0xFFFFFFFF


@emitted
def _low32_intrinsic(typing_context: Any, number: Any) -> Any:
    """Emit the cut of an integer to 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[0], signature.args[0], types.uint32)

    return types.uint32(number), generate


@overload(low32, strict=False)
def _overload_low32(number: Any) -> Any:
    if isinstance(number, types.Integer):
        return lambda number: _low32_intrinsic(number)
    return None


def power_of_two(n: Any) -> Any:
    """Return 2 to the power of a float32 that holds a whole number from -126 to 127."""
    return np.float32(2.0 ** int(n))


@emitted
def _power_of_two_intrinsic(typing_context: Any, n: Any) -> Any:
    """Emit the float32 whose exponent is `n`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        whole = builder.add(builder.fptosi(arguments[0], word), ir.Constant(word, 127))
        return builder.bitcast(builder.shl(whole, ir.Constant(word, 23)), ir.FloatType())

    return n(n), generate


@overload(power_of_two, strict=False)
def _overload_power_of_two(n: Any) -> Any:
    return (lambda n: _power_of_two_intrinsic(n)) if n == types.float32 else None


def _exp_single(x: Any) -> Any:
    """exp of a float32: 2^n times a polynomial in the rest r, ``x = n log 2 + r``."""
    z = x if x < like(x, 88.8) else like(x, 88.8)
    z = z if z > like(x, -104.0) else like(x, -104.0)
    # Adding and taking away 1.5 * 2^23 rounds to a whole number.
    n = fma(z, like(x, 1.4426950408889634), like(x, 12582912.0)) - like(x, 12582912.0)
    r = fma(n, like(x, -0.693359375), z)
    r = fma(n, like(x, 2.12194440054690581e-4), r)
    p = fma(like(x, 0.00019790353), r, like(x, 0.0013944661))
    p = fma(p, r, like(x, 0.0083334967))
    p = fma(p, r, like(x, 0.041666295))
    p = fma(p, r, like(x, 0.16666666))
    p = fma(p, r, like(x, 0.5))
    p = fma(r * r, p, r) + like(x, 1)
    # In two steps: 2^n alone may lie beyond the range of float32 at both ends.
    half = fma(n, like(x, 0.5), like(x, 12582912.0)) - like(x, 12582912.0)
    value = p * power_of_two(half) * power_of_two(n - half)
    return value if x == x else x


def _tanh_single(x: Any) -> Any:
    """Tanh of a float32: a polynomial near 0, elsewhere ``1 - 2 / (exp(2 |x|) + 1)``."""
    size = x if x > 0 else -x
    far = like(x, 1) - like(x, 2) / (exp(size + size) + like(x, 1))
    far = far if x > 0 else -far
    u = x * x
    p = fma(like(x, 0.0021475330), u, like(x, -0.0081826691))
    p = fma(p, u, like(x, 0.021702966))
    p = fma(p, u, like(x, -0.053947203))
    p = fma(p, u, like(x, 0.13333210))
    p = fma(p, u, like(x, -0.33333331))
    near = fma(p * u, x, x)
    near = near if x != 0 else x
    return near if size < like(x, 0.625) else far


def _log1p_single(e: Any) -> Any:
    """Return log(1 + e) of a float32 in [0, 1]: the series of 2 artanh(e / (2 + e))."""
    s = e / (like(e, 2) + e)
    u = s * s
    p = fma(like(e, 0.12150471), u, like(e, 0.10713828))
    p = fma(p, u, like(e, 0.14308442))
    p = fma(p, u, like(e, 0.19999439))
    p = fma(p, u, like(e, 0.33333337))
    half = fma(p * u, s, s)
    return half + half


def exp(x: Any) -> Any:
    """Return the exponential of x in the type of x."""
    return _exp_single(x) if isinstance(x, np.float32) else like(x, math.exp(x))


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of x in the type of x."""
    return _tanh_single(x) if isinstance(x, np.float32) else like(x, math.tanh(x))


def log1p(e: Any) -> Any:
    """Return log(1 + e) in the type of e, which lies in [0, 1]."""
    return _log1p_single(e) if isinstance(e, np.float32) else like(e, math.log1p(e))


@overload(exp, strict=False)
def _overload_exp(x: Any) -> Any:
    if x == types.float32:
        return _exp_single
    return (lambda x: math.exp(x)) if isinstance(x, types.Float) else None


@overload(tanh, strict=False)
def _overload_tanh(x: Any) -> Any:
    if x == types.float32:
        return _tanh_single
    return (lambda x: math.tanh(x)) if isinstance(x, types.Float) else None


@overload(log1p, strict=False)
def _overload_log1p(e: Any) -> Any:
    if e == types.float32:
        return _log1p_single
    return (lambda e: math.log1p(e)) if isinstance(e, types.Float) else None
