"""The nets of the zoo as somebody would write them in PyTorch, with the weights of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from engine import Model


def _lenet(normalised: bool) -> nn.Module:
    def block(inputs: int, outputs: int, padding: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(outputs)] if normalised else []
        conv = nn.Conv2d(inputs, outputs, 5, padding=padding)
        return [conv, *norm, nn.ReLU(), nn.MaxPool2d(2)]

    dense = [
        *(nn.Linear(400, 120), nn.ReLU()),
        *(nn.Linear(120, 84), nn.ReLU()),
        nn.Linear(84, 10),
    ]
    return nn.Sequential(*block(1, 6, 2), *block(6, 16, 0), nn.Flatten(), *dense)


def _digits_cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(392, 10)),
    )


def _vgg_small() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()),
        nn.MaxPool2d(2),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
        nn.MaxPool2d(2),
        *(nn.Flatten(), nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, 10)),
    )


class _Block(nn.Module):
    """A residual block; where the shape changes its shortcut is a projection."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            projection = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


def _resnet20() -> nn.Module:
    blocks = [
        _Block(inputs, outputs, stride)
        for first, outputs in ((16, 16), (16, 32), (32, 64))
        for inputs, stride in (
            (first, 1 + (first != outputs)),
            (outputs, 1),
            (outputs, 1),
        )
    ]
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)),
        *blocks,
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )


TWINS = {
    "lenet5": lambda: _lenet(normalised=False),
    "lenet5_bn": lambda: _lenet(normalised=True),
    "digits_cnn": _digits_cnn,
    "vgg_small": _vgg_small,
    "resnet20": _resnet20,
}
"""Builders by the name of ours; the order of parameters is the same."""


def twin(name: str, model: Model, dtype: torch.dtype | None = None) -> nn.Module:
    """Return the PyTorch net of that name with the weights and statistics of `model`.

    Parameters
    ----------
    name : str
        A key of `TWINS`.
    model : Model
        Of the zoo's builder of that name, with its default sizes.
    dtype : torch dtype, optional
        The model's by default.
    """
    net = TWINS[name]().to(dtype or getattr(torch, model.dtype))
    ours = [parameter.value for parameter in model.parameters.values()]
    with torch.no_grad():
        for theirs, values in zip(net.parameters(), ours, strict=True):
            theirs.copy_(torch.tensor(values).reshape(theirs.shape))
        statistics = [b for key, b in net.named_buffers() if "num_batches" not in key]
        for theirs, state in zip(statistics, model.state, strict=True):
            theirs.copy_(torch.tensor(model.state[state]))
    return net


def predicted(net: nn.Module, x: Any) -> Any:
    """Return what a net makes of an array, as an array."""
    with torch.inference_mode():
        return np.asarray(net.eval()(torch.from_numpy(x)))
