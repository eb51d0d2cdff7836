"""Layers, named and parametrised as in PyTorch unless their text says otherwise."""

from __future__ import annotations

from engine.layers.activation import HardSwish, LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from engine.layers.base import Layer, Parameter
from engine.layers.conv import Conv2d
from engine.layers.dense import Dense
from engine.layers.graph import Input, Node
from engine.layers.norm import BatchNorm2d
from engine.layers.pool import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from engine.layers.structure import Add, Concat, Dropout, Flatten

__all__ = [
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool2d",
    "BatchNorm2d",
    "Concat",
    "Conv2d",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "HardSwish",
    "Input",
    "Layer",
    "LeakyReLU",
    "MaxPool2d",
    "Node",
    "Parameter",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
]
