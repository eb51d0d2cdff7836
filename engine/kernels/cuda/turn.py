"""Weights turned for the way back, as on the CPU: what was summed over comes first."""

from __future__ import annotations

from engine.kernels.cuda._index import items, split
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Window
from engine.kernels.types import Real2, Real4


@kernel(over="turned")
def dense_turn_weight(weight: Real2, turned: Real2) -> None:
    """turned[i, o] = weight[o, i]."""
    for item in items(turned.size):
        i, o = split(item, turned.shape[1])
        turned[i, o] = weight[o, i]


@kernel(over="turned")
def conv2d_turn_weight(weight: Real4, turned: Real4, s: Window) -> None:
    """turned[i, o, -1 - ky, -1 - kx] = the weight [o, i] that meets window place (ky, kx)."""
    kernel_y, kernel_x = turned.shape[2], turned.shape[3]
    for item in items(turned.size):
        rest, kx = split(item, turned.shape[3])
        rest, ky = split(rest, turned.shape[2])
        i, o = split(rest, turned.shape[1])
        wy, wx = (ky, kx) if s.flip else (kernel_y - 1 - ky, kernel_x - 1 - kx)
        turned[i, o, ky, kx] = weight[o, i, wy, wx]
