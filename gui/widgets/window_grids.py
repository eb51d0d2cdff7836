"""The left part of the window view: patches, weights and products as grids of numbers."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QEvent, QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QImage, QMouseEvent, QPainter, QResizeEvent
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets import pixels
from gui.widgets import window_layout as layout
from gui.widgets import window_stacks as stacks
from gui.widgets.canvas import CENTRE, LEFT, RIGHT, ScrollCanvas, draw_outline
from gui.widgets.numbers import MINUS, format_full
from gui.widgets.window_boxes import BoxPainter
from gui.widgets.window_content import WindowContent
from gui.widgets.window_split import split_plan


class GridsPane(ScrollCanvas):
    """Grids of all channels; where they are too many to read, one is enlarged."""

    term_hovered = pyqtSignal(int)
    term_clicked = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Operands of the current element", "", parent)
        self._content: WindowContent | None = None
        self._cursor: int | None = None
        self._products = True
        self._layers: list[stacks.Layer] = []
        self._plan: layout.Plan | None = None
        self._plan_size = (0, 0)
        self._plan_centre = (0, 0, 0)
        self._plan_is_split = False
        self._image: QImage | None = None
        self._painter = BoxPainter()
        self._hovered_channel: int | None = None
        self._hovered_term = -1
        self._strongest = 0
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)

    # --- content -------------------------------------------------------------------------------

    def set_content(self, content: WindowContent | None) -> None:
        """Show the operands of another element."""
        self._content = content
        self._cursor = content.cursor_term if content is not None else None
        self._hovered_channel, self._hovered_term = None, -1
        self._prepare()

    def set_products_visible(self, visible: bool) -> None:
        """Show or hide the row of products."""
        self._products = visible
        self._prepare()

    def set_cursor_term(self, term: int | None) -> None:
        """Move to another term of the same element."""
        self._cursor = term
        self._image = None
        self.redraw()

    def _prepare(self) -> None:
        content = self._content
        self._layers = [] if content is None else stacks.layers_of(content, self._products)
        if content is not None and self._layers:
            self._strongest = stacks.strongest_channel(self._layers[0], content)
        self._plan, self._image = None, None
        self._painter.clear()
        self.redraw()

    def is_empty(self) -> bool:
        """Return True while there are no grids."""
        return not self._layers

    def restyle(self) -> None:
        """Draw anew in the other theme's colours."""
        self._image = None
        self._painter.clear()

    def natural_width(self, height: int, most: int) -> int:
        """Return the width that the grids use at best for a height, at most `most`."""
        if not self._layers:
            return 0
        size = (most - 16, height - 12)
        plan = layout.full_plan(self._layers, *size)
        plan = plan or split_plan(self._layers, *size, self._centre())
        return min(plan.width + 20, most)

    def _current_plan(self) -> layout.Plan:
        """Return where everything stands; a step within what is visible changes nothing."""
        surface = self._surface()
        size, centre = (surface.width() - 16, surface.height() - 12), self._centre()
        same_size = self._plan is not None and self._plan_size == size
        if same_size and self._plan is not None:
            if not self._plan_is_split or centre == self._plan_centre:
                return self._plan
            self._plan = split_plan(self._layers, *size, centre, self._plan)
        else:
            plan = layout.full_plan(self._layers, *size)
            self._plan_is_split = plan is None
            self._plan = plan or split_plan(self._layers, *size, centre)
            self.set_content_size(self._plan.width + 16, self._plan.height + 12)
        self._plan_size, self._plan_centre = size, centre
        self._image = None
        return self._plan

    def _centre(self) -> tuple[int, int, int]:
        """Return the cell to keep in view: that of the cursor, or of what is hovered."""
        layer = self._layers[0]
        _, height, width = layer.shape
        place = stacks.place_of_term(layer, self._cursor)
        channel, row, column = place or (self._strongest, height // 2, width // 2)
        if self._hovered_channel is not None and self._hovered_channel < layer.shape[0]:
            channel = self._hovered_channel
        return channel, row, column

    # --- drawing -------------------------------------------------------------------------------

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw overview, grids and the operators between them."""
        plan = self._current_plan()
        painter.translate(8, 8)
        if plan.overview is not None:
            self._draw_overview(painter, plan.overview)
        for box in plan.boxes:
            if box.bottom + 30 >= area.top() and box.top - 30 <= area.bottom():
                layer = self._layers[box.layer]
                self._painter.draw(painter, box, layer, self._cursor, self.ratio())
                self._mark(painter, box, layer)
        painter.setPen(theme.colour("muted"))
        for sign in plan.signs:
            up = 6 if sign.unit else 0
            painter.setFont(theme.ui(12))
            place = QRectF(sign.x - 20, sign.y - 10 - up, 40, 20)
            painter.drawText(place, int(CENTRE), sign.text)
            if sign.unit:
                painter.setFont(theme.mono(9))
                painter.drawText(place.adjusted(-4, 12, 4, 12), int(CENTRE), sign.unit)
        painter.translate(-8, -8)

    def _mark(self, painter: QPainter, box: layout.Box, layer: stacks.Layer) -> None:
        """Outline the cell of the next term, and where a maximum stands so far."""
        content, ratio = self._content, self.ratio()
        if content is None:
            return
        for place in stacks.leaders(layer, content, self._cursor):
            self._outline(painter, box, place, theme.colour("good"), ratio)
        hovered = stacks.place_of_term(layer, self._hovered_term)
        if hovered is not None:
            self._outline(painter, box, hovered, theme.colour("selection"), ratio)
        now = stacks.place_of_term(layer, self._cursor)
        if now is not None:
            self._outline(painter, box, now, theme.colour("cursor"), ratio)

    def _outline(
        self,
        painter: QPainter,
        box: layout.Box,
        place: tuple[int, int, int],
        shade: QColor,
        ratio: float,
    ) -> None:
        channel, row, column = place
        if channel == box.channel and row in box.rows and column in box.columns:
            left = box.lefts[column - box.columns.start]
            top = box.tops[row - box.rows.start]
            draw_outline(painter, QRectF(left, top, box.cell[0] - 1, box.cell[1] - 1), shade, ratio)

    def _draw_overview(self, painter: QPainter, plan: layout.Overview) -> None:
        layers = self._layers[: plan.sections]
        if self._image is None:
            self._image = self._render_overview(plan, layers)
        painter.drawImage(QPointF(plan.left, plan.top), self._image)
        painter.setFont(theme.mono(10))
        painter.setPen(theme.colour("muted"))
        if plan.tile[1] >= 9:
            for line in range(plan.lines):
                for section, layer in enumerate(layers):
                    left, top = plan.corner(section, plan.first + line * plan.per_line)
                    room = QRectF(left - layout.NAME, top, layout.NAME - 6, plan.tile[1])
                    painter.drawText(room, int(RIGHT), layer.name)
        channels = layers[0].shape[0]
        if plan.shown < channels:
            last = min(plan.first + plan.shown, channels) - 1
            text = f"channels {plan.first} to {last} of {channels}"
            room = QRectF(plan.left, plan.top + plan.height, 300, layout.CAPTION)
            painter.drawText(room, int(LEFT), text)
        place = stacks.place_of_term(layers[0], self._cursor)
        channel = self._centre()[0]
        if not plan.first <= channel < plan.first + plan.shown:
            return
        for section in range(plan.sections):
            if layers[0].shape[0] > 1:
                tile = self._overview_cell(plan, channel, section, None)
                draw_outline(painter, tile, theme.colour("muted"), self.ratio(), 1)
            if place is not None and place[0] == channel:
                cell = self._overview_cell(plan, place[0], section, place[1:])
                draw_outline(painter, cell, theme.colour("cursor"), self.ratio(), 1.5)

    def _render_overview(self, plan: layout.Overview, layers: list[stacks.Layer]) -> QImage:
        style = theme.current()
        padding = int(theme.blend(style.panel, style.muted, 0.28).rgb())
        panel = int(theme.colour("panel").rgb())
        height, width = plan.shape
        picture = np.full((plan.height, plan.width), panel, np.uint32)
        for section, layer in enumerate(layers):
            later = stacks.waiting(layer, self._cursor)
            colours = np.where(
                later,
                pixels.table(layer.mode, pixels.waiting_share())[layer.entries],
                pixels.table(layer.mode)[layer.entries],
            )
            colours[np.broadcast_to(~layer.inside, colours.shape)] = padding
            flat = np.full((plan.lines * plan.per_line, height * width), panel, np.uint32)
            colours = colours.reshape(layer.shape[0], -1)[plan.first : plan.first + plan.shown]
            flat[: colours.shape[0], : colours.shape[1]] = colours
            tiling = pixels.Tiling(
                plan.per_line, plan.lines, plan.cell, *plan.tile, plan.gap, label=0
            )
            block = pixels.mosaic_pixels(flat.reshape(-1, height, width), tiling, panel)
            left, top = plan.corner(section, plan.first)
            left, top = left - plan.left, top - plan.top
            for line in range(plan.lines):
                source = line * (plan.tile[1] + plan.gap)
                target = top + line * plan.line_step
                picture[target : target + plan.tile[1], left : left + block.shape[1]] = block[
                    source : source + plan.tile[1]
                ]
        return pixels.to_image(picture)

    def _overview_cell(
        self, plan: layout.Overview, channel: int, section: int, cell: tuple[int, int] | None
    ) -> QRectF:
        """Return the area of a tile, or of one cell of it; a vector's cells are wrapped."""
        left, top = plan.corner(section, channel)
        if cell is None:
            return QRectF(left, top, *plan.tile)
        row, column = cell
        if layout.is_vector(self._layers[0]):
            row, column = divmod(column, plan.shape[1])
        return QRectF(left + column * plan.cell, top + row * plan.cell, plan.cell, plan.cell)

    # --- pointer -------------------------------------------------------------------------------

    def place_at(self, place: QPointF) -> tuple[int, int, int, int] | None:
        """Return (layer, channel, row, column) at a place in content coordinates."""
        if not self._layers:
            return None
        plan, x, y = self._current_plan(), place.x() - 8, place.y() - 8
        for box in plan.boxes:
            cell = box.cell_at(x, y)
            if cell is not None:
                return box.layer, box.channel, *cell
        return self._overview_place(plan.overview, x, y) if plan.overview is not None else None

    def _overview_place(
        self, plan: layout.Overview, x: float, y: float
    ) -> tuple[int, int, int, int] | None:
        found = plan.cell_at(x, y)
        if found is None:
            return None
        section, channel, row, column = found
        if layout.is_vector(self._layers[0]):
            row, column = 0, row * plan.shape[1] + column
        layer = self._layers[section]
        inside = channel < plan.first + plan.shown and all(
            i < size for i, size in zip((channel, row, column), layer.shape, strict=True)
        )
        return (section, channel, row, column) if inside else None

    def tip_at(self, place: QPointF) -> str:
        """Return tensor, coordinates and exact value under the pointer."""
        found = self.place_at(place)
        if found is None:
            return ""
        number, *cell = found
        layer, term = self._layers[number], self._term(found)
        c, h, w = cell
        where = f"[{int(layer.channels[c])}, {int(layer.rows[h])}, {int(layer.columns[w])}]"
        where = where.replace("-", MINUS)
        if layer.product and (term < 0 or (self._cursor is not None and term > self._cursor)):
            return f"product of term {term}: not computed yet" if term >= 0 else ""
        value = format_full(layer.values[c, h, w])
        if not layer.inside[h, w] and not layer.product:
            return f"{layer.tensor}{where}: padding"
        if layer.product:
            where = ""
        return f"{layer.tensor}{where} = {value}" + (f"\nterm {term}" if term >= 0 else "")

    def _term(self, place: tuple[int, int, int, int]) -> int:
        number, *cell = place
        return int(self._layers[number].terms[tuple(cell)])

    def set_hovered_term(self, term: int) -> None:
        """Outline a term that is hovered elsewhere; -1 for none."""
        if term != self._hovered_term:
            self._hovered_term = term
            self.redraw()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell which term the pointer is on; over a tile of the overview, enlarge it."""
        if event is None:
            return
        place = event.position() + self.offset()
        found = self.place_at(place)
        overview = self._plan.overview if self._plan is not None else None
        over = overview is not None and place.y() - 8 < overview.top + overview.height
        channel = found[1] if found is not None and over else None
        if over and channel != self._hovered_channel:
            self._hovered_channel = channel
            self.redraw()
        self._hover(self._term(found) if found is not None else -1)

    def _hover(self, term: int) -> None:
        if term != self._hovered_term:
            self._hovered_term = term
            self.redraw()
            self.term_hovered.emit(term)

    def leaveEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Forget what was hovered."""
        self._hovered_channel = None
        self._hover(-1)
        self.redraw()
        super().leaveEvent(event)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell which term was clicked."""
        found = self.place_at(event.position() + self.offset()) if event is not None else None
        if found is not None and self._term(found) >= 0:
            self.set_facts(self.tip_at((event.position() if event else QPointF()) + self.offset()))
            self.term_clicked.emit(self._term(found))

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Lay out anew."""
        self._plan, self._image = None, None
        super().resizeEvent(event)
