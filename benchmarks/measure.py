"""Timing of contestants that take turns, so that a change of the machine's mood hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

PAUSE_S = 0.02
"""Torch's OpenMP threads go on spinning for some milliseconds after a call."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one contestant: median and half the spread between the quartiles."""

    median_ms: float
    spread_ms: float


def side_by_side(
    contestants: dict[str, Callable[[], object]], rounds: int = 5, block_s: float = 0.15
) -> dict[str, Timing]:
    """Return the timing of every contestant.

    In each round each contestant makes two calls that do not count, and then as many as fit into a
    block; the figure is the median over all calls of all rounds.

    Parameters
    ----------
    contestants : dict of callables
    rounds : int
    block_s : float
        Seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            time.sleep(PAUSE_S)
            call()
            call()
            end = time.perf_counter() + block_s
            while True:
                start = time.perf_counter()
                call()
                now = time.perf_counter()
                times[name].append((now - start) * 1e3)
                if now > end:
                    break
    result = {}
    for name, values in times.items():
        quarters = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
        result[name] = Timing(statistics.median(values), (quarters[2] - quarters[0]) / 2)
    return result
