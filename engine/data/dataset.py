"""A set of samples with their targets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from engine import arguments
from engine.config import Sealed
from engine.data import parts, splitting
from engine.data.checking import (
    check_labels,
    check_lengths,
    checked_samples,
    checked_targets,
    class_names,
    gathered,
    sample_numbers,
    sentences,
)
from engine.data.describing import Description, describe
from engine.errors import ConfigurationError, DataError, shown
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
        The name (a text or a whole number) of each class number of the one target. If given,
        labels of shape (n,) must lie in its range.
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
        If two classes bear the same name, there are several targets for the names, or a name or
        note is no text.
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
        self.classes = None if classes is None else class_names("dataset", classes)
        self.name = arguments.text("dataset name", name)
        self.notes = sentences("dataset notes", notes)
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
        """Return ``(x[key], y[key])`` for one number, a slice, or a list or array of numbers.

        An array of truth values, one for each sample, takes those that are True.

        Raises
        ------
        DataError
            If the key is something else, or there is no such sample.
        """
        place = self._place(key)
        try:
            if place is not None:
                return (
                    parts.mapped(lambda array: array[place], self._x),
                    parts.mapped(lambda array: array[place], self._y),
                )
        except IndexError:
            pass
        raise DataError(
            f"dataset: the key {shown(key)} is no sample, slice or list of samples; the numbers "
            f"run from 0 to {len(self) - 1}"
        )

    def _place(self, key: Any) -> Any:
        """Return what selects whole samples in an array; None for what would do anything else."""
        if arguments.is_whole(key):
            return int(key)
        if isinstance(key, slice):
            bounds = [one for one in (key.start, key.stop, key.step) if one is not None]
            return key if all(map(arguments.is_whole, bounds)) and key.step != 0 else None
        # To NumPy a tuple is a place on several axes.
        numbers = None if isinstance(key, tuple) else sample_numbers(key)
        is_mask = numbers is not None and numbers.dtype.kind == "b"
        return None if is_mask and len(key) != len(self) else numbers

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        label = f"{self.name!r}, " if self.name else ""
        return f"Dataset({label}x {_described(self._x)}, y {_described(self._y)})"

    def subset(self, which: int | Sequence[int] | Array) -> Dataset:
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
        if not arguments.flag("split stratified", stratified):
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
        more = sentences("with_notes notes", notes)
        return self._with(self.x, self.y, more) if more else self

    def with_classes(self, classes: Sequence[str]) -> Dataset:
        """Return the same samples with their labels numbered in the order of other names.

        Parameters
        ----------
        classes : sequence of str
            Those of the set that this one belongs to. It may have more of them.

        Raises
        ------
        ConfigurationError
            If this set has no names of classes, or two of the others are alike.
        DataError
            If a class that occurs here is none of them.
        """
        if self.classes is None or len(self.targets) != 1 or self.targets[0].dtype != np.int64:
            raise ConfigurationError(
                "with_classes: this set has no names of classes to go by; give Dataset its classes"
            )
        labels, names = self.targets[0], class_names("with_classes", classes)
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

    def _indices(self, which: int | Sequence[int] | Array) -> slice | Array:
        if arguments.is_whole(which):
            if not 1 <= which <= len(self):
                raise DataError(
                    f"subset: expected which as a number of samples from 1 to {len(self)}, "
                    f"received {shown(which)}"
                )
            return slice(int(which))
        indices = sample_numbers(which)
        if indices is None or indices.dtype.kind == "b" or not indices.size:
            raise DataError(
                "subset: expected which as a number of samples or a list of sample numbers, "
                f"received {shown(which)}"
            )
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= len(self):
            raise DataError(
                f"subset: which names sample {low if low < 0 else high}, and the numbers run from "
                f"0 to {len(self) - 1}"
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
