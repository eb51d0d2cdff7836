"""How the threads of a grid divide work, and integer arithmetic that is cheap on a GPU.

Numba adds a test for negative numbers to every index of signed type; `items` and `up_to` count in
unsigned numbers, which spares it. Do not mix their numbers with settings or shapes (int64) in
arithmetic: Numba makes float64 of uint64 and int64 together. `split` and `signed` give int64 again.
The simulator has Python's integers for all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernels.cuda._compat import cuda, device_or, place_in_grid

LARGEST = 2**31 - 1
"""Most elements of one buffer: `split` divides 32-bit numbers, several times as fast as 64-bit."""


def _items(count: Any) -> Any:
    start, step = place_in_grid()
    return range(start, int(count), step)


@device_or(_items)
def items(count: Any) -> Any:
    """Return the numbers below `count` that belong to the calling thread, as uint64."""
    return range(np.uint64(cuda.grid(1)), np.uint64(count), np.uint64(cuda.gridsize(1)))


def _up_to(count: Any) -> Any:
    return range(int(count))


@device_or(_up_to)
def up_to(count: Any) -> Any:
    """Return the numbers from 0 to ``count - 1``, as uint64."""
    return range(np.uint64(count))


def _split(item: Any, size: Any) -> Any:
    return divmod(int(item), int(size))


@device_or(_split)
def split(item: Any, size: Any) -> Any:
    """Return ``item // size`` and ``item % size`` as int64; neither may be negative."""
    whole, rest = np.uint32(item) // np.uint32(size), np.uint32(item) % np.uint32(size)
    return np.int64(whole), np.int64(rest)


def _signed(item: Any) -> Any:
    return int(item)


@device_or(_signed)
def signed(item: Any) -> Any:
    """Return an integer as int64, which may be mixed with settings and shapes."""
    return np.int64(item)
