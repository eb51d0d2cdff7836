"""What the window view draws: plain data, free of Qt and of the engine.

A controller translates an explanation of the engine into a `WindowContent`; the view draws it
without knowing which layer it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Kind = Literal["sum", "max", "mean", "map"]
Role = Literal["input", "weight", "gradient", "output", "state"]
Mode = Literal["signed", "nonnegative", "grey"]


class StageLine(NamedTuple):
    """A named number after the terms: bias, z, activation, ..."""

    label: str
    value: float
    formula: str = ""


class ActivationPlot(NamedTuple):
    """A function and the point on it that this element takes.

    Parameters
    ----------
    name : str
    x, y : float
        The point.
    curve_x, curve_y : float array, shape (points,)
        The function as a polyline, ascending in x.
    """

    name: str
    x: float
    y: float
    curve_x: Array
    curve_y: Array


class OutputMap(NamedTuple):
    """The map the element belongs to.

    Parameters
    ----------
    values : float array, shape (h, w)
    revealed : bool array, shape (h, w), or None
        Which cells have been computed; None means all of them.
    cell : (y, x) or None
        The element that is explained.
    mode : Mode
        How values become colours.
    """

    values: Array
    revealed: Array | None = None
    cell: tuple[int, int] | None = None
    mode: Mode = "signed"


class BarLine(NamedTuple):
    """One bar of a small bar chart (the probabilities of a softmax, for example)."""

    label: str
    value: float
    strong: bool = False


@dataclass(frozen=True, slots=True)
class GridStack:
    """A neighbourhood of a tensor, drawn as one k x k grid per channel.

    Parameters
    ----------
    role : Role
        Decides colours: weights and gradients are signed, inputs follow their own range.
    tensor : str
    values : float array, shape (c, h, w)
    channels, rows, columns : int64 arrays, shapes (c,), (h,), (w,)
        Coordinates in the tensor of each slice; those outside the tensor are padding.
    inside : bool array, shape (h, w)
        False where the cell is padding.
    terms : int64 array, shape (c, h, w)
        The number of the term that uses the cell, -1 if none does.
    """

    role: Role
    tensor: str
    values: Array
    channels: Array
    rows: Array
    columns: Array
    inside: Array
    terms: Array


def _no_numbers() -> Array:
    return np.zeros(0, np.float64)


@dataclass(frozen=True, slots=True)
class WindowContent:
    """One number of the network and how it came about.

    Parameters
    ----------
    title : str
        ``"conv2[5, 7, 4]"``.
    formula : str
        ``"= Σ in × w + b"``.
    order_text : str
        The engine's accumulation order in words.
    exact : bool or None
        True if the replayed terms give exactly the stored bits; None if nothing was replayed.
    kind : Kind
        How terms combine.
    patches : sequence of GridStack
        Inputs first, then weights; grids of equal channel count are aligned below each other.
    operand_values : sequence of arrays, shape (terms,)
        The factors of each term.
    operand_labels : sequence of callables
        For each operand: term number -> short text of its index, ``"[2, 8, 6]"`` or ``"pad"``.
    contributions, totals : arrays, shape (terms,)
        What each term brings, and the running result after it.
    chunk_starts : sequence of int
        Terms at which the running result starts again from zero.
    cursor_term : int or None
        The next term to execute; None when all are done.
    stages : sequence of StageLine or (label, value, formula)
    result : float or None
    activation : ActivationPlot or None
    decisive : int or None
        The term that decides a maximum.
    output : OutputMap or None
    bars : sequence of BarLine
    note : str
        One sentence below the stages.
    stage_cursor : int or None
        The next stage to execute once all terms are done; None when all are done.
    """

    title: str
    formula: str = ""
    order_text: str = ""
    exact: bool | None = True
    kind: Kind = "sum"
    patches: Sequence[GridStack] = ()
    operand_values: Sequence[Array] = ()
    operand_labels: Sequence[Callable[[int], str]] = ()
    contributions: Array = field(default_factory=_no_numbers)
    totals: Array = field(default_factory=_no_numbers)
    chunk_starts: Sequence[int] = (0,)
    cursor_term: int | None = None
    stages: Sequence[StageLine | tuple[str, float, str]] = ()
    result: float | None = None
    activation: ActivationPlot | None = None
    decisive: int | None = None
    output: OutputMap | None = None
    bars: Sequence[BarLine] = ()
    note: str = ""
    stage_cursor: int | None = None

    @property
    def terms(self) -> int:
        """Number of terms."""
        return int(self.totals.shape[0])
