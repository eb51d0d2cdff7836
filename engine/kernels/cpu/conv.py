"""Two-dimensional convolution and its gradients, on (n, y, x, c) memory and weights in panels.

The drivers hand blocks of pixels to the micro-kernel. It knows no borders: where a window reaches
into the padding, a band of the image is copied with zeros around it into the thread's own scratch,
small enough to stay in the second-level cache. `plain.py` has the same kernels as plain loops, with
the order of the sums.
"""

from __future__ import annotations

from engine.kernels.cpu import plain
from engine.kernels.cpu._bands import (
    band_rows,
    first_tap,
    floor_divide,
    greatest_divisor,
    span,
)
from engine.kernels.cpu._jit import inline
from engine.kernels.cpu._memory import copy_window, finish_stores
from engine.kernels.cpu._microkernel import (
    PANEL_BYTES,
    STREAM,
    VECTOR_BYTES,
    fast,
    multiply_bands,
)
from engine.kernels.cpu._share import share
from engine.kernels.settings import Window
from engine.kernels.types import Real1, Real4, Real5

STREAM_BYTES = 32 * 1024 * 1024
"""Results larger than this are stored past the caches: nobody could find them there later."""


@inline
def forward_band(
    x: Real4,
    weight: Real5,
    bias: int,
    output: Real4,
    s: Window,
    n: int,
    row: int,
    rows: int,
    stream: int,
    work: int,
) -> None:
    """Convolve `rows` output rows of one image from `row` on; `bias` is an address, or 0."""
    out_h, out_w, out_channels = output.shape[1:]
    height, width, channels = x.shape[1:]
    kernel_y, kernel_x, group_in = weight.shape[1:4]
    group_out = out_channels // s.groups
    one, item, lanes = x.dtype.type(1), x.itemsize, weight.shape[4]
    pixel, out_pixel = channels * item, out_channels * item
    first_y, first_x = row * s.stride_y - s.top, -s.left
    tall = span(rows, s.stride_y, kernel_y, s.dilation_y)
    wide = span(out_w, s.stride_x, kernel_x, s.dilation_x)
    source, line = x.ctypes.data + n * height * width * pixel, width * pixel
    if first_x < 0 or wide > width + first_x or first_y < 0 or first_y + tall > height:
        copy_window(work, source, first_y, tall, first_x, wide, height, width, pixel)
        source, line = work, wide * pixel
    else:
        source += first_y * line
    turn = -1 if s.flip else 1
    tap = group_in * PANEL_BYTES
    taps = weight.ctypes.data + ((kernel_y * kernel_x - 1) * tap if s.flip else 0)
    counts = (kernel_y, kernel_x, group_in)
    if s.groups == 1 and s.dilation_x == 1 and not s.flip:
        # The taps of a kernel row lie side by side, in the image and in the weights.
        counts = (kernel_y, 1, kernel_x * group_in)
    target = output.ctypes.data + (n * out_h + row) * out_w * out_pixel
    for g in range(s.groups):
        done = 0
        while done < group_out:
            # A group that starts inside a panel goes on to the panel's end first.
            lane = (g * group_out + done) % lanes
            count = min(group_out - done, lanes - lane) if s.groups > 1 else group_out
            panel = (g * group_out + done) // lanes
            offset = (g * group_out + done) * item
            multiply_bands(
                one,
                item,
                (rows, out_w, count),
                (target + offset, out_w * out_pixel, out_pixel, PANEL_BYTES),
                (
                    source + g * group_in * item,
                    s.stride_y * line,
                    s.stride_x * pixel,
                    s.dilation_y * line,
                    s.dilation_x * pixel,
                    item,
                ),
                (
                    taps + panel * kernel_y * kernel_x * tap + lane * item,
                    turn * kernel_x * tap,
                    turn * tap,
                    PANEL_BYTES,
                    kernel_y * kernel_x * tap,
                ),
                counts,
                bias + offset if bias else 0,
                0,
                stream,
            )
            done += count


@fast(plain.conv2d_forward, parts=8)
def conv2d_forward(
    x: Real4,
    weight: Real5,
    bias: Real1,
    output: Real4,
    s: Window,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Bands of output rows; see `plain.conv2d_forward`."""
    samples, out_h, out_w = output.shape[:3]
    stream = STREAM if output.size * x.itemsize > STREAM_BYTES else 0
    if output.shape[3] * x.itemsize % VECTOR_BYTES:
        stream = 0
    line = span(out_w, s.stride_x, weight.shape[2], s.dilation_x) * x.shape[3] * x.itemsize
    most = band_rows(line, s.stride_y, weight.shape[1], s.dilation_y)
    start, stop = share(samples * out_h, thread, threads)
    while start < stop:
        n, row = start // out_h, start % out_h
        rows = min(most, out_h - row, stop - start)
        address = bias.ctypes.data if s.has_bias else 0
        forward_band(x, weight, address, output, s, n, row, rows, stream, work)
        start += rows
    if stream:
        finish_stores()


@fast(plain.conv2d_backward_input, parts=8)
def conv2d_backward_input(
    grad_output: Real4,
    turned: Real5,
    grad_input: Real4,
    s: Window,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Bands of input rows, one class per stride residue; see `plain.conv2d_backward_input`."""
    samples, height, width = grad_input.shape[:3]
    kernel_x, pixel = turned.shape[2], grad_output.shape[3] * grad_output.itemsize
    wide = (width - 1 + (kernel_x - 1) * s.dilation_x) // s.stride_x + 2
    most = band_rows(wide * pixel, 1, turned.shape[1], s.dilation_y) * s.stride_y
    start, stop = share(samples * height, thread, threads)
    while start < stop:
        n, row = start // height, start % height
        rows = min(most, height - row, stop - start)
        backward_band(grad_output, turned, grad_input, s, n, row, rows, work)
        start += rows


@inline
def backward_band(
    grad_output: Real4,
    turned: Real5,
    grad_input: Real4,
    s: Window,
    n: int,
    row: int,
    rows: int,
    work: int,
) -> None:
    """Make `rows` rows of one image's input gradient from `row` on."""
    height, width, in_channels = grad_input.shape[1:]
    out_h, out_w, out_channels = grad_output.shape[1:]
    kernel_y, kernel_x = turned.shape[1:3]
    group_in, group_out = in_channels // s.groups, out_channels // s.groups
    one, item = grad_input.dtype.type(1), grad_input.itemsize
    pixel, in_pixel = out_channels * item, in_channels * item
    # The gradient's rows and columns that any tap of these rows looks at.
    first_y = floor_divide(row + s.top - (kernel_y - 1) * s.dilation_y, s.stride_y)
    last_y = floor_divide(row + rows - 1 + s.top, s.stride_y)
    first_x = floor_divide(s.left - (kernel_x - 1) * s.dilation_x, s.stride_x)
    last_x = floor_divide(width - 1 + s.left, s.stride_x)
    source, line = grad_output.ctypes.data + n * out_h * out_w * pixel, out_w * pixel
    if first_y < 0 or first_x < 0 or last_y >= out_h or last_x >= out_w:
        tall, wide = last_y - first_y + 1, last_x - first_x + 1
        copy_window(work, source, first_y, tall, first_x, wide, out_h, out_w, pixel)
        source, line = work - first_y * wide * pixel - first_x * pixel, wide * pixel
    # Kernel rows (columns) that meet an output row lie `step` apart and `jump` output rows apart.
    step_y = s.stride_y // greatest_divisor(s.stride_y, s.dilation_y)
    step_x = s.stride_x // greatest_divisor(s.stride_x, s.dilation_x)
    jump_y, jump_x = step_y * s.dilation_y // s.stride_y, step_x * s.dilation_x // s.stride_x
    tap = out_channels * PANEL_BYTES
    merged = s.stride_x == 1 and s.dilation_x == 1 and s.groups == 1
    target = grad_input.ctypes.data + (n * height + row) * width * in_pixel
    for ry in range(min(s.stride_y, rows)):
        ky = first_tap(row + ry + s.top, s.stride_y, s.dilation_y)
        tall = (kernel_y - ky + step_y - 1) // step_y if ky < min(kernel_y, s.stride_y) else 0
        # From the last kernel row to the first: so the gradient's rows come in memory order.
        ky += (tall - 1) * step_y
        oy = floor_divide(row + ry + s.top - ky * s.dilation_y, s.stride_y)
        bands = (rows - ry + s.stride_y - 1) // s.stride_y
        for rx in range(min(s.stride_x, width)):
            kx = first_tap(rx + s.left, s.stride_x, s.dilation_x)
            wide = (kernel_x - kx + step_x - 1) // step_x if kx < min(kernel_x, s.stride_x) else 0
            kx += (wide - 1) * step_x
            ox = floor_divide(rx + s.left - kx * s.dilation_x, s.stride_x)
            taps = ((kernel_y - 1 - ky) * kernel_x + kernel_x - 1 - kx) * tap
            counts = (tall if wide > 0 else 0, wide, group_out)
            if merged:
                # The taps of a kernel row lie side by side, in the gradient and in the weights.
                counts = (counts[0], 1, wide * group_out)
            number = (width - rx + s.stride_x - 1) // s.stride_x
            for g in range(s.groups):
                multiply_bands(
                    one,
                    item,
                    (bands, number, group_in),
                    (
                        target + (ry * width + rx) * in_pixel + g * group_in * item,
                        s.stride_y * width * in_pixel,
                        s.stride_x * in_pixel,
                        PANEL_BYTES,
                    ),
                    (
                        source + oy * line + ox * pixel + g * group_out * item,
                        line,
                        pixel,
                        jump_y * line,
                        jump_x * pixel,
                        item,
                    ),
                    (
                        turned.ctypes.data + taps + g * group_out * PANEL_BYTES,
                        step_y * kernel_x * tap,
                        step_x * tap,
                        PANEL_BYTES,
                        kernel_y * kernel_x * tap,
                    ),
                    counts,
                    0,
                    0,
                    0,
                )
