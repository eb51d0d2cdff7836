"""exp, log, log1p and tanh, made of exact operations and fused multiply-adds only.

The C library's functions differ from system to system, CUDA's from both, and they take one number
at a time. These have the same bits everywhere: compiled for any processor, compiled for CUDA, in
plain Python, and where `explain` replays them. LLVM makes vector code of them.

Each is a polynomial in a small rest of its argument (fits of our own at Chebyshev's points, 60
digits, rounded). Of a float64 the parts that are rounded away are carried along, so that errors
stay below 0.7 units in the last place for `exp` (0.8 where it is subnormal) and 0.95 for the
others; of a float32 they stay below 0.95 for `log`, 1.2 for `exp`, and 2 for `tanh` and `log1p`.
NaN, infinities, zeros of both signs, negative and subnormal numbers give what IEEE 754 recommends.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from engine.kernels.arithmetic import exponent, fma, like, power_of_two, significand

LOG2_E = 1.4426950408889634
LN2 = 0.6931471803691238, 1.9082149292705877e-10
"""log 2 in two parts: a whole number of up to 11 bits times the first is exact in float64."""
LN2_SINGLE = 0.693359375, -2.12194440054690581e-4
WHOLE, WHOLE_SINGLE = 6755399441055744.0, 12582912.0
"""Adding 1.5 * 2^52, or 2^23, and taking it away rounds to a whole number."""


# ---------------------------------------------------------------------- exp


def _exp_single(x: Any) -> Any:
    """exp of a float32: 2^n times a polynomial in the rest r, ``x = n log 2 + r``."""
    z = x if x < like(x, 88.8) else like(x, 88.8)
    z = z if z > like(x, -104.0) else like(x, -104.0)
    n = fma(z, like(x, LOG2_E), like(x, WHOLE_SINGLE)) - like(x, WHOLE_SINGLE)
    r = fma(n, like(x, -LN2_SINGLE[0]), z)
    r = fma(n, like(x, -LN2_SINGLE[1]), r)
    p = fma(like(x, 0.00019790353), r, like(x, 0.0013944661))
    p = fma(p, r, like(x, 0.0083334967))
    p = fma(p, r, like(x, 0.041666295))
    p = fma(p, r, like(x, 0.16666666))
    p = fma(p, r, like(x, 0.5))
    p = fma(r * r, p, r) + like(x, 1)
    # In two steps: 2^n alone may lie beyond the range of float32 at both ends.
    half = fma(n, like(x, 0.5), like(x, WHOLE_SINGLE)) - like(x, WHOLE_SINGLE)
    value = p * power_of_two(half) * power_of_two(n - half)
    return value if x == x else x


def _exp_double(x: Any) -> Any:
    """exp of a float64: like `_exp_single`, with what r and 1 + r round away carried along."""
    z = x if x < like(x, 710.0) else like(x, 710.0)
    z = z if z > like(x, -746.0) else like(x, -746.0)
    n = fma(z, like(x, LOG2_E), like(x, WHOLE)) - like(x, WHOLE)
    high = fma(n, like(x, -LN2[0]), z)
    r = fma(n, like(x, -LN2[1]), high)
    rest = fma(n, like(x, -LN2[1]), high - r)
    p = fma(like(x, 2.0914686968086876e-09), r, like(x, 2.5105217004720745e-08))
    p = fma(p, r, like(x, 2.75572736431103e-07))
    p = fma(p, r, like(x, 2.7557255400206422e-06))
    p = fma(p, r, like(x, 2.4801587325547743e-05))
    p = fma(p, r, like(x, 0.00019841269874820627))
    p = fma(p, r, like(x, 0.0013888888888883748))
    p = fma(p, r, like(x, 0.008333333333326136))
    p = fma(p, r, like(x, 0.04166666666666667))
    p = fma(p, r, like(x, 0.1666666666666667))
    p = fma(p, r, like(x, 0.5))
    one = like(x, 1)
    near = one + r
    p = near + fma(r * r, p, (one - near) + r + rest)
    half = fma(n, like(x, 0.5), like(x, WHOLE)) - like(x, WHOLE)
    value = p * power_of_two(half) * power_of_two(n - half)
    return value if x == x else x


# ---------------------------------------------------------------------- tanh


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


def _tanh_double(x: Any) -> Any:
    """Tanh of a float64: like `_tanh_single`, with what sum and quotient round away."""
    size = x if x > 0 else -x
    e = exp(size + size if size < like(x, 22) else like(x, 44))
    one = like(x, 1)
    divisor = e + one
    q = like(x, 2) / divisor
    # Every product that is added to something is fused: CUDA's compiler would do it by itself.
    missing = fma(-q, one - (divisor - e), fma(-q, divisor, like(x, 2)))
    far = one - q
    far = far + fma(-missing, like(x, 0.5) * q, (one - far) - q)
    far = far if x > 0 else -far
    u = x * x
    p = fma(like(x, 6.485163482793113e-06), u, like(x, -3.12011014257974e-05))
    p = fma(p, u, like(x, 9.257116129556769e-05))
    p = fma(p, u, like(x, -0.0002375906496055562))
    p = fma(p, u, like(x, 0.0005896606577757043))
    p = fma(p, u, like(x, -0.0014557754120478055))
    p = fma(p, u, like(x, 0.0035921217511549622))
    p = fma(p, u, like(x, -0.008863235103240878))
    p = fma(p, u, like(x, 0.021869488519008305))
    p = fma(p, u, like(x, -0.05396825396789699))
    p = fma(p, u, like(x, 0.13333333333333042))
    p = fma(p, u, like(x, -0.3333333333333333))
    near = fma(p * u, x, x)
    near = near if x != 0 else x
    near = near if size < like(x, 0.625) else far
    return near if x == x else x


# ---------------------------------------------------------------------- logarithms


@register_jitable
def _log_of_sum_single(n: Any, f: Any) -> Any:
    """Return ``n log 2 + log(1 + f)`` of float32, f between -0.3 and 0.5.

    The series of 2 artanh(s), s = f / (2 + f), written as f - f^2/2 + s (f^2/2 + r): then rounding
    s costs little.
    """
    s = f / (like(f, 2) + f)
    z = s * s
    p = fma(like(f, 0.23330964), z, like(f, 0.28550804))
    p = fma(p, z, like(f, 0.40000123))
    p = fma(p, z, like(f, 0.6666667))
    half = like(f, 0.5) * f * f
    low = fma(s, fma(p, z, half), -half)
    start = n * like(f, LN2_SINGLE[0])
    total = start + f
    return total + (f - (total - start) + fma(n, like(f, LN2_SINGLE[1]), low))


@register_jitable
def _log_of_sum_double(n: Any, f: Any) -> Any:
    """Return ``n log 2 + log(1 + f)`` of float64; see `_log_of_sum_single`."""
    s = f / (like(f, 2) + f)
    z = s * s
    p = fma(like(f, 0.13604015707124079), z, like(f, 0.1321036048513262))
    p = fma(p, z, like(f, 0.15388834677801916))
    p = fma(p, z, like(f, 0.18181738454723026))
    p = fma(p, z, like(f, 0.22222223037807243))
    p = fma(p, z, like(f, 0.2857142856733919))
    p = fma(p, z, like(f, 0.400000000000078))
    p = fma(p, z, like(f, 0.6666666666666666))
    half = like(f, 0.5) * f * f
    low = fma(s, fma(p, z, half), -half)
    start = n * like(f, LN2[0])
    total = start + f
    return total + (f - (total - start) + fma(n, like(f, LN2[1]), low))


@register_jitable
def _log_or_limit(x: Any, value: Any) -> Any:
    """Return `value` where x has a logarithm, else the limit, or NaN."""
    value = value if x < like(x, math.inf) else x
    below = like(x, -math.inf) if x == 0 else like(x, math.nan)
    return value if x > 0 else below


def _log_single(x: Any) -> Any:
    """Natural logarithm of a float32."""
    tiny = x < like(x, 1.1754943508222875e-38)
    y = x * like(x, 8388608.0) if tiny else x
    n = exponent(y) - (like(x, 23) if tiny else like(x, 0))
    return _log_or_limit(x, _log_of_sum_single(n, significand(y) - like(x, 1)))


def _log_double(x: Any) -> Any:
    """Natural logarithm of a float64."""
    tiny = x < like(x, 2.2250738585072014e-308)
    y = x * like(x, 4503599627370496.0) if tiny else x
    n = exponent(y) - (like(x, 52) if tiny else like(x, 0))
    return _log_or_limit(x, _log_of_sum_double(n, significand(y) - like(x, 1)))


def _log1p_single(e: Any) -> Any:
    """Return log(1 + e) of a float32 in [0, 1]: the series of 2 artanh(e / (2 + e))."""
    s = e / (like(e, 2) + e)
    u = s * s
    p = fma(like(e, 0.12150471), u, like(e, 0.10713828))
    p = fma(p, u, like(e, 0.14308442))
    p = fma(p, u, like(e, 0.19999439))
    p = fma(p, u, like(e, 0.33333337))
    half = fma(p * u, s, s)
    # Half of a subnormal number may be none.
    return half + half if e > like(e, 1e-30) else e


def _log1p_double(e: Any) -> Any:
    """Return log(1 + e) of a float64 in [0, 1]: above 1/2, it is log 2 + log(1 + (e - 1) / 2)."""
    large = e > like(e, 0.5)
    f = (e - like(e, 1)) * like(e, 0.5) if large else e
    n = like(e, 1) if large else like(e, 0)
    value = _log_of_sum_double(n, f)
    return value if e > like(e, 1e-30) else e


# ---------------------------------------------------------------------- for any number


def _of(x: Any, single: Any, double: Any) -> Any:
    """Call what belongs to the type of a number, in plain Python; the result has its type."""
    return single(x) if isinstance(x, np.float32) else like(x, double(np.float64(x)))


def exp(x: Any) -> Any:
    """Return the exponential of x in the type of x."""
    return _of(x, _exp_single, _exp_double)


def log(x: Any) -> Any:
    """Return the natural logarithm of x in the type of x; NaN below zero."""
    return _of(x, _log_single, _log_double)


def log1p(e: Any) -> Any:
    """Return log(1 + e) in the type of e, which lies in [0, 1]; NaN of NaN."""
    return _of(e, _log1p_single, _log1p_double)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of x in the type of x."""
    return _of(x, _tanh_single, _tanh_double)


def _chosen(x: Any, single: Any, double: Any) -> Any:
    """Return what belongs to a type of Numba's."""
    if not isinstance(x, types.Float):
        return None
    return single if x == types.float32 else double


@overload(exp, strict=False)
def _overload_exp(x: Any) -> Any:
    return _chosen(x, _exp_single, _exp_double)


@overload(log, strict=False)
def _overload_log(x: Any) -> Any:
    return _chosen(x, _log_single, _log_double)


@overload(log1p, strict=False)
def _overload_log1p(e: Any) -> Any:
    return _chosen(e, _log1p_single, _log1p_double)


@overload(tanh, strict=False)
def _overload_tanh(x: Any) -> Any:
    return _chosen(x, _tanh_single, _tanh_double)
