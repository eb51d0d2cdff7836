"""Settings as plain data: what goes into a run file and comes back as the same object.

Layers, losses, optimisers, schedules, regularisers and initialisers are *configurable*: they keep
every constructor argument under its own name and register their class, so that one encoder serves
them all and a new layer needs none of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from engine.errors import FormatError

CLASSES: dict[str, type[Configurable]] = {}
"""Every configurable class by name."""


class Configurable:
    """Base of objects that can be written as data. Subclasses register under their class name."""

    transient: ClassVar[tuple[str, ...]] = ()
    """Constructor arguments that are not written."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if not cls.__name__.startswith("_"):
            CLASSES[cls.__name__] = cls

    def config(self) -> dict[str, Any]:
        """Return the constructor arguments as JSON-able data."""
        names = [n for n in inspect.signature(type(self)).parameters if n not in self.transient]
        return {name: encode(getattr(self, name)) for name in names}


def encode(value: Any) -> Any:
    """Return `value` as JSON-able data; configurable objects become ``{"type", "config"}``."""
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
    raise TypeError(f"a {type(value).__name__} cannot be written to a run file: {value!r}")


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
