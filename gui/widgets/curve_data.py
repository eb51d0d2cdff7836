"""Growing curves, smoothing, and an axis whose logarithmic ticks stay readable."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyqtgraph as pg

from gui.widgets.numbers import MINUS, compact
from gui.widgets.window_content import Array

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
    """Return the centred running mean over about an eightieth of a curve; it does not lag."""
    half = len(values) // 160
    if half < 1:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    mean: Array = (sums[last] - sums[first]) / (last - first)
    return mean


def thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """Average neighbouring points so that few enough are left for a thick line."""
    if len(x) <= STRONG_POINTS:
        return x, y
    edges = np.linspace(0, len(x), STRONG_POINTS + 1).astype(int)[:-1]
    counts = np.diff(np.append(edges, len(x)))
    middle = np.add.reduceat(x, edges) / counts, np.add.reduceat(y, edges) / counts
    # the last point stays itself: the end of the curve is what one watches
    return np.append(middle[0], x[-1]), np.append(middle[1], y[-1])


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
        for digits in ((1, 2, 5), (1, 3), (1,)):
            powers = range(math.floor(low) - 1, math.ceil(high) + 1)
            ticks = [power + math.log10(digit) for power in powers for digit in digits]
            ticks = _readable([tick for tick in ticks if low <= tick <= high], low, high, size)
            if len(ticks) <= room:
                break
        return [(None, _spread(ticks, room))]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        """Write ticks with true minus signs."""
        if self.logMode:
            return [compact(10**value) for value in values]
        return [
            str(text).replace("-", MINUS) for text in super().tickStrings(values, scale, spacing)
        ]


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
