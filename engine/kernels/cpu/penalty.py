"""Penalties on weights: what they add to the loss value, and to the gradient.

The lanes of a panel are outputs, so a vector adds up the weights of several outputs at a time, each
in its own order, and one thread does some ten numbers in the time of one addition.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cpu import plain_penalty
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._share import share
from engine.kernels.cpu._vector import lane, lanes_of, load, vectorised, zeros
from engine.kernels.settings import Penalty, Strength
from engine.kernels.types import Flat, Real1

l1_gradient = inline(scalar.l1_gradient)
l2_gradient = inline(scalar.l2_gradient)
with_penalty = inline(scalar.with_penalty)


@vectorised(plain_penalty.l2_penalty)
def l2_penalty(weight: Flat, value: Real1, s: Penalty, thread: int, threads: int) -> None:
    """value[0] += strength * sum of w squared, by fused multiply-adds of the first thread."""
    if thread == 0:
        lanes, total = lanes_of(zeros(weight, 2)), like(s.strength, 0)
        for o in range(0, s.outputs, lanes):
            rows, first = zeros(weight, 2), o * s.taps * s.inputs
            for i in range(s.inputs):
                for tap in range(s.taps):
                    w = load(weight, first + (tap * s.inputs + i) * lanes, rows)
                    rows = fma(w, w, rows)
            for number in range(min(lanes, s.outputs - o)):
                total += lane(rows, number)
        value[0] = with_penalty(value[0], total, s.strength)


@vectorised(plain_penalty.l1_penalty)
def l1_penalty(weight: Flat, value: Real1, s: Penalty, thread: int, threads: int) -> None:
    """value[0] += strength * sum of |w|, by the first thread alone."""
    if thread == 0:
        lanes, total = lanes_of(zeros(weight, 2)), like(s.strength, 0)
        for o in range(0, s.outputs, lanes):
            rows, first = zeros(weight, 2), o * s.taps * s.inputs
            for i in range(s.inputs):
                for tap in range(s.taps):
                    w = load(weight, first + (tap * s.inputs + i) * lanes, rows)
                    rows = rows + abs(w)
            for number in range(min(lanes, s.outputs - o)):
                total += lane(rows, number)
        value[0] = with_penalty(value[0], total, s.strength)


@kernel
def l2_penalty_gradient(
    weight: Flat, grad_weight: Flat, s: Strength, thread: int, threads: int
) -> None:
    """grad_weight += 2 strength w."""
    start, stop = share(weight.size, thread, threads)
    w, g = weight[start:stop], grad_weight[start:stop]
    for i in range(w.size):
        g[i] = l2_gradient(w[i], g[i], s.strength)


@kernel
def l1_penalty_gradient(
    weight: Flat, grad_weight: Flat, s: Strength, thread: int, threads: int
) -> None:
    """grad_weight += strength * sign of w."""
    start, stop = share(weight.size, thread, threads)
    w, g = weight[start:stop], grad_weight[start:stop]
    for i in range(w.size):
        g[i] = l1_gradient(w[i], g[i], s.strength)
