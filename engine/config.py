"""Settings as plain data: what goes into a run file and comes back as the same object.

Layers, losses, optimisers, schedules, regularisers and initialisers are *configurable*: they keep
every constructor argument under its own name and register their class, so that one encoder serves
them all and a new layer needs none of its own.

A setting that is assigned later goes through the constructor's checks, and from the next step on it
is in force in every program and in the run file; what cannot act that way refuses assignment.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from engine.errors import ConfigurationError, DtypeError, FormatError, shown

WRITTEN_OUT = 16
"""Numbers of a setting that a text shows; more are described."""
CLASSES: dict[str, type[Configurable]] = {}
"""Every configurable class by name."""


_changes = itertools.count(1)
_latest = 0


def note_change() -> None:
    """Let programs know that a setting somewhere is not what it was."""
    global _latest
    _latest = next(_changes)


def latest_change() -> int:
    """Return a number that differs after every change of any setting.

    Who has lowered settings into launches compares it at every step, and looks at the settings
    themselves only when it has moved.
    """
    return _latest


class Sealed:
    """Base of objects whose public attributes stay as they are once `seal` has been called.

    What is made from them (orders, fingerprints, memory) would otherwise belong to other values.
    """

    assignable: ClassVar[tuple[str, ...]] = ()
    """Attributes that can be assigned all the same."""
    advice: ClassVar[str] = "make a new one"
    """For the error text."""

    def seal(self) -> None:
        """End the construction."""
        object.__setattr__(self, "_sealed", True)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_sealed" in self.__dict__ and not name.startswith("_") and name not in self.assignable:
            kind = type(self).__name__
            raise ConfigurationError(
                f"{kind}.{name}: cannot be assigned once the {kind} is made; {self.advice}"
            )
        object.__setattr__(self, name, value)


class _Settled(type):
    """Makes objects whose public attributes are settings once their constructor is through."""

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        made = super().__call__(*arguments, **keywords)
        object.__setattr__(made, "_settled", True)
        return made

    @property
    def __signature__(cls) -> inspect.Signature:
        """The constructor's: without it, `inspect` and editors would show that of `__call__`."""
        own = inspect.signature(cls.__init__)  # type: ignore[misc]
        return own.replace(parameters=list(own.parameters.values())[1:])


class Configurable(metaclass=_Settled):
    """Base of objects that can be written as data. Subclasses register under their class name."""

    transient: ClassVar[tuple[str, ...]] = ()
    """Constructor arguments that are not written."""

    acts_alone: ClassVar[tuple[str, ...]] = ()
    """Settings that are looked at in every step and are part of no launch."""

    above_zero: ClassVar[tuple[str, ...]] = ()
    below_one: ClassVar[tuple[str, ...]] = ()
    """Settings that must be more than 0, or less than 1, in the model's dtype too; see
    `engine.precision`."""

    _settled: bool
    revision: int = 0
    """How often a setting has changed that launches are made with."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if not cls.__name__.startswith("_"):
            CLASSES[cls.__name__] = cls

    @classmethod
    def setting_names(cls) -> tuple[str, ...]:
        """Return the names of the constructor arguments."""
        return tuple(inspect.signature(cls).parameters)

    def config(self) -> dict[str, Any]:
        """Return the constructor arguments as JSON-able data."""
        names = [name for name in self.setting_names() if name not in self.transient]
        return {name: encode(getattr(self, name)) for name in names}

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or "_settled" not in self.__dict__:
            object.__setattr__(self, name, value)
        else:
            self._assign(name, value)

    def __delattr__(self, name: str) -> None:
        raise ConfigurationError(f"{type(self).__name__}.{name}: a setting cannot be deleted")

    def _assign(self, name: str, value: Any) -> None:
        """Change one setting, with the constructor's checks on all of them together."""
        names = self.setting_names()
        if name not in names:
            if not type(self).__module__.startswith("engine."):
                # A class of the user's own may keep what it likes.
                object.__setattr__(self, name, value)
                note_change()
                return
            there = f"there are {', '.join(names)}" if names else "there are none"
            raise ConfigurationError(
                f"{type(self).__name__}.{name}: there is no such setting to assign; {there}"
            )
        changed = type(self)(**{n: value if n == name else getattr(self, n) for n in names})
        changed.__dict__["revision"] = self.revision + (name not in self.acts_alone)
        self._take(changed)

    def _take(self, changed: Configurable) -> None:
        """Take over what the constructor made of the settings, all at once."""
        self.__dict__.update(changed.__dict__)
        note_change()

    def __repr__(self) -> str:
        names = [n for n in inspect.signature(type(self)).parameters if n not in self.transient]
        return call_text(type(self), {name: getattr(self, name) for name in names})


def call_text(kind: type[Any], settings: Mapping[str, Any]) -> str:
    """Return the call that makes an equal object: every setting by name.

    A setting that is None because nobody gave it is left out. Long arrays are described, not
    written out.
    """
    parameters = inspect.signature(kind).parameters
    parts = [
        f"{name}={_setting_text(value)}"
        for name, value in settings.items()
        if value is not None or parameters[name].default is not None
    ]
    return f"{kind.__name__}({', '.join(parts)})"


def _setting_text(value: Any) -> str:
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, np.ndarray):
        return repr(value.tolist()) if value.size <= WRITTEN_OUT else shown(value)
    if isinstance(value, tuple) and len(value) > WRITTEN_OUT:
        return shown(value)
    return repr(value)


def encode(value: Any) -> Any:
    """Return `value` as JSON-able data; configurable objects become ``{"type", "config"}``.

    Raises
    ------
    DtypeError
        If there is no such form of it.
    """
    if isinstance(value, Configurable):
        return {"type": type(value).__name__, "config": value.config()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise DtypeError(
        f"save: expected settings of numbers, texts and objects with settings, received "
        f"{shown(value)}, which cannot be written to a run file"
    )


def decode(data: Any) -> Any:
    """Return the object that `encode` wrote; lists come back as tuples.

    Raises
    ------
    FormatError
        If a class is unknown or refuses its settings.
    """
    if isinstance(data, list):
        return tuple(decode(item) for item in data)
    if not isinstance(data, Mapping):
        return data
    name, config = data.get("type"), data.get("config")
    if not isinstance(name, str) or name not in CLASSES or not isinstance(config, Mapping):
        raise FormatError(
            f"run file: unknown kind of object {name!r}; "
            "import the module that defines it before loading"
        )
    try:
        return CLASSES[name](**{key: decode(value) for key, value in config.items()})
    except TypeError as error:
        raise FormatError(f"run file: {name} does not accept its settings: {error}") from error
