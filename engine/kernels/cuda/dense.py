"""Matrix products of fully connected layers; the weight lies as (out, in).

Order, as on the CPU: forward adds inputs from 0, bias last; the gradient of the input adds outputs;
the gradient of a weight adds samples. Every step is one fused multiply-add.
"""

from __future__ import annotations

from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._index import items, split, up_to
from engine.kernels.cuda._jit import kernel
from engine.kernels.types import Real1, Real2


@kernel(over="output")
def dense_forward(x: Real2, weight: Real2, bias: Real1, output: Real2) -> None:
    """output[n, o] = sum of x[n, i] * weight[o, i] + bias[o]; an empty bias adds nothing."""
    for item in items(output.size):
        n, o = split(item, output.shape[1])
        total = like(output[n, o], 0)
        for i in up_to(x.shape[1]):
            total = fma(x[n, i], weight[o, i], total)
        if bias.size == output.shape[1]:
            total += bias[o]
        output[n, o] = total


@kernel(over="grad_input")
def dense_backward_input(grad_output: Real2, turned: Real2, grad_input: Real2) -> None:
    """grad_input[n, i] = sum over o of grad_output[n, o] * weight[o, i]."""
    for item in items(grad_input.size):
        n, i = split(item, grad_input.shape[1])
        total = like(grad_input[n, i], 0)
        for o in up_to(grad_output.shape[1]):
            total = fma(grad_output[n, o], turned[i, o], total)
        grad_input[n, i] = total


@kernel(over="grad_weight")
def dense_backward_weight(x: Real2, grad_output: Real2, grad_weight: Real2) -> None:
    """grad_weight[o, i] = sum over n of x[n, i] * grad_output[n, o]."""
    for item in items(grad_weight.size):
        o, i = split(item, grad_weight.shape[1])
        total = like(grad_weight[o, i], 0)
        for n in up_to(x.shape[0]):
            total = fma(x[n, i], grad_output[n, o], total)
        grad_weight[o, i] = total


@kernel(over="grad_bias")
def dense_backward_bias(grad_output: Real2, grad_bias: Real1) -> None:
    """grad_bias[o] = sum over n of grad_output[n, o]."""
    for o in items(grad_bias.size):
        total = like(grad_bias[o], 0)
        for n in up_to(grad_output.shape[0]):
            total += grad_output[n, o]
        grad_bias[o] = total
