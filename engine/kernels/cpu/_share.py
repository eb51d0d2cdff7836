"""How the threads of a team divide the work of one kernel."""

from __future__ import annotations

from engine.kernels.cpu._jit import inline


@inline
def share(size: int, thread: int, threads: int) -> tuple[int, int]:
    """Return the half-open range of `size` items that belongs to `thread` of `threads`."""
    return size * thread // threads, size * (thread + 1) // threads


@inline
def outputs_inside(offset: int, stride: int, size: int, count: int) -> tuple[int, int]:
    """Return the range of output positions p with ``p * stride + offset`` in [0, size)."""
    first = 0 if offset >= 0 else (-offset + stride - 1) // stride
    last = (size - 1 - offset) // stride + 1 if offset < size else 0
    return first, max(first, min(last, count))
