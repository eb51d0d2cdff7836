"""Optimisers: one launch per parameter, moments beside it, rates that change every step."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from engine import arguments, rounded
from engine.config import Configurable
from engine.device import Buffer, Launch, replay
from engine.errors import ConfigurationError
from engine.explanation import Explanation, Operand
from engine.kernels import scalar
from engine.kernels.settings import AdamSettings, SgdSettings
from engine.ops.base import View
from engine.ops.explaining import elementwise
from engine.schedules import Schedule
from engine.typing import Index

RATES = 4
"""Length of the buffer of rates that every optimiser shares."""


class Optimizer(Configurable):
    """Base of all optimisers.

    Parameters
    ----------
    learning_rate : float or schedule
    """

    moments: ClassVar[tuple[str, ...]]
    """Names of the tensors it keeps per parameter, all starting at zero."""

    acts_alone = ("learning_rate",)

    learning_rate: float | Schedule

    def _set_rate(self, learning_rate: float | Callable[[int], float]) -> None:
        where = f"{type(self).__name__} learning_rate"
        if isinstance(learning_rate, Schedule):
            self.learning_rate = learning_rate
        elif arguments.is_number(learning_rate):
            self.learning_rate = arguments.number(where, learning_rate, least=0)
        else:
            expected = "a number of at least 0, or a schedule such as CosineDecay(0.1, steps=1000)"
            arguments.instance(where, learning_rate, Schedule, expected)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0.

        Raises
        ------
        ConfigurationError
            If `step` is none, or a schedule of the user's own gives no rate.
        """
        step = arguments.whole(f"{type(self).__name__} step", step, 0, arguments.MOST_STEPS)
        schedule = self.learning_rate
        if not isinstance(schedule, Schedule):
            return schedule
        rate = schedule(step)
        return arguments.number(f"learning_rate of step {step}", rate, least=0)

    @abstractmethod
    def rates(self, step: int, updates: int | None = None) -> tuple[float, ...]:
        """Return what the update kernel needs at this step; the learning rate comes first.

        Parameters
        ----------
        step : int
            Of the run, from 0: the schedule's.
        updates : int, optional
            How many updates the moments have been through; `step` by default. A run whose optimizer
            was replaced has made more steps than that.
        """

    @abstractmethod
    def update(
        self, weight: Buffer, grad: Buffer, moments: Sequence[Buffer], rates: Buffer
    ) -> Launch:
        """Return the launch that updates one parameter in place."""

    @abstractmethod
    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain one updated number; `view` has ``NAME.before``, its gradient, moments before."""


def rate_of(view: View) -> Operand:
    """Return the learning rate of this step as a number that enters every update."""
    return Operand("learning_rate", np.array(view.rates[:1]), np.zeros((1, 0), np.int64))


class SGD(Optimizer):
    """v = momentum * v + gradient; w = w - learning_rate * v (PyTorch's form).

    Parameters
    ----------
    learning_rate : float or schedule
    momentum : float
    nesterov : bool
        Step along gradient + momentum * v instead of v.
    weight_decay : float
        Adds weight_decay * w to the gradient.

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.

    References
    ----------
    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    moments = ("velocity",)
    below_one = ("momentum",)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self._set_rate(learning_rate)
        kind = type(self).__name__
        self.momentum = arguments.number(f"{kind} momentum", momentum, least=0, below=1)
        self.nesterov = arguments.flag(f"{kind} nesterov", nesterov)
        self.weight_decay = arguments.number(f"{kind} weight_decay", weight_decay, least=0)
        if self.nesterov and not self.momentum:
            raise ConfigurationError(f"{kind} nesterov: needs a momentum above 0, received 0")

    def rates(self, step: int, updates: int | None = None) -> tuple[float, ...]:
        """Return the learning rate."""
        return (self.rate(step),)

    def update(
        self, weight: Buffer, grad: Buffer, moments: Sequence[Buffer], rates: Buffer
    ) -> Launch:
        """Return the launch that updates one parameter."""
        settings = SgdSettings(self.momentum, self.weight_decay, int(self.nesterov))
        return Launch("sgd_update", (weight, grad, moments[0], rates), settings)

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain one updated number."""
        w, g = view.array(f"{result}.before")[index], view.array(f"{result}.gradient")[index]
        before = view.array(f"{result}.velocity.before")[index]
        slope = replay.call(scalar.decayed_gradient, g, w, self.weight_decay)
        velocity = replay.call(scalar.sgd_velocity, before, slope, self.momentum)
        step = (
            replay.call(scalar.sgd_velocity, velocity, slope, self.momentum)
            if self.nesterov
            else velocity
        )
        value = replay.call(scalar.sgd_weight, w, step, view.rates[0])
        sources = [
            ("weight", f"{result}.before", index),
            ("gradient", f"{result}.gradient", index),
            ("velocity", f"{result}.velocity.before", index),
        ]
        steps: list[tuple[str, Any, str]] = [("learning rate", view.rates[0], "")]
        if self.weight_decay:
            steps.append(
                (
                    "with decay",
                    slope,
                    f"gradient + {self.weight_decay:g} × weight",
                )
            )
        steps.append(
            (
                "new velocity",
                velocity,
                f"{self.momentum:g} × velocity + gradient",
            )
        )
        if self.nesterov:
            steps.append(
                (
                    "look-ahead",
                    step,
                    f"{self.momentum:g} × new velocity + gradient",
                )
            )
        steps.append(
            (
                "step",
                -view.rates[0] * float(step),
                "−learning rate × velocity",
            )
        )
        steps.append(("= new weight", value, "weight + step"))
        formula = "weight − learning rate × velocity"
        return elementwise(view, result, index, sources, steps, formula, [rate_of(view)])


class Adam(Optimizer):
    """Adam: steps scaled by running means of gradient and squared gradient.

    Parameters
    ----------
    learning_rate : float or schedule
    betas : (float, float)
    eps : float
        Added after the bias correction (PyTorch's place).
    weight_decay : float
        Adds weight_decay * w to the gradient.

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.

    References
    ----------
    Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.
    """

    moments = ("first_moment", "second_moment")
    above_zero, below_one = ("eps",), ("betas",)
    decoupled: ClassVar[bool] = False

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self._set_rate(learning_rate)
        kind = type(self).__name__
        pair = arguments.ordered(f"{kind} betas", betas, "two numbers such as (0.9, 0.999)")
        if len(pair) != 2:
            raise arguments.refusal(f"{kind} betas", "two numbers such as (0.9, 0.999)", betas)
        first, second = arguments.several(f"{kind} betas", pair, least=0, below=1)
        self.betas = (first, second)
        self.eps = arguments.number(f"{kind} eps", eps, least=0)
        self.weight_decay = arguments.number(f"{kind} weight_decay", weight_decay, least=0)

    def rates(self, step: int, updates: int | None = None) -> tuple[float, ...]:
        """Return learning rate, bias-corrected step size, and root of the second correction."""
        rate = self.rate(step)
        made = step if updates is None else updates
        first, second = (1 - rounded.power(beta, made + 1) for beta in self.betas)
        return rate, rate / first, math.sqrt(second)

    def update(
        self, weight: Buffer, grad: Buffer, moments: Sequence[Buffer], rates: Buffer
    ) -> Launch:
        """Return the launch that updates one parameter."""
        settings = AdamSettings(*self.betas, self.eps, self.weight_decay, int(self.decoupled))
        return Launch("adam_update", (weight, grad, *moments, rates), settings)

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain one updated number."""
        w, slope = view.array(f"{result}.before")[index], view.array(f"{result}.gradient")[index]
        names = [f"{result}.{moment}.before" for moment in self.moments]
        m, v = (view.array(name)[index] for name in names)
        rate, step_size, root = view.rates[:3]
        kind = w.dtype.type
        steps: list[tuple[str, Any, str]] = [("learning rate", rate, "")]
        decay = f"{self.weight_decay:g} × weight"
        if self.decoupled:
            w = replay.call(scalar.sgd_weight, w, kind(self.weight_decay) * w, rate)
            steps.append(
                (
                    "decayed weight",
                    w,
                    f"weight − learning rate × {decay}",
                )
            )
        else:
            slope = replay.call(scalar.decayed_gradient, slope, w, self.weight_decay)
            if self.weight_decay:
                steps.append(("with decay", slope, f"gradient + {decay}"))
        m = replay.call(scalar.first_moment, m, slope, self.betas[0])
        v = replay.call(scalar.second_moment, v, slope, self.betas[1])
        value = replay.call(scalar.adam_weight, w, m, v, step_size, root, self.eps)
        steps += [
            (
                "new first moment",
                m,
                f"{self.betas[0]:g} × m + {1 - self.betas[0]:g} × gradient",
            ),
            (
                "new second moment",
                v,
                f"{self.betas[1]:g} × v + {1 - self.betas[1]:g} × gradient²",
            ),
            ("step size", step_size, "learning rate / (1 − beta1^t)"),
            (
                "= new weight",
                value,
                "weight − step size × m / (sqrt(v) / sqrt(1 − beta2^t) + eps)",
            ),
        ]
        sources = [
            ("weight", f"{result}.before", index),
            ("gradient", f"{result}.gradient", index),
            ("first moment", names[0], index),
            ("second moment", names[1], index),
        ]
        formula = "weight − step size × corrected mean / corrected deviation"
        return elementwise(view, result, index, sources, steps, formula, [rate_of(view)])


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: w -= learning_rate * weight_decay * w first.

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.

    References
    ----------
    Loshchilov and Hutter 2019, arXiv:1711.05101.
    """

    decoupled = True

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(learning_rate, betas, eps, weight_decay)
