"""The input gradient of a convolution with few input channels, by columns.

Vector lanes across a handful of input channels would be mostly empty. So lanes run across the taps
of a kernel row and these channels: every pixel of the output gradient is multiplied with them at
once, summed over output channels and kernel rows, which makes one "column" for each window place of
an input row. A pixel of that row is the sum of what the columns of its windows hold for it::

    kernel width 3, stride 1        window 0   0 1 2
                                    window 1     0 1 2
                                    window 2       0 1 2
    pixel 2 = tap 2 of window 0 + tap 1 of window 1 + tap 0 of window 2

Nothing is computed for the padding left and right, and strides need no classes of columns.
"""

from __future__ import annotations

from engine.kernels.cpu import plain
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._memory import numbers_at
from engine.kernels.cpu._microkernel import PANEL_BYTES, fast, multiply_bands
from engine.kernels.cpu._share import share
from engine.kernels.cpu._vector import block_at, lanes_of, load, put, zeros
from engine.kernels.settings import Columns
from engine.kernels.types import Flat, Real4, Real5

COLUMN_BYTES = 64 * 1024
"""How many bytes of columns are made before they are added: they stay in the second cache."""


@kernel
def conv2d_weight_columns(
    weight: Real5, columns: Real5, s: Columns, thread: int, threads: int
) -> None:
    """columns[(kx, i), o, ky] = the weight [o, i] that meets window place (ky, kx).

    It lies in panels of its first axis, like a weight.
    """
    panels, kernel_y, kernel_x, group_in, lanes = weight.shape
    out_channels = columns.shape[3]
    start, stop = share(kernel_y * kernel_x, thread, threads)
    for tap in range(start, stop):
        ky, kx = tap // kernel_x, tap % kernel_x
        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
        for panel in range(panels):
            first = panel * lanes
            count = min(lanes, out_channels - first)
            for i in range(group_in):
                place, values = kx * group_in + i, weight[panel, wy, wx, i]
                target = columns[place // lanes, ky, 0, first:, place % lanes]
                for o in range(count):
                    target[o] = values[o]


@fast(plain.conv2d_backward_input_columns, parts=8)
def conv2d_backward_input_columns(
    grad_output: Real4,
    columns: Real5,
    grad_input: Real4,
    s: Columns,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Columns of a few input rows, then the sums of each pixel; see the plain version."""
    samples, height, width, channels = grad_input.shape
    out_h, out_w = grad_output.shape[1:3]
    one, item = grad_input.dtype.type(1), grad_input.itemsize
    column = columns.shape[0] * PANEL_BYTES
    # As many windows at a time, and the pixels that no other windows reach.
    wide, block = max(COLUMN_BYTES // column, 2 * s.kernel_x // s.stride_x + 2), width
    if wide < out_w:
        block = (wide - 1) * s.stride_x - s.kernel_x + 2
    most = max(1, COLUMN_BYTES // (out_w * column))
    start, stop = share(samples * height, thread, threads)
    while start < stop:
        n, iy = start // height, start % height
        reach = iy + s.top
        # The kernel rows that meet this row somewhere, and the first of the gradient's rows there.
        low = max((reach - s.kernel_y + s.stride_y) // s.stride_y, 0)
        count = max(min(reach // s.stride_y, out_h - 1) - low + 1, 0)
        rows = 1
        if s.stride_y == 1 and count == s.kernel_y:
            # Rows below that meet as many kernel rows lie one row further everywhere.
            rows = min(most, stop - start, height - iy, out_h - low - count + 1)
        for ix in range(0, width, block):
            end = min(ix + block, width)
            first = max((ix + s.left - s.kernel_x + s.stride_x) // s.stride_x, 0)
            number = max(min((end - 1 + s.left) // s.stride_x, out_w - 1) - first + 1, 0)
            if count > 0:
                make_columns(
                    grad_output, columns, s, work, (n, low, first), (rows, number, count), reach
                )
            add_columns(
                grad_input,
                s,
                numbers_at(work, rows * number * column // item, one),
                (start, rows, ix, end),
                (first, number if count > 0 else 0, column // item),
                stop * width * channels,
            )
        start += rows


@inline
def make_columns(
    grad_output: Real4,
    columns: Real5,
    s: Columns,
    work: int,
    place: tuple[int, int, int],
    size: tuple[int, int, int],
    reach: int,
) -> None:
    """Make the columns of some rows.

    Parameters
    ----------
    work : int
        Address to put them.
    place : (sample, row, column)
        Of the output gradient, where they begin.
    size : (rows, windows, kernel rows that are summed)
    reach : int
        Place of the input row within the padded image.
    """
    (n, low, first), (rows, number, count) = place, size
    out_h, out_w, out_channels = grad_output.shape[1:]
    item, column = grad_output.itemsize, columns.shape[0] * PANEL_BYTES
    pixel, tap_row = out_channels * item, out_channels * PANEL_BYTES
    multiply_bands(
        grad_output.dtype.type(1),
        item,
        (rows, number, columns.shape[0] * columns.shape[4]),
        (work, number * column, column, PANEL_BYTES),
        (
            grad_output.ctypes.data + ((n * out_h + low) * out_w + first) * pixel,
            out_w * pixel,
            pixel,
            out_w * pixel,
            0,
            item,
        ),
        (
            columns.ctypes.data + (reach - low * s.stride_y) * tap_row,
            -s.stride_y * tap_row,
            0,
            PANEL_BYTES,
            s.kernel_y * tap_row,
        ),
        (count, 1, out_channels),
        0,
        0,
        0,
    )


@inline
def add_columns(
    grad_input: Real4,
    s: Columns,
    values: Flat,
    pixels: tuple[int, int, int, int],
    windows: tuple[int, int, int],
    stop: int,
) -> None:
    """Let pixels add up what the columns of their windows hold for them.

    Parameters
    ----------
    values : Flat
        The columns.
    pixels : (first row of all samples, rows, first column, column after the last)
    windows : (first, count, numbers of a column)
    stop : int
        The flat place in the input gradient where another thread's numbers begin.
    """
    start, rows, low, high = pixels
    begin, number, size = windows
    width, channels = grad_input.shape[2:]
    nothing = zeros(grad_input, 1)
    lanes = lanes_of(nothing)
    step = size - s.stride_x * channels
    for row in range(rows):
        for ix in range(low, high):
            reach = ix + s.left
            first = max((reach - s.kernel_x + s.stride_x) // s.stride_x, 0)
            last = min(reach // s.stride_x, begin + number - 1)
            place = (row * number + first - begin) * size
            place += (reach - first * s.stride_x) * channels
            target = ((start + row) * width + ix) * channels
            for i in range(0, channels, lanes):
                at, total = block_at(i, channels, lanes), nothing
                for ox in range(last - first + 1):
                    total = total + load(values, place + ox * step + at, nothing)
                put(grad_input, target + at, total, channels, stop)
