"""Two-dimensional convolution and its gradients, on (n, y, x, c) memory and (ky, kx, i, o) weights.

The drivers here hand whole rows of pixels to the micro-kernel. There are no borders to think of:
the op copies an image that needs padding into a buffer with a halo of zeros first, and likewise the
output gradient. `plain.py` has the same kernels as plain loops, with the order of the sums.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cpu import plain
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._microkernel import fast, multiply
from engine.kernels.cpu._share import share
from engine.kernels.settings import Window
from engine.kernels.types import Real1, Real2, Real4, Real5

chunk_start = inline(scalar.chunk_start)
CHUNKS = scalar.CHUNKS


@inline
def greatest_divisor(a: int, b: int) -> int:
    """Return the greatest common divisor."""
    while b:
        a, b = b, a % b
    return a


@inline
def first_tap(place: int, stride: int, dilation: int) -> int:
    """Return the first tap for which (place - tap * dilation) is a multiple of the stride."""
    tap = 0
    while tap < stride and (place - tap * dilation) % stride != 0:
        tap += 1
    return tap


@fast(plain.conv2d_forward)
def conv2d_forward(
    x: Real4, weight: Real4, bias: Real1, output: Real4, s: Window, thread: int, threads: int
) -> None:
    """Rows of output pixels as blocks; see `plain.conv2d_forward`. Every window lies inside x."""
    samples, out_h, out_w, out_channels = output.shape
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    kernel_y, kernel_x, group_in = weight.shape[0], weight.shape[1], weight.shape[2]
    group_out = out_channels // s.groups
    one, item = x.dtype.type(1), x.itemsize
    tap, pixel = group_in * out_channels * item, channels * item
    turn = -1 if s.flip else 1
    first = (kernel_y * kernel_x - 1) * tap if s.flip else 0
    columns, inner = kernel_x, group_in
    if s.groups == 1 and s.dilation_x == 1 and not s.flip:
        # The taps of a kernel row lie side by side, in the image and in the weights.
        columns, inner = 1, kernel_x * group_in
    counts = (kernel_y, columns, inner)
    start, stop = share(samples * out_h, thread, threads)
    for row in range(start, stop):
        n, oy = row // out_h, row % out_h
        corner = (n * height + oy * s.stride_y - s.top) * width - s.left
        for g in range(s.groups):
            lanes = g * group_out * item
            source = x.ctypes.data + corner * pixel + g * group_in * item
            target = output.ctypes.data + row * out_w * out_channels * item + lanes
            taps = weight.ctypes.data + first + lanes
            multiply(
                one,
                item,
                (out_w, group_out),
                (target, out_channels * item),
                (
                    source,
                    s.stride_x * pixel,
                    s.dilation_y * width * pixel,
                    s.dilation_x * pixel,
                    item,
                ),
                (taps, turn * kernel_x * tap, turn * tap, out_channels * item),
                counts,
                bias.ctypes.data + lanes if s.has_bias else 0,
                0,
            )


@fast(plain.conv2d_backward_input)
def conv2d_backward_input(
    grad_output: Real4,
    weight: Real4,
    turned: Real4,
    grad_input: Real4,
    s: Window,
    thread: int,
    threads: int,
) -> None:
    """Rows of input pixels, one class per stride residue; see `plain.conv2d_backward_input`.

    Every output pixel that a tap can ask for exists: a halo of zeros surrounds the gradient.
    """
    samples, height, width, in_channels = grad_input.shape
    out_h, out_w, out_channels = grad_output.shape[1], grad_output.shape[2], grad_output.shape[3]
    kernel_y, kernel_x, group_in = turned.shape[0], turned.shape[1], turned.shape[3]
    group_out = out_channels // s.groups
    one, item = grad_input.dtype.type(1), grad_input.itemsize
    turn = -1 if s.flip else 1
    tap, pixel = out_channels * group_in * item, out_channels * item
    # Kernel rows (columns) that meet an output row lie `step` apart and `jump` output rows apart.
    step_y = s.stride_y // greatest_divisor(s.stride_y, s.dilation_y)
    step_x = s.stride_x // greatest_divisor(s.stride_x, s.dilation_x)
    jump_y, jump_x = step_y * s.dilation_y // s.stride_y, step_x * s.dilation_x // s.stride_x
    start, stop = share(samples * height, thread, threads)
    for row in range(start, stop):
        n, iy = row // height, row % height
        ky = first_tap(iy + s.top, s.stride_y, s.dilation_y)
        rows = (kernel_y - ky + step_y - 1) // step_y if ky < min(kernel_y, s.stride_y) else 0
        oy = (iy + s.top - ky * s.dilation_y) // s.stride_y
        for residue in range(min(s.stride_x, width)):
            kx = first_tap(residue + s.left, s.stride_x, s.dilation_x)
            columns = (
                (kernel_x - kx + step_x - 1) // step_x if kx < min(kernel_x, s.stride_x) else 0
            )
            ox = (residue + s.left - kx * s.dilation_x) // s.stride_x
            wy = kernel_y - 1 - ky if s.flip else ky
            wx = kernel_x - 1 - kx if s.flip else kx
            number = (width - residue + s.stride_x - 1) // s.stride_x
            for g in range(s.groups):
                target = (row * width + residue) * in_channels + g * group_in
                source = ((n * out_h + oy) * out_w + ox) * pixel + g * group_out * item
                taps = (wy * kernel_x + wx) * tap + g * group_out * group_in * item
                multiply(
                    one,
                    item,
                    (number, group_in),
                    (grad_input.ctypes.data + target * item, s.stride_x * in_channels * item),
                    (
                        grad_output.ctypes.data + source,
                        pixel,
                        -jump_y * out_w * pixel,
                        -jump_x * pixel,
                        item,
                    ),
                    (
                        turned.ctypes.data + taps,
                        turn * step_y * kernel_x * tap,
                        turn * step_x * tap,
                        group_in * item,
                    ),
                    (rows if columns > 0 else 0, columns, group_out),
                    0,
                    0,
                )


@fast(plain.conv2d_backward_weight)
def conv2d_backward_weight(
    x: Real4, grad_output: Real4, partial: Real5, s: Window, thread: int, threads: int
) -> None:
    """One kernel row (or tap) of one chunk at a time; see `plain.conv2d_backward_weight`."""
    samples, out_h, out_w, out_channels = grad_output.shape
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    kernel_y, kernel_x, group_in = partial.shape[1], partial.shape[2], partial.shape[3]
    group_out = out_channels // s.groups
    one, item = x.dtype.type(1), x.itemsize
    tap, pixel, grad = group_in * out_channels * item, channels * item, out_channels * item
    columns, rows = kernel_x, group_in
    if s.groups == 1 and s.dilation_x == 1 and not s.flip:
        # The taps of a kernel row lie side by side: one block of kernel_x * channels rows.
        columns, rows = 1, kernel_x * group_in
    start, stop = share(CHUNKS * kernel_y * columns, thread, threads)
    for task in range(start, stop):
        chunk, ky, kx = task // columns // kernel_y, task // columns % kernel_y, task % columns
        wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
        n, end = chunk_start(chunk, samples), chunk_start(chunk + 1, samples)
        corner = (n * height + ky * s.dilation_y - s.top) * width + kx * s.dilation_x - s.left
        for g in range(s.groups):
            lanes = g * group_out * item
            target = ((chunk * kernel_y + wy) * kernel_x + wx) * tap + lanes
            source = x.ctypes.data + corner * pixel + g * group_in * item
            grads = grad_output.ctypes.data + n * out_h * out_w * grad + lanes
            multiply(
                one,
                item,
                (rows, group_out),
                (partial.ctypes.data + target, grad),
                (
                    source,
                    item,
                    height * width * pixel,
                    s.stride_y * width * pixel,
                    s.stride_x * pixel,
                ),
                (grads, out_h * out_w * grad, out_w * grad, grad),
                (end - n, out_h, out_w),
                0,
                0,
            )


@kernel
def conv2d_turn_weight(weight: Real4, turned: Real4, thread: int, threads: int) -> None:
    """turned[ky, kx, o, i] = weight[ky, kx, i, o] (memory order)."""
    kernel_y, kernel_x, group_in, out_channels = weight.shape
    start, stop = share(kernel_y * kernel_x, thread, threads)
    for tap in range(start, stop):
        ky, kx = tap // kernel_x, tap % kernel_x
        for o in range(out_channels):
            for i in range(group_in):
                turned[ky, kx, o, i] = weight[ky, kx, i, o]


@kernel
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
