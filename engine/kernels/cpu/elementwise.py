"""Sum of two tensors, and dropout."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import like
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._share import share
from engine.kernels.settings import DropoutSettings
from engine.kernels.types import Flat, IntegerFlat

hashed_uniform = inline(scalar.hashed_uniform)


@kernel
def add_forward(a: Flat, b: Flat, output: Flat, thread: int, threads: int) -> None:
    """output = a + b."""
    start, stop = share(output.size, thread, threads)
    x, y, z = a[start:stop], b[start:stop], output[start:stop]
    for i in range(z.size):
        z[i] = x[i] + y[i]


@kernel
def dropout_mask(
    mask: Flat, counters: IntegerFlat, s: DropoutSettings, thread: int, threads: int
) -> None:
    """mask = 0 for dropped elements, 1 / (1 - p) for kept ones (Srivastava et al. 2014).

    `counters` holds seed and step. The random number belongs to the element's public index, so
    every device and every layout drops the same elements.
    """
    start, stop = share(s.samples * s.plane, thread, threads)
    for item in range(start, stop):
        n, p = item // s.plane, item % s.plane
        row = mask[item * s.channels :][: s.channels]
        for c in range(row.size):
            place = (n * s.channels + c) * s.plane + p
            drawn = hashed_uniform(s.probability, counters[0], counters[1], s.stream, place)
            kept = drawn >= s.probability
            one = like(s.probability, 1)
            row[c] = one / (one - s.probability) if kept else like(s.probability, 0)


@kernel
def multiply_forward(a: Flat, b: Flat, output: Flat, thread: int, threads: int) -> None:
    """output = a * b."""
    start, stop = share(output.size, thread, threads)
    x, y, z = a[start:stop], b[start:stop], output[start:stop]
    for i in range(z.size):
        z[i] = x[i] * y[i]
