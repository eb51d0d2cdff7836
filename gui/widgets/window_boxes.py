"""Painting the grids of the window view, and keeping what a step does not change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QFont, QPainter, QPen, QPixmap

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import CENTRE, RIGHT, elided, text_width, waiting_colour
from gui.widgets.cells import draw_numbers
from gui.widgets.numbers import MINUS, scaled
from gui.widgets.window_content import Mode
from gui.widgets.window_layout import COORDINATE, LABEL, Box
from gui.widgets.window_stacks import Layer, waiting

Mask = npt.NDArray[np.bool_]

_MOST_KEPT = 120
"""Pictures of grids that are kept; older ones are dropped."""


@dataclass(slots=True)
class _Kept:
    """The picture of a grid and which of its cells wait in it."""

    picture: QPixmap
    later: Mask


class BoxPainter:
    """Draws grids; a grid of which one cell has changed costs that cell only."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], _Kept] = {}

    def clear(self) -> None:
        """Forget all pictures: other content, theme or font."""
        self._kept.clear()

    def draw(
        self, painter: QPainter, box: Box, layer: Layer, cursor: int | None, ratio: float
    ) -> None:
        """Draw the cells of a grid, its frame, coordinates and name.

        Parameters
        ----------
        painter : QPainter
        box : Box
        layer : Layer
        cursor : int or None
            The next term.
        ratio : float
            Device pixel ratio.
        """
        part = _part(box)
        terms = layer.terms[part].ravel()
        later = waiting(layer, cursor)[part].ravel() & (terms != cursor)
        key = (box.layer, box.channel, box.rows, box.columns, box.cell, ratio)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            kept = self._kept[key] = _Kept(_blank(box, ratio), later)
            changed = np.arange(later.size)
        else:
            changed = np.flatnonzero(kept.later != later)
            kept.later = later
        if changed.size:
            inner = QPainter(kept.picture)
            inner.translate(-box.left, -box.top)
            _draw_cells(inner, box, layer, later, changed, ratio)
            inner.end()
        painter.drawPixmap(QPointF(box.left, box.top), kept.picture)
        painter.setPen(QPen(theme.colour("line"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(box.left - 1, box.top - 1, box.right - box.left, box.bottom - box.top)
        _draw_names(painter, box, layer)


def _part(box: Box) -> tuple[int, slice, slice]:
    """Return the index of a box's cells in its layer."""
    return (
        box.channel,
        slice(box.rows.start, box.rows.stop),
        slice(box.columns.start, box.columns.stop),
    )


def _blank(box: Box, ratio: float) -> QPixmap:
    width, height = box.right - box.left, box.bottom - box.top
    picture = QPixmap(max(round(width * ratio), 1), max(round(height * ratio), 1))
    picture.setDevicePixelRatio(ratio)
    picture.fill(theme.colour("panel"))
    return picture


def _draw_cells(
    painter: QPainter,
    box: Box,
    layer: Layer,
    later: Mask,
    changed: npt.NDArray[np.intp],
    ratio: float,
) -> None:
    """Draw some cells: value colours and numbers, hatch where there is no value (yet)."""
    part = _part(box)
    terms, entries = layer.terms[part].ravel(), layer.entries[part].ravel()
    inside = layer.inside[part[1:]].ravel()
    blank = (later | (terms < 0)) if layer.product else ~inside
    faded = later & ~blank
    width, height = box.cell[0] - 1, box.cell[1] - 1
    corners = [(left, top) for top in box.tops for left in box.lefts]
    style = theme.current()
    panel = theme.colour("panel")
    share = pixels.waiting_share()
    solid, pale = _colours(layer.mode, 0.0, style), _colours(layer.mode, share, style)
    wait = pixels.hatch_brush(waiting_colour(), ratio)
    padding = pixels.hatch_brush(theme.blend(style.panel, style.muted, 0.6), ratio, 4)
    stripes = pixels.hatch_brush(theme.blend(style.nonfinite, "#000000", 0.55), ratio, 5)
    for i in changed.tolist():
        left, top = corners[i]
        if blank[i]:
            painter.fillRect(left, top, width, height, panel)
            brush = wait if inside[i] or layer.product else padding
            painter.fillRect(left, top, width, height, brush)
            continue
        painter.fillRect(left, top, width, height, (pale if faded[i] else solid)[entries[i]])
        if entries[i] == 0:
            painter.fillRect(left, top, width, height, stripes)
    values = layer.values[part].ravel()
    for waits, pale_share in ((False, 0.0), (True, share)):
        chosen = changed[(faded[changed] == waits) & ~blank[changed]]
        if chosen.size:
            draw_numbers(
                painter,
                [QPointF(*corners[i]) for i in chosen.tolist()],
                scaled(values[chosen], layer.factor),
                entries[chosen],
                layer.mode,
                (width, height),
                pale_share,
                layer.whole,
            )


def _draw_names(painter: QPainter, box: Box, layer: Layer) -> None:
    """Write the tensor's own row and column numbers beside the grid, and its name below."""
    painter.setFont(theme.mono(9))
    painter.setPen(theme.colour("muted"))
    width, height = box.cell
    if box.column_numbers:
        for column, left in zip(box.columns, box.lefts, strict=True):
            place = QRectF(left - 6, box.top - COORDINATE, width + 11, 11)
            painter.drawText(place, int(CENTRE), _coordinate(layer.columns[column]))
    if box.coordinates:
        for row, top in zip(box.rows, box.tops, strict=True):
            place = QRectF(box.left - 26, top, 22, height - 1)
            painter.drawText(place, int(RIGHT), _coordinate(layer.rows[row]))
    if box.label:
        painter.setFont(theme.mono(10))
        place = QRectF(box.left - 10, box.bottom, box.right - box.left + 20, LABEL - 1)
        text = named(painter.font(), box.label, layer.unit, place.width())
        painter.drawText(place, int(CENTRE), text)


def named(font: QFont, label: str, unit: str, width: float) -> str:
    """Shorten the name of a grid to a width; its power of ten stays whole."""
    if not unit or text_width(font, label) <= width:
        return elided(font, label, width)
    name = elided(font, label.removesuffix(unit).strip(), width - text_width(font, f" {unit}"))
    return f"{name} {unit}".strip()


def _coordinate(value: int) -> str:
    return f"{MINUS}{-int(value)}" if value < 0 else f"{int(value)}"


@lru_cache(maxsize=16)
def _colours(mode: Mode, faded: float, style: theme.Theme) -> tuple[QColor, ...]:
    """Return the 256 colours of a mode, made once per theme: making them costs more than using."""
    return tuple(QColor(int(value)) for value in pixels.table(mode, faded).tolist())
