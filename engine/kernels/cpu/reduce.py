"""Sums of partial sums, copies and layout changes that several ops share."""

from __future__ import annotations

from engine.kernels.cpu._jit import kernel
from engine.kernels.cpu._share import share
from engine.kernels.settings import Blocks
from engine.kernels.types import Flat, Real4


@kernel
def sum_chunks(partial: Flat, total: Flat, thread: int, threads: int) -> None:
    """total[i] = partial[0, i] + partial[1, i] + ..., in this order; `partial` holds all chunks."""
    size = total.size
    chunks = partial.size // max(size, 1)
    start, stop = share(size, thread, threads)
    out = total[start:stop]
    for chunk in range(chunks):
        part = partial[chunk * size + start :][: out.size]
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
