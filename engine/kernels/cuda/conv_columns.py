"""The input gradient of a convolution with few input channels; order as on the CPU."""

from __future__ import annotations

from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._index import items, split
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Columns
from engine.kernels.types import Real2, Real4


@kernel(over="columns")
def conv2d_weight_columns(weight: Real4, columns: Real2, s: Columns) -> None:
    """columns[(ky, kx, i), o] = the weight [o, i] that meets window place (ky, kx)."""
    group_in, kernel_y, kernel_x = weight.shape[1], weight.shape[2], weight.shape[3]
    for item in items(columns.size):
        place, o = split(item, columns.shape[1])
        tap, i = split(place, group_in)
        ky, kx = split(tap, kernel_x)
        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
        columns[place, o] = weight[o, i, wy, wx]


@kernel(over="grad_input")
def conv2d_backward_input_columns(
    grad_output: Real4, columns: Real2, grad_input: Real4, s: Columns
) -> None:
    """grad_input for few channels: each tap's sum over output channels, then these sums.

    Taps come from the last to the first; those outside grad_output are left out.
    """
    out_channels, out_h, out_w = grad_output.shape[1], grad_output.shape[2], grad_output.shape[3]
    channels = grad_input.shape[1]
    for item in items(grad_input.size):
        rest, ix = split(item, grad_input.shape[3])
        rest, iy = split(rest, grad_input.shape[2])
        n, i = split(rest, channels)
        total = like(grad_input[n, i, iy, ix], 0)
        for back in range(s.kernel_y * s.kernel_x):
            tap = s.kernel_y * s.kernel_x - 1 - back
            ky, kx = split(tap, s.kernel_x)
            reach_y, reach_x = iy + s.top - ky, ix + s.left - kx
            if reach_y < 0 or reach_y % s.stride_y != 0 or reach_y // s.stride_y >= out_h:
                continue
            if reach_x < 0 or reach_x % s.stride_x != 0 or reach_x // s.stride_x >= out_w:
                continue
            oy, ox = reach_y // s.stride_y, reach_x // s.stride_x
            part = like(total, 0)
            for o in range(out_channels):
                part = fma(grad_output[n, o, oy, ox], columns[tap * channels + i, o], part)
            total += part
        grad_input[n, i, iy, ix] = total
