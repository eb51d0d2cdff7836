"""Convolution layers."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import ConfigurationError
from engine.initializers import HeUniform, Initializer, Zeros
from engine.layers.base import Layer, Parameter
from engine.ops.conv import Conv2d as Conv2dOp
from engine.regularizers import Regularizer
from engine.shapes import check_padding, pair, positive


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
    initializer : Initializer, default HeUniform
        For the weight; the bias starts at zero.
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
        If an argument is out of range.

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
        initializer: Initializer | None = None,
        regularizer: Regularizer | None = None,
        name: str | None = None,
    ) -> None:
        self.in_channels, self.out_channels = (
            positive("in_channels", in_channels),
            positive("out_channels", out_channels),
        )
        self.kernel_size, self.stride = pair("kernel_size", kernel_size), pair("stride", stride)
        self.padding, self.dilation = check_padding(padding), pair("dilation", dilation)
        self.groups = positive("groups", groups)
        self.flip_kernel, self.initializer, self.regularizer = (
            bool(flip_kernel),
            initializer,
            regularizer,
        )
        for label, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                near = [g for g in range(1, channels + 1) if channels % g == 0]
                raise ConfigurationError(
                    f"groups: expected a divisor of {label} {channels}, received {groups}; "
                    f"possible are {', '.join(map(str, near))}"
                )
        super().__init__(
            Conv2dOp(
                self.in_channels,
                self.out_channels,
                self.kernel_size,
                self.stride,
                self.padding,
                self.dilation,
                self.groups,
                bool(bias),
                self.flip_kernel,
            ),
            name,
        )
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = self.add_parameter(
            "weight", shape, "kernel", initializer or HeUniform(), regularizer
        )
        self.bias: Parameter | None = None
        if bias:
            self.bias = self.add_parameter("bias", (out_channels,), "plain", Zeros())
