"""The table of terms: how wide its columns are and what stands in them. No painting here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gui import theme
from gui.widgets.canvas import metrics
from gui.widgets.numbers import Column, column_for
from gui.widgets.window_content import WindowContent

_SAMPLED = 64
"""Terms whose labels are measured; asking for all fifty thousand would take longer than a frame."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One piece of a row.

    Parameters
    ----------
    text : str
    kind : str
        ``"number"``, ``"label"``, ``"value"``, ``"sign"``, ``"product"`` or ``"total"``.
    column : int
        Character at which it starts.
    """

    text: str
    kind: str
    column: int


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of a content's terms for a width.

    Parameters
    ----------
    size : int
        Font size in pixels.
    labels : int
        How many operands' indices are shown.
    label_widths, value_columns : tuples
        Per operand: characters of its index, and how its values are written.
    product, total : Column
    number_width : int
    has_product : bool
    total_sign : str
    factors : bool
        Whether the factors are shown, or their product alone.
    """

    size: int
    labels: int
    label_widths: tuple[int, ...]
    value_columns: tuple[Column, ...]
    product: Column
    total: Column
    number_width: int
    has_product: bool
    total_sign: str
    factors: bool

    def characters(self) -> int:
        """Return the width of a row."""
        width = self.number_width
        width += sum(2 + self.label_widths[i] for i in range(self.labels))
        if self.factors or not self.has_product:
            width += sum(column.width for column in self.value_columns)
            width += 2 + 3 * (len(self.value_columns) - 1)
        if self.has_product:
            width += 3 + self.product.width
        return width + 4 + self.total.width

    def row(self, content: WindowContent, term: int) -> list[Cell]:
        """Return the pieces of one term's row."""
        cells = [Cell(str(term).rjust(self.number_width), "number", 0)]
        at = self.number_width
        for i in range(self.labels):
            text = content.operand_labels[i](term)[: self.label_widths[i]]
            cells.append(Cell(text, "label", at + 2))
            at += 2 + self.label_widths[i]
        shown = self.value_columns if self.factors or not self.has_product else ()
        at += 2 if shown else 0
        for i, column in enumerate(shown):
            if i:
                cells.append(Cell("×", "sign", at + 1))
                at += 3
            cells.append(Cell(column.text(content.operand_values[i][term]), "value", at))
            at += column.width
        if self.has_product:
            cells.append(Cell("=", "sign", at + 1))
            at += 3
            cells.append(Cell(self.product.text(content.contributions[term]), "product", at))
            at += self.product.width
        cells.append(Cell(self.total_sign, "sign", at + 2))
        cells.append(Cell(self.total.text(content.totals[term]), "total", at + 4))
        return cells


def table_for(content: WindowContent, width: float, largest: int = 12) -> Table:
    """Choose columns and font size for a width.

    Parameters
    ----------
    content : WindowContent
    width : float
        Room in pixels. Indices go first when it is scarce, then digits, then the factors.
    largest : int
        Largest font size in pixels.
    """
    count = content.terms
    sample = np.unique(np.linspace(0, max(count - 1, 0), min(count, _SAMPLED)).astype(int))
    widths = tuple(
        max((len(label(int(term))) for term in sample), default=0)
        for label in content.operand_labels
    )
    has_product = len(content.operand_values) > 1 and content.kind != "max"
    sign = {"max": "↑", "mean": "Σ"}.get(content.kind, "Σ")
    roomy = [(14, 2, 6, True), (14, 1, 6, True), (13, 1, 6, True)] if largest > 12 else []
    options = [
        *roomy,
        *(
            (size, labels, 6, True)
            for size, labels in ((12, 2), (12, 1), (11, 1), (10, 1), (11, 0))
        ),
        *((size, 0, digits, True) for digits in (5, 4) for size in (11, 10)),
        (9, 0, 4, True),
        (11, 0, 5, False),
        (9, 0, 4, False),
    ]
    table = None
    for size, labels, digits, factors in options:
        signed = len(content.operand_values) > 1
        table = Table(
            size=size,
            labels=min(labels, len(widths)),
            label_widths=widths,
            value_columns=tuple(column_for(v, digits - 1) for v in content.operand_values),
            product=column_for(content.contributions, digits, signed=signed),
            total=column_for(content.totals, digits, signed=content.kind == "sum"),
            number_width=len(str(max(count - 1, 0))),
            has_product=has_product,
            total_sign=sign,
            factors=factors,
        )
        if table.characters() * metrics(theme.mono(size)).horizontalAdvance("0") <= width:
            return table
    if table is None:  # options is never empty; this is for the type checker
        raise RuntimeError("no way to lay out the table of terms")
    return table
