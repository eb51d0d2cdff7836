"""How a tensor of any rank is laid out as maps of rows and columns, and back.

Views draw maps; the engine speaks of indices. The rule is one for all layers: the last two axes
are the map, everything before them (but the sample) counts the maps, and a tensor that has only
one axis left is wrapped into rows, so that ten logits or a bias are a small picture too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Mode = Literal["signed", "nonnegative", "grey"]
LONGEST_ROW = 16


def row_length(count: int) -> int:
    """Return how many of `count` elements stand in a row when a vector is drawn as a map.

    Short vectors keep one row; longer ones get the divisor nearest to a square, and a row of their
    own when no divisor is anywhere near (a prime count).
    """
    if count <= LONGEST_ROW:
        return max(count, 1)
    root = int(np.sqrt(count))
    for rows in range(root, 0, -1):
        if count % rows == 0:
            columns = count // rows
            return columns if columns <= 12 * rows else count
    return count


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """Maps (channels, rows, columns) of a tensor.

    Parameters
    ----------
    shape : tuple of int
        The public shape, with the sample axis if `batched`.
    batched : bool
        Whether axis 0 counts the samples, of which one is shown at a time.
    """

    shape: tuple[int, ...]
    batched: bool

    @property
    def inner(self) -> tuple[int, ...]:
        """The shape without the sample axis."""
        return self.shape[1:] if self.batched else self.shape

    @property
    def maps_shape(self) -> tuple[int, int, int]:
        """Number of maps, rows and columns."""
        inner = self.inner
        if not inner:
            return (1, 1, 1)
        if len(inner) == 1:
            columns = row_length(inner[0])
            return (1, max(inner[0] // columns, 1), columns)
        leading = int(np.prod(inner[:-2], dtype=np.int64))
        return (leading, inner[-2], inner[-1])

    @property
    def noun(self) -> str:
        """What a map of the tensor is called: a kernel, if output and input channels count it."""
        return "kernel" if not self.batched and len(self.shape) >= 3 else "map"

    def name(self, number: int) -> str:
        """Return the name of a map: its number, or ``"(5, 0)"`` for a kernel."""
        leading = self.inner[:-2]
        if self.noun == "map" or len(leading) < 2:
            return str(number)
        return f"({', '.join(str(int(i)) for i in np.unravel_index(number, leading))})"

    def maps(self, array: Array, sample: int = 0) -> Array:
        """Return a copy of `array` as maps, shape (channels, rows, columns)."""
        chosen = array[sample] if self.batched else array
        return np.array(chosen, copy=True).reshape(self.maps_shape)

    def place(self, index: tuple[int, ...]) -> tuple[int, int, int]:
        """Return (map, row, column) of a public index; missing trailing axes count as 0."""
        inner = list(index[1:] if self.batched else index)[: len(self.inner)]
        inner += [0] * (len(self.inner) - len(inner))
        flat = 0
        for position, size in zip(inner, self.inner, strict=True):
            flat = flat * size + min(max(position, 0), max(size - 1, 0))
        channels, rows, columns = self.maps_shape
        plane = max(rows * columns, 1)
        channel, rest = divmod(flat, plane)
        row, column = divmod(rest, max(columns, 1))
        return (min(channel, max(channels - 1, 0)), row, column)

    def index(self, channel: int, row: int, column: int, sample: int = 0) -> tuple[int, ...]:
        """Return the public index of a place in the maps."""
        channels, rows, columns = self.maps_shape
        channel = min(max(channel, 0), max(channels - 1, 0))
        row = min(max(row, 0), max(rows - 1, 0))
        column = min(max(column, 0), max(columns - 1, 0))
        flat = (channel * rows + row) * columns + column
        inner: list[int] = []
        for size in reversed(self.inner):
            flat, rest = divmod(flat, max(size, 1))
            inner.append(rest)
        inner.reverse()
        return (sample, *inner) if self.batched else tuple(inner)

    def contains(self, index: tuple[int, ...]) -> bool:
        """Tell whether `index` is a complete place of this tensor."""
        return len(index) == len(self.shape) and all(
            0 <= i < n for i, n in zip(index, self.shape, strict=True)
        )


def best_mode(maps: Array) -> Mode:
    """Return how values should become colours: ``"nonnegative"`` or ``"signed"``."""
    finite = maps[np.isfinite(maps)]
    return "signed" if finite.size and float(finite.min()) < 0 else "nonnegative"


def own_limits(values: Array, mode: Mode) -> tuple[float, float]:
    """Return the range of colours of finite `values`: symmetric about 0 where signed."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return (-1.0, 1.0)
    if mode == "signed":
        bound = float(np.abs(finite).max()) or 1.0
        return (-bound, bound)
    low = min(float(finite.min()), 0.0)
    return (low, max(float(finite.max()), low + 1e-12))
