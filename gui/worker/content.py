"""From an explanation of the engine to what the window view and the text panel show.

Nothing here asks which kind of layer it was: terms, stages and patches say everything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gui.models.layout import Array
from gui.models.snapshot import Cursor, Words
from gui.widgets.numbers import compact, format_number
from gui.widgets.window_content import (
    ActivationPlot,
    GridStack,
    OutputMap,
    StageLine,
    WindowContent,
)
from gui.worker.spots import bad_term

if TYPE_CHECKING:
    from engine.explanation import Explanation, Operand

CURVE_POINTS = 81


def index_text(index: tuple[int, ...]) -> str:
    """Return ``[5, 7, 4]``."""
    return f"[{', '.join(str(i) for i in index)}]"


def element_title(explanation: Explanation) -> str:
    """Return the short name of the element: outputs without their sample, others in full."""
    output = explanation.tensor == f"{explanation.layer}.output"
    index = explanation.index[1:] if output and len(explanation.index) > 1 else explanation.index
    return f"{explanation.layer if output else explanation.tensor}{index_text(index)}"


def _labeller(operand: Operand) -> Callable[[int], str]:
    """Return a function that names the place of a term's factor; labels are made when drawn."""
    indices = operand.indices
    batched = operand.tensor.endswith((".output", "input", ".grad_output", ".input.gradient"))

    def label(term: int) -> str:
        if not 0 <= term < len(indices):
            return ""
        place = indices[term]
        if place.size == 0 or int(place.min()) < 0:
            return "pad"
        return index_text(
            tuple(int(i) for i in (place[1:] if batched and place.size > 1 else place))
        )

    return label


@lru_cache(maxsize=64)
def _curve(op: Any, bound: float) -> tuple[Array, Array]:
    xs = np.linspace(-bound, bound, CURVE_POINTS)
    return xs, np.array([float(op.curve(np.float64(x))) for x in xs])


def activation_plot(name: str, op: Any, x: float) -> ActivationPlot | None:
    """Return the plot of an activation and the point at `x`; None if it is no function of one x."""
    if not hasattr(op, "curve") or not np.isfinite(x):
        return None
    bound = float(2.0 ** np.ceil(np.log2(max(abs(x) * 1.25, 1.0))))
    xs, ys = _curve(op, bound)
    return ActivationPlot(name, x, float(op.curve(np.float64(x))), xs, ys)


def window_content(
    explanation: Explanation,
    cursor_term: int | None,
    activation: ActivationPlot | None,
    output: OutputMap | None,
) -> WindowContent:
    """Return what the window view draws.

    Parameters
    ----------
    explanation : Explanation
    cursor_term : int or None
        The next term to execute; values from the number of terms on point into the stages.
    activation : ActivationPlot or None
        The function that is, or will be, applied to the number.
    output : OutputMap or None
    """
    terms = explanation.terms
    count = len(terms)
    stage = None
    if cursor_term is not None and cursor_term >= count:
        stage, cursor_term = cursor_term - count, None
        stage = stage if stage < len(explanation.stages) else None
    notes = list(explanation.notes)
    if not explanation.exact:
        notes.insert(0, "Replayed and stored value differ: " + ulp_text(explanation))
    return WindowContent(
        title=element_title(explanation),
        formula=f"= {explanation.formula}" if explanation.formula else "",
        order_text=explanation.order,
        exact=explanation.exact,
        kind=explanation.kind,
        patches=tuple(
            GridStack(
                patch.role,
                patch.tensor,
                patch.values,
                patch.channels,
                patch.rows,
                patch.columns,
                patch.inside,
                patch.terms,
            )
            for patch in explanation.patches
        ),
        operand_values=tuple(operand.values for operand in terms.operands),
        operand_labels=tuple(_labeller(operand) for operand in terms.operands),
        contributions=terms.contributions,
        totals=terms.totals,
        chunk_starts=terms.chunk_starts,
        cursor_term=cursor_term,
        stages=tuple(StageLine(s.label, s.value, s.formula) for s in explanation.stages),
        result=float(explanation.value),
        activation=activation,
        decisive=explanation.decisive,
        output=output,
        note=" ".join(notes),
        stage_cursor=stage,
    )


def ulp_text(explanation: Explanation) -> str:
    """Return how far replayed and stored value are apart, in units in the last place."""
    value, stored = float(explanation.value), float(explanation.stored)
    unit = float(np.spacing(np.abs(explanation.stored)))
    if not (np.isfinite(value) and np.isfinite(stored)) or unit == 0:
        return f"{value} and {stored}."
    return f"{abs(value - stored) / unit:.0f} ulp."


def value_content(title: str, value: Any, origin: str, output: OutputMap | None) -> WindowContent:
    """Return what the window view draws of a number that no sum has made: a loaded one.

    Parameters
    ----------
    title : str
    value : numpy scalar
    origin : str
        Where it comes from, in a few words.
    output : OutputMap or None
    """
    return WindowContent(
        title=title,
        exact=None,
        kind="map",
        stages=(StageLine("value", float(value)),),
        result=float(value),
        output=output,
        note=f"{origin[0].upper()}{origin[1:]}.",
    )


def words(explanation: Explanation, cursor: Cursor | None, notes: tuple[str, ...] = ()) -> Words:
    """Return the explanation as sentences."""
    sentences = [explanation.sentence] if explanation.sentence else []
    bad = bad_term(explanation) if len(explanation.terms) else None
    if bad is not None and f"number {bad}" not in explanation.sentence:
        term = explanation.terms[bad]
        numbers = " × ".join(format_number(value) for value in term.values)
        place = term_text(explanation, bad).capitalize()
        sentences.append(
            f"{place} is the first that is no number: {numbers}; no total after it is one."
        )
    if explanation.formula and explanation.kind != "map":
        sentences.append(f"Rule: {explanation.formula}. Order: {explanation.order}.")
    return Words(
        heading=element_title(explanation),
        value=compact(float(explanation.value), 4),
        sentences=tuple(sentences),
        notes=(*explanation.notes, *notes),
        next_step=next_step(explanation, cursor),
    )


def value_words(title: str, value: Any, origin: str, cursor: Cursor | None) -> Words:
    """Return sentences about a number that no sum has made."""
    text = compact(float(value), 6)
    return Words(title, text, (f"{title} is {text}: {origin}.",), (), next_step(None, cursor))


def missing_words(title: str, phase: str, cursor: Cursor | None) -> Words:
    """Return sentences about a tensor that this batch has not computed yet."""
    sentence = f"{title} is not computed yet: the {phase} phase of this step brings it."
    return Words(title, "", (sentence,), (), next_step(None, cursor))


def next_step(explanation: Explanation | None, cursor: Cursor | None) -> str:
    """Return one sentence on what the next step does."""
    if cursor is None:
        return ""
    if cursor.finished:
        return "The pass is over. Alt+F10 goes one step back, Shift+F5 starts it again."
    here = explanation is not None and explanation.layer == cursor.layer
    if explanation is None or not here or cursor.term is None:
        return f"Next step: {cursor.words}."
    if cursor.term < len(explanation.terms):
        term = explanation.terms[cursor.term]
        numbers = " × ".join(format_number(value) for value in term.values)
        return f"Next step: {term_text(explanation, cursor.term)}, {numbers}."
    stage = cursor.term - len(explanation.terms)
    if stage < len(explanation.stages):
        return f"Next step: {explanation.stages[stage].label}."
    return "Next step: the element is finished."


def term_text(explanation: Explanation, term: int) -> str:
    """Return ``term 45 of 150``."""
    from engine.debug.wording import term_words

    return " ".join(term_words(explanation, term))
