"""Draw a digit with the mouse; beside it stands what the network sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPen
from PyQt6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import CENTRE, LEFT, Canvas, elided, text_width
from gui.widgets.window_content import Array

Tool = Literal["pen", "eraser"]
Drawing = npt.NDArray[np.float32]

SIDE = 28
"""Pixels of the picture that a net sees, as long as nobody says otherwise."""
_RESOLUTION = 280
"""Pixels of the drawing across: ten for each the network sees."""


def _averaged(drawing: Array) -> Drawing:
    """Return a drawing as it is, each pixel the mean of ten by ten."""
    block = _RESOLUTION // SIDE
    means = drawing.reshape(SIDE, block, SIDE, block).mean(axis=(1, 3))
    return np.asarray(means, np.float32)


class _Sheet(Canvas):
    """The square to draw on."""

    drawn = pyqtSignal()
    finished = pyqtSignal(object, object)
    wiped = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Drawing", "", parent)
        self._image = QImage(_RESOLUTION, _RESOLUTION, QImage.Format.Format_Grayscale8)
        self._image.fill(0)
        self.tool: Tool = "pen"
        self.pen_size = 22.0
        self._last: QPointF | None = None
        self._before: Drawing | None = None
        self._hover: QPointF | None = None
        self._touched = False
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setMinimumSize(84, 84)

    def drawing(self) -> Drawing:
        """Return the drawing as (280, 280), 1 is ink."""
        bits = self._image.constBits()
        raw = np.frombuffer(bits.asstring(self._image.sizeInBytes()), np.uint8)
        rows = raw.reshape(_RESOLUTION, self._image.bytesPerLine())
        return rows[:, :_RESOLUTION].astype(np.float32) / np.float32(255)

    def set_drawing(self, drawing: Array) -> None:
        """Replace the drawing."""
        data = np.clip(np.nan_to_num(np.asarray(drawing, np.float32)), 0, 1)
        if data.shape != (_RESOLUTION, _RESOLUTION):
            rows = np.arange(_RESOLUTION) * data.shape[0] // _RESOLUTION
            columns = np.arange(_RESOLUTION) * data.shape[1] // _RESOLUTION
            data = data[rows][:, columns]
        raw = np.ascontiguousarray(np.rint(data * 255).astype(np.uint8)).tobytes()
        form = QImage.Format.Format_Grayscale8
        self._image = QImage(raw, _RESOLUTION, _RESOLUTION, _RESOLUTION, form).copy()
        self._touched = bool(data.any())
        self.update()
        self.drawn.emit()

    def _frame(self) -> QRectF:
        side = min(self.width(), self.height()) - 4.0
        return QRectF((self.width() - side) / 2, 2, side, side)

    def _scale(self) -> float:
        return _RESOLUTION / max(self._frame().width(), 1.0)

    def _to_sheet(self, place: QPointF) -> QPointF:
        return (place - self._frame().topLeft()) * self._scale()

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw the sheet and the outline of the pen."""
        frame = self._frame()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(frame, self._image)
        painter.setPen(QPen(theme.colour("line"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(frame)
        if not self._touched:
            painter.setPen(QColor("#8d97a7"))  # on the sheet, which is black in every theme
            painter.setFont(theme.ui(12))
            painter.drawText(frame, int(CENTRE), "draw a digit")
        if self._hover is not None and frame.contains(self._hover):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(theme.colour("selection"), 1))
            radius = self.pen_size / self._scale() / 2
            painter.drawEllipse(self._hover, radius, radius)

    def _stroke(self, start: QPointF, end: QPointF) -> None:
        painter = QPainter(self._image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shade = QColor(255, 255, 255) if self.tool == "pen" else QColor(0, 0, 0)
        width = self.pen_size if self.tool == "pen" else self.pen_size * 1.6
        style = Qt.PenStyle.SolidLine
        cap, join = Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin
        painter.setPen(QPen(shade, width, style, cap, join))
        if start == end:
            painter.drawPoint(start)
        else:
            painter.drawLine(start, end)
        painter.end()
        self._touched = True
        self.update()
        self.drawn.emit()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Start a stroke."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._before = self.drawing()
            self._last = self._to_sheet(event.position())
            self._stroke(self._last, self._last)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Continue the stroke."""
        if event is None:
            return
        self._hover = event.position()
        if self._last is not None:
            place = self._to_sheet(event.position())
            self._stroke(self._last, place)
            self._last = place
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """End the stroke."""
        if self._last is not None and self._before is not None:
            before, self._last, self._before = self._before, None, None
            self.finished.emit(before, self.drawing())

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Wipe the sheet with Delete (it can be undone).

        Only here: a key that a button does not know must not wipe what is drawn.
        """
        if event is not None and event.key() == Qt.Key.Key_Delete:
            self.wiped.emit()
        else:
            super().keyPressEvent(event)

    def leaveEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Hide the outline of the pen."""
        self._hover = None
        self.update()
        super().leaveEvent(event)


class _Preview(Canvas):
    """The picture that the network sees: the drawing as 28 x 28, or another input by its name."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("What the network sees", "", parent)
        self._picture: Drawing = np.zeros((SIDE, SIDE), np.float32)
        self._title = ""
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setMinimumSize(56, 74)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_picture(self, picture: Drawing, title: str = "") -> None:
        """Show another picture; `title` names one that is not the drawing."""
        if title != self._title or not np.array_equal(picture, self._picture):
            self._picture, self._title = picture, title
            self.setToolTip(f"The input is {title}, not the drawing." if title else "")
            self.update()

    def title(self) -> str:
        """Return the name of what is shown, empty for the drawing."""
        return self._title

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw the picture below its name."""
        painter.setFont(theme.ui(11))
        painter.setPen(theme.colour("muted"))
        room = QRectF(0, 0, self.width(), 16)
        words: tuple[str, ...] = ("what the net sees", "the net sees", "net sees")
        if self._title:
            words = (f"the input is {self._title}", self._title)
        fitting = [text for text in words if text_width(painter.font(), text) <= room.width()]
        shown = fitting[0] if fitting else elided(painter.font(), words[-1], room.width())
        painter.drawText(room, int(LEFT), shown)
        side = min(self.width() - 2.0, self.height() - 20.0)
        ratio = self.ratio()
        across = self._picture.shape[1]
        if side * ratio > across:
            side = int(side * ratio / across) * across / ratio
        frame = QRectF(0.5, 18, side, side)
        painter.drawImage(frame, pixels.picture(self._picture, "grey", (0.0, 1.0)))
        painter.setPen(QPen(theme.colour("line"), 1))
        painter.drawRect(frame)


class DigitCanvas(QWidget):
    """Drawing sheet with pen, eraser, pen size, clear, and the picture that the net sees.

    How a drawing becomes that picture belongs to the run and is not known here: `prepare` is set
    from outside.

    Undo lives outside: `stroke_finished` carries the drawing before and after each stroke, and
    `set_strokes` restores one.
    """

    changed = pyqtSignal(object)
    """The picture that the net sees, float32 (h, w) in [0, 1], after each movement of the pen."""
    stroke_finished = pyqtSignal(object, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Draw a digit")
        self.setProperty("surface", "panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._sheet = _Sheet(self)
        self._preview = _Preview(self)
        self._prepare: Callable[[Array], Drawing | None] = _averaged
        self._seen: Drawing = np.zeros((SIDE, SIDE), np.float32)
        self._sheet.drawn.connect(self._changed)
        self._sheet.finished.connect(self.stroke_finished)
        self._sheet.wiped.connect(self.clear)
        self._pen, self._eraser = QToolButton(self), QToolButton(self)
        group = QButtonGroup(self)
        tools: tuple[tuple[QToolButton, Tool, str], ...] = (
            (self._pen, "pen", "&Pen"),
            (self._eraser, "eraser", "&Eraser"),
        )
        for button, tool, text in tools:
            button.setText(text.replace("&", ""))
            button.setCheckable(True)
            button.setProperty("flat", True)
            button.setAccessibleName(f"{tool} tool")
            button.setToolTip(f"Draw with the {tool}")
            button.clicked.connect(lambda _=False, tool=tool: self.set_tool(tool))
            group.addButton(button)
        self._pen.setChecked(True)
        self._size = QSlider(Qt.Orientation.Horizontal, self)
        self._size.setRange(8, 48)
        self._size.setValue(22)
        self._size.setAccessibleName("Pen size")
        self._size.setToolTip("Pen size")
        self._size.setMinimumWidth(40)
        self._size.valueChanged.connect(lambda value: self.set_pen_size(float(value)))
        clear = QPushButton("Clear", self)
        clear.setAccessibleName("Clear the drawing")
        clear.clicked.connect(self.clear)
        self._arrange(clear)

    def _arrange(self, clear: QPushButton) -> None:
        tools = QHBoxLayout()
        tools.setSpacing(4)
        tools.addWidget(self._pen)
        tools.addWidget(self._eraser)
        tools.addSpacing(4)
        tools.addWidget(self._size, 1)
        tools.addWidget(clear)
        sheets = QHBoxLayout()
        sheets.setSpacing(8)
        sheets.addWidget(self._sheet, 5)
        sheets.addWidget(self._preview, 3)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        column.addLayout(sheets, 1)
        column.addLayout(tools)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer the size of the input panel."""
        return QSize(280, 240)

    def strokes(self) -> Drawing:
        """Return the raw drawing, float32 (280, 280) in [0, 1]."""
        return self._sheet.drawing()

    def has_ink(self) -> bool:
        """Tell whether anything is drawn."""
        return bool(self.strokes().any())

    def set_strokes(self, drawing: Array) -> None:
        """Replace the raw drawing (undo and redo); `changed` is emitted."""
        self._sheet.set_drawing(drawing)

    def clear(self) -> None:
        """Wipe the sheet; counts as a stroke, so that it can be undone."""
        before = self.strokes()
        self._sheet.set_drawing(np.zeros_like(before))
        if before.any():
            self.stroke_finished.emit(before, self.strokes())

    def set_tool(self, tool: Tool) -> None:
        """Choose ``"pen"`` or ``"eraser"``."""
        self._sheet.tool = tool
        (self._pen if tool == "pen" else self._eraser).setChecked(True)

    def set_pen_size(self, size: float) -> None:
        """Set the width of the pen in pixels of the drawing (280 across)."""
        self._sheet.pen_size = min(max(float(size), 2.0), 80.0)
        if self._size.value() != round(size):
            self._size.setValue(round(size))

    def set_prepare(self, prepare: Callable[[Array], Drawing | None]) -> None:
        """Say how a drawing becomes what the net sees.

        Parameters
        ----------
        prepare : callable
            Takes the drawing, float32 (280, 280) with 1 for ink; returns a picture, float32 (h, w)
            in [0, 1], or None for a drawing that gives none.
        """
        self._prepare = prepare
        self._see()

    def picture(self) -> Drawing:
        """Return what the network sees, float32 (h, w) in [0, 1]: the last drawing that gave it."""
        return self._seen

    def _see(self) -> bool:
        """Prepare the drawing and show it; False if it gives no picture."""
        picture = self._prepare(self.strokes())
        if picture is None:
            return False
        self._seen = picture
        self._preview.show_picture(picture)
        return True

    def _changed(self) -> None:
        if self._see():
            self.changed.emit(self._seen)

    def show_seen(self, picture: Array | None, title: str = "") -> None:
        """Show beside the sheet what the net really sees.

        Parameters
        ----------
        picture : array, shape (c, h, w), or None
            None while it is the drawing.
        title : str
            What is shown instead of the drawing.
        """
        if picture is None:
            self._preview.show_picture(self.picture())
        else:
            self._preview.show_picture(np.asarray(picture, np.float32).mean(axis=0), title)
