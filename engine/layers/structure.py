"""Layers that join, thin or reshape."""

from __future__ import annotations

from engine.errors import ConfigurationError
from engine.layers.base import Layer
from engine.ops import elementwise as ops


class Flatten(Layer):
    """(n, c, h, w) becomes (n, c * h * w), in the order channel, row, column."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(ops.Flatten(), name)


class Dropout(Layer):
    """Drops elements with probability `p` while training and scales the rest by 1 / (1 - p).

    References
    ----------
    Srivastava et al. 2014, "Dropout", JMLR 15.
    """

    acting = ("p",)

    def __init__(self, p: float = 0.5, name: str | None = None) -> None:
        if not 0 <= p < 1:
            raise ConfigurationError(f"dropout p: expected a probability in [0, 1), received {p}")
        self.p = float(p)
        super().__init__(ops.Dropout(self.p), name)


class Add(Layer):
    """Sum of two or more nodes of one shape: ``Add()(a, b)``."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(ops.Add(), name)


class Concat(Layer):
    """Nodes side by side along channels, or along `axis` of the batched tensor."""

    def __init__(self, axis: int = 1, name: str | None = None) -> None:
        self.axis = int(axis)
        super().__init__(ops.Concat(self.axis), name)
