"""Plain loops of Winograd convolution: the readable truth of `winograd.py`, with the same bits.

Sums run over channels in order (a convolution) or over tiles in order (a weight gradient), each
step one fused multiply-add from 0, one sum for each of the (tile + 2)^2 numbers of a tile; the
transforms around them are in `engine.kernels.winograd`. A tile beyond the border counts as zeros.
"""

from __future__ import annotations

from typing import Any

from engine.kernels import scalar, winograd
from engine.kernels.arithmetic import fma
from engine.kernels.cpu._jit import inline, plain
from engine.kernels.cpu._share import share
from engine.kernels.cpu._tile import PANEL_BYTES
from engine.kernels.cpu._winograd import local_tile
from engine.kernels.settings import FusedTiles, WinogradChunks, WinogradKernels, WinogradTiles
from engine.kernels.types import Flat, Real1, Real4

normalize = inline(scalar.normalize)
scale_and_shift = inline(scalar.scale_and_shift)
relu = inline(scalar.relu)
tiles_of = winograd.tiles_of
transform = winograd.transform
GRADIENT, INPUT, OUTPUT = winograd.GRADIENT, winograd.INPUT, winograd.OUTPUT
WEIGHT, WEIGHT_GRADIENT = winograd.WEIGHT, winograd.WEIGHT_GRADIENT


@inline
def tap_place(o: int, tap: int, taps: int, i: int, inputs: int, width: int) -> int:
    """Return where kernels (panels, taps, inputs, lanes of a panel) hold output o, input i."""
    return ((o // width * taps + tap) * inputs + i) * width + o % width


@plain
def winograd_weight(
    weight: Flat, transformed: Flat, s: WinogradKernels, thread: int, threads: int
) -> None:
    """transformed[o, i] = the kernel weight[o, i], transformed; [i, o] if `turned`."""
    size = s.tile + 2
    width = PANEL_BYTES // weight.itemsize
    tile = local_tile(weight.dtype.type(1))
    start, stop = share(s.outputs * s.inputs, thread, threads)
    for pair in range(start, stop):
        o, i = pair // s.inputs, pair % s.inputs
        for tap in range(9):
            taken = 8 - tap if s.flip else tap
            value = weight[tap_place(o, taken, 9, i, s.inputs, width)]
            tile[tap // 3 * size + tap % 3] = value
        transform(WEIGHT, s.tile, tile)
        for k in range(size * size):
            if s.turned:
                transformed[tap_place(i, k, size * size, o, s.outputs, width)] = tile[k]
            else:
                transformed[tap_place(o, k, size * size, i, s.inputs, width)] = tile[k]


@inline
def read_tile(image: Any, n: int, y: int, x: int, edge: int, size: int, c: int, tile: Any) -> None:
    """Copy `edge` x `edge` pixels of a channel from (y, x) on; zeros outside the image."""
    for i in range(edge):
        for j in range(edge):
            value = tile.dtype.type(0)
            if 0 <= y + i < image.shape[1] and 0 <= x + j < image.shape[2]:
                value = image[n, y + i, x + j, c]
            tile[i * size + j] = value


@inline
def sum_tile(
    x: Real4,
    transformed: Flat,
    corner: tuple[int, int, int],
    o: int,
    tile: int,
    seen: Any,
    sums: Any,
) -> None:
    """Make the outputs of one tile and one output channel, without a bias, in `sums`.

    Parameters
    ----------
    corner : (sample, row, column)
        Of the input that the tile sees; it may lie before the image.
    tile : int
        2 or 4 outputs each way.
    seen, sums : arrays (36,)
        Room; `sums` holds output (i, j) at i * (tile + 2) + j.
    """
    n, top, left = corner
    channels, size = x.shape[3], tile + 2
    width = PANEL_BYTES // x.itemsize
    sums[:] = 0
    for c in range(channels):
        read_tile(x, n, top, left, size, size, c, seen)
        transform(INPUT, tile, seen)
        for k in range(size * size):
            kernel = transformed[tap_place(o, k, size * size, c, channels, width)]
            sums[k] = fma(seen[k], kernel, sums[k])
    transform(OUTPUT, tile, sums)


@plain
def winograd_convolve(
    x: Real4,
    transformed: Flat,
    bias: Real1,
    output: Real4,
    s: WinogradTiles,
    thread: int,
    threads: int,
) -> None:
    """output[n, o, y, x] as a 3 x 3 convolution with stride 1, one tile of outputs at a time.

    For each of the tile's numbers, products of transformed input and kernel are summed over the
    channels in order; then the sums are transformed back, and bias[o] is added.
    """
    samples, out_h, out_w, out_channels = output.shape
    size = s.tile + 2
    rows, columns = tiles_of(out_h, s.tile), tiles_of(out_w, s.tile)
    seen, sums = local_tile(x.dtype.type(1)), local_tile(x.dtype.type(1))
    start, stop = share(samples * rows * columns, thread, threads)
    for number in range(start, stop):
        n, place = number // (rows * columns), number % (rows * columns)
        top, left = place // columns * s.tile, place % columns * s.tile
        for o in range(out_channels):
            sum_tile(x, transformed, (n, top - s.top, left - s.left), o, s.tile, seen, sums)
            for i in range(min(s.tile, out_h - top)):
                for j in range(min(s.tile, out_w - left)):
                    value = sums[i * size + j]
                    output[n, top + i, left + j, o] = value + bias[o] if s.has_bias else value


@plain
def winograd_fused_forward(
    x: Real4,
    transformed: Flat,
    bias: Real1,
    mean: Real1,
    inverse: Real1,
    scale: Real1,
    shift: Real1,
    residual: Real4,
    before: Real4,
    output: Real4,
    s: FusedTiles,
    thread: int,
    threads: int,
) -> None:
    """`winograd_convolve`, then normalisation, residual and ReLU where the settings say so.

    The same operations in the same order as the kernels that do them one by one. With `keep`,
    `before` holds what goes into the ReLU.
    """
    samples, out_h, out_w, out_channels = output.shape
    size = s.tile + 2
    rows, columns = tiles_of(out_h, s.tile), tiles_of(out_w, s.tile)
    seen, sums = local_tile(x.dtype.type(1)), local_tile(x.dtype.type(1))
    start, stop = share(samples * rows * columns, thread, threads)
    for number in range(start, stop):
        n, place = number // (rows * columns), number % (rows * columns)
        top, left = place // columns * s.tile, place % columns * s.tile
        for o in range(out_channels):
            sum_tile(x, transformed, (n, top - s.top, left - s.left), o, s.tile, seen, sums)
            for i in range(min(s.tile, out_h - top)):
                for j in range(min(s.tile, out_w - left)):
                    value, y, u = sums[i * size + j], top + i, left + j
                    if s.has_bias:
                        value += bias[o]
                    if s.has_norm:
                        value = scale_and_shift(
                            normalize(value, mean[o], inverse[o]), scale[o], shift[o]
                        )
                    if s.has_residual:
                        value += residual[n, y, u, o]
                    if s.keep:
                        before[n, y, u, o] = value
                    output[n, y, u, o] = relu(value) if s.relu else value


@plain
def winograd_backward_weight(
    x: Real4, grad_output: Real4, partial: Flat, s: WinogradChunks, thread: int, threads: int
) -> None:
    """partial[chunk] = gradient of all kernels from the tiles of one chunk of the batch's tiles.

    For each of a tile's numbers, products of transformed input and transformed output gradient are
    summed over the chunk's tiles in order (sample, row, column); then they are transformed back.
    """
    samples, out_h, out_w, out_channels = grad_output.shape
    channels, size = x.shape[3], s.tile + 2
    width = PANEL_BYTES // x.itemsize
    whole = (out_channels + width - 1) // width * width
    rows, columns = tiles_of(out_h, s.tile), tiles_of(out_w, s.tile)
    total = samples * rows * columns
    seen, grad = local_tile(x.dtype.type(1)), local_tile(x.dtype.type(1))
    sums = local_tile(x.dtype.type(1))
    start, stop = share(s.chunks * channels, thread, threads)
    for task in range(start, stop):
        chunk, i = task // channels, task % channels
        low, high = chunk * total // s.chunks, (chunk + 1) * total // s.chunks
        for o in range(whole):
            # Lanes beyond the last output stay zero.
            sums[:] = 0
            for number in range(low, high if o < out_channels else low):
                n, place = number // (rows * columns), number % (rows * columns)
                top, left = place // columns * s.tile, place % columns * s.tile
                read_tile(x, n, top - s.top, left - s.left, size, size, i, seen)
                transform(INPUT, s.tile, seen)
                read_tile(grad_output, n, top, left, s.tile, size, o, grad)
                transform(GRADIENT, s.tile, grad)
                for k in range(size * size):
                    sums[k] = fma(seen[k], grad[k], sums[k])
            transform(WEIGHT_GRADIENT, s.tile, sums)
            for tap in range(9):
                taken = 8 - tap if s.flip else tap
                lane = tap_place(o, taken, 9, i, channels, width)
                partial[chunk * 9 * channels * whole + lane] = sums[tap // 3 * size + tap % 3]
