"""Stepper: the commands that move a position through a run, each with an exact inverse."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from engine import arguments
from engine.arguments import MOST_STEPS
from engine.debug.inspector import Inspector, Reason, Stop
from engine.debug.position import Position
from engine.debug.tape import Tape
from engine.errors import ConfigurationError, StateError, shown
from engine.scheduler import Scheduler
from engine.typing import Index

HISTORY = 100_000
"""Commands that can be undone one by one."""


class Stepper(Inspector):
    """Steps over, into, out and back.

    Parameters
    ----------
    tape : Tape
    scheduler : Scheduler or None

    Attributes
    ----------
    stop : Stop
        The latest one.
    picked : (layer, index) or None
        The element that stepping into its layer goes to.
    """

    def __init__(self, tape: Tape, scheduler: Scheduler | None) -> None:
        super().__init__(tape, scheduler)
        self.picked: tuple[str, Index] | None = None
        self._undo: deque[Position] = deque(maxlen=HISTORY)
        self.stop = Stop(self._position, "start")

    def _command(self, position: Position, reason: Reason = "step") -> Stop:
        """Carry out a stepping command that leads to `position`."""
        previous = self._position
        try:
            self._wind(position)
        except BaseException:
            self._wind(previous)
            raise
        if position != previous:
            self._undo.append(previous)
        if self._tape.at_end:
            reason = "end"
        self.stop = Stop(position, reason, self.last_record())
        return self.stop

    def _next_operation(self, position: Position) -> Position:
        """Return the operation after the one a position lies in, in the next batch if need be."""
        number = position.operation + 1
        if number < len(self._tape.operations):
            return self._at(position.epoch, position.batch, number)
        return self._next_batch(position)

    def _next_batch(self, position: Position) -> Position:
        """Run to the end of the batch and return the start of the next one."""
        self._tape.go(position.epoch, position.batch, len(self._tape.operations))
        self._tape.advance()
        return self._at(self._tape.epoch, self._tape.batch, 0)

    def _ended(self) -> Stop | None:
        if self._tape.at_end:
            self.stop = Stop(self._position, "end", None, None, "the run is over")
            return self.stop
        return None

    def step_over(self) -> Stop:
        """Execute what is next at the current level, everything inside at full speed."""
        ended = self._ended()
        if ended:
            return ended
        return self._step(
            lambda p: self.inside(self.operation(p)).after(p) or self._next_operation(p)
        )

    def step_into(self) -> Stop:
        """Go one level down, to the picked element, else to the first; over where there is none."""
        ended = self._ended()
        if ended:
            return ended
        position = self._position
        if position.level == "operation":
            picked = self._picked_position(position)
            if picked is not None:
                return self._step(lambda p: picked)

        def target(p: Position) -> Position:
            inside = self.inside(self.operation(p))
            return inside.first_child(p) or inside.after(p) or self._next_operation(p)

        return self._step(target)

    def step_out(self) -> Stop:
        """Finish the level above and stop at what follows; from an operation, at the next phase."""
        ended = self._ended()
        if ended:
            return ended

        def target(p: Position) -> Position:
            if p.level == "operation":
                return self._next_phase(p)
            inside = self.inside(self.operation(p))
            parent = inside.parent(p)
            return inside.after(parent) or self._next_operation(p)

        return self._step(target)

    def _step(self, target: Any) -> Stop:
        """Compute a target, which may already move the tape, and go there; undo all on an error."""
        previous = self._position
        try:
            position = target(previous)
        except BaseException:
            self._wind(previous)
            raise
        return self._command(position)

    def _next_phase(self, position: Position) -> Position:
        for operation in self._tape.operations[position.operation + 1 :]:
            if operation.phase != position.phase:
                return self._at(position.epoch, position.batch, operation.index)
        return self._next_batch(position)

    def _picked_position(self, position: Position) -> Position | None:
        """Return the picked element's position if it lies in the operation at `position`."""
        if self.picked is None:
            return None
        layer, index = self.picked
        operation = self.operation(position)
        if operation.layer != layer or not operation.results:
            return None
        inside = self.inside(operation)
        fits = [r for r, shape in inside.shapes.items() if len(shape) == len(index)]
        for result in fits:
            if all(0 <= i < size for i, size in zip(index, inside.shapes[result], strict=True)):
                return inside.at_index(position, result, index)
        return None

    def pick(self, layer: str | None, index: Sequence[int] | None = None) -> None:
        """Choose the element that stepping into `layer` goes to; None forgets the choice.

        Raises
        ------
        UnknownName, ConfigurationError
            If there is no such layer or element.
        """
        if layer is None:
            self.picked = None
            return
        shape = self.program.buffer(self.model.node(layer).tensor).shape
        place = arguments.index("pick index", index)
        if len(place) != len(shape) or any(
            not 0 <= i < s for i, s in zip(place, shape, strict=True)
        ):
            raise ConfigurationError(
                f"pick index: expected a place within {layer}'s shape {shape}, received "
                f"{shown(place)}"
            )
        self.picked = (layer, place)
        self._sample = place[0]

    def step_back(self) -> Stop:
        """Undo the last stepping command; with none left, go back one sibling."""
        if self._undo:
            target = self._undo[-1]
            self._wind(target)
            self._undo.pop()
        else:
            before = self._sibling_before(self._position)
            if before is None:
                self.stop = Stop(
                    self._position, "start", None, None, "this is the beginning of the run"
                )
                return self.stop
            self._wind(before)
        self.stop = Stop(self._position, "step", self.last_record())
        return self.stop

    def join(self, since: int) -> None:
        """Let all commands after the first `since` ones be taken back by one `step_back`."""
        first = arguments.whole("join since", since, 0)
        while len(self._undo) > first + 1:
            self._undo.pop()

    @property
    def commands(self) -> int:
        """How many commands `step_back` can take back one by one."""
        return len(self._undo)

    def _sibling_before(self, position: Position) -> Position | None:
        """Return the position before at the same level, across operations and batches."""
        if position.level != "operation":
            return self.inside(self.operation(position)).before(position) or position.at_operation()
        if position.operation > 0:
            return self._at(position.epoch, position.batch, position.operation - 1)
        earlier = self._tape.before(position.epoch, position.batch)
        if earlier is None:
            return None
        self._tape.go(*earlier, 0)
        return self._at(*earlier, len(self._tape.operations) - 1)

    def run_to(self, position: Position) -> Stop:
        """Go to any position, forwards or backwards; breakpoints on the way are passed.

        Raises
        ------
        StateError
            If it is no position, or lies outside the run.
        """
        check_position(position)
        if not self._tape.contains(position):
            raise StateError(f"run_to: {position} lies outside the run; {self._tape.extent()}")
        previous = self._position
        try:
            inner = position.level != "operation"
            self._tape.go(position.epoch, position.batch, position.operation + inner)
            self._check_inside(position)
        except BaseException:
            self._wind(previous)
            raise
        return self._command(position)

    def _check_inside(self, position: Position) -> None:
        """Refuse a position that its operation does not have; the tape stands at the operation."""
        level = position.level
        if level == "operation":
            return
        operation = self.operation(position)
        inside = self.inside(operation)
        results = [position.tensor] if position.tensor is not None else inside.results[:1]
        if not results or results[0] not in inside.shapes:
            raise StateError(
                f"run_to: {operation.layer} {operation.phase} has no "
                f"{position.tensor or 'result'}; it computes "
                f"{', '.join(inside.results) or 'nothing that can be stepped into'}"
            )
        if level == "tensor":
            return
        shape, index = inside.shapes[results[0]], position.index
        rank = min(2, len(shape)) if level == "channel" else len(shape)
        if len(index) != rank or any(
            not 0 <= i < size for i, size in zip(index, shape, strict=False)
        ):
            raise StateError(
                f"run_to: expected a place within shape {shape} of {operation.layer} {results[0]}, "
                f"received {index}"
            )
        terms = inside.terms(position) if position.term is not None else 1
        if not 0 <= (position.term or 0) < terms:
            raise StateError(f"run_to: expected term 0 to {terms - 1}, received {position.term}")


def check_position(position: object) -> None:
    """Refuse what is no position: positions are plain records that anybody may make."""
    if not isinstance(position, Position):
        raise StateError(
            f"run_to position: expected a Position such as session.position, received "
            f"{shown(position)}"
        )
    needed = (position.epoch, position.batch, position.operation)
    inner = (position.sample, position.channel, position.y, position.x, position.term)
    names = (position.phase, position.tensor)
    if not (
        all(_is_place(part) for part in needed)
        and all(part is None or _is_place(part) for part in inner)
        and all(part is None or isinstance(part, str) for part in names)
    ):
        raise StateError(
            "run_to position: expected whole numbers and names in its fields, received "
            f"{shown(position)}; take one from session.position"
        )


def _is_place(part: object) -> bool:
    return arguments.is_whole(part) and abs(part) <= MOST_STEPS
