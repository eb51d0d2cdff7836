"""Sums of partial sums, copies and layout changes that several ops share."""

from __future__ import annotations

from engine.kernels.cuda._index import items, split
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Blocks
from engine.kernels.types import Flat, Real4


@kernel(over="total")
def sum_chunks(partial: Flat, total: Flat) -> None:
    """total[i] = partial[0, i] + partial[1, i] + ..., in this order; `partial` holds all chunks."""
    for i in items(total.size):
        value = partial[i]
        for chunk in range(1, partial.size // total.size):
            value += partial[chunk * total.size + i]
        total[i] = value


@kernel(over="total")
def accumulate(part: Flat, total: Flat) -> None:
    """total += part: a tensor with several readers collects their gradients in turn."""
    for i in items(total.size):
        total[i] += part[i]


@kernel(over="target")
def copy(source: Flat, target: Flat) -> None:
    """target = source."""
    for i in items(target.size):
        target[i] = source[i]


@kernel(over="target")
def copy_blocks(source: Flat, target: Flat, s: Blocks) -> None:
    """Copy rows of `length` numbers between two memories with their own pitches and offsets."""
    for item in items(s.rows * s.length):
        r, i = split(item, s.length)
        value = source[r * s.source_pitch + s.source_offset + i]
        target[r * s.target_pitch + s.target_offset + i] = value


@kernel(over="plain")
def activation_to_plain(x: Real4, plain: Flat) -> None:
    """plain = x in the public order (n, c, y, x), the order in which activations lie here."""
    for place in items(plain.size):
        rest, i = split(place, x.shape[3])
        rest, y = split(rest, x.shape[2])
        n, c = split(rest, x.shape[1])
        plain[place] = x[n, c, y, i]


@kernel(over="plain")
def activation_from_plain(plain: Flat, x: Real4) -> None:
    """X = plain, which lies in the public order (n, c, y, x)."""
    for place in items(plain.size):
        rest, i = split(place, x.shape[3])
        rest, y = split(rest, x.shape[2])
        n, c = split(rest, x.shape[1])
        x[n, c, y, i] = plain[place]
