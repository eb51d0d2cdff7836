"""Explanations in the terminal: terms as a table, windows as grids of numbers, or JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from engine.commands.output import MINUS, TIMES, Output, exact, number, table
from engine.explanation import Explanation, Patch, Term

FIRST, LAST, AROUND = 6, 3, 1
"""Terms shown of a long sum: so many at the ends, and beside the one that matters most."""
WIDEST_GRID = 7
RESULT_NAMES = {"sum": "running sum", "max": "largest so far", "mean": "running sum", "map": ""}


def strongest(explanation: Explanation) -> int | None:
    """Return the number of the term that decides, or else moves the result most."""
    return explanation.strongest


def terms_table(explanation: Explanation, shown: list[int], current: int | None = None) -> Table:
    """Return terms as a table.

    Parameters
    ----------
    explanation : Explanation
    shown : list of int
        Numbers of the terms; gaps are marked.
    current : int, optional
        The term that is marked, by default the strongest.
    """
    terms = explanation.terms
    marked = strongest(explanation) if current is None else current
    columns, right = ["", "term"], ["term"]
    for operand in terms.operands:
        right.append(operand.tensor.replace(".", "\n", 1))
        columns += ["at", right[-1]]
    is_product = len(terms.operands) > 1
    columns += ["product"] * is_product + [RESULT_NAMES[explanation.kind]]
    made = table(columns, (), right=(*right, "product", columns[-1]))
    before = -1
    for index in shown:
        if index != before + 1:
            made.add_row("", "⋮", *[""] * (len(columns) - 2), style="dim")
        style = "bold" if index == marked else ("dim" if index in terms.chunk_starts[1:] else "")
        made.add_row("▶" if index == marked else "", *_cells(terms[index], is_product), style=style)
        before = index
    if shown and shown[-1] != len(terms) - 1:
        made.add_row("", "⋮", *[""] * (len(columns) - 2), style="dim")
    return made


def _cells(term: Term, is_product: bool) -> list[str]:
    cells = [str(term.number)]
    for index, value in zip(term.indices, term.values, strict=True):
        cells.append("padding" if index is None else ",".join(str(i) for i in index))
        cells.append(number(value))
    return cells + [number(term.contribution)] * is_product + [number(term.total)]


def chosen_terms(explanation: Explanation, everything: bool = False) -> list[int]:
    """Return the numbers of the terms to show: all, or both ends and the strongest."""
    count = len(explanation.terms)
    if everything or count <= FIRST + LAST + 2 * AROUND + 1:
        return list(range(count))
    best = strongest(explanation) or 0
    wanted = {*range(FIRST), *range(best - AROUND, best + AROUND + 1), *range(count - LAST, count)}
    return sorted(i for i in wanted if 0 <= i < count)


def terms_around(explanation: Explanation, current: int, reach: int = 4) -> list[int]:
    """Return the numbers of the terms beside the current one."""
    count = len(explanation.terms)
    return list(range(max(current - reach, 0), min(current + reach + 1, count)))


def patch_grids(explanation: Explanation, term: int | None) -> Table | None:
    """Return the windows of one channel side by side, as numbers; None if they are too wide.

    Parameters
    ----------
    explanation : Explanation
    term : int or None
        Decides the channel; its cell is marked.
    """
    patches = explanation.patches
    if term is None or not patches or any(patch.values.shape[2] > WIDEST_GRID for patch in patches):
        return None
    if any(patch.values.shape[1] > WIDEST_GRID for patch in patches):
        return None
    grids = Table(box=None, show_header=False, padding=(0, 3, 0, 0))
    parts: list[Table | Text] = []
    for number_of, patch in enumerate(patches):
        found = np.argwhere(patch.terms == term)
        if not len(found):
            return None
        channel, row, column = (int(i) for i in found[0])
        if number_of:
            parts.append(Text(f"\n\n{TIMES}"))
        parts.append(_grid(patch, channel, (row, column)))
    grids.add_row(*parts)
    return grids


def _grid(patch: Patch, channel: int, mark: tuple[int, int]) -> Table:
    title = f"{patch.tensor}, channel {int(patch.channels[channel])}"
    made = Table(
        box=box.SQUARE, show_header=False, show_lines=False, padding=(0, 1, 0, 0), title=title,
        title_style="dim", title_justify="left",
    )  # fmt: skip
    for _ in range(patch.values.shape[2]):
        made.add_column(justify="right", no_wrap=True)
    for y, row in enumerate(patch.values[channel]):
        cells = []
        for x, value in enumerate(row):
            inside = bool(patch.inside[y, x])
            text = f"{float(value):.2f}".replace("-", MINUS) if inside else "pad"
            cells.append(
                Text(text, style="bold reverse" if (y, x) == mark else ("" if inside else "dim"))
            )
        made.add_row(*cells)
    return made


def show_explanation(explanation: Explanation, out: Output, everything: bool = False) -> None:
    """Show an explanation from its sentence to the bits."""
    out.line(explanation.sentence, "bold")
    out.line(f"{explanation.formula}; order: {explanation.order}", "dim")
    best = strongest(explanation)
    grids = patch_grids(explanation, best)
    if grids is not None:
        out.line()
        out.show(grids)
    if len(explanation.terms):
        out.line()
        out.show(terms_table(explanation, chosen_terms(explanation, everything)))
    show_stages(explanation, out)
    for note in explanation.notes:
        out.line(note, "dim")


def show_stages(explanation: Explanation, out: Output, current: int | None = None) -> None:
    """Show what follows the terms, and whether the result equals the stored number.

    Parameters
    ----------
    explanation : Explanation
    out : Output
    current : int, optional
        The stage that is marked.
    """
    made = table(("", "step", "value", "from"), (), right=("value",))
    for index, stage in enumerate(explanation.stages):
        is_current = index == current
        cells = (stage.label, number(stage.value, 9), stage.formula)
        made.add_row("▶" if is_current else "", *cells, style="bold" if is_current else "")
    if explanation.stages:
        out.line()
        out.show(made)
    out.line()
    text = f"replayed {exact(explanation.value)}, stored {exact(explanation.stored)}"
    both = f"{bits(explanation.value)} and {bits(explanation.stored)}"
    if explanation.value.tobytes() == explanation.stored.tobytes():
        out.line(f"{text}: the same bits ({bits(explanation.stored)})", "green")
    elif explanation.exact:
        out.line(f"{text}: no number in either, whatever its bits ({both})", "green")
    else:
        out.line(f"{text}: NOT the same bits ({both})", "red")


def bits(value: Any) -> str:
    """Return the memory of a numpy scalar in hexadecimal, most significant byte first."""
    big_endian = np.asarray(value)
    return "0x" + big_endian.astype(big_endian.dtype.newbyteorder(">")).tobytes().hex()


def explanation_data(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as data for JSON, all terms included."""
    terms = [
        {
            "number": term.number,
            "operands": [
                {"tensor": tensor, "index": index, "value": value}
                for tensor, index, value in zip(
                    term.tensors, term.indices, term.values, strict=True
                )
            ],
            "contribution": term.contribution,
            "total": term.total,
        }
        for term in explanation.terms
    ]
    stages = [
        {"label": stage.label, "value": stage.value, "formula": stage.formula}
        for stage in explanation.stages
    ]
    return {
        "layer": explanation.layer,
        "phase": explanation.phase,
        "tensor": explanation.tensor,
        "index": explanation.index,
        "kind": explanation.kind,
        "formula": explanation.formula,
        "order": explanation.order,
        "sentence": explanation.sentence,
        "value": explanation.value,
        "stored": explanation.stored,
        "exact": explanation.exact,
        "bits": bits(explanation.stored),
        "decisive": explanation.decisive,
        "chunk_starts": explanation.terms.chunk_starts,
        "terms": terms,
        "stages": stages,
        "notes": explanation.notes,
    }
