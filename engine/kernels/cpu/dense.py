"""Matrix products of fully connected layers; weights lie in panels, (panel, in, lane).

Each is a few calls of the micro-kernel per thread; `plain.py` has them as plain loops, with the
order of the sums.
"""

from __future__ import annotations

from engine.kernels.cpu import plain
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._memory import copy_planes
from engine.kernels.cpu._microkernel import PANEL_BYTES, RECTIFY, fast, multiply_bands
from engine.kernels.cpu._share import share
from engine.kernels.types import Real1, Real2, Real3

BLOCK_SAMPLES = 256
"""Over how many samples a weight gradient runs before the next inputs take their turn."""
BLOCK_PANELS = 16
"""Of how many panels of inputs and outputs it copies that many samples: each may fill half of a
second-level cache."""


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
    rectified: int,
) -> None:
    """Multiply some rows of x by some panels of a weight; `bias` is an address, or 0.

    With `rectified`, what would be negative is zero.
    """
    inputs, lanes, outputs = weight.shape[1], weight.shape[2], output.shape[1]
    one, item, first = x.dtype.type(1), x.itemsize, panels[0] * lanes
    if rows[0] >= rows[1] or panels[0] >= panels[1]:
        return
    multiply_bands(
        one,
        item,
        (1, rows[1] - rows[0], min(panels[1] * lanes, outputs) - first),
        (
            output.ctypes.data + (rows[0] * outputs + first) * item,
            0,
            outputs * item,
            PANEL_BYTES,
        ),
        (x.ctypes.data + rows[0] * inputs * item, 0, inputs * item, 0, 0, item),
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
        RECTIFY if rectified else 0,
    )


@fast(plain.dense_forward)
def dense_forward(
    x: Real2, weight: Real3, bias: Real1, output: Real2, thread: int, threads: int
) -> None:
    """Rows are samples; see `plain.dense_forward`."""
    start, stop, first, last = share_block(x.shape[0], weight.shape[0], thread, threads)
    address = bias.ctypes.data if bias.size == output.shape[1] else 0
    product(x, weight, address, output, (start, stop), (first, last), 0)


@fast(plain.dense_backward_input)
def dense_backward_input(
    grad_output: Real2, turned: Real3, grad_input: Real2, thread: int, threads: int
) -> None:
    """Rows are samples; see `plain.dense_backward_input`."""
    start, stop, first, last = share_block(grad_output.shape[0], turned.shape[0], thread, threads)
    product(grad_output, turned, 0, grad_input, (start, stop), (first, last), 0)


@fast(plain.dense_backward_weight)
def dense_backward_weight(
    x: Real2, grad_output: Real2, grad_weight: Real3, work: int, thread: int, threads: int
) -> None:
    """Rows are inputs, the sum runs over samples; see `plain.dense_backward_weight`.

    Both factors are copied block by block, so that what is added lies side by side.
    """
    samples, inputs = x.shape
    panels, outputs, lanes = grad_weight.shape[0], grad_output.shape[1], grad_weight.shape[2]
    one, item = x.dtype.type(1), x.itemsize
    start, stop = share((inputs + lanes - 1) // lanes, thread, threads)
    for first in range(start, stop, BLOCK_PANELS):
        low = first * lanes
        size = min(min(stop - first, BLOCK_PANELS) * lanes, inputs - low)
        for n in range(0, samples, BLOCK_SAMPLES):
            count = min(BLOCK_SAMPLES, samples - n)
            # An odd number of lines: planes do not compete for the same places of a cache.
            plane = (count | 1) * PANEL_BYTES
            room = work + BLOCK_PANELS * plane
            source = x.ctypes.data + (n * inputs + low) * item
            pixels, image = (0, 1, 0, count), (1, count, inputs * item)
            copy_planes(work, plane, source, size * item, pixels, image)
            for panel in range(panels):
                done = panel % BLOCK_PANELS
                if done == 0:
                    grads = grad_output.ctypes.data + n * outputs * item + panel * PANEL_BYTES
                    wide = min(BLOCK_PANELS * PANEL_BYTES, outputs * item - panel * PANEL_BYTES)
                    image = (1, count, outputs * item)
                    copy_planes(room, plane, grads, wide, pixels, image)
                target = grad_weight.ctypes.data + (panel * inputs + low) * PANEL_BYTES
                made = 0
                while made < size:
                    # Whole planes first, then what the last one holds.
                    bands, rows = max(1, (size - made) // lanes), min(lanes, size - made)
                    multiply_bands(
                        one,
                        item,
                        (bands, rows, min(lanes, outputs - panel * lanes)),
                        (
                            target + made * PANEL_BYTES,
                            rows * PANEL_BYTES,
                            PANEL_BYTES,
                            PANEL_BYTES,
                        ),
                        (work + made // lanes * plane, plane, item, 0, 0, PANEL_BYTES),
                        (room + done * plane, 0, 0, PANEL_BYTES, 0),
                        (1, 1, count),
                        0,
                        1 if n > 0 else 0,
                        0,
                    )
                    made += bands * rows


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
