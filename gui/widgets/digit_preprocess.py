"""From a drawing to what the network sees: cut out, scale to 20 x 20, centre by mass. No Qt here.

The steps are those that made MNIST: the digit keeps its proportions in a 20 x 20 box, and its
centre of mass lies in the middle of the 28 x 28 picture.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gui.widgets.window_content import Array

SIDE = 28
BOX = 20
_INK = 0.02
"""Fainter pixels than this don't count as drawn."""


def preprocess(drawing: Array) -> npt.NDArray[np.float32]:
    """Turn a drawing into an input picture.

    Parameters
    ----------
    drawing : float array, shape (h, w)
        In [0, 1], 1 is ink.

    Returns
    -------
    float32 array, shape (28, 28)
        In [0, 1]; all zeros for an empty drawing.
    """
    data = np.nan_to_num(np.asarray(drawing, np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    ink = data > _INK
    picture = np.zeros((SIDE, SIDE), np.float32)
    if not ink.any():
        return picture
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cut = data[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = cut.shape
    scale = BOX / max(height, width)
    new = (max(round(height * scale), 1), max(round(width * scale), 1))
    small = _averages(height, new[0]) @ cut @ _averages(width, new[1]).T
    total = small.sum()
    centre_y = float((small.sum(axis=1) * np.arange(new[0])).sum() / total)
    centre_x = float((small.sum(axis=0) * np.arange(new[1])).sum() / total)
    top = _start(centre_y, new[0])
    left = _start(centre_x, new[1])
    picture[top : top + new[0], left : left + new[1]] = np.clip(small, 0.0, 1.0)
    return picture


def _start(centre: float, size: int) -> int:
    """Return where a digit starts so that its centre of mass lies on pixel 14, as in MNIST."""
    return int(min(max(round(SIDE / 2 - centre), 0), SIDE - size))


def _averages(old: int, new: int) -> npt.NDArray[np.float64]:
    """Return the matrix (new, old) that averages `old` pixels into `new` ones by overlap."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    low = np.maximum(edges[:-1, None], pixels)
    high = np.minimum(edges[1:, None], pixels + 1)
    overlap = np.maximum(high - low, 0.0)
    weights: npt.NDArray[np.float64] = overlap / overlap.sum(axis=1, keepdims=True)
    return weights
