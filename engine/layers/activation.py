"""Activation layers."""

from __future__ import annotations

from engine import arguments
from engine.layers.base import MOST_AXES, Layer
from engine.ops import activation as ops


class ReLU(Layer):
    """max(x, 0)."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(ops.ReLU(), name)


class LeakyReLU(Layer):
    """X above zero, negative_slope * x below.

    Raises
    ------
    ConfigurationError
        If the slope is no finite number.
    """

    acting = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, name: str | None = None) -> None:
        where = f"{type(self).__name__} negative_slope"
        self.negative_slope = arguments.number(where, negative_slope)
        super().__init__(ops.LeakyReLU(self.negative_slope), name)


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(ops.Sigmoid(), name)


class Tanh(Layer):
    """Hyperbolic tangent."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(ops.Tanh(), name)


class HardSwish(Layer):
    """x * min(max(x + 3, 0), 6) / 6.

    References
    ----------
    Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244, equation 2.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(ops.HardSwish(), name)


class Softmax(Layer):
    """exp(x) / sum of exp(x) along an axis of the batched tensor (0 is the batch, 1 the channels).

    Losses take logits: a net that is trained with `CrossEntropyLoss` needs no softmax at its end.

    Raises
    ------
    ConfigurationError
        If the axis is no whole number.
    """

    def __init__(self, axis: int = 1, name: str | None = None) -> None:
        self.axis = arguments.whole(f"{type(self).__name__} axis", axis, -MOST_AXES, MOST_AXES)
        super().__init__(ops.Softmax(self.axis), name)
