"""Penalties on weights. They are part of the loss value, and their gradient of the weight's."""

from __future__ import annotations

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
from engine.kernels.settings import Strength
from engine.typing import Array, Scalar


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
    def sizes(self, weight: Array) -> Array:
        """Return what the penalty adds up: |w|, or w squared."""

    def replayed(self, weight: Array) -> Scalar:
        """Return the penalty with the kernel's arithmetic, for `explain`.

        Parameters
        ----------
        weight : array
            In memory order, which is the order of the sum.
        """
        with np.errstate(all="ignore"):
            total = replay.sums(self.sizes(weight.ravel()))[-1]
            penalty: Scalar = weight.dtype.type(self.strength) * total
        return penalty


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

    def sizes(self, weight: Array) -> Array:
        """Return |w|."""
        return np.abs(weight)

    def penalty(self, weight: Buffer, value: Buffer) -> Launch:
        """Return the launch that adds the penalty to the loss value."""
        return Launch("l1_penalty", (weight, value), Strength(self.strength))

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

    def sizes(self, weight: Array) -> Array:
        """Return w squared."""
        return np.asarray(weight * weight)

    def penalty(self, weight: Buffer, value: Buffer) -> Launch:
        """Return the launch that adds the penalty to the loss value."""
        return Launch("l2_penalty", (weight, value), Strength(self.strength))

    def gradient(self, weight: Buffer, grad_weight: Buffer) -> Launch:
        """Return the launch that adds the penalty's gradient."""
        return Launch("l2_penalty_gradient", (weight, grad_weight), Strength(self.strength))
