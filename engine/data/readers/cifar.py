"""CIFAR-10 and CIFAR-100 in their binary version: one record a picture, labels first."""

from __future__ import annotations

import re
from os import PathLike
from typing import Literal

import numpy as np

from engine.data.dataset import Dataset
from engine.data.readers.files import GZIP_MAGIC, as_path, read_bytes
from engine.errors import ConfigurationError, FormatError
from engine.typing import Array

Variant = Literal["cifar10", "cifar100"]

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
LABELS: dict[str, tuple[int, ...]] = {"cifar10": (10,), "cifar100": (20, 100)}
"""Number of classes for each label byte of a record; CIFAR-100 has a coarse and a fine label."""

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

# Protocols 2 to 5 begin with 0x80 and their number, older ones with a bracket.
PICKLE_START = re.compile(rb"\x80[\x02-\x05]|[(}\]]")


def read_cifar(
    path: str | PathLike[str], variant: Variant | None = None, *, coarse: bool = False
) -> Dataset:
    """Read one batch file of CIFAR-10 or CIFAR-100, binary version.

    Parameters
    ----------
    path : path
        ``data_batch_1.bin`` ... ``test_batch.bin`` (CIFAR-10), ``train.bin``, ``test.bin``
        (CIFAR-100).
    variant : {"cifar10", "cifar100"}, optional
        By default the one whose record length divides the file.
    coarse : bool
        For CIFAR-100: the 20 superclasses instead of the 100 classes.

    Returns
    -------
    Dataset
        x float32 (n, 3, 32, 32) in [0, 1], y int64 (n,).

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read.
    FormatError
        If the file is of another format (the version for Python, an archive), truncated, or has a
        label without a class.
    ConfigurationError
        If `variant` does not exist, or both fit.
    """
    if variant is not None and variant not in LABELS:
        raise ConfigurationError(
            f"read_cifar: expected variant {' or '.join(LABELS)}, received {variant!r}"
        )
    place = as_path(path)
    content, name = read_bytes(place), str(place)
    # Neither start can be a record: its first byte is a label below 20.
    if PICKLE_START.match(content):
        raise FormatError(
            f"{name}: this is the version for Python, which is refused because loading it can run "
            "code from the file; use the binary version (data_batch_1.bin ...)"
        )
    if content.startswith(GZIP_MAGIC):
        raise FormatError(f"{name}: this is an archive; unpack it and give one of its .bin files")
    variant = variant or _variant(len(content), name)
    counts = LABELS[variant]
    length = len(counts) + PIXELS
    if len(content) % length:
        raise FormatError(
            f"{name}: expected records of {length:,} bytes ({variant}), received {len(content):,} "
            "bytes; the file is truncated or of another format"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, length)
    for column, count in enumerate(counts):
        _check_labels(records[:, column], count, name)
    labels = records[:, 0 if coarse else len(counts) - 1]
    pixels = records[:, len(counts) :].reshape(-1, *SHAPE)
    images = np.divide(pixels, np.float32(255), dtype=np.float32)
    return Dataset(
        images, labels, CIFAR10_CLASSES if variant == "cifar10" else None, name=place.name
    )


def _variant(size: int, name: str) -> Variant:
    fitting: list[Variant] = [
        variant for variant in ("cifar10", "cifar100") if not size % (len(LABELS[variant]) + PIXELS)
    ]
    if len(fitting) > 1:
        raise ConfigurationError(
            f"{name}: its {size:,} bytes fit CIFAR-10 as well as CIFAR-100; say which with variant="
        )
    if not fitting:
        raise FormatError(
            f"{name}: expected records of 3,073 bytes (CIFAR-10) or 3,074 (CIFAR-100), received "
            f"{size:,} bytes; the file is truncated or of another format"
        )
    return fitting[0]


def _check_labels(labels: Array, count: int, name: str) -> None:
    wrong = np.flatnonzero(labels >= count)
    if wrong.size:
        raise FormatError(
            f"{name}: record {wrong[0]} has label {labels[wrong[0]]}, expected 0 to {count - 1}; "
            "the file is damaged or of another format"
        )
