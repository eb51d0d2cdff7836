"""Sum of two tensors, and dropout."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import like
from engine.kernels.cuda._compat import device
from engine.kernels.cuda._index import items, signed
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import DropoutSettings
from engine.kernels.types import Flat, IntegerFlat

hashed_uniform = device(scalar.hashed_uniform)


@kernel(over="output")
def add_forward(a: Flat, b: Flat, output: Flat) -> None:
    """output = a + b."""
    for i in items(output.size):
        output[i] = a[i] + b[i]


@kernel(over="mask")
def dropout_mask(mask: Flat, counters: IntegerFlat, s: DropoutSettings) -> None:
    """mask = 0 for dropped elements, 1 / (1 - p) for kept ones (Srivastava et al. 2014).

    `counters` holds seed and step. The random number belongs to the element's public index, which
    here is its place in memory, so every device drops the same elements. The number is compared in
    float64, as `hashed_uniform` makes it.
    """
    seed, step = signed(counters[0]), signed(counters[1])
    one = like(s.probability, 1)
    for i in items(mask.size):
        kept = hashed_uniform(s.probability, seed, step, s.stream, signed(i)) >= s.probability
        mask[i] = one / (one - s.probability) if kept else like(s.probability, 0)


@kernel(over="output")
def multiply_forward(a: Flat, b: Flat, output: Flat) -> None:
    """output = a * b."""
    for i in items(output.size):
        output[i] = a[i] * b[i]
