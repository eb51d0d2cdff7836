"""Convolution and matrix product together with what follows them, while results are in the cache.

The same operations on the same numbers as by the kernels that do them one after the other, so the
same bits; `plain.py` and `plain_winograd.py` have them as plain loops.
"""

from __future__ import annotations

from typing import Any

from engine.kernels import scalar
from engine.kernels.arithmetic import like
from engine.kernels.cpu import plain, plain_winograd
from engine.kernels.cpu._bands import band_rows, span
from engine.kernels.cpu._jit import inline
from engine.kernels.cpu._microkernel import RECTIFY, fast
from engine.kernels.cpu._share import share
from engine.kernels.cpu._vector import lanes_of, load, select, store, zeros
from engine.kernels.cpu._winograd import provide_transforms
from engine.kernels.cpu.conv import forward_band
from engine.kernels.cpu.dense import product, share_block
from engine.kernels.cpu.winograd import (
    INPUT,
    OUTPUT,
    corner_of,
    plan_blocks,
    put_tiles,
    sum_block,
    tiles_of,
)
from engine.kernels.settings import FusedDense, FusedTiles, FusedWindow
from engine.kernels.types import Flat, Real1, Real2, Real3, Real4, Real5

FRESH_BYTES = 16 * 1024
"""Results that are finished together: half of the first-level cache."""

normalize = inline(scalar.normalize)
scale_and_shift = inline(scalar.scale_and_shift)
relu = inline(scalar.relu)


@inline
def finish_numbers(
    output: Real4, before: Real4, first: int, last: int, s: FusedWindow | FusedTiles | FusedDense
) -> None:
    """Keep the numbers of a flat range of `output`, and rectify them."""
    shape, place = zeros(output, 1), first
    size, zero = lanes_of(shape), like(shape, 0)
    while place + size <= last:
        value = load(output, place, shape)
        if s.keep:
            store(before, place, value)
        if s.relu:
            # The sum with zero changes no bit that is stored. Without it LLVM would store under a
            # mask, only where the number changes, which takes some processors many times as long.
            value = value + zero
            store(output, place, select(value <= zero, zero, value))
        place += size
    out, kept = output.reshape(-1), before.reshape(-1)
    for i in range(place, last):
        if s.keep:
            kept[i] = out[i]
        if s.relu:
            out[i] = relu(out[i])


@inline
def rectify(before: Real4, output: Real4, first: int, last: int, relu_too: int) -> None:
    """Copy a flat range of numbers, without those below zero if asked for."""
    shape, place = zeros(output, 1), first
    size, zero = lanes_of(shape), like(shape, 0)
    while place + size <= last:
        value = load(before, place, shape)
        store(output, place, select(value <= zero, zero, value) if relu_too else value)
        place += size
    out, kept = output.reshape(-1), before.reshape(-1)
    for i in range(place, last):
        out[i] = relu(kept[i]) if relu_too else kept[i]


@inline
def finish_lanes(
    output: Real4,
    norm: tuple[Real1, Real1, Real1, Real1],
    residual: Real4,
    before: Real4,
    first: int,
    last: int,
    c: int,
    shape: Any,
    s: FusedWindow | FusedTiles,
) -> None:
    """Finish the channels from `c` on, as many as `shape` has, of the pixels of a flat range."""
    zero, mean, inverse, scale, shift = shape, shape, shape, shape, shape
    if s.has_norm:
        mean, inverse = load(norm[0], c, shape), load(norm[1], c, shape)
        scale, shift = load(norm[2], c, shape), load(norm[3], c, shape)
    for place in range(first + c, last, output.shape[3]):
        value = load(output, place, shape)
        if s.has_norm:
            value = scale_and_shift(normalize(value, mean, inverse), scale, shift)
        if s.has_residual:
            value = value + load(residual, place, shape)
        if s.keep:
            store(before, place, value)
        if s.relu:
            value = select(value <= zero, zero, value)
        store(output, place, value)


@inline
def finish_pixels(
    output: Real4,
    norm: tuple[Real1, Real1, Real1, Real1],
    residual: Real4,
    before: Real4,
    first: int,
    last: int,
    s: FusedWindow | FusedTiles,
) -> None:
    """Normalise the pixels of a flat range of `output`, add the residual, keep and rectify."""
    mean, inverse, scale, shift = norm
    channels, one, two = output.shape[3], zeros(output, 1), zeros(output, 2)
    out, other, kept = output.reshape(-1), residual.reshape(-1), before.reshape(-1)
    step = max(FRESH_BYTES // (channels * output.itemsize), 1) * channels
    for low in range(first, last, step):
        # A few pixels that stay in the first-level cache, cache line by cache line.
        high, c = min(low + step, last), 0
        while c + lanes_of(two) <= channels:
            finish_lanes(output, norm, residual, before, low, high, c, two, s)
            c += lanes_of(two)
        while c + lanes_of(one) <= channels:
            finish_lanes(output, norm, residual, before, low, high, c, one, s)
            c += lanes_of(one)
        for i in range(c, channels):
            for place in range(low + i, high, channels):
                number = out[place]
                if s.has_norm:
                    number = normalize(number, mean[i], inverse[i])
                    number = scale_and_shift(number, scale[i], shift[i])
                if s.has_residual:
                    number += other[place]
                if s.keep:
                    kept[place] = number
                out[place] = relu(number) if s.relu else number


@inline
def finish(
    output: Real4,
    norm: tuple[Real1, Real1, Real1, Real1],
    residual: Real4,
    before: Real4,
    first: int,
    last: int,
    s: FusedWindow | FusedTiles,
) -> None:
    """Do what follows the sums to the pixels of a flat range of `output`."""
    if s.has_norm or s.has_residual:
        finish_pixels(output, norm, residual, before, first, last, s)
    else:
        finish_numbers(output, before, first, last, s)


@fast(plain.conv2d_fused_forward, parts=8)
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
        first, last = start * out_w * out_channels, (start + rows) * out_w * out_channels
        if s.has_norm or s.has_residual:
            forward_band(x, weight, address, output, s, n, row, rows, 0, work)
            finish_pixels(output, (mean, inverse, scale, shift), residual, before, first, last, s)
        else:
            # A ReLU alone costs nothing where sums are stored, or one reading if these are kept.
            target = before if s.keep else output
            rectified = RECTIFY if s.relu and not s.keep else 0
            forward_band(x, weight, address, target, s, n, row, rows, rectified, work)
            if s.keep:
                rectify(before, output, first, last, s.relu)
        start += rows


@inline
def finish_tiles(
    output: Real4,
    norm: tuple[Real1, Real1, Real1, Real1],
    residual: Real4,
    before: Real4,
    first: int,
    count: int,
    s: FusedTiles,
) -> None:
    """Do what follows the sums to the outputs of neighbouring tiles of one row of tiles."""
    out_h, out_w, channels = output.shape[1:]
    rows, columns = tiles_of(out_h, s.tile), tiles_of(out_w, s.tile)
    n, top, left = corner_of(first, rows, columns, s.tile)
    tall, wide = min(s.tile, out_h - top), min(count * s.tile, out_w - left)
    if wide == out_w:
        # Whole rows of the image follow each other.
        tall, wide = 1, tall * out_w
    for row in range(tall):
        pixel = (n * out_h + top + row) * out_w + left
        place = pixel * channels
        finish(output, norm, residual, before, place, place + wide * channels, s)


@fast(plain_winograd.winograd_fused_forward, provide_transforms(INPUT, OUTPUT), parts=3)
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
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Blocks of tiles, finished while they are in the cache; see the plain version."""
    samples, out_h, out_w, channels = output.shape
    columns = tiles_of(out_w, s.tile)
    start, stop = share(samples * tiles_of(out_h, s.tile) * columns, thread, threads)
    fresh = max(1, FRESH_BYTES // (s.tile * s.tile * channels * output.itemsize))
    places = plan_blocks(x, output, s.tile, work)
    for first in range(start, stop, places[0]):
        count, done = min(places[0], stop - first), 0
        sum_block(x, transformed, output, s, places, first, count)
        while done < count:
            # As many as lie side by side.
            taken = min(count - done, columns - (first + done) % columns, fresh)
            put_tiles(bias, output, s, places, first, done, done + taken)
            norm = (mean, inverse, scale, shift)
            finish_tiles(output, norm, residual, before, first + done, taken, s)
            done += taken


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
    target, rectified = before if s.keep else output, 1 if s.relu and not s.keep else 0
    product(x, weight, address, target, (start, stop), (first, last), rectified)
    if s.keep:
        low, high = first * weight.shape[2], min(last * weight.shape[2], output.shape[1])
        for n in range(start, stop):
            row = n * output.shape[1]
            rectify(before, output, row + low, row + high, s.relu)
