"""Normalisation layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from engine import arguments
from engine.initializers import Ones, Zeros
from engine.layers.base import Layer
from engine.ops.norm import BatchNorm2d as BatchNorm2dOp


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

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.

    References
    ----------
    Ioffe and Szegedy 2015, arXiv:1502.03167.
    """

    above_zero = ("eps",)
    acting = ("eps", "momentum")

    def __init__(
        self, channels: int, eps: float = 1e-5, momentum: float = 0.1, name: str | None = None
    ) -> None:
        kind = type(self).__name__
        self.channels = arguments.whole(f"{kind} channels", channels, 1)
        self.eps = arguments.number(f"{kind} eps", eps, least=0)
        advice = "it is the weight of the new batch, 1 minus Keras's momentum"
        self.momentum = arguments.number(
            f"{kind} momentum", momentum, least=0, most=1, advice=advice
        )
        super().__init__(BatchNorm2dOp(self.channels, self.eps, self.momentum), name)
        shape = (self.channels,)
        self.weight = self.add_parameter("weight", shape, "plain", Ones())
        self.bias = self.add_parameter("bias", shape, "plain", Zeros())
        # One number each, seen everywhere: a layer takes no memory before it is in a model.
        self.initial_state = {
            "running_mean": np.broadcast_to(0.0, shape),
            "running_var": np.broadcast_to(1.0, shape),
        }


def single_value_norms(nodes: Iterable[Any], samples: int) -> list[str]:
    """Return the batch normalisations that a batch of so many samples gives one value per channel.

    The mean of one value is the value itself: their output is their bias, whatever comes in.

    Parameters
    ----------
    nodes : iterable of ModelNode
        With ``name``, ``layer`` and ``output_shape``, as in `Model.nodes`.
    samples : int
    """
    return [
        node.name
        for node in nodes
        if isinstance(node.layer, BatchNorm2d) and samples * math.prod(node.output_shape[1:]) == 1
    ]


def single_value_problem(
    nodes: Iterable[Any], samples: int, batch_size: int, drop_last: bool = False
) -> str | None:
    """Say whether a batch normalisation would train on one value per channel, and what helps.

    Parameters
    ----------
    nodes : iterable of ModelNode
    samples, batch_size, drop_last
        Of the data and of their loader.

    Returns
    -------
    str or None
        A sentence without its subject, to be put after ``"fit: "``; None if all is well.
    """
    full, rest = divmod(samples, batch_size)
    sizes = ([batch_size] if full else []) + ([rest] if rest and not drop_last else [])
    found = single_value_norms(nodes, 1) if 1 in sizes else []
    if not found:
        return None
    which = "every batch" if batch_size == 1 else "the last batch of an epoch"
    advice = "a batch_size of at least 2" if batch_size == 1 or not full else "drop_last=True"
    return (
        f"{which} holds one sample ({samples} in batches of {batch_size}), and {', '.join(found)} "
        f"would learn nothing from one value per channel; use {advice}"
        + (" in the DataLoader, or another batch_size" if advice == "drop_last=True" else "")
    )
