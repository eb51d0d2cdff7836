"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence

from engine import arguments
from engine.layers.base import Layer
from engine.ops import pool as ops
from engine.shapes import check_padding, pair


class _Pool2d(Layer):
    """What both sliding pools share."""

    def _set_window(
        self, kernel_size: object, stride: object, padding: object, dilation: object, ceil: object
    ) -> None:
        """Check and keep how the window slides."""
        kind = type(self).__name__
        self.kernel_size = pair(f"{kind} kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair(f"{kind} stride", stride)
        self.padding = check_padding(f"{kind} padding", padding)
        self.dilation = pair(f"{kind} dilation", dilation)
        self.ceil_mode = arguments.flag(f"{kind} ceil_mode", ceil)


class MaxPool2d(_Pool2d):
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

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.
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
        self._set_window(kernel_size, stride, padding, dilation, ceil_mode)
        op = ops.MaxPool2d(
            self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )
        super().__init__(op, name)


class AvgPool2d(_Pool2d):
    """Mean of each window.

    Parameters
    ----------
    kernel_size, stride, padding, dilation, ceil_mode, name
        As in `MaxPool2d`.
    count_include_pad : bool
        Whether padding counts as zeros in the mean (PyTorch's default) or is left out.
    divisor_override : int or None
        Divide by this instead of the number of cells.

    Raises
    ------
    ConfigurationError
        If an argument is out of range, or of the wrong kind.
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
        self._set_window(kernel_size, stride, padding, dilation, ceil_mode)
        kind = type(self).__name__
        self.count_include_pad = arguments.flag(f"{kind} count_include_pad", count_include_pad)
        if divisor_override is not None:
            divisor_override = arguments.whole(f"{kind} divisor_override", divisor_override, 1)
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

    Raises
    ------
    ConfigurationError
        If the size is something else.
    """

    def __init__(self, output_size: int | Sequence[int | None], name: str | None = None) -> None:
        where = f"{type(self).__name__} output_size"
        sizes = tuple(output_size) if arguments.is_sequence(output_size) else (output_size,) * 2
        if len(sizes) != 2 or output_size is None:
            expected = "a whole number of at least 1, or (rows, columns) with None for 'as given'"
            raise arguments.refusal(where, expected, output_size)
        rows, columns = (None if n is None else arguments.whole(where, n, 1) for n in sizes)
        self.output_size = (rows, columns)
        super().__init__(ops.AdaptiveAvgPool2d(self.output_size), name)
