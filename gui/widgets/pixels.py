"""From arrays to pictures: value -> colour entry -> pixels, with NaN and infinity always visible.

Entry 0 of every colour table belongs to NaN and Inf, entries 1 to 255 to finite values. So a
picture costs one pass over the data and one table look-up, and can't lose a bad value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QBrush, QColor, QImage, QPainter, QPen, QPixmap

from gui import theme
from gui.widgets.window_content import Array, Mode

Entries = npt.NDArray[np.uint8]
"""Colour entries, any shape."""
Table = npt.NDArray[np.uint32]
"""Colours as 0xffRRGGBB, shape (256,)."""
Limits = tuple[float, float]

ZERO_ENTRY = 128
"""The entry of exactly 0 in the signed table."""


def finite_limits(values: Array, mode: Mode) -> Limits:
    """Return the range that shows all finite values.

    Parameters
    ----------
    values : array, any shape
    mode : Mode
        ``"signed"`` gives a range symmetric about 0, ``"nonnegative"`` one that starts at 0 or
        below, ``"grey"`` the data's own minimum and maximum.
    """
    low, high = _extremes(values)
    if mode == "signed":
        largest = max(abs(low), abs(high))
        return (-largest, largest) if largest > 0 else (-1.0, 1.0)
    if mode == "nonnegative":
        low = min(low, 0.0)
    return (low, high) if high > low else (low, low + max(1.0, abs(low) * 1e-3))


def _extremes(values: Array) -> Limits:
    if values.size == 0:
        return 0.0, 0.0
    low, high = float(values.min()), float(values.max())
    if np.isfinite(low) and np.isfinite(high):  # the usual case, without a mask
        return low, high
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def to_entries(values: Array, mode: Mode, limits: Limits) -> Entries:
    """Map values to colour entries; those beyond the limits get the end colours.

    Parameters
    ----------
    values : array, any shape
    mode : Mode
    limits : (low, high)
        For ``"signed"`` only the larger size of the two counts.

    Returns
    -------
    uint8 array of the same shape
        0 where the value is NaN or Inf.
    """
    data = np.asarray(values, np.float32)
    low, high = limits
    if mode == "signed":
        largest = max(abs(low), abs(high), 1e-30)
        scaled = data * np.float32(127.0 / largest)
        offset = np.float32(128.5)
    else:
        scaled = (data - np.float32(low)) * np.float32(254.0 / max(high - low, 1e-30))
        offset = np.float32(1.5)
    scaled += offset
    np.clip(scaled, 1.0, 255.0, out=scaled)
    finite = np.isfinite(data)
    if finite.all():
        return scaled.astype(np.uint8)
    entries = np.where(finite, scaled, np.float32(0)).astype(np.uint8)
    return entries


@lru_cache(maxsize=32)
def _table(mode: Mode, style: theme.Theme, faded: float) -> Table:
    if mode == "signed":
        lut = theme.signed_lut(style)
    else:
        lut = theme.inferno_lut() if mode == "nonnegative" else theme.grey_lut()
    rgb = lut.astype(np.float64)
    rgb[0] = QColor(style.nonfinite).getRgb()[:3]
    if faded:
        panel = np.array(QColor(style.panel).getRgb()[:3], np.float64)
        rgb += (panel - rgb) * faded
    whole = np.rint(rgb).astype(np.uint32)
    packed = (255 << 24) | (whole[:, 0] << 16) | (whole[:, 1] << 8) | whole[:, 2]
    table: Table = packed.astype(np.uint32)
    table.setflags(write=False)
    return table


def table(mode: Mode, faded: float = 0.0) -> Table:
    """Return the colours of a mode in the theme in force.

    Parameters
    ----------
    mode : Mode
    faded : float
        In [0, 1], how far to move every colour towards the panel (for cells that still wait).
    """
    return _table(mode, theme.current(), faded)


@lru_cache(maxsize=32)
def _dark_text(mode: Mode, style: theme.Theme, faded: float) -> npt.NDArray[np.bool_]:
    colours = _table(mode, style, faded)
    red, green, blue = (colours >> 16) & 255, (colours >> 8) & 255, colours & 255
    return np.asarray(0.299 * red + 0.587 * green + 0.114 * blue > 140)


def waiting_share() -> float:
    """Return how far the colours of waiting cells move towards the panel.

    Further in a light theme, where the black of inferno would otherwise turn into a heavy grey.
    """
    return 0.62 if theme.current().dark else 0.8


def wants_dark_text(mode: Mode, faded: float = 0.0) -> npt.NDArray[np.bool_]:
    """Return for each entry whether dark text reads better on it than light text."""
    return _dark_text(mode, theme.current(), faded)


def to_image(pixels: npt.NDArray[np.uint32]) -> QImage:
    """Make a picture from 0xffRRGGBB pixels of shape (h, w); the data is copied."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape
    data, form = pixels.tobytes(), QImage.Format.Format_RGB32
    return QImage(data, width, height, width * 4, form).copy()


def picture(values: Array, mode: Mode, limits: Limits | None = None) -> QImage:
    """Make the picture of a map (h, w), one pixel per value."""
    if limits is None:
        limits = finite_limits(values, mode)
    return to_image(table(mode)[to_entries(values, mode, limits)])


# --- many maps in one picture ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tiling:
    """How tiles of equal size fill an area, in device pixels.

    Parameters
    ----------
    columns, rows : int
    cell : float
        Pixels per value; a whole number unless the tiles had to shrink below one pixel per value.
    tile_width, tile_height : int
    gap : int
        Pixels between tiles.
    label : int
        Pixels below each tile that are kept free for its name.
    """

    columns: int
    rows: int
    cell: float
    tile_width: int
    tile_height: int
    gap: int
    label: int = 0

    @property
    def width(self) -> int:
        """Width of all tiles with the gaps between them."""
        return self.columns * (self.tile_width + self.gap) - self.gap

    @property
    def height(self) -> int:
        """Height of all tiles with gaps and labels."""
        return self.rows * (self.tile_height + self.gap + self.label) - self.gap

    def corner(self, tile: int) -> tuple[int, int]:
        """Return the left and top pixel of a tile."""
        row, column = divmod(tile, self.columns)
        return (
            column * (self.tile_width + self.gap),
            row * (self.tile_height + self.gap + self.label),
        )

    def tile_at(self, x: float, y: float) -> tuple[int, int, int] | None:
        """Return (tile, value row, value column) at a pixel, or None in a gap or outside."""
        if x < 0 or y < 0:
            return None
        column, dx = divmod(x, self.tile_width + self.gap)
        row, dy = divmod(y, self.tile_height + self.gap + self.label)
        if column >= self.columns or dx >= self.tile_width or dy >= self.tile_height:
            return None
        return int(row) * self.columns + int(column), int(dy / self.cell), int(dx / self.cell)


def tile(
    count: int,
    shape: tuple[int, int],
    area: tuple[int, int],
    gap: int = 1,
    most_cell: int = 64,
    label: int = 0,
    columns: int | None = None,
    whole: bool = True,
) -> Tiling:
    """Find the arrangement with the largest cells.

    Parameters
    ----------
    count : int
        Number of tiles, at least 1.
    shape : (h, w)
        Values per tile.
    area : (width, height)
        Room in device pixels.
    gap, label : int
        See `Tiling`. Labels are dropped when they would cost cell size.
    most_cell : int
        Largest cell worth drawing.
    columns : int, optional
        Fixed number of columns.
    whole : bool
        Only cells of whole pixels, unless tiles have to shrink below one pixel per value.
    """
    height, width = max(shape[0], 1), max(shape[1], 1)
    best: tuple[float, int] | None = None
    for across in (columns,) if columns else range(1, count + 1):
        down = -(-count // across)
        cell = min(
            (area[0] - (across - 1) * gap) / (across * width),
            (area[1] - (down - 1) * (gap + label) - label) / (down * height),
        )
        cell = min(cell, most_cell)
        size = float(int(cell)) if cell >= 1 and whole else cell
        if best is None or size > best[0]:
            best = (size, across)
    if best is None:
        best = (1.0, 1)
    cell, across = max(best[0], 1e-3), best[1]
    return Tiling(
        columns=across,
        rows=-(-count // across),
        cell=cell,
        tile_width=max(int(width * cell), 1),
        tile_height=max(int(height * cell), 1),
        gap=gap,
        label=label,
    )


def mosaic_pixels(
    colours: npt.NDArray[np.uint32], tiling: Tiling, gap_colour: int
) -> npt.NDArray[np.uint32]:
    """Return the pixels of one picture of all tiles, shape (tiling.height, tiling.width).

    Parameters
    ----------
    colours : uint32 array, shape (count, h, w)
        0xffRRGGBB of each value.
    tiling : Tiling
    gap_colour : int
        0xffRRGGBB between tiles and where no tile is.

    Notes
    -----
    Two `take` calls blow the values up to pixels: across on the small picture, then down by
    copying whole lines. Scaling by the painter costs twice as much and smears the one-pixel gaps.
    """
    count, height, width = colours.shape
    full = np.full((tiling.rows * tiling.columns, height + 1, width + 1), gap_colour, np.uint32)
    full[:count, :height, :width] = colours
    grid = full.reshape(tiling.rows, tiling.columns, height + 1, width + 1)
    native = grid.transpose(0, 2, 1, 3).reshape(
        tiling.rows * (height + 1), tiling.columns * (width + 1)
    )
    across = _pixel_map(width, tiling.tile_width, tiling.gap, tiling.columns)[: tiling.width]
    gap = tiling.gap + tiling.label
    down = _pixel_map(height, tiling.tile_height, gap, tiling.rows)[: tiling.height]
    return native.take(across, axis=1).take(down, axis=0)


def _pixel_map(values: int, pixels: int, gap: int, repeat: int) -> npt.NDArray[np.intp]:
    """Return for each pixel of `repeat` tiles the value it shows; `values` stands for the gap."""
    one = np.concatenate([np.arange(pixels) * values // pixels, np.full(gap, values)])
    whole: npt.NDArray[np.intp] = (np.arange(repeat)[:, None] * (values + 1) + one).ravel()
    return whole


# --- hatching ----------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _hatch(name: str, size: int, ratio: float, width: float) -> QPixmap:
    pixmap = QPixmap(max(round(size * ratio), 2), max(round(size * ratio), 2))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(name), width))
    for shift in (-size, 0, size):  # three lines, so that neighbouring tiles join
        painter.drawLine(QPointF(shift, size), QPointF(shift + size, 0))
    painter.end()
    return pixmap


def hatch_brush(colour: QColor, ratio: float, size: int = 6, width: float = 1.0) -> QBrush:
    """Return a brush of diagonal lines."""
    brush = QBrush(_hatch(colour.name(), size, ratio, width))
    return brush


def fill_hatched(painter: QPainter, area: QRectF, colour: QColor, ratio: float) -> None:
    """Fill an area with diagonal lines (padding, or not computed yet)."""
    painter.fillRect(area, hatch_brush(colour, ratio))


def hatch_where(
    painter: QPainter, mask: Array, corner: QPointF, cell: float, colour: QColor, ratio: float
) -> None:
    """Hatch the cells of a grid that are True in a mask (h, w), one stretch of a row at a time."""
    brush = hatch_brush(colour, ratio)
    for row, line in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
        for start, end in edges.reshape(-1, 2).tolist():
            left, top = corner.x() + start * cell, corner.y() + row * cell
            painter.fillRect(QRectF(left, top, (end - start) * cell, cell), brush)


MOST_HATCHED = 3000
"""Bad cells beyond this number keep plain magenta: the hatch would take longer than a frame."""


def hatch_nonfinite(
    painter: QPainter, cells: Array, origin: QPointF, cell: tuple[float, float], ratio: float
) -> None:
    """Put dark stripes on the magenta of bad cells, so that they differ from a colour of the map.

    Parameters
    ----------
    painter : QPainter
    cells : int array, shape (count, 2)
        Row and column of each bad cell.
    origin : QPointF
        Corner of cell (0, 0).
    cell : (width, height)
        Below 5 px no stripes are drawn.
    ratio : float
        Device pixel ratio.
    """
    if not len(cells) or min(cell) < 5 or len(cells) > MOST_HATCHED:
        return
    brush = hatch_brush(theme.blend(theme.current().nonfinite, "#000000", 0.55), ratio, 5)
    for row, column in cells.tolist():
        painter.fillRect(
            QRectF(origin.x() + column * cell[0], origin.y() + row * cell[1], *cell), brush
        )


def as_maps(values: Any) -> Array:
    """Return an array of any rank as maps (c, h, w): vectors become c maps of one value."""
    array = np.asarray(values)
    if array.ndim == 0:
        return array.reshape(1, 1, 1)
    if array.ndim == 1:
        return array.reshape(-1, 1, 1)
    if array.ndim == 2:
        return array[None]
    return array.reshape(-1, *array.shape[-2:])
