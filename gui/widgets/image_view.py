"""The input picture with the receptive field of the current element."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QGuiApplication,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPen,
)
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import CENTRE, Canvas, draw_outline
from gui.widgets.cells import draw_numbers
from gui.widgets.numbers import format_full, is_whole
from gui.widgets.window_content import Array

Box = tuple[int, int, int, int]
"""Half-open input pixels (top, left, bottom, right); may exceed the picture (padding)."""

_NUMBERS_FROM = 28
_SMOOTH_FROM = 160
"""Pictures with more pixels than this across are photographs and are drawn smoothly."""


class InputView(Canvas):
    """The picture that the network reads, one value per pixel.

    Files may be dropped and pictures pasted on it. Arrow keys move the picked pixel.
    """

    hovered = pyqtSignal(int, int)
    picked = pyqtSignal(int, int)
    dropped = pyqtSignal(object)
    """List of paths."""
    pasted = pyqtSignal(object)
    """A QImage."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "Input picture", "Choose a digit, drop a picture here, or paste one.", parent
        )
        self._data: Array | None = None
        self._limits: pixels.Limits = (0.0, 1.0)
        self._image: QImage | None = None
        self._bad: Array = np.zeros((0, 2), np.intp)
        self._box: Box | None = None
        self._pick: tuple[int, int] | None = None
        self._cursor: tuple[int, int] | None = None
        self._dragging = ""
        self.setAcceptDrops(True)
        self.setMinimumSize(80, 80)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer the size it has in the debug layout."""
        return QSize(220, 220)

    # --- content -------------------------------------------------------------------------------

    def set_image(self, image: Array | None, limits: pixels.Limits | None = None) -> None:
        """Show another picture.

        Parameters
        ----------
        image : float array, shape (h, w), (1, h, w) or (3, h, w), or None
            Other channel counts are shown as the mean of their channels.
        limits : (low, high), optional
            Values of black and white; [0, 1] if the picture lies in it, else its own range.
        """
        if image is None or np.asarray(image).size == 0:
            self._data = self._image = None
            self.update()
            self.hover_again()
            return
        data = pixels.as_maps(np.asarray(image))
        if self._data is None or self._data.shape != data.shape:
            self._pick = None
        self._data = data
        if limits is None:
            low, high = pixels.finite_limits(data, "grey")
            limits = (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)
        self._limits = limits
        self._bad = np.argwhere(~np.isfinite(data).all(axis=0))
        self._image = None
        self.update()
        self.hover_again()

    def set_box(self, box: Box | None) -> None:
        """Outline the receptive field; its part outside the picture is hatched as padding."""
        self._box = box
        self.update()

    def set_cursor(self, y: int | None, x: int | None = None) -> None:
        """Outline the pixel that the next thing to execute reads."""
        self._cursor = None if y is None or x is None else (y, x)
        self.update()

    def set_pick(self, y: int | None, x: int | None = None) -> None:
        """Outline the picked pixel, without a signal."""
        self._pick = None if y is None or x is None else (y, x)
        self.update()

    def is_empty(self) -> bool:
        """Return True while there is no picture."""
        return self._data is None

    def restyle(self) -> None:
        """Draw anew in the other theme's colours."""
        self._image = None

    # --- geometry ------------------------------------------------------------------------------

    def _frame(self) -> tuple[QRectF, float]:
        """Return the area of the picture and the size of a pixel, box included."""
        if self._data is None:
            return QRectF(), 1.0
        _, height, width = self._data.shape
        top, left, bottom, right = 0, 0, height, width
        if self._box is not None:
            top, left = min(top, self._box[0]), min(left, self._box[1])
            bottom, right = max(bottom, self._box[2]), max(right, self._box[3])
        area = QRectF(self.rect()).adjusted(8, 8, -8, -8)
        ratio = self.ratio()
        cell = min(area.width() / (right - left), area.height() / (bottom - top), 64.0)
        cell = max(cell, 0.01)
        if cell * ratio >= 1:
            cell = int(cell * ratio) / ratio
        x = area.left() + (area.width() - (right - left) * cell) / 2 - left * cell
        y = area.top() + (area.height() - (bottom - top) * cell) / 2 - top * cell
        x, y = round(x * ratio) / ratio, round(y * ratio) / ratio
        return QRectF(x, y, width * cell, height * cell), cell

    def pixel_at(self, place: QPointF) -> tuple[int, int] | None:
        """Return (y, x) of the pixel at a place of the widget, or None beside the picture."""
        frame, cell = self._frame()
        if self._data is None or not frame.contains(place):
            return None
        _, height, width = self._data.shape
        y, x = int((place.y() - frame.top()) / cell), int((place.x() - frame.left()) / cell)
        return min(y, height - 1), min(x, width - 1)

    # --- drawing -------------------------------------------------------------------------------

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw picture, box and outlines."""
        if self._data is None:
            return
        frame, cell = self._frame()
        ratio = self.ratio()
        if self._image is None:
            self._image = self._render()
        self._draw_padding(painter, frame, cell)
        smooth = max(self._data.shape[1:]) > _SMOOTH_FROM and cell < 4
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawImage(frame, self._image)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        pixels.hatch_nonfinite(painter, self._bad, frame.topLeft(), (cell, cell), ratio)
        if cell >= _NUMBERS_FROM and self._data.shape[0] == 1:
            self._draw_numbers(painter, frame, cell)
        painter.setPen(QPen(theme.colour("line"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(frame.adjusted(-0.5, -0.5, 0.5, 0.5))
        if self._box is not None:
            draw_outline(
                painter, self._place(self._box, frame, cell), theme.colour("cursor"), ratio
            )
        for spot, name in ((self._pick, "selection"), (self._cursor, "cursor")):
            if spot is not None:
                y, x = spot
                target = self._place((y, x, y + 1, x + 1), frame, cell)
                draw_outline(painter, target, theme.colour(name), ratio, 1.5)
        if self._dragging:
            self._draw_drop(painter)

    def _place(self, box: Box, frame: QRectF, cell: float) -> QRectF:
        top, left, bottom, right = box
        return QRectF(
            frame.left() + left * cell,
            frame.top() + top * cell,
            (right - left) * cell,
            (bottom - top) * cell,
        )

    def _render(self) -> QImage:
        data = self._data
        if data is None:
            return QImage()
        if data.shape[0] == 3:
            entries = pixels.to_entries(data, "grey", self._limits).astype(np.uint32)
            entries = np.maximum(entries, 1) - 1
            red, green, blue = entries * 255 // 254
            colours = (255 << 24) | (red << 16) | (green << 8) | blue
            colours = colours.astype(np.uint32)
        else:
            mean = data[0] if data.shape[0] == 1 else data.mean(axis=0)
            colours = pixels.table("grey")[pixels.to_entries(mean, "grey", self._limits)]
        colours[self._bad[:, 0], self._bad[:, 1]] = int(theme.colour("nonfinite").rgb())
        return pixels.to_image(colours)

    def _draw_padding(self, painter: QPainter, frame: QRectF, cell: float) -> None:
        """Hatch the part of the box outside the picture."""
        if self._box is None:
            return
        style = theme.current()
        shade = theme.blend(style.panel, style.muted, 0.6)
        pixels.fill_hatched(painter, self._place(self._box, frame, cell), shade, self.ratio())

    def _draw_numbers(self, painter: QPainter, frame: QRectF, cell: float) -> None:
        if self._data is None:
            return
        values = self._data[0]
        rows, columns = np.indices(values.shape)
        corners = [
            QPointF(frame.left() + x * cell, frame.top() + y * cell)
            for y, x in zip(rows.ravel().tolist(), columns.ravel().tolist(), strict=True)
        ]
        entries = pixels.to_entries(values, "grey", self._limits).ravel()
        draw_numbers(
            painter, corners, values.ravel(), entries, "grey", (cell, cell), whole=is_whole(values)
        )

    def _draw_drop(self, painter: QPainter) -> None:
        painter.fillRect(self.rect(), theme.colour("panel", 0.8))
        painter.setPen(QPen(theme.colour("selection"), 2, Qt.PenStyle.DashLine))
        area = QRectF(self.rect()).adjusted(6, 6, -6, -6)
        painter.drawRoundedRect(area, 6, 6)
        painter.setFont(theme.ui(13, bold=True))
        painter.drawText(area, int(CENTRE | Qt.TextFlag.TextWordWrap), self._dragging)

    # --- pointer, keys, drops ------------------------------------------------------------------

    def tip_at(self, place: QPointF) -> str:
        """Return the exact value under the pointer."""
        found = self.pixel_at(place)
        return "" if found is None else self._fact(*found)

    def _fact(self, y: int, x: int) -> str:
        if self._data is None:
            return ""
        values = ", ".join(format_full(value) for value in self._data[:4, y, x])
        return f"input ({y}, {x}) = {values}"

    def _choose(self, y: int, x: int) -> None:
        self._pick = (y, x)
        self.set_facts(self._fact(y, x))
        self.update()
        self.picked.emit(y, x)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell which pixel the pointer is on."""
        if event is not None:
            self.point_at(event.position())

    def hover_at(self, place: QPointF) -> None:
        """Tell which pixel lies at a place."""
        found = self.pixel_at(place)
        if found is None:
            self.hover_left.emit()
        else:
            self.hovered.emit(*found)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Pick a pixel."""
        found = self.pixel_at(event.position()) if event is not None else None
        if found is not None and event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._choose(*found)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Move the picked pixel with the arrows; Ctrl+V pastes a picture."""
        if event is None:
            return
        if event.matches(QKeySequence.StandardKey.Paste):
            self.paste()
            return
        steps = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
        }
        step = steps.get(Qt.Key(event.key()))
        if step is None or self._data is None:
            super().keyPressEvent(event)
            return
        _, height, width = self._data.shape
        y, x = self._pick or (0, 0)
        y, x = y + step[0], x + step[1]
        if 0 <= y < height and 0 <= x < width:
            self._choose(y, x)

    def paste(self) -> bool:
        """Take a picture or files from the clipboard; return True if there were any."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is None:
            return False
        image = clipboard.image()
        if not image.isNull():
            self.pasted.emit(image)
            return True
        data = clipboard.mimeData()
        paths = [url.toLocalFile() for url in data.urls()] if data is not None else []
        paths = [path for path in paths if path]
        if paths:
            self.dropped.emit(paths)
        return bool(paths)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Say what a drop would do."""
        data = event.mimeData() if event is not None else None
        if event is None or data is None:
            return
        paths = [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
        if paths or data.hasImage():
            count = len(paths)
            self._dragging = "Use as input" if count < 2 else f"Use the first of {count} files"
            event.acceptProposedAction()
            self.update()

    def dragLeaveEvent(self, event: QDragLeaveEvent | None) -> None:  # noqa: N802
        """Forget the drop."""
        self._dragging = ""
        self.update()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Hand files or a picture on."""
        self._dragging = ""
        self.update()
        data = event.mimeData() if event is not None else None
        if event is None or data is None:
            return
        paths = [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
        if paths:
            self.dropped.emit(paths)
            event.acceptProposedAction()
        elif data.hasImage():
            self.pasted.emit(QImage(data.imageData()))
            event.acceptProposedAction()
