"""CIFAR-10 and CIFAR-100 in their binary version: one record a picture, labels first.

A record holds the red, then the green, then the blue plane.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np

from engine import arguments
from engine.data.dataset import Dataset
from engine.data.readers.files import GZIP_MAGIC, as_path, read_bytes, reason
from engine.errors import ConfigurationError, DataError, FormatError
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

CIFAR_FILES: dict[str, Variant] = {
    **{f"data_batch_{number}.bin": "cifar10" for number in range(1, 6)},
    "test_batch.bin": "cifar10",
    "train.bin": "cifar100",
    "test.bin": "cifar100",
}
"""Which set a file belongs to by the name it was published under."""
BATCHES = 5
"""Files that the training pictures of CIFAR-10 are divided into."""
MAX_NAMES = 100_000
"""Bytes of a file of class names."""

PICKLE_ADVICE = (
    "this is the version for Python, which is refused because loading it can run code from the "
    "file; use the binary version (data_batch_1.bin ...)"
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
        If `variant` does not exist, both fit, or `coarse` is asked of CIFAR-10.
    """
    if variant is not None and (not isinstance(variant, str) or variant not in LABELS):
        raise arguments.refusal("read_cifar", f"variant {' or '.join(LABELS)}", variant)
    coarse = arguments.flag("read_cifar coarse", coarse)
    place = as_path(path, "read_cifar path")
    records, variant = _records(place, variant)
    _check_coarse("read_cifar", coarse, variant)
    return _dataset([(place.name, records)], variant, coarse, place.parent, place.name)


def read_cifar_folder(
    path: str | PathLike[str], *, coarse: bool = False, test: bool = True
) -> tuple[Dataset, Dataset | None]:
    """Read the folder that CIFAR-10 or CIFAR-100, binary version, unpacks to.

    Parameters
    ----------
    path : path
        The folder with data_batch_1.bin ... and test_batch.bin, or train.bin and test.bin.
    coarse : bool
        As `read_cifar`.
    test : bool
        Whether to read the test half too.

    Returns
    -------
    train : Dataset
    test : Dataset or None
        None if there is no file of it, or it is not wanted.

    Raises
    ------
    DataError
        If the folder has no such files, or only those of the version for Python.
    FormatError, ConfigurationError
        As `read_cifar`.
    """
    coarse = arguments.flag("read_cifar_folder coarse", coarse)
    test = arguments.flag("read_cifar_folder test", test)
    folder = as_path(path, "read_cifar_folder path", "a folder")
    try:
        variant = cifar_variant(folder)
        is_there = folder.exists()
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({reason(error)})") from error
    if not is_there:
        raise DataError(f"{folder}: there is no such folder")
    if variant is None:
        raise DataError(
            f"{folder}: expected CIFAR's binary files (data_batch_1.bin ... or train.bin), found "
            "none"
        )
    _check_coarse("read_cifar_folder", coarse, variant)
    train_files, test_file = _files(folder, variant)
    if not train_files:
        raise DataError(f"{folder}: {test_file.name} is there, but none of the files to train on")
    parts = [(file.name, _records(file, variant)[0]) for file in train_files]
    train = _dataset(parts, variant, coarse, folder, f"{variant} train")
    if variant == "cifar10" and len(parts) < BATCHES:
        train = train.with_notes(
            f"{len(parts)} of {BATCHES} training files are there: {', '.join(n for n, _ in parts)}"
        )
    if not test or not test_file.is_file():
        return train, None
    tests = [(test_file.name, _records(test_file, variant)[0])]
    return train, _dataset(tests, variant, coarse, folder, f"{variant} test")


def _check_coarse(where: str, coarse: bool, variant: Variant) -> None:
    if coarse and variant == "cifar10":
        raise ConfigurationError(
            f"{where} coarse: CIFAR-10 has one label a picture, so coarse=True reads nothing else; "
            "leave it out"
        )


def cifar_variant(folder: Path) -> Variant | None:
    """Return which of CIFAR's sets a folder holds by the names of its files, or None.

    Raises
    ------
    FormatError
        If it holds the version for Python.
    """
    for variant in ("cifar10", "cifar100"):
        train_files, test_file = _files(folder, variant)
        if train_files or test_file.is_file():
            return variant
    python = [folder / "data_batch_1", folder / "train"]
    for file in python:
        if file.is_file() and PICKLE_START.match(file.read_bytes()[:2]):
            raise FormatError(f"{file}: {PICKLE_ADVICE}")
    return None


def _files(folder: Path, variant: Variant) -> tuple[list[Path], Path]:
    """Return the files to train on that exist, and where the one to test on would be."""
    if variant == "cifar100":
        train = folder / "train.bin"
        return [train] if train.is_file() else [], folder / "test.bin"
    batches = [folder / f"data_batch_{number}.bin" for number in range(1, BATCHES + 1)]
    return [file for file in batches if file.is_file()], folder / "test_batch.bin"


def _records(place: Path, variant: Variant | None) -> tuple[Array, Variant]:
    """Return the records of a file, uint8 (n, labels and pixels), checked."""
    content, name = read_bytes(place), str(place)
    # Neither start can be a record: its first byte is a label below 20.
    if PICKLE_START.match(content):
        raise FormatError(f"{name}: {PICKLE_ADVICE}")
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
    return records, variant


def _dataset(
    files: Sequence[tuple[str, Array]], variant: Variant, coarse: bool, folder: Path, name: str
) -> Dataset:
    """Return the records of one file or several as a set."""
    skipped = len(LABELS[variant])
    count = sum(len(records) for _, records in files)
    images = np.empty((count, *SHAPE), np.float32)
    labels = np.empty(count, np.int64)
    start = 0
    for _, records in files:
        end = start + len(records)
        pixels = records[:, skipped:].reshape(-1, *SHAPE)
        np.divide(pixels, np.float32(255), out=images[start:end], dtype=np.float32)
        labels[start:end] = records[:, 0 if coarse else skipped - 1]
        start = end
    notes = []
    if variant == "cifar100" and not coarse:
        notes = [
            "CIFAR-100 has two labels a picture: its 100 classes are read; coarse=True reads the "
            "20 groups of them"
        ]
    return Dataset(images, labels, _classes(folder, variant, coarse), name=name, notes=notes)


def _classes(folder: Path, variant: Variant, coarse: bool) -> tuple[str, ...] | None:
    """Return the names of the classes, from the text file beside the records if need be."""
    if variant == "cifar10":
        return CIFAR10_CLASSES
    place = folder / f"{'coarse' if coarse else 'fine'}_label_names.txt"
    count = LABELS[variant][0 if coarse else 1]
    try:
        if place.stat().st_size > MAX_NAMES:
            return None
        lines = place.read_text(encoding="utf-8").split()
    except (OSError, ValueError):  # names are welcome, no more
        return None
    return tuple(lines) if len(lines) == len(set(lines)) == count else None


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
