"""Plain loops of the kernels that have a fast version: the readable truth.

Same names, same parameters, same order of sums, same bits as the versions that use `_microkernel`.
They are what "show code" shows, what runs with the JIT switched off, and what tests compare with.

Activations lie as (n, y, x, c); weights in panels, (panel, ky, kx, i, lane) and (panel, in, lane):
output o is lane o % lanes of panel o // lanes.

Accumulation order, the same for any thread count: a convolution adds kernel rows, kernel columns,
input channels, starting from 0, bias last; its input gradient adds kernel rows from the last to the
first, kernel columns alike, output channels (with few input channels: the sum over kernel rows and
output channels of each kernel column, then these sums); a weight gradient adds samples, output
rows, output columns inside each of the fixed chunks of the batch, then the chunks in order. A dense
layer adds inputs from 0, bias last; its input gradient adds outputs; its weight gradient adds
samples. Every step is one fused multiply-add. Taps in the padding take part as zeros.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import fma, like
from engine.kernels.cpu._jit import inline, plain
from engine.kernels.cpu._share import share
from engine.kernels.settings import Columns, FusedDense, FusedWindow, Window
from engine.kernels.types import Real1, Real2, Real3, Real4, Real5, Real6

chunk_start = inline(scalar.chunk_start)
normalize = inline(scalar.normalize)
scale_and_shift = inline(scalar.scale_and_shift)
relu = inline(scalar.relu)
CHUNKS = scalar.CHUNKS


@plain
def conv2d_forward(
    x: Real4, weight: Real5, bias: Real1, output: Real4, s: Window, thread: int, threads: int
) -> None:
    """output[n, o, y, x] = sum of x under the window times weight[o, i, ky, kx], plus bias[o].

    The row of x under tap ky is y * stride + ky * dilation - padding; columns alike.
    """
    samples, out_h, out_w, out_channels = output.shape
    height, width = x.shape[1], x.shape[2]
    kernel_y, kernel_x, group_in, lanes = weight.shape[1:]
    group_out = out_channels // s.groups
    start, stop = share(samples * out_h, thread, threads)
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        row = output[n, oy]
        row[:] = 0
        for ky in range(kernel_y):
            iy = oy * s.stride_y + ky * s.dilation_y - s.top
            for kx in range(kernel_x):
                wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
                for ox in range(out_w):
                    ix = ox * s.stride_x + kx * s.dilation_x - s.left
                    inside = 0 <= iy < height and 0 <= ix < width
                    for o in range(out_channels):
                        low = o // group_out * group_in
                        for i in range(group_in):
                            v = x[n, iy, ix, low + i] if inside else like(row[ox, o], 0)
                            w = weight[o // lanes, wy, wx, i, o % lanes]
                            row[ox, o] = fma(v, w, row[ox, o])
        if s.has_bias:
            for ox in range(out_w):
                for o in range(out_channels):
                    row[ox, o] += bias[o]


@plain
def conv2d_fused_forward(
    x: Real4,
    weight: Real5,
    bias: Real1,
    mean: Real1,
    inverse: Real1,
    scale: Real1,
    shift: Real1,
    residual: Real4,
    before: Real4,
    output: Real4,
    s: FusedWindow,
    thread: int,
    threads: int,
) -> None:
    """Convolution, then normalisation, residual and ReLU where the settings say so.

    The same operations in the same order as the kernels that do them one by one. With `keep`,
    `before` holds what goes into the ReLU.
    """
    samples, out_h, out_w, out_channels = output.shape
    height, width = x.shape[1], x.shape[2]
    kernel_y, kernel_x, group_in, lanes = weight.shape[1:]
    group_out = out_channels // s.groups
    start, stop = share(samples * out_h, thread, threads)
    for item in range(start, stop):
        n, oy = item // out_h, item % out_h
        for ox in range(out_w):
            for o in range(out_channels):
                low = o // group_out * group_in
                value = like(output[n, oy, ox, o], 0)
                for ky in range(kernel_y):
                    iy = oy * s.stride_y + ky * s.dilation_y - s.top
                    for kx in range(kernel_x):
                        ix = ox * s.stride_x + kx * s.dilation_x - s.left
                        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
                        inside = 0 <= iy < height and 0 <= ix < width
                        for i in range(group_in):
                            v = x[n, iy, ix, low + i] if inside else like(value, 0)
                            value = fma(v, weight[o // lanes, wy, wx, i, o % lanes], value)
                if s.has_bias:
                    value += bias[o]
                if s.has_norm:
                    value = scale_and_shift(
                        normalize(value, mean[o], inverse[o]), scale[o], shift[o]
                    )
                if s.has_residual:
                    value += residual[n, oy, ox, o]
                if s.keep:
                    before[n, oy, ox, o] = value
                output[n, oy, ox, o] = relu(value) if s.relu else value


@plain
def conv2d_backward_input(
    grad_output: Real4,
    turned: Real5,
    grad_input: Real4,
    s: Window,
    thread: int,
    threads: int,
) -> None:
    """grad_input[n, i, y, x] = sum of grad_output times weight over the windows that cover (y, x).

    `turned` is the weight given half a turn, with inputs and outputs exchanged, so that vector
    lanes run across input channels: (panel, ty, tx, o, lane), input i of a group in lane i % lanes
    of panel i // lanes.
    """
    samples, height, width, in_channels = grad_input.shape
    out_h, out_w, out_channels = grad_output.shape[1:]
    kernel_y, kernel_x, lanes = turned.shape[1], turned.shape[2], turned.shape[4]
    group_in, group_out = in_channels // s.groups, out_channels // s.groups
    start, stop = share(samples * height, thread, threads)
    for item in range(start, stop):
        n, iy = item // height, item % height
        row = grad_input[n, iy]
        row[:] = 0
        for ty in range(kernel_y):
            reach_y = iy + s.top - (kernel_y - 1 - ty) * s.dilation_y
            if reach_y % s.stride_y != 0:
                continue
            oy = reach_y // s.stride_y
            for tx in range(kernel_x):
                for ix in range(width):
                    reach_x = ix + s.left - (kernel_x - 1 - tx) * s.dilation_x
                    if reach_x % s.stride_x != 0:
                        continue
                    ox = reach_x // s.stride_x
                    inside = 0 <= oy < out_h and 0 <= ox < out_w
                    for channel in range(in_channels):
                        g, i = channel // group_in, channel % group_in
                        for o in range(g * group_out, (g + 1) * group_out):
                            v = grad_output[n, oy, ox, o] if inside else like(row[ix, channel], 0)
                            w = turned[i // lanes, ty, tx, o, i % lanes]
                            row[ix, channel] = fma(v, w, row[ix, channel])


@plain
def conv2d_backward_input_columns(
    grad_output: Real4,
    columns: Real5,
    grad_input: Real4,
    s: Columns,
    thread: int,
    threads: int,
) -> None:
    """The same for few channels: first the sum of each kernel column, then these sums.

    Kernel rows and columns come from the last to the first. `columns` is the weight in panels of
    its kernel columns and input channels: (panel, ky, 0, o, lane). What lies outside grad_output is
    left out.
    """
    samples, height, width, channels = grad_input.shape
    out_h, out_w, out_channels = grad_output.shape[1:]
    lanes = columns.shape[4]
    start, stop = share(samples * height, thread, threads)
    for item in range(start, stop):
        n, iy = item // height, item % height
        for ix in range(width):
            for i in range(channels):
                total = like(grad_input[n, iy, ix, i], 0)
                for kx in range(s.kernel_x - 1, -1, -1):
                    ox, row = (ix + s.left - kx) // s.stride_x, kx * channels + i
                    if (ix + s.left - kx) % s.stride_x != 0 or ox < 0 or ox >= out_w:
                        continue
                    part = like(total, 0)
                    for ky in range(s.kernel_y - 1, -1, -1):
                        oy = (iy + s.top - ky) // s.stride_y
                        if (iy + s.top - ky) % s.stride_y != 0 or oy < 0 or oy >= out_h:
                            continue
                        for o in range(out_channels):
                            w = columns[row // lanes, ky, 0, o, row % lanes]
                            part = fma(grad_output[n, oy, ox, o], w, part)
                    total += part
                grad_input[n, iy, ix, i] = total


@plain
def conv2d_backward_weight(
    x: Real4, grad_output: Real4, partial: Real6, s: Window, thread: int, threads: int
) -> None:
    """partial[chunk, o, i, ky, kx] = sum of x * grad_output over the chunk's samples and places."""
    samples, out_h, out_w, out_channels = grad_output.shape
    height, width = x.shape[1], x.shape[2]
    kernel_y, kernel_x, group_in, lanes = partial.shape[2:]
    group_out = out_channels // s.groups
    start, stop = share(CHUNKS * kernel_y * kernel_x, thread, threads)
    for task in range(start, stop):
        chunk, tap = task // (kernel_y * kernel_x), task % (kernel_y * kernel_x)
        ky, kx = tap // kernel_x, tap % kernel_x
        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
        for o in range(out_channels):
            low, sums = o // group_out * group_in, partial[chunk, o // lanes, wy, wx]
            for i in range(group_in):
                total = like(sums[i, o % lanes], 0)
                for n in range(chunk_start(chunk, samples), chunk_start(chunk + 1, samples)):
                    for oy in range(out_h):
                        iy = oy * s.stride_y + ky * s.dilation_y - s.top
                        for ox in range(out_w):
                            ix = ox * s.stride_x + kx * s.dilation_x - s.left
                            inside = 0 <= iy < height and 0 <= ix < width
                            v = x[n, iy, ix, low + i] if inside else like(total, 0)
                            total = fma(v, grad_output[n, oy, ox, o], total)
                sums[i, o % lanes] = total


@plain
def conv2d_backward_bias(grad_output: Real4, partial: Real2, thread: int, threads: int) -> None:
    """partial[chunk, o] = sum of grad_output over the chunk's samples, rows and columns."""
    samples, out_h, out_w, out_channels = grad_output.shape
    start, stop = share(CHUNKS, thread, threads)
    for chunk in range(start, stop):
        sums = partial[chunk]
        sums[:] = 0
        for n in range(chunk_start(chunk, samples), chunk_start(chunk + 1, samples)):
            for oy in range(out_h):
                row = grad_output[n, oy]
                for ox in range(out_w):
                    for o in range(out_channels):
                        sums[o] += row[ox, o]


@plain
def dense_forward(
    x: Real2, weight: Real3, bias: Real1, output: Real2, thread: int, threads: int
) -> None:
    """output[n, o] = sum of x[n, i] * weight[o, i] + bias[o]; an empty bias adds nothing."""
    rows, outputs = output.shape
    inputs, lanes = weight.shape[1], weight.shape[2]
    start, stop = share(rows, thread, threads)
    for n in range(start, stop):
        for o in range(outputs):
            total = like(output[n, o], 0)
            for i in range(inputs):
                total = fma(x[n, i], weight[o // lanes, i, o % lanes], total)
            if bias.size == outputs:
                total += bias[o]
            output[n, o] = total


@plain
def dense_fused_forward(
    x: Real2,
    weight: Real3,
    bias: Real1,
    before: Real2,
    output: Real2,
    s: FusedDense,
    thread: int,
    threads: int,
) -> None:
    """Matrix product and ReLU in one; with `keep`, `before` holds what goes into the ReLU."""
    rows, outputs = output.shape
    inputs, lanes = weight.shape[1], weight.shape[2]
    start, stop = share(rows, thread, threads)
    for n in range(start, stop):
        for o in range(outputs):
            total = like(output[n, o], 0)
            for i in range(inputs):
                total = fma(x[n, i], weight[o // lanes, i, o % lanes], total)
            if s.has_bias:
                total += bias[o]
            if s.keep:
                before[n, o] = total
            output[n, o] = relu(total) if s.relu else total


@plain
def dense_backward_input(
    grad_output: Real2, turned: Real3, grad_input: Real2, thread: int, threads: int
) -> None:
    """grad_input[n, i] = sum over o of grad_output[n, o] * weight[o, i].

    `turned` is the weight with inputs and outputs exchanged: (panel, out, lane), input i in lane
    i % lanes of panel i // lanes.
    """
    rows, inputs = grad_input.shape
    outputs, lanes = turned.shape[1], turned.shape[2]
    start, stop = share(rows, thread, threads)
    for n in range(start, stop):
        for i in range(inputs):
            total = like(grad_input[n, i], 0)
            for o in range(outputs):
                total = fma(grad_output[n, o], turned[i // lanes, o, i % lanes], total)
            grad_input[n, i] = total


@plain
def dense_backward_weight(
    x: Real2, grad_output: Real2, grad_weight: Real3, thread: int, threads: int
) -> None:
    """grad_weight[o, i] = sum over n of x[n, i] * grad_output[n, o]."""
    rows, inputs = x.shape
    outputs, lanes = grad_output.shape[1], grad_weight.shape[2]
    start, stop = share(inputs, thread, threads)
    for i in range(start, stop):
        for o in range(outputs):
            total = like(grad_weight[o // lanes, i, o % lanes], 0)
            for n in range(rows):
                total = fma(x[n, i], grad_output[n, o], total)
            grad_weight[o // lanes, i, o % lanes] = total
