"""MNIST as it comes with the product, and any other set of images in the same format."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources.abc import Traversable
from os import PathLike
from typing import Literal

import numpy as np

from engine.data import bundled
from engine.data.dataset import Dataset
from engine.data.readers import read_idx
from engine.data.readers.idx import parse_idx
from engine.errors import FormatError
from engine.typing import Array

Split = Literal["train", "test"]

FILES: dict[Split, str] = {"train": "train", "test": "t10k"}
DIGITS = tuple("0123456789")


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
    """
    folder = bundled.entry("mnist")
    images = _bundled_idx(folder / f"{FILES[split]}-images-idx3-ubyte.gz")
    labels = _bundled_idx(folder / f"{FILES[split]}-labels-idx1-ubyte.gz")
    return Dataset(_as_pictures(images), labels, DIGITS, name=f"mnist {split}")


def load_idx(
    images: str | PathLike[str],
    labels: str | PathLike[str],
    classes: Sequence[str] | None = None,
) -> Dataset:
    """Read a set in MNIST's format (Fashion-MNIST, KMNIST, EMNIST ...).

    Parameters
    ----------
    images : path
        idx or idx.gz of unsigned bytes, shape (n, h, w) or (n, c, h, w).
    labels : path
        idx or idx.gz of integers, shape (n,).
    classes : sequence of str, optional
        The name of each label.

    Returns
    -------
    Dataset
        x is float32 (n, c, h, w) in [0, 1], y is int64 (n,).

    Raises
    ------
    DataError, FormatError, ShapeError
        Whatever `read_idx` and `Dataset` find wrong.
    """
    pictures, numbers = read_idx(images), read_idx(labels)
    if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4):
        raise FormatError(
            f"{images}: expected images of unsigned bytes (n, h, w), received {pictures.dtype} of "
            f"shape {pictures.shape}; have images and labels changed places?"
        )
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
        raise FormatError(
            f"{labels}: expected one integer label an image, received {numbers.dtype} of shape "
            f"{numbers.shape}; have images and labels changed places?"
        )
    return Dataset(_as_pictures(pictures), numbers, classes)


def _bundled_idx(file: Traversable) -> Array:
    return parse_idx(file.read_bytes(), str(file))


def _as_pictures(images: Array) -> Array:
    """Return uint8 (n, h, w) or (n, c, h, w) as float32 (n, c, h, w) in [0, 1]."""
    scaled: Array = np.divide(images, np.float32(255), dtype=np.float32)
    return scaled if scaled.ndim == 4 else scaled[:, np.newaxis]
