"""What the subcommands say: lines and tables for people, or JSON lines for scripts."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"


class Interrupted(Exception):
    """Ctrl-C was pressed, or the process was asked to end; the text is the one line to print."""


class Diverged(Exception):
    """A training ended in NaN or Inf; the text is the one line to print."""


class Output:
    """Where a subcommand writes.

    Parameters
    ----------
    as_json : bool
        Whether `json` or the other methods are in force; those of the other kind say nothing.

    Attributes
    ----------
    console : Console
        Takes no markup: texts hold paths and names, whose brackets mean nothing.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(markup=False, highlight=False, emoji=False, quiet=as_json)

    def json(self, **fields: Any) -> None:
        """Print one JSON object on a line of its own, at once."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(fields), ensure_ascii=False, allow_nan=False) + "\n")
            sys.stdout.flush()

    def line(self, text: str = "", style: str = "", fold: bool = True) -> None:
        """Print a line of text, folded between words at the width of the terminal or not at all."""
        self.console.print(Text(text, style=style), soft_wrap=not fold)

    def show(self, renderable: RenderableType) -> None:
        """Print a table or anything else Rich can draw."""
        self.console.print(renderable)

    def heading(self, text: str) -> None:
        """Print an empty line and a heading."""
        self.console.print()
        self.console.print(Text(text, style="bold"))


def memory_text(error: MemoryError) -> str:
    """Return one sentence for a lack of memory, with how much was asked for where that is known."""
    found = re.search(r"allocate ([\d.]+?)\.? ([KMGTPEZ]?i?B|bytes) for", str(error))
    asked = f"{found[1]} {found[2]} were asked for at once" if found else "the machine has no more"
    return (
        f"not enough memory ({asked}); take a smaller --batch-size, smaller pictures or a smaller "
        "net"
    )


def plain(value: Any) -> Any:
    """Return `value` as strict JSON takes it: NaN and infinities become the words."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    right: Sequence[str] = (),
    title: str = "",
) -> Table:
    """Return a table in the one style of all subcommands.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : iterable of rows
    right : sequence of str
        The headings whose columns are aligned to the right.
    title : str
    """
    made = Table(
        box=box.SIMPLE_HEAD,
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """Return names and what they stand for, in two columns."""
    made = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, text in rows:
        made.add_row(name, text)
    return made


def number(value: float, digits: int = 6) -> str:
    """Return a number with `digits` significant digits and a true minus sign."""
    return f"{float(value) or 0.0:.{digits}g}".replace("-", MINUS)


def exact(value: Any) -> str:
    """Return the shortest decimal that stands for these bits and no others.

    Parameters
    ----------
    value : numpy scalar
    """
    return str(np.asarray(value)[()]).replace("-", MINUS)


def percent(share: float) -> str:
    """Return ``98.91 %``."""
    return f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """Return ``12.3 s``, ``4 min 05 s`` or ``1 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60) if seconds >= 3600 else int(seconds // 60)
    if seconds < 3600:
        return f"{minutes} min {int(seconds % 60):02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def shape_text(shape: Sequence[int]) -> str:
    """Return ``6×28×28``."""
    return TIMES.join(str(size) for size in shape)


def place(tensor: str, index: Sequence[int] | None) -> str:
    """Return ``conv2.output[0, 5, 7, 4]``; None is padding."""
    if index is None:
        return "padding"
    return f"{tensor}[{', '.join(str(i) for i in index)}]"
