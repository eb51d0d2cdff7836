"""A drawn or photographed digit, made as MNIST's digits were.

MNIST's digits are white on black, keep their proportions in a box of 20 x 20 pixels, and have their
centre of mass in the middle of 28 x 28 (LeCun et al. 1998, section III.A; see `engine.pictures`).
A drawing, or a scan on even paper, is cut out and scaled as it is. On everything else the ink is
looked for first (`engine.data.ink`), and where no digit stands out clearly that is what is said: a
net names a class for any stain.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from engine.data import ink as inks
from engine.errors import DataError
from engine.pictures import BOX, INK, MIDDLE, SIDE, centre, fits, outline
from engine.typing import Array

BRIGHT = 0.5
"""A border brighter than this is paper; the digit on it is dark."""
LEVEL = 0.02
"""A darker background than this counts as black."""
EVEN = 0.03
"""A border that varies by less is of one colour."""
FLAT = 0.008
"""A drawing varies by less, two steps of 255 ..."""
FLAT_SHARE = 0.7
"""... along this share of its border."""
EMPTY_SHARE = 0.35
"""On an even sheet at least this share of the picture is of the border's colour."""
LARGEST = 360
"""Pixels of the longer side when ink is looked for; more tells nothing more about a digit."""
SHEET = 0.4
"""What covers this share of a picture, and of both its sides, may be a sheet on a table ..."""
FILLED = 0.7
"""... if it fills its outline so far; a digit does not, except a slim one."""
SLIM = 2.0
TIGHT = 0.85
"""A picture is cut tightly around a digit that is as long as this share of it."""
TABLE = 0.15
"""The border of a table varies by less."""
SPECK = 0.0008
"""Fewer pixels of ink than this share of the picture are a speck."""
NEAR = 0.2
"""How far the parts of a digit may be apart, as a share of its size."""
PART = 0.08
"""Another shape with this share of the digit's ink, and near, belongs to it."""
RIVAL = 0.3
"""Another shape with this share of the digit's ink that does not belong to it is one too many."""
SOFT_DRAWING = 0.1
"""How wide the edge of a drawing may be, as a share of the picture."""
NOT_SHARP = "uneven background, nothing on it has the sharp edge of ink"
TIMES = "×"


def prepare_digit(picture: Array, name: str = "picture") -> tuple[Array, list[str]]:
    """Turn a picture of a digit into one like MNIST's.

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
        What was done, in order.

    Raises
    ------
    DataError
        If nothing stands out from the background, or no single digit does.
    """
    values = np.clip(np.nan_to_num(np.asarray(picture, np.float64)), 0, 1)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    level = float(np.median(border))
    sheet = sheet_in(values, level) if np.ptp(np.percentile(border, (5, 95))) < TABLE else None
    if sheet is not None:
        digit, steps = _uneven(values[sheet], name)
        return digit, ["sheet cut out of what it lies on", *steps]
    if is_even(values, border, level):
        return _even(values, level, name)
    return _uneven(values, name)


def sheet_in(values: Array, level: float) -> tuple[slice, slice] | None:
    """Return where a sheet of paper lies on an even table; None if there is none."""
    off = np.abs(values - level)
    mask = off > max(EVEN, 0.5 * float(off.max()))
    if mask.mean() < SHEET:
        return None
    top, left, bottom, right = outline(mask.astype(np.float64))
    inside = mask[top:bottom, left:right]
    if min(inside.shape[0] / values.shape[0], inside.shape[1] / values.shape[1]) < SHEET:
        return None
    if inside.mean() < FILLED or max(inside.shape) > SLIM * min(inside.shape):
        return None
    down, across = (max(round(side * 0.03), 1) for side in inside.shape)
    return slice(top + down, bottom - down), slice(left + across, right - across)


def is_even(values: Array, border: Array, level: float) -> bool:
    """Return whether a picture is a drawing, or a scan on paper of one colour."""
    low, high = np.percentile(border, (5, 95))
    # Without any grain it is a drawing, and much of its border may be drawn on.
    is_flat = (np.abs(border - level) < FLAT).mean() > FLAT_SHARE
    off = np.abs(values - level)
    if (high - low >= EVEN and not is_flat) or (off < EVEN).mean() <= EMPTY_SHARE:
        return False
    # A stroke may run out of the picture; lines that do so on both sides are ruled.
    return np.abs(border - level).max() < EVEN or not inks.has_lines(off / max(off.max(), EVEN))


def _even(values: Array, level: float, name: str) -> tuple[Array, list[str]]:
    steps: list[str] = []
    if level > BRIGHT:
        values, level = 1 - values, 1 - level
        steps.append("bright background: inverted")
    peak = float(values.max())
    if peak - level < INK:
        raise DataError(f"{name}: expected a digit, but nothing stands out from the background")
    if level > LEVEL:
        values = np.clip((values - level) / (peak - level), 0, 1)
        steps.append(f"background of {level:.2g} taken away")
    if fits(values):
        return values.astype(np.float32), [*steps, "size and place fit"]
    mask = values > INK * values.max()
    count = inks.shapes(mask)[1]
    if count > 1:
        chosen = chosen_shape(inks.Ink(values, mask, False), name, even=True)
        if (mask & ~chosen).any():
            values = np.where(_with_edge(chosen), values, 0.0)
            steps.append("specks left out")
    else:
        bright = values > BRIGHT * values.max()
        # What is thinner than three pixels has no room to fade.
        if inks.shrunk(bright).any() and not inks.is_sharp(values, bright, SOFT_DRAWING):
            raise DataError(f"{name}: no clear digit: {NOT_SHARP}")
    top, left, bottom, right = outline(values)
    digit, done = _placed(values[top:bottom, left:right])
    return digit, [*steps, *done]


def _uneven(values: Array, name: str) -> tuple[Array, list[str]]:
    values = _shrunk(values, LARGEST)
    dark = _is_dark(values)
    ink = inks.without_lines(inks.find_ink(values, dark))
    steps = ["uneven background evened out" + (", bright ink" if not dark else "")]
    if ink.lines:
        steps.append(f"{ink.lines} ruled line{'s' * (ink.lines != 1)} taken away")
    part = np.where(_with_edge(chosen_shape(ink, name)), ink.strength, 0.0)
    top, left, bottom, right = outline(part)
    digit, done = _placed(part[top:bottom, left:right])
    return digit, [*steps, *done]


def _shrunk(values: Array, longest: int) -> Array:
    scale = longest / max(values.shape)
    if scale >= 1:
        return values
    height, width = (max(round(side * scale), 1) for side in values.shape)
    return inks.resized(values, height, width)


def _is_dark(values: Array) -> bool:
    """Return whether the digit is darker than the sheet.

    Ink is the smaller part of a sheet, unless the picture is cut tightly around a bold digit. Then
    the gaps within it stand out; but the digit that they lie in fills the whole picture.
    """
    first = inks.darkness(values) >= 0
    small = _shrunk(values, LARGEST // 2)
    sides = [_side(small, dark) for dark in (first, not first)]
    is_tight = sides[1] > TIGHT * max(small.shape) and sides[1] > 1.3 * sides[0]
    return first != is_tight


def _side(values: Array, dark: bool) -> int:
    """Return the longer side of the digit that would be found; 0 if none would."""
    try:
        mask = chosen_shape(inks.without_lines(inks.find_ink(values, dark)), "")
    except DataError:
        return 0
    top, left, bottom, right = _box(mask)
    return max(bottom - top, right - left)


def chosen_shape(ink: inks.Ink, name: str, even: bool = False) -> Array:
    """Return where the one digit of a sheet lies, as a mask.

    On an even sheet everything that stands out may be ink, also at the border; its edges may be
    softer there, as those of a digit that was enlarged.

    Raises
    ------
    DataError
        If there is none, or not one that is clear.
    """
    labels, count = inks.shapes(ink.mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    unclear = f"{name}: no clear digit: "
    where = "between the ruled lines" if ink.lines else "from the background"
    if not count or sizes.max() < SPECK * labels.size:
        raise DataError(f"{unclear}nothing stands out {where}")
    border = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    contact = np.bincount(border, minlength=count + 1)
    touches = (contact > 0) & (not even)
    free = np.where(touches, 0, sizes)
    main = int(free.argmax())
    if free[main] < SPECK * labels.size:
        raise DataError(f"{unclear}uneven background, what stands out reaches the border")
    chosen: Array = labels == main
    if not inks.is_sharp(ink.strength, chosen, SOFT_DRAWING if even else inks.SOFTEST):
        raise DataError(f"{unclear}{NOT_SHARP}")
    box = _box(chosen)
    reach = NEAR * max(box[2] - box[0], box[3] - box[1])
    for number in np.flatnonzero(sizes >= PART * sizes[main]):
        if number == main:
            continue
        other = labels == number
        if not touches[number] and _distance(box, _box(other)) <= reach:
            chosen |= other
        elif sizes[number] > RIVAL * sizes[main]:
            what = "uneven background" if touches[number] else "more than one shape"
            raise DataError(f"{unclear}{what}; photograph one digit on paper that is lit evenly")
    return chosen


def _with_edge(mask: Array) -> Array:
    """Return a shape with its soft edge, two pixels wide."""
    return inks.grown(inks.grown(mask))


def _box(mask: Array) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Return how far two boxes are apart."""
    down = max(one[0] - other[2], other[0] - one[2], 0)
    across = max(one[1] - other[3], other[1] - one[3], 0)
    return float(np.sqrt(down * down + across * across))


def _placed(cut: Array) -> tuple[Array, list[str]]:
    """Scale a digit into the box of 20 x 20 and put its centre of mass into the middle."""
    height, width = cut.shape
    scale = BOX / max(cut.shape)
    size = (max(round(height * scale), 1), max(round(width * scale), 1))
    small = np.asarray(
        Image.fromarray(cut.astype(np.float32)).resize(
            (size[1], size[0]), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
        ),
        np.float64,
    )
    row, column = (
        int(np.clip(round(MIDDLE - place), 0, SIDE - length))
        for place, length in zip(centre(small), size, strict=True)
    )
    digit = np.zeros((SIDE, SIDE), np.float32)
    digit[row : row + size[0], column : column + size[1]] = np.clip(small, 0, 1)
    return digit, [
        f"cut out {width}{TIMES}{height}",
        f"scaled to {size[1]}{TIMES}{size[0]}",
        f"centre of mass put into the middle of {SIDE}{TIMES}{SIDE}",
    ]
