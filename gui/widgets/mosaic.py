"""All maps of a layer as tiles: one picture, one paint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter, QPen, QPixmap, QResizeEvent
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import CENTRE, Canvas, draw_outline, draw_rects, elided, waiting_colour
from gui.widgets.cells import draw_numbers, numbers_fit
from gui.widgets.numbers import cell_scale, format_full, format_number, is_whole, scaled
from gui.widgets.window_content import Array, Mode

_LABEL = 13
"""Pixels below a tile for its name."""


class MosaicView(Canvas):
    """Tiles of all feature maps of one image.

    Arrow keys move the selection, Enter activates it.
    """

    selected = pyqtSignal(int)
    hovered = pyqtSignal(int, int, int)
    activated = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Feature maps", "Run a layer to see its feature maps here.", parent)
        self._maps: Array | None = None
        self._entries: pixels.Entries | None = None
        self._mode: Mode = "signed"
        self._limits: pixels.Limits = (-1.0, 1.0)
        self._titles: tuple[str, ...] = ()
        self._bad: npt.NDArray[np.intp] = np.zeros((0, 3), np.intp)
        self._selected: int | None = None
        self._cursor: int | None = None
        self._finished: int | None = None
        self._partial: npt.NDArray[np.bool_] | None = None
        self._tiling: pixels.Tiling | None = None
        self._image: QImage | None = None
        self._frames: QPixmap | None = None
        self._scale = (1.0, "")
        self.setMinimumSize(80, 60)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer the size of a quarter of the debug layout."""
        return QSize(300, 300)

    # --- content -------------------------------------------------------------------------------

    def set_maps(
        self,
        maps: Array | None,
        mode: Mode = "signed",
        titles: Sequence[str] | None = None,
        limits: pixels.Limits | None = None,
    ) -> None:
        """Show other maps.

        Parameters
        ----------
        maps : float array, shape (c, h, w), or None
            Vectors (c,) are shown as c maps of one value.
        mode : Mode
        titles : sequence of str, optional
            Name of each map; its number if not given.
        limits : (low, high), optional
            Range of the colours; the range of all maps if not given.
        """
        if maps is None or np.asarray(maps).size == 0:
            self._maps = self._entries = self._image = self._tiling = self._frames = None
            self._scale = (1.0, "")
            self.update()
            self.hover_again()
            return
        maps = pixels.as_maps(maps)
        names = tuple(titles or ())
        if self._maps is None or self._maps.shape != maps.shape:
            self._tiling = self._frames = None
        if names != self._titles:
            self._frames = None
        self._maps, self._mode, self._titles = maps, mode, names
        self._limits = limits or pixels.finite_limits(maps, mode)
        self._entries = pixels.to_entries(maps, mode, self._limits)
        self._bad = np.argwhere(self._entries == 0)
        self._scale = cell_scale(maps) if maps.shape[1:] == (1, 1) else (1.0, "")
        self._image = None
        if self._selected is not None and self._selected >= len(maps):
            self._selected = None
        self.update()
        self.hover_again()

    def set_selected(self, channel: int | None) -> None:
        """Outline a map in the selection colour, without a signal."""
        if channel != self._selected:
            self._selected = channel
            self.update()

    def set_cursor(self, channel: int | None) -> None:
        """Outline the map in which the next thing to execute lies."""
        if channel != self._cursor:
            self._cursor = channel
            self.update()

    def set_revealed(self, finished: int | None, partial: Array | None = None) -> None:
        """Hatch maps that are not computed yet.

        Parameters
        ----------
        finished : int or None
            How many maps are complete; None means all.
        partial : bool array, shape (h, w), optional
            Which cells of the first incomplete map are computed.
        """
        self._finished = finished
        self._partial = None if partial is None else np.asarray(partial, bool)
        self._image = None
        self.update()

    def selected_channel(self) -> int | None:
        """Return the selected map."""
        return self._selected

    def unit(self) -> str:
        """Return the power of ten that the numbers in the tiles are written in, or empty."""
        return self._scale[1]

    def limits(self) -> pixels.Limits:
        """Return the range of the colours."""
        return self._limits

    def is_empty(self) -> bool:
        """Return True while there are no maps."""
        return self._maps is None

    def restyle(self) -> None:
        """Draw anew in the other theme's colours."""
        self._image = self._frames = None

    # --- drawing -------------------------------------------------------------------------------

    def _layout(self) -> pixels.Tiling | None:
        if self._maps is None:
            return None
        if self._tiling is None:
            count, height, width = self._maps.shape
            ratio = self.ratio()
            margin = 2 * theme.GAP
            area = (
                max(int((self.width() - margin) * ratio), 1),
                max(int((self.height() - margin) * ratio), 1),
            )
            gap = max(round((1 if count > 64 or min(height, width) < 8 else 3) * ratio), 1)
            most = round((44 if height * width == 1 else 48) * ratio)
            plain = pixels.tile(count, (height, width), area, gap, most)
            label = round(_LABEL * ratio)
            named = pixels.tile(count, (height, width), area, gap, most, label)
            wide_enough = named.tile_width >= 22 * ratio
            self._tiling = named if named.cell >= plain.cell and wide_enough else plain
        return self._tiling

    def _origin(self, tiling: pixels.Tiling) -> QPointF:
        """Return the corner of the first tile: centred across, at the top."""
        ratio = self.ratio()
        left = max(round((self.width() * ratio - tiling.width) / 2), 0)
        top = min(theme.GAP * ratio, max((self.height() * ratio - tiling.height) / 2, 0))
        return QPointF(left / ratio, round(top) / ratio)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw the picture of all tiles, then outlines on top."""
        tiling = self._layout()
        if tiling is None or self._entries is None:
            return
        origin, ratio = self._origin(tiling), self.ratio()
        if self._image is None:
            self._image = self._render(tiling)
            self._image.setDevicePixelRatio(ratio)
        painter.drawImage(origin, self._image)
        self._draw_waiting(painter, tiling)
        self._draw_bad(painter, tiling)
        painter.drawPixmap(0, 0, self._frame_picture(tiling))
        self._draw_values(painter, tiling)
        if self._selected is not None and self._selected != self._cursor:
            draw_outline(painter, self._tile(self._selected), theme.colour("selection"), ratio, 1.5)
        if self._cursor is not None and self._cursor < len(self._entries):
            draw_outline(painter, self._tile(self._cursor), theme.colour("cursor"), ratio)

    def _render(self, tiling: pixels.Tiling) -> QImage:
        entries = self._entries
        if entries is None:
            return QImage()
        colours = pixels.table(self._mode)[entries]
        panel = int(theme.colour("panel").rgb())
        if self._finished is not None:
            first = self._finished
            colours[first + (self._partial is not None) :] = panel
            if self._partial is not None and first < len(colours):
                colours[first][~self._partial] = panel
        return pixels.to_image(pixels.mosaic_pixels(colours, tiling, panel))

    def _frame_picture(self, tiling: pixels.Tiling) -> QPixmap:
        """Return frames and names of all tiles, drawn once per arrangement."""
        if self._frames is None:
            ratio = self.ratio()
            self._frames = QPixmap(
                max(round(self.width() * ratio), 1), max(round(self.height() * ratio), 1)
            )
            self._frames.setDevicePixelRatio(ratio)
            self._frames.fill(Qt.GlobalColor.transparent)
            painter = QPainter(self._frames)
            self._draw_frames(painter, tiling)
            if tiling.label:
                self._draw_labels(painter, tiling)
            painter.end()
        return self._frames

    def _draw_frames(self, painter: QPainter, tiling: pixels.Tiling) -> None:
        """Draw a line around each tile: values near zero have the colour of the panel."""
        if self._maps is None or min(tiling.tile_width, tiling.tile_height) < 6:
            return
        thin = 1 / self.ratio()
        painter.setPen(QPen(theme.colour("line"), thin))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        half = thin / 2
        draw_rects(
            painter,
            [
                self._tile(channel).adjusted(-half, -half, half, half)
                for channel in range(len(self._maps))
            ],
        )

    def _draw_waiting(self, painter: QPainter, tiling: pixels.Tiling) -> None:
        if self._finished is None or self._entries is None:
            return
        ratio, shade = self.ratio(), waiting_colour()
        first = self._finished
        if self._partial is not None and first < len(self._entries):
            corner = self._tile(first)
            size = tiling.cell / ratio
            pixels.hatch_where(painter, ~self._partial, corner.topLeft(), size, shade, ratio)
            first += 1
        for channel in range(first, len(self._entries)):
            pixels.fill_hatched(painter, self._tile(channel), shade, ratio)

    def _draw_bad(self, painter: QPainter, tiling: pixels.Tiling) -> None:
        """Stripe bad cells; where tiles are smaller than their values, paint over lost ones."""
        if not len(self._bad):
            return
        ratio = self.ratio()
        if tiling.cell < 1:
            dots = [self._tile(int(c)).topLeft() for c in self._bad[: pixels.MOST_HATCHED, 0]]
            shade, step = theme.colour("nonfinite"), tiling.cell / ratio
            for corner, (_, y, x) in zip(dots, self._bad.tolist(), strict=False):
                painter.fillRect(
                    QRectF(corner.x() + x * step, corner.y() + y * step, 1 / ratio, 1 / ratio),
                    shade,
                )
            return
        cell = tiling.cell / ratio
        for channel in np.unique(self._bad[:, 0]).tolist():
            cells = self._bad[self._bad[:, 0] == channel][:, 1:]
            corner = self._tile(channel).topLeft()
            pixels.hatch_nonfinite(painter, cells, corner, (cell, cell), ratio)

    def _draw_labels(self, painter: QPainter, tiling: pixels.Tiling) -> None:
        if self._maps is None:
            return
        painter.setFont(theme.mono(9))
        painter.setPen(theme.colour("muted"))
        ratio = self.ratio()
        for channel in range(len(self._maps)):
            cell = self._tile(channel)
            room = QRectF(cell.left(), cell.bottom() + 2, cell.width(), tiling.label / ratio - 2)
            painter.drawText(
                room, int(CENTRE), elided(painter.font(), self._title(channel), cell.width())
            )

    def _draw_values(self, painter: QPainter, tiling: pixels.Tiling) -> None:
        """Write values into tiles of a single value each (a dense layer)."""
        if self._maps is None or self._entries is None or self._maps.shape[1:] != (1, 1):
            return
        size = tiling.cell / self.ratio()
        if not numbers_fit(size, size):
            return
        count = len(self._maps) if self._finished is None else min(self._finished, len(self._maps))
        corners = [self._tile(channel).topLeft() for channel in range(count)]
        draw_numbers(
            painter,
            corners,
            scaled(self._maps[:count].ravel(), self._scale[0]),
            self._entries[:count].ravel(),
            self._mode,
            (size, size),
            whole=is_whole(self._maps),
        )

    def _tile(self, channel: int) -> QRectF:
        """Return the area of a tile in logical pixels."""
        tiling = self._layout()
        if tiling is None:
            return QRectF()
        ratio, origin = self.ratio(), self._origin(tiling)
        x, y = tiling.corner(channel)
        return QRectF(
            origin.x() + x / ratio,
            origin.y() + y / ratio,
            tiling.tile_width / ratio,
            tiling.tile_height / ratio,
        )

    # --- pointer and keys ----------------------------------------------------------------------

    def channel_at(self, place: QPointF) -> tuple[int, int, int] | None:
        """Return (channel, y, x) at a place of the widget, or None beside the tiles."""
        tiling = self._layout()
        if tiling is None or self._maps is None:
            return None
        ratio, origin = self.ratio(), self._origin(tiling)
        found = tiling.tile_at((place.x() - origin.x()) * ratio, (place.y() - origin.y()) * ratio)
        if found is None or found[0] >= len(self._maps):
            return None
        _, height, width = self._maps.shape
        return found[0], min(found[1], height - 1), min(found[2], width - 1)

    def tip_at(self, place: QPointF) -> str:
        """Return the value under the pointer and the statistics of its map."""
        found = self.channel_at(place)
        if found is None or self._maps is None:
            return ""
        channel, y, x = found
        if self._is_waiting(channel, y, x):
            return f"{self._name(channel)}: not computed yet"
        return f"{self._name(channel)}  ({y}, {x}) = {format_full(self._maps[found])}\n" + (
            self._summary(channel)
        )

    def _is_waiting(self, channel: int, y: int, x: int) -> bool:
        if self._finished is None or channel < self._finished:
            return False
        if channel == self._finished and self._partial is not None:
            return not bool(self._partial[y, x])
        return True

    def _summary(self, channel: int) -> str:
        if self._maps is None:
            return ""
        data = self._maps[channel]
        finite = data[np.isfinite(data)]
        bad = data.size - finite.size
        if not finite.size:
            return f"{bad} NaN or Inf"
        parts = [
            f"min {format_number(finite.min(), 3)}",
            f"mean {format_number(finite.mean(dtype=np.float64), 3)}",
            f"max {format_number(finite.max(), 3)}",
        ]
        if bad:
            parts.append(f"{bad} NaN or Inf")
        return "   ".join(parts)

    def _title(self, channel: int) -> str:
        return self._titles[channel] if channel < len(self._titles) else f"{channel}"

    def _name(self, channel: int) -> str:
        return self._title(channel) if self._titles else f"map {channel}"

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Arrange the tiles anew."""
        self._tiling = self._image = self._frames = None
        super().resizeEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell which value the pointer is on."""
        if event is not None:
            self.point_at(event.position())

    def hover_at(self, place: QPointF) -> None:
        """Tell which value lies at a place."""
        found = self.channel_at(place)
        if found is None:
            self.hover_left.emit()
        else:
            self.hovered.emit(*found)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Select the map under the pointer."""
        found = self.channel_at(event.position()) if event is not None else None
        if found is not None and event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._choose(found[0])

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Activate the map under the pointer."""
        found = self.channel_at(event.position()) if event is not None else None
        if found is not None:
            self.activated.emit(found[0])

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Move the selection with the arrow keys; Enter activates it."""
        tiling = self._layout()
        if event is None or tiling is None or self._maps is None:
            return
        plain = event.modifiers() in (
            Qt.KeyboardModifier.NoModifier,
            Qt.KeyboardModifier.KeypadModifier,
        )
        step = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -tiling.columns,
            Qt.Key.Key_Down: tiling.columns,
        }.get(Qt.Key(event.key()))
        if plain and step is not None:
            now = self._selected if self._selected is not None else self._cursor
            target = 0 if now is None else now + step
            if 0 <= target < len(self._maps):
                self._choose(target)
        elif plain and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self._selected is not None:
                self.activated.emit(self._selected)
        else:
            super().keyPressEvent(event)

    def _choose(self, channel: int) -> None:
        self.set_selected(channel)
        self.set_facts(f"{self._name(channel)}: {self._summary(channel)}")
        self.selected.emit(channel)
