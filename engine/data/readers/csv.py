"""Tables as text: one sample a row, one column of labels."""

from __future__ import annotations

import csv
import io
import math
import operator
from collections.abc import Iterator, Sequence
from itertools import chain
from os import PathLike
from typing import SupportsIndex

import numpy as np

from engine.data.dataset import Dataset
from engine.data.readers.files import GZIP_MAGIC, as_path, gunzip, read_bytes
from engine.errors import ConfigurationError, FormatError, UnknownName
from engine.typing import Array, Shape

MAX_TEXT_BYTES = 2**30
"""The most text that a packed table may unpack to; text has no declared size to check first."""

Row = tuple[int, list[str]]
"""Line number and cells."""


def read_csv(
    path: str | PathLike[str],
    label: int | str = -1,
    *,
    shape: Shape | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
) -> Dataset:
    """Read a CSV or TSV table of numbers with one column of labels.

    Whole numbers in the label column are class numbers, other numbers are values to predict, and
    anything else is the name of a class (numbered in alphabetical order).

    Parameters
    ----------
    path : path
        UTF-8 text, plain or packed with gzip.
    label : int or str
        The label column: its number (negative counts from the end; the last by default), or its
        name in the first row.
    shape : tuple of int, optional
        Shape of a sample to fold the remaining columns into, for example (1, 28, 28).
    delimiter : str, optional
        Between columns; by default a tab if the file is called .tsv or .tab, else a comma.
    header : bool, optional
        Whether the first row holds the columns' names; by default it does if none of its features
        is a number.

    Returns
    -------
    Dataset
        x float32 (n, columns) or (n, *shape); y int64 or float32 (n,).

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read.
    FormatError
        If a row has another number of columns than the first, or a feature is no number; the
        error says in which line. The word ``nan`` is a number, an empty cell is not.
    UnknownName, ConfigurationError
        If the label column does not exist, or the shape does not fit.
    """
    place = as_path(path)
    content, name = read_bytes(place), str(place)
    if content.startswith(GZIP_MAGIC):
        content = gunzip(content, name, MAX_TEXT_BYTES + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise FormatError(f"{name}: unpacks to more than {MAX_TEXT_BYTES:,} bytes; split it")
    if delimiter is None:
        suffixes = {suffix.lower() for suffix in place.suffixes}
        delimiter = "\t" if suffixes & {".tsv", ".tab"} else ","
    features, labels = _columns(_rows(content, name, delimiter), label, header, name)
    y, classes = _targets(labels)
    return Dataset(_folded(features, shape), y, classes, name=place.name)


def _rows(content: bytes, name: str, delimiter: str) -> Iterator[Row]:
    """Yield every row that is not blank; all have as many cells as the first."""
    try:
        text = content.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: no UTF-8 text (byte {error.start})") from error
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"read_csv: expected one character as delimiter, received {delimiter!r}"
        ) from error
    first: Row | None = None
    try:
        for cells in reader:
            if not cells:
                continue
            first = first or (reader.line_num, cells)
            if len(cells) != len(first[1]):
                raise FormatError(
                    f"{name}: line {reader.line_num} has {len(cells)} columns, expected "
                    f"{len(first[1])} as in line {first[0]}; the file is damaged or truncated"
                )
            yield reader.line_num, cells
    except csv.Error as error:
        raise FormatError(
            f"{name}: line {reader.line_num} is no row of a table ({error})"
        ) from error


def _columns(
    rows: Iterator[Row], label: int | str, header: bool | None, name: str
) -> tuple[Array, list[str]]:
    """Return features float32 (n, columns) and labels as text, without a row of names."""
    first = next(rows, None)
    if first is None:
        raise FormatError(f"{name}: the table has no rows")
    if len(first[1]) < 2:
        raise FormatError(
            f"{name}: expected features and a label, received one column; is the delimiter right?"
        )
    column = _label_column(first[1], label, name)
    if header is None:
        header = not any(_is_number(cell) for i, cell in enumerate(first[1]) if i != column)
    if isinstance(label, str) and not header:
        raise FormatError(f"{name}: the first row has no names, so none is {label!r}; use a number")
    features, labels = [], []
    for line, cells in rows if header else chain([first], rows):
        features.append(_feature_row(cells, column, f"{name}: line {line}"))
        labels.append(cells[column].strip())
        if not labels[-1]:
            raise FormatError(f"{name}: line {line}, column {column + 1}: the label is missing")
    if not features:
        raise FormatError(f"{name}: the table has no rows below the names of its columns")
    return np.stack(features), labels


def _feature_row(cells: list[str], column: int, where: str) -> Array:
    """Return all cells but the label as float32 (columns,)."""
    try:
        values = [_as_number(cell) for i, cell in enumerate(cells) if i != column]
        with np.errstate(over="raise"):
            return np.array(values).astype(np.float32)
    except ValueError as error:
        wrong = next(i for i, cell in enumerate(cells) if i != column and not _is_number(cell))
        raise FormatError(
            f"{where}, column {wrong + 1}: expected a number, received {cells[wrong]!r}"
        ) from error
    except FloatingPointError as error:
        raise FormatError(f"{where}: a number is too large for float32") from error


def _label_column(first: Sequence[str], label: int | str, name: str) -> int:
    if isinstance(label, str):
        names = [cell.strip() for cell in first]
        if label not in names:
            raise UnknownName(f"column of {name}", label, names)
        return names.index(label)
    if not isinstance(label, SupportsIndex):
        raise ConfigurationError(
            f"read_csv: expected label as a column's number or name, received {label!r}"
        )
    number = operator.index(label)
    if not -len(first) <= number < len(first):
        raise ConfigurationError(
            f"{name}: no column {number}; there are {len(first)}, numbered from 0"
        )
    return number % len(first)


def _as_number(cell: str) -> float:
    # Python reads 1_000 as a thousand; in a table it is more likely a mistake.
    if "_" in cell:
        raise ValueError(cell)
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        _as_number(cell)
    except ValueError:
        return False
    return True


def _targets(labels: list[str]) -> tuple[Array, tuple[str, ...] | None]:
    """Return class numbers or values, and the classes' names if the labels are words."""
    if all(_is_number(cell) for cell in labels):
        values = np.array([float(cell) for cell in labels])
        # Up to 2**53 a float64 is the number that was written.
        if np.all(np.abs(values) <= 2**53) and np.all(values == np.floor(values)):
            return values.astype(np.int64), None
        with np.errstate(over="ignore"):
            return values.astype(np.float32), None
    names = sorted(set(labels))
    numbers = {text: number for number, text in enumerate(names)}
    return np.array([numbers[cell] for cell in labels], np.int64), tuple(names)


def _folded(features: Array, shape: Shape | None) -> Array:
    if shape is None:
        return features
    if math.prod(shape) != features.shape[1] or min(shape, default=0) < 1:
        raise ConfigurationError(
            f"read_csv: a sample of shape {shape} has {math.prod(shape)} elements, but the table "
            f"has {features.shape[1]} feature columns"
        )
    return features.reshape(-1, *shape)
