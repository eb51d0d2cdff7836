"""Penalties on weights. They are part of the loss value, and their gradient of the weight's."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine import arguments
from engine.config import Configurable
from engine.device import Buffer, Launch, replay
from engine.errors import shown
from engine.kernels import scalar
from engine.kernels.settings import Penalty, Strength
from engine.typing import Array, Scalar, Shape


@dataclass
class _Regularizer(Configurable):
    """A penalty with a strength.

    Raises
    ------
    ConfigurationError
        If the strength is no number of at least 0.
    """

    strength: float

    function: ClassVar[Callable[..., Any]]
    """Gradient after the penalty, from (weight, gradient, strength)."""
    formula: ClassVar[str]

    def __post_init__(self) -> None:
        where = f"{type(self).__name__} strength"
        self.strength = arguments.number(where, self.strength, least=0)

    @abstractmethod
    def penalty(self, weight: Buffer, value: Buffer) -> Launch:
        """Return the launch that adds the penalty to the loss value."""

    @abstractmethod
    def gradient(self, weight: Buffer, grad_weight: Buffer) -> Launch:
        """Return the launch that adds the penalty's gradient."""

    @abstractmethod
    def sums(self, rows: Array) -> Array:
        """Return the sum of each row of a weight (outputs, numbers): of |w|, or of w squared."""

    def settings(self, shape: Shape) -> Penalty:
        """Return what the kernel needs to know, for a weight of a public shape."""
        return Penalty(self.strength, shape[0], shape[1], math.prod(shape[2:]))

    def replayed(self, weight: Array, value: Scalar) -> tuple[Scalar, Scalar]:
        """Return the penalty, and the loss value with it, with the kernel's arithmetic.

        The weights of each output are summed in their public order (input, row, column), then the
        sums in the order of outputs.

        Parameters
        ----------
        weight : array
            (out, in) or (out, in, kernel rows, kernel columns).
        value : number
            The loss value before.
        """
        kind = weight.dtype.type
        with np.errstate(all="ignore"):
            total = replay.sums(self.sums(weight.reshape(len(weight), -1)))[-1]
            penalty: Scalar = kind(self.strength) * total
        return penalty, replay.call(scalar.with_penalty, value, total, self.strength)


Regularizer = _Regularizer


def checked(where: str, value: Any) -> Regularizer | None:
    """Return the penalty that a layer was given: an object, or None.

    Raises
    ------
    ConfigurationError
        If it is something else.
    """
    if value is None:
        return None
    advice = f"write L2({shown(value)})" if arguments.is_number(value) else ""
    expected = "a penalty such as L1(0.001) or L2(0.001), or None"
    return arguments.instance(where, value, _Regularizer, expected, advice)


@dataclass
class L1(_Regularizer):
    """strength * sum of |w|; adds strength * sign(w) to the gradient."""

    function = staticmethod(scalar.l1_gradient)
    formula = "gradient + strength × sign(w)"

    def sums(self, rows: Array) -> Array:
        """Return the sum of |w| of each row."""
        totals = replay.sums(np.abs(rows).ravel(), tuple(range(0, rows.size, rows.shape[1])))
        return totals[rows.shape[1] - 1 :: rows.shape[1]]

    def penalty(self, weight: Buffer, value: Buffer) -> Launch:
        """Return the launch that adds the penalty to the loss value."""
        return Launch("l1_penalty", (weight, value), self.settings(weight.shape))

    def gradient(self, weight: Buffer, grad_weight: Buffer) -> Launch:
        """Return the launch that adds the penalty's gradient."""
        return Launch("l1_penalty_gradient", (weight, grad_weight), Strength(self.strength))


@dataclass
class L2(_Regularizer):
    """strength * sum of w squared; adds 2 * strength * w to the gradient (Keras's convention).

    PyTorch's `weight_decay` d corresponds to a strength of d / 2.
    """

    function = staticmethod(scalar.l2_gradient)
    formula = "gradient + 2 × strength × w"

    def sums(self, rows: Array) -> Array:
        """Return the sum of w squared of each row."""
        starts = tuple(range(0, rows.size, rows.shape[1]))
        totals = replay.products(rows.ravel(), rows.ravel(), starts=starts)
        return totals[rows.shape[1] - 1 :: rows.shape[1]]

    def penalty(self, weight: Buffer, value: Buffer) -> Launch:
        """Return the launch that adds the penalty to the loss value."""
        return Launch("l2_penalty", (weight, value), self.settings(weight.shape))

    def gradient(self, weight: Buffer, grad_weight: Buffer) -> Launch:
        """Return the launch that adds the penalty's gradient."""
        return Launch("l2_penalty_gradient", (weight, grad_weight), Strength(self.strength))
