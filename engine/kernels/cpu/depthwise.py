"""Depthwise convolution: every channel has a kernel of its own, so lanes run across channels.

The same bands as in `conv.py`, with a micro-kernel whose A has lanes too; the weight is used as it
lies in all three passes. `plain_depthwise.py` has the kernels as plain loops.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cpu import plain_depthwise as plain
from engine.kernels.cpu._bands import (
    band_rows,
    first_tap,
    floor_divide,
    greatest_divisor,
    span,
)
from engine.kernels.cpu._jit import inline
from engine.kernels.cpu._memory import copy_window, zero_bytes
from engine.kernels.cpu._microkernel import (
    PANEL_BYTES,
    fast,
    multiply_lanewise,
    provide_lanewise,
)
from engine.kernels.cpu._share import share
from engine.kernels.settings import Window
from engine.kernels.types import Real1, Real4, Real5, Real6

chunk_start = inline(scalar.chunk_start)
CHUNKS = scalar.CHUNKS


@fast(plain.depthwise2d_forward, provide_lanewise, parts=8)
def depthwise2d_forward(
    x: Real4,
    weight: Real5,
    bias: Real1,
    output: Real4,
    s: Window,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Bands of output rows; see the plain version."""
    samples, out_h, out_w, channels = output.shape
    height, width = x.shape[1], x.shape[2]
    kernel_y, kernel_x = weight.shape[1], weight.shape[2]
    one, item = x.dtype.type(1), x.itemsize
    pixel, turn = channels * item, -1 if s.flip else 1
    wide = span(out_w, s.stride_x, kernel_x, s.dilation_x)
    most = band_rows(wide * pixel, s.stride_y, kernel_y, s.dilation_y)
    taps = weight.ctypes.data + ((kernel_y * kernel_x - 1) * PANEL_BYTES if s.flip else 0)
    start, stop = share(samples * out_h, thread, threads)
    while start < stop:
        n, row = start // out_h, start % out_h
        rows = min(most, out_h - row, stop - start)
        first_y, tall = row * s.stride_y - s.top, span(rows, s.stride_y, kernel_y, s.dilation_y)
        source, line = x.ctypes.data + n * height * width * pixel, width * pixel
        if s.left > 0 or wide > width or first_y < 0 or first_y + tall > height:
            copy_window(work, source, first_y, tall, -s.left, wide, height, width, pixel)
            source, line = work, wide * pixel
        else:
            source += first_y * line
        multiply_lanewise(
            (one,),
            item,
            (rows, out_w, channels),
            (output.ctypes.data + start * out_w * pixel, out_w * pixel, pixel, PANEL_BYTES),
            (
                source,
                s.stride_y * line,
                s.stride_x * pixel,
                s.dilation_y * line,
                s.dilation_x * pixel,
                0,
            ),
            (
                taps,
                turn * kernel_x * PANEL_BYTES,
                turn * PANEL_BYTES,
                0,
                kernel_y * kernel_x * PANEL_BYTES,
            ),
            (kernel_y, kernel_x, 1),
            bias.ctypes.data if s.has_bias else 0,
            0,
            0,
        )
        start += rows


@fast(plain.depthwise2d_backward_input, provide_lanewise, parts=8)
def depthwise2d_backward_input(
    grad_output: Real4,
    weight: Real5,
    grad_input: Real4,
    s: Window,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Bands of input rows, one class per stride residue; see the plain version."""
    samples, height, width, channels = grad_input.shape
    out_h, out_w = grad_output.shape[1], grad_output.shape[2]
    kernel_y, kernel_x = weight.shape[1], weight.shape[2]
    one, item = grad_input.dtype.type(1), grad_input.itemsize
    pixel, turn = channels * item, 1 if s.flip else -1
    step_y = s.stride_y // greatest_divisor(s.stride_y, s.dilation_y)
    step_x = s.stride_x // greatest_divisor(s.stride_x, s.dilation_x)
    jump_y, jump_x = step_y * s.dilation_y // s.stride_y, step_x * s.dilation_x // s.stride_x
    first_x = floor_divide(s.left - (kernel_x - 1) * s.dilation_x, s.stride_x)
    wide = floor_divide(width - 1 + s.left, s.stride_x) - first_x + 1
    most = band_rows(wide * pixel, 1, kernel_y, s.dilation_y) * s.stride_y
    start, stop = share(samples * height, thread, threads)
    while start < stop:
        n, row = start // height, start % height
        rows = min(most, height - row, stop - start)
        first_y = floor_divide(row + s.top - (kernel_y - 1) * s.dilation_y, s.stride_y)
        tall = floor_divide(row + rows - 1 + s.top, s.stride_y) - first_y + 1
        source = grad_output.ctypes.data + n * out_h * out_w * pixel
        copy_window(work, source, first_y, tall, first_x, wide, out_h, out_w, pixel)
        line = wide * pixel
        for ry in range(min(s.stride_y, rows)):
            ky = first_tap(row + ry + s.top, s.stride_y, s.dilation_y)
            down = (kernel_y - ky + step_y - 1) // step_y if ky < min(kernel_y, s.stride_y) else 0
            ky += (down - 1) * step_y
            oy = floor_divide(row + ry + s.top - ky * s.dilation_y, s.stride_y) - first_y
            for rx in range(min(s.stride_x, width)):
                kx = first_tap(rx + s.left, s.stride_x, s.dilation_x)
                right = (kernel_x - kx + step_x - 1) // step_x
                right = right if kx < min(kernel_x, s.stride_x) else 0
                kx += (right - 1) * step_x
                ox = floor_divide(rx + s.left - kx * s.dilation_x, s.stride_x) - first_x
                wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
                place = (start + ry) * width + rx
                multiply_lanewise(
                    (one,),
                    item,
                    (
                        (rows - ry + s.stride_y - 1) // s.stride_y,
                        (width - rx + s.stride_x - 1) // s.stride_x,
                        channels,
                    ),
                    (
                        grad_input.ctypes.data + place * pixel,
                        s.stride_y * width * pixel,
                        s.stride_x * pixel,
                        PANEL_BYTES,
                    ),
                    (work + oy * line + ox * pixel, line, pixel, jump_y * line, jump_x * pixel, 0),
                    (
                        weight.ctypes.data + (wy * kernel_x + wx) * PANEL_BYTES,
                        turn * step_y * kernel_x * PANEL_BYTES,
                        turn * step_x * PANEL_BYTES,
                        0,
                        kernel_y * kernel_x * PANEL_BYTES,
                    ),
                    (down if right > 0 else 0, right, 1),
                    0,
                    0,
                    0,
                )
        start += rows


@fast(plain.depthwise2d_backward_weight, provide_lanewise)
def depthwise2d_backward_weight(
    x: Real4,
    grad_output: Real4,
    partial: Real6,
    s: Window,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """One chunk at a time, band by band; see the plain version."""
    samples, out_h, out_w, channels = grad_output.shape
    height, width = x.shape[1], x.shape[2]
    panels, kernel_y, kernel_x = partial.shape[1:4]
    one, item, pixel = x.dtype.type(1), x.itemsize, channels * x.itemsize
    size = kernel_y * kernel_x * PANEL_BYTES
    wide = span(out_w, s.stride_x, kernel_x, s.dilation_x)
    most = min(band_rows(wide * pixel, s.stride_y, kernel_y, s.dilation_y), out_h)
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        n, end = chunk_start(chunk, samples), chunk_start(chunk + 1, samples)
        target, going = partial.ctypes.data + chunk * panels * size, 0
        if n == end:
            zero_bytes(target, panels * size)
        while n < end:
            for row in range(0, out_h, most):
                rows, first_y = min(most, out_h - row), row * s.stride_y - s.top
                tall = span(rows, s.stride_y, kernel_y, s.dilation_y)
                source = x.ctypes.data + n * height * width * pixel
                copy_window(work, source, first_y, tall, -s.left, wide, height, width, pixel)
                line = wide * pixel
                grads = grad_output.ctypes.data + (n * out_h + row) * out_w * pixel
                for ky in range(kernel_y):
                    # One row of taps; flipped kernels lie the other way round.
                    first = (kernel_y * kernel_x - 1 - ky * kernel_x) if s.flip else ky * kernel_x
                    multiply_lanewise(
                        (one,),
                        item,
                        (1, kernel_x, channels),
                        (
                            target + first * PANEL_BYTES,
                            0,
                            -PANEL_BYTES if s.flip else PANEL_BYTES,
                            size,
                        ),
                        (
                            work + ky * s.dilation_y * line,
                            0,
                            s.dilation_x * pixel,
                            0,
                            s.stride_y * line,
                            s.stride_x * pixel,
                        ),
                        (grads, 0, out_w * pixel, pixel, PANEL_BYTES),
                        (1, rows, out_w),
                        0,
                        going,
                        0,
                    )
                going = 1
            n += 1
