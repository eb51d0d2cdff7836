"""Powers, cosines and logarithms of Python's numbers, rounded correctly: the same on every system.

What `**` and `math.cos` give is up to the C library. Here whole numbers of Python's, as long as
they need to be, stand for the digits, so the same comes out everywhere; and it is the nearest
number to the exact result, unless that lies within a millionth of a millionth of a unit in the last
place of the middle between two.
"""

from __future__ import annotations

import decimal
import functools
import math

POWER_BITS = 150
"""Digits of a whole power under way: a million factors leave 129 of them right."""
FIXED_BITS = 120
"""Digits behind the point of other numbers under way: four of Python's own."""
KEPT = 32
"""How many bases keep their newest power, of which the next is one factor away."""
HALVINGS = 6
TERMS = {1: 14, 2: 9}
"""An exponential of an argument of at most log 2, halved six times, needs fourteen terms of its
series; a cosine of at most 4, in steps of two factors, nine."""
LONG_BITS, DIGITS = 200, 80
"""Of logarithms, in bits and in decimals: they are multiplied by the exponent."""

_newest: dict[float, tuple[int, int, int, int, int]] = {}
"""By base: an exponent, and the power as digits and the power of two that these count in; and the
same two numbers of the base itself."""


def power(base: float, exponent: float) -> float:
    """Return ``base ** exponent``, rounded to the nearest float64.

    A whole exponent that is one more than that of the call before costs a microsecond.

    Parameters
    ----------
    base, exponent : float
        Finite and at least 0.

    Returns
    -------
    float
        Infinity where the result is too large.
    """
    known = _newest.get(base)
    if known is not None and known[0] <= exponent <= known[0] + 1 and exponent % 1 == 0:
        count, digits, place, factor, step = known
        if exponent != count:
            digits, place = _shortened(digits * factor, place + step)
            _newest[base] = count + 1, digits, place, factor, step
    elif base in (0.0, 1.0):
        return 1.0 if exponent == 0 else float(base)
    elif exponent == int(exponent):
        digits, place = _whole_power(float(base), int(exponent))
    else:
        return _real_power(float(base), float(exponent))
    return _as_float(digits, place)


def cosine(x: float) -> float:
    """Return the cosine of an angle from 0 to 4, rounded to the nearest float64.

    Before that the error is below 2^-100: where the cosine is next to nothing, its last bits are
    the same everywhere but not the nearest.
    """
    number, two_power = float(x).as_integer_ratio()
    x_fixed = (number << FIXED_BITS) // two_power >> HALVINGS
    square, result = x_fixed * x_fixed >> FIXED_BITS, 0
    for factor in _reciprocals(2):
        result = factor - (result * square >> FIXED_BITS)
    for _ in range(HALVINGS):
        result = (result * result >> FIXED_BITS - 1) - (1 << FIXED_BITS)
    return _as_float(result, -FIXED_BITS)


def logarithm(x: float) -> float:
    """Return the natural logarithm of a positive number, rounded to the nearest float64."""
    return float(decimal.Context(prec=DIGITS).ln(decimal.Decimal(x)))


def _as_float(digits: int, place: int) -> float:
    """Return ``digits * 2 ** place``, rounded once; digits stay below 2^512."""
    if place < -2000:  # less than half of the least number, as digits are at most POWER_BITS
        return 0.0
    if place < -1074:
        # Among subnormal numbers a float has fewer digits: here one division does all rounding.
        return digits / (1 << -place)
    try:
        return math.ldexp(digits, place)
    except OverflowError:
        return math.inf


def _shortened(digits: int, place: int) -> tuple[int, int]:
    """Return the leading digits of a number; the last one tells whether others were lost."""
    over = digits.bit_length() - POWER_BITS
    if over <= 0:
        return digits, place
    kept = digits >> over
    return kept | (kept << over != digits), place + over


def _whole_power(base: float, exponent: int) -> tuple[int, int]:
    """Return digits and place of a whole power by squaring."""
    number, two_power = base.as_integer_ratio()
    step, digits, place = 1 - two_power.bit_length(), 1, 0
    for bit in bin(exponent)[2:]:
        digits, place = _shortened(digits * digits, 2 * place)
        if bit == "1":
            digits, place = _shortened(digits * number, place + step)
    if len(_newest) >= KEPT:
        _newest.clear()
    _newest[base] = exponent, digits, place, number, step
    return digits, place


@functools.lru_cache(maxsize=64)
def _real_power(base: float, exponent: float) -> float:
    """Return a power by exponential and logarithm: 2^n times exp(r), r between 0 and log 2."""
    number, two_power = exponent.as_integer_ratio()
    logarithm, two = _logarithms(base)
    whole, rest = divmod(logarithm * number // two_power, two)
    if not -1100 < whole < 1100:
        return math.inf if whole > 0 else 0.0
    x, result = rest >> LONG_BITS - FIXED_BITS + HALVINGS, 0
    for factor in _reciprocals(1):
        result = factor + (result * x >> FIXED_BITS)
    for _ in range(HALVINGS):
        result = result * result >> FIXED_BITS
    return _as_float(result, whole - FIXED_BITS)


@functools.lru_cache(maxsize=64)
def _logarithms(base: float) -> tuple[int, int]:
    """Return the natural logarithms of a base and of 2 in units of 2^-LONG_BITS."""
    context = decimal.Context(prec=DIGITS)
    unit = decimal.Decimal(1 << LONG_BITS)
    exact = (context.ln(decimal.Decimal(x)) for x in (base, 2.0))
    base_fixed, two_fixed = (int(context.multiply(x, unit)) for x in exact)
    return base_fixed, two_fixed


@functools.cache
def _reciprocals(step: int) -> tuple[int, ...]:
    """Return 1 / (step k)! in units of 2^-FIXED_BITS, the last first."""
    count = TERMS[step]
    return tuple((1 << FIXED_BITS) // math.factorial(step * k) for k in reversed(range(count)))
