"""The mosaic of all kernels of a layer: rows are outputs, columns inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PyQt6.QtCore import QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter, QPen, QResizeEvent
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import CENTRE, RIGHT, ScrollCanvas, draw_outline, draw_rects
from gui.widgets.numbers import format_full
from gui.widgets.window_content import Array, Mode

_MARGIN_LEFT, _MARGIN_TOP = 26, 18
_BLOCK_GAP = 30
_MOST_CELL = 22


@dataclass(frozen=True, slots=True)
class Sheet:
    """How the kernels stand: the list of outputs may be broken into several blocks.

    Parameters
    ----------
    shape : (o, i, kh, kw)
    cell : int
        Pixels per weight.
    gap : int
        Pixels between kernels.
    blocks : int
    """

    shape: tuple[int, int, int, int]
    cell: int
    gap: int
    blocks: int

    @property
    def rows(self) -> int:
        """Outputs per block."""
        return -(-self.shape[0] // self.blocks)

    @property
    def step(self) -> tuple[int, int]:
        """Pixels from one kernel to the next, across and down."""
        return self.shape[3] * self.cell + self.gap, self.shape[2] * self.cell + self.gap

    @property
    def block_width(self) -> int:
        """Pixels from one block to the next."""
        return self.shape[1] * self.step[0] + _BLOCK_GAP

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of everything, margins included."""
        return (
            _MARGIN_LEFT + self.blocks * self.block_width - _BLOCK_GAP + 8,
            _MARGIN_TOP + self.rows * self.step[1] + 8,
        )

    def place(self, o: int, i: int) -> QRectF:
        """Return the area of a kernel."""
        block, row = divmod(o, self.rows)
        x = _MARGIN_LEFT + block * self.block_width + i * self.step[0]
        y = _MARGIN_TOP + row * self.step[1]
        return QRectF(x, y, self.step[0] - self.gap, self.step[1] - self.gap)

    def at(self, x: float, y: float) -> tuple[int, int, int, int] | None:
        """Return (o, i, ky, kx) at a pixel, or None beside the kernels."""
        x, y = x - _MARGIN_LEFT, y - _MARGIN_TOP
        if x < 0 or y < 0:
            return None
        block, x = divmod(x, self.block_width)
        i, dx = divmod(x, self.step[0])
        row, dy = divmod(y, self.step[1])
        o, kx, ky = int(block) * self.rows + int(row), int(dx // self.cell), int(dy // self.cell)
        inside = row < self.rows and block < self.blocks
        if inside and o < self.shape[0] and i < self.shape[1] and kx < self.shape[3]:
            return (o, int(i), ky, kx) if ky < self.shape[2] else None
        return None


def arrange(shape: tuple[int, int, int, int], width: int, height: int) -> Sheet:
    """Find the arrangement with the largest cells; at the smallest cell size the view scrolls."""
    outputs, inputs, rows, columns = shape
    single = rows * columns == 1
    smallest = 2 if not single else 3
    best: Sheet | None = None
    gaps = (0,) if single else (3, 2)
    for blocks, gap in ((b, g) for b in range(1, outputs + 1) for g in gaps):
        free_x = width - _MARGIN_LEFT - 8 - (blocks - 1) * _BLOCK_GAP
        free_y = height - _MARGIN_TOP - 8
        down = -(-outputs // blocks)
        if free_x < blocks * inputs and best is not None:
            break
        cell = min(
            (free_x / (blocks * inputs) - gap) / columns, (free_y / down - gap) / rows, _MOST_CELL
        )
        found = Sheet(shape, max(int(cell), 0), gap, blocks)
        if best is None or found.cell > best.cell:
            best = found
    if best is not None and not single and best.cell >= 8:  # room for air between large kernels
        airy = Sheet(shape, best.cell - 1, gap + min(max(rows, columns) - 1, 6), best.blocks)
        best = airy if airy.size[0] <= width and airy.size[1] <= height else best
    if best is None or best.cell < smallest:
        return Sheet(shape, smallest, 0 if single else 1, 1)
    return best


class KernelSheet(ScrollCanvas):
    """The mosaic of all kernels; only its visible part is drawn."""

    chosen = pyqtSignal(int, int)
    hovered = pyqtSignal(int, int, int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Kernels", "Select a layer with weights to see its kernels here.", parent)
        self.kernels: Array | None = None
        self.entries: pixels.Entries | None = None
        self.mode: Mode = "signed"
        self.selected: tuple[int, int] | None = None
        self.cursor_cell: tuple[int, ...] | None = None
        self._sheet: Sheet | None = None
        self._image: QImage | None = None
        self._image_key: tuple[int, ...] = ()

    def show_kernels(self, kernels: Array | None, entries: pixels.Entries | None) -> None:
        """Show other kernels."""
        before = None if self.kernels is None else self.kernels.shape
        self.kernels, self.entries = kernels, entries
        if kernels is None or kernels.shape != before:
            self._sheet = None
        self._image = None
        self.redraw()
        self.hover_again()

    def is_empty(self) -> bool:
        """Return True while there are no kernels."""
        return self.kernels is None

    def restyle(self) -> None:
        """Draw anew in the other theme's colours."""
        self._image = None

    def sheet(self) -> Sheet | None:
        """Return how the kernels stand."""
        if self._sheet is None and self.kernels is not None:
            surface = self._surface()
            o, i, kh, kw = self.kernels.shape
            self._sheet = arrange((o, i, kh, kw), surface.width(), surface.height())
            self.set_content_size(*self._sheet.size)
        return self._sheet

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw the visible kernels, their numbers at the margins, and outlines."""
        sheet, entries = self.sheet(), self.entries
        if sheet is None or entries is None:
            return
        for block in range(sheet.blocks):
            self._draw_block(painter, area, sheet, entries, block)
        ratio = self.ratio()
        if self.selected is not None:
            draw_outline(
                painter, sheet.place(*self.selected), theme.colour("selection"), ratio, 1.5
            )
        if self.cursor_cell is not None:
            o, i, *inner = self.cursor_cell
            place = sheet.place(o, i)
            draw_outline(painter, place, theme.colour("cursor"), ratio, 1.5)
            if inner and sheet.cell >= 4:
                ky, kx = inner
                spot = QRectF(
                    place.left() + kx * sheet.cell,
                    place.top() + ky * sheet.cell,
                    sheet.cell,
                    sheet.cell,
                )
                draw_outline(painter, spot, theme.colour("cursor"), ratio, 1)

    def _draw_block(
        self, painter: QPainter, area: QRectF, sheet: Sheet, entries: pixels.Entries, block: int
    ) -> None:
        start = block * sheet.rows
        stop = min(start + sheet.rows, sheet.shape[0])
        left = _MARGIN_LEFT + block * sheet.block_width
        step_x, step_y = sheet.step
        first_row = max(int((area.top() - _MARGIN_TOP) // step_y), 0)
        last_row = min(int((area.bottom() - _MARGIN_TOP) // step_y) + 1, stop - start)
        first_column = max(int((area.left() - left) // step_x), 0)
        last_column = min(int((area.right() - left) // step_x) + 1, sheet.shape[1])
        if first_row >= last_row or first_column >= last_column:
            return
        part = entries[start + first_row : start + last_row, first_column:last_column]
        colours = pixels.table(self.mode)[part]
        rows, columns, kh, kw = colours.shape
        tiling = pixels.Tiling(
            columns, rows, sheet.cell, kw * sheet.cell, kh * sheet.cell, sheet.gap
        )
        line = int(theme.colour("panel").rgb())
        image = pixels.to_image(pixels.mosaic_pixels(colours.reshape(-1, kh, kw), tiling, line))
        corner = QPointF(left + first_column * step_x, _MARGIN_TOP + first_row * step_y)
        painter.drawImage(corner, image)
        self._draw_frames(painter, tiling, corner, sheet)
        self._draw_bad(painter, part, corner, sheet)
        painter.setFont(theme.mono(9))
        painter.setPen(theme.colour("muted"))
        every = max(-(-11 // step_y), 1)
        for row in range(first_row, last_row):
            if row % every == 0:
                place = QRectF(left - 26, _MARGIN_TOP + row * step_y, 22, step_y - sheet.gap)
                painter.drawText(place, int(RIGHT), f"{start + row}")
        every = max(-(-22 // step_x), 1)
        for column in range(first_column, last_column):
            if column % every == 0:
                place = QRectF(left + column * step_x - 10, 3, step_x + 20 - sheet.gap, 12)
                painter.drawText(place, int(CENTRE), f"{column}")

    def _draw_frames(
        self, painter: QPainter, tiling: pixels.Tiling, corner: QPointF, sheet: Sheet
    ) -> None:
        """Draw a line around each kernel, or around all where each is a single weight."""
        painter.setPen(QPen(theme.colour("line"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if not sheet.gap:
            frame = QRectF(corner.x(), corner.y(), tiling.width, tiling.height)
            painter.drawRect(frame.adjusted(-0.5, -0.5, 0.5, 0.5))
        elif sheet.cell >= 3:
            wide, tall = tiling.tile_width, tiling.tile_height
            draw_rects(
                painter,
                [
                    QRectF(corner.x() + x - 0.5, corner.y() + y - 0.5, wide + 1, tall + 1)
                    for x, y in map(tiling.corner, range(tiling.rows * tiling.columns))
                ],
            )

    def _draw_bad(
        self, painter: QPainter, part: pixels.Entries, corner: QPointF, sheet: Sheet
    ) -> None:
        if sheet.cell < 5 or part.all():
            return
        for o, i in {(int(o), int(i)) for o, i, _, _ in np.argwhere(part == 0)[:2000]}:
            cells = np.argwhere(part[o, i] == 0)
            origin = QPointF(corner.x() + i * sheet.step[0], corner.y() + o * sheet.step[1])
            pixels.hatch_nonfinite(painter, cells, origin, (sheet.cell, sheet.cell), self.ratio())

    def weight_at(self, place: QPointF) -> tuple[int, int, int, int] | None:
        """Return (o, i, ky, kx) at a place in content coordinates."""
        sheet = self.sheet()
        return None if sheet is None else sheet.at(place.x(), place.y())

    def tip_at(self, place: QPointF) -> str:
        """Return the exact weight under the pointer."""
        found = self.weight_at(place)
        if found is None or self.kernels is None:
            return ""
        index = ", ".join(str(i) for i in found)
        return f"weight [{index}] = {format_full(self.kernels[found])}"

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell which weight the pointer is on."""
        if event is not None:
            self.point_at(event.position())

    def hover_at(self, place: QPointF) -> None:
        """Tell which weight lies at a place."""
        found = self.weight_at(place + self.offset())
        if found is None:
            self.hover_left.emit()
        else:
            self.hovered.emit(*found)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Choose a kernel."""
        found = self.weight_at(event.position() + self.offset()) if event is not None else None
        if found is not None and event is not None and event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit(*found[:2])

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Move the chosen kernel with the arrows."""
        if event is None or self.kernels is None:
            return
        steps = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
        }
        step = steps.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
            return
        o, i = self.selected or (0, 0)
        if self.selected is not None:
            o, i = o + step[0], i + step[1]
        if 0 <= o < self.kernels.shape[0] and 0 <= i < self.kernels.shape[1]:
            self.chosen.emit(o, i)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Arrange anew."""
        self._sheet = None
        super().resizeEvent(event)
        self.sheet()
