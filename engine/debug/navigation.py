"""The tree of positions inside an operation: results, channels, pixels, terms. Pure functions.

Every level has an order of siblings; stepping is walking this tree. Activations are walked for one
sample; parameters and their gradients are walked whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engine.debug.position import Position
from engine.typing import Index, Shape

TermCount = Callable[[Position], int]
"""How many terms the element at a position has."""


@dataclass(frozen=True)
class Inside:
    """What can be stepped into inside one operation.

    Parameters
    ----------
    shapes : dict of str to Shape
        Full shape of every result, with batch axis where it has one, in stepping order.
    per_sample : frozenset of str
        The results whose first axis is the sample.
    sample : int
        The sample that is walked.
    terms : callable
        Number of terms of an element; asked for only when needed.
    """

    shapes: dict[str, Shape]
    per_sample: frozenset[str]
    sample: int
    terms: TermCount

    @property
    def results(self) -> list[str]:
        """Names of the results in stepping order."""
        return list(self.shapes)

    def result_of(self, position: Position) -> str:
        """Return the result a position lies in; the only one if it names none."""
        return position.tensor or self.results[0]

    def channels(self, result: str) -> int:
        """Return how many siblings the channel level has."""
        shape = self.shapes[result]
        axes = shape[1:2] if result in self.per_sample else shape[:2]
        return int(np.prod(axes, dtype=np.int64))

    def pixels(self, result: str) -> int:
        """Return how many siblings the pixel level has; 0 if there is no such level."""
        rest = self.shapes[result][2:]
        return int(np.prod(rest, dtype=np.int64)) if rest else 0

    def at_channel(self, base: Position, result: str, number: int) -> Position:
        """Return the position of a channel by its number."""
        shape = self.shapes[result]
        tensor = result if len(self.shapes) > 1 else None
        place = replace(base.at_operation(), tensor=tensor)
        if result in self.per_sample:
            return replace(place, sample=min(self.sample, shape[0] - 1), channel=number)
        if len(shape) == 1:
            return replace(place, channel=number)
        return replace(place, sample=number // shape[1], channel=number % shape[1])

    def channel_number(self, position: Position) -> int:
        """Return the number of the channel a position lies in."""
        result = self.result_of(position)
        channel = position.channel or 0
        if result in self.per_sample or len(self.shapes[result]) == 1:
            return channel
        return (position.sample or 0) * self.shapes[result][1] + channel

    def at_pixel(self, channel: Position, number: int) -> Position:
        """Return the position of a pixel by its number within a channel."""
        rest = self.shapes[self.result_of(channel)][2:]
        if len(rest) == 1:
            return replace(channel, y=None, x=number, term=None)
        return replace(channel, y=number // rest[1], x=number % rest[1], term=None)

    def pixel_number(self, position: Position) -> int:
        """Return the number of the pixel a position lies in."""
        rest = self.shapes[self.result_of(position)][2:]
        return (position.y or 0) * (rest[1] if len(rest) > 1 else 0) + (position.x or 0)

    def channel_of(self, position: Position) -> Position:
        """Return the channel a position lies in."""
        return replace(position, y=None, x=None, term=None)

    def at_index(self, base: Position, result: str, index: Index) -> Position:
        """Return the position of an element by its index in the result."""
        tensor = result if len(self.shapes) > 1 else None
        place = replace(base.at_operation(), tensor=tensor)
        if len(index) == 1:
            return replace(place, channel=index[0])
        place = replace(place, sample=index[0], channel=index[1])
        if len(index) == 3:
            return replace(place, x=index[2])
        return replace(place, y=index[2], x=index[3]) if len(index) == 4 else place

    # -- siblings, children, parents ---------------------------------------------------------

    def first_child(self, position: Position) -> Position | None:
        """Return the first position one level down, or None at a leaf."""
        level = position.level
        if level == "operation":
            if not self.shapes:
                return None
            if len(self.shapes) > 1:
                return replace(position, tensor=self.results[0])
            return self.at_channel(position, self.results[0], 0)
        if level == "tensor":
            return self.at_channel(position, self.result_of(position), 0)
        if level == "channel" and self.pixels(self.result_of(position)):
            return self.at_pixel(position, 0)
        if level in ("channel", "pixel") and self.terms(position):
            return position.at_term(0)
        return None

    def sibling(self, position: Position, distance: int) -> Position | None:
        """Return the sibling `distance` places on within the parent, or None beyond its ends."""
        level, result = position.level, self.result_of(position) if self.shapes else ""
        if level == "term":
            number = (position.term or 0) + distance
            return position.at_term(number) if 0 <= number < self.terms(position) else None
        if level == "pixel":
            number = self.pixel_number(position) + distance
            return self.at_pixel(position, number) if 0 <= number < self.pixels(result) else None
        if level == "channel":
            number = self.channel_number(position) + distance
            inside = 0 <= number < self.channels(result)
            return self.at_channel(position, result, number) if inside else None
        if level == "tensor":
            number = self.results.index(result) + distance
            inside = 0 <= number < len(self.shapes)
            return replace(position, tensor=self.results[number]) if inside else None
        return None

    def parent(self, position: Position) -> Position:
        """Return the position one level up."""
        level = position.level
        if level == "term":
            return position.at_term(None)
        if level == "pixel":
            return self.channel_of(position)
        if level == "channel" and len(self.shapes) > 1:
            return replace(position.at_operation(), tensor=self.result_of(position))
        return position.at_operation()

    def after(self, position: Position) -> Position | None:
        """Return what comes next at this level, or at a higher one; None: the next operation."""
        while position.level != "operation":
            following = self.sibling(position, 1)
            if following is not None:
                return following
            position = self.parent(position)
        return None

    def before(self, position: Position) -> Position | None:
        """Return the sibling before, or the parent's; None: the operation before."""
        while position.level != "operation":
            previous = self.sibling(position, -1)
            if previous is not None:
                return previous
            position = self.parent(position)
            if position.level == "operation":
                return position
        return None
