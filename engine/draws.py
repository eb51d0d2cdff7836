"""Random numbers that are the same on every system: NumPy's, but for what a C library decides.

NumPy draws normal numbers by Marsaglia and Tsang's ziggurat. All but about one in 3,700 are one
exact product; those beyond its last layer are made of a logarithm, which the C library rounds in
its own way. These are made again here with a logarithm that is rounded correctly. (It also decides
by an exponential about one number in a hundred, where a last digit makes a difference once in 10^16
times.) NumPy's uniform numbers are multiplied and added in one step or in two, as its compiler
liked; here in two.

References
----------
Marsaglia and Tsang 2000, "The ziggurat method for generating random variables".
"""

from __future__ import annotations

import math

import numpy as np

from engine import rounded
from engine.typing import Array, Shape

LAST_LAYER = 3.6541528853610088
"""Where the ziggurat's last layer ends and the tail begins."""
PER_LAYER = 0.27366123732975828
"""1 / LAST_LAYER."""
BLOCK = 4096
"""Numbers drawn at a time: those before a tail are drawn twice."""
MOST_TRIES = 64
NEAR = 1e-12


def uniform(generator: np.random.Generator, low: float, high: float, shape: Shape) -> Array:
    """Return numbers in [low, high)."""
    result: Array = low + (high - low) * generator.random(shape)
    return result


def normal(generator: np.random.Generator, shape: Shape) -> Array:
    """Return numbers with mean 0 and standard deviation 1."""
    numbers = np.empty(math.prod(shape))
    done = 0
    while done < numbers.size:
        part = numbers[done : done + BLOCK]
        before = generator.bit_generator.state
        part[:] = generator.standard_normal(part.size)
        beyond = np.flatnonzero(np.abs(part) > LAST_LAYER)
        if not beyond.size:
            done += part.size
            continue
        # Go back to where the first of them is drawn.
        generator.bit_generator.state = before
        generator.standard_normal(int(beyond[0]))
        part[beyond[0]] = _beyond(generator, float(part[beyond[0]]))
        done += int(beyond[0]) + 1
    return numbers.reshape(shape)


def _beyond(generator: np.random.Generator, given: float) -> float:
    """Draw a number of the tail as NumPy does, which got `given`, and round its logarithm once."""
    bits = generator.bit_generator
    before = bits.state
    bits.random_raw()  # layer and sign
    for _ in range(MOST_TRIES):
        first, _ = (1 - (bits.random_raw() >> 11) * 2.0**-53 for _ in range(2))
        found = LAST_LAYER - PER_LAYER * rounded.logarithm(first)
        if abs(found - abs(given)) < NEAR:
            return math.copysign(found, given)
    # A NumPy that draws in another way: what it got is all there is.
    bits.state = before
    generator.standard_normal()
    return given
