"""Maximum pooling on (n, y, x, c) memory, vectors across channels.

Windows are read row by row; padding never wins. A gradient is gathered: each input cell visits the
windows that cover it, in row order, and is written once. `plain_pool` has the same kernels as plain
loops.
"""

from __future__ import annotations

import math
from typing import Any

from engine.kernels.arithmetic import like
from engine.kernels.cpu import plain_pool
from engine.kernels.cpu._share import share
from engine.kernels.cpu._vector import (
    block_at,
    embed,
    lanes_of,
    load,
    put,
    select,
    store,
    store_first,
    vectorised,
    zeros,
)
from engine.kernels.cpu._windows import (
    clear_rest,
    narrow_tail,
    quarters,
    tap_on,
    taps_inside,
    windows_over,
)
from engine.kernels.settings import Pool
from engine.kernels.types import Real4


@embed
def _largest(x: Any, place: Any, rows: Any, columns: Any, s: Pool, shape: Any) -> Any:
    """Return the largest values of a window and their taps, for one block of channels.

    `place` holds where tap (0, 0) lies, and the pitches from row to row and from pixel to pixel.
    """
    best = like(shape, -math.inf)
    tap = like(shape, rows[0] * s.kernel_x + columns[0])
    for ky in range(rows[0], rows[1]):
        for kx in range(columns[0], columns[1]):
            v = load(x, place[0] + ky * place[1] + kx * place[2], shape)
            wins = (v > best) | (v != v)
            best = select(wins, v, best)
            tap = select(wins, like(shape, ky * s.kernel_x + kx), tap)
    return best, tap


@embed
def _largest_of_four(x: Any, place: int, channels: int, pitch: int, shape: Any) -> Any:
    """Do `_largest` for a 2x2 window inside the image."""
    best, tap = load(x, place, shape), like(shape, 0)
    for number in range(1, 4):
        v = load(x, place + (number >> 1) * pitch + (number & 1) * channels, shape)
        wins = (v > best) | (v != v)
        best = select(wins, v, best)
        tap = select(wins, like(shape, number), tap)
    return best, tap


@embed
def _max_pool2d_forward_quarters(
    x: Any, output: Any, winner: Any, thread: int, threads: int
) -> None:
    """Do `max_pool2d_forward` for `quarters`."""
    samples, out_h, out_w, channels = output.shape
    height, pitch = x.shape[1], x.shape[2] * channels
    start, stop = share(samples * out_h, thread, threads)
    wide, one = zeros(x, 4), zeros(x, 1)
    lanes = lanes_of(one)
    full = narrow_tail(out_w, 1, channels, out_w * channels, lanes)
    for item in range(start, stop):
        place = (item // out_h * height + item % out_h * 2) * pitch
        target = item * out_w * channels
        for _ in range(full):
            c = 0
            while c + lanes_of(wide) <= channels:
                best, tap = _largest_of_four(x, place + c, channels, pitch, wide)
                store(output, target + c, best)
                store(winner, target + c, tap)
                c += lanes_of(wide)
            while c < channels:
                at = block_at(c, channels, lanes)
                value, number = _largest_of_four(x, place + at, channels, pitch, one)
                store(output, target + at, value)
                store(winner, target + at, number)
                c += lanes
            place += 2 * channels
            target += channels
        for _ in range(full, out_w):
            last, place_of_last = _largest_of_four(x, place, channels, pitch, one)
            store_first(output, target, last, channels)
            store_first(winner, target, place_of_last, channels)
            place += 2 * channels
            target += channels


@vectorised(plain_pool.max_pool2d_forward)
def max_pool2d_forward(
    x: Real4, output: Real4, winner: Real4, s: Pool, thread: int, threads: int
) -> None:
    """output = largest value of each window; winner = its number ky * kernel_x + kx in the window.

    Of equal values the first wins; a NaN wins over all.
    """
    if quarters(s, x, output):
        _max_pool2d_forward_quarters(x, output, winner, thread, threads)
        return
    samples, out_h, out_w, channels = output.shape
    height, width = x.shape[1], x.shape[2]
    start, stop = share(samples * out_h, thread, threads)
    end = stop * out_w * channels
    wide, one = zeros(x, 4), zeros(x, 1)
    pitch_y, pitch_x = s.dilation_y * width * channels, s.dilation_x * channels
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        iy = oy * s.stride_y - s.top
        rows = taps_inside(iy, s.dilation_y, s.kernel_y, height)
        for ox in range(out_w):
            ix = ox * s.stride_x - s.left
            columns = taps_inside(ix, s.dilation_x, s.kernel_x, width)
            corner = ((n * height + iy) * width + ix) * channels
            target = (item * out_w + ox) * channels
            if channels >= lanes_of(wide):
                for c in range(0, channels, lanes_of(wide)):
                    at = block_at(c, channels, lanes_of(wide))
                    place = (corner + at, pitch_y, pitch_x)
                    many, taps = _largest(x, place, rows, columns, s, wide)
                    store(output, target + at, many)
                    store(winner, target + at, taps)
                continue
            for c in range(0, channels, lanes_of(one)):
                at = block_at(c, channels, lanes_of(one))
                place = (corner + at, pitch_y, pitch_x)
                best, tap = _largest(x, place, rows, columns, s, one)
                put(output, target + at, best, channels, end)
                put(winner, target + at, tap, channels, end)


@embed
def _collect(
    grad_output: Any,
    winner: Any,
    place: Any,
    reach: Any,
    rows: Any,
    columns: Any,
    s: Pool,
    shape: Any,
) -> Any:
    """Return the sum of the gradients of the windows that a cell won, for one block of channels.

    `place` holds where window (0, 0) lies, and the pitches from row to row and pixel to pixel.
    """
    total = shape
    for oy in range(rows[0], rows[1]):
        ky = tap_on(reach[0], oy, s.stride_y, s.dilation_y)
        for ox in range(columns[0], columns[1]):
            kx = tap_on(reach[1], ox, s.stride_x, s.dilation_x)
            if ky >= 0 and kx >= 0:
                source = place[0] + oy * place[1] + ox * place[2]
                won = load(winner, source, shape) == like(shape, ky * s.kernel_x + kx)
                total = total + select(won, load(grad_output, source, shape), shape)
    return total


@embed
def _hand_out(grad: Any, tap: Any, grad_input: Any, place: int, channels: int, pitch: int) -> None:
    """Store a gradient in the four cells of its window: all of it at the winner, else zero."""
    zero = like(grad, 0)
    for number in range(4):
        at = place + (number >> 1) * pitch + (number & 1) * channels
        store(grad_input, at, select(tap == like(grad, number), grad, zero))


@embed
def _max_pool2d_backward_quarters(
    grad_output: Any, winner: Any, grad_input: Any, thread: int, threads: int
) -> None:
    """Do `max_pool2d_backward` for `quarters`: a row of windows fills its own rows of cells."""
    samples, out_h, out_w, channels = grad_output.shape
    height, pitch = grad_input.shape[1], grad_input.shape[2] * channels
    start, stop = share(samples * out_h, thread, threads)
    wide, one = zeros(grad_output, 4), zeros(grad_output, 1)
    lanes = lanes_of(one)
    full = narrow_tail(out_w, 2, channels, pitch, lanes)
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        source, place = item * out_w * channels, (n * height + oy * 2) * pitch
        for _ in range(full):
            c = 0
            while c + lanes_of(wide) <= channels:
                grad = load(grad_output, source + c, wide) + wide
                tap = load(winner, source + c, wide)
                _hand_out(grad, tap, grad_input, place + c, channels, pitch)
                c += lanes_of(wide)
            while c < channels:
                at = block_at(c, channels, lanes)
                part = load(grad_output, source + at, one) + one
                part_tap = load(winner, source + at, one)
                _hand_out(part, part_tap, grad_input, place + at, channels, pitch)
                c += lanes
            place += 2 * channels
            source += channels
        for _ in range(full, out_w):
            last = load(grad_output, source, one) + one
            last_tap = load(winner, source, one)
            for number in range(4):
                value = select(last_tap == like(one, number), last, one)
                at = place + (number >> 1) * pitch + (number & 1) * channels
                store_first(grad_input, at, value, channels)
            place += 2 * channels
            source += channels
        clear_rest(grad_input, item, out_h, out_w, one)


@vectorised(plain_pool.max_pool2d_backward)
def max_pool2d_backward(
    grad_output: Real4, winner: Real4, grad_input: Real4, s: Pool, thread: int, threads: int
) -> None:
    """grad_input = sum of grad_output of the windows that a cell won, in row order."""
    samples, out_h, out_w, channels = grad_output.shape
    height, width = grad_input.shape[1], grad_input.shape[2]
    if quarters(s, grad_input, grad_output):
        _max_pool2d_backward_quarters(grad_output, winner, grad_input, thread, threads)
        return
    start, stop = share(samples * height, thread, threads)
    end = stop * width * channels
    wide, one = zeros(grad_output, 4), zeros(grad_output, 1)
    for item in range(start, stop):
        n, reach_y = item // height, item % height + s.top
        rows = windows_over(reach_y, s.kernel_y, s.stride_y, s.dilation_y, out_h)
        for ix in range(width):
            reach = (reach_y, ix + s.left)
            columns = windows_over(reach[1], s.kernel_x, s.stride_x, s.dilation_x, out_w)
            target, base = (item * width + ix) * channels, n * out_h * out_w * channels
            if channels >= lanes_of(wide):
                for c in range(0, channels, lanes_of(wide)):
                    at = block_at(c, channels, lanes_of(wide))
                    place = (base + at, out_w * channels, channels)
                    part = _collect(grad_output, winner, place, reach, rows, columns, s, wide)
                    store(grad_input, target + at, part)
                continue
            for c in range(0, channels, lanes_of(one)):
                at = block_at(c, channels, lanes_of(one))
                place = (base + at, out_w * channels, channels)
                total = _collect(grad_output, winner, place, reach, rows, columns, s, one)
                put(grad_input, target + at, total, channels, end)
