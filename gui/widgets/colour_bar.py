"""The colour bar beside a map: range, scope, clipping, and how the values are spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PyQt6.QtCore import QPointF, QRectF
from PyQt6.QtGui import QPainter, QPen

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import LEFT, metrics
from gui.widgets.numbers import MINUS, column_for
from gui.widgets.window_content import Array, Mode

BAR_WIDTH = 12
HISTOGRAM_WIDTH = 46


@dataclass(frozen=True, slots=True)
class Spread:
    """How many values of a map fall into each slice of the colour range, from low to high."""

    counts: Array
    below: int
    above: int


def spread_of(values: Array, limits: pixels.Limits, slices: int = 48) -> Spread:
    """Count values per slice of the colour range; NaN and Inf take no part."""
    finite = values[np.isfinite(values)].astype(np.float64)
    below, above = int((finite < limits[0]).sum()), int((finite > limits[1]).sum())
    within = finite[(finite >= limits[0]) & (finite <= limits[1])]
    # not np.histogram: it overflows where a float32 range is as wide as float32 goes
    share = (within - limits[0]) / (limits[1] - limits[0])
    place = np.minimum((share * slices).astype(np.intp), slices - 1)
    counts = np.bincount(place, minlength=slices)
    return Spread(counts, below, above)


def bar_labels(mode: Mode, limits: pixels.Limits) -> list[tuple[float, str]]:
    """Return (position from 0 at the bottom to 1 at the top, text) of the labels."""
    low, high = limits
    if mode == "signed":
        largest = max(abs(low), abs(high))
        text = column_for(np.array([largest]), 3).text(largest).strip()
        return [(1.0, f"+{text}"), (0.5, "0"), (0.0, f"{MINUS}{text}")]
    middle = (low + high) / 2
    column = column_for(np.array([low, middle, high]), 3)
    return [(at, column.text(v).strip()) for at, v in ((1.0, high), (0.5, middle), (0.0, low))]


def labels_width(mode: Mode, limits: pixels.Limits) -> float:
    """Return the room the labels need."""
    measure = metrics(theme.mono(10))
    return max(measure.horizontalAdvance(text) for _, text in bar_labels(mode, limits))


def draw_colour_bar(
    painter: QPainter, area: QRectF, mode: Mode, limits: pixels.Limits, spread: Spread | None
) -> None:
    """Draw the bar at the left of an area, its labels and, if there is room, the histogram.

    Parameters
    ----------
    painter : QPainter
    area : QRectF
        The bar takes its whole height.
    mode : Mode
    limits : (low, high)
    spread : Spread or None
    """
    steps = max(min(int(area.height()), 255), 2)
    column = np.linspace(255, 1, steps).round().astype(np.uint8)
    image = pixels.to_image(pixels.table(mode)[column][:, None])
    bar = QRectF(area.left(), area.top(), BAR_WIDTH, area.height())
    painter.drawImage(bar, image)
    painter.setPen(QPen(theme.colour("line"), 1))
    painter.drawRect(bar.adjusted(-0.5, -0.5, 0.5, 0.5))
    left = bar.right() + 4
    width = labels_width(mode, limits)
    if spread is not None and area.width() >= BAR_WIDTH + 4 + HISTOGRAM_WIDTH + 6 + width:
        _draw_spread(painter, QRectF(left, area.top(), HISTOGRAM_WIDTH, area.height()), spread)
        left += HISTOGRAM_WIDTH + 6
    painter.setFont(theme.mono(10))
    painter.setPen(theme.colour("muted"))
    for at, text in bar_labels(mode, limits):
        y = bar.bottom() - at * bar.height()
        y = min(max(y, bar.top() + 6), bar.bottom() - 6)
        painter.drawText(QRectF(left, y - 7, width + 2, 14), int(LEFT), text)


def _draw_spread(painter: QPainter, area: QRectF, spread: Spread) -> None:
    """Draw the histogram lying against the bar; lengths are square roots, so rare values show."""
    largest = float(spread.counts.max()) if spread.counts.size else 0.0
    if not largest:
        return
    height = area.height() / len(spread.counts)
    shade = theme.colour("muted", 0.55)
    for i, count in enumerate(spread.counts.tolist()):
        if count:
            length = math.sqrt(count / largest) * area.width()
            y = area.bottom() - (i + 1) * height
            painter.fillRect(QRectF(area.left(), y, max(length, 1.5), max(height - 1, 1)), shade)
    painter.setPen(theme.colour("muted"))
    painter.setFont(theme.mono(9))
    for count, at in ((spread.above, area.top() - 2), (spread.below, area.bottom() + 10)):
        if count:
            painter.drawText(QPointF(area.left(), at), f"{count} beyond")
