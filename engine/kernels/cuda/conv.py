"""Two-dimensional convolution and its gradients, on (n, c, y, x) memory and (o, i, ky, kx) weights.

Accumulation order, as on the CPU: forward adds kernel rows, kernel columns, input channels from 0,
bias last; the gradient of the input adds kernel rows and columns from the last to the first, output
channels; the gradient of a weight adds samples, output rows, output columns inside each of the
fixed chunks of the batch, then the chunks in order. Every step is one fused multiply-add. Taps in
the padding take part as zeros. One thread makes one result, neighbouring threads make neighbouring
pixels.
"""

from __future__ import annotations

from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._index import items, split
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Window
from engine.kernels.types import Real1, Real4


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
            for kx in range(kernel_x):
                ix = ox * s.stride_x + kx * s.dilation_x - s.left
                inside = 0 <= iy < height and 0 <= ix < width
                wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
                for i in range(group_in):
                    v = x[n, low + i, iy, ix] if inside else like(total, 0)
                    total = fma(v, weight[o, i, wy, wx], total)
        if s.has_bias:
            total += bias[o]
        output[n, o, oy, ox] = total


@kernel(over="grad_input")
def conv2d_backward_input(grad_output: Real4, turned: Real4, grad_input: Real4, s: Window) -> None:
    """grad_input = sum over the windows that cover a pixel of grad_output * weight.

    `turned` is the weight as (i, o, ky, kx), given half a turn.
    """
    out_channels, out_h, out_w = grad_output.shape[1], grad_output.shape[2], grad_output.shape[3]
    group_in, kernel_y, kernel_x = turned.shape[0], turned.shape[2], turned.shape[3]
    group_out = out_channels // s.groups
    for item in items(grad_input.size):
        rest, ix = split(item, grad_input.shape[3])
        rest, iy = split(rest, grad_input.shape[2])
        n, channel = split(rest, grad_input.shape[1])
        g, i = split(channel, group_in)
        low = g * group_out
        total = like(grad_input[n, channel, iy, ix], 0)
        for ty in range(kernel_y):
            reach_y = iy + s.top - (kernel_y - 1 - ty) * s.dilation_y
            if reach_y % s.stride_y != 0:
                continue
            for tx in range(kernel_x):
                reach_x = ix + s.left - (kernel_x - 1 - tx) * s.dilation_x
                if reach_x % s.stride_x != 0:
                    continue
                oy, ox = reach_y // s.stride_y, reach_x // s.stride_x
                inside = 0 <= oy < out_h and 0 <= ox < out_w
                for o in range(low, low + group_out):
                    v = grad_output[n, o, oy, ox] if inside else like(total, 0)
                    total = fma(v, turned[i, o, ty, tx], total)
        grad_input[n, channel, iy, ix] = total
