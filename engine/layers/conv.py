"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine import arguments, initializers, regularizers
from engine.errors import ConfigurationError
from engine.initializers import HeUniform, Initializer, Zeros
from engine.layers.base import Layer, Parameter, check_bias
from engine.ops.conv import Conv2d as Conv2dOp
from engine.regularizers import Regularizer
from engine.shapes import check_padding, pair

MANY = 4096
"""Divisors beyond this are not listed."""


class Conv2d(Layer):
    """Two-dimensional convolution.

    output[n, o, y, x] = bias[o] + sum over i, ky, kx of
    input[n, i, y * stride + ky * dilation - pad, ...] * weight[o, i, ky, kx]

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (y, x)
    padding : int, (y, x), (top, bottom, left, right), ``"same"`` or ``"valid"``
        ``"same"`` makes ceil(size / stride) outputs; an odd pixel goes to the bottom and the right.
    groups : int
        Must divide both channel counts.
    bias : bool
    flip_kernel : bool
        True gives the convolution of mathematics, with the kernel turned by 180 degrees; the
        default is the cross-correlation that the field calls convolution.
    initializer : Initializer or str, default HeUniform
        For the weight; the bias starts at zero. ``"he_normal"`` is short for ``HeNormal()``; see
        `engine.initializers.NAMES`.
    regularizer : Regularizer or None
        ``L1`` or ``L2`` on the weight.
    name : str or None

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels / groups, kernel y, kernel x)
    bias : Parameter or None, shape (out_channels,)

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.

    References
    ----------
    Dumoulin and Visin 2016, "A guide to convolution arithmetic", arXiv:1603.07285.
    """

    acting = ("regularizer",)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        flip_kernel: bool = False,
        initializer: Initializer | str | None = None,
        regularizer: Regularizer | None = None,
        name: str | None = None,
    ) -> None:
        kind = type(self).__name__
        self.in_channels = arguments.whole(f"{kind} in_channels", in_channels, 1)
        self.out_channels = arguments.whole(f"{kind} out_channels", out_channels, 1)
        self.kernel_size = pair(f"{kind} kernel_size", kernel_size)
        self.stride = pair(f"{kind} stride", stride)
        self.padding = check_padding(f"{kind} padding", padding)
        self.dilation = pair(f"{kind} dilation", dilation)
        self.groups = _checked_groups(kind, groups, self.in_channels, self.out_channels)
        has_bias = check_bias(kind, bias)
        self.flip_kernel = arguments.flag(f"{kind} flip_kernel", flip_kernel)
        self.initializer = initializers.checked(f"{kind} initializer", initializer)
        self.regularizer = regularizers.checked(f"{kind} regularizer", regularizer)
        super().__init__(
            Conv2dOp(
                self.in_channels,
                self.out_channels,
                self.kernel_size,
                self.stride,
                self.padding,
                self.dilation,
                self.groups,
                has_bias,
                self.flip_kernel,
            ),
            name,
        )
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        first = self.initializer or HeUniform()
        self.weight = self.add_parameter("weight", shape, "kernel", first, self.regularizer)
        self.bias: Parameter | None = None
        if has_bias:
            self.bias = self.add_parameter("bias", (self.out_channels,), "plain", Zeros())


def _checked_groups(kind: str, groups: object, in_channels: int, out_channels: int) -> int:
    """Return the number of groups, which divides both channel counts."""
    count = arguments.whole(f"{kind} groups", groups, 1)
    for label, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % count:
            both = math.gcd(in_channels, out_channels)
            near = [g for g in range(1, min(both, MANY) + 1) if both % g == 0]
            raise ConfigurationError(
                f"{kind} groups: expected a divisor of {label} {channels}, received {count}; "
                f"possible are {', '.join(map(str, near))}"
            )
    return count
