"""Penalties on weights as plain loops; `penalty.py` has the fast versions.

A sum runs in the public order, whatever the layout: the weights of one output from 0, in the order
input, kernel row, kernel column; then what the outputs have summed up, in their order, from 0.
"""

from __future__ import annotations

from typing import Any

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cpu._jit import inline, plain
from engine.kernels.cpu._tile import PANEL_BYTES
from engine.kernels.settings import Penalty
from engine.kernels.types import Flat, Real1

with_penalty = inline(scalar.with_penalty)


@inline
def _first_of(o: int, weight: Any, s: Penalty) -> int:
    """Return where the numbers of an output begin; see `engine.kernels.cpu.backend.PANELS`."""
    lanes: int = PANEL_BYTES // weight.itemsize
    return o // lanes * s.taps * s.inputs * lanes + o % lanes


@plain
def l2_penalty(weight: Flat, value: Real1, s: Penalty, thread: int, threads: int) -> None:
    """value[0] += strength * sum of w squared, by fused multiply-adds of the first thread."""
    if thread == 0:
        lanes, total = PANEL_BYTES // weight.itemsize, like(s.strength, 0)
        for o in range(s.outputs):
            row, first = like(s.strength, 0), _first_of(o, weight, s)
            for i in range(s.inputs):
                for tap in range(s.taps):
                    w = weight[first + (tap * s.inputs + i) * lanes]
                    row = fma(w, w, row)
            total += row
        value[0] = with_penalty(value[0], total, s.strength)


@plain
def l1_penalty(weight: Flat, value: Real1, s: Penalty, thread: int, threads: int) -> None:
    """value[0] += strength * sum of |w|, by the first thread alone."""
    if thread == 0:
        lanes, total = PANEL_BYTES // weight.itemsize, like(s.strength, 0)
        for o in range(s.outputs):
            row, first = like(s.strength, 0), _first_of(o, weight, s)
            for i in range(s.inputs):
                for tap in range(s.taps):
                    row += abs(weight[first + (tap * s.inputs + i) * lanes])
            total += row
        value[0] = with_penalty(value[0], total, s.strength)
