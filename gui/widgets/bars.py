"""Prediction: one bar per class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QMouseEvent, QPainter
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets.canvas import CENTRE, LEFT, RIGHT, Canvas, elided, text_width
from gui.widgets.numbers import format_full, format_number
from gui.widgets.window_content import Array

_SMALLEST_ROW = 13
_LARGEST_ROW = 24
NO_NUMBER = "The output is not a number: there is no class."


class PredictionBars(Canvas):
    """Probabilities as bars; the largest is strong, the true class carries a tick.

    Where not all classes fit, the most probable ones are shown in order, and it says so.
    """

    hovered = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "Prediction", "Run the forward pass to the end to see a prediction.", parent
        )
        self._values: Array | None = None
        self._labels: tuple[str, ...] = ()
        self._truth: int | None = None
        self.setMinimumSize(100, 48)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer the size it has in the debug layout."""
        return QSize(280, 170)

    def set_values(
        self,
        probabilities: Array | Sequence[float] | None,
        labels: Sequence[str] | None = None,
        truth: int | None = None,
    ) -> None:
        """Show other probabilities.

        Parameters
        ----------
        probabilities : float array, shape (classes,), or None
        labels : sequence of str, optional
            Names of the classes; their numbers if not given.
        truth : int, optional
            The true class.
        """
        values = None if probabilities is None else np.asarray(probabilities, np.float64).ravel()
        self._values = None if values is None or not values.size else values
        self._labels = tuple(labels or ())
        self._truth = truth
        if self._values is not None:
            best = self.best()
            text = NO_NUMBER
            if best >= 0:
                text = f"prediction {self.label(best)}, {format_number(float(self._values[best]))}"
                text += f", true class {self.label(truth)}" if truth is not None else ""
            self.set_facts(text)
        self.update()

    def best(self) -> int:
        """Return the most probable class; -1 if there is none, as where one value is NaN or Inf."""
        if self._values is None or not np.isfinite(self._values).all():
            return -1
        return int(np.argmax(self._values))

    def label(self, index: int) -> str:
        """Return the name of a class."""
        return self._labels[index] if 0 <= index < len(self._labels) else f"{index}"

    def is_empty(self) -> bool:
        """Return True while there are no probabilities."""
        return self._values is None

    def _rows(self) -> tuple[list[int], float, bool]:
        """Return the classes shown, the height of a row, and whether some are left out."""
        if self._values is None:
            return [], 0.0, False
        room, count = self.height() - 12.0, len(self._values)
        if room / count >= _SMALLEST_ROW:
            return list(range(count)), min(room / count, _LARGEST_ROW), False
        fitting = max(int((room - 14) / 16), 1)
        order = np.argsort(-self._values, kind="stable")[:fitting]
        shown = order.tolist()
        if self._truth is not None and self._truth not in shown and fitting > 1:
            shown[-1] = self._truth
        return shown, 16.0, True

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw label, bar and value of each class."""
        if self._values is None:
            return
        if self.best() < 0:
            painter.setFont(theme.ui(13, bold=True))
            painter.setPen(theme.colour("nonfinite"))
            place = QRectF(self.rect()).adjusted(10, 6, -10, -6)
            painter.drawText(place, int(CENTRE | Qt.TextFlag.TextWordWrap), NO_NUMBER)
            return
        shown, row, partly = self._rows()
        mono = theme.mono(12 if row >= 16 else 11 if row >= 14 else 10)
        label_font = mono if not self._labels else theme.ui(12 if row >= 16 else 11)
        width = self.width() - 20.0
        label_width = max(text_width(label_font, self.label(i)) for i in shown)
        label_width = min(label_width, width * 0.4) + 8
        texts = [format_number(float(self._values[i])) for i in shown]
        value_width = max(text_width(mono, text) for text in ("0.0000", *texts)) + 6
        tick = 14.0 if self._truth is not None else 0.0
        track = max(width - label_width - value_width - tick, 10)
        best = self.best()
        for i, index in enumerate(shown):
            top = 6 + i * row
            value = float(self._values[index])
            strong = index == best
            painter.setFont(label_font)
            painter.setPen(theme.colour("text" if strong or index == self._truth else "muted"))
            line = QRectF(10, top, label_width - 8, row)
            side = RIGHT if not self._labels else LEFT
            painter.drawText(
                line, int(side), elided(label_font, self.label(index), line.width() + 1)
            )
            self._draw_bar(painter, QRectF(10 + label_width, top, track, row), value, strong)
            painter.setFont(mono)
            painter.setPen(theme.colour("text" if strong else "muted"))
            line = QRectF(10 + label_width + track, top, value_width, row)
            painter.drawText(line, int(RIGHT), format_number(value))
            if index == self._truth:
                painter.setFont(theme.ui(12, bold=True))
                painter.setPen(theme.colour("good"))
                painter.drawText(QRectF(line.right(), top, tick, row), int(RIGHT), "✓")
        if partly:
            painter.setFont(theme.ui(11))
            painter.setPen(theme.colour("muted"))
            line = QRectF(10, self.height() - 18, width, 14)
            text = f"top {len(shown)} of {len(self._values)} classes"
            painter.drawText(line, int(CENTRE), text)

    def _draw_bar(self, painter: QPainter, room: QRectF, value: float, strong: bool) -> None:
        thick = min(max(room.height() * 0.36, 4), 8)
        top = room.center().y() - thick / 2
        painter.fillRect(QRectF(room.left(), top, room.width(), thick), theme.colour("line", 0.5))
        share = min(max(value, 0.0), 1.0)
        name = "selection" if strong else "muted"
        length = max(share * room.width(), 1.5)
        painter.fillRect(QRectF(room.left(), top, length, thick), theme.colour(name))

    def _class_at(self, place: QPointF) -> int | None:
        shown, row, _ = self._rows()
        i = int((place.y() - 6) // row) if row else -1
        return shown[i] if 0 <= i < len(shown) else None

    def tip_at(self, place: QPointF) -> str:
        """Return class and exact probability under the pointer."""
        index = self._class_at(place)
        if index is None or self._values is None or self.best() < 0:
            return ""
        truth = "\ntrue class" if index == self._truth else ""
        return f"class {self.label(index)}: {format_full(np.float32(self._values[index]))}{truth}"

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell which class the pointer is on."""
        index = self._class_at(event.position()) if event is not None else None
        if index is None:
            self.hover_left.emit()
        else:
            self.hovered.emit(index)
