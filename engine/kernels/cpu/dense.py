"""Matrix products of fully connected layers; the weight lies as (in, out).

Order: forward adds inputs from 0, bias last; the gradient of the input adds outputs; the gradient
of a weight adds samples. Every step is one fused multiply-add; vector lanes run across results.
"""

from __future__ import annotations

from engine.kernels.arithmetic import fma
from engine.kernels.cpu._jit import kernel
from engine.kernels.cpu._share import share
from engine.kernels.types import Real1, Real2


@kernel
def dense_forward(
    x: Real2, weight: Real2, bias: Real1, output: Real2, thread: int, threads: int
) -> None:
    """output[n, o] = sum of x[n, i] * weight[i, o] + bias[o]; an empty bias adds nothing."""
    rows, inputs = x.shape
    start, stop = share(rows, thread, threads)
    for n in range(start, stop):
        total = output[n]
        total[:] = 0
        for i in range(inputs):
            v, lanes = x[n, i], weight[i]
            for o in range(total.size):
                total[o] = fma(v, lanes[o], total[o])
        if bias.size == total.size:
            for o in range(total.size):
                total[o] += bias[o]


@kernel
def dense_backward_input(
    grad_output: Real2, weight: Real2, turned: Real2, grad_input: Real2, thread: int, threads: int
) -> None:
    """grad_input[n, i] = sum over o of grad_output[n, o] * weight[i, o].

    `turned` is the weight as (out, in), so that vector lanes run across inputs.
    """
    rows, outputs = grad_output.shape
    start, stop = share(rows, thread, threads)
    for n in range(start, stop):
        total = grad_input[n]
        total[:] = 0
        for o in range(outputs):
            v, lanes = grad_output[n, o], turned[o]
            for i in range(total.size):
                total[i] = fma(v, lanes[i], total[i])


@kernel
def dense_turn_weight(weight: Real2, turned: Real2, thread: int, threads: int) -> None:
    """turned[o, i] = weight[i, o] (memory order)."""
    inputs, outputs = weight.shape
    start, stop = share(outputs, thread, threads)
    for o in range(start, stop):
        for i in range(inputs):
            turned[o, i] = weight[i, o]


@kernel
def dense_backward_weight(
    x: Real2, grad_output: Real2, grad_weight: Real2, thread: int, threads: int
) -> None:
    """grad_weight[i, o] = sum over n of x[n, i] * grad_output[n, o]."""
    rows, inputs = x.shape
    start, stop = share(inputs, thread, threads)
    grad_weight[start:stop] = 0
    for n in range(rows):
        grads = grad_output[n]
        for i in range(start, stop):
            v, total = x[n, i], grad_weight[i]
            for o in range(total.size):
                total[o] = fma(v, grads[o], total[o])


@kernel
def dense_backward_bias(
    grad_output: Real2, grad_bias: Real1, thread: int, threads: int
) -> None:
    """grad_bias[o] = sum over n of grad_output[n, o]."""
    rows, outputs = grad_output.shape
    start, stop = share(outputs, thread, threads)
    total = grad_bias[start:stop]
    total[:] = 0
    for n in range(rows):
        grads = grad_output[n, start:stop]
        for o in range(total.size):
            total[o] += grads[o]
