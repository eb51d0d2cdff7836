"""Matrix products of fully connected layers; the weight lies as (in, out).

Each is one call of the micro-kernel per thread; `plain.py` has them as plain loops, with the order
of the sums.
"""

from __future__ import annotations

from engine.kernels.cpu import plain
from engine.kernels.cpu._jit import kernel
from engine.kernels.cpu._microkernel import fast, multiply
from engine.kernels.cpu._share import share
from engine.kernels.types import Real1, Real2


@fast(plain.dense_forward)
def dense_forward(
    x: Real2, weight: Real2, bias: Real1, output: Real2, thread: int, threads: int
) -> None:
    """Rows are samples; see `plain.dense_forward`."""
    inputs, outputs = weight.shape
    one, item = x.dtype.type(1), x.itemsize
    start, stop = share(x.shape[0], thread, threads)
    multiply(
        one,
        item,
        (stop - start, outputs),
        (output.ctypes.data + start * outputs * item, outputs * item),
        (x.ctypes.data + start * inputs * item, inputs * item, 0, 0, item),
        (weight.ctypes.data, 0, 0, outputs * item),
        (1, 1, inputs),
        bias.ctypes.data if bias.size == outputs else 0,
        0,
    )


@fast(plain.dense_backward_input)
def dense_backward_input(
    grad_output: Real2, weight: Real2, turned: Real2, grad_input: Real2, thread: int, threads: int
) -> None:
    """Rows are samples; see `plain.dense_backward_input`."""
    outputs, inputs = turned.shape
    one, item = turned.dtype.type(1), turned.itemsize
    start, stop = share(grad_output.shape[0], thread, threads)
    multiply(
        one,
        item,
        (stop - start, inputs),
        (grad_input.ctypes.data + start * inputs * item, inputs * item),
        (grad_output.ctypes.data + start * outputs * item, outputs * item, 0, 0, item),
        (turned.ctypes.data, 0, 0, inputs * item),
        (1, 1, outputs),
        0,
        0,
    )


@fast(plain.dense_backward_weight)
def dense_backward_weight(
    x: Real2, grad_output: Real2, grad_weight: Real2, thread: int, threads: int
) -> None:
    """Rows are inputs, the sum runs over samples; see `plain.dense_backward_weight`."""
    rows, inputs = x.shape
    outputs = grad_output.shape[1]
    one, item = x.dtype.type(1), x.itemsize
    start, stop = share(inputs, thread, threads)
    multiply(
        one,
        item,
        (stop - start, outputs),
        (grad_weight.ctypes.data + start * outputs * item, outputs * item),
        (x.ctypes.data + start * item, item, 0, 0, inputs * item),
        (grad_output.ctypes.data, 0, 0, outputs * item),
        (1, 1, rows),
        0,
        0,
    )


@kernel
def dense_turn_weight(weight: Real2, turned: Real2, thread: int, threads: int) -> None:
    """turned[o, i] = weight[i, o] (memory order)."""
    inputs, outputs = weight.shape
    start, stop = share(outputs, thread, threads)
    for o in range(start, stop):
        for i in range(inputs):
            turned[o, i] = weight[i, o]


@kernel
def dense_backward_bias(grad_output: Real2, grad_bias: Real1, thread: int, threads: int) -> None:
    """grad_bias[o] = sum over n of grad_output[n, o]."""
    rows, outputs = grad_output.shape
    start, stop = share(outputs, thread, threads)
    total = grad_bias[start:stop]
    total[:] = 0
    for n in range(rows):
        grads = grad_output[n, start:stop]
        for o in range(total.size):
            total[o] += grads[o]
