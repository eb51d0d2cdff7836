"""Growing curves, smoothing, and an axis whose logarithmic ticks stay readable."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyqtgraph as pg

from gui.widgets.numbers import MINUS
from gui.widgets.window_content import Array

NARROW = 0.7
"""An axis over less than this part of a decade has even ticks."""
STRONG_POINTS = 800
"""Thick lines are slow in Qt: the smoothed curve is thinned to this many points."""


@dataclass(slots=True)
class Series:
    """A growing curve; capacity doubles, so appending stays cheap."""

    title: str
    token: str
    raw: bool
    points: bool
    x: Array = field(default_factory=lambda: np.zeros(256))
    y: Array = field(default_factory=lambda: np.zeros(256))
    count: int = 0

    def extend(self, xs: Array, ys: Array) -> None:
        """Add points."""
        needed = self.count + len(xs)
        while needed > len(self.x):
            self.x = np.concatenate([self.x, np.zeros(len(self.x))])
            self.y = np.concatenate([self.y, np.zeros(len(self.y))])
        part = slice(self.count, needed)
        self.x[part], self.y[part] = xs, ys
        self.count = needed

    def data(self) -> tuple[Array, Array]:
        """Return x and y."""
        return self.x[: self.count], self.y[: self.count]


def smoothed(values: Array) -> Array:
    """Return the centred running mean over about an eightieth of a curve; it does not lag.

    What is not finite is left out of the means and changes nothing beside it.
    """
    half = len(values) // 160
    if half < 1:
        return values
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    at = np.arange(len(values))
    first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    number = counts[last] - counts[first]
    with np.errstate(invalid="ignore"):
        mean: Array = np.where(number > 0, (sums[last] - sums[first]) / number, np.nan)
    return mean


def thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """Average neighbouring points so that few enough are left for a thick line."""
    if len(x) > STRONG_POINTS:
        edges = np.linspace(0, len(x), STRONG_POINTS + 1).astype(int)[:-1]
        known = np.isfinite(y)
        counts, whole = np.add.reduceat(known, edges), np.diff(np.append(edges, len(x)))
        with np.errstate(invalid="ignore"):
            mean = np.add.reduceat(np.where(known, y, 0.0), edges) / counts
        # the last point stays itself: the end of the curve is what one watches
        x = np.append(np.add.reduceat(x, edges) / whole, x[-1])
        y = np.append(mean, y[-1])
    known = np.isfinite(y)
    return x[known], y[known]


def envelope(x: Array, y: Array, low: float, high: float, columns: int) -> tuple[Array, Array]:
    """Return the least and the greatest value in each of so many columns from `low` to `high`.

    Nothing that stands out is averaged away, at any zoom; few points are returned as they are.
    Columns lie by x and not by number, so that a value which is not finite moves no other.
    """
    first = max(int(np.searchsorted(x, low)) - 1, 0)
    last = min(int(np.searchsorted(x, high, "right")) + 1, len(x))
    x, y = x[first:last], y[first:last]
    known = np.isfinite(y)
    if len(x) <= 2 * columns or high <= low:
        return x[known], y[known]
    place = np.floor((x - low) / (high - low) * columns)
    starts = np.flatnonzero(np.diff(place, prepend=place[0] - 1))
    least = np.minimum.reduceat(np.where(known, y, np.inf), starts)
    most = np.maximum.reduceat(np.where(known, y, -np.inf), starts)
    middle = low + (place[starts] + 0.5) / columns * (high - low)
    held = np.isfinite(least)
    pairs = np.stack([least[held], most[held]], axis=1).ravel()
    return np.repeat(middle[held], 2), pairs


SPIKE = 20.0
"""A spike stands out from both neighbours by so many times the usual step from one to the next."""
MOST_SPIKES = 40


def spikes(y: Array) -> Array:
    """Return the numbers of the values that stand out alone, the greatest ones if there are many.

    A curve that steps to another level has none.
    """
    at = np.flatnonzero(np.isfinite(y))
    if len(at) < 8:
        return at[:0]
    steps = np.diff(y[at])
    before, after = np.append(0.0, steps), np.append(steps, 0.0)
    height = np.minimum(np.abs(before), np.abs(after))
    usual = max(float(np.median(np.abs(steps))), 1e-6 * float(np.abs(y[at]).max()))
    found = np.flatnonzero((height > SPIKE * usual) & (before * after < 0))
    found = found[np.argsort(-height[found], kind="stable")][:MOST_SPIKES]
    return at[np.sort(found)]


class ValueAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph has no types
    """Vertical axis whose logarithmic ticks are 1, 2, 5 per decade and never touch."""

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[Any, list[float]]]:  # noqa: N802
        """Choose ticks; in logarithmic mode `low` and `high` are exponents."""
        room = max(int(size / 20), 1)
        if not self.logMode:
            levels: list[tuple[Any, list[float]]] = []
            count = 0
            for step, values in super().tickValues(low, high, size):
                ticks = _readable(list(values), low, high, size)
                if not levels:
                    ticks = _spread(ticks, room)
                count += len(ticks)
                if levels and count > room:
                    break
                levels.append((step, ticks))
            return levels
        if high - low < NARROW:
            return self._narrow(low, high, size, room)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            powers = range(math.floor(low) - 1, math.ceil(high) + 1)
            ticks = [power + math.log10(digit) for power in powers for digit in digits]
            ticks = _readable([tick for tick in ticks if low <= tick <= high], low, high, size)
            if len(ticks) <= room:
                break
        return [(None, _spread(ticks, room))]

    def _narrow(
        self, low: float, high: float, size: float, room: int
    ) -> list[tuple[Any, list[float]]]:
        """Choose even ticks where the whole axis lies within a part of a decade."""
        first, last = 10.0**low, 10.0**high
        rough = (last - first) / room
        unit = 10.0 ** math.floor(math.log10(max(rough, 1e-300)))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        numbers = range(math.ceil(first / step), math.floor(last / step) + 1)
        ticks = [math.log10(number * step) for number in numbers if number > 0]
        return [(None, _spread(_readable(ticks, low, high, size), room))]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        """Write ticks with true minus signs."""
        if self.logMode:
            return distinct([10.0**value for value in values])
        return [
            str(text).replace("-", MINUS) for text in super().tickStrings(values, scale, spacing)
        ]


def distinct(values: list[float]) -> list[str]:
    """Write values with as few digits as keep them apart, three at least."""
    texts: list[str] = []
    for digits in range(3, 10):
        texts = [f"{value:.{digits}g}" for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return [text.replace("-", MINUS) for text in texts]


def _readable(ticks: list[float], low: float, high: float, size: float) -> list[float]:
    """Leave out ticks so near the ends of an axis that their labels would be cut off."""
    margin = 6 / max(size, 1) * (high - low)
    inner = [tick for tick in ticks if low + margin <= tick <= high - margin]
    return inner or ticks


def _spread(ticks: list[float], room: int) -> list[float]:
    """Return at most `room` of the ticks, evenly chosen from the middle outwards."""
    if len(ticks) <= room:
        return ticks
    every = len(ticks) / room
    return [ticks[int((i + 0.5) * every)] for i in range(room)]
