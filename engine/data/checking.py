"""What a `Dataset` takes: arrays of one length, of numbers whose meaning is clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data import parts
from engine.errors import ConfigurationError, DataError, DtypeError, ShapeError
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
                f"dataset: expected {name} by names, received the key {wrong[0]!r}; use the names "
                "of the model's inputs or outputs, or a tuple in their order"
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
    except ValueError as error:  # lists of unequal lengths
        raise ShapeError(
            f"dataset: {name} is no array of one shape ({error}); pad or crop the samples first"
        ) from error
    if array.ndim == 0:
        raise ShapeError(
            f"dataset: expected {name} with a first axis of samples, received {array!r}"
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


def checked_classes(classes: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the names of classes, which must differ."""
    if classes is None:
        return None
    if isinstance(classes, str):
        raise ConfigurationError(
            f"dataset: expected classes as one name for each class, received {classes!r} alone"
        )
    names = tuple(str(name) for name in classes)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not names:
        raise ConfigurationError(
            f"dataset: expected one distinct name for each class, received {list(classes)!r}"
            + (f"; {', '.join(repeated)} appears more than once" if repeated else "")
        )
    return names


def check_labels(y: Array, classes: tuple[str, ...]) -> None:
    """Refuse labels (n,) that have no class."""
    wrong = np.flatnonzero((y < 0) | (y >= len(classes)))
    if wrong.size:
        raise DataError(
            f"dataset: sample {wrong[0]} has label {y[wrong[0]]}, but there are {len(classes)} "
            f"classes, so labels run from 0 to {len(classes) - 1} ({wrong.size} labels lie outside)"
        )
