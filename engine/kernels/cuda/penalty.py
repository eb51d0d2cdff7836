"""Penalties on weights: what they add to the loss value, and to the gradient.

A sum has the order of the CPU's, which is public: a thread adds up the weights of one output, and
the first thread what these have found, in the order of outputs.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._compat import cuda, device
from engine.kernels.cuda._index import items
from engine.kernels.cuda._jit import kernel
from engine.kernels.cuda._launch import REDUCTION_THREADS
from engine.kernels.settings import Penalty, Strength
from engine.kernels.types import Flat, Real1

l1_gradient = device(scalar.l1_gradient)
l2_gradient = device(scalar.l2_gradient)
with_penalty = device(scalar.with_penalty)


@kernel(over="weight", one_block=True)
def l2_penalty(weight: Flat, value: Real1, s: Penalty) -> None:
    """value[0] += strength * sum of w squared, by fused multiply-adds."""
    sums = cuda.shared.array(REDUCTION_THREADS, weight.dtype)
    thread = cuda.threadIdx.x
    length, total = s.inputs * s.taps, like(s.strength, 0)
    for first in range(0, s.outputs, REDUCTION_THREADS):
        row, count = like(s.strength, 0), min(REDUCTION_THREADS, s.outputs - first)
        if thread < count:
            for k in range((first + thread) * length, (first + thread + 1) * length):
                row = fma(weight[k], weight[k], row)
        sums[thread] = row
        cuda.syncthreads()
        if thread == 0:
            for t in range(count):
                total += sums[t]
        cuda.syncthreads()
    if thread == 0:
        value[0] = with_penalty(value[0], total, s.strength)


@kernel(over="weight", one_block=True)
def l1_penalty(weight: Flat, value: Real1, s: Penalty) -> None:
    """value[0] += strength * sum of |w|."""
    sums = cuda.shared.array(REDUCTION_THREADS, weight.dtype)
    thread = cuda.threadIdx.x
    length, total = s.inputs * s.taps, like(s.strength, 0)
    for first in range(0, s.outputs, REDUCTION_THREADS):
        row, count = like(s.strength, 0), min(REDUCTION_THREADS, s.outputs - first)
        if thread < count:
            for k in range((first + thread) * length, (first + thread + 1) * length):
                row += abs(weight[k])
        sums[thread] = row
        cuda.syncthreads()
        if thread == 0:
            for t in range(count):
                total += sums[t]
        cuda.syncthreads()
    if thread == 0:
        value[0] = with_penalty(value[0], total, s.strength)


@kernel(over="weight")
def l2_penalty_gradient(weight: Flat, grad_weight: Flat, s: Strength) -> None:
    """grad_weight += 2 strength w."""
    for i in items(weight.size):
        grad_weight[i] = l2_gradient(weight[i], grad_weight[i], s.strength)


@kernel(over="weight")
def l1_penalty_gradient(weight: Flat, grad_weight: Flat, s: Strength) -> None:
    """grad_weight += strength * sign of w."""
    for i in items(weight.size):
        grad_weight[i] = l1_gradient(weight[i], grad_weight[i], s.strength)
