"""What `explain` returns: how one number came about, in the engine's own order and arithmetic.

An explanation is plain data. Views draw it without knowing which layer it came from, so a new
layer needs no new view: patches become grids, terms a table with a running total, stages the
lines below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, overload

import numpy as np

from engine.typing import Array, Index, Phase, Scalar

Kind = Literal["sum", "max", "mean", "map"]
"""How terms combine: a sum of products, a maximum, a mean, or no terms (element by element)."""

Role = Literal["input", "weight", "gradient", "output", "state"]


@dataclass(frozen=True, slots=True)
class Operand:
    """One factor of every term.

    Parameters
    ----------
    tensor : str
        Where the values stand, for example ``"pool1.output"`` or ``"conv2.weight"``.
    values : array, shape (terms,)
        In the engine's dtype.
    indices : int64 array, shape (terms, rank)
        Public index of each value; a row of -1 means padding, a value no tensor holds.
    """

    tensor: str
    values: Array
    indices: Array


@dataclass(frozen=True, slots=True)
class Term:
    """One multiply-add (or one candidate of a maximum): its operands and the total after it."""

    number: int
    tensors: tuple[str, ...]
    indices: tuple[Index | None, ...]
    values: tuple[float, ...]
    contribution: float
    total: float


@dataclass(frozen=True, slots=True)
class Terms(Sequence[Term]):
    """All terms in the order in which the engine executes them, as arrays.

    Parameters
    ----------
    operands : tuple of Operand
        Two for products, one for maxima, means and plain sums, none for an elementwise map.
    contributions : array, shape (terms,)
        What each term brings by itself (the product), rounded to the engine's dtype for display.
    totals : array, shape (terms,)
        The running result after each term, with the engine's arithmetic (fused multiply-add).
    chunk_starts : tuple of int
        Terms at which the total starts again from zero; sums over a batch run in fixed chunks.
    """

    operands: tuple[Operand, ...]
    contributions: Array
    totals: Array
    chunk_starts: tuple[int, ...] = (0,)

    def __len__(self) -> int:
        return int(self.totals.shape[0])

    @overload
    def __getitem__(self, number: int) -> Term: ...

    @overload
    def __getitem__(self, number: slice) -> list[Term]: ...

    def __getitem__(self, number: int | slice) -> Term | list[Term]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"term {number} of {len(self)}")
        number %= len(self)
        places = tuple(
            None
            if operand.indices[number].min(initial=0) < 0
            else tuple(operand.indices[number].tolist())
            for operand in self.operands
        )
        return Term(
            number=number,
            tensors=tuple(operand.tensor for operand in self.operands),
            indices=places,
            values=tuple(float(operand.values[number]) for operand in self.operands),
            contribution=float(self.contributions[number]),
            total=float(self.totals[number]),
        )

    def __iter__(self) -> Iterator[Term]:
        return (self[i] for i in range(len(self)))


def no_terms() -> Terms:
    """Return the terms of an elementwise map: there are none."""
    return Terms((), np.zeros(0, np.float32), np.zeros(0, np.float32), ())


@dataclass(frozen=True, slots=True)
class Stage:
    """A named number after (or, without terms, instead of) the terms, in execution order.

    Parameters
    ----------
    label : str
        Short and plain: ``"bias"``, ``"mean"``, ``"exp(x - max)"``, ``"new weight"``.
    value : float
    formula : str
        How it arises from the stages before it, or empty.
    """

    label: str
    value: float
    formula: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    """A neighbourhood of a tensor, drawn as one k x k grid per channel.

    Parameters
    ----------
    role : Role
        Decides colours: weights and gradients are signed, inputs follow their own range.
    tensor : str
    values : array, shape (channels, rows, columns)
    channels, rows, columns : int64 arrays
        Coordinates in the tensor of each slice. Rows and columns outside the tensor are padding.
    inside : bool array, shape (rows, columns)
        False where the cell is padding.
    terms : int64 array, shape (channels, rows, columns)
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


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one stored number came about.

    Parameters
    ----------
    layer, phase, tensor, index
        The place that is explained; `tensor` in full, for example ``"conv2.weight.gradient"``.
    kind : Kind
    formula : str
        For the reader, for example ``"sum of input x weight, then + bias"``.
    order : str
        The documented accumulation order in words.
    terms, stages, patches
        See the classes.
    value : numpy scalar
        The result of replaying the terms and stages with the engine's arithmetic.
    stored : numpy scalar
        What the engine's memory holds; `exact` compares the bits.
    decisive : int or None
        The term that decides (the maximum), if one does.
    sentence : str
        One plain sentence with this number's real values.
    """

    layer: str
    phase: Phase
    tensor: str
    index: Index
    kind: Kind
    formula: str
    order: str
    terms: Terms
    stages: tuple[Stage, ...]
    value: Scalar
    stored: Scalar
    patches: tuple[Patch, ...] = ()
    decisive: int | None = None
    sentence: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def exact(self) -> bool:
        """True if replayed and stored value are the same bits."""
        return (
            self.value.dtype == self.stored.dtype and self.value.tobytes() == self.stored.tobytes()
        )
