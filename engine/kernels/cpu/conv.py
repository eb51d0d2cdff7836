"""Two-dimensional convolution and its gradients, on (n, y, x, c) memory and weights in panels.

The drivers hand blocks of pixels to the micro-kernel. It knows no borders: where a window reaches
into the padding, a band of the image is copied with zeros around it into the thread's own scratch,
small enough to stay in the second-level cache. `plain.py` has the same kernels as plain loops, with
the order of the sums.
"""

from __future__ import annotations

import numpy as np

from engine.kernels import scalar
from engine.kernels.cpu import plain
from engine.kernels.cpu._bands import (
    band_rows,
    first_tap,
    floor_divide,
    greatest_divisor,
    span,
)
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._memory import copy_bytes, copy_window, finish_stores, put, zero_bytes
from engine.kernels.cpu._microkernel import (
    PANEL_BYTES,
    VECTOR_BYTES,
    fast,
    multiply,
    multiply_bands,
)
from engine.kernels.cpu._share import share
from engine.kernels.settings import Window
from engine.kernels.types import Real1, Real2, Real4, Real5, Real6

chunk_start = inline(scalar.chunk_start)
CHUNKS = scalar.CHUNKS
STREAM_BYTES = 32 * 1024 * 1024
"""Results larger than this are stored past the caches: nobody could find them there later."""
BLOCK_PIXELS = 256
"""How many pixels of the output gradient a weight gradient adds before the next rows take their
turn: one panel of them fills half of the first-level cache."""


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


@fast(plain.conv2d_forward)
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
    stream = 1 if output.size * x.itemsize > STREAM_BYTES else 0
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


@fast(plain.conv2d_backward_input)
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


@fast(plain.conv2d_backward_weight)
def conv2d_backward_weight(
    x: Real4,
    grad_output: Real4,
    partial: Real6,
    s: Window,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """One panel of one chunk at a time, block by block; see `plain.conv2d_backward_weight`."""
    samples, out_h, out_w = grad_output.shape[:3]
    panels, kernel_y, kernel_x, group_in, lanes = partial.shape[1:]
    item, size = x.itemsize, kernel_y * kernel_x * group_in * PANEL_BYTES
    line = span(out_w, s.stride_x, kernel_x, s.dilation_x) * x.shape[3] * item
    rows = min(
        max(1, BLOCK_PIXELS // out_w), band_rows(line, s.stride_y, kernel_y, s.dilation_y), out_h
    )
    start, stop = share(CHUNKS * panels, thread, threads)
    for task in range(start, stop):
        # Panel by panel: a small batch fills few chunks, and every thread shall have some of them.
        chunk, panel = task % CHUNKS, task // CHUNKS
        target = partial.ctypes.data + (chunk * panels + panel) * size
        n, end = chunk_start(chunk, samples), chunk_start(chunk + 1, samples)
        if n == end:
            zero_bytes(target, size)
        going = 0
        while n < end:
            for row in range(0, out_h, rows):
                taken = min(rows, out_h - row)
                weight_block(
                    x,
                    grad_output,
                    target,
                    s,
                    n,
                    row,
                    taken,
                    panel,
                    lanes,
                    kernel_y,
                    kernel_x,
                    group_in,
                    going,
                    work,
                )
                going = 1
            n += 1


@inline
def weight_block(
    x: Real4,
    grad_output: Real4,
    target: int,
    s: Window,
    n: int,
    row: int,
    rows: int,
    panel: int,
    lanes: int,
    kernel_y: int,
    kernel_x: int,
    group_in: int,
    going: int,
    work: int,
) -> None:
    """Add `rows` output rows of one image to one panel of a weight gradient."""
    out_h, out_w, out_channels = grad_output.shape[1:]
    height, width, channels = x.shape[1:]
    group_out = out_channels // s.groups
    one, item = x.dtype.type(1), x.itemsize
    pixel, out_pixel = channels * item, out_channels * item
    grads = grad_output.ctypes.data + (n * out_h + row) * out_w * out_pixel
    grads += panel * PANEL_BYTES
    step = out_pixel
    if out_channels > lanes:
        # One panel's lanes of all pixels, side by side.
        for p in range(rows * out_w):
            copy_bytes(work + p * PANEL_BYTES, grads + p * out_pixel, PANEL_BYTES)
        grads, step = work, PANEL_BYTES
    scratch = work + rows * out_w * PANEL_BYTES
    first_y, first_x = row * s.stride_y - s.top, -s.left
    tall = span(rows, s.stride_y, kernel_y, s.dilation_y)
    wide = span(out_w, s.stride_x, kernel_x, s.dilation_x)
    source, line = x.ctypes.data + n * height * width * pixel, width * pixel
    if first_x < 0 or wide > width + first_x or first_y < 0 or first_y + tall > height:
        copy_window(scratch, source, first_y, tall, first_x, wide, height, width, pixel)
        source, line = scratch, wide * pixel
    else:
        source += first_y * line
    columns, inner = kernel_x, group_in
    if s.groups == 1 and s.dilation_x == 1 and not s.flip:
        # The taps of a kernel row lie side by side: one block of kernel_x * channels rows.
        columns, inner = 1, kernel_x * group_in
    first, last = panel * lanes, min((panel + 1) * lanes, out_channels)
    for ky in range(kernel_y):
        for kx in range(columns):
            wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
            place = ky * s.dilation_y * line + kx * s.dilation_x * pixel
            o = first
            while o < last:
                g = o // group_out
                count = min(last, (g + 1) * group_out) - o
                multiply_bands(
                    one,
                    item,
                    (1, inner, count),
                    (
                        target + (wy * kernel_x + wx) * group_in * PANEL_BYTES + (o - first) * item,
                        0,
                        PANEL_BYTES,
                        PANEL_BYTES,
                    ),
                    (
                        source + place + g * group_in * item,
                        0,
                        item,
                        0,
                        s.stride_y * line,
                        s.stride_x * pixel,
                    ),
                    (grads + (o - first) * item, 0, out_w * step, step, PANEL_BYTES),
                    (1, rows, out_w),
                    0,
                    going,
                    0,
                )
                o += count


@kernel
def conv2d_turn_weight(weight: Real5, turned: Real5, s: Window, thread: int, threads: int) -> None:
    """turned[i, o, -1 - ky, -1 - kx] = the weight [o, i] that meets window place (ky, kx).

    Both lie in panels of their first axis.
    """
    panels, kernel_y, kernel_x, group_in, lanes = weight.shape
    out_channels = turned.shape[3]
    values, numbers = weight.reshape(-1), turned.reshape(-1)
    start, stop = share(kernel_y * kernel_x, thread, threads)
    for tap in range(start, stop):
        ky, kx = tap // kernel_x, tap % kernel_x
        ty, tx = (ky, kx) if s.flip else (kernel_y - 1 - ky, kernel_x - 1 - kx)
        for panel in range(panels):
            first = panel * lanes
            count = min(lanes, out_channels - first)
            place = (panel * kernel_y * kernel_x + tap) * group_in * lanes
            for i in range(group_in):
                row = (i // lanes * kernel_y + ty) * kernel_x + tx
                target = np.uintp((row * out_channels + first) * lanes + i % lanes)
                source = np.uintp(place + i * lanes)
                for o in range(count):
                    numbers[target + np.uintp(o * lanes)] = values[source + np.uintp(o)]


@fast(plain.conv2d_backward_bias)
def conv2d_backward_bias(
    grad_output: Real4, partial: Real2, work: int, thread: int, threads: int
) -> None:
    """One panel of one chunk at a time, as a product with a row of ones: the same sums."""
    samples, out_h, out_w, out_channels = grad_output.shape
    one, item = partial.dtype.type(1), partial.itemsize
    lanes, pixel = PANEL_BYTES // item, out_channels * item
    panels = (out_channels + lanes - 1) // lanes
    put(work, one)
    start, stop = share(CHUNKS * panels, thread, threads)
    for task in range(start, stop):
        chunk, panel = task % CHUNKS, task // CHUNKS
        n, end = chunk_start(chunk, samples), chunk_start(chunk + 1, samples)
        target = partial.ctypes.data + chunk * pixel + panel * PANEL_BYTES
        grads = grad_output.ctypes.data + n * out_h * out_w * pixel + panel * PANEL_BYTES
        multiply(
            one,
            item,
            (1, min(lanes, out_channels - panel * lanes)),
            (target, 0, 0),
            (work, 0, 0, 0, 0),
            (grads, 0, 0, pixel, 0),
            (1, 1, (end - n) * out_h * out_w),
            0,
            0,
        )
