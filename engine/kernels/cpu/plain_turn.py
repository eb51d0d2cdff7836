"""Weights turned for the way back, as plain loops; see `turn.py` for the quick ones."""

from __future__ import annotations

from engine.kernels.cpu._jit import plain
from engine.kernels.cpu._share import share
from engine.kernels.settings import Window
from engine.kernels.types import Real3, Real5


@plain
def dense_turn_weight(weight: Real3, turned: Real3, thread: int, threads: int) -> None:
    """turned[i, o] = weight[o, i], both in panels of their first axis."""
    inputs, lanes = weight.shape[1], weight.shape[2]
    start, stop = share(turned.shape[1], thread, threads)
    for o in range(start, stop):
        for i in range(inputs):
            turned[i // lanes, o, i % lanes] = weight[o // lanes, i, o % lanes]


@plain
def conv2d_turn_weight(weight: Real5, turned: Real5, s: Window, thread: int, threads: int) -> None:
    """turned[i, o, -1 - ky, -1 - kx] = the weight [o, i] that meets window place (ky, kx).

    Both lie in panels of their first axis.
    """
    kernel_y, kernel_x, group_in, lanes = weight.shape[1:]
    start, stop = share(kernel_y * kernel_x, thread, threads)
    for tap in range(start, stop):
        ky, kx = tap // kernel_x, tap % kernel_x
        ty, tx = (ky, kx) if s.flip else (kernel_y - 1 - ky, kernel_x - 1 - kx)
        for o in range(turned.shape[3]):
            for i in range(group_in):
                number = weight[o // lanes, ky, kx, i, o % lanes]
                turned[i // lanes, ty, tx, o, i % lanes] = number
