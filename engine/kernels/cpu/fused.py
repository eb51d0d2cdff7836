"""Convolution and matrix product together with what follows them, while results are in the cache.

The same operations on the same numbers as by the kernels that do them one after the other, so the
same bits; `plain.py` has them as plain loops.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import like
from engine.kernels.cpu import plain
from engine.kernels.cpu._bands import band_rows, span
from engine.kernels.cpu._jit import inline
from engine.kernels.cpu._microkernel import fast
from engine.kernels.cpu._share import share
from engine.kernels.cpu._vector import lanes_of, load, select, store, zeros
from engine.kernels.cpu.conv import forward_band
from engine.kernels.cpu.dense import product, share_block
from engine.kernels.settings import FusedDense, FusedWindow
from engine.kernels.types import Real1, Real2, Real3, Real4, Real5

normalize = inline(scalar.normalize)
scale_and_shift = inline(scalar.scale_and_shift)
relu = inline(scalar.relu)


@inline
def finish_numbers(
    output: Real4, before: Real4, first: int, last: int, s: FusedWindow | FusedDense
) -> None:
    """Keep the numbers of a flat range of `output`, and rectify them."""
    shape, place = zeros(output, 1), first
    size, zero = lanes_of(shape), like(shape, 0)
    while place + size <= last:
        value = load(output, place, shape)
        if s.keep:
            store(before, place, value)
        if s.relu:
            store(output, place, select(value <= zero, zero, value))
        place += size
    out, kept = output.reshape(-1), before.reshape(-1)
    for i in range(place, last):
        if s.keep:
            kept[i] = out[i]
        if s.relu:
            out[i] = relu(out[i])


@inline
def finish_pixels(
    output: Real4,
    norm: tuple[Real1, Real1, Real1, Real1],
    residual: Real4,
    before: Real4,
    first: int,
    last: int,
    s: FusedWindow,
) -> None:
    """Normalise the pixels of a flat range of `output`, add the residual, keep and rectify."""
    mean, inverse, scale, shift = norm
    channels, shape = output.shape[3], zeros(output, 1)
    size, zero = lanes_of(shape), like(shape, 0)
    out, other, kept = output.reshape(-1), residual.reshape(-1), before.reshape(-1)
    for pixel in range(first, last, channels):
        c = 0
        while c + size <= channels:
            value = load(output, pixel + c, shape)
            if s.has_norm:
                value = scale_and_shift(
                    normalize(value, load(mean, c, shape), load(inverse, c, shape)),
                    load(scale, c, shape),
                    load(shift, c, shape),
                )
            if s.has_residual:
                value = value + load(residual, pixel + c, shape)
            if s.keep:
                store(before, pixel + c, value)
            if s.relu:
                value = select(value <= zero, zero, value)
            store(output, pixel + c, value)
            c += size
        for i in range(c, channels):
            number = out[pixel + i]
            if s.has_norm:
                number = scale_and_shift(normalize(number, mean[i], inverse[i]), scale[i], shift[i])
            if s.has_residual:
                number += other[pixel + i]
            if s.keep:
                kept[pixel + i] = number
            out[pixel + i] = relu(number) if s.relu else number


@fast(plain.conv2d_fused_forward)
def conv2d_fused_forward(
    x: Real4,
    weight: Real5,
    bias: Real1,
    mean: Real1,
    inverse: Real1,
    scale: Real1,
    shift: Real1,
    residual: Real4,
    before: Real4,
    output: Real4,
    s: FusedWindow,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Bands of output rows, finished while they are in the cache; see the plain version."""
    samples, out_h, out_w, out_channels = output.shape
    line = span(out_w, s.stride_x, weight.shape[2], s.dilation_x) * x.shape[3] * x.itemsize
    most = band_rows(line, s.stride_y, weight.shape[1], s.dilation_y)
    start, stop = share(samples * out_h, thread, threads)
    while start < stop:
        n, row = start // out_h, start % out_h
        rows = min(most, out_h - row, stop - start)
        address = bias.ctypes.data if s.has_bias else 0
        forward_band(x, weight, address, output, s, n, row, rows, 0, work)
        first, last = start * out_w * out_channels, (start + rows) * out_w * out_channels
        if s.has_norm or s.has_residual:
            norm = (mean, inverse, scale, shift)
            finish_pixels(output, norm, residual, before, first, last, s)
        else:
            finish_numbers(output, before, first, last, s)
        start += rows


@fast(plain.dense_fused_forward)
def dense_fused_forward(
    x: Real2,
    weight: Real3,
    bias: Real1,
    before: Real2,
    output: Real2,
    s: FusedDense,
    thread: int,
    threads: int,
) -> None:
    """Rows are samples, finished while they are in the cache; see the plain version."""
    start, stop, first, last = share_block(x.shape[0], weight.shape[0], thread, threads)
    address = bias.ctypes.data if s.has_bias else 0
    product(x, weight, address, output, (start, stop), (first, last))
    low, high = first * weight.shape[2], min(last * weight.shape[2], output.shape[1])
    for n in range(start, stop):
        row = n * output.shape[1]
        finish_numbers(output, before, row + low, row + high, s)
