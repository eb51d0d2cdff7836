"""MNIST as it comes with the product, and any other set of images in the same format."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine import arguments
from engine.data import bundled
from engine.data.dataset import Dataset
from engine.data.readers import read_idx
from engine.data.readers.files import as_path
from engine.data.readers.idx import parse_idx
from engine.errors import ConfigurationError, DataError, FormatError, shown
from engine.typing import Array

Split = Literal["train", "test"]

FILES: dict[Split, str] = {"train": "train", "test": "t10k"}
DIGITS = tuple("0123456789")
LETTERS = tuple(string.ascii_uppercase)

QMNIST_COLUMNS = 8
"""Columns of QMNIST's labels: the digit, where it comes from, its writer, and so on."""

MERGED = (*DIGITS, *LETTERS, *"abdefghnqrt")
EMNIST_CLASSES: dict[str, tuple[str, ...]] = {
    "letters": LETTERS,
    "digits": DIGITS,
    "mnist": DIGITS,
    "balanced": MERGED,
    "bymerge": MERGED,
    "byclass": (*DIGITS, *LETTERS, *string.ascii_lowercase),
}
"""What EMNIST's sets hold; capital and small letters that look alike are one class in some."""


def load_mnist() -> tuple[Dataset, Dataset]:
    """Return the 60,000 training and 10,000 test images of MNIST.

    Returns
    -------
    train, test : Dataset
        x is float32 (n, 1, 28, 28) in [0, 1], white strokes on black; y is int64 (n,).

    Raises
    ------
    DataError
        If the installation lacks its data files.

    References
    ----------
    Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits.
    """
    return load_mnist_split("train"), load_mnist_split("test")


def load_mnist_split(split: Split) -> Dataset:
    """Return one half of MNIST; the test set alone loads in a tenth of the time.

    Parameters
    ----------
    split : {"train", "test"}

    Returns
    -------
    Dataset
        As `load_mnist`.

    Raises
    ------
    ConfigurationError
        If there is no such half.
    """
    arguments.choice("load_mnist_split split", split, FILES)
    folder = bundled.entry("mnist")
    images = _bundled_idx(folder / f"{FILES[split]}-images-idx3-ubyte.gz")
    labels = _bundled_idx(folder / f"{FILES[split]}-labels-idx1-ubyte.gz")
    return Dataset(_as_pictures(images), labels, DIGITS, name=f"mnist {split}")


def load_idx(
    images: str | PathLike[str],
    labels: str | PathLike[str],
    classes: Sequence[str] | None = None,
    *,
    column: int | None = None,
    transposed: bool | None = None,
    first_label: int | None = None,
) -> Dataset:
    """Read a set in MNIST's format (Fashion-MNIST, KMNIST, QMNIST, EMNIST ...).

    EMNIST's pictures lie on their side and its letters count from 1: files called so are put
    right, which the notes of the set tell.

    Parameters
    ----------
    images : path
        idx or idx.gz of unsigned bytes, shape (n, h, w) or (n, c, h, w).
    labels : path
        idx or idx.gz of integers, shape (n,); or (n, columns) as QMNIST has them.
    classes : sequence of str, optional
        The name of each label.
    column : int, optional
        Which column of labels (n, columns) is the class; by default the first of QMNIST's eight.
    transposed : bool, optional
        Whether rows and columns of the pictures have changed places; by default if the file is
        called emnist.
    first_label : int, optional
        The label of class 0; by default 1 if the file is called emnist-letters, else 0.

    Returns
    -------
    Dataset
        x is float32 (n, c, h, w) in [0, 1], y is int64 (n,).

    Raises
    ------
    DataError, FormatError, ShapeError
        Whatever `read_idx` and `Dataset` find wrong.
    ConfigurationError
        If there is no such column, or a setting is none.
    """
    column = _optional_whole("load_idx column", column)
    first_label = _optional_whole("load_idx first_label", first_label)
    if transposed is not None:
        transposed = arguments.flag("load_idx transposed", transposed)
    place, labels = as_path(images, "load_idx images"), as_path(labels, "load_idx labels")
    pictures, numbers = read_idx(place), read_idx(labels)
    if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4):
        raise FormatError(
            f"{place}: expected images of unsigned bytes (n, h, w), received {pictures.dtype} of "
            f"shape {pictures.shape}; have images and labels changed places?"
        )
    numbers, notes = _class_numbers(numbers, column, str(labels))
    kind = _emnist_kind(place)
    if transposed is None:
        transposed = kind is not None
        if transposed:
            notes.append(
                "EMNIST stores its pictures on their side, so rows and columns have changed "
                "places; transposed=False leaves them as they lie"
            )
    if transposed:
        pictures = np.swapaxes(pictures, -1, -2)
    if first_label is None:
        first_label = int(kind == "letters" and int(numbers.min()) == 1)
        if first_label:
            notes.append(
                "EMNIST's letters count from 1, so label 1 became class 0 (A); first_label=0 keeps "
                "the labels"
            )
    numbers = _numbered_from(first_label, numbers, str(labels))
    known = EMNIST_CLASSES.get(kind or "")
    if classes is None and known and numbers.min() >= 0 and numbers.max() < len(known):
        classes = known
    return Dataset(_as_pictures(pictures), numbers, classes, name=_name(place), notes=notes)


def _optional_whole(where: str, value: Any) -> int | None:
    return None if value is None else arguments.whole(where, value, -arguments.LARGEST)


def _class_numbers(numbers: Array, column: int | None, name: str) -> tuple[Array, list[str]]:
    """Return one label a picture, and what is to be said about them."""
    if numbers.dtype.kind not in "iu" or numbers.ndim not in (1, 2):
        raise FormatError(
            f"{name}: expected one integer label an image, received {numbers.dtype} of shape "
            f"{numbers.shape}; have images and labels changed places?"
        )
    if not len(numbers):
        raise DataError(f"{name}: there are no labels in it")
    if numbers.ndim == 1:
        if column is not None:
            raise ConfigurationError(f"{name}: the labels have no columns; leave column out")
        return numbers, []
    columns, notes = numbers.shape[1], []
    if column is None:
        if columns != QMNIST_COLUMNS:
            raise FormatError(
                f"{name}: expected one label an image, received {columns} columns; say which one "
                "is the class with column="
            )
        column = 0
        notes = [
            f"labels have {columns} columns as QMNIST's do: column 0, the digit, is the class, and "
            "the others (source, writer ...) are left out; column= takes another one"
        ]
    if not -columns <= column < columns:
        raise ConfigurationError(
            f"{name}: no column {shown(column)}; there are {columns}, numbered from 0"
        )
    return numbers[:, column], notes


def _numbered_from(first_label: int, numbers: Array, name: str) -> Array:
    """Return class numbers: labels less the one of class 0."""
    if not first_label:
        return numbers
    lowest = int(numbers.min())
    if lowest < first_label:
        raise DataError(
            f"{name}: expected labels from first_label={first_label} on, received {lowest}; "
            "first_label is the smallest one"
        )
    return numbers.astype(np.int64) - first_label


def _emnist_kind(images: Path) -> str | None:
    """Return which of EMNIST's sets a file is by its name, "" if it does not say; None if none."""
    words = re.split(r"[^a-z0-9]+", images.name.lower())
    if "emnist" not in words:
        return None
    return next((word for word in words if word in EMNIST_CLASSES), "")


def _name(images: Path) -> str:
    """Return what a file of images is called without the words of its format."""
    stem = images.name.removesuffix(".gz")
    return re.sub(r"[-_.]?(images|idx\d|ubyte)", "", stem) or images.parent.name


def _bundled_idx(file: Traversable) -> Array:
    return parse_idx(file.read_bytes(), str(file))


def _as_pictures(images: Array) -> Array:
    """Return uint8 (n, h, w) or (n, c, h, w) as float32 (n, c, h, w) in [0, 1]."""
    scaled: Array = np.divide(images, np.float32(255), dtype=np.float32)
    return scaled if scaled.ndim == 4 else scaled[:, np.newaxis]
