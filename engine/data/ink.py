"""Finding what is written on a sheet: under shadows, between ruled lines, in grain.

A photograph is light times what the sheet throws back. So the brightness of the empty sheet is
estimated first, everywhere; what is darker than that (or brighter, on a blackboard) by more than
the grain explains is ink; lines that run across the whole sheet are ruled, not written; what hangs
together is a shape. NumPy and Pillow suffice for sheets of a few hundred pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from engine.typing import Array

COARSE = 64
"""The empty sheet is estimated on so many pixels along its longer side."""
STROKE = 0.25
"""Strokes are narrower than this share of the sheet's longer side; wider things are the sheet."""
LEAST_CONTRAST = 0.1
"""Of the brightest possible; what stands out less is no ink."""
GRAINS = 5.0
"""Ink stands out by so many standard deviations of the grain."""
STEEPEST = 0.11
"""Slope of ruled lines on a sheet that is not held straight: 6 degrees."""
WHOLE_LINE = 0.8
"""A line that shows on this share of the sheet's width is ruled."""
SOFTEST = 0.05
"""The edge of ink is narrower than this share of the longer side; shading is softer."""
STEEP_ENOUGH = 0.08
"""Of few pixels no edge is steeper, smoothed as it is: full ink within a dozen of them will do."""


@dataclass(frozen=True)
class Ink:
    """What stands out of a sheet.

    Parameters
    ----------
    strength : float array, shape (h, w)
        0 where the sheet is empty, 1 for full ink.
    mask : bool array, shape (h, w)
        What is taken for ink.
    dark : bool
        Whether it is darker than the sheet.
    lines : int
        Ruled lines that were taken away.
    """

    strength: Array
    mask: Array
    dark: bool
    lines: int = 0


# -- the sheet -----------------------------------------------------------------------------------


def resized(values: Array, height: int, width: int) -> Array:
    """Return a plane resampled: averages where it shrinks, straight lines where it grows."""
    shrinks = height < values.shape[0] or width < values.shape[1]
    way = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    plane = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(plane.resize((width, height), way), np.float64)


def _coarse(values: Array) -> Array:
    scale = COARSE / max(values.shape)
    height, width = (max(round(side * scale), 1) for side in values.shape)
    return resized(values, height, width)


def closed(values: Array, size: int) -> Array:
    """Fill what is darker and narrower than `size` (a square, odd): the brightness around it."""
    # Padded once and by the whole size: a ramp that ends at the border then stays what it is.
    values = np.pad(values, size // 2 * 2, mode="edge")
    for way in (np.maximum, np.minimum):
        for axis in (0, 1):
            windows = np.lib.stride_tricks.sliding_window_view(values, size, axis=axis)
            values = way.reduce(windows, axis=-1)
    return values


def _level(values: Array) -> Array:
    """Return a plane fitted to the sheet, robustly: ink is far from it and counts little."""
    height, width = values.shape
    y, x = np.mgrid[0:height, 0:width]
    terms = np.stack([np.ones(values.size), x.ravel() / width, y.ravel() / height], axis=1)
    data, weights = values.ravel(), np.ones(values.size)
    plane = data
    for _ in range(6):
        root = np.sqrt(weights)
        plane = terms @ np.linalg.lstsq(terms * root[:, None], data * root, rcond=None)[0]
        off = np.abs(data - plane)
        scale = 3 * max(float(np.median(off)), 1e-3)
        weights = np.clip(1 - (off / scale) ** 2, 0.01, 1) ** 2
    return plane.reshape(values.shape)


def darkness(values: Array) -> float:
    """Return how clearly what is written is darker than the sheet around it, -1 to 1.

    Ink is the smaller part of any large neighbourhood, so it stands out of the median there.
    """
    coarse = _coarse(values)
    rest = coarse - _level(coarse)
    low, high = float(rest.min()), float(rest.max())
    if high - low < 1e-6:
        return 0.0
    bytes_ = np.rint((rest - low) * (255 / (high - low))).astype(np.uint8)
    size = int(min(COARSE * 0.55, *rest.shape)) // 2 * 2 + 1
    middle = _median(bytes_, size).astype(np.float64) * ((high - low) / 255) + low
    off = rest - middle
    least = 3 * float(np.median(np.abs(off)))
    brighter = float(np.maximum(off - least, 0).sum())
    darker = float(np.maximum(-off - least, 0).sum())
    return (darker - brighter) / max(darker + brighter, 1e-9)


def _median(bytes_: Array, size: int) -> Array:
    """Return the median of a square around each pixel, by counting each of 64 levels."""
    half = size // 2
    padded = np.pad(bytes_ >> 2, half, mode="reflect")
    height, width = bytes_.shape
    result = np.zeros((height, width), np.int64)
    for level in range(64):
        sums = np.pad((padded <= level).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        inside = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size]
        inside = inside + sums[:-size, :-size]
        result += 2 * inside < size * size
    return result * 4 + 2


def find_ink(values: Array, dark: bool) -> Ink:
    """Return what stands out of the sheet.

    Parameters
    ----------
    values : float array, shape (h, w)
        Brightness in [0, 1].
    dark : bool
        Whether ink is darker than the sheet; see `is_dark`.
    """
    bright = values if dark else 1 - values
    coarse = _coarse(bright)
    size = max(int(STROKE * max(coarse.shape)) // 2 * 2 + 1, 3)
    sheet = resized(closed(coarse, size), *values.shape)
    # Light falls on sheet and ink alike, so dark ink is a share of the sheet's brightness. On a
    # blackboard the board's own brightness says nothing about the chalk's.
    strength = 1 - bright / np.maximum(sheet, 0.02) if dark else sheet - bright
    grain = _grain(strength)
    level = max(_between(strength), GRAINS * grain, LEAST_CONTRAST * 0.5)
    mask = strength > level
    if not mask.any():
        return Ink(np.zeros_like(strength), mask, dark)
    peak = float(np.percentile(strength[mask], 75))
    if peak < max(LEAST_CONTRAST, 2 * GRAINS * grain / 1.5):
        mask = np.zeros_like(mask)
    floor = min(max(2.5 * grain, 0.1 * peak), 0.5 * level)
    full = np.clip((strength - floor) / (peak - floor), 0, 1)
    return Ink(full, mask, dark)


def is_sharp(strength: Array, mask: Array, softest: float = SOFTEST) -> bool:
    """Return whether a shape has edges as ink has them: shading and folds fade slowly.

    Parameters
    ----------
    strength : float array, shape (h, w)
    mask : bool array, shape (h, w)
        The shape.
    softest : float
        How wide an edge may be, as a share of the longer side.
    """
    if min(strength.shape) < 3:
        return True
    wide = np.pad(strength, 1, mode="edge")
    rows = (wide[:-2] + wide[1:-1] + wide[2:]) / 3  # so that grain is no edge
    down, across = np.gradient((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 3)
    edge = grown(mask) & ~shrunk(mask)
    needed = min(1 / (softest * max(strength.shape)), STEEP_ENOUGH)
    steepness = np.sqrt(down * down + across * across)
    return bool(np.median(steepness[edge]) >= needed)


def grown(mask: Array) -> Array:
    """Return a mask with the pixels beside it."""
    wide = np.pad(mask, 1)
    sides = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    result: Array = mask | sides
    return result


def shrunk(mask: Array) -> Array:
    """Return a mask without the pixels at its edge."""
    return ~grown(~mask)


def _grain(strength: Array) -> float:
    """Return the standard deviation of the grain: what neighbours differ by, ink being rare."""
    if min(strength.shape) < 3:
        return 0.0
    across = strength[:, 2:] - strength[:, :-2]
    down = strength[2:] - strength[:-2]
    both = np.concatenate([np.abs(across).ravel(), np.abs(down).ravel()])
    return float(np.median(both) / 0.6745 / np.sqrt(2))


def _between(strength: Array) -> float:
    """Return the level that parts a plane into two groups best (Otsu 1979)."""
    counts, edges = np.histogram(strength, bins=128, range=(0.0, max(float(strength.max()), 1e-6)))
    places = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    mass = (counts * places).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = mass / below - (mass[-1] - mass) / above
        between = below.astype(np.float64) * above * gap**2

    return float(places[np.argmax(np.nan_to_num(between))])


# -- ruled lines ---------------------------------------------------------------------------------


def without_lines(ink: Ink) -> Ink:
    """Return the ink without lines that run across the whole sheet, in either direction."""
    strength, mask, found = ink.strength, ink.mask, 0
    for turned in (False, True):
        across = (strength.T, mask.T) if turned else (strength, mask)
        strength, mask, lines = _without_rows(*across)
        if turned:
            strength, mask = strength.T, mask.T
        found += lines
    return Ink(strength, mask, ink.dark, found)


def has_lines(strength: Array) -> bool:
    """Return whether a line runs across the whole sheet, in either direction."""
    return any(_without_rows(plane, plane > 0.5)[2] for plane in (strength, strength.T))


def _without_rows(strength: Array, mask: Array) -> tuple[Array, Array, int]:
    width = mask.shape[1]
    some = strength > 0.12
    columns = np.arange(width)
    best: tuple[float, float] = (0.0, 0.0)
    step = max(width // 64, 1)  # a line shows in every few columns as well as in all
    few, thinned = columns[::step], some[:, ::step]
    for slope in np.linspace(-STEEPEST, STEEPEST, 45):
        share = _along(thinned, np.rint(slope * (few - width / 2)).astype(np.int64))
        score = float((share[share > WHOLE_LINE] ** 2).sum())
        if score > best[0]:
            best = (score, float(slope))
    if not best[0]:
        return strength, mask, 0
    shift = np.rint(best[1] * (columns - width / 2)).astype(np.int64)
    share = _along(some, shift)
    return _erased(strength, mask, share, shift)


def _along(some: Array, shift: Array) -> Array:
    """Return for each row which share of a tilted line that begins there is ink."""
    height, width = some.shape
    rows = np.arange(height)[:, None] + shift[None, :]
    inside = (rows >= 0) & (rows < height)
    values = some[np.clip(rows, 0, height - 1), np.arange(width)[None, :]] & inside
    # A line must show at both ends too: the bar of a seven does not.
    end = max(width // 12, 2)
    ends = np.minimum(values[:, :end].mean(axis=1), values[:, -end:].mean(axis=1))
    share: Array = values.sum(axis=1) / np.maximum(inside.sum(axis=1), width * 0.5)
    return np.where(ends > 0.5, share, 0.0)


def _erased(strength: Array, mask: Array, share: Array, shift: Array) -> tuple[Array, Array, int]:
    """Take the lines away; where a stroke crosses one, keep it."""
    height, width = mask.shape
    ruled = share > WHOLE_LINE * 0.75
    starts = np.flatnonzero(ruled & ~np.concatenate([[False], ruled[:-1]]))
    stops = np.flatnonzero(ruled & ~np.concatenate([ruled[1:], [False]])) + 1
    strength, mask = strength.copy(), mask.copy()
    columns, lines = np.arange(width), 0
    thickest = max(height // 12, 3)
    for start, stop in zip(starts, stops, strict=True):
        if share[start:stop].max() < WHOLE_LINE or stop - start > thickest:
            continue
        lines += 1
        top, bottom = start - 1 + shift, stop + shift  # one pixel more: lines have soft edges
        rows = np.arange(start - 1, stop + 1)[:, None] + shift[None, :]
        rows = np.clip(rows, 0, height - 1)
        own = float(np.median(strength[rows, columns].max(axis=0)))
        reach = 2
        above = np.clip(np.stack([top - k for k in range(1, reach + 1)]), 0, height - 1)
        below = np.clip(np.stack([bottom + k for k in range(1, reach + 1)]), 0, height - 1)
        near = np.minimum(
            strength[above, columns].max(axis=0), strength[below, columns].max(axis=0)
        )
        # A stroke goes on above and below, or is clearly darker than the line itself.
        kept = np.where(near > 0.5, near, 0.0)
        darker = np.where(strength[rows, columns] > own + 0.35, strength[rows, columns], 0.0)
        filled = np.maximum(kept[None, :], darker)
        strength[rows, columns] = np.minimum(filled, 1.0)
        mask[rows, columns] = filled > 0.4
    return strength, mask, lines


# -- shapes --------------------------------------------------------------------------------------


def shapes(mask: Array) -> tuple[Array, int]:
    """Number what hangs together, corners included; 0 is nothing.

    Returns
    -------
    labels : int64 array, as `mask`
    count : int
    """
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    edges = np.diff(padded, axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, stops = np.nonzero(edges == -1)
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    first = np.searchsorted(rows, np.arange(height + 1))
    for row in range(1, height):
        above, above_end = int(first[row - 1]), int(first[row])
        here, here_end = int(first[row]), int(first[row + 1])
        while above < above_end and here < here_end:
            if starts[above] <= stops[here] and starts[here] <= stops[above]:
                one, other = root(above), root(here)
                parents[max(one, other)] = min(one, other)
            if stops[above] < stops[here]:
                above += 1
            else:
                here += 1
    roots = np.array([root(run) for run in range(len(rows))], np.int64)
    kinds, numbers = np.unique(roots, return_inverse=True)
    labels = np.zeros((height, width), np.int64)
    for place, start, stop, number in zip(rows, starts, stops, numbers, strict=True):
        labels[place, start:stop] = number + 1
    return labels, len(kinds)
