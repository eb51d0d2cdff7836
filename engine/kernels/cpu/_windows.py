"""How pooling windows lie over an image: which taps and windows are there, and the usual case.

Helpers of `max_pool.py` and `avg_pool.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernels.cpu._vector import embed, fill
from engine.kernels.settings import Pool


@embed
def quotient(a: int, b: int) -> Any:
    """Return ``a // b`` of numbers that are not negative and below 2^32: several times faster."""
    return np.int64(np.uint32(a) // np.uint32(b))


@embed
def taps_inside(first: int, dilation: int, kernel: int, size: int) -> tuple[int, int]:
    """Return the range of taps k with ``first + k * dilation`` in [0, size)."""
    begin = 0 if first >= 0 else (-first + dilation - 1) // dilation
    if first + (kernel - 1) * dilation < size:
        return begin, kernel
    return begin, (size - 1 - first) // dilation + 1


@embed
def windows_over(
    reach: int, kernel: int, stride: int, dilation: int, count: int
) -> tuple[int, int]:
    """Return the range of windows that may cover a cell; `reach` is its place, padding counted."""
    before = reach - (kernel - 1) * dilation
    first = 0 if before <= 0 else quotient(before + stride - 1, stride)
    return first, min(quotient(reach, stride) + 1, count)


@embed
def tap_on(reach: int, window: int, stride: int, dilation: int) -> int:
    """Return which tap of a window that `windows_over` names lies on a cell; -1 for none."""
    distance = reach - window * stride
    if dilation == 1:
        return distance
    return distance // dilation if distance % dilation == 0 else -1


@embed
def quarters(s: Pool, x: Any, output: Any) -> bool:
    """Return whether this is the usual pooling: 2x2 windows side by side, all inside the image.

    It has loops of its own: known sizes make them several times as fast for few channels.
    """
    kernel = s.kernel_y == 2 and s.kernel_x == 2 and s.dilation_y == 1 and s.dilation_x == 1
    stride = s.stride_y == 2 and s.stride_x == 2 and s.top == 0 and s.left == 0
    full = 2 * output.shape[1] <= x.shape[1] and 2 * output.shape[2] <= x.shape[2]
    return kernel and stride and full


@embed
def narrow_tail(count: int, step: int, channels: int, pitch: int, lanes: int) -> int:
    """Return how many of a row's windows may store all lanes without leaving a row of `pitch`.

    Pixels with fewer channels than lanes spill into the next pixel, which is written later.
    """
    if channels >= lanes:
        return count
    return max(min((pitch - lanes) // (step * channels) - 1, count), 0)


@embed
def clear_rest(grad_input: Any, item: int, out_h: int, out_w: int, zero: Any) -> None:
    """Store zeros in the column and the row that no 2x2 window covers, as far as `item` has any."""
    height, width, channels = grad_input.shape[1], grad_input.shape[2], grad_input.shape[3]
    n, oy = item // out_h, item % out_h
    row = (n * height + 2 * oy) * width
    for y in range(2 if 2 * out_w < width else 0):
        begin = row + y * width + 2 * out_w
        fill(grad_input, begin * channels, (row + (y + 1) * width) * channels, zero)
    if oy == out_h - 1:
        fill(grad_input, (row + 2 * width) * channels, (n + 1) * height * width * channels, zero)
