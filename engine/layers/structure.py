"""Layers that join, thin or reshape."""

from __future__ import annotations

from engine import arguments
from engine.layers.base import MOST_AXES, Layer
from engine.ops import elementwise as ops


class Flatten(Layer):
    """(n, c, h, w) becomes (n, c * h * w), in the order channel, row, column."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(ops.Flatten(), name)


class Dropout(Layer):
    """Drops elements with probability `p` while training and scales the rest by 1 / (1 - p).

    Parameters
    ----------
    p : float
        From 0 (nothing is dropped) to 1 (everything is: output and gradient are 0).
    name : str or None

    Raises
    ------
    ConfigurationError
        If `p` is no probability.

    References
    ----------
    Srivastava et al. 2014, "Dropout", JMLR 15.
    """

    below_one = ("p",)
    acting = ("p",)

    def __init__(self, p: float = 0.5, name: str | None = None) -> None:
        self.p = arguments.number(f"{type(self).__name__} p", p, least=0, most=1)
        super().__init__(ops.Dropout(self.p), name)


class Add(Layer):
    """Sum of two or more nodes of one shape: ``Add()(a, b)``."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(ops.Add(), name)


class Concat(Layer):
    """Nodes side by side along channels, or along `axis` of the batched tensor.

    Raises
    ------
    ConfigurationError
        If the axis is no whole number.
    """

    def __init__(self, axis: int = 1, name: str | None = None) -> None:
        self.axis = arguments.whole(f"{type(self).__name__} axis", axis, -MOST_AXES, MOST_AXES)
        super().__init__(ops.Concat(self.axis), name)
