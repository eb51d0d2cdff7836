"""One array, several in order, or several by name: what the inputs or targets of a set may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.errors import LONGEST, shown
from engine.typing import Array, Shape

Arrays = Array | tuple[Array, ...] | dict[str, Array]
"""One array, a tuple in the order of a model's inputs or outputs, or a dict by their names."""


NAMED = 5
"""So many names stand in a sentence."""


def is_several(values: Any) -> bool:
    """Return whether `values` are several arrays, each with its own axis of samples.

    A mapping always is; a tuple is if it holds arrays. A tuple of numbers or of lists is one array,
    as it is to NumPy.
    """
    if isinstance(values, Mapping):
        return True
    return isinstance(values, tuple) and any(
        hasattr(entry, "__array__") and getattr(entry, "ndim", 0) for entry in values
    )


def flat(values: Arrays) -> tuple[Array, ...]:
    """Return the arrays in order."""
    if isinstance(values, dict):
        return tuple(values.values())
    return values if isinstance(values, tuple) else (values,)


def keys(values: Any) -> tuple[Any, ...]:
    """Return what each array is called: its name, its number, or nothing if there is one only."""
    if isinstance(values, Mapping):
        return tuple(values)
    return tuple(range(len(values))) if isinstance(values, tuple) else (None,)


def mapped(change: Callable[[Array], Any], values: Arrays) -> Any:
    """Return `change` of each array, arranged as `values` are."""
    if isinstance(values, dict):
        return {name: change(array) for name, array in values.items()}
    if isinstance(values, tuple):
        return tuple(change(array) for array in values)
    return change(values)


def called(name: str, key: Any) -> str:
    """Return ``x``, ``x[0]`` or ``x['tokens']``: how a reader would write it."""
    return name if key is None else f"{name}[{shown(key)}]"


def listed(names: Sequence[Any]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    texts = (str(name) for name in names[:NAMED])
    return ", ".join(t if len(t) <= LONGEST else f"{t[: LONGEST - 3]}..." for t in texts) + more


def shape_of(array: Array) -> Shape:
    """Return the shape of one sample."""
    return array.shape[1:]
