"""What plain Python lacks: a fused multiply-add, a number of another's type, the parts of a number.

All work in four worlds with the same meaning: compiled for the CPU, compiled for CUDA, in the CUDA
simulator, and in plain Python with the JIT switched off. `functions.py` is made of them.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

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


# ---------------------------------------------------------------------- the bits of a number


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


class _Format(NamedTuple):
    """How a float is made up: bits of its fraction, bias of its exponent, and two constants."""

    fraction: int
    bias: int
    whole: float
    """1.5 times the first number whose neighbours are 1 apart: adding it rounds to whole ones."""
    root: int
    """The bits of the root of 1/2, where significands begin."""

    @property
    def word(self) -> Any:
        """LLVM's integer of the same size."""
        return ir.IntType(32 if self.fraction == 23 else 64)

    @property
    def real(self) -> Any:
        """LLVM's type."""
        return ir.FloatType() if self.fraction == 23 else ir.DoubleType()

    def constant(self, value: int) -> Any:
        """Return an integer for LLVM."""
        return ir.Constant(self.word, value)


_SINGLE = _Format(23, 127, 1.5 * 2.0**23, 0x3F3504F3)
_DOUBLE = _Format(52, 1023, 1.5 * 2.0**52, 0x3FE6A09E667F3BCD)


def _format_of(x: Any) -> _Format:
    return _SINGLE if x in (np.float32, types.float32) else _DOUBLE


def power_of_two(n: Any) -> Any:
    """Return 2 to the power of a float that holds a whole number: a normal number's exponent."""
    return type(n)(math.ldexp(1.0, int(n)))


@emitted
def _power_of_two_intrinsic(typing_context: Any, n: Any) -> Any:
    """Emit the float whose exponent is `n`.

    The last bits of n + 1.5 * 2^52 are those of the whole number n: no instruction of AVX2 makes
    integers of several float64.
    """
    form = _format_of(n)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        moved = builder.fadd(arguments[0], ir.Constant(form.real, form.whole))
        whole = builder.add(builder.bitcast(moved, form.word), form.constant(form.bias))
        return builder.bitcast(builder.shl(whole, form.constant(form.fraction)), form.real)

    return n(n), generate


@overload(power_of_two, strict=False)
def _overload_power_of_two(n: Any) -> Any:
    return (lambda n: _power_of_two_intrinsic(n)) if isinstance(n, types.Float) else None


def _parts(x: Any) -> tuple[Any, int]:
    """Return significand and exponent of a normal positive number; of others, anything finite."""
    if not (np.isfinite(x) and x > 0):
        return type(x)(1), 0
    form = _format_of(type(x))
    bits = int(x.view(np.int32 if form is _SINGLE else np.int64))
    exponent = (bits - form.root) >> form.fraction
    return type(x)(math.ldexp(float(x), -exponent)), exponent


def significand(x: Any) -> Any:
    """Return a normal positive number divided by the power of two that brings it next to 1.

    The result lies between the roots of 1/2 and 2; see `exponent`. Of other numbers it is anything.
    """
    return _parts(x)[0]


def exponent(x: Any) -> Any:
    """Return which power of two `significand` has divided a number by, in the number's type."""
    return type(x)(_parts(x)[1])


def _emit_exponent(form: _Format, builder: Any, x: Any) -> tuple[Any, Any]:
    """Emit the bits of a number, and the integer that is its exponent."""
    bits = builder.bitcast(x, form.word)
    over = builder.sub(bits, form.constant(form.root))
    return bits, builder.ashr(over, form.constant(form.fraction))


@emitted
def _significand_intrinsic(typing_context: Any, x: Any) -> Any:
    """Emit the number without its exponent."""
    form = _format_of(x)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, whole = _emit_exponent(form, builder, arguments[0])
        shifted = builder.shl(whole, form.constant(form.fraction))
        return builder.bitcast(builder.sub(bits, shifted), form.real)

    return x(x), generate


@emitted
def _exponent_intrinsic(typing_context: Any, x: Any) -> Any:
    """Emit the exponent as a float."""
    form = _format_of(x)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sitofp(_emit_exponent(form, builder, arguments[0])[1], form.real)

    return x(x), generate


@overload(significand, strict=False)
def _overload_significand(x: Any) -> Any:
    return (lambda x: _significand_intrinsic(x)) if isinstance(x, types.Float) else None


@overload(exponent, strict=False)
def _overload_exponent(x: Any) -> Any:
    return (lambda x: _exponent_intrinsic(x)) if isinstance(x, types.Float) else None
