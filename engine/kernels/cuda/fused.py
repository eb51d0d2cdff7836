"""Convolution and matrix product with what follows them, in one pass over the output.

The same operations in the same order as the kernels that do them one by one. No plan uses these
on a GPU yet: they are the twins of the CPU's, so that both devices know the same words.
"""

from __future__ import annotations

from engine.kernels import scalar, winograd
from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._compat import cuda, device
from engine.kernels.cuda._index import items, split, up_to
from engine.kernels.cuda._jit import kernel
from engine.kernels.cuda.winograd import NUMBERS, read_tile
from engine.kernels.settings import FusedDense, FusedTiles, FusedWindow
from engine.kernels.types import Flat, Real1, Real2, Real4

normalize = device(scalar.normalize)
scale_and_shift = device(scalar.scale_and_shift)
relu = device(scalar.relu)
tiles_of = winograd.tiles_of
transform = winograd.transform
INPUT, OUTPUT = winograd.INPUT, winograd.OUTPUT


@kernel(over="output")
def conv2d_fused_forward(
    x: Real4,
    weight: Real4,
    bias: Real1,
    mean: Real1,
    inverse: Real1,
    scale: Real1,
    shift: Real1,
    residual: Real4,
    before: Real4,
    output: Real4,
    s: FusedWindow,
) -> None:
    """Convolution, then normalisation, residual and ReLU where the settings say so.

    With `keep`, `before` holds what goes into the ReLU.
    """
    height, width = x.shape[2], x.shape[3]
    group_in, kernel_y, kernel_x = weight.shape[1], weight.shape[2], weight.shape[3]
    group_out = output.shape[1] // s.groups
    for item in items(output.size):
        rest, ox = split(item, output.shape[3])
        rest, oy = split(rest, output.shape[2])
        n, o = split(rest, output.shape[1])
        low = o // group_out * group_in
        value = like(output[n, o, oy, ox], 0)
        for ky in range(kernel_y):
            iy = oy * s.stride_y + ky * s.dilation_y - s.top
            for kx in range(kernel_x):
                ix = ox * s.stride_x + kx * s.dilation_x - s.left
                wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
                inside = 0 <= iy < height and 0 <= ix < width
                for i in range(group_in):
                    v = x[n, low + i, iy, ix] if inside else like(value, 0)
                    value = fma(v, weight[o, i, wy, wx], value)
        if s.has_bias:
            value += bias[o]
        if s.has_norm:
            value = scale_and_shift(normalize(value, mean[o], inverse[o]), scale[o], shift[o])
        if s.has_residual:
            value += residual[n, o, oy, ox]
        if s.keep:
            before[n, o, oy, ox] = value
        output[n, o, oy, ox] = relu(value) if s.relu else value


@kernel(over="output")
def dense_fused_forward(
    x: Real2, weight: Real2, bias: Real1, before: Real2, output: Real2, s: FusedDense
) -> None:
    """Matrix product and ReLU in one; with `keep`, `before` holds what goes into the ReLU."""
    for item in items(output.size):
        n, o = split(item, output.shape[1])
        value = like(output[n, o], 0)
        for i in up_to(x.shape[1]):
            value = fma(x[n, i], weight[o, i], value)
        if s.has_bias:
            value += bias[o]
        if s.keep:
            before[n, o] = value
        output[n, o] = relu(value) if s.relu else value


@kernel(over="output")
def winograd_fused_forward(
    x: Real4,
    transformed: Flat,
    bias: Real1,
    mean: Real1,
    inverse: Real1,
    scale: Real1,
    shift: Real1,
    residual: Real4,
    before: Real4,
    output: Real4,
    s: FusedTiles,
) -> None:
    """`winograd_convolve`, then normalisation, residual and ReLU where the settings say so.

    With `keep`, `before` holds what goes into the ReLU.
    """
    samples, out_channels, out_h, out_w = output.shape
    channels, size = x.shape[1], s.tile + 2
    numbers = size * size
    rows, columns = tiles_of(out_h, s.tile), tiles_of(out_w, s.tile)
    seen = cuda.local.array(NUMBERS, x.dtype)
    sums = cuda.local.array(NUMBERS, x.dtype)
    for item in items(samples * out_channels * rows * columns):
        rest, column = split(item, columns)
        rest, row = split(rest, rows)
        n, o = split(rest, out_channels)
        top, left = row * s.tile, column * s.tile
        for k in range(numbers):
            sums[k] = like(sums[k], 0)
        for c in range(channels):
            read_tile(x, n, c, top - s.top, left - s.left, size, size, seen)
            transform(INPUT, s.tile, seen)
            first = (o * channels + c) * numbers
            for k in range(numbers):
                sums[k] = fma(seen[k], transformed[first + k], sums[k])
        transform(OUTPUT, s.tile, sums)
        for i in range(min(s.tile, out_h - top)):
            for j in range(min(s.tile, out_w - left)):
                value, y, u = sums[i * size + j], top + i, left + j
                if s.has_bias:
                    value += bias[o]
                if s.has_norm:
                    value = scale_and_shift(
                        normalize(value, mean[o], inverse[o]), scale[o], shift[o]
                    )
                if s.has_residual:
                    value += residual[n, o, y, u]
                if s.keep:
                    before[n, o, y, u] = value
                output[n, o, y, u] = relu(value) if s.relu else value
