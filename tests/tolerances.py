"""How far the engine may stand from a float64 reference, per dtype, and one way to compare."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# One rounding of float32 is 6e-8, of float64 1.1e-16. The sums in these tests have up to a few
# hundred terms of both signs, so errors are some tens of roundings of the largest value.
FORWARD: dict[str, float] = {"float32": 3e-6, "float64": 1e-14}
BACKWARD: dict[str, float] = {"float32": 1e-5, "float64": 5e-14}
TRACE: dict[str, float] = {"float32": 2e-5, "float64": 1e-12}
GRADCHECK = 2e-7
"""Central differences with step 1e-6 in float64: truncation 1e-12, rounding about 1e-9."""


def assert_close(
    actual: npt.ArrayLike,
    expected: npt.ArrayLike,
    table: dict[str, float] = FORWARD,
    what: str = "result",
    factor: float = 1.0,
) -> None:
    """Compare shape first, then values relative to the largest expected one (at least 1).

    NaN and infinities must stand at the same places.
    """
    got, want = np.asarray(actual), np.asarray(expected, np.float64)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    assert str(got.dtype) in table, f"{what}: dtype {got.dtype}"
    finite = np.isfinite(want)
    np.testing.assert_array_equal(
        got[~finite].astype(np.float64), want[~finite], err_msg=f"{what}: NaN or infinity"
    )
    if not finite.any():
        return
    scale = max(1.0, float(np.abs(want[finite]).max()))
    distance = np.abs(got[finite].astype(np.float64) - want[finite]).max()
    limit = table[str(got.dtype)] * scale * factor
    assert distance <= limit, f"{what}: off by {distance:.3g}, allowed {limit:.3g}"


def assert_same_bits(actual: npt.ArrayLike, expected: npt.ArrayLike, what: str = "result") -> None:
    """Compare dtype, shape and every bit; equal NaNs are equal, 0 and -0 are not."""
    got, want = np.ascontiguousarray(actual), np.ascontiguousarray(expected)
    assert got.dtype == want.dtype, f"{what}: dtype {got.dtype}, expected {want.dtype}"
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    if got.tobytes() != want.tobytes():
        unequal = got.view(f"u{got.itemsize}") != want.view(f"u{want.itemsize}")
        first = tuple(int(i) for i in np.argwhere(unequal)[0]) if got.ndim else ()
        raise AssertionError(
            f"{what}: {int(unequal.sum())} of {got.size} elements differ in their bits, "
            f"first at {first}: {got[first]!r} against {want[first]!r}"
        )
