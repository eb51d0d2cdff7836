"""Pictures and feature maps as text."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.text import Text

from engine.typing import Array

SHADES = " ░▒▓█"
HALF_BLOCK = "▀"
"""One character shows two pixels, one above the other: its own colour and that behind it."""
WIDEST = 64
"""Pixels; larger pictures are thinned out."""


def picture_text(image: Array, console: Console) -> Text:
    """Return a picture as text, two rows of pixels a line.

    Parameters
    ----------
    image : array, shape (h, w) or (c, h, w)
        Of any range; the smallest value is black, the largest white. Of three channels the mean
        is shown.
    console : Console
        Decides whether there are colours.

    Returns
    -------
    Text
    """
    values = np.asarray(image, np.float64)
    if values.ndim == 3:
        values = values.mean(axis=0)
    step = -(-max(values.shape) // WIDEST)
    values = np.nan_to_num(values[::step, ::step])
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    if scaled.shape[0] % 2:
        scaled = np.concatenate([scaled, np.zeros((1, scaled.shape[1]))])
    lines = []
    for upper, lower in zip(scaled[::2], scaled[1::2], strict=True):
        line = Text()
        for above, below in zip(upper, lower, strict=True):
            if console.color_system is None:
                line.append(SHADES[round(float(above + below) / 2 * (len(SHADES) - 1))])
            else:
                line.append(HALF_BLOCK, style=f"{_grey(above)} on {_grey(below)}")
        lines.append(line)
    return Text("\n").join(lines)


def _grey(share: float) -> str:
    level = round(255 * float(share))
    return f"rgb({level},{level},{level})"


def bar(share: float, width: int = 24) -> str:
    """Return a bar that fills `share` of `width` characters."""
    return "█" * round(min(max(share, 0.0), 1.0) * width)
