"""Picture files as a net takes them; drawn digits the way those of MNIST were made.

MNIST's digits are white on black, keep their proportions in a box of 20 x 20 pixels, and have their
centre of mass in the middle of 28 x 28 (LeCun et al. 1998, section III.A). Measured on the 10,000
test images: the longer side is 20 pixels (19 in four of them), and the centre of mass lies between
13.5 and 14.5 in both directions, counted from the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from PIL import Image

from engine.commands.output import TIMES, number, shape_text
from engine.data.readers import read_image
from engine.errors import DataError, ShapeError
from engine.typing import Array, Shape

SIDE = 28
BOX = 20
INK = 0.1
"""Fainter pixels (1 is the brightest of the picture) do not count for the outline of a digit."""
BRIGHT = 0.5
"""A border brighter than this is paper; the digit on it is dark."""
LEVEL = 0.02
"""A darker background than this counts as black."""
MIDDLE = 14.0
"""Where MNIST's digits have their centre of mass, in pixels from the first one."""
SIDES_THAT_FIT = (19, 21)
OFFSET_THAT_FITS = 0.75
"""A digit whose longer side and centre of mass (pixels from the middle) are so is left as it is."""


class Preparation(StrEnum):
    """How pictures are brought to what a net takes."""

    auto = "auto"
    digit = "digit"
    plain = "plain"


@dataclass(frozen=True)
class Prepared:
    """A picture that is ready.

    Parameters
    ----------
    x : float32 array, shape of the net's input
    steps : tuple of str
        What was done, in order.
    """

    x: Array
    steps: tuple[str, ...]


def prepare(path: Path, shape: Shape, how: Preparation = Preparation.auto) -> Prepared:
    """Read a picture file and bring it to the input shape of a net.

    Parameters
    ----------
    path : Path
    shape : (c, h, w)
    how : Preparation
        ``digit`` as MNIST's digits, ``plain`` by resampling alone; ``auto`` takes ``digit`` for
        (1, 28, 28).

    Raises
    ------
    EngineError
        If the file is no intact picture, shows nothing, or the net takes no pictures.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ShapeError(
            f"{path}: expected a net for pictures (1, h, w) or (3, h, w), this one takes {shape}"
        )
    is_digit = how is Preparation.digit or (how is Preparation.auto and shape == (1, SIDE, SIDE))
    if is_digit and shape != (1, SIDE, SIDE):
        raise ShapeError(
            f"{path}: digits are prepared for nets that take (1, {SIDE}, {SIDE}), this one takes "
            f"{shape}; use --preparation plain"
        )
    original = read_image(path)
    found = (
        f"{original.shape[2]}{TIMES}{original.shape[1]} {'grey' if len(original) == 1 else 'RGB'}"
    )
    if not is_digit:
        if original.shape == shape:
            return Prepared(original, (found, "taken as it is"))
        kind = "grey" if shape[0] == 1 else "RGB"
        image = read_image(path, 1 if shape[0] == 1 else 3, (shape[1], shape[2]))
        return Prepared(image, (found, f"resampled to {shape[2]}{TIMES}{shape[1]} {kind}"))
    steps = [found]
    if len(original) == 3:
        steps.append("to grey")
        original = read_image(path, 1)
    x, done = prepare_digit(original[0], str(path))
    return Prepared(x[np.newaxis], (*steps, *done))


def prepare_digit(picture: Array, name: str = "picture") -> tuple[Array, list[str]]:
    """Turn a drawing of a digit into one like MNIST's.

    Parameters
    ----------
    picture : float array, shape (h, w)
        In [0, 1], dark on bright or bright on dark.
    name : str
        For the errors.

    Returns
    -------
    digit : float32 array, shape (28, 28)
    steps : list of str

    Raises
    ------
    DataError
        If nothing stands out from the background.
    """
    steps: list[str] = []
    values = np.asarray(picture, np.float64)
    if _background(values) > BRIGHT:
        values = 1 - values
        steps.append("bright background: inverted")
    level, peak = _background(values), float(values.max())
    if peak - level < INK:
        raise DataError(f"{name}: expected a digit, but nothing stands out from the background")
    if level > LEVEL:
        values = np.clip((values - level) / (peak - level), 0, 1)
        steps.append(f"background of {number(level, 2)} taken away")
    top, left, bottom, right = _outline(values)
    longest = max(bottom - top, right - left)
    offset = max(abs(place - MIDDLE) for place in _centre(values))
    low, high = SIDES_THAT_FIT
    if values.shape == (SIDE, SIDE) and low <= longest <= high and offset <= OFFSET_THAT_FITS:
        steps.append("size and place fit")
        return values.astype(np.float32), steps
    cut = values[top:bottom, left:right]
    scale = BOX / longest
    size = (max(round(cut.shape[0] * scale), 1), max(round(cut.shape[1] * scale), 1))
    steps.append(f"cut out {shape_text((cut.shape[1], cut.shape[0]))}")
    small = np.asarray(
        Image.fromarray(cut.astype(np.float32)).resize(
            (size[1], size[0]), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
        ),
        np.float64,
    )
    steps.append(f"scaled to {shape_text((size[1], size[0]))}")
    row, column = (
        int(np.clip(round(MIDDLE - place), 0, SIDE - length))
        for place, length in zip(_centre(small), size, strict=True)
    )
    digit = np.zeros((SIDE, SIDE), np.float32)
    digit[row : row + size[0], column : column + size[1]] = np.clip(small, 0, 1)
    steps.append(f"centre of mass put into the middle of {SIDE}{TIMES}{SIDE}")
    return digit, steps


def _background(values: Array) -> float:
    """Return the median of the border, which a digit seldom touches."""
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    return float(np.median(border))


def _outline(values: Array) -> tuple[int, int, int, int]:
    """Return top, left, bottom, right (half-open) of what stands out."""
    ink = values > INK * values.max()
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _centre(values: Array) -> tuple[float, float]:
    """Return row and column of the centre of mass."""
    total = values.sum()
    rows = (values.sum(axis=1) * np.arange(values.shape[0])).sum() / total
    columns = (values.sum(axis=0) * np.arange(values.shape[1])).sum() / total
    return float(rows), float(columns)
