"""Numbers written into the cells of a grid by one pass of the painter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from PyQt6.QtCore import QPointF
from PyQt6.QtGui import QColor, QFont, QPainter

from gui import theme
from gui.widgets import pixels
from gui.widgets.canvas import baseline, metrics
from gui.widgets.numbers import cell_text
from gui.widgets.window_content import Array, Mode

SMALLEST_TEXT = 8
LARGEST_TEXT = 13
PADDING = 4.0
"""Pixels of a cell that its number leaves free, both sides together."""
_DARK, _LIGHT = "#0b0e12", "#f4f7fb"


def cell_font(width: float, height: float, characters: int = 4) -> tuple[QFont, int] | None:
    """Choose the font for cells of a size.

    Parameters
    ----------
    width, height : float
        Of a cell in pixels.
    characters : int
        Fewest characters that must fit.

    Returns
    -------
    (font, characters) or None
        The largest font in which that many characters fit, and how many fit in it; None if the
        cell is too small for any.
    """
    found = _fitting(width, height, characters, theme.font_scale())
    return None if found is None else (theme.mono(found[0]), found[1])


@lru_cache(maxsize=256)
def _fitting(width: float, height: float, characters: int, _scale: float) -> tuple[int, int] | None:
    for size in range(LARGEST_TEXT, SMALLEST_TEXT - 1, -1):
        font = theme.mono(size)
        measure = metrics(font)
        advance = measure.horizontalAdvance("0")
        if measure.capHeight() + 5 <= height and advance * characters + PADDING <= width:
            return size, min(int((width - PADDING) / advance), 7)
    return None


def numbers_fit(width: float, height: float) -> bool:
    """Return True if a cell has room for a number."""
    return cell_font(width, height) is not None


def cell_texts(values: Array, characters: int, whole: bool = False) -> list[str]:
    """Write values for cells; all cells of a call use the same most decimals."""
    decimals = 0 if whole else 2 if characters <= 5 else 3
    return [cell_text(value, characters, decimals) for value in values.ravel().tolist()]


def draw_numbers(
    painter: QPainter,
    corners: Sequence[QPointF],
    values: Array,
    entries: pixels.Entries,
    mode: Mode,
    cell: tuple[float, float],
    faded: float = 0.0,
    whole: bool = False,
) -> None:
    """Write one number into each cell, dark or light as its colour asks.

    Parameters
    ----------
    painter : QPainter
    corners : sequence of QPointF
        Top left corner of each cell.
    values : float array, shape (cells,)
    entries : uint8 array, shape (cells,)
        Colour entry of each cell.
    mode : Mode
    cell : (width, height)
    faded : float
        How far the cells' colours were moved towards the panel.
    whole : bool
        The grid holds whole numbers only: write no decimals.
    """
    chosen = cell_font(*cell) or cell_font(*cell, characters=3)
    if chosen is None:
        return
    font, characters = chosen
    texts = cell_texts(values, characters, whole)
    advance = metrics(font).horizontalAdvance("0")
    down = baseline(font, 0, cell[1])
    dark = pixels.wants_dark_text(mode, faded)[entries].tolist()
    pens = _pens(faded)
    painter.setFont(font)
    for shade in (False, True):  # two passes: changing the pen costs more than the loop
        painter.setPen(pens[shade])
        for corner, text, is_dark in zip(corners, texts, dark, strict=True):
            if is_dark is shade:
                across = (cell[0] - advance * len(text)) / 2
                painter.drawText(QPointF(corner.x() + across, corner.y() + down), text)


def _pens(faded: float) -> tuple[QColor, QColor]:
    light, dark = QColor(_LIGHT), QColor(_DARK)
    if faded:
        light.setAlphaF(1.0 - 0.6 * faded)
        dark.setAlphaF(1.0 - 0.6 * faded)
    return light, dark
