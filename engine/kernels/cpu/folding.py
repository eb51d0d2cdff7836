"""Small numbers that predictions prepare once per call."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._share import share
from engine.kernels.settings import Epsilon
from engine.kernels.types import Flat

_inverse_deviation = inline(scalar.inverse_deviation)


@kernel
def inverse_deviation(variance: Flat, inverse: Flat, s: Epsilon, thread: int, threads: int) -> None:
    """inverse = 1 / sqrt(variance + epsilon): what a normalisation multiplies by."""
    start, stop = share(variance.size, thread, threads)
    a, b = variance[start:stop], inverse[start:stop]
    for i in range(a.size):
        b[i] = _inverse_deviation(a[i], s.epsilon)
