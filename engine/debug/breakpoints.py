"""Breakpoints: a place, a condition, a hit count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from engine import arguments
from engine.arguments import MOST_STEPS
from engine.debug.expressions import Expression
from engine.errors import ConfigurationError
from engine.ops.explaining import place
from engine.typing import PHASES, Index, Phase

if TYPE_CHECKING:
    from engine.debug.inspector import Inspector
    from engine.program import Operation


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a bad number comes from: a tensor and an index in it."""

    tensor: str
    index: Index


@dataclass(frozen=True, slots=True)
class Finding:
    """What a condition found: a sentence, and the culprit if it is one element."""

    message: str
    origin: Origin | None = None


Preset = Callable[["Inspector", "Operation"], Finding | None]


@dataclass(eq=False)
class Breakpoint:
    """One breakpoint.

    Parameters
    ----------
    number : int
    layer : str or None
        Any layer if None; ``"loss"`` is the loss.
    phase : Phase or None
    when : str or None
        A preset or an expression; it is checked after the operation, a bare place before it.
    hit_count : int
        Stop at this hit and at every later one.
    enabled : bool
    hits : int
        How often the place and the condition were met.
    """

    number: int
    layer: str | None = None
    phase: Phase | None = None
    when: str | None = None
    hit_count: int = 1
    enabled: bool = True
    hits: int = 0
    expression: Expression | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        arguments.whole("breakpoint number", self.number, 0)
        if self.layer is not None:
            arguments.text("breakpoint layer", self.layer, "the name of a layer")
        if self.phase is not None:
            arguments.choice("breakpoint phase", self.phase, PHASES)
        if self.when is not None:
            arguments.text("breakpoint when", self.when, "a condition such as conv1.output.max()>3")
        self.hit_count = arguments.whole("breakpoint hit_count", self.hit_count, 1, MOST_STEPS)
        self.enabled = arguments.flag("breakpoint enabled", self.enabled)
        self.hits = arguments.whole("breakpoint hits", self.hits, 0, MOST_STEPS)
        if self.layer is None and self.phase is None and self.when is None:
            raise ConfigurationError("breakpoint: expected a layer, a phase or a condition")
        if self.when is not None and self.when not in PRESETS:
            self.expression = Expression(self.when)

    def covers(self, operation: Operation) -> bool:
        """Return whether the breakpoint's place is this operation."""
        return self.layer in (None, operation.layer) and self.phase in (None, operation.phase)

    def check(self, session: Inspector, operation: Operation) -> Finding | None:
        """Return what the condition finds after `operation` ran; None if it does not hold."""
        if self.when is None:
            return None
        if self.expression is None:
            return PRESETS[self.when](session, operation)
        computed = {f"{operation.layer}.{result}" for result in operation.results}
        computed |= {"loss"} if operation.phase == "loss" else set()
        computed |= {operation.layer} if operation.phase == "load" else set()
        figures = {"epoch", "batch", "step"} & set(
            self.expression.names
        ) and operation.phase == "load"
        mentioned = bool(computed & set(self.expression.names)) or bool(figures)
        placed = self.layer is not None or self.phase is not None
        if not (mentioned or placed):
            return None
        values = {name: session.figure(name) for name in self.expression.names}
        if any(value is None for value in values.values()):
            return None
        if not self.expression.holds(values.__getitem__):
            return None
        return Finding(f"{self.when} holds after {operation.layer} {operation.phase}")


# -- presets -----------------------------------------------------------------------------------


def any_nonfinite(session: Inspector, operation: Operation) -> Finding | None:
    """Find the first NaN or Inf that an operation has written, and the number it came from."""
    results = {
        operation.layer if operation.phase == "load" else f"{operation.layer}.{result}": result
        for result in operation.results
    }
    # What outlives the batch can go bad while all results are still in order.
    written = chain(
        ((name, session.program.read(name)) for name in results), session.aside(operation).items()
    )
    for name, array in written:
        bad = ~np.isfinite(array)
        if not bad.any():
            continue
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        result = results.get(name)
        if result is None and operation.phase == "update":  # a moment: its weight read the same
            result = name.split(".")[-2]
        origin = session.bad_operand(operation, result, index) if result else None
        origin = origin or Origin(name, index)
        text = f"{array[index]} in {place(name, index)}, {int(bad.sum())} bad of {array.size}"
        if origin.tensor != name:
            text += f"; it comes from {place(origin.tensor, origin.index)}"
        return Finding(f"{operation.layer} {operation.phase}: {text}", origin)
    return None


def loss_nonfinite(session: Inspector, operation: Operation) -> Finding | None:
    """Find a loss that is NaN or Inf."""
    if operation.phase != "loss":
        return None
    value = float(session.program.read("loss.output")[0])
    if np.isfinite(value):
        return None
    origin = session.bad_operand(operation, "output", (0,)) or Origin("loss.output", (0,))
    text = f"the loss is {value}"
    if origin.tensor != "loss.output":
        text += f"; it comes from {place(origin.tensor, origin.index)}"
    return Finding(text, origin)


def loss_spike(session: Inspector, operation: Operation) -> Finding | None:
    """Find a loss above three times the least one so far."""
    losses = [loss for loss in session.losses if np.isfinite(loss)]
    if operation.phase != "loss" or not losses:
        return None
    value, least = float(session.program.read("loss.output")[0]), min(losses)
    if not value > 3 * least:
        return None
    return Finding(
        f"the loss {value:.4g} is more than 3 times the least one so far, {least:.4g}",
        Origin("loss.output", (0,)),
    )


def dead_relu(session: Inspector, operation: Operation) -> Finding | None:
    """Find a ReLU of which more than half of the channels are zero for the whole batch."""
    if operation.phase != "forward" or operation.kind != "relu":
        return None
    output = session.program.read(f"{operation.layer}.output")
    axes = tuple(axis for axis in range(output.ndim) if axis != 1)
    dead = (output == 0).all(axis=axes)  # NaN is not dead, it is worse: `any_nonfinite` finds it
    if not dead.mean() > 0.5:
        return None
    first = int(np.flatnonzero(dead)[0])
    index = (0, first, *[0] * (output.ndim - 2))
    return Finding(
        f"{operation.layer}: {int(dead.sum())} of {dead.size} units are 0 for the whole batch",
        Origin(f"{operation.layer}.output", index),
    )


PRESETS: dict[str, Preset] = {
    "any_nonfinite": any_nonfinite,
    "loss_nonfinite": loss_nonfinite,
    "loss_spike": loss_spike,
    "dead_relu": dead_relu,
}
"""Conditions with a name of their own."""
