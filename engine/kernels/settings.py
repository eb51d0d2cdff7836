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


class WinogradKernels(NamedTuple):
    """Kernels (outputs, inputs, 3, 3) on their way to tiles of `tile`, or back from there.

    `turned` exchanges inputs and outputs, `flip` turns each kernel by 180 degrees.
    """

    tile: int
    inputs: int
    outputs: int
    turned: int
    flip: int


class WinogradTiles(NamedTuple):
    """How an image is cut into tiles of `tile` x `tile` outputs, and how much zero surrounds it."""

    tile: int
    top: int
    left: int
    has_bias: int


class WinogradChunks(NamedTuple):
    """As `WinogradTiles`, for sums over all tiles in `chunks`; `flip` turns their results."""

    tile: int
    top: int
    left: int
    chunks: int
    flip: int


class Columns(NamedTuple):
    """How the window of an undilated, ungrouped convolution slides; see `conv_columns`."""

    stride_y: int
    stride_x: int
    top: int
    left: int
    kernel_y: int
    kernel_x: int
    flip: int


class FusedWindow(NamedTuple):
    """A `Window`, and what follows the sum of a convolution: bias, normalisation, residual, ReLU.

    With `keep`, what goes into the ReLU is stored too.
    """

    stride_y: int
    stride_x: int
    top: int
    left: int
    dilation_y: int
    dilation_x: int
    groups: int
    flip: int
    has_bias: int
    has_norm: int
    has_residual: int
    keep: int
    relu: int


class FusedTiles(NamedTuple):
    """`WinogradTiles`, and what follows the sum of a convolution, as in `FusedWindow`."""

    tile: int
    top: int
    left: int
    has_bias: int
    has_norm: int
    has_residual: int
    keep: int
    relu: int


class FusedDense(NamedTuple):
    """What follows a matrix product; with `keep`, what goes into the ReLU is stored too."""

    has_bias: int
    keep: int
    relu: int


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


class Epsilon(NamedTuple):
    """What is added to a variance before its root is taken."""

    epsilon: float


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


class Strength(NamedTuple):
    """The factor of a penalty on weights."""

    strength: float


class Penalty(NamedTuple):
    """The factor of a penalty, and the public shape of its weight: (outputs, inputs, taps)."""

    strength: float
    outputs: int
    inputs: int
    taps: int


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
