"""How places are worded: one spelling for the stack, the window, the timeline and the terminal.

Everything is counted from 0, as in `Position`, in indices and in conditions. A total follows as
"of": ``term 45 of 150`` is the 46th. No other module words a place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.debug.inspector import Inspector
    from engine.debug.navigation import Inside
    from engine.debug.position import Position
    from engine.explanation import Explanation

Words = tuple[str, str]
"""What it is and how many there are: ``("channel 5", "of 16")``."""


def batch_words(epoch: int, batch: int) -> str:
    """Return ``epoch 42 · batch 590``."""
    return f"epoch {epoch} · batch {batch}"


def size_words(shape: tuple[int, ...]) -> str:
    """Return ``16×10×10``."""
    return "×".join(map(str, shape))


def channel_words(inside: Inside, position: Position) -> Words:
    """Return the channel, unit, kernel or element that a position inside an operation lies in."""
    result = inside.result_of(position)
    shape, per_sample = inside.shapes[result], result in inside.per_sample
    if len(shape) == 1:
        if shape[0] == 1:
            return "value", ""
        return f"{'sample' if per_sample else 'element'} {position.channel}", f"of {shape[0]}"
    if per_sample:
        return f"{'channel' if len(shape) > 2 else 'unit'} {position.channel}", f"of {shape[1]}"
    kind = "kernel" if len(shape) > 2 else "weight"
    return f"{kind} ({position.sample}, {position.channel})", f"of {size_words(shape[:2])}"


def pixel_words(inside: Inside, position: Position) -> Words:
    """Return the pixel of a channel, or the weight of a kernel, that a position lies in."""
    result = inside.result_of(position)
    rest = inside.shapes[result][2:]
    places = [i for i in (position.y, position.x) if i is not None]
    names = ("pixel", "position") if result in inside.per_sample else ("weight", "weight")
    kind = names[len(rest) < 2]
    return f"{kind} ({', '.join(map(str, places))})", f"of {size_words(rest)}"


def term_words(explanation: Explanation, term: int) -> Words:
    """Return the term of an element, or what comes after its terms."""
    count = len(explanation.terms)
    if term < count:
        return f"term {term}", f"of {count}"
    if count:
        return "result", f"after {count} terms"
    return f"stage {term}", f"of {len(explanation.stages)}"


def inner_words(session: Inspector, position: Position) -> list[Words]:
    """Return what a position lies in inside its operation, from the result down to the term."""
    if position.level == "operation":
        return []
    inside = session.inside(session.operation(position))
    found: list[Words] = []
    if position.tensor is not None:
        found.append((position.tensor, size_words(inside.shapes[position.tensor])))
    if position.channel is not None:
        found.append(channel_words(inside, position))
    if position.y is not None or position.x is not None:
        found.append(pixel_words(inside, position))
    if position.term is not None:
        explanation = session.explain_at(position)
        found.append(term_words(explanation, position.term))
    return found


def place_words(session: Inspector, position: Position | None = None, batch: bool = True) -> str:
    """Return a place of a session in one line, the current one by default.

    For example ``epoch 0 · batch 3 · backward · conv2 · weight.gradient · kernel (3, 2)``; only
    terms say how many there are, because nobody knows that by heart. Epoch and batch are left out
    where there are none, or if they are not asked for.
    """
    at = position or session.position
    if session.at_end and at == session.position:
        return "the end of the run"
    # The loss computes the loss: that is said once.
    parts = list(dict.fromkeys((at.phase, session.operation(at).layer)))
    if batch and session.scheduler is not None:
        parts.insert(0, batch_words(at.epoch, at.batch))
    inner = inner_words(session, at)
    parts += [title for title, _ in inner]
    if at.term is not None:
        parts[-1] += f" {inner[-1][1]}"
    return " · ".join(parts)
