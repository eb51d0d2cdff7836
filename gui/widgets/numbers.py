"""Numbers as text: significant digits, powers of ten, true minus signs, aligned points. Free of Qt.

Every number on screen passes through here, so that one value never appears in two spellings, and
no number but 0 is ever written as zeros: where fixed decimals would leave too few digits, an
exponent takes their place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MINUS = "\N{MINUS SIGN}"
INFINITY = "\N{INFINITY}"
TINY = "~0"
"""In a cell too small for a tiny number: not 0, but nothing beside its neighbours."""
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
"""In a cell too small for a large number."""

_LARGEST_FIXED = 1e6
"""From here on fixed decimals no longer help the eye and an exponent is used."""
_LEAST_FIXED = -4
"""The power of ten from which zeros after the point are still counted at a glance."""
_KEPT = 3
"""Significant digits that fixed decimals must leave of a number."""


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return f"+{INFINITY}" if value > 0 else f"{MINUS}{INFINITY}"


def _power(size: float) -> int:
    """Return the power of ten of a positive number; denormal ones too."""
    return int(f"{size:.17e}".partition("e")[2])


def _scientific(size: float, decimals: int, padded: bool = True) -> str:
    """Write a positive number as ``3.14e−07``, or ``3.14e−7`` if not padded."""
    mantissa, _, exponent = f"{size:.{decimals}e}".partition("e")
    power = int(exponent)
    sign = MINUS if power < 0 else "+" if padded else ""
    return f"{mantissa}e{sign}{abs(power):0{2 if padded else 1}d}"


def format_number(value: float, digits: int = 4, signed: bool = False) -> str:
    """Write a number with fixed decimals and a true minus sign.

    Parameters
    ----------
    value : float
    digits : int
        Decimals after the point.
    signed : bool
        Write ``+`` before positive numbers.

    Returns
    -------
    str
        ``"0.3142"``, ``"−2.2614"``. Numbers of which fewer than three significant digits would
        be left get more decimals or an exponent, those from a million on an exponent:
        ``"0.000314"``, ``"3.14e−07"``.

    Examples
    --------
    >>> format_number(-2.26141, 3)
    '−2.261'
    """
    value = float(value)
    if not math.isfinite(value):
        return _not_finite(value)
    if value == 0.0:
        text = f"{0.0:.{digits}f}"
        return f"+{text}" if signed else text
    size, power = abs(value), _power(abs(value))
    if size >= _LARGEST_FIXED or power < _LEAST_FIXED:
        text = _scientific(size, max(digits - 2, _KEPT - 1))
    else:
        text = f"{size:.{max(digits, _KEPT - 1 - power if power < 0 else 0)}f}"
    if value < 0:
        return MINUS + text
    return f"+{text}" if signed else text


def format_full(value: Any) -> str:
    """Write a number with all digits that tell it from its neighbours in its own dtype.

    Parameters
    ----------
    value : numpy scalar or float
        A float32 needs up to nine digits, a float64 up to seventeen; the shortest text that reads
        back to the same bits is used.
    """
    number = float(value)
    if not math.isfinite(number):
        return _not_finite(number)
    scalar = value if isinstance(value, np.floating) else np.float64(number)
    size = np.abs(scalar)
    if size != 0 and not 1e-4 <= float(size) < 1e7:
        text = np.format_float_scientific(size, unique=True, trim="0", exp_digits=2)
    else:
        text = np.format_float_positional(size, unique=True, trim="0")
    return (MINUS if number < 0 else "") + text.replace("e-", f"e{MINUS}")


def compact(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits and no zeros after them: ``0.25``, ``1e−05``.

    For ticks of axes and for sentences.
    """
    value = float(value)
    if not math.isfinite(value):
        return _not_finite(value)
    return f"{value:.{digits}g}".replace("-", MINUS)


def format_share(share: float) -> str:
    """Write a share from 0 to 1 in percent; only nothing is 0 %, and only all is 100 %."""
    if not math.isfinite(share):
        return "NaN"
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{100 * share:.0f} %"


# --- grids --------------------------------------------------------------------------------------


def cell_text(value: float, characters: int, decimals: int = 2) -> str:
    """Write a number into a grid cell of a few characters.

    Parameters
    ----------
    value : float
    characters : int
        Room in the cell, at least 3.
    decimals : int
        Most decimals to use, so that a grid looks even.

    Returns
    -------
    str
        ``".39"``, ``"−1.2"``, ``"12"``, ``"3k"``, ``"4e−9"``; where not even one digit fits, the
        power of ten alone, ``"−e−9"``, or ``"~0"``. Only an exact zero is ``"0"``.
    """
    value = float(value)
    if not math.isfinite(value):
        return _not_finite(value)
    if value == 0.0:
        return "0"
    size = abs(value)
    sign = MINUS if value < 0 else ""
    text = _fixed_cell(size, characters, characters - len(sign), decimals)
    text = text or _power_cell(size, characters - len(sign))
    if text:
        return sign + text
    return TINY if size < 1 else sign + ELLIPSIS


def _fixed_cell(size: float, characters: int, room: int, decimals: int) -> str:
    """Return a positive number in plain digits, or with k, M or G; empty if that says nothing."""
    for places in range(min(decimals, room - 1), -1, -1):
        text = f"{size:.{places}f}"
        if not text.strip("0."):
            break
        if text.startswith("0.") and (characters <= 4 or len(text) > room):
            text = text[1:]  # small cells drop the zero throughout, or a grid would look uneven
        if len(text) <= room:
            return text
    for divisor, unit in ((1e3, "k"), (1e6, "M"), (1e9, "G")):
        text = f"{size / divisor:.0f}{unit}"
        if 0.95 * divisor <= size < divisor * 1e3 and len(text) <= room:
            return text
    return ""


def _power_cell(size: float, room: int) -> str:
    """Return a positive number with an exponent, with as many digits as fit; empty if none do."""
    for decimals in (2, 1, 0):
        text = _scientific(size, decimals, padded=False)
        if len(text) <= room:
            return text
    text = _scientific(size, 17, padded=False)
    text = text[text.index("e") :]
    return text if len(text) <= room else ""


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def cell_scale(values: npt.NDArray[Any]) -> tuple[float, str]:
    """Choose a power of ten for grids whose numbers would have too few digits in their cells.

    Parameters
    ----------
    values : array

    Returns
    -------
    factor : float
        Multiply by this (see `scaled`) before writing into cells; 1 for numbers of ordinary size.
    text : str
        What the reader multiplies by, ``"×10⁻³"``, or empty.
    """
    finite = values[np.isfinite(values)] if values.size else values
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    if largest == 0.0 or 0.1 <= largest < 1e4:
        return 1.0, ""
    power = max(_power(largest), -300)
    return 10.0**-power, "×10" + str(power).translate(_SUPERSCRIPT)


def scaled(values: npt.NDArray[Any], factor: float) -> npt.NDArray[Any]:
    """Return values times a factor of `cell_scale`; float32 could not hold either."""
    wide: npt.NDArray[Any] = np.asarray(values, np.float64) * factor
    return wide


# --- columns ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """How all numbers of one column are written, so that their decimal points stand in line.

    Parameters
    ----------
    decimals : int
    scientific : bool
        Write every number with an exponent; otherwise those of which fixed decimals would leave
        too few digits.
    signed : bool
        Write ``+`` before positive numbers.
    width : int
        Characters of the longest number, sign included.
    least : float
        Numbers nearer to zero get an exponent.
    tail : int
        Characters from the decimal point on.
    """

    decimals: int
    scientific: bool
    signed: bool
    width: int
    least: float = 0.0
    tail: int = 0

    def text(self, value: float) -> str:
        """Write one number, padded on both sides to the column's width."""
        value = float(value)
        if not math.isfinite(value):
            return _not_finite(value).rjust(self.width)
        sign = MINUS if value < 0 else "+" if self.signed else ""
        whole, point, rest = self._size(abs(value)).partition(".")
        return (sign + whole).rjust(self.width - self.tail) + (point + rest).ljust(self.tail)

    def _size(self, size: float) -> str:
        if size == 0.0 or (not self.scientific and size >= self.least):
            return f"{size:.{self.decimals}f}"
        if self.scientific:
            return _scientific(size, self.decimals)
        short = self.tail - 1 - len(_scientific(size, 0)[1:])
        return _scientific(size, max(short, 1))


def is_whole(values: npt.NDArray[Any]) -> bool:
    """Return True if all numbers are whole, ordinary in size and not all zero.

    Such numbers (worked examples, labels, counts) read best without decimals. Zeros alone don't
    count: a column must not change its form when the first other value arrives.
    """
    if not values.size or not np.isfinite(values).all():
        return False
    largest = float(np.abs(values).max())
    return 0.5 < largest < 1e5 and bool((values == np.rint(values)).all())


def column_for(
    values: npt.NDArray[Any], digits: int = 6, signed: bool = False, most: int = 7
) -> Column:
    """Choose how to write a column of numbers.

    Parameters
    ----------
    values : array
        All numbers the column may show; NaN and Inf take no part.
    digits : int
        Significant digits of the largest number. Any other keeps at least three of them, or two
        where there are four or fewer.
    signed : bool
        Write ``+`` before positive numbers.
    most : int
        Most decimals; a column that needs more is written with exponents.
    """
    finite = values[np.isfinite(values)] if values.size else values
    sizes = np.abs(np.asarray(finite, np.float64))
    largest = float(sizes.max()) if sizes.size else 0.0
    negative = bool(finite.size and finite.min() < 0)
    sign = 1 if signed or negative else 0
    if is_whole(values):
        return Column(0, False, signed, sign + len(f"{largest:.0f}"))
    if largest == 0.0:
        decimals = min(4, digits - 1)
        return Column(decimals, False, signed, sign + 2 + decimals, tail=1 + decimals)
    power, smallest = _power(largest), float(sizes[sizes > 0].min())
    if power >= 6 or digits - 1 - power > most + 2:
        decimals = max(min(digits - 2, 4), 1)
        tail = 1 + decimals + max(_exponent_width(largest), _exponent_width(smallest))
        return Column(decimals, True, signed, sign + 1 + tail, tail=tail)
    decimals = max(min(digits - 1 - power, most), 0)
    kept = _KEPT if digits > 4 else _KEPT - 1
    least = 10.0 ** (kept - 1 - decimals)
    tail = 1 + decimals if decimals else 0
    if smallest < least:
        tail = max(tail, 1 + (kept - 1) + _exponent_width(smallest))
    whole = len(f"{largest:.{decimals}f}".partition(".")[0])
    return Column(decimals, False, signed, sign + whole + tail, least, tail)


def _exponent_width(size: float) -> int:
    """Return how many characters the exponent of a positive number takes, with its ``e``."""
    return len(_scientific(size, 0)) - 1


def significant(value: float, digits: int = 6) -> str:
    """Write a number with so many significant digits, at most `digits` + 1 decimals.

    Tiny and huge numbers get an exponent.
    """
    value = float(value)
    if not math.isfinite(value):
        return _not_finite(value)
    size = abs(value)
    sign = MINUS if value < 0 else ""
    if size == 0.0:
        return f"{0.0:.{digits - 2}f}"
    power = _power(size)
    decimals = max(digits - 1 - max(power, -2), 0)
    if _LEAST_FIXED <= power < 6 and decimals + power + 1 >= min(digits, _KEPT):
        return f"{sign}{size:.{decimals}f}"
    return sign + _scientific(size, digits - 2)


def aligned(values: Sequence[float], digits: int = 6) -> list[str]:
    """Write numbers of any sizes so that their decimal points stand in line.

    Whole numbers are written without decimals if all of them are whole.

    Parameters
    ----------
    values : sequence of float
    digits : int
        Significant digits of each.

    Returns
    -------
    list of str
        All of one length, padded with spaces on both sides.
    """
    if is_whole(np.array(values, np.float64)):
        texts = [format_number(value, 0) for value in values]
    else:
        texts = [significant(value, digits) for value in values]
    parts = [text.partition(".") for text in texts]
    left = max((len(part[0]) for part in parts), default=0)
    right = max((len(part[1] + part[2]) for part in parts), default=0)
    return [part[0].rjust(left) + (part[1] + part[2]).ljust(right) for part in parts]
