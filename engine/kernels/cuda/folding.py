"""Small numbers that predictions prepare once per call."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cuda._compat import device
from engine.kernels.cuda._index import items
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Epsilon
from engine.kernels.types import Flat

_inverse_deviation = device(scalar.inverse_deviation)


@kernel(over="inverse")
def inverse_deviation(variance: Flat, inverse: Flat, s: Epsilon) -> None:
    """inverse = 1 / sqrt(variance + epsilon): what a normalisation multiplies by."""
    for item in items(inverse.size):
        inverse[item] = _inverse_deviation(variance[item], s.epsilon)
