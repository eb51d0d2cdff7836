"""Batch normalisation, vectors across channels.

Sums add samples, rows, columns within `CHUNKS` fixed chunks of all pixels, then the chunks in
order; a chunk's sums stay in registers. `plain_norm` has the same kernels as plain loops.
"""

from __future__ import annotations

from typing import Any

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cpu import plain_norm
from engine.kernels.cpu._jit import WORK_BYTES, inline, kernel
from engine.kernels.cpu._memory import numbers_at
from engine.kernels.cpu._share import share
from engine.kernels.cpu._vector import (
    block_at,
    embed,
    lanes_of,
    load,
    put,
    store,
    store_first,
    vectorised,
    zeros,
)
from engine.kernels.settings import Normalization
from engine.kernels.types import Flat, Real1, Real2

chunk_start = inline(scalar.chunk_start)
running_average = inline(scalar.running_average)
inverse_deviation = embed(scalar.inverse_deviation)
normalize = embed(scalar.normalize)
scale_and_shift = embed(scalar.scale_and_shift)
batch_norm_gradient = embed(scalar.batch_norm_gradient)
CHUNKS = scalar.CHUNKS
TILE = 32
"""Pixels of few channels that are done block by block, with what belongs to a channel in registers.

Longer pixels are done one after the other, as they lie in memory.
"""
PART = WORK_BYTES // 4 // 8 - 512
"""Channels that are done at a time: their numbers fit a quarter of a thread's scratch."""
APART = WORK_BYTES // 4 + 576
"""Bytes between such quarters: no multiple of a page, or they would share places in the cache."""


# ------------------------------------------------------------------------------------- sums


@embed
def _sum(x: Any, c: int, rows: Any, channels: int, zero: Any) -> Any:
    """Return the sum of a block of channels over a range of pixels."""
    total = zero
    for place in range(rows[0] * channels + c, rows[1] * channels + c, channels):
        total = total + load(x, place, zero)
    return total


@embed
def _sum_chunk(x: Any, partial: Any, chunk: int, s: Normalization) -> None:
    """Store the sums of all channels over one chunk."""
    count, channels = s.samples * s.plane, s.channels
    rows = (chunk_start(chunk, count), chunk_start(chunk + 1, count))
    wide, one, target = zeros(x, 4), zeros(x, 1), chunk * channels
    if channels >= lanes_of(wide):
        for c in range(0, channels, lanes_of(wide)):
            at = block_at(c, channels, lanes_of(wide))
            store(partial, target + at, _sum(x, at, rows, channels, wide))
        return
    for c in range(0, channels, lanes_of(one)):
        at = block_at(c, channels, lanes_of(one))
        total = _sum(x, at, rows, channels, one)
        store_first(partial, target + at, total, min(channels, lanes_of(one)))


@vectorised(plain_norm.batch_norm_sum)
def batch_norm_sum(x: Flat, partial: Real2, s: Normalization, thread: int, threads: int) -> None:
    """partial[chunk, c] = sum of x over the chunk."""
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        _sum_chunk(x, partial, chunk, s)


@embed
def _squares(x: Any, mean: Any, c: int, rows: Any, channels: int, zero: Any) -> Any:
    """Return the sum of (x - mean) squared of a block of channels over a range of pixels."""
    total, middle = zero, load(mean, c, zero)
    for place in range(rows[0] * channels + c, rows[1] * channels + c, channels):
        d = load(x, place, zero) - middle
        total = fma(d, d, total)
    return total


@vectorised(plain_norm.batch_norm_squares)
def batch_norm_squares(
    x: Flat, mean: Real1, partial: Real2, s: Normalization, thread: int, threads: int
) -> None:
    """partial[chunk, c] = sum of (x - mean) squared over the chunk."""
    count, channels = s.samples * s.plane, s.channels
    wide, one = zeros(x, 4), zeros(x, 1)
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        rows, target = (chunk_start(chunk, count), chunk_start(chunk + 1, count)), chunk * channels
        if channels >= lanes_of(wide):
            for c in range(0, channels, lanes_of(wide)):
                at = block_at(c, channels, lanes_of(wide))
                store(partial, target + at, _squares(x, mean, at, rows, channels, wide))
            continue
        for c in range(0, channels, lanes_of(one)):
            at = block_at(c, channels, lanes_of(one))
            total = _squares(x, mean, at, rows, channels, one)
            store_first(partial, target + at, total, min(channels, lanes_of(one)))


@kernel
def batch_norm_mean(
    partial: Real2, mean: Real1, s: Normalization, thread: int, threads: int
) -> None:
    """mean[c] = sum of the chunks / count; the same kernel makes the (biased) variance."""
    start, stop = share(s.channels, thread, threads)
    for c in range(start, stop):
        total = partial[0, c]
        for chunk in range(1, CHUNKS):
            total += partial[chunk, c]
        mean[c] = total / like(total, s.samples * s.plane)


@kernel
def batch_norm_running(
    mean: Real1,
    variance: Real1,
    running_mean: Real1,
    running_variance: Real1,
    s: Normalization,
    thread: int,
    threads: int,
) -> None:
    """Move the running statistics towards this batch; the variance is made unbiased first."""
    count = s.samples * s.plane
    start, stop = share(s.channels, thread, threads)
    for c in range(start, stop):
        unbiased = variance[c] * (like(s.momentum, count) / like(s.momentum, max(count - 1, 1)))
        running_mean[c] = running_average(running_mean[c], mean[c], s.momentum)
        running_variance[c] = running_average(running_variance[c], unbiased, s.momentum)


# ---------------------------------------------------------------------------------- forward


@embed
def _deviations(variance: Any, inverse: Any, low: int, high: int, s: Normalization) -> None:
    """Store 1 / deviation of a range of channels, with room for a vector after it."""
    one = zeros(variance, 1)
    for c in range(low, high, lanes_of(one)):
        store(inverse, c, inverse_deviation(load(variance, c, one), like(one, s.epsilon)))


@embed
def _normalize_pixels(
    x: Any, vectors: Any, output: Any, start: int, stop: int, low: int, high: int, s: Any
) -> None:
    """Normalise pixels of many channels one after the other; `vectors` as for the block."""
    wide = zeros(x, 4)
    for pixel in range(start * s.channels, stop * s.channels, s.channels):
        for c in range(low, high, lanes_of(wide)):
            at = block_at(c, high, lanes_of(wide))
            _normalize_block(x, vectors, output, at, pixel, 1, 0, s, wide)


@embed
def _normalize_block(
    x: Any, vectors: Any, output: Any, c: int, first: int, count: int, end: int, s: Any, shape: Any
) -> None:
    """Normalise a block of channels of `count` pixels, of which the first lies at `first`.

    `vectors` are mean, 1 / deviation, weight and bias. `end` as for `put`, or 0: all lanes fit.
    """
    mean, inverse = load(vectors[0], c, shape), load(vectors[1], c, shape)
    weight, bias = load(vectors[2], c, shape), load(vectors[3], c, shape)
    place = first + c
    for _ in range(count):
        normal = normalize(load(x, place, shape), mean, inverse)
        value = scale_and_shift(normal, weight, bias)
        if end == 0:
            store(output, place, value)
        else:
            put(output, place, value, s.channels, end)
        place += s.channels


@vectorised(plain_norm.batch_norm_forward)
def batch_norm_forward(
    x: Flat,
    mean: Real1,
    variance: Real1,
    weight: Real1,
    bias: Real1,
    output: Flat,
    s: Normalization,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """output = (x - mean) / sqrt(variance + epsilon) * weight + bias, per channel."""
    start, stop = share(s.samples * s.plane, thread, threads)
    for part in range(0, s.channels, PART):
        low, high = block_at(part, s.channels, PART), min(part + PART, s.channels)
        inverse = numbers_at(work - low * x.itemsize, high, x.dtype.type(1))
        _deviations(variance, inverse, low, high, s)
        vectors = (mean, inverse, weight, bias)
        if s.channels >= lanes_of(zeros(x, 4)):
            _normalize_pixels(x, vectors, output, start, stop, low, high, s)
            continue
        one = zeros(x, 1)
        for tile in range(start, stop, TILE):
            first, count = tile * s.channels, min(TILE, stop - tile)
            for c in range(0, s.channels, lanes_of(one)):
                at = block_at(c, s.channels, lanes_of(one))
                end = 0 if s.channels >= lanes_of(one) else stop * s.channels
                _normalize_block(x, vectors, output, at, first, count, end, s, one)


# --------------------------------------------------------------------------------- backward


@embed
def _gradient_sums(
    x: Any, mean: Any, variance: Any, grad: Any, c: int, rows: Any, s: Normalization, zero: Any
) -> Any:
    """Return the two sums of `batch_norm_backward_sums` for a block of channels."""
    products, total, middle = zero, zero, load(mean, c, zero)
    inverse = inverse_deviation(load(variance, c, zero), like(zero, s.epsilon))
    for place in range(rows[0] * s.channels + c, rows[1] * s.channels + c, s.channels):
        g = load(grad, place, zero)
        products = fma(normalize(load(x, place, zero), middle, inverse), g, products)
        total = total + g
    return products, total


@vectorised(plain_norm.batch_norm_backward_sums)
def batch_norm_backward_sums(
    x: Flat,
    mean: Real1,
    variance: Real1,
    grad_output: Flat,
    weight_partial: Real2,
    bias_partial: Real2,
    s: Normalization,
    thread: int,
    threads: int,
) -> None:
    """Sums over each chunk: of normalised x * grad_output, and of grad_output."""
    count, channels = s.samples * s.plane, s.channels
    wide, one = zeros(x, 4), zeros(x, 1)
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        rows, target = (chunk_start(chunk, count), chunk_start(chunk + 1, count)), chunk * channels
        if channels >= lanes_of(wide):
            for c in range(0, channels, lanes_of(wide)):
                at = block_at(c, channels, lanes_of(wide))
                sums = _gradient_sums(x, mean, variance, grad_output, at, rows, s, wide)
                store(weight_partial, target + at, sums[0])
                store(bias_partial, target + at, sums[1])
            continue
        for c in range(0, channels, lanes_of(one)):
            at = block_at(c, channels, lanes_of(one))
            parts = _gradient_sums(x, mean, variance, grad_output, at, rows, s, one)
            store_first(weight_partial, target + at, parts[0], min(channels, lanes_of(one)))
            store_first(bias_partial, target + at, parts[1], min(channels, lanes_of(one)))


@embed
def _gradient_pixels(
    x: Any,
    vectors: Any,
    grad: Any,
    output: Any,
    start: int,
    stop: int,
    low: int,
    high: int,
    s: Any,
) -> None:
    """Do pixels of many channels one after the other; `vectors` as for the block."""
    wide = zeros(x, 4)
    for pixel in range(start * s.channels, stop * s.channels, s.channels):
        for c in range(low, high, lanes_of(wide)):
            at = block_at(c, high, lanes_of(wide))
            _gradient_block(x, vectors, grad, output, at, pixel, 1, 0, s, wide)


@embed
def _gradient_block(
    x: Any,
    vectors: Any,
    grad: Any,
    output: Any,
    c: int,
    first: int,
    count: int,
    end: int,
    s: Any,
    shape: Any,
) -> None:
    """Do a block of channels of `batch_norm_backward_input` as `_normalize_block` does its own.

    `vectors` are mean, 1 / deviation, weight, and the means of the two sums.
    """
    mean, inverse = load(vectors[0], c, shape), load(vectors[1], c, shape)
    weight = load(vectors[2], c, shape)
    mean_product, mean_grad = load(vectors[3], c, shape), load(vectors[4], c, shape)
    place = first + c
    for _ in range(count):
        normal = normalize(load(x, place, shape), mean, inverse)
        value = batch_norm_gradient(
            load(grad, place, shape), normal, weight, inverse, mean_grad, mean_product
        )
        if end == 0:
            store(output, place, value)
        else:
            put(output, place, value, s.channels, end)
        place += s.channels


@embed
def _means(total: Any, mean: Any, low: int, high: int, s: Normalization) -> None:
    """Store sums over all pixels divided by their count; see `_deviations`."""
    one = zeros(total, 1)
    for c in range(low, high, lanes_of(one)):
        store(mean, c, load(total, c, one) / like(one, s.samples * s.plane))


@vectorised(plain_norm.batch_norm_backward_input)
def batch_norm_backward_input(
    x: Flat,
    mean: Real1,
    variance: Real1,
    weight: Real1,
    grad_weight: Real1,
    grad_bias: Real1,
    grad_output: Flat,
    grad_input: Flat,
    s: Normalization,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """Gradient through the batch statistics; `grad_weight` and `grad_bias` are the channel sums."""
    start, stop = share(s.samples * s.plane, thread, threads)
    for part in range(0, s.channels, PART):
        low, high = block_at(part, s.channels, PART), min(part + PART, s.channels)
        place, one = work - low * x.itemsize, x.dtype.type(1)
        inverse = numbers_at(place, high, one)
        mean_weight = numbers_at(place + APART, high, one)
        mean_bias = numbers_at(place + 2 * APART, high, one)
        _deviations(variance, inverse, low, high, s)
        _means(grad_weight, mean_weight, low, high, s)
        _means(grad_bias, mean_bias, low, high, s)
        vectors = (mean, inverse, weight, mean_weight, mean_bias)
        if s.channels >= lanes_of(zeros(x, 4)):
            _gradient_pixels(x, vectors, grad_output, grad_input, start, stop, low, high, s)
            continue
        shape = zeros(x, 1)
        for tile in range(start, stop, TILE):
            first, count = tile * s.channels, min(TILE, stop - tile)
            for c in range(0, s.channels, lanes_of(shape)):
                at = block_at(c, s.channels, lanes_of(shape))
                end = 0 if s.channels >= lanes_of(shape) else stop * s.channels
                _gradient_block(
                    x, vectors, grad_output, grad_input, at, first, count, end, s, shape
                )


@kernel
def batch_norm_backward_input_fixed(
    variance: Real1,
    weight: Real1,
    grad_output: Flat,
    grad_input: Flat,
    s: Normalization,
    thread: int,
    threads: int,
) -> None:
    """grad_input = grad_output * weight / deviation: statistics are constants (inference)."""
    start, stop = share(s.samples * s.plane, thread, threads)
    for row in range(start, stop):
        grads = grad_output[row * s.channels :][: s.channels]
        out = grad_input[row * s.channels :][: s.channels]
        for c in range(out.size):
            out[c] = grads[c] * (weight[c] * inverse_deviation(variance[c], s.epsilon))
