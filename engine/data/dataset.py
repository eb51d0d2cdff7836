"""A set of samples with their targets."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigurationError, DataError, DtypeError, ShapeError
from engine.typing import Array, Shape

DIGEST_BYTES = 16


class Dataset:
    """Samples `x` with targets `y`, both in memory.

    NaN and infinite values are accepted, so that they can be hunted; `Scheduler.fit` refuses them.
    The arrays are not copied where their dtype and layout already fit, and are read-only from
    here on: a run can only be replayed if its data stay as they are. To change values, change a
    copy and make a new set of it.

    Parameters
    ----------
    x : array, shape (n, ...)
        float32, float64 or int64 (token numbers). Images are (n, c, h, w). float16 becomes
        float32 and smaller signed integers int64; both are exact.
    y : array, shape (n, ...)
        Integers (class numbers, stored as int64) or floats (probabilities, values to predict).
    classes : sequence of str, optional
        The name of each class number. If given, labels of shape (n,) must lie in its range.
    name : str, optional
        Shown to the reader, for example ``"mnist test"``.

    Raises
    ------
    ShapeError
        If `x` and `y` differ in length or a sample has no elements.
    DtypeError
        If an array holds something else than numbers, or numbers whose meaning is unclear.
    DataError
        If there is no sample, or a label has no class.
    ConfigurationError
        If two classes bear the same name.
    """

    def __init__(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        classes: Sequence[str] | None = None,
        *,
        name: str = "",
    ) -> None:
        self.x = _frozen(_checked_samples(x))
        self.y = _frozen(_checked_targets(y))
        self.classes = _checked_classes(classes)
        self.name = name
        self._fingerprint: str | None = None
        if len(self.x) != len(self.y):
            raise ShapeError(
                f"dataset: expected one target for each of the {len(self.x)} samples of x, "
                f"received y of shape {self.y.shape}; both must have the same first axis"
            )
        if self.classes is not None and self.y.ndim == 1 and self.y.dtype == np.int64:
            _check_labels(self.y, self.classes)

    @property
    def sample_shape(self) -> Shape:
        """Shape of one sample, without the batch axis: (c, h, w) for images."""
        return self.x.shape[1:]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, key: Any) -> tuple[Any, Any]:
        """Return ``(x[key], y[key])`` for one number, a slice, or an array of numbers."""
        try:
            return self.x[key], self.y[key]
        except IndexError as error:
            raise DataError(
                f"dataset: no sample {key!r} among {len(self)}; the numbers run from 0 to "
                f"{len(self) - 1}"
            ) from error

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return zip(self.x, self.y, strict=True)

    def __repr__(self) -> str:
        label = f"{self.name!r}, " if self.name else ""
        return f"Dataset({label}x {self.x.dtype} {self.x.shape}, y {self.y.dtype} {self.y.shape})"

    def subset(self, which: SupportsIndex | Sequence[int] | Array) -> Dataset:
        """Return a smaller set.

        Parameters
        ----------
        which : int or sequence of int
            The first `which` samples, or the numbers of the samples to take, in their order.

        Returns
        -------
        Dataset

        Raises
        ------
        DataError
            If fewer than one sample or more than there are is asked for, or a number does not
            exist.
        """
        indices = self._indices(which)
        return Dataset(self.x[indices], self.y[indices], self.classes, name=self.name)

    def _indices(self, which: SupportsIndex | Sequence[int] | Array) -> slice | Array:
        if isinstance(which, SupportsIndex) and not isinstance(which, np.ndarray):
            count = operator.index(which)
            if not 1 <= count <= len(self):
                raise DataError(
                    f"subset: expected a number of samples from 1 to {len(self)}, received {count}"
                )
            return slice(count)
        indices = np.asarray(which)
        if indices.ndim != 1 or indices.dtype.kind not in "iu" or not indices.size:
            raise DataError(
                "subset: expected a number of samples or a list of sample numbers, received "
                f"{indices.dtype} of shape {indices.shape}"
            )
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= len(self):
            raise DataError(
                f"subset: no sample {low if low < 0 else high}; the numbers run from 0 to "
                f"{len(self) - 1}"
            )
        return indices

    def fingerprint(self) -> str:
        """Return a hash of all samples and targets, to recognise the same data again.

        Returns
        -------
        str
            32 hexadecimal digits. Computed once: 0.3 s for the 60,000 images of MNIST.
        """
        if self._fingerprint is None:
            digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
            for array in (self.x, self.y):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(array.data.cast("B"))
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


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


def _checked_samples(x: npt.ArrayLike) -> Array:
    array = _as_array(x, "x")
    if not array.size:
        raise ShapeError(f"dataset: x has shape {array.shape}; a sample needs at least one element")
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
        f"dataset: expected x as float32, float64 or int64, received {array.dtype}; {advice}"
    )


def _checked_targets(y: npt.ArrayLike) -> Array:
    array = _as_array(y, "y")
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and size <= 8:
        return _native(array, np.float64 if size == 8 else np.float32)
    if kind == "i" or (kind == "u" and size <= 4):
        return _native(array, np.int64)
    raise DtypeError(
        "dataset: expected y as class numbers (int64) or values (float32, float64), received "
        f"{array.dtype}; use y.astype('int64') for classes, y.astype('float32') for values"
    )


def _native(array: Array, dtype: type[np.generic]) -> Array:
    """Return `array` contiguous, in this machine's byte order and `dtype`; no copy if it is so."""
    return np.ascontiguousarray(array, dtype=dtype)


def _checked_classes(classes: Sequence[str] | None) -> tuple[str, ...] | None:
    if classes is None:
        return None
    names = tuple(str(name) for name in classes)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not names:
        raise ConfigurationError(
            f"dataset: expected one distinct name for each class, received {list(classes)!r}"
            + (f"; {', '.join(repeated)} appears more than once" if repeated else "")
        )
    return names


def _check_labels(y: Array, classes: tuple[str, ...]) -> None:
    wrong = np.flatnonzero((y < 0) | (y >= len(classes)))
    if wrong.size:
        raise DataError(
            f"dataset: sample {wrong[0]} has label {y[wrong[0]]}, but there are {len(classes)} "
            f"classes, so labels run from 0 to {len(classes) - 1} ({wrong.size} labels lie outside)"
        )
