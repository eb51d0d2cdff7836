"""Statistics of a map as numbers, as text and on screen, and the lines between its cells."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QLineF, QRectF
from PyQt6.QtGui import QPainter

from gui import theme
from gui.widgets.canvas import LEFT, metrics
from gui.widgets.numbers import column_for, format_share
from gui.widgets.window_content import Array

_ROW = 17.0


def statistics_of(data: Array) -> dict[str, float]:
    """Return min, mean, max, std over finite values, shares of positives and zeros, bad count.

    Parameters
    ----------
    data : array, shape (h, w)
    """
    finite = data[np.isfinite(data)].astype(np.float64)
    none = not finite.size
    return {
        "min": float("nan") if none else float(finite.min()),
        "mean": float("nan") if none else float(finite.mean()),
        "max": float("nan") if none else float(finite.max()),
        "std": float("nan") if none else float(finite.std()),
        "positive": float((finite > 0).sum()) / data.size,
        "zero": float((finite == 0).sum()) / data.size,
        "nonfinite": float(data.size - finite.size),
    }


def statistics_text(values: dict[str, float]) -> list[tuple[str, str]]:
    """Return the statistics as (name, text), decimals aligned; empty for none."""
    if not values:
        return []
    names = ("min", "mean", "max", "std")
    column = column_for(np.array([values[name] for name in names]), 5)
    rows = [(name, column.text(values[name])) for name in names]
    rows.append(("> 0", format_share(values["positive"]).rjust(column.width)))
    rows.append(("zero", format_share(values["zero"]).rjust(column.width)))
    rows.append(("NaN", f"{int(values['nonfinite'])}".rjust(column.width)))
    return rows


def draw_statistics(painter: QPainter, area: QRectF, values: dict[str, float]) -> None:
    """Write the statistics below each other, as many as there is room for."""
    painter.setFont(theme.mono(11))
    label = metrics(painter.font()).horizontalAdvance("mean ") + 2
    for i, (name, text) in enumerate(statistics_text(values)):
        y = area.top() + i * _ROW
        if y + _ROW > area.bottom():
            break
        bad = name == "NaN" and values["nonfinite"] > 0
        painter.setPen(theme.colour("muted"))
        painter.drawText(QRectF(area.left(), y, label, _ROW), int(LEFT), name)
        painter.setPen(theme.colour("nonfinite" if bad else "text"))
        room = QRectF(area.left() + label, y, area.width() - label, _ROW)
        painter.drawText(room, int(LEFT), text)


def grid_lines(area: QRectF, cell: float, rows: int, columns: int) -> list[QLineF]:
    """Return the lines between cells, the outer ones included."""
    lines = [
        QLineF(area.left() + i * cell, area.top(), area.left() + i * cell, area.bottom())
        for i in range(columns + 1)
    ]
    lines += [
        QLineF(area.left(), area.top() + i * cell, area.right(), area.top() + i * cell)
        for i in range(rows + 1)
    ]
    return lines
