"""Tables as text: one sample a row, one column of labels."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np

from engine import arguments
from engine.data.dataset import Dataset
from engine.data.readers import layout as layouts
from engine.data.readers import names
from engine.data.readers.files import (
    GZIP_MAGIC,
    as_path,
    gunzip,
    read_bytes,
    unpacking_limit,
)
from engine.data.readers.layout import Layout, as_number, as_numbers, is_number
from engine.errors import ConfigurationError, FormatError, shown
from engine.typing import Array, Shape

MAX_TEXT_BYTES = 2**30
"""The most text that a packed table may unpack to; text has no declared size to check first."""

INDEX_NAMES = frozenset(
    {"", "unnamed: 0", "index", "idx", "id", "row", "no", "no.", "nr", "nr.", "#"}
)
"""A first column so named is left out if it counts the rows."""
NAMELESS = frozenset({"", "unnamed: 0"})
"""What other programs call a column of row numbers, which may be out of order."""
COUNTED = 10
"""Fewer rows than this count by chance."""
FEW = 100
"""No more different whole numbers than this look like classes."""
MOST_AXES = 32
"""NumPy's limit with the axis of samples."""

ROW_OF_NAMES = "header=True says that the first row holds the names of the columns"

Row = tuple[int, list[str]]
"""Line number and cells."""


def read_csv(
    path: str | PathLike[str],
    label: int | str | None = None,
    *,
    shape: Shape | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    index: bool | None = None,
) -> Dataset:
    """Read a CSV or TSV table of numbers with one column of labels.

    Whole numbers in the label column are class numbers, other numbers are values to predict, and
    anything else is the name of a class (numbered in the order of the names). What is not said is
    found out, and the notes of the set tell what was assumed.

    Parameters
    ----------
    path : path
        UTF-8 text, plain or packed with gzip.
    label : int or str, optional
        The label column: its number (negative counts from the end), or its name in the first row.
        By default a column called label, class, target, category or y, else the last.
    shape : tuple of int, optional
        Shape of a sample to fold the remaining columns into, for example (1, 28, 28).
    delimiter : str, optional
        Between columns. By default a tab if the file is called .tsv or .tab, else a comma, unless
        another sign (; tab | space) gives more numbers.
    decimal : {".", ","}, optional
        Before the decimals. By default a comma if numbers hold one that does not divide columns.
    header : bool, optional
        Whether the first row holds the columns' names; by default it does if the rows below hold
        numbers where it does not, or if it counts the columns.
    index : bool, optional
        Whether the first column is left out because it counts the rows; by default it is if it
        does so and is called nothing, id, index or the like.

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
        error says in which line. The word ``nan`` is a number, an empty cell is not. Also if the
        file can be read in two ways and neither is more likely.
    UnknownName, ConfigurationError
        If the label column does not exist, or the shape does not fit.
    """
    label = layouts.checked_label(label)
    shape = _checked_shape(shape)
    delimiter, decimal = layouts.checked_signs(delimiter, decimal)
    header = None if header is None else arguments.flag("read_csv header", header, ROW_OF_NAMES)
    index = None if index is None else arguments.flag("read_csv index", index)
    place = as_path(path, "read_csv path")
    content, name = read_bytes(place), str(place)
    text, usual, skipped = _text(content, name, place.suffixes)
    layout = layouts.find_layout(text, name, usual, label, delimiter, decimal, header)
    features, labels = _columns(_rows(text, name, layout.delimiter, skipped), layout, name)
    y, classes = _targets(labels, layout.decimal)
    notes = [*layout.notes, *_label_notes(labels, y, features, layout, label is None)]
    features, note = _without_index(features, layout, index, shape)
    folded = _folded(features, shape)
    return Dataset(folded, y, classes, name=place.name, notes=notes + note)


def _text(content: bytes, name: str, suffixes: Sequence[str]) -> tuple[str, str, int]:
    """Return the text, its usual delimiter, and how many lines were taken off."""
    if content.startswith(GZIP_MAGIC):
        most = min(MAX_TEXT_BYTES, unpacking_limit(len(content)))
        content = gunzip(content, name, most + 1)
        if len(content) > most:
            raise FormatError(
                f"{name}: unpacks to more than {most:,} bytes; split it, or store it unpacked"
            )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{name}: no UTF-8 text (byte {error.start}); a table program saves it as "
            "'CSV UTF-8', an archive or a picture is no table"
        ) from error
    usual = "\t" if {suffix.lower() for suffix in suffixes} & {".tsv", ".tab"} else ","
    # Spreadsheets write down the sign they chose.
    if said := re.match(r"sep=([^\r\n])\r?\n", text):
        return text[said.end() :], said[1], 1
    return text, usual, 0


def _rows(text: str, name: str, delimiter: str, skipped: int) -> Iterator[Row]:
    """Yield every row that is not blank; all have as many cells as the first."""
    first: Row | None = None
    line = skipped
    try:
        for number, cells in layouts.rows_of(text, delimiter):
            line = number + skipped
            first = first or (line, cells)
            if len(cells) != len(first[1]):
                raise FormatError(
                    f"{name}: line {line} has {len(cells)} columns, expected {len(first[1])} as in "
                    f"line {first[0]}; the file is damaged or truncated"
                )
            yield line, cells
    except csv.Error as error:
        raise FormatError(f"{name}: line {line + 1} is no row of a table ({error})") from error


def _columns(rows: Iterator[Row], layout: Layout, name: str) -> tuple[Array, list[str]]:
    """Return features float32 (n, columns) and labels as text, without a row of names."""
    features, labels = [], []
    first = True
    column = layout.label
    for line, cells in rows:
        if first and layout.header:
            first = False
            continue
        first = False
        features.append(_feature_row(cells, column, layout.decimal, f"{name}: line {line}"))
        labels.append(layouts.in_a_line(cells[column]))
        if not labels[-1]:
            raise FormatError(f"{name}: line {line}, column {column + 1}: the label is missing")
    if first:
        raise FormatError(f"{name}: the table has no rows")
    if not features:
        raise FormatError(f"{name}: the table has no rows below the names of its columns")
    return np.stack(features), labels


def _feature_row(cells: list[str], column: int, decimal: str, where: str) -> Array:
    """Return all cells but the label as float32 (columns,)."""
    others = cells[:column] + cells[column + 1 :]
    try:
        with np.errstate(over="raise"):
            return np.array(as_numbers(others, decimal)).astype(np.float32)
    except ValueError as error:
        wrong = next(
            i for i, cell in enumerate(cells) if i != column and not is_number(cell, decimal)
        )
        other = "." if decimal == "," else ","
        advice = f"; decimal={other!r} reads it" if is_number(cells[wrong], other) else ""
        raise FormatError(
            f"{where}, column {wrong + 1}: expected a number, received "
            f"{shown(cells[wrong])}{advice}"
        ) from error
    except FloatingPointError as error:
        raise FormatError(f"{where}: a number is too large for float32") from error


def _targets(labels: list[str], decimal: str) -> tuple[Array, tuple[str, ...] | None]:
    """Return class numbers or values, and the classes' names if the labels are words."""
    if all(is_number(cell, decimal) for cell in labels):
        values = np.array([as_number(cell, decimal) for cell in labels])
        # Up to 2**53 a float64 is the number that was written.
        if np.all(np.abs(values) <= 2**53) and np.all(values == np.floor(values)):
            return values.astype(np.int64), None
        with np.errstate(over="ignore"):
            return values.astype(np.float32), None
    known = sorted(set(labels), key=names.natural)
    numbers = {text: number for number, text in enumerate(known)}
    return np.array([numbers[cell] for cell in labels], np.int64), tuple(known)


def _label_notes(
    labels: list[str], y: Array, features: Array, layout: Layout, is_found: bool
) -> Iterator[str]:
    """Yield what is strange about the labels."""
    if len(y) < 2:
        return
    numbers = sum(is_number(cell, layout.decimal) for cell in labels)
    if 0 < numbers < len(labels):
        word = shown(next(cell for cell in labels if not is_number(cell, layout.decimal)))
        yield (
            f"labels are numbers in {numbers:,} rows and words in {len(labels) - numbers:,} (such "
            f"as {word}), so all are names of classes; if {word} is none, mend that row or say "
            "header=True"
        )
    if not is_found or layout.label == 0 or (y != y[0]).any():
        return
    first = features[:, 0]
    count = len(np.unique(first))
    is_class = (first == np.floor(first)).all() and first.min() >= 0 and 1 < count <= FEW
    if is_class:
        yield (
            f"all {len(y):,} labels in the last column are {labels[0]}, while the first column "
            f"holds {count} different whole numbers; label=0 takes that one"
        )


def _without_index(
    features: Array, layout: Layout, index: bool | None, shape: Shape | None
) -> tuple[Array, list[str]]:
    """Return the features without a first column that counts the rows."""
    if index is False or features.shape[1] < 2 or (index and layout.label == 0):
        if index:
            raise ConfigurationError(
                "read_csv: index=True leaves out the first column, but that is the label or the "
                "only feature; leave it out"
            )
        return features, []
    if index:
        return features[:, 1:], []
    fits = shape is not None and math.prod(shape) == features.shape[1]
    if layout.label == 0 or fits or not _is_index(features[:, 0], layout.columns):
        return features, []
    called = f"called {layout.columns[0]!r} " if layout.columns else ""
    return features[:, 1:], [
        f"the first column {called}counts the rows and is left out; index=False keeps it"
    ]


def _is_index(column: Array, columns: Sequence[str]) -> bool:
    count = len(column)
    numbers = np.arange(count)
    name = columns[0].lower() if columns else None
    if name in NAMELESS and len(np.unique(column)) == count and (column == np.floor(column)).all():
        return True
    if not any(np.array_equal(column, (numbers + start).astype(np.float32)) for start in (0, 1)):
        return False
    return count >= COUNTED if name is None else name in INDEX_NAMES


def _checked_shape(shape: Any) -> Shape | None:
    if shape is None:
        return None
    axes = tuple(shape) if arguments.is_sequence(shape) else ()
    is_shape = arguments.is_sequence(shape) and len(axes) < MOST_AXES
    if not is_shape or not all(
        arguments.is_whole(axis) and abs(int(axis)) <= arguments.LARGEST for axis in axes
    ):
        expected = "a tuple of whole numbers, such as (1, 28, 28)"
        raise arguments.refusal("read_csv shape", expected, shape)
    return tuple(map(int, axes))


def _folded(features: Array, shape: Shape | None) -> Array:
    if shape is None:
        return features
    if math.prod(shape) != features.shape[1] or min(shape, default=0) < 1:
        raise ConfigurationError(
            f"read_csv: a sample of shape {shape} has {math.prod(shape)} elements, but the table "
            f"has {features.shape[1]} feature columns"
        )
    return features.reshape(-1, *shape)
