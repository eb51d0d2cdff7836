"""What a `Dataset` takes: arrays of one length, of numbers whose meaning is clear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import arguments
from engine.data import parts
from engine.errors import (
    LONGEST,
    ConfigurationError,
    DataError,
    DtypeError,
    ShapeError,
    shown,
)
from engine.typing import Array


def gathered(values: Any, name: str, check: Callable[[Any, str], Array]) -> Any:
    """Return one checked, read-only array, or several, arranged as they came."""
    if not parts.is_several(values):
        return _frozen(check(values, name))
    if not values:
        raise DataError(f"dataset: {name} is empty; at least one array is needed")
    if isinstance(values, Mapping):
        wrong = [key for key in values if not isinstance(key, str) or not key]
        if wrong:
            raise ConfigurationError(
                f"dataset: expected {name} by names, received the key {shown(wrong[0])}; use the "
                "names of the model's inputs or outputs, or a tuple in their order"
            )
        return {
            key: _frozen(check(array, parts.called(name, key))) for key, array in values.items()
        }
    return tuple(
        _frozen(check(array, parts.called(name, place))) for place, array in enumerate(values)
    )


def check_lengths(x: Any, y: Any) -> None:
    """Refuse arrays that do not hold the same number of samples."""
    inputs, targets = parts.flat(x), parts.flat(y)
    first, count = parts.called("x", parts.keys(x)[0]), len(inputs[0])
    advice = "both must have the same first axis"
    if isinstance(x, tuple) or isinstance(y, tuple):
        advice += "; a tuple means several inputs or outputs, np.stack makes one array of samples"
    for key, array in zip(parts.keys(x), inputs, strict=True):
        if len(array) != count:
            raise ShapeError(
                f"dataset: expected {parts.called('x', key)} to hold {count} samples as {first} "
                f"does, received shape {array.shape}; {advice}"
            )
    for key, array in zip(parts.keys(y), targets, strict=True):
        if len(array) != count:
            raise ShapeError(
                f"dataset: expected one target for each of the {count} samples of {first}, "
                f"received {parts.called('y', key)} of shape {array.shape}; {advice}"
            )


def _frozen(array: Array) -> Array:
    """Return a read-only view; the caller's own array stays as it is."""
    view = array.view()
    view.flags.writeable = False
    return view


def _as_array(values: npt.ArrayLike, name: str) -> Array:
    try:
        array = np.asarray(values)
    except Exception as error:  # lists of unequal lengths, or another library's own reasons
        reason = " ".join(str(error).split())[:LONGEST]
        raise ShapeError(
            f"dataset: {name} is no array of one shape ({reason}); pad or crop the samples first"
        ) from None
    if array.ndim == 0:
        raise ShapeError(
            f"dataset: expected {name} with a first axis of samples, received {shown(values)}"
        )
    if not len(array):
        raise DataError(f"dataset: {name} is empty; at least one sample is needed")
    return array


def checked_samples(x: npt.ArrayLike, name: str) -> Array:
    """Return inputs as float32, float64 or int64."""
    array = _as_array(x, name)
    if not array.size:
        raise ShapeError(
            f"dataset: {name} has shape {array.shape}; a sample needs at least one element"
        )
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and size <= 8:
        return _native(array, np.float64 if size == 8 else np.float32)
    if kind == "i":
        return _native(array, np.int64)
    advice = {
        "u": "pixels: x.astype('float32') / 255; token numbers: x.astype('int64')",
        "b": "use x.astype('float32')",
    }.get(kind, "convert it to float32")
    raise DtypeError(
        f"dataset: expected {name} as float32, float64 or int64, received {array.dtype}; {advice}"
    )


def checked_targets(y: npt.ArrayLike, name: str) -> Array:
    """Return targets as int64, float32 or float64."""
    array = _as_array(y, name)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and size <= 8:
        return _native(array, np.float64 if size == 8 else np.float32)
    if kind == "i" or (kind == "u" and size <= 4):
        return _native(array, np.int64)
    raise DtypeError(
        f"dataset: expected {name} as class numbers (int64) or values (float32, float64), "
        f"received {array.dtype}; use y.astype('int64') for classes, y.astype('float32') for values"
    )


def _native(array: Array, dtype: type[np.generic]) -> Array:
    """Return `array` contiguous, in this machine's byte order and `dtype`; no copy if it is so."""
    return np.ascontiguousarray(array, dtype=dtype)


def class_names(where: str, classes: Any) -> tuple[str, ...]:
    """Return the names of classes, which must differ.

    Names are texts or whole numbers. A set of them is refused as it has no order, and the order is
    what numbers the classes.
    """
    if isinstance(classes, str):
        raise ConfigurationError(
            f"{where}: expected classes as one name for each class, received {shown(classes)} alone"
        )
    expected = "classes as one distinct name for each class, in their order"
    given = arguments.ordered(where, classes, expected)
    for place, name in enumerate(given):
        if not isinstance(name, str) and not _is_number_of_class(name):
            raise arguments.refusal(f"{where} classes[{place}]", "a name", name)
    names = tuple(map(str, given))
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated or not names:
        advice = f"{shown(parts.listed(repeated))} more than once" if repeated else ""
        raise arguments.refusal(where, expected, classes, advice)
    return names


def _is_number_of_class(name: object) -> bool:
    return arguments.is_whole(name) and abs(int(name)) <= arguments.LARGEST


def sentences(where: str, notes: Any) -> tuple[str, ...]:
    """Return notes, one sentence each."""
    given = arguments.ordered(where, notes, "a list of sentences")
    return tuple(
        arguments.text(f"{where}[{place}]", note, "a sentence") for place, note in enumerate(given)
    )


def sample_numbers(which: Any) -> Array | None:
    """Return numbers (or truth values) given in order as an array; None if they are no such."""
    is_array = isinstance(which, np.ndarray)
    if not arguments.is_sequence(which):
        return None
    if (
        isinstance(which, (list, tuple))
        and len(kinds := set(map(type, which))) > 1
        and bool in kinds
    ):
        return None  # NumPy would take True among numbers for sample 1
    try:
        numbers = np.asarray(which)
    except Exception:  # lists within the list, or another library's own reasons
        return None
    if not is_array and not numbers.size:
        numbers = numbers.astype(np.int64)  # to NumPy a list of nothing is one of floats
    return numbers if numbers.ndim == 1 and numbers.dtype.kind in "iub" else None


def check_labels(y: Array, classes: tuple[str, ...]) -> None:
    """Refuse labels (n,) that have no class."""
    wrong = np.flatnonzero((y < 0) | (y >= len(classes)))
    if wrong.size:
        raise DataError(
            f"dataset: sample {wrong[0]} has label {y[wrong[0]]}, but there are {len(classes)} "
            f"classes, so labels run from 0 to {len(classes) - 1} ({wrong.size} labels lie outside)"
        )
