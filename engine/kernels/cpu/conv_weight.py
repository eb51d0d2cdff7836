"""Gradients of a convolution's weights and bias.

A weight gradient is a product too: rows are the numbers a window holds, lanes are output channels,
and the sum runs over pixels. Neighbouring numbers of that sum lie a whole pixel apart, and where
pixels are long, these places compete for few sets of the first-level cache. So blocks of pixels are
copied first: the output gradient into panels, long input pixels into planes of a panel's width.
"""

from __future__ import annotations

from typing import Any

from engine.kernels import scalar
from engine.kernels.cpu import plain
from engine.kernels.cpu._bands import span
from engine.kernels.cpu._jit import inline
from engine.kernels.cpu._memory import copy_planes, copy_window, put, zero_bytes
from engine.kernels.cpu._microkernel import PANEL_BYTES, fast, multiply, multiply_bands
from engine.kernels.cpu._share import share
from engine.kernels.settings import Window
from engine.kernels.types import Real2, Real4, Real6

chunk_start = inline(scalar.chunk_start)
CHUNKS = scalar.CHUNKS
BLOCK_PIXELS = 256
"""How many pixels of the output gradient a weight gradient adds before the next rows take their
turn: one panel of them fills half of the first-level cache."""
IMAGE_BYTES = 256 * 1024
"""How much of the input such a block may look at, and how much of the gradient it may add to: each
half of a second-level cache."""


@fast(plain.conv2d_backward_weight, parts=4)
def conv2d_backward_weight(
    x: Real4,
    grad_output: Real4,
    partial: Real6,
    s: Window,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """A few panels of one chunk at a time, block by block; see `plain.conv2d_backward_weight`."""
    samples, out_h, out_w = grad_output.shape[:3]
    panels, kernel_y, kernel_x, group_in = partial.shape[1:5]
    size = kernel_y * kernel_x * group_in * PANEL_BYTES
    line = span(out_w, s.stride_x, kernel_x, s.dilation_x) * x.shape[3] * x.itemsize
    lines = IMAGE_BYTES // line - (kernel_y - 1) * s.dilation_y - 1
    rows = max(1, min(BLOCK_PIXELS // out_w, lines // s.stride_y + 1))
    # Blocks of equal height, or whole images.
    parts = (out_h + rows - 1) // rows
    images = max(1, rows // out_h) if parts == 1 else 1
    rows = (out_h + parts - 1) // parts
    most = max(1, IMAGE_BYTES // max(size, images * rows * out_w * PANEL_BYTES))
    start, stop = share(CHUNKS * panels, thread, threads)
    for chunk in range(CHUNKS):
        if samples < CHUNKS:
            # Panel by panel: every thread shall have some of the chunks that have samples.
            # The panels p of this thread: start <= p * CHUNKS + chunk < stop.
            first = (start - chunk + CHUNKS - 1) // CHUNKS
            end = (stop - chunk + CHUNKS - 1) // CHUNKS
        else:
            # Chunk by chunk: what is copied of the input serves many panels.
            first = max(start - chunk * panels, 0)
            end = min(stop - chunk * panels, panels)
        n_first, n_end = chunk_start(chunk, samples), chunk_start(chunk + 1, samples)
        target = partial.ctypes.data + chunk * panels * size
        if n_first == n_end and first < end:
            zero_bytes(target + first * size, (end - first) * size)
        while first < end:
            count = min(most, end - first)
            for n in range(n_first, n_end, images):
                taken = min(images, n_end - n)
                for row in range(0, out_h, rows):
                    block = (n, taken, row, min(rows, out_h - row))
                    going = 1 if n > n_first or row > 0 else 0
                    weight_block(
                        x,
                        grad_output,
                        partial,
                        target,
                        s,
                        block,
                        (first, count),
                        going,
                        work,
                    )
            first += count


@inline
def input_of(
    x: Real4,
    s: Window,
    images: tuple[int, int],
    window: tuple[int, int, int, int],
    room: int,
) -> tuple[int, int, int, int, int]:
    """Return where a window of some images lies, copied if need be; see `add_panel`.

    Parameters
    ----------
    images : (first, count)
    window : (first row, rows, first column, columns)
    room : int
        Address for a copy.

    Returns
    -------
    (address, image stride, line stride, pixel stride, plane stride)
    """
    (n, count), (first_y, tall, first_x, wide) = images, window
    height, width, channels = x.shape[1:]
    pixel = channels * x.itemsize
    source, image = x.ctypes.data + n * height * width * pixel, height * width * pixel
    plane, step = 0, pixel
    if s.groups == 1 and pixel > PANEL_BYTES:
        step, plane = PANEL_BYTES, (count * tall * wide | 1) * PANEL_BYTES
        for i in range(count):
            copy_planes(
                room + i * tall * wide * PANEL_BYTES,
                plane,
                source + i * image,
                pixel,
                (first_y, tall, first_x, wide),
                (height, width, pixel),
            )
        source, line, image = room, wide * PANEL_BYTES, tall * wide * PANEL_BYTES
    elif first_x < 0 or wide > width + first_x or first_y < 0 or first_y + tall > height:
        for i in range(count):
            copy_window(
                room + i * tall * wide * pixel,
                source + i * image,
                first_y,
                tall,
                first_x,
                wide,
                height,
                width,
                pixel,
            )
        source, line, image = room, wide * pixel, tall * wide * pixel
    else:
        line = width * pixel
        source += first_y * line
    return source, image, line, step, plane


@inline
def weight_block(
    x: Real4,
    grad_output: Real4,
    partial: Real6,
    target: int,
    s: Window,
    block: tuple[int, int, int, int],
    panels: tuple[int, int],
    going: int,
    work: int,
) -> None:
    """Add a block of pixels to some panels of one chunk's gradient.

    Parameters
    ----------
    target : int
        Address of the chunk's gradient.
    block : (first image, images, first output row, output rows)
        Several images only with all their rows.
    panels : (first, count)
    going : int
        0 to start from zero.
    work : int
        Address of the thread's scratch: panels of the output gradient, then the input.
    """
    n, images, row, rows = block
    kernel_y, kernel_x, group_in, lanes = partial.shape[2:]
    out_h, out_w, out_channels = grad_output.shape[1:]
    item, out_pixel = x.itemsize, out_channels * x.itemsize
    tall = span(rows, s.stride_y, kernel_y, s.dilation_y)
    wide = span(out_w, s.stride_x, kernel_x, s.dilation_x)
    first_y, first_x = row * s.stride_y - s.top, -s.left
    pixels = images * rows * out_w
    room = work + panels[1] * (pixels + 1) * PANEL_BYTES
    source, image, line, step, plane = input_of(
        x, s, (n, images), (first_y, tall, first_x, wide), room
    )
    grads = grad_output.ctypes.data + (n * out_h + row) * out_w * out_pixel
    grads, apart, beside = grads + panels[0] * PANEL_BYTES, out_pixel, PANEL_BYTES
    if out_channels > lanes:
        # Each panel's lanes of all pixels, side by side.
        apart, beside = PANEL_BYTES, (pixels | 1) * PANEL_BYTES
        copy_planes(
            work, beside, grads, panels[1] * PANEL_BYTES, (0, 1, 0, pixels), (1, pixels, out_pixel)
        )
        grads = work
    for panel in range(panels[0], panels[0] + panels[1]):
        last = min((panel + 1) * lanes, out_channels)
        o = panel * lanes
        while o < last:
            # A group that starts inside a panel goes on to the panel's end first.
            group = o // (out_channels // s.groups)
            count = min(last, (group + 1) * (out_channels // s.groups)) - o
            lane = (o - panel * lanes) * item
            add_panel(
                x.dtype.type(1),
                s,
                (kernel_y, kernel_x, group_in, count),
                lanes,
                target + panel * kernel_y * kernel_x * group_in * PANEL_BYTES + lane,
                (source + group * group_in * item, image, line, step, plane),
                (
                    grads + (panel - panels[0]) * beside + lane,
                    rows * out_w * apart,
                    out_w * apart,
                    apart,
                ),
                (images, rows, out_w),
                going,
            )
            o += count


@inline
def add_panel(
    one: Any,
    s: Window,
    size: tuple[int, int, int, int],
    lanes: int,
    target: int,
    image: tuple[int, int, int, int, int],
    grads: tuple[int, int, int, int],
    counts: tuple[int, int, int],
    going: int,
) -> None:
    """Add one block's products to one panel of a gradient.

    Parameters
    ----------
    size : (kernel rows, kernel columns, channels, output channels)
    lanes : int
        Of a panel.
    image : (address, image stride, line stride, pixel stride, plane stride)
        Of the input; a plane holds as many channels as a panel has lanes. The last is 0 for whole
        pixels.
    grads : (address, image stride, line stride, pixel stride)
        Of the output gradient's panel.
    counts : (images, rows, columns)
        The sum, from the outermost loop to the innermost.
    """
    kernel_y, kernel_x, channels, count = size
    source, image_step, line, step, plane = image
    images, rows, wide = counts
    item = PANEL_BYTES // lanes
    # Rows come as `inner` numbers for each tap, of which `together` lie side by side.
    taps_y, taps_x, inner, together = kernel_y, kernel_x, channels, min(channels, lanes)
    if plane == 0:
        together = channels
        if s.groups == 1 and s.dilation_x == 1 and not s.flip:
            # The taps of a kernel row lie side by side, and kernel rows take the part of planes.
            taps_y, taps_x, together, plane = 1, 1, kernel_x * channels, s.dilation_y * line
            inner = kernel_y * together
    if s.stride_x == 1 and s.stride_y == 1 and line == wide * step:
        # So do the rows that are added, and perhaps the images.
        rows, wide = 1, rows * wide
        if image_step == wide * step:
            images, wide = 1, images * wide
    for ky in range(taps_y):
        for kx in range(taps_x):
            wy, wx = (kernel_y - 1 - ky, kernel_x - 1 - kx) if s.flip else (ky, kx)
            place = source + ky * s.dilation_y * line + kx * s.dilation_x * step
            goal = target + (wy * kernel_x + wx) * channels * PANEL_BYTES
            done = 0
            while done < inner:
                # Whole planes first, then what the last one holds.
                bands = max(1, (inner - done) // together)
                number = min(together, inner - done)
                multiply_bands(
                    one,
                    item,
                    (bands, number, count),
                    (
                        goal + done * PANEL_BYTES,
                        number * PANEL_BYTES,
                        PANEL_BYTES,
                        PANEL_BYTES,
                    ),
                    (
                        place + done // together * plane,
                        plane,
                        item,
                        image_step,
                        s.stride_y * line,
                        s.stride_x * step,
                    ),
                    (grads[0], grads[1], grads[2], grads[3], PANEL_BYTES),
                    (images, rows, wide),
                    0,
                    going,
                    0,
                )
                done += bands * number


@fast(plain.conv2d_backward_bias)
def conv2d_backward_bias(
    grad_output: Real4, partial: Real2, work: int, thread: int, threads: int
) -> None:
    """One panel of one chunk at a time, as a product with a row of ones: the same sums."""
    samples, out_h, out_w, out_channels = grad_output.shape
    one, item = partial.dtype.type(1), partial.itemsize
    lanes, pixel = PANEL_BYTES // item, out_channels * item
    panels = (out_channels + lanes - 1) // lanes
    put(work, one)
    start, stop = share(CHUNKS * panels, thread, threads)
    for task in range(start, stop):
        chunk, panel = task % CHUNKS, task // CHUNKS
        n, end = chunk_start(chunk, samples), chunk_start(chunk + 1, samples)
        target = partial.ctypes.data + chunk * pixel + panel * PANEL_BYTES
        grads = grad_output.ctypes.data + n * out_h * out_w * pixel + panel * PANEL_BYTES
        multiply(
            one,
            item,
            (1, min(lanes, out_channels - panel * lanes)),
            (target, 0, 0),
            (work, 0, 0, 0, 0),
            (grads, 0, 0, pixel, 0),
            (1, 1, (end - n) * out_h * out_w),
            0,
            0,
        )
