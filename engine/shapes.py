"""The only output-size formulas and shape checks. Shapes here have no batch axis."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.errors import ConfigurationError, ShapeError
from engine.typing import Shape

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]
"""Top, left, bottom, right: both starts, then both ends. Users write (top, bottom, left, right)."""


class Reach(NamedTuple):
    """How a layer's output pixels look at its input: what receptive fields are computed from."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Padding


def pair(name: str, value: object, least: int = 1) -> Pair:
    """Return `value` as (y, x).

    Raises
    ------
    ConfigurationError
        If it is not one or two integers of at least `least`.
    """
    items: tuple[Any, ...] = (
        tuple(value)
        if isinstance(value, Sequence) and not isinstance(value, str)
        else (value, value)
    )
    good = len(items) == 2 and all(
        not isinstance(i, bool) and isinstance(i, numbers.Integral) and int(i) >= least
        for i in items
    )
    if not good:
        raise ConfigurationError(
            f"{name}: expected one or two integers of at least {least} (y, x), received {value!r}"
        )
    return int(items[0]), int(items[1])


def positive(name: str, value: object) -> int:
    """Return `value` if it is a positive integer.

    Raises
    ------
    ConfigurationError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < 1:
        raise ConfigurationError(f"{name}: expected a positive integer, received {value!r}")
    return int(value)


def check_padding(padding: object) -> int | str | tuple[int, ...]:
    """Return a padding argument in a form that can be stored.

    Accepted are an integer, (y, x), (top, bottom, left, right), ``"same"`` and ``"valid"``.
    """
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ConfigurationError(
                'padding: expected "same", "valid", an integer, (y, x) or '
                f"(top, bottom, left, right), received {padding!r}"
            )
        return padding
    if isinstance(padding, Sequence) and len(padding) == 4:
        if not all(isinstance(p, numbers.Integral) and int(p) >= 0 for p in padding):
            raise ConfigurationError(
                f"padding: expected integers of at least 0, received {padding!r}"
            )
        return tuple(int(p) for p in padding)
    if isinstance(padding, Sequence):
        return pair("padding", padding, 0)
    return pair("padding", padding, 0)[0]


def extent(kernel: int, dilation: int) -> int:
    """Return how many pixels a dilated kernel spans."""
    return dilation * (kernel - 1) + 1


def resolve_padding(
    padding: int | str | Sequence[int], size: Pair, kernel: Pair, stride: Pair, dilation: Pair
) -> Padding:
    """Return (top, left, bottom, right) for an input of `size`.

    ``"same"`` makes ``ceil(size / stride)`` outputs; an odd pixel goes to the bottom and the right
    (TensorFlow's rule, ONNX SAME_UPPER).
    """
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        totals = [
            max((-(-n // s) - 1) * s + extent(k, d) - n, 0)
            for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
        ]
        before = [total // 2 for total in totals]
        return before[0], before[1], totals[0] - before[0], totals[1] - before[1]
    if isinstance(padding, Sequence):
        items = [int(p) for p in padding]
        if len(items) == 4:
            top, bottom, left, right = items
            return top, left, bottom, right
        return items[0], items[1], items[0], items[1]
    return int(padding), int(padding), int(padding), int(padding)


def window_count(
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    before: int,
    after: int,
    ceil_mode: bool = False,
) -> int:
    """Return how many windows fit along one axis (Dumoulin and Visin 2016, arXiv:1603.07285).

    With `ceil_mode` a last, partly outside window counts if it starts inside the input or the
    padding before it, as in PyTorch.
    """
    room = size + before + after - extent(kernel, dilation)
    if room < 0:
        return 0
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + before:
        count -= 1
    return count


def window_shape(
    size: Pair,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    padding: Padding,
    ceil_mode: bool = False,
) -> Pair:
    """Return (height, width) after sliding a window.

    Raises
    ------
    ShapeError
        If the window does not fit once; the text says how large the input must be.
    """
    counts = [
        window_count(n, k, s, d, before, after, ceil_mode)
        for n, k, s, d, before, after in zip(
            size, kernel, stride, dilation, padding[:2], padding[2:], strict=True
        )
    ]
    if min(counts) < 1:
        need = [
            max(extent(k, d) - before - after, 1)
            for k, d, before, after in zip(kernel, dilation, padding[:2], padding[2:], strict=True)
        ]
        raise ShapeError(
            f"a {kernel[0]}x{kernel[1]} window (dilation {dilation[0]}x{dilation[1]}, "
            f"padding {padding}) needs an input of at least {need[0]}x{need[1]} pixels, "
            f"received {size[0]}x{size[1]}; use a smaller kernel_size or more padding"
        )
    return counts[0], counts[1]


def image(shape: Shape, what: str = "input") -> tuple[int, int, int]:
    """Return (channels, height, width).

    Raises
    ------
    ShapeError
        If the shape has another rank.
    """
    if len(shape) != 3:
        raise ShapeError(
            f"expected an {what} of shape (n, channels, height, width), "
            f"received {with_batch(shape)}"
        )
    return shape[0], shape[1], shape[2]


def with_batch(shape: Shape) -> str:
    """Return a shape without batch axis as text: ``(n, 6, 14, 14)``."""
    return "(" + ", ".join(["n", *map(str, shape)]) + ("" if shape else ",") + ")"
