"""The input gradient of a convolution with few input channels; order as on the CPU."""

from __future__ import annotations

from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._index import items, split
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Columns
from engine.kernels.types import Real4


@kernel(over="columns")
def conv2d_weight_columns(weight: Real4, columns: Real4, s: Columns) -> None:
    """columns[(kx, i), o, ky] = the weight [o, i] that meets window place (ky, kx)."""
    group_in, kernel_y, kernel_x = weight.shape[1], weight.shape[2], weight.shape[3]
    for item in items(columns.size):
        rest, ky = split(item, kernel_y)
        place, o = split(rest, columns.shape[1])
        kx, i = split(place, group_in)
        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
        columns[place, o, ky, 0] = weight[o, i, wy, wx]


@kernel(over="grad_input")
def conv2d_backward_input_columns(
    grad_output: Real4, columns: Real4, grad_input: Real4, s: Columns
) -> None:
    """grad_input for few channels: the sum of each kernel column first, then these sums.

    Kernel rows and columns come from the last to the first; what lies outside grad_output is left
    out.
    """
    out_channels, out_h, out_w = grad_output.shape[1], grad_output.shape[2], grad_output.shape[3]
    channels = grad_input.shape[1]
    for item in items(grad_input.size):
        rest, ix = split(item, grad_input.shape[3])
        rest, iy = split(rest, grad_input.shape[2])
        n, i = split(rest, channels)
        total = like(grad_input[n, i, iy, ix], 0)
        for back_x in range(s.kernel_x):
            kx = s.kernel_x - 1 - back_x
            reach_x = ix + s.left - kx
            if reach_x < 0 or reach_x % s.stride_x != 0 or reach_x // s.stride_x >= out_w:
                continue
            ox, part = reach_x // s.stride_x, like(total, 0)
            for back_y in range(s.kernel_y):
                ky = s.kernel_y - 1 - back_y
                reach_y = iy + s.top - ky
                if reach_y < 0 or reach_y % s.stride_y != 0 or reach_y // s.stride_y >= out_h:
                    continue
                oy = reach_y // s.stride_y
                for o in range(out_channels):
                    w = columns[kx * channels + i, o, ky, 0]
                    part = fma(grad_output[n, o, oy, ox], w, part)
            total += part
        grad_input[n, i, iy, ix] = total
