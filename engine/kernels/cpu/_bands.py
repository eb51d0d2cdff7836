"""How windows lie over an image: what a band of rows spans, and which taps meet which rows."""

from __future__ import annotations

from engine.kernels.cpu._jit import inline

BAND_BYTES = 192 * 1024
"""Scratch that one band fills: with weights and results beside it, half of a second-level cache."""


@inline
def span(count: int, stride: int, kernel: int, dilation: int) -> int:
    """Return how many pixels `count` neighbouring windows cover along one axis."""
    return (count - 1) * stride + (kernel - 1) * dilation + 1


@inline
def band_rows(line: int, stride: int, kernel: int, dilation: int) -> int:
    """Return how many output rows make a band, for input lines of `line` bytes; at least one."""
    rows = (BAND_BYTES // line - (kernel - 1) * dilation - 1) // stride + 1
    return max(rows, 1)


@inline
def floor_divide(a: int, b: int) -> int:
    """Return a / b rounded down, for b above zero."""
    return a // b if a >= 0 else -((b - 1 - a) // b)


@inline
def greatest_divisor(a: int, b: int) -> int:
    """Return the greatest common divisor."""
    while b:
        a, b = b, a % b
    return a


@inline
def first_tap(place: int, stride: int, dilation: int) -> int:
    """Return the first tap for which (place - tap * dilation) is a multiple of the stride."""
    tap = 0
    while tap < stride and (place - tap * dilation) % stride != 0:
        tap += 1
    return tap
