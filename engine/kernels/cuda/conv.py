"""Two-dimensional convolution and its gradients, on (n, c, y, x) memory and (o, i, ky, kx) weights.

Accumulation order, as on the CPU: forward adds kernel rows, kernel columns, input channels from 0,
bias last; the gradient of the input adds kernel rows, kernel columns, output channels; the gradient
of a weight adds samples, output rows, output columns inside each of the fixed chunks of the batch,
then the chunks in order. Every step is one fused multiply-add. Taps that lie in the padding are
left out. One thread makes one result, neighbouring threads make neighbouring pixels.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._compat import device
from engine.kernels.cuda._index import items, split, up_to
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Window
from engine.kernels.types import Real1, Real2, Real4, Real5

chunk_start = device(scalar.chunk_start)
CHUNKS = scalar.CHUNKS


@kernel(over="output")
def conv2d_forward(x: Real4, weight: Real4, bias: Real1, output: Real4, s: Window) -> None:
    """output[n, o, y, x] = sum of x[n, i, iy, ix] * weight[o, i, ky, kx], plus bias[o].

    iy = y * stride + ky * dilation - padding, and ix alike.
    """
    height, width = x.shape[2], x.shape[3]
    group_in, kernel_y, kernel_x = weight.shape[1], weight.shape[2], weight.shape[3]
    group_out = output.shape[1] // s.groups
    for item in items(output.size):
        rest, ox = split(item, output.shape[3])
        rest, oy = split(rest, output.shape[2])
        n, o = split(rest, output.shape[1])
        low = o // group_out * group_in
        total = like(output[n, o, oy, ox], 0)
        for ky in range(kernel_y):
            iy = oy * s.stride_y + ky * s.dilation_y - s.top
            if iy < 0 or iy >= height:
                continue
            for kx in range(kernel_x):
                ix = ox * s.stride_x + kx * s.dilation_x - s.left
                if ix < 0 or ix >= width:
                    continue
                wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
                for i in range(group_in):
                    total = fma(x[n, low + i, iy, ix], weight[o, i, wy, wx], total)
        if s.has_bias:
            total += bias[o]
        output[n, o, oy, ox] = total


@kernel(over="grad_input")
def conv2d_backward_input(
    grad_output: Real4, weight: Real4, turned: Real4, grad_input: Real4, s: Window
) -> None:
    """grad_input = sum over the windows that cover a pixel of grad_output * weight.

    `turned` is the weight as (ky, kx, o, i).
    """
    out_channels, out_h, out_w = grad_output.shape[1], grad_output.shape[2], grad_output.shape[3]
    kernel_y, kernel_x, group_in = turned.shape[0], turned.shape[1], turned.shape[3]
    group_out = out_channels // s.groups
    for item in items(grad_input.size):
        rest, ix = split(item, grad_input.shape[3])
        rest, iy = split(rest, grad_input.shape[2])
        n, channel = split(rest, grad_input.shape[1])
        g, i = split(channel, group_in)
        low = g * group_out
        total = like(grad_input[n, channel, iy, ix], 0)
        for ky in range(kernel_y):
            reach_y = iy + s.top - ky * s.dilation_y
            if reach_y < 0 or reach_y % s.stride_y != 0 or reach_y // s.stride_y >= out_h:
                continue
            for kx in range(kernel_x):
                reach_x = ix + s.left - kx * s.dilation_x
                if reach_x < 0 or reach_x % s.stride_x != 0 or reach_x // s.stride_x >= out_w:
                    continue
                oy, ox = reach_y // s.stride_y, reach_x // s.stride_x
                wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
                for o in range(low, low + group_out):
                    total = fma(grad_output[n, o, oy, ox], turned[wy, wx, o, i], total)
        grad_input[n, channel, iy, ix] = total


@kernel(over="turned")
def conv2d_turn_weight(weight: Real4, turned: Real4) -> None:
    """turned[ky, kx, o, i] = weight[o, i, ky, kx]."""
    for item in items(turned.size):
        rest, i = split(item, turned.shape[3])
        rest, o = split(rest, turned.shape[2])
        ky, kx = split(rest, turned.shape[1])
        turned[ky, kx, o, i] = weight[o, i, ky, kx]


@kernel(over="partial")
def conv2d_backward_weight(x: Real4, grad_output: Real4, partial: Real5, s: Window) -> None:
    """Sum x * grad_output over each chunk's samples and all positions, in the weight's own order.

    `partial` has the shape (chunk, ky, kx, i, o), but only the amount of memory matters: adding the
    chunks as they lie must give the weight's gradient as it lies, which here is (o, i, ky, kx).
    """
    samples, out_channels, out_h, out_w = grad_output.shape
    height, width = x.shape[2], x.shape[3]
    kernel_y, kernel_x, group_in = partial.shape[1], partial.shape[2], partial.shape[3]
    group_out = out_channels // s.groups
    size = kernel_y * kernel_x * group_in * out_channels
    for item in items(partial.size):
        chunk, place = split(item, size)
        rest, wx = split(place, kernel_x)
        rest, wy = split(rest, kernel_y)
        o, i = split(rest, group_in)
        ky, kx = (kernel_y - 1 - wy, kernel_x - 1 - wx) if s.flip else (wy, wx)
        channel = o // group_out * group_in + i
        total = like(partial[chunk, 0, 0, 0, 0], 0)
        for n in range(chunk_start(chunk, samples), chunk_start(chunk + 1, samples)):
            for oy in range(out_h):
                iy = oy * s.stride_y + ky * s.dilation_y - s.top
                if iy < 0 or iy >= height:
                    continue
                for ox in range(out_w):
                    ix = ox * s.stride_x + kx * s.dilation_x - s.left
                    if ix < 0 or ix >= width:
                        continue
                    total = fma(x[n, channel, iy, ix], grad_output[n, o, oy, ox], total)
        rest, d = split(place, partial.shape[4])
        rest, c = split(rest, partial.shape[3])
        a, b = split(rest, partial.shape[2])
        partial[chunk, a, b, c, d] = total


@kernel(over="partial")
def conv2d_backward_bias(grad_output: Real4, partial: Real2) -> None:
    """partial[chunk, o] = sum of grad_output over the chunk's samples, rows and columns."""
    samples, out_channels, out_h, out_w = grad_output.shape
    for item in items(partial.size):
        chunk, o = split(item, out_channels)
        total = like(partial[chunk, o], 0)
        for n in range(chunk_start(chunk, samples), chunk_start(chunk + 1, samples)):
            for oy in range(out_h):
                for ox in up_to(out_w):
                    total += grad_output[n, o, oy, ox]
        partial[chunk, o] = total
