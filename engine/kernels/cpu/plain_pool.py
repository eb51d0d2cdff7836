"""Plain loops of the pooling kernels on (n, y, x, c) memory: the readable truth.

The versions in `pool` store the same bits. Windows are read row by row; padding never wins a
maximum. A gradient is gathered: each input cell visits the windows that cover it, in row order.
"""

from __future__ import annotations

from engine.kernels.arithmetic import like
from engine.kernels.cpu._jit import inline, plain
from engine.kernels.cpu._share import share
from engine.kernels.settings import Pool
from engine.kernels.types import Real4


@plain
def max_pool2d_forward(
    x: Real4, output: Real4, winner: Real4, s: Pool, thread: int, threads: int
) -> None:
    """output = largest value of each window; winner = its number ky * kernel_x + kx in the window.

    Of equal values the first wins; a NaN wins over all.
    """
    samples, out_h, out_w, channels = output.shape
    height, width = x.shape[1], x.shape[2]
    start, stop = share(samples * out_h, thread, threads)
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        for ox in range(out_w):
            best, tap = output[n, oy, ox], winner[n, oy, ox]
            tap[:] = -1
            for ky in range(s.kernel_y):
                iy = oy * s.stride_y + ky * s.dilation_y - s.top
                if iy < 0 or iy >= height:
                    continue
                for kx in range(s.kernel_x):
                    ix = ox * s.stride_x + kx * s.dilation_x - s.left
                    if ix < 0 or ix >= width:
                        continue
                    values = x[n, iy, ix]
                    for c in range(channels):
                        v = values[c]
                        if tap[c] < 0 or v > best[c] or v != v:
                            best[c] = v
                            tap[c] = ky * s.kernel_x + kx


@plain
def max_pool2d_backward(
    grad_output: Real4, winner: Real4, grad_input: Real4, s: Pool, thread: int, threads: int
) -> None:
    """grad_input = grad_output added at each window's winner, windows in row order."""
    samples, out_h, out_w, channels = grad_output.shape
    height, width = grad_input.shape[1], grad_input.shape[2]
    start, stop = share(samples, thread, threads)
    for n in range(start, stop):
        grad_input[n] = 0
        for oy in range(out_h):
            for ox in range(out_w):
                taps, grads = winner[n, oy, ox], grad_output[n, oy, ox]
                for ky in range(s.kernel_y):
                    iy = oy * s.stride_y + ky * s.dilation_y - s.top
                    if iy < 0 or iy >= height:
                        continue
                    for kx in range(s.kernel_x):
                        ix = ox * s.stride_x + kx * s.dilation_x - s.left
                        if ix < 0 or ix >= width:
                            continue
                        total = grad_input[n, iy, ix]
                        for c in range(channels):
                            if taps[c] == ky * s.kernel_x + kx:
                                total[c] += grads[c]


@inline
def cells(position: int, kernel: int, stride: int, dilation: int, before: int, limit: int) -> int:
    """Return how many of a window's rows (or columns) lie below `limit`; padding before counts."""
    first = position * stride - before
    count = 0
    for k in range(kernel):
        if first + k * dilation < limit:
            count += 1
    return count


@inline
def divisor(oy: int, ox: int, height: int, width: int, s: Pool) -> int:
    """Return what an average pooling divides by: given, or the cells with or without padding."""
    if s.divisor:
        return s.divisor
    if s.count_padding:
        rows: int = cells(oy, s.kernel_y, s.stride_y, s.dilation_y, s.top, height + s.bottom)
        columns: int = cells(ox, s.kernel_x, s.stride_x, s.dilation_x, s.left, width + s.right)
        return rows * columns
    rows, columns = 0, 0
    for ky in range(s.kernel_y):
        iy = oy * s.stride_y + ky * s.dilation_y - s.top
        rows += 1 if 0 <= iy < height else 0
    for kx in range(s.kernel_x):
        ix = ox * s.stride_x + kx * s.dilation_x - s.left
        columns += 1 if 0 <= ix < width else 0
    return rows * columns


@plain
def avg_pool2d_forward(x: Real4, output: Real4, s: Pool, thread: int, threads: int) -> None:
    """output = sum of each window in row order, divided by its count of cells."""
    samples, out_h, out_w, channels = output.shape
    height, width = x.shape[1], x.shape[2]
    start, stop = share(samples * out_h, thread, threads)
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        for ox in range(out_w):
            total = output[n, oy, ox]
            total[:] = 0
            for ky in range(s.kernel_y):
                iy = oy * s.stride_y + ky * s.dilation_y - s.top
                if iy < 0 or iy >= height:
                    continue
                for kx in range(s.kernel_x):
                    ix = ox * s.stride_x + kx * s.dilation_x - s.left
                    if ix < 0 or ix >= width:
                        continue
                    values = x[n, iy, ix]
                    for c in range(channels):
                        total[c] += values[c]
            count = divisor(oy, ox, height, width, s)
            for c in range(channels):
                total[c] /= like(total[c], count)


@plain
def avg_pool2d_backward(
    grad_output: Real4, grad_input: Real4, s: Pool, thread: int, threads: int
) -> None:
    """grad_input = grad_output / count added at every cell of each window, windows in row order."""
    samples, out_h, out_w, channels = grad_output.shape
    height, width = grad_input.shape[1], grad_input.shape[2]
    start, stop = share(samples, thread, threads)
    for n in range(start, stop):
        grad_input[n] = 0
        for oy in range(out_h):
            for ox in range(out_w):
                grads = grad_output[n, oy, ox]
                count = divisor(oy, ox, height, width, s)
                for ky in range(s.kernel_y):
                    iy = oy * s.stride_y + ky * s.dilation_y - s.top
                    if iy < 0 or iy >= height:
                        continue
                    for kx in range(s.kernel_x):
                        ix = ox * s.stride_x + kx * s.dilation_x - s.left
                        if ix < 0 or ix >= width:
                            continue
                        total = grad_input[n, iy, ix]
                        for c in range(channels):
                            total[c] += grads[c] / like(grads[c], count)


@inline
def adaptive_bounds(position: int, size: int, count: int) -> tuple[int, int]:
    """Return the range of cells of one of `count` windows that divide `size` cells."""
    return position * size // count, ((position + 1) * size + count - 1) // count


@plain
def adaptive_avg_pool2d_forward(x: Real4, output: Real4, thread: int, threads: int) -> None:
    """output[n, oy, ox] = mean of rows floor(oy*h/oh)..ceil((oy+1)*h/oh) and columns alike."""
    samples, out_h, out_w, channels = output.shape
    height, width = x.shape[1], x.shape[2]
    start, stop = share(samples * out_h, thread, threads)
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        top, bottom = adaptive_bounds(oy, height, out_h)
        for ox in range(out_w):
            left, right = adaptive_bounds(ox, width, out_w)
            total = output[n, oy, ox]
            total[:] = 0
            for iy in range(top, bottom):
                for ix in range(left, right):
                    values = x[n, iy, ix]
                    for c in range(channels):
                        total[c] += values[c]
            count = (bottom - top) * (right - left)
            for c in range(channels):
                total[c] /= like(total[c], count)


@plain
def adaptive_avg_pool2d_backward(
    grad_output: Real4, grad_input: Real4, thread: int, threads: int
) -> None:
    """grad_input = grad_output / count added at every cell of each window, windows in row order."""
    samples, out_h, out_w, channels = grad_output.shape
    height, width = grad_input.shape[1], grad_input.shape[2]
    start, stop = share(samples, thread, threads)
    for n in range(start, stop):
        grad_input[n] = 0
        for oy in range(out_h):
            top, bottom = adaptive_bounds(oy, height, out_h)
            for ox in range(out_w):
                left, right = adaptive_bounds(ox, width, out_w)
                count = (bottom - top) * (right - left)
                grads = grad_output[n, oy, ox]
                for iy in range(top, bottom):
                    for ix in range(left, right):
                        total = grad_input[n, iy, ix]
                        for c in range(channels):
                            total[c] += grads[c] / like(grads[c], count)
