"""Average pooling on (n, y, x, c) memory, vectors across channels.

Windows are read row by row. A gradient is gathered: each input cell visits the windows that cover
it, in row order, and is written once. `plain_pool` has the same kernels as plain loops.
"""

from __future__ import annotations

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

adaptive_bounds = plain_pool.adaptive_bounds


@embed
def counted(position: int, axis: tuple[int, int, int, int, int], size: int, padded: int) -> Any:
    """Return how many rows (or columns) of a window an average counts.

    `axis` is kernel, stride, dilation, and padding before and after.
    """
    kernel, stride, dilation, before, after = axis
    first = position * stride - before
    begin, end = taps_inside(first, dilation, kernel, size + after if padded else size)
    return end if padded else end - begin


@embed
def divisor(oy: int, ox: int, height: int, width: int, s: Pool) -> Any:
    """Return what an average pooling divides by: given, or the cells with or without padding."""
    if s.divisor:
        return s.divisor
    rows = (s.kernel_y, s.stride_y, s.dilation_y, s.top, s.bottom)
    columns = (s.kernel_x, s.stride_x, s.dilation_x, s.left, s.right)
    return counted(oy, rows, height, s.count_padding) * counted(ox, columns, width, s.count_padding)


@embed
def _sum(x: Any, place: Any, rows: Any, columns: Any, shape: Any) -> Any:
    """Return the sum of a window for one block of channels; `place` as for `_largest`."""
    total = shape
    for ky in range(rows[0], rows[1]):
        for kx in range(columns[0], columns[1]):
            total = total + load(x, place[0] + ky * place[1] + kx * place[2], shape)
    return total


@embed
def _mean(
    x: Any, output: Any, place: Any, target: int, rows: Any, columns: Any, count: int, end: int
) -> None:
    """Store the sum of a window divided by `count` for all channels of a pixel."""
    channels, one = output.shape[3], zeros(x, 1)
    for c in range(0, channels, lanes_of(one)):
        at = block_at(c, channels, lanes_of(one))
        total = _sum(x, (place[0] + at, place[1], place[2]), rows, columns, one)
        put(output, target + at, total / like(one, count), channels, end)


@embed
def _sum_of_four(x: Any, place: int, channels: int, pitch: int, zero: Any) -> Any:
    """Return the sum of a 2x2 window inside the image."""
    total = zero + load(x, place, zero)
    total = total + load(x, place + channels, zero)
    total = total + load(x, place + pitch, zero)
    return total + load(x, place + pitch + channels, zero)


@embed
def _avg_pool2d_forward_quarters(
    x: Any, output: Any, count: int, thread: int, threads: int
) -> None:
    """Do `avg_pool2d_forward` for `quarters`."""
    samples, out_h, out_w, channels = output.shape
    height, pitch = x.shape[1], x.shape[2] * channels
    start, stop = share(samples * out_h, thread, threads)
    wide, one = zeros(x, 4), zeros(x, 1)
    lanes, wide_count, one_count = lanes_of(one), like(wide, count), like(one, count)
    full = narrow_tail(out_w, 1, channels, out_w * channels, lanes)
    for item in range(start, stop):
        place = (item // out_h * height + item % out_h * 2) * pitch
        target = item * out_w * channels
        for _ in range(full):
            c = 0
            while c + lanes_of(wide) <= channels:
                total = _sum_of_four(x, place + c, channels, pitch, wide)
                store(output, target + c, total / wide_count)
                c += lanes_of(wide)
            while c < channels:
                at = block_at(c, channels, lanes)
                part = _sum_of_four(x, place + at, channels, pitch, one)
                store(output, target + at, part / one_count)
                c += lanes
            place += 2 * channels
            target += channels
        for _ in range(full, out_w):
            last = _sum_of_four(x, place, channels, pitch, one)
            store_first(output, target, last / one_count, channels)
            place += 2 * channels
            target += channels


@vectorised(plain_pool.avg_pool2d_forward)
def avg_pool2d_forward(x: Real4, output: Real4, s: Pool, thread: int, threads: int) -> None:
    """output = sum of each window in row order, divided by its count of cells."""
    if quarters(s, x, output):
        count = s.divisor if s.divisor else 4
        _avg_pool2d_forward_quarters(x, output, count, thread, threads)
        return
    samples, out_h, out_w, channels = output.shape
    height, width = x.shape[1], x.shape[2]
    start, stop = share(samples * out_h, thread, threads)
    end = stop * out_w * channels
    pitch_y, pitch_x = s.dilation_y * width * channels, s.dilation_x * channels
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        iy = oy * s.stride_y - s.top
        rows = taps_inside(iy, s.dilation_y, s.kernel_y, height)
        for ox in range(out_w):
            ix = ox * s.stride_x - s.left
            columns = taps_inside(ix, s.dilation_x, s.kernel_x, width)
            corner = ((n * height + iy) * width + ix) * channels
            count = divisor(oy, ox, height, width, s)
            target = (item * out_w + ox) * channels
            _mean(x, output, (corner, pitch_y, pitch_x), target, rows, columns, count, end)


@embed
def _collect_shares(
    grad_output: Any,
    place: Any,
    reach: Any,
    rows: Any,
    columns: Any,
    size: Any,
    s: Pool,
    shape: Any,
) -> Any:
    """Return the sum of gradient / count of the windows over a cell, for one block of channels.

    `place` and `reach` as for `_collect`; `size` is that of the image.
    """
    total = shape
    for oy in range(rows[0], rows[1]):
        ky = tap_on(reach[0], oy, s.stride_y, s.dilation_y)
        for ox in range(columns[0], columns[1]):
            kx = tap_on(reach[1], ox, s.stride_x, s.dilation_x)
            if ky >= 0 and kx >= 0:
                grad = load(grad_output, place[0] + oy * place[1] + ox * place[2], shape)
                total = total + grad / like(shape, divisor(oy, ox, size[0], size[1], s))
    return total


@embed
def _spread(share_of_grad: Any, grad_input: Any, place: int, channels: int, pitch: int) -> None:
    """Store one number in the four cells of a window."""
    store(grad_input, place, share_of_grad)
    store(grad_input, place + channels, share_of_grad)
    store(grad_input, place + pitch, share_of_grad)
    store(grad_input, place + pitch + channels, share_of_grad)


@embed
def _avg_pool2d_backward_quarters(
    grad_output: Any, grad_input: Any, count: int, thread: int, threads: int
) -> None:
    """Do `avg_pool2d_backward` for `quarters`."""
    samples, out_h, out_w, channels = grad_output.shape
    height, pitch = grad_input.shape[1], grad_input.shape[2] * channels
    start, stop = share(samples * out_h, thread, threads)
    wide, one = zeros(grad_output, 4), zeros(grad_output, 1)
    lanes, wide_count, one_count = lanes_of(one), like(wide, count), like(one, count)
    full = narrow_tail(out_w, 2, channels, pitch, lanes)
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        source, place = item * out_w * channels, (n * height + oy * 2) * pitch
        for _ in range(full):
            c = 0
            while c + lanes_of(wide) <= channels:
                grad = load(grad_output, source + c, wide) / wide_count + wide
                _spread(grad, grad_input, place + c, channels, pitch)
                c += lanes_of(wide)
            while c < channels:
                at = block_at(c, channels, lanes)
                part = load(grad_output, source + at, one) / one_count + one
                _spread(part, grad_input, place + at, channels, pitch)
                c += lanes
            place += 2 * channels
            source += channels
        for _ in range(full, out_w):
            last = load(grad_output, source, one) / one_count + one
            for number in range(4):
                at = place + (number >> 1) * pitch + (number & 1) * channels
                store_first(grad_input, at, last, channels)
            place += 2 * channels
            source += channels
        clear_rest(grad_input, item, out_h, out_w, one)


@vectorised(plain_pool.avg_pool2d_backward)
def avg_pool2d_backward(
    grad_output: Real4, grad_input: Real4, s: Pool, thread: int, threads: int
) -> None:
    """grad_input = sum of grad_output / count over the windows that cover a cell, in row order."""
    if quarters(s, grad_input, grad_output):
        count = s.divisor if s.divisor else 4
        _avg_pool2d_backward_quarters(grad_output, grad_input, count, thread, threads)
        return
    samples, out_h, out_w, channels = grad_output.shape
    height, width = grad_input.shape[1], grad_input.shape[2]
    start, stop = share(samples * height, thread, threads)
    end = stop * width * channels
    one = zeros(grad_output, 1)
    for item in range(start, stop):
        n, reach_y = item // height, item % height + s.top
        rows = windows_over(reach_y, s.kernel_y, s.stride_y, s.dilation_y, out_h)
        for ix in range(width):
            reach = (reach_y, ix + s.left)
            columns = windows_over(reach[1], s.kernel_x, s.stride_x, s.dilation_x, out_w)
            target, base = (item * width + ix) * channels, n * out_h * out_w * channels
            for c in range(0, channels, lanes_of(one)):
                at = block_at(c, channels, lanes_of(one))
                place, size = (base + at, out_w * channels, channels), (height, width)
                total = _collect_shares(grad_output, place, reach, rows, columns, size, s, one)
                put(grad_input, target + at, total, channels, end)


@vectorised(plain_pool.adaptive_avg_pool2d_forward)
def adaptive_avg_pool2d_forward(x: Real4, output: Real4, thread: int, threads: int) -> None:
    """output[n, oy, ox] = mean of rows floor(oy*h/oh)..ceil((oy+1)*h/oh) and columns alike."""
    samples, out_h, out_w, channels = output.shape
    height, width = x.shape[1], x.shape[2]
    start, stop = share(samples * out_h, thread, threads)
    end = stop * out_w * channels
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        rows = adaptive_bounds(oy, height, out_h)
        for ox in range(out_w):
            columns = adaptive_bounds(ox, width, out_w)
            count = (rows[1] - rows[0]) * (columns[1] - columns[0])
            place = (n * height * width * channels, width * channels, channels)
            target = (item * out_w + ox) * channels
            _mean(x, output, place, target, rows, columns, count, end)


@embed
def _global_avg_pool2d_backward(
    grad_output: Any, grad_input: Any, thread: int, threads: int
) -> None:
    """Do `adaptive_avg_pool2d_backward` for one window: all cells of a map get the same number."""
    height, width, channels = grad_input.shape[1], grad_input.shape[2], grad_input.shape[3]
    start, stop = share(grad_input.shape[0] * height, thread, threads)
    end = stop * width * channels
    one, plane = zeros(grad_output, 1), height * width
    for item in range(start, stop):
        first, last = item * width * channels, (item + 1) * width * channels
        for c in range(0, channels, lanes_of(one)):
            at = block_at(c, channels, lanes_of(one))
            source = item // height * channels + at
            share_of_grad = load(grad_output, source, one) / like(one, plane) + one
            for target in range(first + at, last, channels):
                put(grad_input, target, share_of_grad, channels, end)


@vectorised(plain_pool.adaptive_avg_pool2d_backward)
def adaptive_avg_pool2d_backward(
    grad_output: Real4, grad_input: Real4, thread: int, threads: int
) -> None:
    """grad_input = sum of grad_output / count over the windows that cover a cell, in row order.

    The windows that cover row y are again an adaptive window, with the two sizes exchanged.
    """
    if grad_output.shape[1] == 1 and grad_output.shape[2] == 1:
        _global_avg_pool2d_backward(grad_output, grad_input, thread, threads)
        return
    samples, out_h, out_w, channels = grad_output.shape
    height, width = grad_input.shape[1], grad_input.shape[2]
    start, stop = share(samples * height, thread, threads)
    end = stop * width * channels
    zero = zeros(grad_output, 1)
    lanes = lanes_of(zero)
    for item in range(start, stop):
        n, iy = item // height, item % height
        base = n * out_h * out_w * channels
        top, bottom = adaptive_bounds(iy, out_h, height)
        for ix in range(width):
            target = (item * width + ix) * channels
            left, right = adaptive_bounds(ix, out_w, width)
            for c in range(0, channels, lanes):
                at = block_at(c, channels, lanes)
                total = zero
                for oy in range(top, bottom):
                    y = adaptive_bounds(oy, height, out_h)
                    for ox in range(left, right):
                        z = adaptive_bounds(ox, width, out_w)
                        count = like(zero, (y[1] - y[0]) * (z[1] - z[0]))
                        source = base + (oy * out_w + ox) * channels + at
                        total = total + load(grad_output, source, zero) / count
                put(grad_input, target + at, total, channels, end)
