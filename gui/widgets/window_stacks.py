"""The grids of the window view as arrays ready to draw: colours, states, names. No painting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gui.widgets import pixels
from gui.widgets.numbers import cell_scale, is_whole
from gui.widgets.window_content import Array, GridStack, Mode, WindowContent

_SHORT = {"input": "in", "weight": "w", "gradient": "grad", "output": "out", "state": "state"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One row of grids: all channels of one tensor, or of the products.

    Parameters
    ----------
    name : str
        Short, for labels.
    tensor : str
        In full, for tooltips.
    values : array, shape (c, h, w)
    entries : uint8 array, shape (c, h, w)
    mode : Mode
    channels, rows, columns : int arrays
    inside : bool array, shape (h, w)
    terms : int array, shape (c, h, w)
    product : bool
        True for the row of products, whose waiting cells are not known yet.
    factor, unit : float, str
        What values are multiplied by before they are written into cells, and how the reader
        undoes it, for example ``"×10⁻³"``.
    whole : bool
        True if all values are whole numbers.
    """

    name: str
    tensor: str
    values: Array
    entries: pixels.Entries
    mode: Mode
    channels: npt.NDArray[np.intp]
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    inside: npt.NDArray[np.bool_]
    terms: npt.NDArray[np.intp]
    product: bool = False
    factor: float = 1.0
    unit: str = ""
    whole: bool = False

    def label(self, channel: int) -> str:
        """Return what stands below a grid: name, channel and unit."""
        text = f"{self.name} {int(self.channels[channel])}"
        return f"{text} {self.unit}" if self.unit else text

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows, columns."""
        c, h, w = self.values.shape
        return c, h, w


def layers_of(content: WindowContent, products: bool) -> list[Layer]:
    """Prepare all grids of a content.

    Parameters
    ----------
    content : WindowContent
    products : bool
        Add the row of products where terms have two factors.

    Returns
    -------
    list of Layer
        Grids of the first layer's shape come first; a vector, given as n channels of one value or
        as one row, always has the shape (1, 1, n).
    """
    found = [_prepare(stack) for stack in content.patches if stack.values.size]
    if not found:
        return []
    first = found[0]
    aligned = [layer for layer in found if layer.shape == first.shape]
    others = [layer for layer in found if layer.shape != first.shape]
    if products and len(aligned) > 1 and content.kind == "sum" and content.terms:
        aligned.append(_product(first, content.contributions))
    return aligned + others


def _prepare(stack: GridStack) -> Layer:
    values = np.asarray(stack.values)
    c, h, w = values.shape
    channels, rows, columns = (
        np.asarray(axis, np.intp).ravel() for axis in (stack.channels, stack.rows, stack.columns)
    )
    inside, terms = np.asarray(stack.inside, bool), np.asarray(stack.terms, np.intp)
    if h * w == 1 and c > 1:
        values, terms = values.reshape(1, 1, c), terms.reshape(1, 1, c)
        inside = np.full((1, c), bool(inside.all()))
        channels, columns = np.zeros(1, np.intp), channels
    mode: Mode = "signed"
    if stack.role in ("input", "output") and not _any_negative(values):
        mode = "nonnegative"
    entries = pixels.to_entries(values, mode, pixels.finite_limits(values, mode))
    factor, unit = cell_scale(values)
    return Layer(
        factor=factor,
        unit=unit,
        whole=is_whole(values),
        name=_SHORT[stack.role],
        tensor=stack.tensor,
        values=values,
        entries=entries,
        mode=mode,
        channels=channels,
        rows=rows,
        columns=columns,
        inside=inside,
        terms=terms,
    )


def _any_negative(values: Array) -> bool:
    with np.errstate(invalid="ignore"):
        return bool((values < 0).any())


def _product(first: Layer, contributions: Array) -> Layer:
    used = first.terms >= 0
    values = np.zeros(first.values.shape, contributions.dtype)
    values[used] = contributions[first.terms[used]]
    entries = pixels.to_entries(values, "signed", pixels.finite_limits(values, "signed"))
    factor, unit = cell_scale(values)
    return Layer(
        factor=factor,
        unit=unit,
        whole=is_whole(values),
        name="product",
        tensor="product",
        values=values,
        entries=entries,
        mode="signed",
        channels=first.channels,
        rows=first.rows,
        columns=first.columns,
        inside=first.inside,
        terms=first.terms,
        product=True,
    )


def waiting(layer: Layer, cursor: int | None) -> npt.NDArray[np.bool_]:
    """Return which cells' terms have not been executed yet, shape (c, h, w)."""
    if cursor is None:
        return np.zeros(layer.terms.shape, bool)
    return np.asarray(layer.terms >= cursor)


def place_of_term(layer: Layer, term: int | None) -> tuple[int, int, int] | None:
    """Return (channel, row, column) in the grids of the cell that a term uses."""
    if term is None or term < 0:
        return None
    found = np.flatnonzero(layer.terms.ravel() == term)
    if not found.size:
        return None
    c, h, w = np.unravel_index(int(found[0]), layer.terms.shape)
    return int(c), int(h), int(w)


def strongest_channel(layer: Layer, content: WindowContent) -> int:
    """Return the channel whose terms bring most, the one worth enlarging when all is done."""
    place = place_of_term(layer, content.decisive)
    if place is not None:
        return place[0]
    if not content.contributions.size:
        return 0
    used = layer.terms >= 0
    bad = np.flatnonzero(~np.isfinite(content.contributions))
    first_bad = place_of_term(layer, int(bad[0])) if bad.size else None
    if first_bad is not None:
        return first_bad[0]
    sums = np.zeros(layer.terms.shape, np.float64)
    sums[used] = np.abs(content.contributions[layer.terms[used]])
    return int(sums.sum(axis=(1, 2)).argmax())


def leaders(layer: Layer, content: WindowContent, cursor: int | None) -> list[tuple[int, int, int]]:
    """Return the cells that hold the maximum so far; several if they tie.

    Parameters
    ----------
    layer : Layer
    content : WindowContent
        Of kind ``"max"``.
    cursor : int or None
        The next term.
    """
    done = content.terms if cursor is None else cursor
    if content.kind != "max" or done == 0:
        return []
    best = content.totals[done - 1]
    hit = (layer.terms >= 0) & (layer.terms < done) & (layer.values == best)
    return [(int(c), int(h), int(w)) for c, h, w in np.argwhere(hit)]


def steps_between(coordinates: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return how many coordinates lie skipped before each one (dilation), 0 for the first."""
    if coordinates.size < 2:
        return np.zeros(coordinates.size, np.intp)
    skipped = np.abs(np.diff(coordinates)) - 1
    return np.concatenate([[0], np.maximum(skipped, 0)]).astype(np.intp)
