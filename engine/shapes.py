"""The only output-size formulas and shape checks. Shapes here have no batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

from engine.arguments import LARGEST, is_sequence, is_whole, refusal
from engine.errors import ShapeError
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


def pair(where: str, value: object, least: int = 1) -> Pair:
    """Return `value` as (y, x).

    Raises
    ------
    ConfigurationError
        If it is not one or two integers of at least `least`.
    """
    items = tuple(value) if is_sequence(value) else (value, value)
    if len(items) != 2 or not all(_is_size(item, least) for item in items):
        raise refusal(where, f"one or two whole numbers of at least {least} (y, x)", value)
    return int(items[0]), int(items[1])


def sizes(where: str, value: object, least: int = 1) -> Shape:
    """Return the sizes of some axes, at least one, as a tuple.

    Raises
    ------
    ConfigurationError
        If they are not whole numbers of at least `least`.
    """
    if not is_sequence(value) or not len(value) or not all(_is_size(item, least) for item in value):
        expected = f"a shape of whole numbers of at least {least} such as (1, 28, 28)"
        raise refusal(where, expected, value)
    return tuple(int(item) for item in value)


def check_padding(where: str, padding: object) -> int | str | tuple[int, ...]:
    """Return a padding argument in a form that can be stored.

    Accepted are an integer, (y, x), (top, bottom, left, right), ``"same"`` and ``"valid"``.

    Raises
    ------
    ConfigurationError
        If it is something else.
    """
    if isinstance(padding, str) and padding in ("same", "valid"):
        return str(padding)
    if is_sequence(padding):
        sides = tuple(padding)
        if len(sides) in (2, 4) and all(_is_size(side, 0) for side in sides):
            return tuple(int(side) for side in sides)
    elif _is_size(padding, 0):
        return int(padding)
    raise refusal(
        where,
        '"same", "valid", or one, two (y, x) or four (top, bottom, left, right) whole numbers '
        "of at least 0",
        padding,
    )


def _is_size(value: object, least: int) -> TypeGuard[int]:
    return is_whole(value) and least <= value <= LARGEST


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
