"""Learning rates over steps. A schedule is called with the number of steps already made."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

from engine import arguments, rounded
from engine.arguments import MOST_STEPS
from engine.config import Configurable
from engine.errors import ConfigurationError


class _Schedule(Configurable):
    """A learning rate as a function of the step."""

    def __call__(self, step: int) -> float:
        """Return the learning rate of step `step` (0 is the first).

        Raises
        ------
        ConfigurationError
            If `step` is no whole number of at least 0, or the rate grows beyond all numbers.
        """
        kind = type(self).__name__
        number = arguments.whole(f"{kind} step", step, 0, MOST_STEPS)
        try:
            rate = self.at(number)
        except OverflowError:
            rate = math.inf
        if not math.isfinite(rate):
            raise ConfigurationError(
                f"{kind}: the learning rate of step {number} is beyond all numbers; "
                "use a smaller factor"
            )
        return rate

    @abstractmethod
    def at(self, step: int) -> float:
        """Return the learning rate of a step that has been checked."""

    def _keep(self, name: str, value: float) -> None:
        """Replace a setting by its checked form."""
        setattr(self, name, value)

    def _check_rate(self, name: str) -> None:
        where = f"{type(self).__name__} {name}"
        self._keep(name, arguments.number(where, getattr(self, name), least=0))

    def _check_factor(self) -> None:
        where = f"{type(self).__name__} factor"
        self._keep("factor", arguments.number(where, getattr(self, "factor", None), above=0))

    def _check_steps(self, name: str) -> None:
        where = f"{type(self).__name__} {name}"
        self._keep(name, arguments.whole(where, getattr(self, name), 1, MOST_STEPS))


Schedule = _Schedule


@dataclass
class ConstantRate(_Schedule):
    """The same rate at every step.

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.
    """

    start: float

    def __post_init__(self) -> None:
        self._check_rate("start")

    def at(self, step: int) -> float:
        """Return the rate."""
        return self.start


@dataclass
class StepDecay(_Schedule):
    """start * factor ** (step // every).

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.
    """

    start: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        self._check_rate("start")
        self._check_factor()
        self._check_steps("every")

    def at(self, step: int) -> float:
        """Return the rate."""
        return self.start * rounded.power(self.factor, step // self.every)


@dataclass
class ExponentialDecay(_Schedule):
    """start * factor ** (step / every).

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.
    """

    start: float
    factor: float
    every: int = 1

    def __post_init__(self) -> None:
        self._check_rate("start")
        self._check_factor()
        self._check_steps("every")

    def at(self, step: int) -> float:
        """Return the rate."""
        return self.start * rounded.power(self.factor, step / self.every)


@dataclass
class CosineDecay(_Schedule):
    """Half a cosine from `start` to `end` over `steps`, then `end` (arXiv:1608.03983).

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.
    """

    start: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        self._check_rate("start")
        self._check_rate("end")
        self._check_steps("steps")

    def at(self, step: int) -> float:
        """Return the rate."""
        share = min(step / self.steps, 1.0)
        cosine = rounded.cosine(math.pi * share)
        return self.end + (self.start - self.end) * (1 + cosine) / 2


@dataclass
class WarmUp(_Schedule):
    """A straight line up to the first rate of `then` over `steps`, and then `then`.

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.
    """

    steps: int
    then: Schedule

    def __post_init__(self) -> None:
        self._check_steps("steps")
        expected = "a schedule such as ConstantRate(0.1)"
        arguments.instance("WarmUp then", self.then, _Schedule, expected)

    def at(self, step: int) -> float:
        """Return the rate."""
        if step < self.steps:
            return self.then(0) * (step + 1) / self.steps
        return self.then(step - self.steps)
