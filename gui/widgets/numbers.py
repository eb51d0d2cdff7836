"""Numbers as text: true minus signs, aligned decimals, compact cells. Free of Qt.

Every number on screen passes through here, so that one value never appears in two spellings.
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

_LARGEST_FIXED = 1e6
"""From here on fixed decimals no longer help the eye and an exponent is used."""


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return f"+{INFINITY}" if value > 0 else f"{MINUS}{INFINITY}"


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
        ``"0.3142"``, ``"−2.2614"``; numbers that fixed decimals would show as zero, and those
        from a million on, get an exponent: ``"3.14e−07"``.

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
    size = abs(value)
    if size >= _LARGEST_FIXED or size < 0.5 * 10.0**-digits:
        text = f"{size:.{max(digits - 2, 1)}e}"
        mantissa, exponent = text.split("e")
        power = int(exponent)
        sign = MINUS if power < 0 else "+"
        text = f"{mantissa}e{sign}{abs(power):02d}"
    else:
        text = f"{size:.{digits}f}"
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
        ``".39"``, ``"−1.2"``, ``"12"``, ``"3k"``; an exact zero is ``"0"``.
    """
    value = float(value)
    if not math.isfinite(value):
        return _not_finite(value)
    if value == 0.0:
        return "0"
    size = abs(value)
    sign = MINUS if value < 0 else ""
    room = characters - len(sign)
    for places in range(min(decimals, room - 1), -1, -1):
        text = f"{size:.{places}f}"
        if text.startswith("0.") and (characters <= 4 or len(text) > room):
            text = text[1:]  # small cells drop the zero throughout, or a grid would look uneven
        if len(text) <= room:
            return sign + text
    for divisor, unit in ((1e3, "k"), (1e6, "M"), (1e9, "G")):
        text = f"{size / divisor:.0f}{unit}"
        if size < divisor * 1e3 and len(text) <= room:
            return sign + text
    power = math.floor(math.log10(size))
    return f"{sign}e{power}"[:characters]


@dataclass(frozen=True, slots=True)
class Column:
    """How all numbers of one column are written, so that their decimal points stand in line.

    Parameters
    ----------
    decimals : int
    scientific : bool
        Write every number with an exponent.
    signed : bool
        Write ``+`` before positive numbers.
    width : int
        Characters of the longest number, sign included.
    """

    decimals: int
    scientific: bool
    signed: bool
    width: int

    def text(self, value: float) -> str:
        """Write one number, padded on the left to the column's width."""
        value = float(value)
        if not math.isfinite(value):
            return _not_finite(value).rjust(self.width)
        size = abs(value)
        if self.scientific:
            if size == 0.0:
                text = f"{0.0:.{self.decimals}f}" + "    "
            else:
                mantissa, exponent = f"{size:.{self.decimals}e}".split("e")
                power = int(exponent)
                text = f"{mantissa}e{MINUS if power < 0 else '+'}{abs(power):02d}"
        else:
            text = f"{size:.{self.decimals}f}"
        sign = MINUS if value < 0 else "+" if self.signed else ""
        return (sign + text).rjust(self.width)


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
        Significant digits of the largest number.
    signed : bool
        Write ``+`` before positive numbers.
    most : int
        Most decimals; a column that needs more is written with exponents.
    """
    finite = values[np.isfinite(values)] if values.size else values
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    negative = bool(finite.size and finite.min() < 0)
    sign = 1 if signed or negative else 0
    if is_whole(values):
        return Column(0, False, signed, sign + len(f"{largest:.0f}"))
    if largest == 0.0:
        return Column(min(4, digits - 1), False, signed, sign + 2 + min(4, digits - 1))
    power = math.floor(math.log10(largest))
    if power >= 6 or digits - 1 - power > most + 2:
        decimals = max(min(digits - 2, 4), 1)
        return Column(decimals, True, signed, sign + 2 + decimals + 4)
    decimals = max(min(digits - 1 - power, most), 0)
    whole = max(power, 0) + 1
    return Column(decimals, False, signed, sign + whole + (1 + decimals if decimals else 0))


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
    power = math.floor(math.log10(size))
    if -4 <= power < 6:
        return f"{sign}{size:.{max(digits - 1 - max(power, -2), 0)}f}"
    mantissa, exponent = f"{size:.{digits - 2}e}".split("e")
    return f"{sign}{mantissa}e{MINUS if exponent[0] == '-' else '+'}{exponent[1:]}"


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


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def cell_scale(values: npt.NDArray[Any]) -> tuple[float, str]:
    """Choose a power of ten for grids whose numbers would all read ``.00``.

    Parameters
    ----------
    values : array

    Returns
    -------
    factor : float
        Multiply by this before writing into cells; 1 for numbers of ordinary size.
    text : str
        What the reader multiplies by, ``"×10⁻³"``, or empty.
    """
    finite = values[np.isfinite(values)] if values.size else values
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    if largest == 0.0 or 0.05 <= largest < 1e5:
        return 1.0, ""
    power = math.floor(math.log10(largest))
    return 10.0**-power, "×10" + str(power).translate(_SUPERSCRIPT)
