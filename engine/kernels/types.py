"""The types that may stand in a kernel's signature; both targets read them.

A kernel is a function of arrays, one NamedTuple of settings and, on the CPU, the two integers
``thread`` and ``threads``, before which ``work``, the address of the thread's own scratch, may
stand. The annotations decide how the table of operations is laid out in
memory, so they are the only declaration a kernel needs.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ArrayKind:
    """How a kernel sees one array.

    Parameters
    ----------
    number : {"real", "integer"}
        `real` is the program's float32 or float64, `integer` is int64.
    rank : int
        Number of axes; 0 means "the memory as it lies", seen as one axis.
    """

    number: str
    rank: int


Flat = Annotated[npt.NDArray[Any], ArrayKind("real", 0)]
"""Real numbers as they lie in memory, one axis: for work that is the same for every element."""
Real1 = Annotated[npt.NDArray[Any], ArrayKind("real", 1)]
Real2 = Annotated[npt.NDArray[Any], ArrayKind("real", 2)]
Real3 = Annotated[npt.NDArray[Any], ArrayKind("real", 3)]
Real4 = Annotated[npt.NDArray[Any], ArrayKind("real", 4)]
Real5 = Annotated[npt.NDArray[Any], ArrayKind("real", 5)]
Real6 = Annotated[npt.NDArray[Any], ArrayKind("real", 6)]
IntegerFlat = Annotated[npt.NDArray[Any], ArrayKind("integer", 0)]
Integer1 = Annotated[npt.NDArray[Any], ArrayKind("integer", 1)]
Integer4 = Annotated[npt.NDArray[Any], ArrayKind("integer", 4)]


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a kernel in order: arrays first, then the settings type or None."""

    arrays: tuple[ArrayKind, ...]
    settings: type[tuple[Any, ...]] | None


@functools.cache
def signature_of(function: Callable[..., None]) -> Signature:
    """Read a kernel's signature from its annotations.

    Parameters
    ----------
    function : plain Python function
        The kernel before compilation.

    Raises
    ------
    TypeError
        If a parameter's annotation is none of the types of this module.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    arrays: list[ArrayKind] = []
    settings: type[tuple[Any, ...]] | None = None
    for name in inspect.signature(function).parameters:
        if name in ("work", "thread", "threads"):
            continue
        hint = hints[name]
        extras = getattr(hint, "__metadata__", ())
        if extras and isinstance(extras[0], ArrayKind) and settings is None:
            arrays.append(extras[0])
        elif isinstance(hint, type) and issubclass(hint, tuple) and settings is None:
            settings = hint
        else:
            raise TypeError(f"{function.__name__}: parameter {name} has no kernel type: {hint}")
    return Signature(tuple(arrays), settings)


@functools.cache
def real_fields(settings: type[tuple[Any, ...]]) -> tuple[bool, ...]:
    """Return for each field of a settings type whether it is a real number (else an integer)."""
    return tuple(kind is float for kind in typing.get_type_hints(settings).values())


def typed_settings(settings: Any, dtype: str) -> Any:
    """Return settings with integers as Python's and floats in the program's dtype.

    A Python float would bring float64 arithmetic into a float32 kernel.
    """
    kind: Any = type(settings)
    real = np.dtype(dtype).type
    values = zip(real_fields(kind), settings, strict=True)
    return kind(*(real(value) if is_real else int(value) for is_real, value in values))


def view_for(kind: ArrayKind, memory: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return `memory` as a kernel with this array kind sees it; never a copy.

    Raises
    ------
    TypeError
        If rank or number do not fit: a mistake in an op, not of a user.
    """
    if not memory.flags.c_contiguous:
        raise TypeError("kernels see contiguous memory only")
    wanted = np.int64 if kind.number == "integer" else memory.dtype
    if memory.dtype != wanted or (kind.number == "real") != (memory.dtype.kind == "f"):
        raise TypeError(f"kernel wants {kind.number} numbers, the buffer holds {memory.dtype}")
    if kind.rank == 0:
        return memory.reshape(-1)
    if memory.ndim != kind.rank:
        raise TypeError(f"kernel wants rank {kind.rank}, the buffer has shape {memory.shape}")
    return memory
