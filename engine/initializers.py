"""How parameters start. Fans are counted per output unit: in_channels / groups * kernel area."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from engine.config import Configurable
from engine.errors import ConfigurationError
from engine.typing import Array, Shape


class _Initializer(Configurable):
    """A rule that makes the first value of a parameter."""

    @abstractmethod
    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return float64 values of `shape`; weights are (out, in, ...)."""


Initializer = _Initializer


def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan in, fan out) of a weight (out, in, kh, kw) or (out, in)."""
    area = math.prod(shape[2:])
    inputs = shape[1] if len(shape) > 1 else 1
    return max(inputs * area, 1), max(shape[0] * area, 1)


@dataclass
class HeNormal(_Initializer):
    """Normal with variance 2 / fan in (He et al. 2015, arXiv:1502.01852): for ReLU."""

    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return generator.standard_normal(shape) * math.sqrt(2 / fans(shape)[0])


@dataclass
class HeUniform(_Initializer):
    """Uniform with variance 2 / fan in."""

    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        bound = math.sqrt(6 / fans(shape)[0])
        return generator.uniform(-bound, bound, shape)


@dataclass
class GlorotNormal(_Initializer):
    """Normal, variance 2 / (fan in + fan out) (Glorot and Bengio 2010): for tanh and sigmoid."""

    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return generator.standard_normal(shape) * math.sqrt(2 / sum(fans(shape)))


@dataclass
class GlorotUniform(_Initializer):
    """Uniform with variance 2 / (fan in + fan out)."""

    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        bound = math.sqrt(6 / sum(fans(shape)))
        return generator.uniform(-bound, bound, shape)


@dataclass
class Normal(_Initializer):
    """Normal with a given standard deviation."""

    std: float = 0.01
    mean: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.std) and self.std >= 0 and math.isfinite(self.mean)):
            raise ConfigurationError(
                "Normal: expected a std of at least 0 and a finite mean, "
                f"received {self.std}, {self.mean}"
            )

    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return generator.normal(self.mean, self.std, shape)


@dataclass
class Uniform(_Initializer):
    """Uniform between two bounds."""

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ConfigurationError(
                f"Uniform: expected finite bounds, low first, received {self.low}, {self.high}"
            )

    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return generator.uniform(self.low, self.high, shape)


@dataclass
class Constant(_Initializer):
    """One number everywhere."""

    value: float = 0.0

    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return np.full(shape, self.value)


@dataclass
class Zeros(_Initializer):
    """0 everywhere."""

    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return np.zeros(shape)


@dataclass
class Ones(_Initializer):
    """1 everywhere."""

    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return np.ones(shape)
