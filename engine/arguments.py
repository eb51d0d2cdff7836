"""Checked conversions: what a call cannot use is refused at the call, in one sentence.

Every function takes `where`, the call and its argument (``"Conv2d stride"``), and the value. It
returns the value as plain Python or raises `ConfigurationError`; NumPy's numbers count as numbers,
truth values do not.
"""

from __future__ import annotations

import math
import numbers
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import numpy as np

from engine.errors import (
    LONGEST,
    ConfigurationError,
    DtypeError,
    ShapeError,
    UnknownName,
    shown,
)
from engine.typing import Array, Index

LARGEST = 2**31 - 1
"""The greatest size: what is larger fits into no memory, and overflows indices of 32 bits."""
MOST_STEPS = 2**63 - 1
"""The greatest number of steps, seeds and the like."""
LONGEST_NAME = 255
"""Bytes of a file's name: no system in use takes more."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_/\-]*")
"""Names of layers and inputs. Without points: ``"conv.weight"`` is the name of a tensor."""

Kind = TypeVar("Kind")
Value = TypeVar("Value")


def refusal(where: str, expected: str, value: object, advice: str = "") -> ConfigurationError:
    """Return the error for a value that cannot be used."""
    if not advice and isinstance(value, np.ndarray) and not value.ndim:
        advice = "take the number out with .item()"
    hint = f"; {advice}" if advice else ""
    return ConfigurationError(f"{where}: expected {expected}, received {shown(value)}{hint}")


# -- numbers -------------------------------------------------------------------------------------


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is a whole number; True and False are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))


def is_number(value: object) -> bool:
    """Return whether a value is a real number, finite or not; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def whole(where: str, value: Any, least: int | None = None, most: int | None = LARGEST) -> int:
    """Return a whole number between two bounds (included; None: there is none).

    Raises
    ------
    ConfigurationError
        If it is something else: a fraction, a truth value, a text.
    """
    if is_whole(value):
        result = int(value)
        if (least is None or result >= least) and (most is None or result <= most):
            return result
    bounds = [] if least is None else [f"at least {least}"]
    exceeded = most is not None and is_whole(value) and int(value) > most
    if exceeded or (most is not None and most < LARGEST):
        bounds.append(f"at most {most}")
    expected = f"a whole number of {' and '.join(bounds)}" if bounds else "a whole number"
    raise refusal(where, expected, value)


def number(
    where: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    advice: str = "",
) -> float:
    """Return a finite number as a float.

    Parameters
    ----------
    least, most : float, optional
        Bounds that are allowed themselves.
    above, below : float, optional
        Bounds that are not.

    Raises
    ------
    ConfigurationError
        If it is something else, NaN, infinite, or out of bounds.
    """
    result = math.nan
    if is_number(value):
        try:
            result = float(value)
        except OverflowError:  # an integer beyond all floats
            result = math.inf
    good = (
        math.isfinite(result)
        and (least is None or result >= least)
        and (above is None or result > above)
        and (most is None or result <= most)
        and (below is None or result < below)
    )
    if good:
        return result
    raise refusal(where, _range(least, above, most, below), value, advice)


def _range(
    least: float | None, above: float | None, most: float | None, below: float | None
) -> str:
    """Say which numbers there may be."""
    start = (
        f"of at least {least:g}"
        if least is not None
        else f"above {above:g}"
        if above is not None
        else ""
    )
    end = (
        f"at most {most:g}" if most is not None else f"below {below:g}" if below is not None else ""
    )
    bounds = " and ".join(part for part in (start, end) if part)
    return f"a number {bounds}" if bounds else "a finite number"


def several(
    where: str, value: Any, *, least: float | None = None, below: float | None = None
) -> tuple[float, ...]:
    """Return one or more numbers, given in order, as floats; bounds are those of `number`.

    Raises
    ------
    ConfigurationError
        If there is none, or one of them is not allowed; the text says which.
    """
    items = ordered(where, value, "a sequence of numbers")
    if not items:
        raise refusal(where, "at least one number", value)
    return tuple(
        number(f"{where}[{i}]", item, least=least, below=below) for i, item in enumerate(items)
    )


def flag(where: str, value: Any, advice: str = "") -> bool:
    """Return True or False; other things that Python takes for true are refused.

    Raises
    ------
    ConfigurationError
        If it is something else.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise refusal(where, "True or False", value, advice)


def index(where: str, value: Any) -> Index:
    """Return a place in an array: whole numbers, one for each axis.

    Raises
    ------
    ConfigurationError
        If it is something else; whether the place exists is for the caller to see.
    """
    if is_sequence(value) and all(is_whole(i) and abs(int(i)) <= MOST_STEPS for i in value):
        return tuple(int(i) for i in value)
    raise refusal(where, "whole numbers, one for each axis, such as (0, 2, 3)", value)


# -- sequences, texts, objects --------------------------------------------------------------------


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Return whether a value holds others in an order: a list, a tuple, an array with one axis."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return isinstance(value, Sequence) and not isinstance(
        value, (str, bytes, bytearray, memoryview)
    )


def ordered(where: str, value: Any, expected: str) -> tuple[Any, ...]:
    """Return a list, a tuple, a range or an array with one axis as a tuple.

    Raises
    ------
    ConfigurationError
        If it is something else; texts, sets and dictionaries are.
    """
    if not is_sequence(value):
        raise refusal(where, expected, value)
    return tuple(value)


def choice(where: str, value: Any, choices: Iterable[str]) -> str:
    """Return one of several words.

    Raises
    ------
    ConfigurationError
        If it is something else; the text lists them.
    """
    words = tuple(choices)
    if isinstance(value, str) and value in words:
        return str(value)
    quoted = [f'"{word}"' for word in words]
    expected = " or ".join(quoted) if len(words) < 3 else f"one of {', '.join(quoted)}"
    raise refusal(where, expected, value)


def text(where: str, value: Any, expected: str = "a text") -> str:
    """Return a string.

    Raises
    ------
    ConfigurationError
        If it is something else.
    """
    if isinstance(value, str):
        return str(value)
    raise refusal(where, expected, value)


def name(where: str, value: Any, reserved: Mapping[str, str]) -> str:
    """Return the name of a layer or of an input.

    Parameters
    ----------
    reserved : dict of str
        Names that are not free, and what bears them.

    Raises
    ------
    ConfigurationError
        If tensors could not be addressed by it, or it is not free.
    """
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise refusal(where, "letters, digits, _, - or /, starting with a letter or _", value)
    if value in reserved:
        raise ConfigurationError(
            f"{where}: {value!r} is reserved for {reserved[value]}; choose another name"
        )
    return str(value)


def instance(
    where: str,
    value: Any,
    kind: type[Kind] | tuple[type[Any], ...],
    expected: str,
    advice: str = "",
) -> Kind:
    """Return an object of one of some classes.

    Raises
    ------
    ConfigurationError
        If it is something else; a class in place of an object gets a text of its own.
    """
    if isinstance(value, kind):
        return value
    if isinstance(value, type) and issubclass(value, kind):
        advice = f"call the class: {value.__name__}(...)"
    raise refusal(where, expected, value, advice)


def function(where: str, value: Any, expected: str) -> Any:
    """Return something that can be called.

    Raises
    ------
    ConfigurationError
        If it cannot.
    """
    if callable(value):
        return value
    raise refusal(where, expected, value)


def path(where: str, value: Any, expected: str = "the path of a file") -> Path:
    """Return a path.

    Raises
    ------
    ConfigurationError
        If it is something else, or no system could have a file of that name.
    """
    if isinstance(value, (str, os.PathLike)):
        given = os.fspath(value)
        if isinstance(given, str) and given and "\0" not in given:
            result = Path(given)
            if all(len(os.fsencode(part)) <= LONGEST_NAME for part in result.parts):
                return result
            raise refusal(where, f"{expected}, of names of at most {LONGEST_NAME} bytes", value)
    raise refusal(where, expected, value)


def array(where: str, value: Any, expected: str = "an array of numbers") -> Array:
    """Return numbers as an array, without a copy where that is possible.

    Raises
    ------
    DtypeError
        If they are no numbers.
    ShapeError
        If they are lists of unequal lengths.
    """
    try:
        result = np.asarray(value)
    except Exception as error:  # lists of unequal lengths, or another library's own reasons
        reason = " ".join(str(error).split())[:LONGEST]
        raise ShapeError(
            f"{where}: expected {expected} of one shape, received {shown(value)}, of which NumPy "
            f"makes none ({reason})"
        ) from None
    if result.dtype.kind not in "fiub":
        received = shown(result if result.ndim else value)
        raise DtypeError(f"{where}: expected {expected}, received {received}")
    return result


class Named(dict[str, Value]):
    """A dictionary whose missing keys say what there is.

    Parameters
    ----------
    kind : str
        What its values are, for example ``"parameter"``.
    items : mapping or iterable of pairs
    """

    def __init__(
        self, kind: str, items: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()
    ) -> None:
        super().__init__(items)
        self.kind = kind

    def __getitem__(self, key: str) -> Value:
        try:
            return super().__getitem__(key)
        except (KeyError, TypeError):  # missing, or nothing that could be a key
            raise UnknownName(self.kind, key, self) from None
