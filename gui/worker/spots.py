"""Where a bad number is: the element that a condition has found, and its bad term."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gui.models.layout import Array

if TYPE_CHECKING:
    from engine.debug import Position, Session, Stop
    from engine.explanation import Explanation
    from engine.program import Operation


@dataclass(frozen=True, slots=True)
class Spot:
    """An element to be shown as long as the cursor stands at a position.

    Parameters
    ----------
    position : Position
        At the element's bad term if it has one; at its operation if it cannot be stepped into.
    layer, tensor, index
        The element; the index is empty if it is the operation as a whole.
    bad : bool
        Whether the element is NaN or Inf.
    """

    position: Position
    layer: str
    tensor: str
    index: tuple[int, ...]
    bad: bool


def find_spot(session: Session, stop: Stop, batches: int) -> Spot | None:
    """Return the element that a condition found; None if a plain breakpoint has stopped the run.

    Parameters
    ----------
    session : Session
        Right behind the operation that ran last. It is moved: the caller goes to the spot.
    stop : Stop
    batches : int
        In an epoch; 0 for a forward pass.
    """
    here = session.operation(stop.position)
    plain = any(b.enabled and b.when is None and b.covers(here) for b in session.breakpoints)
    if stop.origin is None and plain:
        return None
    place = _before(session, stop.position, batches)
    if place is None:
        return None
    session.run_to(place)
    row = session.operation()
    with session.ahead():
        found = _first_bad(session, row)
        bad = found is not None
        if found is None and stop.origin is not None:
            found = next(
                (
                    (r, stop.origin.index)
                    for r in row.results
                    if _name(row, r) == stop.origin.tensor
                ),
                None,
            )
        if found is None:
            found = _beside(session, row)
            bad = found is not None
        if found is None:
            return Spot(place, row.layer, row.results[0], (), False)
        result, index = found
        if row.phase == "load" or not index:
            return Spot(place, row.layer, result, index, bad)
        why = session.explain(layer=row.layer, tensor=result, index=index)
    inner = session.inside(row).at_index(place, result, index)
    term = bad_term(why) if bad else None
    if term is None and bad:
        term = len(why.terms) if why.terms and why.stages else None
    return Spot(inner.at_term(term), row.layer, result, index, bad)


def bad_term(explanation: Explanation) -> int | None:
    """Return the first term, or stage where there are no terms, that is NaN or Inf."""
    terms = explanation.terms
    if not len(terms):
        values: Array = np.array([stage.value for stage in explanation.stages])
    else:
        values = np.asarray(terms.contributions, np.float64)
        for operand in terms.operands:
            values = np.where(np.isfinite(operand.values), values, np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    return int(bad[0]) if bad.size else None


def _name(row: Operation, result: str) -> str:
    return row.layer if row.phase == "load" else f"{row.layer}.{result}"


def _first_bad(session: Session, row: Operation) -> tuple[str, tuple[int, ...]] | None:
    for result in row.results:
        bad: Any = np.argwhere(~np.isfinite(session.program.read(_name(row, result))))
        if len(bad):
            return result, tuple(int(i) for i in bad[0])
    return None


def _beside(session: Session, row: Operation) -> tuple[str, tuple[int, ...]] | None:
    """Return the element whose moment is bad while it is in order itself, or a bad statistic."""
    for name, array in session.aside(row).items():
        bad: Any = np.argwhere(~np.isfinite(array))
        if len(bad):
            parts = name.split(".")
            result = parts[-2] if row.phase == "update" and len(parts) > 2 else row.results[0]
            index = tuple(int(i) for i in bad[0]) if row.phase == "update" else ()
            return result, index
    return None


def _before(session: Session, position: Position, batches: int) -> Position | None:
    """Return the operation before a position, in the batch before if need be."""
    rows = session.program.operations
    place = position.at_operation()
    if place.operation > 0:
        row = rows[place.operation - 1]
    elif batches and (place.epoch, place.batch) > (0, 0):
        epoch, batch = (
            (place.epoch, place.batch - 1) if place.batch else (place.epoch - 1, batches - 1)
        )
        row, place = rows[-1], replace(place, epoch=epoch, batch=batch)
    else:
        row, place = rows[-1], replace(place, batch=0)
    return replace(place, phase=row.phase, operation=row.index)
