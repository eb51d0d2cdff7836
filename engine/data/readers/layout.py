"""How a table as text is laid out: what divides its columns, which rows and columns are samples.

A file seldom says. Each question is answered from the first rows where one answer alone makes
sense of them; where two do, the more likely one is taken and named, or nothing is and an error
asks. Whoever reads the file can answer beforehand.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from engine import arguments
from engine.errors import ConfigurationError, FormatError, UnknownName, shown

DELIMITERS = (",", ";", "\t", "|", " ")
"""What may divide columns if nobody says, the most likely first."""
NO_DELIMITERS = '\0\r\n"0123456789'
"""Characters that end a row, quote a cell or belong to a number."""
ROWS = 50
"""So many rows are looked at."""
HEAD = 2**20
"""Characters that surely hold a few rows."""
SHOWN = 12
"""So many columns are named in an error."""
MANY = 8
"""So many numbers in a row, each one more than the last, are hardly a sample."""
LABEL_NAMES = frozenset(
    {"label", "labels", "class", "classes", "target", "targets", "y", "category"}
)
"""Columns so named hold the label, whatever the others are called."""
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
"""What stands for no value; in the first row it does not make a row of names."""

_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")

Cells = list[str]


@dataclass(frozen=True)
class Layout:
    """How a table is to be read.

    Parameters
    ----------
    delimiter, decimal : str
    header : bool
    label : int
        Number of the column, from 0.
    columns : tuple of str
        Their names; empty without a row of names.
    notes : tuple of str
        What was assumed.
    """

    delimiter: str
    decimal: str
    header: bool
    label: int
    columns: tuple[str, ...]
    notes: tuple[str, ...]


def in_a_line(cell: str) -> str:
    """Return a name without the line breaks and spaces that quotes may hold."""
    return " ".join(cell.split())


def as_number(cell: str, decimal: str = ".") -> float:
    """Return the number a cell holds.

    Raises
    ------
    ValueError
        If it holds none. Python reads 1_000 as a thousand; in a table it is a mistake.
    """
    if "_" in cell or (decimal == "," and "." in cell):
        raise ValueError(cell)
    return float(cell.replace(",", ".") if decimal == "," else cell)


def as_numbers(cells: Sequence[str], decimal: str = ".") -> list[float]:
    """Return the numbers that cells hold, ten times as fast as one by one.

    Raises
    ------
    ValueError
        If one holds none.
    """
    signs = "".join(cells)
    if "_" in signs or (decimal == "," and "." in signs):
        raise ValueError("no numbers")
    if decimal == ",":
        cells = [cell.replace(",", ".") for cell in cells]
    return list(map(float, cells))


def is_number(cell: str, decimal: str = ".") -> bool:
    """Return whether a cell holds a number."""
    try:
        as_number(cell, decimal)
    except ValueError:
        return False
    return True


def rows_of(text: str, delimiter: str) -> Iterator[tuple[int, Cells]]:
    """Yield line number and cells of every row that is not blank.

    Raises
    ------
    csv.Error
        If the quotes of a row do not match.
    """
    lines: Iterator[str] = io.StringIO(text, newline="")
    is_space = delimiter == " "
    if is_space:  # columns are then often filled up to a width
        lines = (line.strip() for line in lines)
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=is_space)
    for cells in reader:
        if cells:
            yield reader.line_num, cells


def checked_label(label: Any) -> int | str | None:
    """Return the number or name of a column as plain Python."""
    if label is None or isinstance(label, str):
        return label if label is None else str(label)
    if not arguments.is_whole(label):
        raise arguments.refusal("read_csv", "label as a column's number or name", label)
    return int(label)


def checked_signs(delimiter: Any, decimal: Any) -> tuple[str | None, str | None]:
    """Return the signs between columns and before decimals; None is to be found out."""
    if delimiter is not None and (
        not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in NO_DELIMITERS
    ):
        raise arguments.refusal("read_csv", "one character as delimiter", delimiter)
    if decimal is not None and (not isinstance(decimal, str) or decimal not in (".", ",")):
        expected = "decimal '.' or ',' and another delimiter"
        raise arguments.refusal("read_csv", expected, decimal)
    return delimiter, decimal


def find_layout(
    text: str,
    name: str,
    usual: str,
    label: int | str | None,
    delimiter: str | None,
    decimal: str | None,
    header: bool | None,
) -> Layout:
    """Return how a table is to be read.

    Parameters
    ----------
    text : str
    name : str
        The file, for the errors.
    usual : str
        The delimiter that files of this name have.
    label, delimiter, decimal, header
        As `read_csv`; None is to be found out.

    Raises
    ------
    FormatError
        If the first rows are no table, or make sense in two ways.
    """
    head = text if len(text) <= HEAD else text[: max(text.rfind("\n", 0, HEAD), 0) or HEAD]
    chosen = _delimiter(head, usual, decimal) if delimiter is None else delimiter
    is_unusual = delimiter is None and chosen != usual
    try:
        rows = [cells for _, cells in islice(rows_of(head, chosen), ROWS)]
    except csv.Error:
        rows = []  # reading all of it will say in which line
    if decimal is None:
        decimal = _decimal(rows, chosen, name)
        is_unusual |= decimal != "."
    elif decimal == chosen:
        raise ConfigurationError(
            f"read_csv: expected decimal '.' or ',' and another delimiter, received {decimal!r} "
            f"and {chosen!r}"
        )
    if not rows:
        return Layout(chosen, decimal, bool(header), -1, (), ())
    if len(rows[0]) < 2:
        raise FormatError(
            f"{name}: expected features and a label, received one column; is the delimiter right? "
            "(delimiter=)"
        )
    return _with_rows(rows, name, label, chosen, decimal, header, is_unusual)


def _with_rows(
    rows: Sequence[Cells],
    name: str,
    label: int | str | None,
    delimiter: str,
    decimal: str,
    header: bool | None,
    is_unusual: bool,
) -> Layout:
    """Return the layout of rows whose columns are known."""
    first = rows[0]
    is_sure = True
    if label is None:
        column, has_header, is_sure = _found_label(rows, decimal, header, name)
    else:
        column = _label_column(first, label, name)
        if isinstance(label, str) and header is False:
            raise FormatError(
                f"{name}: header=False, so no column is called {shown(label)}; use its number"
            )
        if isinstance(label, str):
            has_header = True
        else:
            has_header, is_sure = _header(rows, column, decimal, header, name)
    columns = tuple(map(in_a_line, first)) if has_header else ()
    notes: tuple[str, ...] = ()
    if label is None or not is_sure or is_unusual:
        last = column == len(first) - 1
        called = f"label={columns[column]!r}" if columns else f"label={-1 if last else column}"
        place = f"the last of {len(first)} columns" if last else f"column {column} of {len(first)}"
        notes = (
            f"read with delimiter={delimiter!r}, decimal={decimal!r}, header={has_header}, "
            f"{called} ({place}); give any of these to have it read otherwise",
        )
    return Layout(delimiter, decimal, has_header, column, columns, notes)


def _label_column(first: Sequence[str], label: int | str, name: str) -> int:
    """Return the number of the label's column, from 0."""
    if isinstance(label, str):
        columns = [in_a_line(cell) for cell in first]
        label = in_a_line(label)
        if label not in columns:
            more = [f"and {len(columns) - SHOWN} more"] if len(columns) > SHOWN else []
            raise UnknownName(f"column of {name}", label, [*columns[:SHOWN], *more])
        if columns.count(label) > 1:
            raise FormatError(f"{name}: {columns.count(label)} columns are called {shown(label)}")
        return columns.index(label)
    if not -len(first) <= label < len(first):
        raise ConfigurationError(
            f"{name}: label={shown(label)}, but there is no column {shown(label)}; there are "
            f"{len(first)}, numbered from 0"
        )
    return label % len(first)


def _delimiter(head: str, usual: str, decimal: str | None) -> str:
    """Return what divides the columns: the usual sign unless another one makes more numbers."""
    best, most = usual, -1.0
    for sign in dict.fromkeys((usual, *DELIMITERS)):
        if sign == decimal:
            continue
        share = _numbers(head, sign)
        if share is not None and share > most:
            best, most = sign, share
    return best


def _numbers(head: str, delimiter: str) -> float | None:
    """Return which share of cells are numbers; None if rows differ in length or have one cell."""
    try:
        rows = [cells for _, cells in islice(rows_of(head, delimiter), ROWS)]
    except csv.Error:
        return None
    if len({len(cells) for cells in rows}) != 1 or len(rows[0]) < 2:
        return None
    cells = [cell for row in rows[1:] or rows for cell in row]
    return sum(_is_any_number(cell, delimiter) for cell in cells) / len(cells)


def _is_any_number(cell: str, delimiter: str) -> bool:
    return is_number(cell) or (delimiter != "," and is_number(cell, ","))


def _decimal(rows: Sequence[Cells], delimiter: str, name: str) -> str:
    """Return the sign before the decimals."""
    if delimiter == ",":
        return "."
    cells = [cell.strip() for row in rows for cell in row]
    commas = [cell for cell in cells if _COMMA.fullmatch(cell) or _THOUSANDS.fullmatch(cell)]
    if not commas:
        return "."
    points = [cell for cell in cells if "." in cell and is_number(cell)]
    if points:
        raise FormatError(
            f"{name}: holds {commas[0]} as well as {points[0]}; write all numbers in one way, or "
            "say which with decimal="
        )
    if all(_THOUSANDS.fullmatch(cell) for cell in commas):
        raise FormatError(
            f"{name}: {commas[0]} may be {float(commas[0].replace(',', '.', 1).replace(',', '')):g}"
            f" or {commas[0].replace(',', '')}; say decimal=',' for the first, or take the commas "
            "out"
        )
    return ","


def _found_label(
    rows: Sequence[Cells], decimal: str, header: bool | None, name: str
) -> tuple[int, bool, bool]:
    """Return the label's column, whether there is a row of names, and whether that is sure."""
    named = [i for i, cell in enumerate(rows[0]) if cell.strip().lower() in LABEL_NAMES]
    last = len(rows[0]) - 1
    if len(named) == 1 and header is not False and named[0] != last:
        has_header, is_sure = _header(rows, named[0], decimal, header, name)
        if has_header:
            return named[0], True, is_sure
    return last, *_header(rows, last, decimal, header, name)


def _header(
    rows: Sequence[Cells], label: int, decimal: str, given: bool | None, name: str
) -> tuple[bool, bool]:
    """Return whether the first row holds names, and whether nothing else would make sense."""
    if given is not None:
        return given, True
    first, rest = rows[0], rows[1:]
    features = [cell.strip() for i, cell in enumerate(first) if i != label]
    words = [i for i, cell in enumerate(first) if i != label and not is_number(cell, decimal)]
    told = [i for i in words if first[i].strip().lower() not in MISSING]
    is_label_word = not is_number(first[label], decimal)
    others = [row[label] for row in rest if len(row) == len(first)]
    is_new_word = is_label_word and bool(others) and all(is_number(o, decimal) for o in others)
    if told:
        if len(words) == len(features):
            return True, True
        # Such a row is no sample; it holds names if the rows below hold numbers in its place.
        below = [row[i] for row in rest if len(row) == len(first) for i in told]
        return bool(below) and all(is_number(cell, decimal) for cell in below), True
    if words:  # values are missing, or an index has no name
        return is_new_word, True
    if is_label_word and not rest:
        raise FormatError(
            f"{name}: one row alone, {in_a_line(','.join(first))[:40]!r}, may hold names or a "
            "sample; say header=True or header=False"
        )
    if is_new_word:
        return True, False
    counting = _is_counting(features if is_label_word else [cell.strip() for cell in first])
    if not counting:
        return False, True
    follows = not is_label_word and bool(rest) and rest[0][0].strip() == str(int(first[-1]) + 1)
    return (is_label_word or len(first) >= MANY) and not follows, False


def _is_counting(cells: Sequence[str]) -> bool:
    """Return whether cells are 0, 1, 2 ... or 1, 2, 3 ..."""
    return len(cells) >= 3 and any(
        all(cell == str(start + i) for i, cell in enumerate(cells)) for start in (0, 1)
    )
