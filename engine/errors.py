"""The errors of the engine: one family; texts name place, expectation, what came, and the mend."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any

LONGEST = 80
"""Characters of a value that an error shows."""


class _Short(reprlib.Repr):
    """Python's `repr`, cut short inside, so that a list of a million numbers costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = LONGEST
        self.maxtuple = self.maxlist = self.maxdict = 6

    def repr1(self, x: Any, level: int) -> str:
        """Return the text of one value; reprlib calls it for the values inside, too."""
        if isinstance(x, type):
            return f"<class {x.__name__}>"
        if hasattr(x, "dtype") and hasattr(x, "shape"):
            return f"<{x.dtype} array of shape {tuple(x.shape)}>" if x.shape else str(x)
        if isinstance(x, int) and x.bit_length() > 4 * LONGEST:
            return f"<an integer of {x.bit_length()} bits>"  # Python itself refuses to print some
        if getattr(type(x), "__repr__", None) == object.__repr__:
            return f"<{type(x).__name__} object>"
        return super().repr1(x, level)


def shown(value: object) -> str:
    """Return a value as an error shows it: one line, of bounded length, whatever the value is."""
    try:
        text = " ".join(_Short().repr(value).split())
    except Exception:  # somebody else's repr
        text = f"<{type(value).__name__} object>"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


class EngineError(Exception):
    """Base of every error the engine raises on purpose; its text is one clear sentence."""

    def __str__(self) -> str:
        """Return the sentence on one line, also where a name of the user's has several."""
        return " ".join(super().__str__().splitlines())


class ShapeError(EngineError, ValueError):
    """A tensor or a window has a shape that does not fit."""


class DtypeError(EngineError, TypeError):
    """An array has a type of number that is not accepted here."""


class DataError(EngineError, ValueError):
    """The data themselves are unusable: labels out of range, NaN pixels, an empty set."""


class ConfigurationError(EngineError, ValueError):
    """A setting lies outside its range, or two settings contradict each other."""


class FormatError(EngineError, ValueError):
    """A file is damaged, truncated, or of another format than its reader expects."""


class DeviceError(EngineError, RuntimeError):
    """A device was asked for that this machine cannot provide."""


class UnsupportedOperator(EngineError, NotImplementedError):
    """An imported graph contains an operator that the engine does not have."""


class StateError(EngineError, RuntimeError):
    """A call came at a moment when it cannot be carried out."""


class UnknownName(EngineError, KeyError):
    """A name does not exist; the text lists those that do.

    Parameters
    ----------
    kind : str
        What was looked up, for example ``"layer"``.
    name : str
        The name that was not found.
    known : iterable of str
        The names that exist.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = ", ".join(known) or "none"
        self.text = f"unknown {kind} {shown(name)}; there are: {names}"
        super().__init__(self.text)

    def __str__(self) -> str:
        """Return the sentence itself; KeyError alone would show it in quotes."""
        return " ".join(self.text.splitlines())
