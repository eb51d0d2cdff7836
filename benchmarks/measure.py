"""Timing of contestants that take turns, so that a change of the machine's mood hits all alike."""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.noise import LoadMeter
from benchmarks.peak import Spinner

PAUSE_S = 0.015
"""Torch's OpenMP threads go on spinning for some milliseconds after a call."""
LONG_S = 0.05
"""A call that takes longer warms up once instead of twice."""

LEAST_CALLS = 2
"""Of a turn, however long they take."""

Contestants = Mapping[str, Callable[[], object]]
Times = dict[str, list[float]]
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Timing:
    """What one contestant needed.

    Parameters
    ----------
    median_ms : float
    spread : float
        Half the distance of the quartiles as a share of the median.
    """

    median_ms: float
    spread: float = 0.0


@dataclass(frozen=True)
class Rounds:
    """What became of the rounds of a contest.

    Parameters
    ----------
    kept : list
        The results that count.
    dropped : int
        Rounds that were repeated because others used the processor.
    disturbed : int
        Rounds among `kept` that were no better, after all attempts.
    """

    kept: list[Any]
    dropped: int
    disturbed: int


def collect(
    play: Callable[[int], Outcome],
    meter: LoadMeter,
    rounds: int,
    retries: int,
    limit: float,
    may_retry: Callable[[], bool] = lambda: True,
) -> Rounds:
    """Play rounds until enough were quiet; then make do with the quietest.

    Parameters
    ----------
    play : callable
        ``play(number)`` plays one round.
    meter : LoadMeter
    rounds, retries : int
        How many are wanted, and how many more may be played.
    limit : float
        Share of the processors that others may have.
    may_retry : callable
        Asked before each additional round.
    """
    quiet: list[Outcome] = []
    noisy: list[tuple[float, int, Outcome]] = []
    while len(quiet) < rounds:
        played = len(quiet) + len(noisy)
        if played >= rounds and (played >= rounds + retries or not may_retry()):
            break
        meter.start()
        outcome = play(played)
        load = meter.read()
        if load <= limit:
            quiet.append(outcome)
        else:
            noisy.append((load, played, outcome))
    filling = sorted(noisy, key=lambda entry: entry[:2])[: rounds - len(quiet)]
    kept = [*quiet, *(outcome for _, _, outcome in filling)]
    return Rounds(kept, len(noisy) - len(filling), len(filling))


def play_round(contestants: Contestants, number: int, block_s: float) -> Times:
    """Let everybody have a turn, another one first in each round; return milliseconds of calls.

    A turn is a pause, one or two calls that do not count, and at least two calls until the block
    is over.
    """
    names = list(contestants)
    times: Times = {}
    for place in range(len(names)):
        name = names[(place + number) % len(names)]
        call = contestants[name]
        time.sleep(PAUSE_S)
        start = time.perf_counter()
        call()
        if time.perf_counter() - start < LONG_S:
            call()
        times[name] = []
        end = time.perf_counter() + block_s
        while True:
            start = time.perf_counter()
            call()
            now = time.perf_counter()
            times[name].append((now - start) * 1e3)
            if now > end and len(times[name]) >= LEAST_CALLS:
                break
    return times


def timing(values: Sequence[float]) -> Timing:
    """Return median and spread of milliseconds."""
    middle = statistics.median(values)
    if len(values) < 2:
        return Timing(middle)
    quarters = statistics.quantiles(values, n=4, method="inclusive")
    return Timing(middle, (quarters[2] - quarters[0]) / 2 / middle)


def ratio(mine: Timing | None, *theirs: Timing | None) -> float | None:
    """Return how many times faster mine is than the best of theirs; None if one is missing."""
    others = [other.median_ms for other in theirs if other is not None]
    return min(others) / mine.median_ms if mine is not None and others else None


def geometric_mean(values: Sequence[float]) -> float:
    """Return the mean that fits ratios."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


@dataclass
class Bench:
    """How a run measures, and what it has learnt about the machine.

    Parameters
    ----------
    rounds, retries : int
        Of each contest: wanted, and at most repeated because of noise.
    block_s : float
        Seconds of one turn.
    limit : float
        Share of the processors that others may have during a round.
    threads : int
        Of every contestant.
    quick : bool
    retry_until : float
        Time of `time.perf_counter` from which no round is repeated any more.

    Attributes
    ----------
    kept, dropped, disturbed : int
        Rounds so far.
    """

    rounds: int = 4
    retries: int = 4
    block_s: float = 0.08
    limit: float = 0.05
    threads: int = 1
    quick: bool = False
    retry_until: float = math.inf
    meter: LoadMeter = field(default_factory=LoadMeter)
    kept: int = 0
    dropped: int = 0
    disturbed: int = 0

    def contest(self, contestants: Mapping[str, Callable[[], object] | None]) -> dict[str, Timing]:
        """Return the timing of every contestant; those that are None do not take part."""
        present = {name: call for name, call in contestants.items() if call is not None}
        for call in present.values():  # what is built at the first call is nobody's time
            call()
        played = collect(
            lambda number: play_round(present, number, self.block_s),
            self.meter,
            self.rounds,
            self.retries,
            self.limit,
            lambda: time.perf_counter() < self.retry_until,
        )
        self.kept += len(played.kept)
        self.dropped += played.dropped
        self.disturbed += played.disturbed
        return {
            name: timing([value for one in played.kept for value in one[name]]) for name in present
        }

    @functools.cached_property
    def spinner(self) -> Spinner:
        """A contestant that does nothing but multiply-adds; see `share`."""
        return Spinner(self.threads)

    def share(self, operations: float, taken: Timing | None, spun: Timing) -> float | None:
        """Return what share of the possible a contestant reached.

        Parameters
        ----------
        operations : float
            Its multiplications and additions.
        taken, spun : Timing
            Its own, and that of `spinner` in the same rounds.
        """
        if taken is None:
            return None
        return operations / taken.median_ms / (self.spinner.operations / spun.median_ms)
