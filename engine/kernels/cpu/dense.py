"""Matrix products of fully connected layers; weights lie in panels, (panel, in, lane).

Each is a few calls of the micro-kernel per thread; `plain.py` has them as plain loops, with the
order of the sums.
"""

from __future__ import annotations

import numpy as np

from engine.kernels.cpu import plain
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._microkernel import PANEL_BYTES, fast, multiply
from engine.kernels.cpu._share import share
from engine.kernels.types import Real1, Real2, Real3


@inline
def share_block(rows: int, panels: int, thread: int, threads: int) -> tuple[int, int, int, int]:
    """Divide a matrix among threads: by rows if there are enough for good tiles, else by panels."""
    if rows >= 8 * threads or panels < threads:
        start, stop = share(rows, thread, threads)
        return start, stop, 0, panels
    first, last = share(panels, thread, threads)
    return 0, rows, first, last


@inline
def product(
    x: Real2,
    weight: Real3,
    bias: int,
    output: Real2,
    rows: tuple[int, int],
    panels: tuple[int, int],
) -> None:
    """Multiply some rows of x by some panels of a weight; `bias` is an address, or 0."""
    inputs, lanes, outputs = weight.shape[1], weight.shape[2], output.shape[1]
    one, item, first = x.dtype.type(1), x.itemsize, panels[0] * lanes
    if rows[0] >= rows[1] or panels[0] >= panels[1]:
        return
    multiply(
        one,
        item,
        (rows[1] - rows[0], min(panels[1] * lanes, outputs) - first),
        (
            output.ctypes.data + (rows[0] * outputs + first) * item,
            outputs * item,
            PANEL_BYTES,
        ),
        (x.ctypes.data + rows[0] * inputs * item, inputs * item, 0, 0, item),
        (
            weight.ctypes.data + panels[0] * inputs * PANEL_BYTES,
            0,
            0,
            PANEL_BYTES,
            inputs * PANEL_BYTES,
        ),
        (1, 1, inputs),
        bias + first * item if bias else 0,
        0,
    )


@fast(plain.dense_forward)
def dense_forward(
    x: Real2, weight: Real3, bias: Real1, output: Real2, thread: int, threads: int
) -> None:
    """Rows are samples; see `plain.dense_forward`."""
    start, stop, first, last = share_block(x.shape[0], weight.shape[0], thread, threads)
    address = bias.ctypes.data if bias.size == output.shape[1] else 0
    product(x, weight, address, output, (start, stop), (first, last))


@fast(plain.dense_backward_input)
def dense_backward_input(
    grad_output: Real2, turned: Real3, grad_input: Real2, thread: int, threads: int
) -> None:
    """Rows are samples; see `plain.dense_backward_input`."""
    start, stop, first, last = share_block(grad_output.shape[0], turned.shape[0], thread, threads)
    product(grad_output, turned, 0, grad_input, (start, stop), (first, last))


@fast(plain.dense_backward_weight)
def dense_backward_weight(
    x: Real2, grad_output: Real2, grad_weight: Real3, thread: int, threads: int
) -> None:
    """Rows are inputs, the sum runs over samples; see `plain.dense_backward_weight`."""
    rows, inputs = x.shape
    outputs = grad_output.shape[1]
    one, item = x.dtype.type(1), x.itemsize
    start, stop = share(inputs, thread, threads)
    if start >= stop:
        return
    multiply(
        one,
        item,
        (stop - start, outputs),
        (grad_weight.ctypes.data + start * PANEL_BYTES, PANEL_BYTES, inputs * PANEL_BYTES),
        (x.ctypes.data + start * item, item, 0, 0, inputs * item),
        (grad_output.ctypes.data, 0, 0, outputs * item, PANEL_BYTES),
        (1, 1, rows),
        0,
        0,
    )


@kernel
def dense_turn_weight(weight: Real3, turned: Real3, thread: int, threads: int) -> None:
    """turned[i, o] = weight[o, i], both in panels of their first axis."""
    panels, inputs, lanes = weight.shape
    outputs = turned.shape[1]
    values, numbers = weight.reshape(-1), turned.reshape(-1)
    start, stop = share(panels, thread, threads)
    for panel in range(start, stop):
        first = panel * lanes
        count = min(lanes, outputs - first)
        for i in range(inputs):
            target = np.uintp((i // lanes * outputs + first) * lanes + i % lanes)
            source = np.uintp((panel * inputs + i) * lanes)
            for o in range(count):
                numbers[target + np.uintp(o * lanes)] = values[source + np.uintp(o)]


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
