"""Pieces from which ops put their explanations together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.device import replay
from engine.errors import StateError
from engine.explanation import Culprit, Explanation, Kind, Operand, Patch, Stage, Terms, no_terms
from engine.kernels.scalar import CHUNKS, chunk_start
from engine.ops.base import View, phase_of
from engine.typing import Array, Index, Scalar


def number(value: float | Scalar) -> str:
    """Return a number for a sentence: four significant digits, with a true minus sign."""
    return f"{float(value):.4g}".replace("-", "\N{MINUS SIGN}")


def place(tensor: str, index: Sequence[int]) -> str:
    """Return ``conv2.output[0, 5, 7, 4]``; a number that has no axes is named alone."""
    return f"{tensor}[{', '.join(str(int(i)) for i in index)}]" if len(index) else tensor


def finish(
    view: View,
    result: str,
    index: Index,
    *,
    kind: Kind,
    formula: str,
    order: str,
    value: Any,
    sentence: str,
    terms: Terms | None = None,
    stages: tuple[Stage, ...] = (),
    patches: tuple[Patch, ...] = (),
    decisive: int | None = None,
    notes: tuple[str, ...] = (),
    sources: Sequence[Operand] = (),
) -> Explanation:
    """Put an explanation together and look up the stored number to compare with.

    The sentence is that of a finite number; of another one, `retold` says what made it so.
    """
    array = view.array(result)
    stored: Scalar = array[index]
    explanation = Explanation(
        layer=view.layer,
        phase=phase_of(result),
        tensor=view.tensor_name(result),
        index=index,
        kind=kind,
        formula=formula,
        order=order,
        terms=no_terms() if terms is None else terms,
        stages=stages,
        value=stored.dtype.type(value),
        stored=stored,
        patches=patches,
        decisive=decisive,
        sentence=sentence,
        notes=notes,
        sources=tuple(sources),
    )
    return retold(explanation)


def retold(explanation: Explanation) -> Explanation:
    """Return an explanation whose sentence, if the number is NaN or infinite, says why."""
    if np.isfinite(explanation.stored):
        return explanation
    culprit = explanation.culprit
    name = place(explanation.tensor, explanation.index)
    start = f"{name} is {number(explanation.stored)}"
    if culprit is None:
        which, text = _overflow(explanation)
        return replace(explanation, sentence=f"{start}: {text}.", decisive=which)
    if culprit.term is None:
        where = place(culprit.tensor, culprit.index)
        return replace(
            explanation,
            sentence=f"{start}, because {where} is {number(culprit.value)}.",
            decisive=None,
        )
    text = _bad_term(explanation, culprit, culprit.term)
    return replace(explanation, sentence=f"{start}. {text}", decisive=culprit.term)


def _bad_term(explanation: Explanation, culprit: Culprit, which: int) -> str:
    """Name the term that is NaN or infinite, and the operand that is."""
    terms = explanation.terms
    term, where = terms[which], place(culprit.tensor, culprit.index)
    count = len(terms)
    if explanation.kind == "max":
        return f"Cell {which} of {count} decides: {where} is {number(culprit.value)}."
    start = f"The strongest of its {count} terms is number {which}: "
    if len(term.values) == 1:
        return f"{start}{where} = {number(culprit.value)}."
    values = " × ".join(number(v) for v in term.values)
    return f"{start}{values} = {number(term.contribution)}, because {where} is so."


def _overflow(explanation: Explanation) -> tuple[int | None, str]:
    """Say at which step a number left the range of its dtype though all that entered is finite.

    Returns
    -------
    term : int or None
        The number of the term, if it is one.
    text : str
    """
    terms, kind = explanation.terms, explanation.stored.dtype
    start = "all that enters it is finite, but"
    range_text = f"the range of {kind}, which ends at {number(np.finfo(kind).max)}"
    bad = np.flatnonzero(~np.isfinite(terms.totals))
    if bad.size:
        term = terms[int(bad[0])]
        values = " × ".join(number(v) for v in term.values)
        product = f" = {number(term.contribution)}" if len(term.values) > 1 else ""
        which = f"term {term.number} of {len(terms)}"
        return term.number, f"{start} {which}, {values}{product}, leaves {range_text}"
    steps = [stage for stage in explanation.stages if not np.isfinite(stage.value)]
    if not steps:
        return None, f"{start} it leaves {range_text}"
    first = steps[0]
    formula = f" ({first.formula})" if first.formula else ""
    label = first.label.removeprefix("= ").removeprefix("+ ")
    reason = "there is no such number" if np.isnan(first.value) else f"outside {range_text}"
    return None, f"{start} the {label}{formula} is {number(first.value)}, {reason}"


def standing(view: View, name: str, *places: Index) -> Operand:
    """Return numbers that enter besides the terms, as an operand, by the places they stand at.

    A parameter or moment as it was before an update bears its own name.
    """
    array = view.array(name)
    values = np.array([array[where] for where in places], array.dtype)
    indices = np.array(places, np.int64).reshape(len(places), -1)
    return Operand(view.tensor_name(name).removesuffix(".before"), values, indices)


def gather(view: View, name: str, indices: Array, used: Array | None = None) -> Operand:
    """Return an operand: values of tensor `name` at `indices` (terms, rank), 0 where not `used`."""
    array = view.array(name)
    if used is None:
        values = array[tuple(indices.T)]
        return Operand(view.tensor_name(name), np.ascontiguousarray(values), indices)
    safe = np.where(used[:, None], indices, 0)
    values = np.where(used, array[tuple(safe.T)], array.dtype.type(0))
    shown = np.where(used[:, None], indices, -1)
    return Operand(view.tensor_name(name), np.ascontiguousarray(values), shown)


def product_terms(
    left: Operand, right: Operand, used: Array | None = None, starts: tuple[int, ...] = (0,)
) -> Terms:
    """Return the terms of a sum of products, replayed with fused multiply-adds.

    Terms that are not `used` are never carried out, so they bring 0 even where an operand is NaN.
    """
    with np.errstate(all="ignore"):
        contributions = left.values * right.values
    if used is not None:
        contributions = np.where(used, contributions, contributions.dtype.type(0))
    totals = replay.products(left.values, right.values, used, starts)
    return Terms((left, right), contributions, totals, starts)


def sum_terms(operand: Operand, starts: tuple[int, ...] = (0,)) -> Terms:
    """Return the terms of a plain sum."""
    return Terms((operand,), operand.values, replay.sums(operand.values, starts), starts)


def accumulated(values: Array) -> Array:
    """Return the running totals of values that start from the first one.

    Unlike `replay.sums`, which starts from +0: where the engine copies the first value and adds the
    others, -0 + -0 has to stay -0.
    """
    with np.errstate(all="ignore"):
        totals: Array = np.add.accumulate(values)
    return totals


def chunked(samples: int, per_sample: int) -> tuple[int, ...]:
    """Return at which term each chunk of the batch starts."""
    return tuple(chunk_start(chunk, samples) * per_sample for chunk in range(CHUNKS))


def add_chunks(terms: Terms, zero: Scalar) -> tuple[Scalar, Stage]:
    """Add the totals of the chunks in order; return the sum and a stage that shows it."""
    ends = [*terms.chunk_starts[1:], len(terms)]
    parts = [
        terms.totals[end - 1] if end > start else zero
        for start, end in zip(terms.chunk_starts, ends, strict=True)
    ]
    total = replay.sums(np.array(parts, zero.dtype))[-1]
    full = " + ".join(
        number(float(p)) for p, s, e in zip(parts, terms.chunk_starts, ends, strict=True) if e > s
    )
    return total, Stage("sum of chunks", float(total), full)


def last(terms: Terms, zero: Scalar) -> Scalar:
    """Return the total after the last term, or zero if there is none."""
    result: Scalar = terms.totals[-1] if len(terms) else zero
    return result


def zero_of(view: View, result: str) -> Scalar:
    """Return 0 in the dtype of a result."""
    zero: Scalar = view.array(result).dtype.type(0)
    return zero


def elementwise(
    view: View,
    result: str,
    index: Index,
    sources: Sequence[tuple[str, str, Index]],
    steps: Sequence[tuple[str, Any, str]],
    formula: str,
    behind: Sequence[Operand] = (),
) -> Explanation:
    """Explain a number that depends on a few others at known places.

    Parameters
    ----------
    sources : sequence of (label, tensor, index)
    steps : sequence of (label, value, formula)
        The computation; the last value is the result.
    behind : sequence of Operand
        What enters through an op's own memory (``saved.NAME``) or otherwise without a place above.
    """
    stages = [
        Stage(label, float(view.array(name)[where]), place(view.tensor_name(name), where))
        for label, name, where in sources
    ]
    stages += [Stage(label, float(value), text) for label, value, text in steps]
    value = steps[-1][1]
    inputs = ", ".join(f"{stage.label} = {number(stage.value)}" for stage in stages[: len(sources)])
    return finish(
        view,
        result,
        index,
        kind="map",
        formula=formula,
        order="one element, no sum",
        value=value,
        stages=tuple(stages),
        sentence=f"{place(view.tensor_name(result), index)} is {number(value)}: {formula}, "
        f"with {inputs}.",
        sources=(
            *(standing(view, name, where) for _, name, where in sources if not own(name)),
            *behind,
        ),
    )


def own(name: str) -> bool:
    """Return whether a tensor is an op's own memory: it only passes on what was read."""
    return name.startswith("saved.")


def strongest(terms: Terms) -> str:
    """Say which term moved a finite sum most; of others, `retold` speaks."""
    if not len(terms):
        return "Nothing reaches it, so it is 0."
    sizes = np.abs(terms.contributions)
    best = int(sizes.argmax())
    if not sizes[best] > 0:
        return f"All {len(terms)} products are 0."
    term = terms[best]
    values = " × ".join(number(v) for v in term.values)
    where = term.indices[0]
    name = "" if where is None else f"{place(term.tensors[0], where)}, "
    return (
        f"The strongest of its {len(terms)} terms is number {best}: "
        f"{name}{values} = {number(term.contribution)}."
    )


def unknown_result(view: View, result: str) -> StateError:
    """Return the error for a result that an op does not have."""
    return StateError(
        f"{view.layer}: nothing is known of {result!r} here; explain output or a gradient"
    )
