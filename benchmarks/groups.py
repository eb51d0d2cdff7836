"""What a group of measurements is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.measure import Bench
from benchmarks.report import Column, Result


@dataclass(frozen=True)
class Work:
    """A part of a group that is measured in one go.

    Parameters
    ----------
    name : str
        For the progress bar.
    measure : callable
        ``measure(bench)`` returns lines of the table.
    seconds : float
        About how long it takes.
    quick : bool
        Whether a quick run has it.
    """

    name: str
    measure: Callable[[Bench], list[Result]]
    seconds: float = 1.0
    quick: bool = True


@dataclass(frozen=True)
class Group:
    """Measurements that make one table.

    Parameters
    ----------
    name : str
        On the command line, and in the markers of the document.
    title : str
    columns : sequence of Column
    work : sequence of Work
    needs_peak : bool
        Whether it states shares of the machine's peak.
    """

    name: str
    title: str
    columns: Sequence[Column]
    work: Sequence[Work]
    needs_peak: bool = False
