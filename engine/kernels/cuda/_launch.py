"""Launch sizes of the CUDA kernels. The only place where they stand.

Every kernel walks its items in strides of the grid, so any size gives right results.
"""

from __future__ import annotations

from engine.kernels.cuda._compat import SIMULATED

THREADS = 4 if SIMULATED else 128
"""Threads of a block. The simulator pays 0.15 ms for each, so it gets few."""

MAX_BLOCKS = 2 if SIMULATED else 8192
"""More items than this many blocks hold are walked in strides."""

REDUCTION_THREADS = 4 if SIMULATED else 256
"""Threads of the single block that adds up all weights: a power of two is not needed."""


def launch_size(items: int, one_block: bool) -> tuple[int, int]:
    """Return blocks and threads per block for a kernel over `items` independent items.

    Parameters
    ----------
    items : int
    one_block : bool
        Whether the kernel's threads work together on one sum.
    """
    if one_block:
        return 1, REDUCTION_THREADS
    return max(1, min(-(-items // THREADS), MAX_BLOCKS)), THREADS
