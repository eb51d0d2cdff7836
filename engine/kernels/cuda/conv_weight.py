"""Gradients of a convolution's weights and bias; `conv.py` tells the order of their sums."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._compat import device
from engine.kernels.cuda._index import items, split, up_to
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Window
from engine.kernels.types import Real2, Real4, Real5

chunk_start = device(scalar.chunk_start)


@kernel(over="partial")
def conv2d_backward_weight(x: Real4, grad_output: Real4, partial: Real5, s: Window) -> None:
    """partial[chunk, o, i, ky, kx] = sum of x * grad_output over the chunk's samples and places."""
    samples, out_channels, out_h, out_w = grad_output.shape
    height, width = x.shape[2], x.shape[3]
    group_in, kernel_y, kernel_x = partial.shape[2], partial.shape[3], partial.shape[4]
    group_out = out_channels // s.groups
    for item in items(partial.size):
        rest, wx = split(item, kernel_x)
        rest, wy = split(rest, kernel_y)
        rest, i = split(rest, group_in)
        chunk, o = split(rest, out_channels)
        ky, kx = (kernel_y - 1 - wy, kernel_x - 1 - wx) if s.flip else (wy, wx)
        channel = o // group_out * group_in + i
        total = like(partial[chunk, o, i, wy, wx], 0)
        for n in range(chunk_start(chunk, samples), chunk_start(chunk + 1, samples)):
            for oy in range(out_h):
                iy = oy * s.stride_y + ky * s.dilation_y - s.top
                for ox in range(out_w):
                    ix = ox * s.stride_x + kx * s.dilation_x - s.left
                    inside = 0 <= iy < height and 0 <= ix < width
                    v = x[n, channel, iy, ix] if inside else like(total, 0)
                    total = fma(v, grad_output[n, o, oy, ox], total)
        partial[chunk, o, i, wy, wx] = total


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
