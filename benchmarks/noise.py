"""How much of the processor others had: while they work, a timing tells about them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

STAT = Path("/proc/stat")


class Ticks(NamedTuple):
    """Seconds of processor time since the machine was started, over the CPUs that count."""

    busy: float
    stolen: float


def parse(text: str, cpus: set[int], tick_s: float) -> Ticks:
    """Return the processor time in a copy of /proc/stat.

    Parameters
    ----------
    text : str
    cpus : set of int
        The CPUs that count.
    tick_s : float
        Length of the kernel's unit.
    """
    busy = stolen = 0
    for line in text.splitlines():
        name, *fields = line.split()
        if not name.startswith("cpu") or not name[3:].isdigit() or int(name[3:]) not in cpus:
            continue
        user, nice, system, _idle, _waiting, irq, soft_irq, steal = map(int, fields[:8])
        busy += user + nice + system + irq + soft_irq
        stolen += steal
    return Ticks(busy * tick_s, stolen * tick_s)


def own_seconds() -> float:
    """Return the processor time of this process and of the children it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def system_ticks() -> Ticks | None:
    """Return the processor time of the CPUs this process may use; None where nobody tells."""
    try:
        text = STAT.read_text(encoding="ascii")
    except OSError:
        return None
    return parse(text, os.sched_getaffinity(0), 1 / os.sysconf("SC_CLK_TCK"))


class LoadMeter:
    """Tells which share of the processors others took between `start` and `read`.

    Parameters
    ----------
    ticks, own, now : callable
        Where processor time, this process's own and the time of day come from.
    cpus : int
        How many processors count.
    """

    def __init__(
        self,
        ticks: Callable[[], Ticks | None] = system_ticks,
        own: Callable[[], float] = own_seconds,
        now: Callable[[], float] = time.perf_counter,
        cpus: int | None = None,
    ) -> None:
        self._ticks, self._own, self._now = ticks, own, now
        self._cpus = cpus or len(os.sched_getaffinity(0) if STAT.exists() else (0,))
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self._before = self._ticks(), self._own(), self._now()

    def read(self) -> float:
        """Return the greater of foreign use and steal, 0 to 1; 0 where it cannot be known."""
        (before, own_before, start), after = self._before, self._ticks()
        available = (self._now() - start) * self._cpus
        if before is None or after is None or available <= 0:
            return 0.0
        foreign = after.busy - before.busy - (self._own() - own_before)
        return max(foreign, after.stolen - before.stolen, 0.0) / available
