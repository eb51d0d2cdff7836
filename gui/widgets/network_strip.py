"""The network as a strip of boxes with live thumbnails, health badges and all its branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PyQt6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import (
    QColor,
    QContextMenuEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import CENTRE, LEFT, RIGHT, ScrollCanvas, elided, text_width
from gui.widgets.network_graph import Edge, GraphLayout, StripNode, lay_out
from gui.widgets.window_content import Array, Mode

__all__ = ["NetworkStrip", "StripNode"]

_BOX, _SMALLEST_BOX = 118.0, 88
_GAP = 18
_TRACK = 9
_SMALLEST_HEIGHT = 62
"""Pixels of a box that still has room for a thumbnail; more lanes than fit are scrolled."""
_MOST_MAPS = 16
_MOST_VALUES = 400


class NetworkStrip(ScrollCanvas):
    """Boxes from left to right.

    A click selects, a double click or Enter activates, the right button or the menu key asks for a
    context menu, Left and Right move the selection.
    """

    selected = pyqtSignal(str)
    activated = pyqtSignal(str)
    context_requested = pyqtSignal(str, QPoint)
    """Node and place on the screen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Network", "Open a model to see its layers here.", parent)
        self._nodes: dict[str, StripNode] = {}
        self._graph: GraphLayout = lay_out(())
        self._maps: dict[str, tuple[Array, Mode]] = {}
        self._thumbnails: dict[str, QImage] = {}
        self._cursor: str | None = None
        self._selected: str | None = None
        self._hovered: str | None = None
        self.setMinimumSize(140, 72)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer the size it has in the debug layout."""
        return QSize(1040, 124)

    # --- content -------------------------------------------------------------------------------

    def set_nodes(self, nodes: Sequence[StripNode]) -> None:
        """Show another network, or other texts in the same one; thumbnails of kept names stay."""
        self._nodes = {node.name: node for node in nodes}
        self._graph = lay_out(list(nodes))
        for store in (self._maps, self._thumbnails):
            for name in [name for name in store if name not in self._nodes]:
                del store[name]
        if self._selected not in self._nodes:
            self._selected = None
        if self._cursor not in self._nodes:
            self._cursor = None
        self._fit()
        self.redraw()

    def set_thumbnail(self, name: str, maps: Array | None, mode: Mode = "signed") -> None:
        """Show the maps of a node.

        Parameters
        ----------
        name : str
        maps : float array, shape (c, h, w) or (c,), or None
            The first 16 maps are shown.
        mode : Mode
        """
        if name not in self._nodes:
            return
        self._thumbnails.pop(name, None)
        if maps is None or np.asarray(maps).size == 0:
            self._maps.pop(name, None)
        else:
            data = pixels.as_maps(maps)
            most = _MOST_VALUES if data.shape[1:] == (1, 1) else _MOST_MAPS
            self._maps[name] = (data[:most].copy(), mode)
        self.redraw()

    def set_badge(self, name: str, badge: str) -> None:
        """Change the health badge of a node."""
        if name in self._nodes and self._nodes[name].badge != badge:
            self._nodes[name] = replace(self._nodes[name], badge=badge)
            self.redraw()

    def set_note(self, name: str, text: str) -> None:
        """Change the small text of a node."""
        if name in self._nodes and self._nodes[name].note != text:
            self._nodes[name] = replace(self._nodes[name], note=text)
            self.redraw()

    def set_cursor(self, name: str | None) -> None:
        """Mark the node in which the next thing to execute lies, and scroll to it."""
        if name != self._cursor:
            self._cursor = name if name in self._nodes else None
            if self._cursor is not None:
                self.show_area(self._box(self._cursor), margin=_GAP)
            self.redraw()

    def set_selected(self, name: str | None) -> None:
        """Mark the node that other panels show, without a signal."""
        if name != self._selected:
            self._selected = name if name in self._nodes else None
            if self._selected is not None:
                self.show_area(self._box(self._selected), margin=_GAP)
            self.redraw()

    def is_empty(self) -> bool:
        """Return True while there is no network."""
        return not self._nodes

    def restyle(self) -> None:
        """Draw anew in the other theme's colours."""
        self._thumbnails.clear()

    # --- geometry ------------------------------------------------------------------------------

    def _box_width(self) -> float:
        """Return the width of a box: a little less where that makes all of them fit."""
        columns = max(self._graph.columns, 1)
        room = (self._surface().width() - 16 + _GAP) / columns - _GAP
        return float(int(min(max(room, _SMALLEST_BOX), _BOX))) if room >= _SMALLEST_BOX else _BOX

    def _box_height(self) -> float:
        lanes = max(self._graph.lanes, 1)
        room = self._surface().height() - 16 - self._graph.tracks * _TRACK - (lanes - 1) * 10
        return float(min(max(room / lanes, _SMALLEST_HEIGHT), 150))

    def _box(self, name: str) -> QRectF:
        column, lane = self._graph.places[name]
        height = self._box_height()
        width = self._box_width()
        return QRectF(8 + column * (width + _GAP), 8 + lane * (height + 10), width, height)

    def _fit(self) -> None:
        graph = self._graph
        width = 16 + graph.columns * (self._box_width() + _GAP) - _GAP
        height = 16 + graph.lanes * (self._box_height() + 10) - 10 + graph.tracks * _TRACK
        self.set_content_size(width, height)

    def node_at(self, place: QPointF) -> str | None:
        """Return the name of the node at a place in content coordinates."""
        return next((name for name in self._nodes if self._box(name).contains(place)), None)

    # --- drawing -------------------------------------------------------------------------------

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw edges, then the visible boxes."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for edge in self._graph.edges:
            self._draw_edge(painter, edge)
        for name in self._nodes:
            box = self._box(name)
            if box.intersects(area):
                self._draw_node(painter, self._nodes[name], box)

    def _draw_edge(self, painter: QPainter, edge: Edge) -> None:
        source, target = self._box(edge.source), self._box(edge.target)
        start = QPointF(source.right(), source.center().y())
        end = QPointF(target.left(), target.center().y())
        style = theme.current()
        painter.setPen(QPen(theme.blend(style.line, style.muted, 0.45), 1.2))
        path = QPainterPath(start)
        if not edge.detour:
            bend = max((end.x() - start.x()) / 2, 8)
            path.cubicTo(start + QPointF(bend, 0), end - QPointF(bend, 0), end)
        else:
            lanes = self._graph.lanes
            bottom = 8 + lanes * (self._box_height() + 10) - 10 + edge.detour * _TRACK - 3
            reach = _GAP / 2
            corner = 5.0
            start = QPointF(source.right(), source.center().y() + 8)
            end = QPointF(target.left(), target.center().y() + 8)
            path = QPainterPath(start)
            path.lineTo(start.x() + reach - corner, start.y())
            path.quadTo(start + QPointF(reach, 0), start + QPointF(reach, corner))
            path.lineTo(start.x() + reach, bottom - corner)
            path.quadTo(start.x() + reach, bottom, start.x() + reach + corner, bottom)
            path.lineTo(end.x() - reach - corner, bottom)
            path.quadTo(end.x() - reach, bottom, end.x() - reach, bottom - corner)
            path.lineTo(end.x() - reach, end.y() + corner)
            path.quadTo(end.x() - reach, end.y(), end.x() - reach + corner, end.y())
            path.lineTo(end)
        painter.drawPath(path)

    def _draw_node(self, painter: QPainter, node: StripNode, box: QRectF) -> None:
        is_cursor, is_selected = node.name == self._cursor, node.name == self._selected
        ground = "hover" if node.name == self._hovered else "head"
        painter.setBrush(theme.colour(ground))
        border = "cursor" if is_cursor else "selection" if is_selected else "line"
        painter.setPen(QPen(theme.colour(border), 1.6 if is_cursor or is_selected else 1.0))
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        if is_cursor and is_selected:
            painter.setPen(QPen(theme.colour("selection"), 1.2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box.adjusted(3, 3, -3, -3), 3, 3)
        badge_width = self._draw_badge(painter, node.badge, box)
        painter.setFont(theme.ui(12, bold=True))
        painter.setPen(theme.colour("text"))
        room = QRectF(box.left() + 8, box.top() + 4, box.width() - 14 - badge_width, 16)
        painter.drawText(room, int(LEFT), elided(painter.font(), node.name, room.width()))
        painter.setFont(theme.mono(9))
        painter.setPen(theme.colour("muted"))
        foot = QRectF(box.left() + 8, box.bottom() - 17, box.width() - 16, 13)
        note_width = text_width(painter.font(), node.note)
        shape_width = text_width(painter.font(), node.shape_text)
        painter.drawText(foot, int(LEFT), elided(painter.font(), node.shape_text, foot.width()))
        if node.note and shape_width + note_width + 6 <= foot.width():
            painter.drawText(foot, int(RIGHT), node.note)
        picture = QRectF(box.left() + 8, box.top() + 23, box.width() - 16, box.height() - 23 - 20)
        if picture.height() >= 14:
            self._draw_thumbnail(painter, node.name, picture)

    def _draw_badge(self, painter: QPainter, badge: str, box: QRectF) -> float:
        """Draw the badge at the top right; return its width. Letters tell it without colour."""
        if not badge:
            return 0.0
        name = "good" if badge == "ok" else "nonfinite" if badge.startswith("N") else "cursor"
        font = theme.mono(10)
        width = text_width(font, badge) + 8
        place = QRectF(box.right() - width - 6, box.top() + 5, width, 15)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(name, 0.2))
        painter.drawRoundedRect(place, 3, 3)
        painter.setFont(font)
        painter.setPen(theme.colour(name))
        painter.drawText(place, int(CENTRE), badge)
        return width + 4

    def _draw_thumbnail(self, painter: QPainter, name: str, place: QRectF) -> None:
        if name not in self._maps:
            return
        ratio = self.ratio()
        area = (max(int(place.width() * ratio), 1), max(int(place.height() * ratio), 1))
        image = self._thumbnails.get(name)
        if image is None or (image.width() > area[0] or image.height() > area[1]):
            maps, mode = self._maps[name]
            image = _thumbnail(maps, mode, area, theme.blend(theme.current().head, "#808080", 0.12))
            image.setDevicePixelRatio(ratio)
            self._thumbnails[name] = image
        width, height = image.width() / ratio, image.height() / ratio
        corner = QPointF(
            round(place.left() + (place.width() - width) / 2),
            round(place.top() + (place.height() - height) / 2),
        )
        painter.drawImage(corner, image)

    # --- pointer and keys ----------------------------------------------------------------------

    def tip_at(self, place: QPointF) -> str:
        """Return what is known of the node under the pointer."""
        name = self.node_at(place)
        return "" if name is None else self._fact(name)

    def _fact(self, name: str) -> str:
        node = self._nodes[name]
        kinds = {"D": "dead units", "N": "NaN or Inf", "S": "saturated", "X": "exploding"}
        health = kinds.get(node.badge[:1], "")
        parts = [node.name, node.kind, node.shape_text, node.note]
        text = "   ".join(part for part in parts if part)
        return f"{text}\n{health}: {node.badge}" if health else text

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Mark the node under the pointer."""
        name = self.node_at(event.position() + self.offset()) if event is not None else None
        if name != self._hovered:
            self._hovered = name
            self.redraw()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Select a node."""
        name = self.node_at(event.position() + self.offset()) if event is not None else None
        if name is not None and event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._choose(name)

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Activate a node."""
        name = self.node_at(event.position() + self.offset()) if event is not None else None
        if name is not None:
            self.activated.emit(name)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802
        """Ask for the context menu of a node."""
        if event is None:
            return
        name: str | None
        place = event.globalPos()
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            name = self._selected or self._cursor
            if name is not None:
                centre = self._box(name).center() - self.offset()
                place = self._surface().mapToGlobal(centre.toPoint())
        else:
            name = self.node_at(QPointF(event.pos()) + self.offset())
        if name is not None:
            self.context_requested.emit(name, place)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Move the selection; Enter activates it."""
        if event is None or not self._nodes:
            return
        names = list(self._nodes)
        now = self._selected or self._cursor
        place = names.index(now) if now in names else -1
        steps = {
            Qt.Key.Key_Left: max(place - 1, 0),
            Qt.Key.Key_Right: min(place + 1, len(names) - 1),
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: len(names) - 1,
        }
        key = Qt.Key(event.key())
        if key in steps:
            self._choose(names[steps[key]])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and now is not None:
            self.activated.emit(now)
        else:
            super().keyPressEvent(event)

    def _choose(self, name: str) -> None:
        self.set_selected(name)
        self.set_facts(self._fact(name).replace("\n", ", "))
        self.selected.emit(name)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Scroll sideways: the strip is wide, not tall."""
        bar = self.horizontalScrollBar()
        if event is not None and bar is not None:
            delta = event.angleDelta()
            bar.setValue(bar.value() - (delta.y() or delta.x()))
            event.accept()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Adapt boxes and scroll bars."""
        super().resizeEvent(event)
        self._thumbnails.clear()
        self._fit()
        for name in (self._selected, self._cursor):
            if name is not None:
                self.show_area(self._box(name), margin=_GAP)


def _thumbnail(maps: Array, mode: Mode, area: tuple[int, int], ground: QColor) -> QImage:
    """Draw maps small; those with more values than pixels are averaged, not sampled."""
    count, height, width = maps.shape
    colours = pixels.table(mode)[pixels.to_entries(maps, mode, pixels.finite_limits(maps, mode))]
    gap = 1 if height * width > 1 else 0
    tiling = pixels.tile(count, (height, width), area, gap, most_cell=14, whole=False)
    if tiling.cell >= 1:
        return pixels.to_image(pixels.mosaic_pixels(colours, tiling, int(ground.rgb())))
    wide = max(round(gap / tiling.cell), 1)
    native = pixels.Tiling(tiling.columns, tiling.rows, 1.0, width, height, wide)
    image = pixels.to_image(pixels.mosaic_pixels(colours, native, int(ground.rgb())))
    return image.scaled(
        *area,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
