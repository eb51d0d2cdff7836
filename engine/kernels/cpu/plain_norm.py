"""Plain loops of batch normalisation: the readable truth.

The versions in `norm` store the same bits. Sums add samples, rows, columns within `CHUNKS` fixed
chunks of all pixels, then the chunks in order.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cpu._jit import inline, plain
from engine.kernels.cpu._share import share
from engine.kernels.settings import Normalization
from engine.kernels.types import Flat, Real1, Real2

chunk_start = inline(scalar.chunk_start)
inverse_deviation = inline(scalar.inverse_deviation)
normalize = inline(scalar.normalize)
scale_and_shift = inline(scalar.scale_and_shift)
batch_norm_gradient = inline(scalar.batch_norm_gradient)
CHUNKS = scalar.CHUNKS


@plain
def batch_norm_sum(x: Flat, partial: Real2, s: Normalization, thread: int, threads: int) -> None:
    """partial[chunk, c] = sum of x over the chunk."""
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        total = partial[chunk]
        total[:] = 0
        rows = s.samples * s.plane
        for row in range(chunk_start(chunk, rows), chunk_start(chunk + 1, rows)):
            values = x[row * s.channels :][: s.channels]
            for c in range(total.size):
                total[c] += values[c]


@plain
def batch_norm_squares(
    x: Flat, mean: Real1, partial: Real2, s: Normalization, thread: int, threads: int
) -> None:
    """partial[chunk, c] = sum of (x - mean) squared over the chunk."""
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        total = partial[chunk]
        total[:] = 0
        rows = s.samples * s.plane
        for row in range(chunk_start(chunk, rows), chunk_start(chunk + 1, rows)):
            values = x[row * s.channels :][: s.channels]
            for c in range(total.size):
                d = values[c] - mean[c]
                total[c] = fma(d, d, total[c])


@plain
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


@plain
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
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        products, total = weight_partial[chunk], bias_partial[chunk]
        products[:] = 0
        total[:] = 0
        rows = s.samples * s.plane
        for row in range(chunk_start(chunk, rows), chunk_start(chunk + 1, rows)):
            values = x[row * s.channels :][: s.channels]
            grads = grad_output[row * s.channels :][: s.channels]
            for c in range(total.size):
                inverse = inverse_deviation(variance[c], s.epsilon)
                normal = normalize(values[c], mean[c], inverse)
                products[c] = fma(normal, grads[c], products[c])
                total[c] += grads[c]


@plain
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


@plain
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
