"""How the threads of a team divide the work of one kernel."""

from __future__ import annotations

from engine.kernels.cpu._jit import inline


@inline
def share(size: int, thread: int, threads: int) -> tuple[int, int]:
    """Return the half-open range of `size` items that belongs to `thread` of `threads`."""
    return size * thread // threads, size * (thread + 1) // threads
