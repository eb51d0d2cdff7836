"""Batch normalisation. Statistics add samples, rows, columns within fixed chunks of the batch."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._share import share
from engine.kernels.settings import Normalization
from engine.kernels.types import Flat, Real1, Real2

chunk_start = inline(scalar.chunk_start)
inverse_deviation = inline(scalar.inverse_deviation)
normalize = inline(scalar.normalize)
scale_and_shift = inline(scalar.scale_and_shift)
running_average = inline(scalar.running_average)
batch_norm_gradient = inline(scalar.batch_norm_gradient)
CHUNKS = scalar.CHUNKS


@kernel
def batch_norm_sum(x: Flat, partial: Real2, s: Normalization, thread: int, threads: int) -> None:
    """partial[chunk, c] = sum of x over the chunk."""
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        total = partial[chunk]
        total[:] = 0
        first, last = chunk_start(chunk, s.samples), chunk_start(chunk + 1, s.samples)
        for row in range(first * s.plane, last * s.plane):
            values = x[row * s.channels :][: s.channels]
            for c in range(total.size):
                total[c] += values[c]


@kernel
def batch_norm_squares(
    x: Flat, mean: Real1, partial: Real2, s: Normalization, thread: int, threads: int
) -> None:
    """partial[chunk, c] = sum of (x - mean) squared over the chunk."""
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        total = partial[chunk]
        total[:] = 0
        first, last = chunk_start(chunk, s.samples), chunk_start(chunk + 1, s.samples)
        for row in range(first * s.plane, last * s.plane):
            values = x[row * s.channels :][: s.channels]
            for c in range(total.size):
                d = values[c] - mean[c]
                total[c] = fma(d, d, total[c])


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


@kernel
def batch_norm_forward(
    x: Flat,
    mean: Real1,
    variance: Real1,
    weight: Real1,
    bias: Real1,
    output: Flat,
    s: Normalization,
    thread: int,
    threads: int,
) -> None:
    """output = (x - mean) / sqrt(variance + epsilon) * weight + bias, per channel."""
    start, stop = share(s.samples * s.plane, thread, threads)
    for row in range(start, stop):
        values = x[row * s.channels :][: s.channels]
        out = output[row * s.channels :][: s.channels]
        for c in range(out.size):
            inverse = inverse_deviation(variance[c], s.epsilon)
            out[c] = scale_and_shift(normalize(values[c], mean[c], inverse), weight[c], bias[c])


@kernel
def batch_norm_backward_bias(
    grad_output: Flat, partial: Real2, s: Normalization, thread: int, threads: int
) -> None:
    """partial[chunk, c] = sum of grad_output over the chunk."""
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        total = partial[chunk]
        total[:] = 0
        first, last = chunk_start(chunk, s.samples), chunk_start(chunk + 1, s.samples)
        for row in range(first * s.plane, last * s.plane):
            grads = grad_output[row * s.channels :][: s.channels]
            for c in range(total.size):
                total[c] += grads[c]


@kernel
def batch_norm_backward_weight(
    x: Flat,
    mean: Real1,
    variance: Real1,
    grad_output: Flat,
    partial: Real2,
    s: Normalization,
    thread: int,
    threads: int,
) -> None:
    """partial[chunk, c] = sum of normalised x * grad_output over the chunk."""
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        total = partial[chunk]
        total[:] = 0
        first, last = chunk_start(chunk, s.samples), chunk_start(chunk + 1, s.samples)
        for row in range(first * s.plane, last * s.plane):
            values = x[row * s.channels :][: s.channels]
            grads = grad_output[row * s.channels :][: s.channels]
            for c in range(total.size):
                inverse = inverse_deviation(variance[c], s.epsilon)
                total[c] = fma(normalize(values[c], mean[c], inverse), grads[c], total[c])


@kernel
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
    thread: int,
    threads: int,
) -> None:
    """Gradient through the batch statistics; `grad_weight` and `grad_bias` are the channel sums."""
    count = like(s.epsilon, s.samples * s.plane)
    start, stop = share(s.samples * s.plane, thread, threads)
    for row in range(start, stop):
        values = x[row * s.channels :][: s.channels]
        grads = grad_output[row * s.channels :][: s.channels]
        out = grad_input[row * s.channels :][: s.channels]
        for c in range(out.size):
            inverse = inverse_deviation(variance[c], s.epsilon)
            normal = normalize(values[c], mean[c], inverse)
            out[c] = batch_norm_gradient(
                grads[c], normal, weight[c], inverse, grad_bias[c] / count, grad_weight[c] / count
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
