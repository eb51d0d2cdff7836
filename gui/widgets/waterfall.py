"""The running result as a waterfall: every term pushes it up or down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PyQt6.QtCore import QLineF, QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPen, QPixmap

from gui import theme
from gui.widgets.canvas import RIGHT, draw_lines, draw_rects, metrics, snap
from gui.widgets.numbers import column_for
from gui.widgets.window_content import Array

_WAITING_ALPHA = 0.28


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The running result, condensed to at most one step per pixel.

    Parameters
    ----------
    before, after : float arrays, shape (steps,)
        Result before the first and after the last term of each step.
    low, high : float arrays, shape (steps,)
        Smallest and largest result within each step.
    edges : int array, shape (steps + 1,)
        First term of each step; the last entry is the number of terms.
    bottom, top : float
        Range of the picture; it includes 0.
    bad : bool array, shape (steps,)
        Whether NaN or Inf lies within a step.
    level : float array, shape (steps,)
        The running result after each step, 0 for NaN and Inf.
    """

    before: Array
    after: Array
    low: Array
    high: Array
    edges: Array
    bottom: float
    top: float
    bad: Array
    level: Array


def condense(
    totals: Array, chunk_starts: list[int], steps: int, values: Array | None = None
) -> Waterfall | None:
    """Prepare the picture of a running result.

    Parameters
    ----------
    totals : array, shape (terms,)
    chunk_starts : list of int
        Terms at which the result starts again from zero.
    steps : int
        Most steps to draw, normally the width in pixels.
    values : array, shape (terms,), optional
        Draw these as bars from 0 (the candidates of a maximum) instead of the changes.

    Returns
    -------
    Waterfall or None
        None if there are no terms or no finite totals.
    """
    count = int(totals.shape[0])
    finite = np.isfinite(totals)
    if count == 0 or not finite.any():
        return None
    after_all = np.where(finite, totals, np.nan).astype(np.float64)
    before_all = np.concatenate([[0.0], after_all[:-1]])
    before_all[[start for start in chunk_starts if 0 <= start < count]] = 0.0
    if values is not None:
        before_all = np.zeros(count)
        after_all = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    edges = np.unique(np.linspace(0, count, min(count, max(steps, 1)) + 1).astype(np.int64))
    first, last = edges[:-1], edges[1:] - 1
    low_all = np.nan_to_num(np.fmin(before_all, after_all))
    high_all = np.nan_to_num(np.fmax(before_all, after_all))
    lost = ~np.isfinite(totals if values is None else values)
    low = np.minimum.reduceat(low_all, first)
    high = np.maximum.reduceat(high_all, first)
    bottom, top = min(float(low.min()), 0.0), max(float(high.max()), 0.0)
    if top <= bottom:
        top, bottom = 1.0, -1.0
    bad = np.logical_or.reduceat(lost, first)
    level = np.nan_to_num(totals[last].astype(np.float64), posinf=0.0, neginf=0.0)
    return Waterfall(before_all[first], after_all[last], low, high, edges, bottom, top, bad, level)


class WaterfallPainter:
    """Draws a waterfall from two kept pictures: all done, and all waiting.

    A step then costs two copies of pixels, however many terms there are.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._pictures: tuple[QPixmap, QPixmap] | None = None

    def clear(self) -> None:
        """Forget the pictures: other content or theme."""
        self._pictures = None

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        picture: Waterfall,
        cursor: int | None,
        hovered: int,
        ratio: float,
    ) -> None:
        """Draw the bars, the zero line, the range and the cursor.

        Parameters
        ----------
        painter : QPainter
        area : QRectF
        picture : Waterfall
        cursor : int or None
            The next term; all are done if None.
        hovered : int
            A term to mark, -1 for none.
        ratio : float
            Device pixel ratio.
        """
        plot = plot_area(area, picture)
        key = (area.size().toSize().width(), area.size().toSize().height(), ratio)
        if self._pictures is None or self._key != key:
            self._pictures = (
                _render(area, picture, True, ratio),
                _render(area, picture, False, ratio),
            )
            self._key = key
        count = int(picture.edges[-1])
        done = count if cursor is None else min(cursor, count)
        split = snap(plot.left() - area.left() + done / count * plot.width(), ratio)
        if done == count:
            split = area.width() + 2
        for image, left, right in (
            (self._pictures[0], 0.0, split),
            (self._pictures[1], split, area.width() + 2),
        ):
            source = QRectF(left * ratio, 0, (right - left) * ratio, (area.height() + 12) * ratio)
            painter.drawPixmap(
                QRectF(area.left() + left, area.top() - 6, right - left, area.height() + 12),
                image,
                source,
            )
        for term, name in ((hovered, "selection"), (cursor, "cursor")):
            if term is not None and 0 <= term < count:
                x = plot.left() + (term + 0.5) / count * plot.width()
                painter.setPen(QPen(theme.colour(name), 1.5))
                painter.drawLine(QLineF(x, plot.top() - 2, x, plot.bottom() + 2))


def _render(area: QRectF, picture: Waterfall, is_done: bool, ratio: float) -> QPixmap:
    """Draw all bars as done or as waiting, six pixels of margin above and below."""
    pixmap = QPixmap(
        max(round((area.width() + 2) * ratio), 1), max(round((area.height() + 12) * ratio), 1)
    )
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.translate(-area.left(), 6 - area.top())
    plot = plot_area(area, picture)
    _draw_scale(painter, area, plot, picture)
    count = int(picture.edges[-1])
    lefts = plot.left() + picture.edges / count * plot.width()
    span = picture.top - picture.bottom
    tops = plot.bottom() - (picture.high - picture.bottom) / span * plot.height()
    bottoms = plot.bottom() - (picture.low - picture.bottom) / span * plot.height()
    rises = picture.after >= picture.before
    wide = plot.width() / max(len(picture.low), 1) >= 3
    for up in (True, False):
        chosen = np.flatnonzero((rises == up) & ~picture.bad)
        shade = theme.colour("positive" if up else "negative", 1.0 if is_done else _WAITING_ALPHA)
        _draw_bars(painter, chosen, lefts, tops, bottoms, shade, wide)
    _draw_steps(painter, picture, lefts, plot, is_done)
    shade = theme.colour("nonfinite", 0.5 if is_done else _WAITING_ALPHA / 2)
    for i in np.flatnonzero(picture.bad).tolist():
        width = max(lefts[i + 1] - lefts[i], 1.0)
        painter.fillRect(QRectF(lefts[i], plot.top(), width, plot.height()), shade)
    painter.end()
    return pixmap


def _draw_bars(
    painter: QPainter,
    chosen: Array,
    lefts: Array,
    tops: Array,
    bottoms: Array,
    shade: QColor,
    wide: bool,
) -> None:
    if not chosen.size:
        return
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(shade)
    gap = 0.5 if wide else 0.0
    draw_rects(
        painter,
        [
            QRectF(
                lefts[i] + gap / 2,
                tops[i],
                max(lefts[i + 1] - lefts[i] - gap, 1.0),
                max(bottoms[i] - tops[i], 1.0),
            )
            for i in chosen.tolist()
        ],
    )
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _draw_steps(
    painter: QPainter, picture: Waterfall, lefts: Array, plot: QRectF, is_done: bool
) -> None:
    """Join the bars by thin lines at the result between them."""
    if plot.width() / max(len(picture.level), 1) < 4:
        return
    span = picture.top - picture.bottom
    levels = plot.bottom() - (picture.level - picture.bottom) / span * plot.height()
    painter.setPen(QPen(theme.colour("muted", 0.9 if is_done else _WAITING_ALPHA), 1))
    draw_lines(
        painter,
        [
            QLineF(lefts[i], levels[i], lefts[i + 2], levels[i])
            for i in np.flatnonzero(~picture.bad).tolist()
            if i + 2 < len(lefts)
        ],
    )


def plot_area(area: QRectF, picture: Waterfall) -> QRectF:
    """Return the part of an area that the bars fill; the range stands at its left."""
    width = max(metrics(theme.mono(9)).horizontalAdvance(text) for text in _range(picture)) + 6
    if area.width() < 160:
        width = 0
    plot = area.adjusted(width, 4, -2, -4)
    plot.setWidth(min(plot.width(), 40.0 * int(picture.edges[-1])))
    return plot


def _range(picture: Waterfall) -> tuple[str, str]:
    ends = np.array([picture.top, picture.bottom])
    column = column_for(ends, 3, signed=True)
    return column.text(picture.top).strip(), column.text(picture.bottom).strip()


def _draw_scale(painter: QPainter, area: QRectF, plot: QRectF, picture: Waterfall) -> None:
    span = picture.top - picture.bottom
    zero = plot.bottom() + picture.bottom / span * plot.height()
    painter.setPen(QPen(theme.colour("muted", 0.7), 1, Qt.PenStyle.DotLine))
    painter.drawLine(QPointF(plot.left(), zero), QPointF(plot.right(), zero))
    if plot.left() - area.left() < 6:
        return
    painter.setFont(theme.mono(9))
    painter.setPen(theme.colour("muted"))
    high, low = _range(picture)
    if not picture.low.any() and not picture.high.any():
        high = low = ""  # nothing but zeros: the range is made up
    width = plot.left() - area.left() - 4
    labels = ((plot.top() + 1, high if picture.top > 0 else ""), (zero, "0"))
    for y, text in (*labels, (plot.bottom() - 1, low if picture.bottom < 0 else "")):
        near_zero = text != "0" and abs(y - zero) < 10
        if text and not near_zero:
            painter.drawText(QRectF(area.left(), y - 6, width, 12), int(RIGHT), text)


def term_at(area: QRectF, picture: Waterfall, place: QPointF) -> int:
    """Return the term at a place of the picture, -1 beside it."""
    plot = plot_area(area, picture)
    if not plot.adjusted(0, -6, 1, 6).contains(place):
        return -1
    count = int(picture.edges[-1])
    return min(max(int((place.x() - plot.left()) / plot.width() * count), 0), count - 1)
