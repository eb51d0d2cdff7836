"""One map, crisp: exact numbers in its cells, colour bar, statistics, boxes, zoom and pan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter, QPen, QResizeEvent, QWheelEvent
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import (
    LEFT,
    Canvas,
    draw_lines,
    draw_outline,
    elided,
    snap,
    waiting_colour,
)
from gui.widgets.cells import draw_numbers
from gui.widgets.colour_bar import BAR_WIDTH, Spread, draw_colour_bar, labels_width, spread_of
from gui.widgets.map_statistics import draw_statistics, grid_lines, statistics_of, statistics_text
from gui.widgets.numbers import cell_scale, format_full, is_whole, scaled
from gui.widgets.window_content import Array, Mode

Box = tuple[int, int, int, int, str]
"""Half-open cells (top, left, bottom, right) and what the box means."""

_NUMBERS_FROM = 26
"""Cell size in pixels from which numbers are written into the cells."""
_STATISTICS_WIDTH = 118
_MOST_CELL = 96


class MapView(Canvas):
    """One map with every value readable.

    The wheel zooms, dragging moves, arrow keys move the picked cell, Enter or F11 or a double
    click asks to debug it, ``0`` fits the map and ``1`` shows one value per pixel.
    """

    picked = pyqtSignal(int, int)
    hovered = pyqtSignal(int, int)
    debug_requested = pyqtSignal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Map", "Select a feature map to see its values here.", parent)
        self._map: Array | None = None
        self._entries: pixels.Entries | None = None
        self._bad: npt.NDArray[np.intp] = np.zeros((0, 2), np.intp)
        self._mode: Mode = "signed"
        self._limits: pixels.Limits = (-1.0, 1.0)
        self._caption = ""
        self._scale = (1.0, "")
        self._title = ""
        self._statistics: dict[str, float] = {}
        self._spread: Spread | None = None
        self._image: QImage | None = None
        self._cursor: tuple[int, int] | None = None
        self._pick: tuple[int, int] | None = None
        self._revealed: npt.NDArray[np.bool_] | None = None
        self._boxes: tuple[Box, ...] = ()
        self._zoom: float | None = None
        self._shift = QPointF(0, 0)
        self._grabbed: QPointF | None = None
        self._moved = False
        self.setMinimumSize(80, 60)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer the size it has in the debug layout."""
        return QSize(560, 300)

    # --- content -------------------------------------------------------------------------------

    def set_map(
        self,
        array: Array | None,
        mode: Mode = "signed",
        limits: pixels.Limits | None = None,
        clip_note: str = "",
        scope: str = "map",
        title: str = "",
    ) -> None:
        """Show another map; zoom and pick stay if the shape stays.

        Parameters
        ----------
        array : float array, shape (h, w), or None
        mode : Mode
        limits : (low, high), optional
            Range of the colours; the map's own range if not given.
        clip_note : str
            What the range cuts off, for example ``"0.3 % clipped"``; shown at the colour bar.
        scope : str
            Whose range the colours show: ``"map"``, ``"layer"``, ``"network"``, ``"frozen"``.
        title : str
            Name used in tooltips and for screen readers.
        """
        if array is None or np.asarray(array).size == 0:
            self._map = self._entries = self._image = None
            self._statistics, self._scale = {}, (1.0, "")
            self.update()
            self.hover_again()
            return
        data = np.atleast_2d(np.asarray(array))
        if self._map is None or self._map.shape != data.shape:
            self._zoom, self._shift = None, QPointF(0, 0)
            self._pick = self._revealed = None
        self._map, self._mode, self._title = data, mode, title
        self._limits = limits or pixels.finite_limits(data, mode)
        self._entries = pixels.to_entries(data, mode, self._limits)
        self._bad = np.argwhere(self._entries == 0)
        self._scale = cell_scale(data)
        self._caption = f"{scope} range" + (f" · {clip_note}" if clip_note else "")
        self._statistics = statistics_of(data)
        self._spread = spread_of(data, self._limits)
        self._image = None
        self._tell_pick()
        self.update()
        self.hover_again()

    def set_cursor(self, y: int | None, x: int | None = None) -> None:
        """Outline the cell in which the next thing to execute lies."""
        self._cursor = None if y is None or x is None else (y, x)
        self.update()

    def set_pick(self, y: int | None, x: int | None = None) -> None:
        """Outline the picked cell, without a signal."""
        self._pick = None if y is None or x is None else (y, x)
        self._tell_pick()
        self.update()

    def set_revealed(self, revealed: int | Array | None) -> None:
        """Hatch cells that are not computed yet.

        Parameters
        ----------
        revealed : int, bool array (h, w), or None
            How many cells are computed in reading order, or which ones; None means all.
        """
        if revealed is None or self._map is None:
            self._revealed = None
        elif isinstance(revealed, int | np.integer):
            self._revealed = np.arange(self._map.size).reshape(self._map.shape) < int(revealed)
        else:
            self._revealed = np.asarray(revealed, bool)
        self._image = None
        self.update()

    def set_boxes(self, boxes: Sequence[Box]) -> None:
        """Outline areas.

        Parameters
        ----------
        boxes : sequence of (top, left, bottom, right, kind)
            Half-open cells; kind is ``"cursor"``, ``"selection"`` or ``"receptive"`` (dashed).
        """
        self._boxes = tuple(boxes)
        self.update()

    def statistics(self) -> dict[str, float]:
        """Return min, mean, max, std over finite values, the share of zeros and positives, NaNs."""
        return dict(self._statistics)

    def unit(self) -> str:
        """Return the power of ten that the numbers in the cells are written in, or empty."""
        return self._scale[1]

    def pick(self) -> tuple[int, int] | None:
        """Return the picked cell."""
        return self._pick

    def is_empty(self) -> bool:
        """Return True while there is no map."""
        return self._map is None

    def restyle(self) -> None:
        """Draw anew in the other theme's colours."""
        self._image = None

    # --- geometry ------------------------------------------------------------------------------

    def fit(self) -> None:
        """Show the whole map as large as it goes."""
        self._zoom, self._shift = None, QPointF(0, 0)
        self.update()

    def one_to_one(self) -> None:
        """Show one value per device pixel."""
        self._set_zoom(1 / self.ratio(), self._frame().center())

    def zoom_in(self) -> None:
        """Enlarge by about a quarter."""
        self._set_zoom(self._larger(self._cell(), 1), self._frame().center())

    def zoom_out(self) -> None:
        """Shrink by about a fifth."""
        self._set_zoom(self._larger(self._cell(), -1), self._frame().center())

    def _larger(self, cell: float, direction: int) -> float:
        """Return the next cell size: whole device pixels, at least one step away."""
        now = cell * self.ratio()
        target = now * (1.25 if direction > 0 else 0.8)
        stepped = np.ceil(target) if direction > 0 else np.floor(target)
        return float(min(max(stepped if now >= 1 else target, 0.1), 256)) / self.ratio()

    def _set_zoom(self, cell: float, about: QPointF) -> None:
        if self._map is None:
            return
        before, corner = self._cell(), self._corner()
        self._zoom = cell
        wanted = about - (about - corner) * (cell / before)
        self._shift += wanted - self._corner()
        self.update()

    def _frame(self) -> QRectF:
        """Return the area of the map: what bar and statistics leave over."""
        return self._areas()[0]

    def _areas(self) -> tuple[QRectF, QRectF | None, QRectF | None]:
        """Return the areas of map, colour bar and statistics; the latter two only with room."""
        gap = float(theme.GAP)
        whole = QRectF(self.rect()).adjusted(gap, gap, -gap, -gap)
        if self._map is None or whole.height() < 70:
            return whole, None, None
        bar_width = BAR_WIDTH + 6 + labels_width(self._mode, self._limits)
        room = whole.width() - min(whole.height(), whole.width() * 0.62)
        if whole.width() < 150 or room < bar_width:
            return whole, None, None
        spare = room - bar_width - 2 * gap
        statistics = _STATISTICS_WIDTH if spare >= _STATISTICS_WIDTH and whole.height() > 100 else 0
        spare -= statistics + (gap if statistics else 0)
        if spare >= 60:
            bar_width += 56
        right = bar_width + gap * 1.5 + (statistics + gap * 1.5 if statistics else 0)
        frame = QRectF(whole.left(), whole.top(), whole.width() - right, whole.height())
        height, width = self._map.shape
        fitted = self._fit_cell(frame)
        left = frame.left() + min(max(fitted * width, 40), frame.width()) + gap * 1.5
        if self._zoom is not None:
            left = frame.right() + gap * 1.5
        else:
            frame.setRight(left - gap * 1.5)
        bottom = max(frame.top() + fitted * height, frame.top() + 60)
        bar = QRectF(left, frame.top(), bar_width, min(bottom, frame.bottom()) - frame.top())
        if not statistics:
            return frame, bar, None
        return frame, bar, QRectF(bar.right() + gap * 1.5, frame.top(), statistics, frame.height())

    def _fit_cell(self, frame: QRectF) -> float:
        if self._map is None:
            return 1.0
        height, width = self._map.shape
        cell = min(frame.width() / width, frame.height() / height, _MOST_CELL)
        device = cell * self.ratio()
        return max(int(device) / self.ratio() if device >= 1 else cell, 1e-3)

    def _cell(self) -> float:
        """Return the size of a cell in logical pixels."""
        return self._zoom if self._zoom is not None else self._fit_cell(self._frame())

    def _corner(self) -> QPointF:
        """Return where cell (0, 0) starts."""
        frame = self._frame()
        if self._zoom is None or self._map is None:
            return frame.topLeft()
        ratio = self.ratio()
        place = frame.topLeft() + self._shift
        return QPointF(snap(place.x(), ratio), snap(place.y(), ratio))

    def _cell_area(self, y: int, x: int) -> QRectF:
        corner, cell = self._corner(), self._cell()
        return QRectF(corner.x() + x * cell, corner.y() + y * cell, cell, cell)

    def cell_at(self, place: QPointF) -> tuple[int, int] | None:
        """Return (y, x) of the cell at a place of the widget, or None beside the map."""
        if self._map is None or not self._frame().contains(place):
            return None
        corner, cell = self._corner(), self._cell()
        x, y = (place.x() - corner.x()) / cell, (place.y() - corner.y()) / cell
        height, width = self._map.shape
        return (int(y), int(x)) if 0 <= y < height and 0 <= x < width else None

    # --- drawing -------------------------------------------------------------------------------

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw map, numbers, outlines, colour bar and statistics."""
        if self._map is None or self._entries is None:
            return
        frame, bar, statistics = self._areas()
        painter.save()
        painter.setClipRect(frame.adjusted(-3, -3, 3, 3))
        self._draw_map(painter, frame)
        self._draw_boxes(painter)
        painter.restore()
        if bar is not None:
            caption_height = 16 if bar.height() > 90 else 0
            inner = bar.adjusted(0, 0, 0, -caption_height)
            draw_colour_bar(painter, inner, self._mode, self._limits, self._spread)
            if caption_height:
                painter.setFont(theme.ui(10))
                painter.setPen(theme.colour("muted"))
                room = statistics.right() if statistics is not None else self.width() - 2
                width = room - bar.left()
                painter.drawText(
                    QRectF(bar.left(), inner.bottom() + 3, width, 14),
                    int(LEFT),
                    elided(painter.font(), self._caption, width),
                )
        if statistics is not None:
            draw_statistics(painter, statistics, self._statistics)

    def _visible_cells(self, frame: QRectF) -> tuple[int, int, int, int]:
        """Return the half-open rows and columns that the frame shows."""
        if self._map is None:
            return 0, 0, 0, 0
        corner, cell = self._corner(), self._cell()
        height, width = self._map.shape
        top = max(int((frame.top() - corner.y()) / cell), 0)
        left = max(int((frame.left() - corner.x()) / cell), 0)
        bottom = min(int((frame.bottom() - corner.y()) / cell) + 1, height)
        right = min(int((frame.right() - corner.x()) / cell) + 1, width)
        return top, left, max(bottom, top), max(right, left)

    def _draw_map(self, painter: QPainter, frame: QRectF) -> None:
        if self._map is None or self._entries is None:
            return
        ratio, cell = self.ratio(), self._cell()
        if self._image is None:
            colours = pixels.table(self._mode)[self._entries]
            if self._revealed is not None:
                colours[~self._revealed] = int(theme.colour("panel").rgb())
            self._image = pixels.to_image(colours)
        top, left, bottom, right = self._visible_cells(frame)
        if bottom <= top or right <= left:
            return
        first = self._cell_area(top, left)
        target = QRectF(first.left(), first.top(), (right - left) * cell, (bottom - top) * cell)
        painter.drawImage(target, self._image, QRectF(left, top, right - left, bottom - top))
        if cell * ratio < 1 and len(self._bad):
            self._draw_lost(painter)
        corner = self._corner()
        painter.setPen(QPen(theme.colour("line"), 1 / ratio))
        if cell >= 12:
            draw_lines(painter, grid_lines(target, cell, bottom - top, right - left))
        else:
            painter.drawRect(target)
        self._draw_waiting(painter, (top, left, bottom, right))
        pixels.hatch_nonfinite(painter, self._bad, corner, (cell, cell), ratio)
        if cell >= _NUMBERS_FROM:
            self._draw_numbers(painter, (top, left, bottom, right), cell)

    def _draw_lost(self, painter: QPainter) -> None:
        """Paint bad values that a map smaller than its data would drop."""
        shade, thin = theme.colour("nonfinite"), 1 / self.ratio()
        for y, x in self._bad[: pixels.MOST_HATCHED].tolist():
            corner = self._cell_area(y, x).topLeft()
            painter.fillRect(QRectF(corner.x(), corner.y(), thin, thin), shade)

    def _draw_waiting(self, painter: QPainter, cells: tuple[int, int, int, int]) -> None:
        if self._revealed is None:
            return
        top, left, bottom, right = cells
        mask, corner = ~self._revealed[top:bottom, left:right], self._cell_area(top, left).topLeft()
        pixels.hatch_where(painter, mask, corner, self._cell(), waiting_colour(), self.ratio())

    def _draw_numbers(
        self, painter: QPainter, cells: tuple[int, int, int, int], cell: float
    ) -> None:
        if self._map is None or self._entries is None:
            return
        top, left, bottom, right = cells
        rows, columns = np.mgrid[top:bottom, left:right]
        shown = (
            np.ones(rows.shape, bool)
            if self._revealed is None
            else self._revealed[top:bottom, left:right]
        )
        rows, columns = rows[shown], columns[shown]
        corner = self._corner()
        corners = [
            QPointF(corner.x() + x * cell, corner.y() + y * cell)
            for y, x in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        draw_numbers(
            painter,
            corners,
            scaled(self._map[rows, columns], self._scale[0]),
            self._entries[rows, columns],
            self._mode,
            (cell, cell),
            whole=is_whole(self._map),
        )

    def _draw_boxes(self, painter: QPainter) -> None:
        ratio, cell = self.ratio(), self._cell()
        for top, left, bottom, right, kind in self._boxes:
            area = self._cell_area(top, left)
            area.setRight(area.left() + (right - left) * cell)
            area.setBottom(area.top() + (bottom - top) * cell)
            if kind == "receptive":
                painter.setPen(QPen(theme.colour("selection"), 1.5, Qt.PenStyle.DashLine))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(area)
            else:
                draw_outline(painter, area, theme.colour(kind), ratio)
        for place, name in ((self._pick, "selection"), (self._cursor, "cursor")):
            if place is not None and self._inside(place):
                width = 2.0 if cell >= 8 else 1.0
                draw_outline(painter, self._cell_area(*place), theme.colour(name), ratio, width)

    def _inside(self, place: tuple[int, int]) -> bool:
        return self._map is not None and all(
            0 <= i < size for i, size in zip(place, self._map.shape, strict=True)
        )

    def statistics_text(self) -> list[tuple[str, str]]:
        """Return the statistics as (name, text), decimals aligned."""
        return statistics_text(self._statistics)

    # --- pointer and keys ----------------------------------------------------------------------

    def tip_at(self, place: QPointF) -> str:
        """Return the exact value under the pointer."""
        found = self.cell_at(place)
        if found is not None:
            return self._fact(*found)
        _, bar, _ = self._areas()
        if bar is None or not bar.contains(place):
            return ""
        low, high = (format_full(np.float32(limit)) for limit in self._limits)
        return f"{self._caption}\n{low} to {high}"

    def _fact(self, y: int, x: int) -> str:
        if self._map is None:
            return ""
        name = self._title or "value"
        if self._revealed is not None and not self._revealed[y, x]:
            return f"{name} ({y}, {x}): not computed yet"
        return f"{name} ({y}, {x}) = {format_full(self._map[y, x])}"

    def _tell_pick(self) -> None:
        if self._pick is not None and self._inside(self._pick):
            self.set_facts(self._fact(*self._pick))

    def _choose(self, y: int, x: int) -> None:
        self._pick = (y, x)
        self._tell_pick()
        self.update()
        self.picked.emit(y, x)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Fit anew unless the user has zoomed."""
        super().resizeEvent(event)
        self.update()

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Zoom about the pointer."""
        if event is None or self._map is None or event.angleDelta().y() == 0:
            return
        direction = 1 if event.angleDelta().y() > 0 else -1
        self._set_zoom(self._larger(self._cell(), direction), event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Start a pick or a drag."""
        if event is not None and event.button() in (
            Qt.MouseButton.LeftButton,
            Qt.MouseButton.MiddleButton,
        ):
            self._grabbed, self._moved = event.position(), False

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Drag the map, or tell which cell the pointer is on."""
        if event is None or self._map is None:
            return
        if self._grabbed is not None:
            way = event.position() - self._grabbed
            if self._moved or way.manhattanLength() > 5:
                if self._zoom is None:
                    self._zoom = self._cell()
                self._moved = True
                self._shift += way
                self._grabbed = event.position()
                self.update()
            return
        self.point_at(event.position())

    def hover_at(self, place: QPointF) -> None:
        """Tell which cell lies at a place."""
        found = self.cell_at(place)
        if found is None:
            self.hover_left.emit()
        else:
            self.hovered.emit(*found)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Pick the cell unless the map was dragged."""
        if event is None or self._grabbed is None:
            return
        self._grabbed = None
        found = self.cell_at(event.position())
        if not self._moved and found is not None and event.button() == Qt.MouseButton.LeftButton:
            self._choose(*found)

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Ask to debug the cell."""
        found = self.cell_at(event.position()) if event is not None else None
        if found is not None:
            self._choose(*found)
            self.debug_requested.emit(*found)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Move the pick, zoom, or ask to debug."""
        if event is None or self._map is None:
            return
        key = event.key()
        # Alt is allowed: where the window takes bare arrows for stepping, Alt moves the pick
        ignored = Qt.KeyboardModifier.KeypadModifier | Qt.KeyboardModifier.AltModifier
        plain = event.modifiers() & ~ignored == Qt.KeyboardModifier.NoModifier
        step = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
        }.get(Qt.Key(key))
        zooms = {
            Qt.Key.Key_Plus: self.zoom_in,
            Qt.Key.Key_Equal: self.zoom_in,
            Qt.Key.Key_Minus: self.zoom_out,
            Qt.Key.Key_0: self.fit,
            Qt.Key.Key_1: self.one_to_one,
        }
        if plain and step is not None:
            now = self._pick or self._cursor
            place = (0, 0) if now is None else (now[0] + step[0], now[1] + step[1])
            if self._inside(place):
                self._choose(*place)
        elif plain and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F11):
            if self._pick is not None:
                self.debug_requested.emit(*self._pick)
        elif Qt.Key(key) in zooms and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            zooms[Qt.Key(key)]()
        else:
            super().keyPressEvent(event)
