"""Every layer in the forms that tests walk through: gradient check, explanation, completeness.

A new layer gets its line here and a case in tests/kernels/test_ops_reference.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import Input, Model
from engine.layers import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    HardSwish,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)

IMAGE = (4, 7, 6)
"""Input shape that all of them take; the layer looked at is called "it"."""

LAYERS: dict[str, Callable[[], list[Any]]] = {
    "conv": lambda: [Conv2d(4, 3, 3, name="it")],
    "conv strided": lambda: [Conv2d(4, 3, 3, stride=2, padding=1, name="it")],
    "conv uneven": lambda: [
        Conv2d(4, 6, (3, 2), stride=(1, 2), padding=(2, 0, 0, 1), dilation=(2, 1), name="it")
    ],
    "conv grouped": lambda: [Conv2d(4, 6, 3, padding="same", groups=2, bias=False, name="it")],
    "conv multiplied": lambda: [Conv2d(4, 8, 3, groups=4, dilation=(1, 2), padding=1, name="it")],
    "conv depthwise": lambda: [
        Conv2d(4, 4, (2, 3), stride=(2, 1), groups=4, dilation=(1, 2), padding=1, name="it")
    ],
    "conv dilated": lambda: [Conv2d(4, 3, 2, dilation=2, padding="same", name="it")],
    "conv wide": lambda: [
        Conv2d(4, 19, 1, name="widen"),
        Conv2d(19, 18, 3, padding=1, name="it"),
    ],
    "conv flipped": lambda: [Conv2d(4, 3, (2, 3), flip_kernel=True, padding=1, name="it")],
    "conv by winograd, tiles of 2": lambda: [Conv2d(4, 3, 3, padding=(0, 1, 2, 0), name="it")],
    "conv by winograd, tiles of 4": lambda: [
        Conv2d(4, 5, 3, padding=1, bias=False, flip_kernel=True, name="it")
    ],
    "dense": lambda: [Flatten(), Dense(168, 5, name="it")],
    "dense without bias": lambda: [Flatten(), Dense(168, 5, bias=False, name="it")],
    "dense on images": lambda: [Dense(6, 5, name="it")],
    "batch norm": lambda: [BatchNorm2d(4, name="it")],
    "max pool": lambda: [MaxPool2d(2, name="it")],
    "max pool overlapping": lambda: [MaxPool2d(3, stride=2, padding=1, ceil_mode=True, name="it")],
    "max pool dilated": lambda: [MaxPool2d(2, stride=1, dilation=2, name="it")],
    "max pool dilated, same size": lambda: [
        MaxPool2d(2, stride=1, padding="same", dilation=3, name="it")
    ],
    "avg pool dilated, same size": lambda: [
        AvgPool2d(3, stride=1, padding="same", dilation=3, name="it")
    ],
    "avg pool dilated, only what there is": lambda: [
        AvgPool2d(2, 1, "same", 3, count_include_pad=False, name="it")
    ],
    "avg pool": lambda: [AvgPool2d(3, stride=2, padding=1, ceil_mode=True, name="it")],
    "avg pool without padding": lambda: [
        AvgPool2d(2, padding=1, count_include_pad=False, name="it")
    ],
    "avg pool with a divisor": lambda: [AvgPool2d(2, divisor_override=3, name="it")],
    "adaptive avg pool": lambda: [AdaptiveAvgPool2d((3, 4), name="it")],
    "global avg pool": lambda: [GlobalAvgPool2d(name="it")],
    "relu": lambda: [ReLU(name="it")],
    "leaky relu": lambda: [LeakyReLU(0.1, name="it")],
    "hard swish": lambda: [HardSwish(name="it")],
    "sigmoid": lambda: [Sigmoid(name="it")],
    "tanh": lambda: [Tanh(name="it")],
    "softmax": lambda: [Softmax(axis=1, name="it")],
    "softmax along rows": lambda: [Softmax(axis=3, name="it")],
    "softmax of features": lambda: [Flatten(), Softmax(name="it")],
    "dropout": lambda: [Dropout(0.4, name="it")],
    "dropout of everything": lambda: [Dropout(1, name="it")],
    "flatten": lambda: [Flatten(name="it")],
    "flatten of features": lambda: [Flatten(), Flatten(name="it")],
}


CONVOLUTIONS = {
    "conv by winograd, tiles of 2": "winograd2",
    "conv by winograd, tiles of 4": "winograd4",
}
"""How convolutions run in forms that do not run them directly."""


def chain(name: str, dtype: str = "float64", seed: int = 1) -> Model:
    """Return one of the forms as a model of its own."""
    return Model(
        LAYERS[name](),
        input_shape=IMAGE,
        seed=seed,
        device="cpu",
        dtype=dtype,
        convolution=CONVOLUTIONS.get(name, "direct"),
    )


def branching(dtype: str = "float64") -> Model:
    """Return sums and joins: a tensor with three readers, and zeros of both signs."""
    x = Input(IMAGE)
    stem = Conv2d(4, 4, 3, padding=1, name="stem")(x)
    left = ReLU(name="left")(stem)
    right = Dropout(0.5, name="right")(stem)
    added = Add(name="added")(left, right, stem)
    joined = Concat(name="joined")(added, left)
    rows = Concat(axis=2, name="rows")(joined, joined)
    y = Dense(8, 5, name="fc")(Flatten(name="flat")(GlobalAvgPool2d(name="mean")(rows)))
    return Model(inputs=x, outputs=y, seed=2, device="cpu", dtype=dtype)
