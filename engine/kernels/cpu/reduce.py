"""Sums of partial sums, copies and layout changes that several ops share."""

from __future__ import annotations

from engine.kernels.cpu._jit import kernel
from engine.kernels.cpu._share import share
from engine.kernels.settings import Blocks, Border
from engine.kernels.types import Flat, Real2, Real4


@kernel
def sum_chunks(partial: Real2, total: Flat, thread: int, threads: int) -> None:
    """total[i] = partial[0, i] + partial[1, i] + ..., in this order."""
    chunks, size = partial.shape
    start, stop = share(size, thread, threads)
    out = total[start:stop]
    for chunk in range(chunks):
        part = partial[chunk, start:stop]
        if chunk == 0:
            for i in range(out.size):
                out[i] = part[i]
        else:
            for i in range(out.size):
                out[i] += part[i]


@kernel
def accumulate(part: Flat, total: Flat, thread: int, threads: int) -> None:
    """total += part: a tensor with several readers collects their gradients in turn."""
    start, stop = share(total.size, thread, threads)
    a, b = part[start:stop], total[start:stop]
    for i in range(a.size):
        b[i] += a[i]


@kernel
def copy(source: Flat, target: Flat, thread: int, threads: int) -> None:
    """target = source."""
    start, stop = share(target.size, thread, threads)
    a, b = source[start:stop], target[start:stop]
    for i in range(b.size):
        b[i] = a[i]


@kernel
def copy_blocks(source: Flat, target: Flat, s: Blocks, thread: int, threads: int) -> None:
    """Copy rows of `length` numbers between two memories with their own pitches and offsets."""
    start, stop = share(s.rows, thread, threads)
    for r in range(start, stop):
        a = source[r * s.source_pitch + s.source_offset :][: s.length]
        b = target[r * s.target_pitch + s.target_offset :][: s.length]
        for i in range(a.size):
            b[i] = a[i]


@kernel
def activation_to_plain(x: Real4, plain: Flat, thread: int, threads: int) -> None:
    """plain = x in the public order (n, c, y, x)."""
    samples, height, width, channels = x.shape
    start, stop = share(samples, thread, threads)
    for n in range(start, stop):
        for c in range(channels):
            for y in range(height):
                base = ((n * channels + c) * height + y) * width
                for i in range(width):
                    plain[base + i] = x[n, y, i, c]


@kernel
def activation_from_plain(plain: Flat, x: Real4, thread: int, threads: int) -> None:
    """X = plain, which lies in the public order (n, c, y, x)."""
    samples, height, width, channels = x.shape
    start, stop = share(samples, thread, threads)
    for n in range(start, stop):
        for c in range(channels):
            for y in range(height):
                base = ((n * channels + c) * height + y) * width
                for i in range(width):
                    x[n, y, i, c] = plain[base + i]


@kernel
def activation_to_halo(x: Real4, haloed: Real4, s: Border, thread: int, threads: int) -> None:
    """Copy x into the middle of a larger buffer, whose rim keeps the zeros it was made with."""
    samples, height, width, channels = x.shape
    start, stop = share(samples * height, thread, threads)
    for row in range(start, stop):
        n, y = row // height, row % height
        source, target = x[n, y], haloed[n, y + s.top]
        for i in range(width):
            a, b = source[i], target[i + s.left]
            for c in range(channels):
                b[c] = a[c]
