"""What `explain` returns: how one number came about, in the engine's own order and arithmetic.

An explanation is plain data. Views draw it without knowing which layer it came from, so a new
layer needs no new view: patches become grids, terms a table with a running total, stages the
lines below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    tensors : tuple of str
        The tensor of each value, if they stand in several; else empty.
    """

    tensor: str
    values: Array
    indices: Array
    tensors: tuple[str, ...] = ()

    def tensor_of(self, number: int) -> str:
        """Return the tensor that holds value `number`."""
        return self.tensors[number] if self.tensors else self.tensor

    def index_of(self, number: int) -> Index | None:
        """Return where value `number` stands; None for padding."""
        place = self.indices[number]
        return None if place.min(initial=0) < 0 else tuple(place.tolist())


@dataclass(frozen=True, slots=True)
class Culprit:
    """A number that is NaN or infinite and made another one so.

    Parameters
    ----------
    tensor, index
        Where it stands.
    value : float
    term : int or None
        The number of the term it is an operand of, if it is one.
    """

    tensor: str
    index: Index
    value: float
    term: int | None = None


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
    derived : bool
        Whether the operands were themselves computed in the same operation, so that a bad one
        among them only passes on what one of `Explanation.sources` is.
    """

    operands: tuple[Operand, ...]
    contributions: Array
    totals: Array
    chunk_starts: tuple[int, ...] = (0,)
    derived: bool = False

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
        return Term(
            number=number,
            tensors=tuple(operand.tensor_of(number) for operand in self.operands),
            indices=tuple(operand.index_of(number) for operand in self.operands),
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
        The term that decides, if one does: the maximum, or what made a sum NaN or infinite.
    sentence : str
        One plain sentence with this number's real values.
    sources : tuple of Operand
        What enters besides the operands of the terms: a bias, a running mean, a learning rate ...
        Tensors that only pass on what these hold are left out.
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
    sources: tuple[Operand, ...] = field(default=())

    @property
    def exact(self) -> bool:
        """True if replayed and stored value are the same bits.

        Any two NaN count as the same: which of their many bit patterns comes out of an operation
        is the processor's choice, and means nothing.
        """
        if self.value.dtype != self.stored.dtype:
            return False
        if np.isnan(self.value) and np.isnan(self.stored):
            return True
        return self.value.tobytes() == self.stored.tobytes()

    @property
    def strongest(self) -> int | None:
        """The number of the term that decides, or else moves the result most; None if none does."""
        if self.decisive is not None:
            return self.decisive
        sizes = np.abs(self.terms.contributions)
        for bad in (np.isnan(sizes), np.isinf(sizes)):
            if bad.any():
                return int(bad.argmax())
        return int(sizes.argmax()) if sizes.size and sizes.max() > 0 else None

    def blame(self) -> Culprit | None:
        """Return the first number that entered and is NaN, else infinite; None if all are finite.

        Of a maximum, that is the deciding cell or none.
        """
        terms = self.terms
        bad = ~np.isfinite(terms.contributions)
        if self.kind == "max":
            bad &= np.arange(bad.size) == self.decisive
        numbers = np.flatnonzero(bad)
        beside = [(source, np.arange(source.values.size)) for source in self.sources]
        in_terms = [(operand, numbers) for operand in terms.operands]
        if terms.derived:
            return _first_bad(beside, False) or _first_bad(in_terms, True)
        for is_bad in (np.isnan, np.isinf):
            for group, is_term in ((in_terms, True), (beside, False)):
                found = _first_bad(group, is_term, (is_bad,))
                if found is not None:
                    return found
        return None

    @property
    def culprit(self) -> Culprit | None:
        """What made this number NaN or infinite; None if it is finite, or all that entered is."""
        return None if np.isfinite(self.stored) else self.blame()


def _first_bad(
    group: Sequence[tuple[Operand, Array]],
    in_terms: bool,
    kinds: Sequence[Callable[[Array], Array]] = (np.isnan, np.isinf),
) -> Culprit | None:
    """Return the first of some values of operands that is bad in the first way that occurs."""
    for is_bad in kinds:
        places = [(operand, numbers[is_bad(operand.values[numbers])]) for operand, numbers in group]
        firsts = [(int(bad[0]), operand) for operand, bad in places if bad.size]
        if firsts:
            # Of terms, the earliest; of what enters beside them, the order in which it is listed.
            number, operand = min(firsts, key=lambda one: one[0]) if in_terms else firsts[0]
            where = operand.index_of(number)
            return Culprit(
                operand.tensor_of(number),
                () if where is None else where,
                float(operand.values[number]),
                number if in_terms else None,
            )
    return None
