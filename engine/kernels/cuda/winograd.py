"""Winograd convolution and its gradients; same sums and bits as on the CPU.

Kernels lie as (o, i, numbers of a tile). One thread makes one tile of outputs, or one kernel's
gradient; neighbouring threads have neighbouring tiles. Sums run over channels (or tiles) in order
from 0, one for each number of a tile, every step one fused multiply-add. These kernels are for
equal numbers on both devices, not for speed: each output channel transforms its patches anew.
"""

from __future__ import annotations

from typing import Any

from engine.kernels import winograd
from engine.kernels.arithmetic import fma, like
from engine.kernels.cuda._compat import cuda, device
from engine.kernels.cuda._index import items, split
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import WinogradChunks, WinogradKernels, WinogradTiles
from engine.kernels.types import Flat, Real1, Real4

tiles_of = winograd.tiles_of
transform = winograd.transform
GRADIENT, INPUT, OUTPUT = winograd.GRADIENT, winograd.INPUT, winograd.OUTPUT
WEIGHT, WEIGHT_GRADIENT = winograd.WEIGHT, winograd.WEIGHT_GRADIENT
NUMBERS = winograd.NUMBERS


@device
def read_tile(image: Any, n: int, c: int, y: int, x: int, edge: int, size: int, tile: Any) -> None:
    """Copy `edge` x `edge` pixels of a channel from (y, x) on; zeros outside the image."""
    for i in range(edge):
        for j in range(edge):
            value = like(tile[0], 0)
            if 0 <= y + i < image.shape[2] and 0 <= x + j < image.shape[3]:
                value = image[n, c, y + i, x + j]
            tile[i * size + j] = value


@kernel(over="transformed")
def winograd_weight(weight: Flat, transformed: Flat, s: WinogradKernels) -> None:
    """transformed[o, i] = the kernel weight[o, i], transformed; [i, o] if `turned`."""
    size = s.tile + 2
    tile = cuda.local.array(NUMBERS, weight.dtype)
    for pair in items(s.outputs * s.inputs):
        o, i = split(pair, s.inputs)
        for tap in range(9):
            taken = 8 - tap if s.flip else tap
            tile[tap // 3 * size + tap % 3] = weight[(o * s.inputs + i) * 9 + taken]
        transform(WEIGHT, s.tile, tile)
        first = i * s.outputs + o if s.turned else o * s.inputs + i
        for k in range(size * size):
            transformed[first * size * size + k] = tile[k]


@kernel(over="output")
def winograd_convolve(
    x: Real4, transformed: Flat, bias: Real1, output: Real4, s: WinogradTiles
) -> None:
    """output[n, o, y, x] as a 3 x 3 convolution with stride 1, one tile of outputs at a time."""
    samples, out_channels, out_h, out_w = output.shape
    channels, size = x.shape[1], s.tile + 2
    numbers = size * size
    rows, columns = tiles_of(out_h, s.tile), tiles_of(out_w, s.tile)
    seen = cuda.local.array(NUMBERS, x.dtype)
    sums = cuda.local.array(NUMBERS, x.dtype)
    for item in items(samples * out_channels * rows * columns):
        rest, column = split(item, columns)
        rest, row = split(rest, rows)
        n, o = split(rest, out_channels)
        top, left = row * s.tile, column * s.tile
        for k in range(numbers):
            sums[k] = like(sums[k], 0)
        for c in range(channels):
            read_tile(x, n, c, top - s.top, left - s.left, size, size, seen)
            transform(INPUT, s.tile, seen)
            first = (o * channels + c) * numbers
            for k in range(numbers):
                sums[k] = fma(seen[k], transformed[first + k], sums[k])
        transform(OUTPUT, s.tile, sums)
        for i in range(min(s.tile, out_h - top)):
            for j in range(min(s.tile, out_w - left)):
                value = sums[i * size + j]
                output[n, o, top + i, left + j] = value + bias[o] if s.has_bias else value


@kernel(over="partial")
def winograd_backward_weight(
    x: Real4, grad_output: Real4, partial: Flat, s: WinogradChunks
) -> None:
    """partial[chunk] = gradient of all kernels from the tiles of one chunk of the batch's tiles."""
    samples, out_channels, out_h, out_w = grad_output.shape
    channels, size = x.shape[1], s.tile + 2
    rows, columns = tiles_of(out_h, s.tile), tiles_of(out_w, s.tile)
    total = samples * rows * columns
    seen = cuda.local.array(NUMBERS, x.dtype)
    grad = cuda.local.array(NUMBERS, x.dtype)
    sums = cuda.local.array(NUMBERS, x.dtype)
    for item in items(s.chunks * out_channels * channels):
        rest, i = split(item, channels)
        chunk, o = split(rest, out_channels)
        for k in range(size * size):
            sums[k] = like(sums[k], 0)
        for number in range(chunk * total // s.chunks, (chunk + 1) * total // s.chunks):
            n, place = number // (rows * columns), number % (rows * columns)
            top, left = place // columns * s.tile, place % columns * s.tile
            read_tile(x, n, i, top - s.top, left - s.left, size, size, seen)
            transform(INPUT, s.tile, seen)
            read_tile(grad_output, n, o, top, left, s.tile, size, grad)
            transform(GRADIENT, s.tile, grad)
            for k in range(size * size):
                sums[k] = fma(seen[k], grad[k], sums[k])
        transform(WEIGHT_GRADIENT, s.tile, sums)
        for tap in range(9):
            taken = 8 - tap if s.flip else tap
            value = sums[tap // 3 * size + tap % 3]
            partial[((chunk * out_channels + o) * channels + i) * 9 + taken] = value
