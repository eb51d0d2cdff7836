"""All kernels of a layer, rows are outputs and columns inputs, and one of them with its numbers."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QPainter, QPen, QResizeEvent
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import (
    LEFT,
    Canvas,
    draw_outline,
    elided,
)
from gui.widgets.cells import draw_numbers, numbers_fit
from gui.widgets.kernel_sheet import KernelSheet
from gui.widgets.numbers import cell_scale, format_full, format_number, is_whole, scaled
from gui.widgets.window_content import Array, Mode

_STATISTICS_WIDTH = 100


class _KernelDetail(Canvas):
    """One kernel, large, with its numbers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Selected kernel", "", parent)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._kernel: Array | None = None
        self._entries: pixels.Entries | None = None
        self._mode: Mode = "signed"
        self._name = ""
        self._cursor: tuple[int, int] | None = None

    def show_kernel(
        self,
        kernel: Array | None,
        entries: pixels.Entries | None,
        mode: Mode,
        name: str,
        cursor: tuple[int, int] | None,
    ) -> None:
        """Show another kernel."""
        self._kernel, self._entries, self._mode = kernel, entries, mode
        self._name, self._cursor = name, cursor
        self.update()

    def _wide(self) -> bool:
        """Return True if the statistics stand beside the kernel rather than below."""
        return self.width() > self.height() * 1.2

    def _cell(self) -> float:
        if self._kernel is None:
            return 0.0
        kh, kw = self._kernel.shape
        width, height = self.width() - 16, self.height() - 32
        if self._wide():
            width -= _STATISTICS_WIDTH
        else:
            height -= 28
        return float(int(min(width / kw, height / kh, 64)))

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw name, cells and statistics."""
        kernel, entries = self._kernel, self._entries
        if kernel is None or entries is None:
            return
        factor, unit = cell_scale(kernel)
        painter.setFont(theme.mono(12, bold=True))
        painter.setPen(theme.colour("text"))
        title = f"{self._name} {unit}".strip()
        line = QRectF(8, 6, self.width() - 16, 16)
        painter.drawText(line, int(LEFT), elided(painter.font(), title, line.width()))
        cell, (kh, kw) = self._cell(), kernel.shape
        corner = QPointF(8, 26 + 6)
        if cell >= 1:
            frame = QRectF(8, 26, kw * cell, kh * cell)
            painter.drawImage(frame, pixels.to_image(pixels.table(self._mode)[entries]))
            painter.setPen(QPen(theme.colour("line"), 1))
            painter.drawRect(frame)
            if numbers_fit(cell, cell):
                corners = [
                    QPointF(8 + x * cell, 26 + y * cell) for y in range(kh) for x in range(kw)
                ]
                draw_numbers(
                    painter,
                    corners,
                    scaled(kernel.ravel(), factor),
                    entries.ravel(),
                    self._mode,
                    (cell, cell),
                    whole=is_whole(kernel),
                )
            if self._cursor is not None:
                ky, kx = self._cursor
                spot = QRectF(8 + kx * cell, 26 + ky * cell, cell, cell)
                draw_outline(painter, spot, theme.colour("cursor"), self.ratio())
            below = QPointF(8, frame.bottom() + 6)
            corner = QPointF(frame.right() + 12, 26) if self._wide() else below
        painter.setFont(theme.mono(11))
        painter.setPen(theme.colour("muted"))
        finite = kernel[np.isfinite(kernel)].astype(np.float64)
        lines = (
            f"norm {format_number(float(np.sqrt((finite**2).sum())), 4)}",
            f"mean {format_number(float(finite.mean()) if finite.size else float('nan'), 4)}",
        )
        for i, text in enumerate(lines):
            place = QRectF(corner.x(), corner.y() + i * 15, self.width() - corner.x() - 4, 14)
            if place.bottom() <= self.height():
                painter.drawText(place, int(LEFT), elided(painter.font(), text, place.width()))

    def tip_at(self, place: QPointF) -> str:
        """Return the exact weight under the pointer."""
        cell = self._cell()
        if self._kernel is None or cell < 1:
            return ""
        y, x = int((place.y() - 26) // cell), int((place.x() - 8) // cell)
        kh, kw = self._kernel.shape
        if not (0 <= y < kh and 0 <= x < kw):
            return ""
        return f"{self._name} ({y}, {x}) = {format_full(self._kernel[y, x])}"


class KernelView(QWidget):
    """Kernels of a layer as mosaic, the selected one enlarged at the right."""

    selected = pyqtSignal(int, int)
    hovered = pyqtSignal(int, int, int, int)
    hover_left = pyqtSignal()
    facts_changed = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Kernels of the layer")
        self.setProperty("surface", "panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._sheet = KernelSheet(self)
        self._detail = _KernelDetail(self)
        self._sheet.chosen.connect(self._choose)
        self._sheet.hovered.connect(self.hovered)
        self._sheet.hover_left.connect(self.hover_left)
        self._sheet.facts_changed.connect(self.facts_changed)
        self.setFocusProxy(self._sheet)
        self.setMinimumSize(120, 80)
        self._arrange()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer half the width of the map panel."""
        return QSize(420, 280)

    def set_kernels(
        self, kernels: Array | None, limits: pixels.Limits | None = None, mode: Mode = "signed"
    ) -> None:
        """Show other kernels.

        Parameters
        ----------
        kernels : float array, shape (o, i, kh, kw), or None
            Fewer axes are filled up with ones at the end: (out, in) is a dense layer.
        limits : (low, high), optional
            Range of the colours; all kernels share one if not given.
        mode : Mode
        """
        if kernels is None or np.asarray(kernels).size == 0:
            self._sheet.show_kernels(None, None)
            self._sheet.selected = None
            self._update_detail()
            return
        data = np.asarray(kernels)
        data = data.reshape(data.shape + (1,) * (4 - data.ndim)) if data.ndim < 4 else data
        data = data.reshape(data.shape[0], data.shape[1], -1, data.shape[-1])
        entries = pixels.to_entries(data, mode, limits or pixels.finite_limits(data, mode))
        self._sheet.mode = mode
        chosen = self._sheet.selected
        if chosen is not None and (chosen[0] >= data.shape[0] or chosen[1] >= data.shape[1]):
            self._sheet.selected = None
        cursor = self._sheet.cursor_cell
        if cursor is not None and any(
            i >= size for i, size in zip(cursor, data.shape, strict=False)
        ):
            self._sheet.cursor_cell = None
        self._sheet.show_kernels(data, entries)
        self._update_detail()

    def set_selected(self, o: int | None, i: int | None = None) -> None:
        """Outline and enlarge a kernel, without a signal."""
        self._sheet.selected = None if o is None or i is None else (o, i)
        self._sheet.redraw()
        self._update_detail()

    def set_cursor(
        self, o: int | None, i: int | None = None, ky: int | None = None, kx: int | None = None
    ) -> None:
        """Outline the weight that the next thing to execute uses; None for none."""
        if o is None or i is None:
            self._sheet.cursor_cell = None
        elif ky is None or kx is None:
            self._sheet.cursor_cell = (o, i)
        else:
            self._sheet.cursor_cell = (o, i, ky, kx)
        self._sheet.redraw()
        self._update_detail()

    def set_empty_text(self, text: str) -> None:
        """Set the sentence that is shown while there are no kernels."""
        self._sheet.set_empty_text(text)

    def _choose(self, o: int, i: int) -> None:
        self.set_selected(o, i)
        sheet = self._sheet.sheet()
        if sheet is not None:
            self._sheet.show_area(sheet.place(o, i))
        self.selected.emit(o, i)

    def _update_detail(self) -> None:
        sheet = self._sheet
        chosen = sheet.selected or (sheet.cursor_cell[:2] if sheet.cursor_cell else None)
        if sheet.kernels is None or sheet.entries is None or chosen is None:
            self._detail.show_kernel(None, None, "signed", "", None)
        else:
            o, i = chosen
            cell = sheet.cursor_cell
            cursor = (cell[2], cell[3]) if cell and len(cell) == 4 and cell[:2] == (o, i) else None
            kernel = sheet.kernels[o, i]
            name = f"w[{o}, {i}]"
            self._detail.show_kernel(kernel, sheet.entries[o, i], sheet.mode, name, cursor)
            sheet.set_facts(f"kernel {name}, {kernel.shape[0]} × {kernel.shape[1]}")
        self._arrange()

    def _arrange(self) -> None:
        """Put the enlarged kernel where the longer side is."""
        chosen = self._sheet.selected is not None or self._sheet.cursor_cell is not None
        shown = self._sheet.kernels is not None and chosen
        width, height = self.width(), self.height()
        if not shown or max(width, height) < 220:
            self._detail.hide()
            self._sheet.setGeometry(0, 0, width, height)
            return
        self._detail.show()
        if width >= height * 1.1:
            side = int(min(max(width * 0.36, 110), height * 0.95, 260))
            self._sheet.setGeometry(0, 0, width - side, height)
            self._detail.setGeometry(width - side, 0, side, height)
        else:
            side = int(min(max(height * 0.48, 155), width + 40, 300))
            self._sheet.setGeometry(0, 0, width, height - side)
            self._detail.setGeometry(0, height - side, width, side)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Share the room anew."""
        super().resizeEvent(event)
        self._arrange()
