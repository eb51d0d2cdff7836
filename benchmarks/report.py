"""Tables of results as Markdown, and where they stand in a document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.measure import Timing, geometric_mean

MISSING = "–"

Result = Mapping[str, Any]
"""One line of a table: values by column."""


class Column(NamedTuple):
    """A column of a table.

    Parameters
    ----------
    key : str
        Of the values in a `Result`.
    head : str
    kind : {"text", "integer", "ms", "ratio", "times", "percent", "error", "number", "mb", "s"}
        How values are written; those of ``"ratio"`` have a summary below the table.
    """

    key: str
    head: str
    kind: str = "text"


def cell(value: Any, kind: str) -> str:
    """Return a value as text."""
    if value is None:
        return MISSING
    if isinstance(value, Timing):
        return f"{significant(value.median_ms)} ±{100 * value.spread:.0f} %"
    if kind in ("ratio", "times", "s"):
        return f"{value:.2f}"
    if kind == "percent":
        return f"{100 * value:.0f} %"
    if kind == "error":
        return f"{value:.0e}".replace("e-0", "e-") if value else "0"
    if kind == "mb":
        return f"{value / 1e6:,.2f}"
    if kind == "integer":
        return f"{value:,}"
    if kind in ("ms", "number"):
        return significant(value)
    return str(value)


def significant(value: float) -> str:
    """Return a number with three significant digits, without exponent."""
    if value == 0:
        return "0"
    for digits, least in ((0, 100), (1, 10), (2, 1), (3, 0.1)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.4f}"


def table(columns: Sequence[Column], results: Sequence[Result]) -> str:
    """Return a Markdown table; columns without any value are left out."""
    shown = [one for one in columns if any(result.get(one.key) is not None for result in results)]
    lines = [
        [one.head for one in shown],
        ["---" if one.kind == "text" else "---:" for one in shown],
        *([cell(result.get(one.key), one.kind) for one in shown] for result in results),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def summary(columns: Sequence[Column], results: Sequence[Result]) -> str:
    """Return geometric mean and least of every column of ratios, one sentence each."""
    sentences = []
    for column in columns:
        if column.kind != "ratio":
            continue
        values = [result[column.key] for result in results if result.get(column.key) is not None]
        if len(values) > 1:
            mean, least = geometric_mean(values), min(values)
            below = sum(value < 1 for value in values)
            sentences.append(
                f"{column.head}: geometric mean {mean:.2f}, least {least:.2f}, "
                f"{below} of {len(values)} below 1."
            )
    return "\n".join(f"- {sentence}" for sentence in sentences)


def splice(document: str, name: str, text: str) -> str:
    """Return the document with `text` between the markers of a table.

    Raises
    ------
    ValueError
        If the document has no such markers, or has them twice.
    """
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
    found = len(pattern.findall(document))
    if found != 1:
        raise ValueError(
            f"bench: expected the lines {begin} and {end} once in the document, found them "
            f"{found} times; write them where the table shall stand"
        )
    return pattern.sub(lambda _: f"{begin}\n{text.strip()}\n{end}", document)
