"""Depthwise convolution on (n, c, y, x) memory and (c, 1, ky, kx) weights; order as on the CPU."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._compat import device
from engine.kernels.cuda._index import items, split
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Window
from engine.kernels.types import Real1, Real4, Real5

chunk_start = device(scalar.chunk_start)
CHUNKS = scalar.CHUNKS


@kernel(over="output")
def depthwise2d_forward(x: Real4, weight: Real4, bias: Real1, output: Real4, s: Window) -> None:
    """output[n, c, y, x] = sum of x under the window times weight[c, ky, kx], plus bias[c]."""
    height, width = x.shape[2], x.shape[3]
    kernel_y, kernel_x = weight.shape[2], weight.shape[3]
    for item in items(output.size):
        rest, ox = split(item, output.shape[3])
        rest, oy = split(rest, output.shape[2])
        n, c = split(rest, output.shape[1])
        total = like(output[n, c, oy, ox], 0)
        for ky in range(kernel_y):
            iy = oy * s.stride_y + ky * s.dilation_y - s.top
            for kx in range(kernel_x):
                ix = ox * s.stride_x + kx * s.dilation_x - s.left
                inside = 0 <= iy < height and 0 <= ix < width
                wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
                v = x[n, c, iy, ix] if inside else like(total, 0)
                total = fma(v, weight[c, 0, wy, wx], total)
        if s.has_bias:
            total += bias[c]
        output[n, c, oy, ox] = total


@kernel(over="grad_input")
def depthwise2d_backward_input(
    grad_output: Real4, weight: Real4, grad_input: Real4, s: Window
) -> None:
    """grad_input = sum of grad_output * weight over the windows that cover a pixel."""
    out_h, out_w = grad_output.shape[2], grad_output.shape[3]
    kernel_y, kernel_x = weight.shape[2], weight.shape[3]
    for item in items(grad_input.size):
        rest, ix = split(item, grad_input.shape[3])
        rest, iy = split(rest, grad_input.shape[2])
        n, c = split(rest, grad_input.shape[1])
        total = like(grad_input[n, c, iy, ix], 0)
        for ty in range(kernel_y):
            ky = kernel_y - 1 - ty
            reach_y = iy + s.top - ky * s.dilation_y
            if reach_y % s.stride_y != 0:
                continue
            for tx in range(kernel_x):
                kx = kernel_x - 1 - tx
                reach_x = ix + s.left - kx * s.dilation_x
                if reach_x % s.stride_x != 0:
                    continue
                oy, ox = reach_y // s.stride_y, reach_x // s.stride_x
                inside = 0 <= oy < out_h and 0 <= ox < out_w
                wy, wx = (ty, tx) if s.flip else (ky, kx)
                v = grad_output[n, c, oy, ox] if inside else like(total, 0)
                total = fma(v, weight[c, 0, wy, wx], total)
        grad_input[n, c, iy, ix] = total


@kernel(over="partial")
def depthwise2d_backward_weight(x: Real4, grad_output: Real4, partial: Real5, s: Window) -> None:
    """partial[chunk, c, 0, ky, kx] = sum of x * grad_output over the chunk's samples and places."""
    samples, channels, out_h, out_w = grad_output.shape
    height, width = x.shape[2], x.shape[3]
    kernel_y, kernel_x = partial.shape[3], partial.shape[4]
    for item in items(partial.size):
        rest, wx = split(item, kernel_x)
        rest, wy = split(rest, kernel_y)
        chunk, c = split(rest, channels)
        ky, kx = (kernel_y - 1 - wy, kernel_x - 1 - wx) if s.flip else (wy, wx)
        total = like(partial[chunk, c, 0, wy, wx], 0)
        for n in range(chunk_start(chunk, samples), chunk_start(chunk + 1, samples)):
            for oy in range(out_h):
                iy = oy * s.stride_y + ky * s.dilation_y - s.top
                for ox in range(out_w):
                    ix = ox * s.stride_x + kx * s.dilation_x - s.left
                    inside = 0 <= iy < height and 0 <= ix < width
                    v = x[n, c, iy, ix] if inside else like(total, 0)
                    total = fma(v, grad_output[n, c, oy, ox], total)
        partial[chunk, c, 0, wy, wx] = total
