"""Two-dimensional convolution and its gradients, on (n, y, x, c) memory and (ky, kx, i, o) weights.

Accumulation order, the same for any thread count: forward adds kernel rows, kernel columns, input
channels, starting from 0, bias last; the gradient of the input adds kernel rows, kernel columns,
output channels; the gradient of a weight adds samples, output rows, output columns inside each of
the fixed chunks of the batch, then the chunks in order. Every step is one fused multiply-add.
Taps that lie in the padding are left out: they would add zero. Vector lanes run across output (or
input) channels, never along a sum.
"""

from __future__ import annotations

import numpy as np

from engine.kernels import scalar
from engine.kernels.arithmetic import fma
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._share import share
from engine.kernels.settings import Window
from engine.kernels.types import Real1, Real2, Real4, Real5

chunk_start = inline(scalar.chunk_start)
CHUNKS = scalar.CHUNKS


@inline
def outputs_inside(offset: int, stride: int, size: int, count: int) -> tuple[int, int]:
    """Return the range of output positions p for which ``p * stride + offset`` lies in [0, size)."""
    first = 0 if offset >= 0 else (-offset + stride - 1) // stride
    last = (size - 1 - offset) // stride + 1 if offset < size else 0
    return first, max(first, min(last, count))


@kernel
def conv2d_forward(
    x: Real4, weight: Real4, bias: Real1, output: Real4, s: Window, thread: int, threads: int
) -> None:
    """output[n, o, y, x] = sum of x[n, i, y*stride + ky*dilation - pad, ...] * weight[o, i, ky, kx] + bias[o]."""
    samples, out_h, out_w, out_channels = output.shape
    height, width = x.shape[1], x.shape[2]
    kernel_y, kernel_x, group_in = weight.shape[0], weight.shape[1], weight.shape[2]
    group_out = out_channels // s.groups
    start, stop = share(samples * out_h, thread, threads)
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        row = output[n, oy]
        row[:] = 0
        for ky in range(kernel_y):
            iy = oy * s.stride_y + ky * s.dilation_y - s.top
            if iy < 0 or iy >= height:
                continue
            pixels = x[n, iy]
            for kx in range(kernel_x):
                offset = kx * s.dilation_x - s.left
                first, last = outputs_inside(offset, s.stride_x, width, out_w)
                taps = weight[kernel_y - 1 - ky, kernel_x - 1 - kx] if s.flip else weight[ky, kx]
                for g in range(s.groups):
                    low = np.uintp(g * group_out)
                    for i in range(group_in):
                        lanes = taps[i]
                        for ox in range(first, last):
                            v = pixels[ox * s.stride_x + offset, g * group_in + i]
                            for o in range(group_out):
                                place = low + np.uintp(o)
                                row[ox, place] = fma(v, lanes[place], row[ox, place])
        if s.has_bias:
            for ox in range(out_w):
                for o in range(out_channels):
                    row[ox, o] += bias[o]


@kernel
def conv2d_backward_input(
    grad_output: Real4, weight: Real4, turned: Real4, grad_input: Real4, s: Window,
    thread: int, threads: int,
) -> None:
    """grad_input[n, i, y, x] = sum of grad_output at every window that covers (y, x) times its weight.

    `turned` is the weight as (ky, kx, o, i), so that vector lanes run across input channels.
    """
    samples, height, width, in_channels = grad_input.shape
    out_h, out_w = grad_output.shape[1], grad_output.shape[2]
    kernel_y, kernel_x = turned.shape[0], turned.shape[1]
    group_out, group_in = turned.shape[2] // s.groups, turned.shape[3]
    start, stop = share(samples * height, thread, threads)
    for item in range(start, stop):
        n, iy = item // height, item % height
        row = grad_input[n, iy]
        row[:] = 0
        for ky in range(kernel_y):
            reach = iy + s.top - ky * s.dilation_y
            if reach < 0 or reach % s.stride_y != 0 or reach // s.stride_y >= out_h:
                continue
            grads = grad_output[n, reach // s.stride_y]
            for kx in range(kernel_x):
                offset = kx * s.dilation_x - s.left
                first, last = outputs_inside(offset, s.stride_x, width, out_w)
                taps = turned[kernel_y - 1 - ky, kernel_x - 1 - kx] if s.flip else turned[ky, kx]
                for g in range(s.groups):
                    low = np.uintp(g * group_in)
                    for o in range(group_out):
                        lanes = taps[g * group_out + o]
                        for ox in range(first, last):
                            v = grads[ox, g * group_out + o]
                            ix = np.uintp(ox * s.stride_x + offset)
                            for i in range(group_in):
                                place = low + np.uintp(i)
                                row[ix, place] = fma(v, lanes[i], row[ix, place])


@kernel
def conv2d_turn_weight(weight: Real4, turned: Real4, thread: int, threads: int) -> None:
    """turned[ky, kx, o, i] = weight[ky, kx, i, o] (memory order)."""
    kernel_y, kernel_x, group_in, out_channels = weight.shape
    start, stop = share(kernel_y * kernel_x, thread, threads)
    for tap in range(start, stop):
        ky, kx = tap // kernel_x, tap % kernel_x
        for o in range(out_channels):
            for i in range(group_in):
                turned[ky, kx, o, i] = weight[ky, kx, i, o]


@kernel
def conv2d_backward_weight(
    x: Real4, grad_output: Real4, partial: Real5, s: Window, thread: int, threads: int
) -> None:
    """partial[chunk, ky, kx, i, o] = sum over the chunk's samples and all positions of x * grad_output."""
    samples, out_h, out_w, out_channels = grad_output.shape
    height, width = x.shape[1], x.shape[2]
    kernel_y, kernel_x, group_in = partial.shape[1], partial.shape[2], partial.shape[3]
    group_out = out_channels // s.groups
    tasks = CHUNKS * kernel_y * kernel_x
    start, stop = share(tasks, thread, threads)
    for task in range(start, stop):
        chunk, tap = task // (kernel_y * kernel_x), task % (kernel_y * kernel_x)
        ky, kx = tap // kernel_x, tap % kernel_x
        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
        sums = partial[chunk, wy, wx]
        sums[:] = 0
        offset = kx * s.dilation_x - s.left
        first, last = outputs_inside(offset, s.stride_x, width, out_w)
        for n in range(chunk_start(chunk, samples), chunk_start(chunk + 1, samples)):
            for oy in range(out_h):
                iy = oy * s.stride_y + ky * s.dilation_y - s.top
                if iy < 0 or iy >= height:
                    continue
                pixels, grads = x[n, iy], grad_output[n, oy]
                for g in range(s.groups):
                    low = np.uintp(g * group_out)
                    for ox in range(first, last):
                        ix = np.uintp(ox * s.stride_x + offset)
                        for i in range(group_in):
                            v = pixels[ix, np.uintp(g * group_in + i)]
                            for o in range(group_out):
                                place = low + np.uintp(o)
                                sums[i, place] = fma(v, grads[ox, place], sums[i, place])


@kernel
def conv2d_backward_bias(grad_output: Real4, partial: Real2, thread: int, threads: int) -> None:
    """partial[chunk, o] = sum of grad_output over the chunk's samples, rows and columns."""
    samples, out_h, out_w, out_channels = grad_output.shape
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        sums = partial[chunk]
        sums[:] = 0
        for n in range(chunk_start(chunk, samples), chunk_start(chunk + 1, samples)):
            for oy in range(out_h):
                row = grad_output[n, oy]
                for ox in range(out_w):
                    for o in range(out_channels):
                        sums[o] += row[ox, o]
