"""Plain loops of depthwise convolution; see `plain.py`.

Every channel has a kernel of its own; weights lie as (panel, ky, kx, 1, lane), channel c in lane
c % lanes of panel c // lanes. The order of the sums is that of `plain.conv2d_forward` and its
gradients with one channel per group.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cpu._jit import inline, plain
from engine.kernels.cpu._share import share
from engine.kernels.settings import Window
from engine.kernels.types import Real1, Real4, Real5, Real6

chunk_start = inline(scalar.chunk_start)
CHUNKS = scalar.CHUNKS


@plain
def depthwise2d_forward(
    x: Real4, weight: Real5, bias: Real1, output: Real4, s: Window, thread: int, threads: int
) -> None:
    """output[n, c, y, x] = sum of x under the window times weight[c, ky, kx], plus bias[c]."""
    samples, out_h, out_w, channels = output.shape
    height, width = x.shape[1], x.shape[2]
    kernel_y, kernel_x, lanes = weight.shape[1], weight.shape[2], weight.shape[4]
    start, stop = share(samples * out_h, thread, threads)
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        for ox in range(out_w):
            for c in range(channels):
                total = like(output[n, oy, ox, c], 0)
                for ky in range(kernel_y):
                    iy = oy * s.stride_y + ky * s.dilation_y - s.top
                    for kx in range(kernel_x):
                        ix = ox * s.stride_x + kx * s.dilation_x - s.left
                        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
                        inside = 0 <= iy < height and 0 <= ix < width
                        v = x[n, iy, ix, c] if inside else like(total, 0)
                        total = fma(v, weight[c // lanes, wy, wx, 0, c % lanes], total)
                if s.has_bias:
                    total += bias[c]
                output[n, oy, ox, c] = total


@plain
def depthwise2d_backward_input(
    grad_output: Real4, weight: Real5, grad_input: Real4, s: Window, thread: int, threads: int
) -> None:
    """grad_input[n, c, y, x] = sum of grad_output times weight over the windows that cover (y, x).

    Taps come from the last to the first.
    """
    samples, height, width, channels = grad_input.shape
    out_h, out_w = grad_output.shape[1], grad_output.shape[2]
    kernel_y, kernel_x, lanes = weight.shape[1], weight.shape[2], weight.shape[4]
    start, stop = share(samples * height, thread, threads)
    for item in range(start, stop):
        n, iy = item // height, item % height
        for ix in range(width):
            for c in range(channels):
                total = like(grad_input[n, iy, ix, c], 0)
                for ky in range(kernel_y - 1, -1, -1):
                    reach_y = iy + s.top - ky * s.dilation_y
                    for kx in range(kernel_x - 1, -1, -1):
                        reach_x = ix + s.left - kx * s.dilation_x
                        if reach_y % s.stride_y != 0 or reach_x % s.stride_x != 0:
                            continue
                        oy, ox = reach_y // s.stride_y, reach_x // s.stride_x
                        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
                        inside = 0 <= oy < out_h and 0 <= ox < out_w
                        v = grad_output[n, oy, ox, c] if inside else like(total, 0)
                        total = fma(v, weight[c // lanes, wy, wx, 0, c % lanes], total)
                grad_input[n, iy, ix, c] = total


@plain
def depthwise2d_backward_weight(
    x: Real4, grad_output: Real4, partial: Real6, s: Window, thread: int, threads: int
) -> None:
    """partial[chunk, c, ky, kx] = sum of x * grad_output over the chunk's samples and places."""
    samples, out_h, out_w, channels = grad_output.shape
    height, width = x.shape[1], x.shape[2]
    kernel_y, kernel_x, lanes = partial.shape[2], partial.shape[3], partial.shape[5]
    start, stop = share(CHUNKS * kernel_y * kernel_x, thread, threads)
    for task in range(start, stop):
        chunk, tap = task // (kernel_y * kernel_x), task % (kernel_y * kernel_x)
        ky, kx = tap // kernel_x, tap % kernel_x
        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
        for c in range(channels):
            total = like(partial[chunk, c // lanes, wy, wx, 0, c % lanes], 0)
            for n in range(chunk_start(chunk, samples), chunk_start(chunk + 1, samples)):
                for oy in range(out_h):
                    iy = oy * s.stride_y + ky * s.dilation_y - s.top
                    for ox in range(out_w):
                        ix = ox * s.stride_x + kx * s.dilation_x - s.left
                        inside = 0 <= iy < height and 0 <= ix < width
                        v = x[n, iy, ix, c] if inside else like(total, 0)
                        total = fma(v, grad_output[n, oy, ox, c], total)
            partial[chunk, c // lanes, wy, wx, 0, c % lanes] = total
