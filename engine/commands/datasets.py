"""What `--data` means: MNIST, a file or a folder; its two halves, and what is said about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.commands.output import Output
from engine.commands.sources import Prepare, Table, find, refuse
from engine.data import Dataset, load_mnist, load_mnist_split
from engine.data.describing import Description
from engine.data.parts import listed
from engine.errors import DataError, DtypeError
from engine.random import generator
from engine.typing import Shape

HELD_OUT = 10
"""Of a set without a test half, one in so many samples is kept for testing."""
MANY_CLASSES = 1000
SPARE_CLASSES = 10
"""More classes than the first number are taken only if one in so many of them has samples."""

FOUND_OUT = Table()


@dataclass(frozen=True)
class Data:
    """A training and a test set.

    Parameters
    ----------
    train, test : Dataset
    classes : int
        How many classes the labels of both have.
    note : str
        What a reader should know about where the sets come from, or empty.
    """

    train: Dataset
    test: Dataset
    classes: int
    note: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything that was assumed when the sets were read."""
        notes = [self.note] if self.note else []
        return tuple(dict.fromkeys([*notes, *self.train.notes, *self.test.notes]))


def read_data(
    source: str, seed: int = 0, size: tuple[int, int] | None = None, table: Table = FOUND_OUT
) -> Data:
    """Read what `--data` names, for training.

    Parameters
    ----------
    source : str
        ``"mnist"`` or a path.
    seed : int
        Decides which samples are held out where there is no test set.
    size : (int, int), optional
        Height and width that pictures of a folder are resampled to.
    table : Table
        How tables are to be read.

    Raises
    ------
    EngineError
        If there are no such data, or they are damaged or of no use for training.
    """
    parts = _read(source, None if size is None else (0, *size), table)
    if len(parts) == 2:
        train, test = parts
        note = ""
    else:
        train, test = _split(parts[0], source, seed)
        note = f"{source} has no test set: {len(test):,} of its samples are held out"
    train, test = _same_classes(train, test, source)
    for dataset in (train, test):
        if dataset.y.ndim != 1 or dataset.y.dtype != np.int64:
            raise DtypeError(
                f"{source}: expected one class number for each sample, received {dataset.y.dtype} "
                f"of shape {dataset.y.shape}; give labels as integers"
            )
        if dataset.y.min() < 0:
            raise DataError(f"{source}: expected class numbers from 0, received {dataset.y.min()}")
    if train.sample_shape != test.sample_shape:
        raise DataError(
            f"{source}: expected test samples of shape {train.sample_shape} like those to train "
            f"on, received {test.sample_shape}"
        )
    return Data(train, test, _count_classes(train, test, source), note)


def read_test(
    source: str,
    input_shape: Shape | None = None,
    table: Table = FOUND_OUT,
    prepare: Prepare | None = None,
) -> Dataset:
    """Read the test half of what `--data` names, or all of it if it has no halves.

    Parameters
    ----------
    source : str
        ``"mnist"`` or a path.
    input_shape : (c, h, w), optional
        What pictures of a folder are brought to.
    table : Table
        How tables are to be read.
    prepare : callable, optional
        Reads one picture of a folder.
    """
    if source == "mnist":
        refuse(table, source)
        return load_mnist_split("test")
    *_, last = find(_existing(source), input_shape, table, prepare).values()
    return last()


def tell(description: Description, out: Output) -> None:
    """Print what is in a set, and what is assumed or unusual."""
    for part in (*description.inputs, *description.targets):
        out.line(str(part), "dim")
    for note in description.notes:
        out.line(f"note: {note}")
    for warning in description.warnings:
        out.line(f"warning: {warning}", "yellow")


def _read(source: str, shape: Shape | None, table: Table) -> tuple[Dataset, ...]:
    """Return (train, test), or the one set there is."""
    if source == "mnist":
        refuse(table, source)
        return load_mnist()
    return tuple(read() for read in find(_existing(source), shape, table).values())


def _existing(source: str) -> Path:
    path = Path(source)
    try:
        is_there = path.exists()
    except (OSError, ValueError):  # a name too long, a zero byte
        is_there = False
    if not is_there:
        if path.suffix:
            raise DataError(f"{source}: there is no such file")
        raise DataError(
            f"--data: expected mnist, a folder or a file (npz, csv, tsv, idx, CIFAR's bin), "
            f"received {source!r}; there is no such folder"
        )
    return path


def _split(dataset: Dataset, source: str, seed: int) -> tuple[Dataset, Dataset]:
    """Hold some samples out; the same ones for the same seed."""
    count = len(dataset) // HELD_OUT
    if not count:
        raise DataError(
            f"{source}: expected at least {HELD_OUT} samples to train on and to hold some out, "
            f"received {len(dataset)}"
        )
    order = generator(seed, "split").permutation(len(dataset))
    return dataset.subset(np.sort(order[count:])), dataset.subset(np.sort(order[:count]))


def _same_classes(train: Dataset, test: Dataset, source: str) -> tuple[Dataset, Dataset]:
    """Number the classes of both halves alike: each half of a table numbers its own words."""
    if train.classes == test.classes:
        return train, test
    if train.classes is None or test.classes is None:
        named, other = ("train", "test") if train.classes else ("test", "train")
        raise DataError(
            f"{source}: expected labels of one kind in both halves, received words to {named} and "
            f"numbers to {other}"
        )
    foreign = [name for name in test.classes if name not in train.classes]
    if foreign:
        raise DataError(
            f"{source}: expected test labels among those to train on "
            f"({listed(train.classes)}), received {listed(foreign)}"
        )
    return train, test.with_classes(train.classes)


def _count_classes(train: Dataset, test: Dataset, source: str) -> int:
    """Return how many outputs a net needs for the labels of both halves."""
    highest = max(int(dataset.y.max()) for dataset in (train, test))
    count = max(highest + 1, len(train.classes or ()))
    used = len(np.union1d(train.y, test.y))
    if count > max(MANY_CLASSES, SPARE_CLASSES * used):
        raise DataError(
            f"{source}: expected class numbers, received labels up to {highest:,} of which only "
            f"{used:,} occur; number the classes from 0, or name another column with --label"
        )
    return count
