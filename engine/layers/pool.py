"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import ConfigurationError
from engine.layers.base import Layer
from engine.ops import pool as ops
from engine.shapes import check_padding, pair, positive


class MaxPool2d(Layer):
    """Largest value of each window.

    Parameters
    ----------
    kernel_size : int or (y, x)
    stride : int or (y, x) or None
        None: the kernel size.
    padding : int, (y, x), (top, bottom, left, right), ``"same"`` or ``"valid"``
        Padding never wins: it counts as minus infinity.
    dilation : int or (y, x)
    ceil_mode : bool
        Keep a last window that lies partly outside.
    name : str or None
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | str | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("stride", stride)
        self.padding, self.dilation = check_padding(padding), pair("dilation", dilation)
        self.ceil_mode = bool(ceil_mode)
        op = ops.MaxPool2d(
            self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )
        super().__init__(op, name)


class AvgPool2d(Layer):
    """Mean of each window.

    Parameters
    ----------
    kernel_size, stride, padding, dilation, ceil_mode, name
        As in `MaxPool2d`.
    count_include_pad : bool
        Whether padding counts as zeros in the mean (PyTorch's default) or is left out.
    divisor_override : int or None
        Divide by this instead of the number of cells.
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | str | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        name: str | None = None,
    ) -> None:
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("stride", stride)
        self.padding, self.dilation = check_padding(padding), pair("dilation", dilation)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)
        if divisor_override is not None:
            positive("divisor_override", divisor_override)
        self.divisor_override = divisor_override
        op = ops.AvgPool2d(
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.count_include_pad,
            divisor_override or 0,
        )
        super().__init__(op, name)


class GlobalAvgPool2d(Layer):
    """Mean over all rows and columns: (n, c, h, w) becomes (n, c, 1, 1)."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(ops.AdaptiveAvgPool2d((1, 1)), name)


class AdaptiveAvgPool2d(Layer):
    """Mean over windows that divide the input into a given number of rows and columns.

    Parameters
    ----------
    output_size : int or (rows, columns)
        None keeps the input's size along that axis.
    name : str or None
    """

    def __init__(self, output_size: int | Sequence[int | None], name: str | None = None) -> None:
        size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
        if len(size) != 2 or any(s is not None and (not isinstance(s, int) or s < 1) for s in size):
            raise ConfigurationError(
                f"output_size: expected a positive integer, or (rows, columns) with None for "
                f"'as the input', received {output_size!r}"
            )
        self.output_size = (size[0], size[1])
        super().__init__(ops.AdaptiveAvgPool2d(self.output_size), name)
