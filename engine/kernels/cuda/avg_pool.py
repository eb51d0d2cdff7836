"""Average pooling on (n, c, y, x) memory. Windows are read row by row.

Gradients are gathered: each input pixel visits the windows that cover it, in row order, so that no
two threads add to one number.
"""

from __future__ import annotations

from engine.kernels.arithmetic import like
from engine.kernels.cuda._compat import device
from engine.kernels.cuda._index import items, split
from engine.kernels.cuda._jit import kernel
from engine.kernels.cuda._windows import first_window, past_window
from engine.kernels.settings import Pool
from engine.kernels.types import Real4


@device
def cells(position: int, kernel: int, stride: int, dilation: int, before: int, limit: int) -> int:
    """Return how many rows (or columns) of a window lie below `limit`; padding before counts."""
    first = position * stride - before
    count = 0
    for k in range(kernel):
        if first + k * dilation < limit:
            count += 1
    return count


@device
def cells_inside(
    position: int, kernel: int, stride: int, dilation: int, before: int, size: int
) -> int:
    """Return how many of a window's rows (or columns) lie in the image."""
    first = position * stride - before
    count = 0
    for k in range(kernel):
        if 0 <= first + k * dilation < size:
            count += 1
    return count


@device
def rows_counted(oy: int, height: int, s: Pool) -> int:
    """Return how many rows of a window an average counts."""
    if s.count_padding:
        return cells(oy, s.kernel_y, s.stride_y, s.dilation_y, s.top, height + s.bottom)
    return cells_inside(oy, s.kernel_y, s.stride_y, s.dilation_y, s.top, height)


@device
def columns_counted(ox: int, width: int, s: Pool) -> int:
    """Return how many columns of a window an average counts."""
    if s.count_padding:
        return cells(ox, s.kernel_x, s.stride_x, s.dilation_x, s.left, width + s.right)
    return cells_inside(ox, s.kernel_x, s.stride_x, s.dilation_x, s.left, width)


@kernel(over="output")
def avg_pool2d_forward(x: Real4, output: Real4, s: Pool) -> None:
    """output = sum of each window in row order, divided by its count of cells."""
    height, width = x.shape[2], x.shape[3]
    for item in items(output.size):
        rest, ox = split(item, output.shape[3])
        rest, oy = split(rest, output.shape[2])
        n, c = split(rest, output.shape[1])
        total = like(output[n, c, oy, ox], 0)
        for ky in range(s.kernel_y):
            iy = oy * s.stride_y + ky * s.dilation_y - s.top
            if iy < 0 or iy >= height:
                continue
            for kx in range(s.kernel_x):
                ix = ox * s.stride_x + kx * s.dilation_x - s.left
                if ix < 0 or ix >= width:
                    continue
                total += x[n, c, iy, ix]
        count = s.divisor
        if count == 0:
            count = rows_counted(oy, height, s) * columns_counted(ox, width, s)
        output[n, c, oy, ox] = total / like(total, count)


@kernel(over="grad_input")
def avg_pool2d_backward(grad_output: Real4, grad_input: Real4, s: Pool) -> None:
    """grad_input = sum of grad_output / count over the windows that cover a pixel, in row order."""
    out_h, out_w = grad_output.shape[2], grad_output.shape[3]
    height, width = grad_input.shape[2], grad_input.shape[3]
    for item in items(grad_input.size):
        rest, ix = split(item, width)
        rest, iy = split(rest, height)
        n, c = split(rest, grad_input.shape[1])
        reach_y, reach_x = iy + s.top, ix + s.left
        first_y = first_window(reach_y, s.kernel_y, s.stride_y, s.dilation_y)
        first_x = first_window(reach_x, s.kernel_x, s.stride_x, s.dilation_x)
        total = like(grad_input[n, c, iy, ix], 0)
        for oy in range(first_y, past_window(reach_y, s.stride_y, out_h)):
            if (reach_y - oy * s.stride_y) % s.dilation_y != 0:
                continue
            rows = rows_counted(oy, height, s)
            for ox in range(first_x, past_window(reach_x, s.stride_x, out_w)):
                if (reach_x - ox * s.stride_x) % s.dilation_x != 0:
                    continue
                count = s.divisor
                if count == 0:
                    count = rows * columns_counted(ox, width, s)
                total += grad_output[n, c, oy, ox] / like(total, count)
        grad_input[n, c, iy, ix] = total


@device
def first_cell(position: int, size: int, count: int) -> int:
    """Return floor(position * size / count): where an adaptive window begins."""
    return position * size // count


@device
def past_cell(position: int, size: int, count: int) -> int:
    """Return ceil((position + 1) * size / count): the first cell after an adaptive window."""
    return ((position + 1) * size + count - 1) // count


@kernel(over="output")
def adaptive_avg_pool2d_forward(x: Real4, output: Real4) -> None:
    """output[n, c, oy, ox] = mean of rows floor(oy*h/oh)..ceil((oy+1)*h/oh) and columns alike."""
    height, width = x.shape[2], x.shape[3]
    out_h, out_w = output.shape[2], output.shape[3]
    for item in items(output.size):
        rest, ox = split(item, out_w)
        rest, oy = split(rest, out_h)
        n, c = split(rest, output.shape[1])
        top, bottom = first_cell(oy, height, out_h), past_cell(oy, height, out_h)
        left, right = first_cell(ox, width, out_w), past_cell(ox, width, out_w)
        total = like(output[n, c, oy, ox], 0)
        for iy in range(top, bottom):
            for ix in range(left, right):
                total += x[n, c, iy, ix]
        output[n, c, oy, ox] = total / like(total, (bottom - top) * (right - left))


@kernel(over="grad_input")
def adaptive_avg_pool2d_backward(grad_output: Real4, grad_input: Real4) -> None:
    """grad_input = sum of grad_output / count over the windows that cover a pixel, in row order.

    The windows that cover row y are again an adaptive window, with the two sizes exchanged.
    """
    height, width = grad_input.shape[2], grad_input.shape[3]
    out_h, out_w = grad_output.shape[2], grad_output.shape[3]
    for item in items(grad_input.size):
        rest, ix = split(item, width)
        rest, iy = split(rest, height)
        n, c = split(rest, grad_input.shape[1])
        total = like(grad_input[n, c, iy, ix], 0)
        for oy in range(first_cell(iy, out_h, height), past_cell(iy, out_h, height)):
            rows = past_cell(oy, height, out_h) - first_cell(oy, height, out_h)
            for ox in range(first_cell(ix, out_w, width), past_cell(ix, out_w, width)):
                columns = past_cell(ox, width, out_w) - first_cell(ox, width, out_w)
                total += grad_output[n, c, oy, ox] / like(total, rows * columns)
        grad_input[n, c, iy, ix] = total
