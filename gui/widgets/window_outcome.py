"""The far right of the window view: the function that is applied, and the map that appears."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PyQt6.QtCore import QLineF, QPointF, QRectF, Qt
from PyQt6.QtGui import QPainter, QPen, QPolygonF
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import LEFT, RIGHT, Canvas, draw_outline, elided, text_width, waiting_colour
from gui.widgets.numbers import format_full, format_number
from gui.widgets.window_content import ActivationPlot, BarLine, OutputMap, WindowContent


class OutcomePane(Canvas):
    """Function plot, output map and small bars, whichever an element has."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Outcome of the current element", "", parent)
        self._activation: ActivationPlot | None = None
        self._output: OutputMap | None = None
        self._bars: tuple[BarLine, ...] = ()
        self._done = True

    def set_content(self, content: WindowContent | None, bars_here: bool) -> None:
        """Show the outcome of another element.

        Parameters
        ----------
        content : WindowContent or None
        bars_here : bool
            False where the bars are drawn elsewhere.
        """
        plot = content.activation if content is not None else None
        output = content.output if content is not None else None
        self._activation = None if plot is None else ActivationPlot(*plot)
        self._output = None if output is None else OutputMap(*output)
        bars: Sequence[BarLine] = content.bars if content is not None and bars_here else ()
        self._bars = tuple(BarLine(*bar) for bar in bars)
        self._done = content is None or content.cursor_term is None
        self.update()

    def set_done(self, done: bool) -> None:
        """Tell whether all terms are done: only then the point on the function is known."""
        if done != self._done:
            self._done = done
            self.update()

    def is_empty(self) -> bool:
        """Return True if the element has none of these."""
        return not self._parts()

    def _parts(self) -> list[str]:
        parts = []
        if self._output is not None:
            parts.append("output")
        if self._activation is not None:
            parts.append("activation")
        if self._bars:
            parts.append("bars")
        return parts

    def natural_width(self, height: int, whole: int, alone: bool) -> int:
        """Return the width to give this pane: as much as its square pictures can use.

        Parameters
        ----------
        height, whole : int
            Height of the view and its width.
        alone : bool
            True if there is no table of terms that needs room.
        """
        parts = self._parts()
        if not parts:
            return 0
        if alone:
            return int(min(len(parts) * (height - 16) + 8, whole * 0.62))
        each = (height - 12) / len(parts) - 20
        most = min(whole * 0.22, 240)
        return int(min(max(each + 16, 96), most if most >= 96 else 96))

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw the parts below each other."""
        parts = self._parts()
        for part, place in zip(parts, self._places(len(parts)), strict=True):
            if part == "output" and self._output is not None:
                _draw_output(painter, place, self._output, self.ratio())
            elif part == "activation" and self._activation is not None:
                draw_function(painter, place, self._activation, self._done)
            else:
                draw_bars(painter, place, self._bars)

    def _places(self, count: int) -> list[QRectF]:
        """Share the pane: side by side where it is wide, else below each other."""
        whole = QRectF(self.rect()).adjusted(8, 6, -8, -6)
        if count > 1 and whole.width() > 1.25 * whole.height():
            each = whole.width() / count
            return [
                QRectF(whole.left() + i * each, whole.top(), each - 10, whole.height())
                for i in range(count)
            ]
        each = whole.height() / count
        return [
            QRectF(whole.left(), whole.top() + i * each, whole.width(), each - 4)
            for i in range(count)
        ]

    def tip_at(self, place: QPointF) -> str:
        """Return the exact point of the function."""
        plot, parts = self._activation, self._parts()
        if plot is None or not self._done:
            return ""
        for part, area in zip(parts, self._places(len(parts)), strict=True):
            if part == "activation" and area.contains(place):
                return f"{plot.name}({format_full(plot.x)}) = {format_full(plot.y)}"
        return ""


def _title(painter: QPainter, place: QRectF, text: str) -> QRectF:
    """Write a title and return what is left below it."""
    painter.setFont(theme.ui(11))
    painter.setPen(theme.colour("muted"))
    line = QRectF(place.left(), place.top(), place.width(), 15)
    painter.drawText(line, int(LEFT), elided(painter.font(), text, place.width()))
    return place.adjusted(0, 18, 0, 0)


def _draw_output(painter: QPainter, place: QRectF, output: OutputMap, ratio: float) -> None:
    values = np.atleast_2d(np.asarray(output.values))
    height, width = values.shape
    known = values.size if output.revealed is None else int(np.asarray(output.revealed).sum())
    title = f"output map · {known} of {values.size}"
    if text_width(theme.ui(11), title) > place.width():
        title = f"{known} of {values.size}"
    inner = _title(painter, place, title)
    cell = min(inner.width() / width, inner.height() / height, 40)
    if cell * ratio >= 1:
        cell = int(cell * ratio) / ratio
    frame = QRectF(inner.left(), inner.top(), width * cell, height * cell)
    shown = values
    if output.revealed is not None:
        revealed = np.asarray(output.revealed, bool)
        limits = pixels.finite_limits(values[revealed], output.mode)
    else:
        revealed = np.ones(values.shape, bool)
        limits = pixels.finite_limits(values, output.mode)
    colours = pixels.table(output.mode)[pixels.to_entries(shown, output.mode, limits)]
    colours[~revealed] = int(theme.colour("panel").rgb())
    painter.drawImage(frame, pixels.to_image(colours))
    pixels.hatch_where(painter, ~revealed, frame.topLeft(), cell, waiting_colour(), ratio)
    painter.setPen(QPen(theme.colour("line"), 1))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(frame.adjusted(-0.5, -0.5, 0.5, 0.5))
    if output.cell is not None:
        y, x = output.cell
        target = QRectF(frame.left() + x * cell, frame.top() + y * cell, cell, cell)
        draw_outline(painter, target, theme.colour("cursor"), ratio, 2 if cell >= 6 else 1)


def draw_function(painter: QPainter, place: QRectF, plot: ActivationPlot, done: bool) -> None:
    """Draw a function, its axes and, once it is known, the point that the element takes."""
    title = plot.name
    if done and np.isfinite(plot.y):
        title = f"{plot.name} → {format_number(plot.y, 4)}"
    inner = _title(painter, place, title)
    if inner.height() > inner.width():
        inner.setHeight(inner.width())
    if inner.height() < 20 or inner.width() < 20:
        return
    x, y = np.asarray(plot.curve_x, np.float64), np.asarray(plot.curve_y, np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if x.size < 2:
        return
    left, right = float(x.min()), float(x.max())
    if np.isfinite(plot.x):
        left, right = min(left, plot.x), max(right, plot.x)
    bottom, top = min(float(y.min()), 0.0), max(float(y.max()), 0.0)
    if np.isfinite(plot.y):
        bottom, top = min(bottom, plot.y), max(top, plot.y)
    pad = (top - bottom or 1.0) * 0.08
    bottom, top = bottom - pad, top + pad

    def at(px: float, py: float) -> QPointF:
        return QPointF(
            inner.left() + (px - left) / ((right - left) or 1.0) * inner.width(),
            inner.bottom() - (py - bottom) / (top - bottom) * inner.height(),
        )

    painter.save()
    painter.setPen(QPen(theme.colour("line"), 1))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(inner)
    painter.setPen(QPen(theme.colour("muted", 0.7), 1, Qt.PenStyle.DotLine))
    painter.drawLine(at(left, 0), at(right, 0))
    if left < 0 < right:
        painter.drawLine(at(0, bottom), at(0, top))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setClipRect(inner)
    painter.setPen(QPen(theme.colour("text"), 1.5))
    painter.drawPolyline(QPolygonF([at(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]))
    if done and np.isfinite(plot.x) and np.isfinite(plot.y):
        point = at(plot.x, plot.y)
        shade = theme.colour("selection")
        painter.setPen(QPen(shade, 1, Qt.PenStyle.DashLine))
        painter.drawLine(QLineF(point, at(plot.x, 0)))
        painter.setClipping(False)
        painter.setPen(QPen(theme.colour("panel"), 1.5))
        painter.setBrush(shade)
        painter.drawEllipse(point, 4.5, 4.5)
    painter.restore()


def draw_bars(painter: QPainter, place: QRectF, bars: Sequence[BarLine]) -> None:
    """Draw labelled bars below each other; values in [0, 1] fill the row in proportion."""
    if not bars:
        return
    row = min(place.height() / len(bars), 24.0)
    size = 12 if row >= 15 else 10 if row >= 11 else 8
    painter.setFont(theme.mono(size))
    widest = max(painter.fontMetrics().horizontalAdvance(bar.label) for bar in bars) + 8
    label_width = min(float(widest), place.width() * 0.4)
    texts = [format_number(bar.value, 4) for bar in bars]
    value_width = max(painter.fontMetrics().horizontalAdvance(text) for text in texts) + 8
    finite = [bar.value for bar in bars if np.isfinite(bar.value)]
    largest = max([1e-12, *finite]) if max(finite, default=0.0) > 1 else 1.0
    room = max(place.width() - label_width - value_width, 10)
    for i, bar in enumerate(bars):
        top = place.top() + i * row
        painter.setPen(theme.colour("text" if bar.strong else "muted"))
        line = QRectF(place.left(), top, label_width - 6, row)
        label = elided(painter.font(), bar.label, max(line.width(), 8)) or bar.label
        painter.drawText(line, int(RIGHT), label)
        bad = not np.isfinite(bar.value)
        share = 1.0 if bad else min(max(bar.value / largest, 0.0), 1.0)
        name = "nonfinite" if bad else "selection" if bar.strong else "muted"
        thick = min(row * 0.5, 9)
        painter.fillRect(
            QRectF(
                place.left() + label_width,
                top + (row - thick) / 2,
                max(share * room, 1.5),
                thick,
            ),
            theme.colour(name, 1.0 if bar.strong or bad else 0.6),
        )
        painter.setPen(theme.colour("text" if bar.strong else "muted"))
        line = QRectF(place.right() - value_width, top, value_width, row)
        painter.drawText(line, int(RIGHT), texts[i])
