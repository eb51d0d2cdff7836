"""Normalisation layers."""

from __future__ import annotations

import math

import numpy as np

from engine.errors import ConfigurationError
from engine.initializers import Ones, Zeros
from engine.layers.base import Layer
from engine.ops.norm import BatchNorm2d as BatchNorm2dOp
from engine.shapes import positive


class BatchNorm2d(Layer):
    """(x - mean) / sqrt(variance + eps) * weight + bias, per channel.

    Training uses the statistics of the batch and moves the running ones; inference uses those.

    Parameters
    ----------
    channels : int
    eps : float
    momentum : float
        Weight of the new batch (PyTorch's meaning; Keras's momentum is 1 minus this).
    name : str or None

    Attributes
    ----------
    weight, bias : Parameter, shape (channels,)
    state : running_mean, running_var
        Shape (channels,); the running variance is unbiased.

    References
    ----------
    Ioffe and Szegedy 2015, arXiv:1502.03167.
    """

    acting = ("eps", "momentum")

    def __init__(
        self, channels: int, eps: float = 1e-5, momentum: float = 0.1, name: str | None = None
    ) -> None:
        self.channels, self.eps, self.momentum = (
            positive("channels", channels),
            float(eps),
            float(momentum),
        )
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise ConfigurationError(f"eps: expected a number of at least 0, received {eps}")
        if not 0 <= self.momentum <= 1:
            raise ConfigurationError(
                f"momentum: expected 0 to 1 (weight of the new batch), received {momentum}"
            )
        super().__init__(BatchNorm2dOp(self.channels, self.eps, self.momentum), name)
        self.weight = self.add_parameter("weight", (channels,), "plain", Ones())
        self.bias = self.add_parameter("bias", (channels,), "plain", Zeros())
        self.initial_state = {"running_mean": np.zeros(channels), "running_var": np.ones(channels)}
