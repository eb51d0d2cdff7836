"""Plain loops of the kernels that have a fast version: the readable truth.

Same names, same parameters, same order of sums, same bits as the versions that use `_microkernel`.
They are what "show code" shows, what runs with the JIT switched off, and what tests compare with.

Accumulation order, the same for any thread count: a convolution adds kernel rows, kernel columns,
input channels, starting from 0, bias last; its input gradient adds kernel rows, kernel columns,
output channels; a weight gradient adds samples, output rows, output columns inside each of the
fixed chunks of the batch, then the chunks in order. A dense layer adds inputs from 0, bias last;
its input gradient adds outputs; its weight gradient adds samples. Every step is one fused
multiply-add. Padding takes part as the zeros of a halo that the op has copied around the image;
taps outside the memory that a kernel is given are left out.
"""

from __future__ import annotations

import numpy as np

from engine.kernels import scalar
from engine.kernels.arithmetic import fma
from engine.kernels.cpu._jit import inline, plain
from engine.kernels.cpu._share import outputs_inside, share
from engine.kernels.settings import Window
from engine.kernels.types import Real1, Real2, Real4, Real5

chunk_start = inline(scalar.chunk_start)
CHUNKS = scalar.CHUNKS


@plain
def conv2d_forward(
    x: Real4, weight: Real4, bias: Real1, output: Real4, s: Window, thread: int, threads: int
) -> None:
    """output[n, o, y, x] = sum of x under the window times weight[o, i, ky, kx], plus bias[o].

    The row of x under tap ky is y * stride + ky * dilation - padding; columns alike.
    """
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


@plain
def conv2d_backward_input(
    grad_output: Real4,
    weight: Real4,
    turned: Real4,
    grad_input: Real4,
    s: Window,
    thread: int,
    threads: int,
) -> None:
    """grad_input[n, i, y, x] = sum of grad_output times weight over the windows that cover (y, x).

    `turned` is the weight as (ky, kx, o, i), so that vector lanes run across input channels.
    """
    samples, height, width, _ = grad_input.shape
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


@plain
def conv2d_backward_weight(
    x: Real4, grad_output: Real4, partial: Real5, s: Window, thread: int, threads: int
) -> None:
    """partial[chunk, ky, kx, i, o] = sum of x * grad_output over samples and places."""
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


@plain
def dense_forward(
    x: Real2, weight: Real2, bias: Real1, output: Real2, thread: int, threads: int
) -> None:
    """output[n, o] = sum of x[n, i] * weight[i, o] + bias[o]; an empty bias adds nothing."""
    rows, inputs = x.shape
    start, stop = share(rows, thread, threads)
    for n in range(start, stop):
        total = output[n]
        total[:] = 0
        for i in range(inputs):
            v, lanes = x[n, i], weight[i]
            for o in range(total.size):
                total[o] = fma(v, lanes[o], total[o])
        if bias.size == total.size:
            for o in range(total.size):
                total[o] += bias[o]


@plain
def dense_backward_input(
    grad_output: Real2, weight: Real2, turned: Real2, grad_input: Real2, thread: int, threads: int
) -> None:
    """grad_input[n, i] = sum over o of grad_output[n, o] * weight[i, o].

    `turned` is the weight as (out, in), so that vector lanes run across inputs.
    """
    rows, outputs = grad_output.shape
    start, stop = share(rows, thread, threads)
    for n in range(start, stop):
        total = grad_input[n]
        total[:] = 0
        for o in range(outputs):
            v, lanes = grad_output[n, o], turned[o]
            for i in range(total.size):
                total[i] = fma(v, lanes[i], total[i])


@plain
def dense_backward_weight(
    x: Real2, grad_output: Real2, grad_weight: Real2, thread: int, threads: int
) -> None:
    """grad_weight[i, o] = sum over n of x[n, i] * grad_output[n, o]."""
    rows, inputs = x.shape
    start, stop = share(inputs, thread, threads)
    grad_weight[start:stop] = 0
    for n in range(rows):
        grads = grad_output[n]
        for i in range(start, stop):
            v, total = x[n, i], grad_weight[i]
            for o in range(total.size):
                total[o] = fma(v, grads[o], total[o])
