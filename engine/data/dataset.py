"""A set of samples with their targets."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np

from engine.config import Sealed
from engine.data import parts, splitting
from engine.data.checking import (
    check_labels,
    check_lengths,
    checked_classes,
    checked_samples,
    checked_targets,
    gathered,
)
from engine.data.describing import Description, describe
from engine.errors import ConfigurationError, DataError
from engine.typing import Array

DIGEST_BYTES = 16


class Dataset(Sealed):
    """Samples `x` with targets `y`, both in memory.

    NaN and infinite values are accepted, so that they can be hunted; `Scheduler.fit` refuses them.
    The arrays are not copied where their dtype and layout already fit, and are read-only from
    here on: a run can only be replayed if its data stay as they are. To change values, change a
    copy and make a new set of it.

    Models with several inputs or outputs take several arrays: a tuple of arrays in the order of
    the model's, or a dict by their names. Everything that gives samples back arranges them alike.

    Parameters
    ----------
    x : array, shape (n, ...), or tuple or dict of arrays
        float32, float64 or int64 (token numbers). Images are (n, c, h, w). float16 becomes
        float32 and smaller signed integers int64; both are exact.
    y : array, shape (n, ...), or tuple or dict of arrays
        Integers (class numbers, stored as int64) or floats (probabilities, values to predict).
    classes : sequence of str, optional
        The name of each class number of the one target. If given, labels of shape (n,) must lie
        in its range.
    name : str, optional
        Shown to the reader, for example ``"mnist test"``.
    notes : sequence of str
        What a reader of the file assumed where it could have been read in another way, one
        sentence each; kept by subsets.

    Attributes
    ----------
    x, y : array, tuple or dict of arrays, read-only

    Raises
    ------
    ShapeError
        If arrays differ in length or a sample has no elements.
    DtypeError
        If an array holds something else than numbers, or numbers whose meaning is unclear.
    DataError
        If there is no sample, or a label has no class.
    ConfigurationError
        If two classes bear the same name, or there are several targets for the names.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        classes: Sequence[str] | None = None,
        *,
        name: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        self._x = gathered(x, "x", checked_samples)
        self._y = gathered(y, "y", checked_targets)
        self.classes = checked_classes(classes)
        self.name = name
        self.notes = tuple(notes)
        self._fingerprint: str | None = None
        check_lengths(self._x, self._y)
        if self.classes is not None:
            if len(self.targets) != 1:
                raise ConfigurationError(
                    f"dataset: classes names the classes of one target, this set has "
                    f"{len(self.targets)}; leave it out"
                )
            if self.targets[0].ndim == 1 and self.targets[0].dtype == np.int64:
                check_labels(self.targets[0], self.classes)
        self.seal()

    @property
    def x(self) -> Any:
        """The inputs: an array, or a tuple or dict of them, as they were given."""
        return dict(self._x) if isinstance(self._x, dict) else self._x

    @property
    def y(self) -> Any:
        """The targets: an array, or a tuple or dict of them, as they were given."""
        return dict(self._y) if isinstance(self._y, dict) else self._y

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays of `x`, in order."""
        return parts.flat(self._x)

    @property
    def targets(self) -> tuple[Array, ...]:
        """The arrays of `y`, in order."""
        return parts.flat(self._y)

    @property
    def sample_shape(self) -> Any:
        """Shape of one sample, without the batch axis: (c, h, w) for images.

        A tuple or dict of shapes where `x` is one of arrays.
        """
        return parts.mapped(parts.shape_of, self._x)

    def __len__(self) -> int:
        return len(self.inputs[0])

    def __getitem__(self, key: Any) -> tuple[Any, Any]:
        """Return ``(x[key], y[key])`` for one number, a slice, or an array of numbers."""
        try:
            return (
                parts.mapped(lambda array: array[key], self._x),
                parts.mapped(lambda array: array[key], self._y),
            )
        except IndexError as error:
            raise DataError(
                f"dataset: no sample {key!r} among {len(self)}; the numbers run from 0 to "
                f"{len(self) - 1}"
            ) from error

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        label = f"{self.name!r}, " if self.name else ""
        return f"Dataset({label}x {_described(self._x)}, y {_described(self._y)})"

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
        return self._with(*self[self._indices(which)])

    def split(self, *shares: float, stratified: bool = False, seed: int = 0) -> tuple[Dataset, ...]:
        """Return sets that share the samples among them, each in the order of this one.

        Parameters
        ----------
        *shares : float or int
            For each set the share of the samples (between 0 and 1) or their number (a whole
            number). What is left over is one set more: ``split(0.9)`` and ``split(0.9, 0.1)`` both
            give two.
        stratified : bool
            Keep the shares within each class too, as near as whole samples allow, and every class
            in every set if it has as many samples. A class that has not is in the largest sets,
            and their notes say so.
        seed : int
            Which samples go where; the same ones for the same seed.

        Returns
        -------
        tuple of Dataset

        Raises
        ------
        ConfigurationError
            If a share is no share or number, or `stratified` has no classes to go by.
        DataError
            If there are too few samples.
        """
        sizes = splitting.sizes(shares, len(self))
        if not stratified:
            chosen, notes = splitting.at_random(sizes, seed), splitting.NO_NOTES
        else:
            labels = [y for y in self.targets if y.ndim == 1 and y.dtype == np.int64]
            if len(labels) != 1:
                raise ConfigurationError(
                    "split: stratified=True goes by one target of class numbers (n,), this set "
                    f"has {len(labels) or 'none'} ({_described(self._y)}); leave it out"
                )
            chosen, notes = splitting.by_class(labels[0], sizes, seed, self.classes)
        return tuple(self.subset(indices).with_notes(*notes) for indices in chosen)

    def with_notes(self, *notes: str) -> Dataset:
        """Return the same set with more `notes`."""
        return self._with(self.x, self.y, notes) if notes else self

    def with_classes(self, classes: Sequence[str]) -> Dataset:
        """Return the same samples with their labels numbered in the order of other names.

        Parameters
        ----------
        classes : sequence of str
            Those of the set that this one belongs to. It may have more of them.

        Raises
        ------
        ConfigurationError
            If this set has no names of classes.
        DataError
            If a class that occurs here is none of them.
        """
        if self.classes is None or len(self.targets) != 1 or self.targets[0].dtype != np.int64:
            raise ConfigurationError(
                "with_classes: this set has no names of classes to go by; give Dataset its classes"
            )
        labels, names = self.targets[0], tuple(classes)
        places = {name: number for number, name in enumerate(names)}
        used = [self.classes[label] for label in np.unique(labels) if label >= 0]
        unknown = [name for name in used if name not in places]
        if unknown:
            raise DataError(
                f"with_classes: expected classes among {parts.listed(names)}, received "
                f"{parts.listed(unknown)}"
            )
        table = np.array([places.get(name, -1) for name in self.classes], np.int64)
        numbers = np.where(labels >= 0, table[np.maximum(labels, 0)], labels)
        y = parts.mapped(lambda _: numbers, self._y)
        return Dataset(self.x, y, names, name=self.name, notes=self.notes)

    def _with(self, x: Any, y: Any, notes: Sequence[str] = ()) -> Dataset:
        return Dataset(x, y, self.classes, name=self.name, notes=(*self.notes, *notes))

    def describe(self) -> Description:
        """Return what is in the set, and what looks unusual; print it to read it.

        Returns
        -------
        Description
            Fields and warnings. Looks through all samples of a set of ordinary size (0.2 s for
            MNIST's 60,000), through evenly spread ones of a very large one.
        """
        return describe(self)

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
            for values in (self._x, self._y):
                # What has names has no order of its own.
                for key in sorted(parts.keys(values), key=str):
                    array = values if key is None else values[key]
                    if key is not None:
                        digest.update(f"{len(parts.keys(values))} {key!r}".encode())
                    digest.update(f"{array.dtype.str}{array.shape}".encode())
                    digest.update(array.data.cast("B"))
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


def _described(values: Any) -> str:
    """Return dtype and shape of one array, or of each."""
    texts = [f"{array.dtype} {array.shape}" for array in parts.flat(values)]
    if isinstance(values, dict):
        named = (f"{key!r}: {text}" for key, text in zip(values, texts, strict=True))
        return "{" + ", ".join(named) + "}"
    return (
        "(" + ", ".join(texts) + ",)"[len(texts) > 1 :] if isinstance(values, tuple) else texts[0]
    )
