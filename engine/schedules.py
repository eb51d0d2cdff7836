"""Learning rates over steps. A schedule is called with the number of steps already made."""

from __future__ import annotations

import math
import numbers
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from engine.config import Configurable
from engine.errors import ConfigurationError


class _Schedule(Configurable):
    """A learning rate as a function of the step."""

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the learning rate of step `step` (0 is the first)."""


Schedule = _Schedule


def _steps(name: str, value: Any) -> None:
    if not isinstance(value, numbers.Integral) or value < 1:
        raise ConfigurationError(
            f"{name}: expected a whole number of steps from 1 on, received {value!r}"
        )


def _rate(name: str, value: Any) -> None:
    if not (isinstance(value, numbers.Real) and math.isfinite(value) and float(value) >= 0):
        raise ConfigurationError(
            f"{name}: expected a learning rate of at least 0, received {value!r}"
        )


def _factor(value: Any) -> None:
    if not (isinstance(value, numbers.Real) and math.isfinite(value) and float(value) > 0):
        raise ConfigurationError(f"factor: expected a number above 0, received {value!r}")


@dataclass
class ConstantRate(_Schedule):
    """The same rate at every step."""

    start: float

    def __post_init__(self) -> None:
        _rate("start", self.start)

    def __call__(self, step: int) -> float:
        """Return the rate."""
        return self.start


@dataclass
class StepDecay(_Schedule):
    """start * factor ** (step // every)."""

    start: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _rate("start", self.start)
        _factor(self.factor)
        _steps("every", self.every)

    def __call__(self, step: int) -> float:
        """Return the rate."""
        return self.start * self.factor ** (step // self.every)


@dataclass
class ExponentialDecay(_Schedule):
    """start * factor ** (step / every)."""

    start: float
    factor: float
    every: int = 1

    def __post_init__(self) -> None:
        _rate("start", self.start)
        _factor(self.factor)
        _steps("every", self.every)

    def __call__(self, step: int) -> float:
        """Return the rate."""
        return float(self.start * self.factor ** (step / self.every))


@dataclass
class CosineDecay(_Schedule):
    """Half a cosine from `start` to `end` over `steps`, then `end` (arXiv:1608.03983)."""

    start: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        _rate("start", self.start)
        _rate("end", self.end)
        _steps("steps", self.steps)

    def __call__(self, step: int) -> float:
        """Return the rate."""
        share = min(step / self.steps, 1.0)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2


@dataclass
class WarmUp(_Schedule):
    """A straight line up to the first rate of `then` over `steps`, and then `then`."""

    steps: int
    then: Schedule

    def __post_init__(self) -> None:
        _steps("steps", self.steps)
        if not isinstance(self.then, _Schedule):
            raise ConfigurationError(
                f"then: expected a schedule such as ConstantRate(0.1), received {self.then!r}"
            )

    def __call__(self, step: int) -> float:
        """Return the rate."""
        if step < self.steps:
            return self.then(0) * (step + 1) / self.steps
        return self.then(step - self.steps)
