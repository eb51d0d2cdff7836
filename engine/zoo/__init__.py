"""Networks by name: builders of well-known and of small nets, and the registry that lists them."""

from __future__ import annotations

from engine.zoo.digits import digits_cnn
from engine.zoo.lenet import lenet5, lenet5_bn
from engine.zoo.registry import BUILDERS, Builder, build, builder, describe
from engine.zoo.resnet import resnet20
from engine.zoo.vgg import vgg_small

__all__ = [
    "BUILDERS",
    "Builder",
    "build",
    "builder",
    "describe",
    "digits_cnn",
    "lenet5",
    "lenet5_bn",
    "resnet20",
    "vgg_small",
]
