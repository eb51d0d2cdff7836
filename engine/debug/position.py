"""A place in a run: from the epoch down to one multiply-add."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from engine.typing import Index, Phase

Level = Literal["operation", "tensor", "channel", "pixel", "term"]
LEVELS: tuple[Level, ...] = ("operation", "tensor", "channel", "pixel", "term")


@dataclass(frozen=True, slots=True)
class Position:
    """The next thing to execute; fields below its level are None.

    Parameters
    ----------
    epoch, batch : int
        Both from 0; `batch` counts within the epoch.
    phase : Phase
    operation : int
        Row of `Program.operations`.
    sample, channel, y, x : int or None
        The element of the result: (n, c, y, x) for activations and their gradients; the four
        fields carry (o, i, ky, kx) where the result is a weight, and (out, in) or (element,) in
        `sample, channel` or `channel` for results of lower rank.
    term : int or None
        Number of the term in engine order.
    tensor : str or None
        Which result of the operation the element belongs to, for operations that have several
        (a backward pass yields gradients of input, weight and bias): ``"output"``,
        ``"input.gradient"``, ``"weight.gradient"``, ``"weight"`` ...
    """

    epoch: int
    batch: int
    phase: Phase
    operation: int
    sample: int | None = None
    channel: int | None = None
    y: int | None = None
    x: int | None = None
    term: int | None = None
    tensor: str | None = None

    @property
    def level(self) -> Level:
        """How deep the position is: operation, tensor, channel, pixel or term."""
        if self.term is not None:
            return "term"
        if self.y is not None or self.x is not None:
            return "pixel"
        if self.channel is not None:
            return "channel"
        return "operation" if self.tensor is None else "tensor"

    @property
    def index(self) -> Index:
        """The element's index in its tensor as far as it is known, in public axis order."""
        return tuple(i for i in (self.sample, self.channel, self.y, self.x) if i is not None)

    def at_operation(self) -> Position:
        """Return the operation this position lies in."""
        return Position(self.epoch, self.batch, self.phase, self.operation)

    def at_term(self, term: int | None) -> Position:
        """Return the same element at another term."""
        return replace(self, term=term)
