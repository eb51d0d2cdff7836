"""The settings that kernels take: one NamedTuple per family, the same on every device.

Integers reach a kernel as int64, floats in the program's dtype.
"""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """How a convolution's window slides. `flip` turns correlation into true convolution."""

    stride_y: int
    stride_x: int
    top: int
    left: int
    dilation_y: int
    dilation_x: int
    groups: int
    flip: int
    has_bias: int


class Pool(NamedTuple):
    """How a pooling window slides.

    `bottom` and `right` bound the padded image for the divisor of an average; `divisor` 0 means
    "count the cells", with or without the padding as `count_padding` says.
    """

    kernel_y: int
    kernel_x: int
    stride_y: int
    stride_x: int
    top: int
    left: int
    bottom: int
    right: int
    dilation_y: int
    dilation_x: int
    count_padding: int
    divisor: int


class Planes(NamedTuple):
    """An activation seen as samples x channels x plane (all positions of one map)."""

    samples: int
    channels: int
    plane: int


class Normalization(NamedTuple):
    """Batch normalisation: `Planes`, plus epsilon and the weight of the new batch."""

    samples: int
    channels: int
    plane: int
    epsilon: float
    momentum: float


class Slope(NamedTuple):
    """The slope of a leaky rectifier below zero."""

    slope: float


class DropoutSettings(NamedTuple):
    """Which elements to drop: `Planes`, the probability, and the layer's own random stream."""

    samples: int
    channels: int
    plane: int
    probability: float
    stream: int


class Blocks(NamedTuple):
    """A copy of `rows` blocks of `length` numbers between two memories with their own pitches."""

    rows: int
    length: int
    source_pitch: int
    source_offset: int
    target_pitch: int
    target_offset: int


class Border(NamedTuple):
    """Rows above and columns to the left of an image inside a larger buffer."""

    top: int
    left: int


class Strength(NamedTuple):
    """The factor of a penalty on weights."""

    strength: float


class SgdSettings(NamedTuple):
    """SGD: momentum, weight decay, and whether Nesterov's look-ahead is on."""

    momentum: float
    weight_decay: float
    nesterov: int


class AdamSettings(NamedTuple):
    """Adam and AdamW (`decoupled`)."""

    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    decoupled: int
