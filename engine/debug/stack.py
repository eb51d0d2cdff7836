"""The call stack: run, batch, phases, operations, and the element inside the current one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.debug.position import Position
from engine.debug.wording import batch_words, inner_words, size_words
from engine.typing import PHASES

if TYPE_CHECKING:
    from engine.debug.inspector import Inspector
    from engine.program import Operation

FrameState = Literal["done", "current", "waiting"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of the call stack.

    Parameters
    ----------
    title, detail : str
    state : {"done", "current", "waiting"}
        `current` for everything the position lies in.
    depth : int
        Indentation.
    position : Position or None
        Where "run to here" goes.
    """

    title: str
    detail: str
    state: FrameState
    depth: int
    position: Position | None


def frames(session: Inspector) -> list[Frame]:
    """Return the call stack of a session, outer frames first; every phase lists its operations."""
    at = session.position
    size = len(session.batch_x)
    samples = f"{size} sample{'s' if size != 1 else ''}"
    if session.scheduler is None:
        result = [Frame("forward pass", samples, "done" if session.at_end else "current", 0, None)]
    else:
        result = [
            Frame(
                "run",
                f"seed {session.model.seed}",
                "done" if session.at_end else "current",
                0,
                None,
            ),
            Frame(
                batch_words(at.epoch, at.batch),
                samples,
                "current",
                1,
                Position(at.epoch, at.batch, "load", 0),
            ),
        ]
    depth = result[-1].depth + 1
    for phase in PHASES:
        operations = [op for op in session.program.operations if op.phase == phase]
        if not operations:
            continue
        state = _state(session, operations[0].index, operations[-1].index)
        first = Position(at.epoch, at.batch, phase, operations[0].index)
        if phase in ("load", "loss") and len(operations) == 1 and at.level == "operation":
            result.append(Frame(phase, operations[0].kind, state, depth, first))
            continue
        detail = f"{len(operations)} operation{'s' if len(operations) != 1 else ''}"
        result.append(Frame(phase, detail, state, depth, first))
        for operation in operations:
            result += _operation(session, operation, depth + 1)
    return result


def _state(session: Inspector, first: int, last: int) -> FrameState:
    number = session.position.operation
    if session.at_end or number > last:
        return "done"
    return "current" if number >= first else "waiting"


def _operation(session: Inspector, operation: Operation, depth: int) -> list[Frame]:
    """Return the frame of an operation and, if it is the current one, those inside it."""
    at = session.position
    place = Position(at.epoch, at.batch, operation.phase, operation.index)
    state = _state(session, operation.index, operation.index)
    result = [Frame(operation.layer, _detail(session, operation), state, depth, place)]
    if state != "current" or at.level == "operation":
        return result
    inside = session.inside(operation)
    places: list[Position | None] = [None] if at.tensor is not None else []
    if at.channel is not None:
        places.append(inside.channel_of(at))
    if at.y is not None or at.x is not None:
        places.append(at.at_term(None))
    if at.term is not None:
        places.append(at)
    for (title, size), inner in zip(inner_words(session, at), places, strict=True):
        result.append(Frame(title, size, "current", result[-1].depth + 1, inner))
    return result


def _detail(session: Inspector, operation: Operation) -> str:
    if operation.phase in ("load", "forward"):
        return size_words(session.model.node(operation.layer).output_shape)
    if operation.phase == "loss" or operation.layer == "loss":
        return operation.kind
    return ", ".join(result.removesuffix(".gradient") for result in operation.results)
