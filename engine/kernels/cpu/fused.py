"""Convolution and matrix product together with what follows them, while results are in the cache.

The same operations on the same numbers as by the kernels that do them one after the other, so the
same bits; `plain.py` has them as plain loops.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cpu import plain
from engine.kernels.cpu._bands import band_rows, span
from engine.kernels.cpu._jit import inline
from engine.kernels.cpu._microkernel import fast
from engine.kernels.cpu._share import share
from engine.kernels.cpu.conv import forward_band
from engine.kernels.cpu.dense import product, share_block
from engine.kernels.settings import FusedDense, FusedWindow
from engine.kernels.types import Real1, Real2, Real3, Real4, Real5

normalize = inline(scalar.normalize)
scale_and_shift = inline(scalar.scale_and_shift)
relu = inline(scalar.relu)


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
        for y in range(row, row + rows):
            out = output[n, y].reshape(-1)
            if s.has_norm:
                for p in range(out_w):
                    pixel = out[p * out_channels :][:out_channels]
                    for o in range(pixel.size):
                        pixel[o] = scale_and_shift(
                            normalize(pixel[o], mean[o], inverse[o]), scale[o], shift[o]
                        )
            if s.has_residual:
                other = residual[n, y].reshape(-1)
                for i in range(out.size):
                    out[i] += other[i]
            if s.keep:
                kept = before[n, y].reshape(-1)
                for i in range(out.size):
                    kept[i] = out[i]
            if s.relu:
                for i in range(out.size):
                    out[i] = relu(out[i])
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
        out, kept = output[n, low:high], before[n if s.keep else 0][low:high]
        if s.keep:
            for i in range(out.size):
                kept[i] = out[i]
        if s.relu:
            for i in range(out.size):
                out[i] = relu(out[i])
