"""The input gradient of a convolution with few input channels, by columns.

Vector lanes across a handful of input channels would be mostly empty. So each output pixel's
gradient is multiplied by the weights of all taps and channels at once, one "column" of an image
matrix, and the column is added to the pixels under its window. Nothing is computed for the padding,
and strides need no classes.
"""

from __future__ import annotations

from engine.kernels.cpu import plain
from engine.kernels.cpu._bands import floor_divide
from engine.kernels.cpu._jit import kernel
from engine.kernels.cpu._memory import add_numbers, zero_bytes
from engine.kernels.cpu._microkernel import PANEL_BYTES, fast, multiply
from engine.kernels.cpu._share import share
from engine.kernels.settings import Columns
from engine.kernels.types import Real3, Real4, Real5

COLUMN_BYTES = 24 * 1024
"""How many bytes of columns are made before they are added: three quarters of the first cache."""


@kernel
def conv2d_weight_columns(
    weight: Real5, columns: Real3, s: Columns, thread: int, threads: int
) -> None:
    """columns[(ky, kx, i), o] = the weight [o, i] that meets window place (ky, kx)."""
    panels, kernel_y, kernel_x, group_in, lanes = weight.shape
    out_channels = columns.shape[1]
    start, stop = share(kernel_y * kernel_x, thread, threads)
    for tap in range(start, stop):
        ky, kx = tap // kernel_x, tap % kernel_x
        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
        for panel in range(panels):
            first = panel * lanes
            count = min(lanes, out_channels - first)
            for i in range(group_in):
                place, values = tap * group_in + i, weight[panel, wy, wx, i]
                target = columns[place // lanes, first:, place % lanes]
                for o in range(count):
                    target[o] = values[o]


@fast(plain.conv2d_backward_input_columns)
def conv2d_backward_input_columns(
    grad_output: Real4,
    columns: Real3,
    grad_input: Real4,
    s: Columns,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Rows of output pixels as columns, added window by window; see the plain version."""
    samples, height, width, channels = grad_input.shape
    out_h, out_w, out_channels = grad_output.shape[1:]
    one, item = grad_input.dtype.type(1), grad_input.itemsize
    pixel, line = channels * item, width * channels * item
    column = columns.shape[0] * PANEL_BYTES
    kernel_y, kernel_x = s.kernel_y, s.kernel_x
    group = max(8, COLUMN_BYTES // column)
    start, stop = share(samples * height, thread, threads)
    while start < stop:
        n, top = start // height, start % height
        rows = min(height - top, stop - start)
        target = grad_input.ctypes.data + start * line
        zero_bytes(target, rows * line)
        # The output rows whose windows reach these input rows.
        low = max(-floor_divide(kernel_y - 1 - top - s.top, s.stride_y), 0)
        high = min(floor_divide(top + rows - 1 + s.top, s.stride_y) + 1, out_h)
        for oy in range(low, high):
            first = oy * s.stride_y - s.top - top
            ky_low, ky_high = max(-first, 0), min(kernel_y, rows - first)
            for ox in range(0, out_w, group):
                count = min(group, out_w - ox)
                grads = ((n * out_h + oy) * out_w + ox) * out_channels * item
                multiply(
                    one,
                    item,
                    (count, kernel_y * kernel_x * channels),
                    (work, column, PANEL_BYTES),
                    (grad_output.ctypes.data + grads, out_channels * item, 0, 0, item),
                    (columns.ctypes.data, 0, 0, PANEL_BYTES, out_channels * PANEL_BYTES),
                    (1, 1, out_channels),
                    0,
                    0,
                )
                for p in range(count):
                    left = (ox + p) * s.stride_x - s.left
                    skipped = max(-left, 0)
                    taken = (min(kernel_x, width - left) - skipped) * channels
                    place = target + first * line + (left + skipped) * pixel
                    source = work + p * column + skipped * pixel
                    for ky in range(ky_low, ky_high if taken > 0 else ky_low):
                        add_numbers(one, place + ky * line, source + ky * kernel_x * pixel, taken)
        start += rows
