"""The call stack: where the run stands, from the epoch down to one multiply-add."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QMouseEvent, QPainter, QResizeEvent
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets.canvas import LEFT, RIGHT, ScrollCanvas, elided, text_width

State = Literal["done", "current", "waiting"]

_INDENT = 9
_MARGIN = 10


@dataclass(frozen=True, slots=True)
class StackRow:
    """One frame.

    Parameters
    ----------
    title, detail : str
        Name at the left, shape or state at the right.
    state : State
        Executed, on the way to the cursor, or still to come.
    depth : int
        Indentation.
    key : hashable
        Whatever the controller needs to recognise the frame.
    """

    title: str
    detail: str = ""
    state: State = "done"
    depth: int = 0
    key: Hashable = None


class StackView(ScrollCanvas):
    """Frames as an indented list.

    A click shows a frame's place without moving execution, a double click or Enter asks to run to
    it. Up and Down move the choice.
    """

    clicked = pyqtSignal(int)
    activated = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Call stack", "Start a run to see where it stands.", parent)
        self._rows: tuple[StackRow, ...] = ()
        self._chosen: int | None = None
        self._hovered: int | None = None
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumSize(120, 66)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer the size it has in the debug layout."""
        return QSize(236, 400)

    def set_frames(self, frames: Sequence[StackRow]) -> None:
        """Show other frames and scroll so that the cursor is visible."""
        before = self.cursor_row()
        self._rows = tuple(frames)
        if self._chosen is not None and self._chosen >= len(self._rows):
            self._chosen = None
        self._fit()
        row = self.cursor_row()
        if row is not None:
            self.set_facts(" > ".join(r.title for r in self._rows if r.state == "current"))
            if row != before:
                self.show_area(self._area(row), margin=2 * theme.ROW)
        self.redraw()

    def frames(self) -> tuple[StackRow, ...]:
        """Return the frames shown."""
        return self._rows

    def cursor_row(self) -> int | None:
        """Return the deepest frame on the way to the cursor: the next thing to execute."""
        current = [i for i, row in enumerate(self._rows) if row.state == "current"]
        return current[-1] if current else None

    def is_empty(self) -> bool:
        """Return True while there are no frames."""
        return not self._rows

    def _fit(self) -> None:
        self.set_content_size(0, len(self._rows) * theme.ROW + 8)

    def _area(self, row: int) -> QRectF:
        return QRectF(0, 4 + row * theme.ROW, self._surface().width(), theme.ROW)

    def _row_at(self, place: QPointF) -> int | None:
        row = int((place.y() + self.offset().y() - 4) // theme.ROW)
        return row if 0 <= row < len(self._rows) else None

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw the visible rows."""
        first = max(int((area.top() - 4) // theme.ROW), 0)
        last = min(int((area.bottom() - 4) // theme.ROW) + 1, len(self._rows))
        cursor = self.cursor_row()
        for i in range(first, last):
            self._draw_row(painter, i, i == cursor)

    def _draw_row(self, painter: QPainter, index: int, is_cursor: bool) -> None:
        row, place = self._rows[index], self._area(index)
        if is_cursor:
            painter.fillRect(place, theme.colour("cursor", 0.17))
            painter.fillRect(QRectF(0, place.top(), 3, place.height()), theme.colour("cursor"))
        elif index == self._hovered or index == self._chosen:
            painter.fillRect(place, theme.colour("hover"))
        left = _MARGIN + row.depth * _INDENT
        dots = {"done": ("good", 1.0), "current": ("cursor", 1.0), "waiting": ("muted", 0.4)}
        name, alpha = dots[row.state]
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(name, alpha))
        painter.drawEllipse(QPointF(left + 3, place.center().y()), 3.0, 3.0)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        waits = row.state == "waiting"
        mono = theme.mono(10)
        detail_width = text_width(mono, row.detail)
        room = place.width() - left - 14 - _MARGIN
        title_width = text_width(theme.ui(12, bold=row.state == "current"), row.title)
        detail_room = room - title_width - 8
        if detail_width > detail_room:
            detail_width = detail_room if detail_room > 30 else 0
        if detail_width > 0:
            painter.setFont(mono)
            painter.setPen(theme.colour("muted", 0.7 if waits else 1.0))
            box = QRectF(place.right() - _MARGIN - detail_width, place.top(), detail_width, 22)
            painter.drawText(box, int(RIGHT), elided(mono, row.detail, detail_width + 1))
            room -= detail_width + 8
        font = theme.ui(12, bold=row.state == "current")
        painter.setFont(font)
        painter.setPen(theme.colour("muted" if waits else "text"))
        box = QRectF(left + 14, place.top(), max(room, 0), place.height())
        painter.drawText(box, int(LEFT), elided(font, row.title, room + 1))

    # --- pointer and keys ----------------------------------------------------------------------

    def tip_at(self, place: QPointF) -> str:
        """Return title and detail in full, and what a click does."""
        row = int((place.y() - 4) // theme.ROW)
        if not 0 <= row < len(self._rows):
            return ""
        frame = self._rows[row]
        text = f"{frame.title}   {frame.detail}".strip()
        return f"{text}\nClick to look there, double-click to run to it"

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Mark the row under the pointer."""
        row = self._row_at(event.position()) if event is not None else None
        if row != self._hovered:
            self._hovered = row
            self.redraw()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Choose a row."""
        row = self._row_at(event.position()) if event is not None else None
        if row is not None and event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._choose(row)

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Activate a row."""
        row = self._row_at(event.position()) if event is not None else None
        if row is not None:
            self.activated.emit(row)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Move the choice; Enter activates it."""
        if event is None or not self._rows:
            return
        now = self._chosen if self._chosen is not None else self.cursor_row() or 0
        steps = {
            Qt.Key.Key_Up: now - 1,
            Qt.Key.Key_Down: now + 1,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: len(self._rows) - 1,
        }
        key = Qt.Key(event.key())
        if key in steps:
            self._choose(min(max(steps[key], 0), len(self._rows) - 1))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.activated.emit(now)
        else:
            super().keyPressEvent(event)

    def _choose(self, row: int) -> None:
        self._chosen = row
        self.show_area(self._area(row))
        frame = self._rows[row]
        self.set_facts(f"{frame.title} {frame.detail}".strip())
        self.redraw()
        self.clicked.emit(row)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Adapt the scroll bar; keep the cursor visible."""
        super().resizeEvent(event)
        self._fit()
        row = self.cursor_row()
        if row is not None:
            self.show_area(self._area(row), margin=2 * theme.ROW)
