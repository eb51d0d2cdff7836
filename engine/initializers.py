"""How parameters start. Fans are counted per output unit: in_channels / groups * kernel area."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import arguments, draws
from engine.config import Configurable
from engine.errors import ConfigurationError
from engine.shapes import sizes
from engine.typing import Array, Shape


class _Initializer(Configurable):
    """A rule that makes the first value of a parameter."""

    def __call__(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return float64 values of `shape`; weights are (out, in, ...).

        Raises
        ------
        ConfigurationError
            If `shape` is no shape or `generator` no generator of NumPy's.
        """
        kind = type(self).__name__
        shape = sizes(f"{kind} shape", shape)
        expected = "a generator such as numpy.random.default_rng(0)"
        arguments.instance(f"{kind} generator", generator, np.random.Generator, expected)
        return self.draw(shape, generator)

    @abstractmethod
    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return float64 values of `shape`, which has been checked."""


Initializer = _Initializer


def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan in, fan out) of a weight (out, in, kh, kw) or (out, in).

    Raises
    ------
    ConfigurationError
        If `shape` is no shape.
    """
    shape = sizes("fans shape", shape)
    area = math.prod(shape[2:])
    inputs = shape[1] if len(shape) > 1 else 1
    return max(inputs * area, 1), max(shape[0] * area, 1)


@dataclass
class HeNormal(_Initializer):
    """Normal with variance 2 / fan in (He et al. 2015, arXiv:1502.01852): for ReLU."""

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return draws.normal(generator, shape) * math.sqrt(2 / fans(shape)[0])


@dataclass
class HeUniform(_Initializer):
    """Uniform with variance 2 / fan in."""

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        bound = math.sqrt(6 / fans(shape)[0])
        return draws.uniform(generator, -bound, bound, shape)


@dataclass
class GlorotNormal(_Initializer):
    """Normal, variance 2 / (fan in + fan out) (Glorot and Bengio 2010): for tanh and sigmoid."""

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return draws.normal(generator, shape) * math.sqrt(2 / sum(fans(shape)))


@dataclass
class GlorotUniform(_Initializer):
    """Uniform with variance 2 / (fan in + fan out)."""

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        bound = math.sqrt(6 / sum(fans(shape)))
        return draws.uniform(generator, -bound, bound, shape)


@dataclass
class Normal(_Initializer):
    """Normal with a given standard deviation.

    Raises
    ------
    ConfigurationError
        If `std` is negative, or one of both is no finite number.
    """

    std: float = 0.01
    mean: float = 0.0

    def __post_init__(self) -> None:
        self.std = arguments.number("Normal std", self.std, least=0)
        self.mean = arguments.number("Normal mean", self.mean)

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return self.mean + self.std * draws.normal(generator, shape)


@dataclass
class Uniform(_Initializer):
    """Uniform between two bounds.

    Raises
    ------
    ConfigurationError
        If `low` lies above `high`, or one of both is no finite number.
    """

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        self.low = arguments.number("Uniform low", self.low)
        self.high = arguments.number("Uniform high", self.high)
        if self.low > self.high:
            raise ConfigurationError(
                f"Uniform: expected low of at most high, received low {self.low:g} and high "
                f"{self.high:g}; give the lower bound first"
            )

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return draws.uniform(generator, self.low, self.high, shape)


@dataclass
class Constant(_Initializer):
    """One number everywhere.

    Raises
    ------
    ConfigurationError
        If it is no finite number.
    """

    value: float = 0.0

    def __post_init__(self) -> None:
        self.value = arguments.number("Constant value", self.value)

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return np.full(shape, self.value)


@dataclass
class Zeros(_Initializer):
    """0 everywhere."""

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return np.zeros(shape)


@dataclass
class Ones(_Initializer):
    """1 everywhere."""

    def draw(self, shape: Shape, generator: np.random.Generator) -> Array:
        """Return the first value."""
        return np.ones(shape)


NAMES: dict[str, type[_Initializer]] = {
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "normal": Normal,
    "uniform": Uniform,
    "zeros": Zeros,
    "ones": Ones,
}
"""Initialisers that a layer also takes by name, with their defaults."""


def checked(where: str, value: Any) -> Initializer | None:
    """Return the initialiser that a layer was given: an object, one of `NAMES`, or None.

    Raises
    ------
    ConfigurationError
        If it is something else; the text lists the names.
    """
    if value is None or isinstance(value, _Initializer):
        return value
    if isinstance(value, str) and value in NAMES:
        return NAMES[value]()
    names = ", ".join(f'"{name}"' for name in NAMES)
    expected = f"an initialiser such as HeNormal(), or one of {names}"
    return arguments.instance(where, value, _Initializer, expected)
