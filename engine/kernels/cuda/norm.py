"""Batch normalisation. Sums add samples, rows, columns within fixed chunks of all pixels."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._compat import device
from engine.kernels.cuda._index import items, split, up_to
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Normalization
from engine.kernels.types import Flat, Real1, Real2

chunk_start = device(scalar.chunk_start)
inverse_deviation = device(scalar.inverse_deviation)
normalize = device(scalar.normalize)
scale_and_shift = device(scalar.scale_and_shift)
running_average = device(scalar.running_average)
batch_norm_gradient = device(scalar.batch_norm_gradient)
CHUNKS = scalar.CHUNKS


@device
def channel_of(item: int, s: Normalization) -> int:
    """Return the channel of an element of (n, c, y, x) memory."""
    rest, _ = split(item, s.plane)
    _, c = split(rest, s.channels)
    return c


@device
def place_of(row: int, c: int, s: Normalization) -> int:
    """Return where channel `c` of a pixel lies; `row` counts the pixels of all samples."""
    n, p = split(row, s.plane)
    return (n * s.channels + c) * s.plane + p


@kernel(over="partial")
def batch_norm_sum(x: Flat, partial: Real2, s: Normalization) -> None:
    """partial[chunk, c] = sum of x over the chunk."""
    for item in items(partial.size):
        chunk, c = split(item, s.channels)
        total = like(partial[chunk, c], 0)
        rows = s.samples * s.plane
        for row in range(chunk_start(chunk, rows), chunk_start(chunk + 1, rows)):
            total += x[place_of(row, c, s)]
        partial[chunk, c] = total


@kernel(over="partial")
def batch_norm_squares(x: Flat, mean: Real1, partial: Real2, s: Normalization) -> None:
    """partial[chunk, c] = sum of (x - mean) squared over the chunk."""
    for item in items(partial.size):
        chunk, c = split(item, s.channels)
        total = like(partial[chunk, c], 0)
        rows = s.samples * s.plane
        for row in range(chunk_start(chunk, rows), chunk_start(chunk + 1, rows)):
            d = x[place_of(row, c, s)] - mean[c]
            total = fma(d, d, total)
        partial[chunk, c] = total


@kernel(over="mean")
def batch_norm_mean(partial: Real2, mean: Real1, s: Normalization) -> None:
    """mean[c] = sum of the chunks / count; the same kernel makes the (biased) variance."""
    for c in items(s.channels):
        total = like(mean[c], 0)
        for chunk in up_to(CHUNKS):
            total += partial[chunk, c]
        mean[c] = total / like(total, s.samples * s.plane)


@kernel(over="mean")
def batch_norm_running(
    mean: Real1, variance: Real1, running_mean: Real1, running_variance: Real1, s: Normalization
) -> None:
    """Move the running statistics towards this batch; the variance is made unbiased first."""
    count = s.samples * s.plane
    less = count - 1 if count > 1 else 1
    for c in items(s.channels):
        unbiased = variance[c] * (like(s.momentum, count) / like(s.momentum, less))
        running_mean[c] = running_average(running_mean[c], mean[c], s.momentum)
        running_variance[c] = running_average(running_variance[c], unbiased, s.momentum)


@kernel(over="output")
def batch_norm_forward(
    x: Flat,
    mean: Real1,
    variance: Real1,
    weight: Real1,
    bias: Real1,
    output: Flat,
    s: Normalization,
) -> None:
    """output = (x - mean) / sqrt(variance + epsilon) * weight + bias, per channel."""
    for i in items(output.size):
        c = channel_of(i, s)
        inverse = inverse_deviation(variance[c], s.epsilon)
        output[i] = scale_and_shift(normalize(x[i], mean[c], inverse), weight[c], bias[c])


@kernel(over="weight_partial")
def batch_norm_backward_sums(
    x: Flat,
    mean: Real1,
    variance: Real1,
    grad_output: Flat,
    weight_partial: Real2,
    bias_partial: Real2,
    s: Normalization,
) -> None:
    """Sums over each chunk: of normalised x * grad_output, and of grad_output."""
    for item in items(weight_partial.size):
        chunk, c = split(item, s.channels)
        inverse = inverse_deviation(variance[c], s.epsilon)
        products, total = like(mean[c], 0), like(mean[c], 0)
        rows = s.samples * s.plane
        for row in range(chunk_start(chunk, rows), chunk_start(chunk + 1, rows)):
            p = place_of(row, c, s)
            products = fma(normalize(x[p], mean[c], inverse), grad_output[p], products)
            total += grad_output[p]
        weight_partial[chunk, c] = products
        bias_partial[chunk, c] = total


@kernel(over="grad_input")
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
) -> None:
    """Gradient through the batch statistics; `grad_weight` and `grad_bias` are the channel sums."""
    count = like(s.epsilon, s.samples * s.plane)
    for i in items(grad_input.size):
        c = channel_of(i, s)
        inverse = inverse_deviation(variance[c], s.epsilon)
        normal = normalize(x[i], mean[c], inverse)
        grad_input[i] = batch_norm_gradient(
            grad_output[i], normal, weight[c], inverse, grad_bias[c] / count, grad_weight[c] / count
        )


@kernel(over="grad_input")
def batch_norm_backward_input_fixed(
    variance: Real1, weight: Real1, grad_output: Flat, grad_input: Flat, s: Normalization
) -> None:
    """grad_input = grad_output * weight / deviation: statistics are constants (inference)."""
    for i in items(grad_input.size):
        c = channel_of(i, s)
        grad_input[i] = grad_output[i] * (weight[c] * inverse_deviation(variance[c], s.epsilon))
