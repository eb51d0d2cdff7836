"""Maximum pooling on (n, c, y, x) memory. Windows are read row by row; padding never wins.

Gradients are gathered: each input pixel visits the windows that cover it, in row order, so that no
two threads add to one number.
"""

from __future__ import annotations

from engine.kernels.arithmetic import like
from engine.kernels.cuda._index import items, split
from engine.kernels.cuda._jit import kernel
from engine.kernels.cuda._windows import first_window, past_window
from engine.kernels.settings import Pool
from engine.kernels.types import Real4


@kernel(over="output")
def max_pool2d_forward(x: Real4, output: Real4, winner: Real4, s: Pool) -> None:
    """output = largest value of each window (a NaN wins); winner = its number in the window.

    The number is ky * kernel_x + kx, kept as a real number.
    """
    height, width = x.shape[2], x.shape[3]
    for item in items(output.size):
        rest, ox = split(item, output.shape[3])
        rest, oy = split(rest, output.shape[2])
        n, c = split(rest, output.shape[1])
        best, tap = output[n, c, oy, ox], -1
        for ky in range(s.kernel_y):
            iy = oy * s.stride_y + ky * s.dilation_y - s.top
            if iy < 0 or iy >= height:
                continue
            for kx in range(s.kernel_x):
                ix = ox * s.stride_x + kx * s.dilation_x - s.left
                if ix < 0 or ix >= width:
                    continue
                v = x[n, c, iy, ix]
                if tap < 0 or v > best or v != v:
                    best, tap = v, ky * s.kernel_x + kx
        output[n, c, oy, ox] = best
        winner[n, c, oy, ox] = tap


@kernel(over="grad_input")
def max_pool2d_backward(grad_output: Real4, winner: Real4, grad_input: Real4, s: Pool) -> None:
    """grad_input = sum of grad_output of the windows that a cell won, in row order."""
    out_h, out_w = grad_output.shape[2], grad_output.shape[3]
    for item in items(grad_input.size):
        rest, ix = split(item, grad_input.shape[3])
        rest, iy = split(rest, grad_input.shape[2])
        n, c = split(rest, grad_input.shape[1])
        reach_y, reach_x = iy + s.top, ix + s.left
        first_y = first_window(reach_y, s.kernel_y, s.stride_y, s.dilation_y)
        first_x = first_window(reach_x, s.kernel_x, s.stride_x, s.dilation_x)
        total = like(grad_input[n, c, iy, ix], 0)
        for oy in range(first_y, past_window(reach_y, s.stride_y, out_h)):
            ky = reach_y - oy * s.stride_y
            for ox in range(first_x, past_window(reach_x, s.stride_x, out_w)):
                kx = reach_x - ox * s.stride_x
                if ky % s.dilation_y == 0 and kx % s.dilation_x == 0:
                    tap = ky // s.dilation_y * s.kernel_x + kx // s.dilation_x
                    if winner[n, c, oy, ox] == like(total, tap):
                        total += grad_output[n, c, oy, ox]
        grad_input[n, c, iy, ix] = total
