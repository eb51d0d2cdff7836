"""What a place of a session looks like in the terminal."""

from __future__ import annotations

import numpy as np
from rich.columns import Columns
from rich.table import Table
from rich.text import Text

from engine.commands.drawing import bar, picture_text
from engine.commands.explaining import (
    patch_grids,
    show_stages,
    terms_around,
    terms_table,
)
from engine.commands.output import Output, number, percent, shape_text, table
from engine.commands.runs import probabilities
from engine.debug import Session, Stop
from engine.debug.wording import place_words
from engine.errors import EngineError
from engine.program import Operation
from engine.typing import Array

MAPS_SHOWN = 4


def headline(session: Session) -> str:
    """Return where a session stands in one line: phase, layer, channel, pixel, term."""
    return place_words(session)


def statistics(array: Array) -> tuple[str, str, str, str]:
    """Return least, mean and greatest value, and the share of zeros."""
    values = np.asarray(array, np.float64)
    zeros = f"{100 * np.mean(values == 0):.0f} %"
    return number(values.min(), 3), number(values.mean(), 3), number(values.max(), 3), zeros


STATISTICS = ("min", "mean", "max", "zeros")


def operations_table(session: Session, operations: list[Operation]) -> Table:
    """Return a table of what operations computed; all of them have run in this batch.

    Forward operations are shown with their kind, the others with the names of their results.
    """
    by_kind = all(operation.phase in ("load", "forward", "loss") for operation in operations)
    is_backward = all(operation.phase == "backward" for operation in operations)
    what = "op" if by_kind else "gradient of" if is_backward else "result"
    columns = ("", "layer", what, "shape", *STATISTICS, "ms")
    made = table(columns, (), right=("", *STATISTICS, "ms"))
    for operation in operations:
        elapsed = session.timings.get((operation.phase, operation.layer))
        first = (str(operation.index), operation.layer)
        for result in operation.results:
            is_load = operation.phase == "load"
            name = operation.layer if is_load else f"{operation.layer}.{result}"
            array = session.program.read(name)
            what = operation.kind if by_kind else result.removesuffix(".gradient")
            spent = f"{elapsed:.2f}" if elapsed and first[0] else ""
            made.add_row(*first, what, shape_text(array.shape), *statistics(array), spent)
            first = ("", "")
    return made


def show_stop(session: Session, stop: Stop, out: Output) -> None:
    """Show where a session stands: what has run, the maps, the pixel, or the term."""
    out.line()
    out.line(headline(session), "bold reverse")
    if stop.message:
        out.line(stop.message, "yellow")
    level = session.position.level
    if session.at_end:
        show_prediction(session, out)
    elif level == "operation":
        _show_operation(session, out)
    elif level in ("tensor", "channel"):
        _show_result(session, out)
    else:
        _show_element(session, out)


def _show_operation(session: Session, out: Output) -> None:
    """Show the operation that ran last, and name the next one."""
    position = session.position
    operations = session.program.operations
    if position.operation:
        before = operations[position.operation - 1]
        out.show(operations_table(session, [before]))
        if before.phase in ("load", "forward"):
            _show_maps(session, before, out)
    following = operations[position.operation]
    results = ", ".join(following.results)
    out.line(f"next: {following.kind} {following.layer} → {results}", "dim")


def _show_maps(session: Session, operation: Operation, out: Output) -> None:
    name = operation.layer if operation.phase == "load" else f"{operation.layer}.output"
    array = session.program.read(name)[min(session.sample, session.program.batch - 1)]
    if array.ndim != 3:
        return
    drawn = [picture_text(one, out.console) for one in array[:MAPS_SHOWN]]
    width = out.console.width // (max(array.shape[2], 1) + 2)
    if width:
        out.show(Columns(drawn[:width], padding=(0, 2)))
    hidden = len(array) - min(len(drawn), max(width, 1))
    if hidden > 0:
        out.line(f"and {hidden} more channels", "dim")


def _show_result(session: Session, out: Output) -> None:
    """Show a result, or one channel of it."""
    operation, position = session.operation(), session.position
    result = session.result()
    array = session.program.read(f"{operation.layer}.{result}")
    shape, chosen = array.shape, array[position.index] if position.level == "channel" else array
    columns = ("result", "shape", *STATISTICS)
    row = (f"{operation.layer}.{result}", shape_text(shape), *statistics(chosen))
    out.show(table(columns, [row], right=columns[2:]))
    if np.ndim(chosen) == 2:
        out.show(picture_text(chosen, out.console))
        return
    explanation = session.explain_position()
    if explanation is not None:
        out.line(explanation.sentence)
        show_stages(explanation, out)


def _show_element(session: Session, out: Output) -> None:
    """Show one number, or the term of it that comes next."""
    explanation = session.explain_position()
    if explanation is None:
        return
    term = session.position.term
    if term is None:
        out.line(explanation.sentence)
        show_stages(explanation, out)
        return
    if term >= len(explanation.terms):  # what follows the sum, or a computation without one
        is_map = not len(explanation.terms)
        show_stages(explanation, out, term if is_map else None)
        return
    grids = patch_grids(explanation, term)
    if grids is not None:
        out.show(grids)
    out.show(terms_table(explanation, terms_around(explanation, term), term))
    out.line(f"{explanation.formula}; order: {explanation.order}", "dim")


def show_prediction(session: Session, out: Output) -> None:
    """Show the most probable classes of the sample, if the model tells classes apart."""
    model = session.model
    if len(model.outputs) != 1 or len(model.output_shape) != 1:
        return
    try:
        scores = session.program.read(model.node(model.outputs[0]).tensor)
    except EngineError:
        return
    share = probabilities(model, scores)[min(session.sample, len(scores) - 1)]
    best = np.argsort(-share, kind="stable")[:3]
    rows = [(str(k), percent(float(share[k])), Text(bar(float(share[k])))) for k in best]
    out.show(table(("class", "probability", ""), rows, right=("probability",)))


def show_stack(session: Session, out: Output) -> None:
    """Show the call stack around the current place."""
    marks = {"done": ("✓", "dim"), "current": ("▶", "bold"), "waiting": (" ", "")}
    frames = session.stack()
    inner = max((i for i, frame in enumerate(frames) if frame.state == "current"), default=0)
    for i, frame in enumerate(frames):
        is_near = frame.depth <= 1 or frame.state == "current" or abs(i - inner) <= 2
        if is_near:
            mark, style = marks[frame.state]
            out.line(f"{mark} {'  ' * frame.depth}{frame.title}  {frame.detail}", style)
