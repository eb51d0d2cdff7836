"""How the pictures of a data set look: what a later picture must be made like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.typing import Array, Shape

SIDE = 28
BOX = 20
INK = 0.1
"""Fainter pixels (1 is the brightest of the picture) do not count for the outline of a digit."""
MIDDLE = 14.0
"""Where MNIST's digits have their centre of mass, in pixels from the first one."""
SIDES_THAT_FIT = (19, 21)
OFFSET_THAT_FITS = 0.75
"""A digit whose longer side and centre of mass (pixels from the middle) are so fits."""
LOOKED_AT = 512
SHARE_THAT_FITS = 0.95
LEAST_TO_TELL = 8
"""Of fewer pictures nothing is concluded."""


@dataclass(frozen=True)
class Look:
    """What the samples of a set have in common.

    Parameters
    ----------
    shape : Shape
        Of a sample.
    centred : bool
        Whether they are cut out, scaled and centred as MNIST's digits are: bright on black, the
        longer side 20 of 28 pixels, the centre of mass in the middle. A later picture must be made
        like that too.
    low, high : float
        The smallest and the largest value.
    """

    shape: Shape
    centred: bool
    low: float
    high: float

    def to_data(self) -> dict[str, Any]:
        """Return it for a run file."""
        return {
            "shape": list(self.shape),
            "centred": self.centred,
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def from_data(cls, data: Any) -> Look:
        """Return what `to_data` wrote."""
        shape = tuple(int(size) for size in data["shape"])
        return cls(shape, bool(data["centred"]), float(data["low"]), float(data["high"]))


def look_of(x: Any) -> Look | None:
    """Return how pictures (n, c, h, w) look; None for anything else.

    Looks at 512 of them, spread evenly.
    """
    if not isinstance(x, np.ndarray) or x.ndim != 4 or x.dtype.kind != "f" or not len(x):
        return None
    chosen = np.unique(np.linspace(0, len(x) - 1, LOOKED_AT).astype(np.int64))
    some = np.nan_to_num(x[chosen])
    return Look(x.shape[1:], are_centred(some), float(some.min()), float(some.max()))


def are_centred(x: Array) -> bool:
    """Return whether pictures are made as MNIST's digits were.

    MNIST's digits are white on black, keep their proportions in a box of 20 x 20 pixels, and have
    their centre of mass in the middle of 28 x 28 (LeCun et al. 1998, section III.A). Measured on
    the 10,000 test images: the longer side is 20 pixels (19 in four of them), and the centre of
    mass lies between 13.5 and 14.5 in both directions, counted from the first pixel. Clothes,
    letters of other sets and drawings that nobody centred do not fit.

    Parameters
    ----------
    x : float array, shape (n, c, h, w)
    """
    if x.shape[1:] != (1, SIDE, SIDE) or x.min() < 0:
        return False
    fitting = [fits(picture) for picture in x[:, 0] if picture.any()]
    return len(fitting) >= LEAST_TO_TELL and float(np.mean(fitting)) >= SHARE_THAT_FITS


def fits(picture: Array) -> bool:
    """Return whether one picture, bright on black, has the size and the place of MNIST's digits."""
    if picture.shape != (SIDE, SIDE) or not picture.max() > 0:
        return False
    top, left, bottom, right = outline(picture)
    low, high = SIDES_THAT_FIT
    offset = max(abs(place - MIDDLE) for place in centre(picture))
    return low <= max(bottom - top, right - left) <= high and offset <= OFFSET_THAT_FITS


def outline(values: Array) -> tuple[int, int, int, int]:
    """Return top, left, bottom, right (half-open) of what stands out from black."""
    ink = values > INK * values.max()
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def centre(values: Array) -> tuple[float, float]:
    """Return row and column of the centre of mass."""
    total = values.sum()
    rows = (values.sum(axis=1) * np.arange(values.shape[0])).sum() / total
    columns = (values.sum(axis=0) * np.arange(values.shape[1])).sum() / total
    return float(rows), float(columns)
