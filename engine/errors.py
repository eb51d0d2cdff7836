"""The errors of the engine: one family; texts name place, expectation, what came, and the mend."""

from __future__ import annotations

from collections.abc import Iterable


class EngineError(Exception):
    """Base of every error the engine raises on purpose; its text is one clear sentence."""


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
        self.text = f"unknown {kind} {name!r}; there are: {names}"
        super().__init__(self.text)

    def __str__(self) -> str:
        """Return the sentence itself; KeyError alone would show it in quotes."""
        return self.text
