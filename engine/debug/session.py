"""Session: a run under the debugger. The words are those of the Debug Adapter Protocol."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.debug.breakpoints import Breakpoint, Finding, Origin
from engine.debug.explain import Explainer
from engine.debug.expressions import check_names
from engine.debug.navigation import Inside
from engine.debug.position import Position
from engine.debug.stack import Frame, frames
from engine.debug.tape import ForwardTape, Tape, TrainingTape
from engine.errors import ConfigurationError, EngineError, StateError
from engine.explanation import Explanation
from engine.model import Model
from engine.program import Operation, Program
from engine.receptive_field import Box, box_of
from engine.scheduler import Batches, Scheduler
from engine.typing import Array, Index, Phase

Reason = Literal["start", "step", "breakpoint", "pause", "end"]
HISTORY = 100_000
"""Commands that can be undone one by one."""
FIGURES = ("loss", "epoch", "batch", "step")
"""Numbers that conditions may use besides tensors."""


@dataclass(frozen=True)
class StepRecord:
    """What one operation did.

    Parameters
    ----------
    layer, phase
    output : array or None
        After a forward operation or the loss.
    gradients : dict of arrays
        After a backward operation: ``"weight"``, ``"bias"``, ``"input"``.
    elapsed_ms : float
        0 where it ran together with others.
    """

    layer: str
    phase: Phase
    output: Array | None
    gradients: dict[str, Array]
    elapsed_ms: float


@dataclass(frozen=True)
class Stop:
    """Where and why a session stands still.

    Parameters
    ----------
    position : Position
        The next thing to execute.
    reason : {"start", "step", "breakpoint", "pause", "end"}
    record : StepRecord or None
        Of the operation that ran last in this batch.
    origin : Origin or None
        The element a condition blames.
    message : str
        One sentence, or empty.
    """

    position: Position
    reason: Reason
    record: StepRecord | None = None
    origin: Origin | None = None
    message: str = ""


class Session:
    """A run under the debugger: a training run, or one forward pass.

    ``Session(scheduler, loader=loader, epochs=n)`` trains, paused before the load of the first
    batch; ``Session(model, images)`` is a forward pass over the images. All calls but `pause`
    belong to one thread.

    Parameters
    ----------
    target : Scheduler or Model
    images : array, optional
        For a model: samples (n, ...).
    loader : DataLoader, optional
        For a scheduler.
    epochs : int
        How many epochs from where the scheduler stands.

    Attributes
    ----------
    stop : Stop
        The latest one.
    sample : int
        Which sample of the batch is stepped through.
    picked : (layer, index) or None
        The element that stepping into its layer goes to.
    breakpoints : list of Breakpoint
    """

    def __init__(
        self,
        target: Scheduler | Model,
        images: Any = None,
        *,
        loader: Batches | None = None,
        epochs: int = 1,
    ) -> None:
        self._tape = _tape(target, images, loader, epochs)
        self._explainer = Explainer(self._tape)
        self.scheduler = target if isinstance(target, Scheduler) else None
        self.model = self._tape.model
        self._sample = 0
        self.picked: tuple[str, Index] | None = None
        self.breakpoints: list[Breakpoint] = []
        self._numbers = 0
        self._undo: deque[Position] = deque(maxlen=HISTORY)
        self._pause = threading.Event()
        self._fields = self.model.receptive_fields()
        self._explained: tuple[Any, Explanation] | None = None
        self._position = self._at(self._tape.epoch, self._tape.batch, 0)
        self.stop = Stop(self._position, "start")

    # -- where we are ------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """The next thing to execute."""
        return self._position

    @property
    def program(self) -> Program:
        """The program of the current batch."""
        return self._tape.program

    @property
    def sample(self) -> int:
        """Which sample of the batch is stepped through and shown."""
        return self._sample

    @sample.setter
    def sample(self, number: int) -> None:
        if not 0 <= number < len(self._tape.x):
            raise ConfigurationError(
                f"sample: expected 0 to {len(self._tape.x) - 1}, received {number}"
            )
        self._sample = int(number)

    @property
    def batch_x(self) -> Array:
        """Inputs of the current batch."""
        return self._tape.x

    @property
    def batch_y(self) -> Array | None:
        """Targets of the current batch; None in a forward pass."""
        return self._tape.y

    @property
    def losses(self) -> list[float]:
        """Losses of the batches that are over."""
        return [] if self.scheduler is None else self.scheduler.history.steps

    @property
    def timings(self) -> dict[tuple[str, str], float]:
        """Milliseconds of operations that ran by themselves, by (phase, layer)."""
        return self._tape.timings

    @property
    def at_end(self) -> bool:
        """Whether there is nothing left to execute."""
        return self._tape.at_end

    def operation(self, position: Position | None = None) -> Operation:
        """Return the operation of a position (the current one by default)."""
        at = position or self._position
        return self._tape.operations[min(at.operation, len(self._tape.operations) - 1)]

    def stack(self) -> list[Frame]:
        """Return the call stack, outer frames first."""
        return frames(self)

    def _at(self, epoch: int, batch: int, operation: int) -> Position:
        phase: Phase = "load" if self._tape.at_end else self._tape.operations[operation].phase
        return Position(epoch, batch, phase, operation)

    # -- the tree inside an operation --------------------------------------------------------

    def inside(self, operation: Operation) -> Inside:
        """Return what can be stepped into inside an operation."""
        shapes, samples = {}, set()
        for result in operation.results if operation.phase != "load" else ():
            buffer = self.program.buffer(f"{operation.layer}.{result}")
            shapes[result] = buffer.shape
            if buffer.role == "activation":
                samples.add(result)
        return Inside(shapes, frozenset(samples), self._sample, self._term_count)

    def _term_count(self, position: Position) -> int:
        """Return the terms of an element: products, then one for what follows them; or stages."""
        explanation = self._explain_at(position.at_term(None))
        if not len(explanation.terms):
            return len(explanation.stages)
        return len(explanation.terms) + (1 if explanation.stages else 0)

    def _explain_at(self, position: Position) -> Explanation:
        """Explain the element of a position; the operation is run if it has not been."""
        operation = self._tape.operations[position.operation]
        self._tape.go(
            position.epoch, position.batch, max(self._tape.executed, position.operation + 1)
        )
        result = position.tensor or operation.results[0]
        key = (position.at_term(None), self._tape.executed)
        if self._explained is None or self._explained[0] != key:
            explanation = self._explainer.explain(operation.layer, result, position.index)
            self._explained = (key, explanation)
        return self._explained[1]

    # -- moving ------------------------------------------------------------------------------

    def _wind(self, position: Position) -> None:
        """Bring the engine to a position and make it the current one."""
        needed = position.operation + (position.level != "operation")
        self._tape.go(position.epoch, position.batch, needed)
        self._position = position
        self._explained = None if position.level == "operation" else self._explained

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
        if (
            index is None
            or len(index) != len(shape)
            or any(not 0 <= i < s for i, s in zip(index, shape, strict=True))
        ):
            raise ConfigurationError(
                f"pick: expected an index within {layer}'s shape {shape}, received {index}"
            )
        self.picked = (layer, tuple(int(i) for i in index))
        self._sample = int(index[0])

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
            If the position lies outside the run.
        """
        if not isinstance(position, Position):
            raise StateError(
                f"run_to: expected a Position such as session.position, received {position!r}"
            )
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

    # -- running to a breakpoint -------------------------------------------------------------

    def add_breakpoint(
        self,
        layer: str | None = None,
        phase: Phase | None = None,
        when: str | None = None,
        hit_count: int = 1,
        enabled: bool = True,
    ) -> Breakpoint:
        """Add a breakpoint; see `Breakpoint` for the meaning.

        Raises
        ------
        UnknownName, ConfigurationError
            If the layer, the phase or a name in the condition does not exist.
        """
        if layer is not None and layer != "loss":
            self.model.node(layer)
        made = Breakpoint(self._numbers + 1, layer, phase, when, hit_count, enabled)
        if made.expression is not None:
            check_names(made.expression, [*FIGURES, *self.program.tensor_names()])
        self._numbers += 1
        self.breakpoints.append(made)
        return made

    def remove_breakpoint(self, breakpoint_: Breakpoint) -> None:
        """Remove a breakpoint; unknown ones are ignored."""
        self.breakpoints = [b for b in self.breakpoints if b is not breakpoint_]

    def pause(self) -> None:
        """Make a running `resume` stop before its next operation; from any thread."""
        self._pause.set()

    def resume(self, batches: int | None = None) -> Stop:
        """Run to the next breakpoint, to `pause`, or to the end.

        Parameters
        ----------
        batches : int, optional
            Stop (with reason ``"step"``) after this many batch borders.
        """
        ended = self._ended()
        if ended:
            return ended
        self._pause.clear()
        previous = self._position
        try:
            stop = self._run(batches)
        except BaseException:
            self._wind(previous)
            raise
        if self._position != previous:
            self._undo.append(previous)
        self.stop = stop
        return stop

    def _run(self, batches: int | None) -> Stop:
        """Execute operations until something stops the run."""
        tape = self._tape
        tape.go(self._position.epoch, self._position.batch, self._position.operation)
        first, passed = True, 0
        while not tape.at_end:
            while tape.executed < len(tape.operations):
                operation = tape.operations[tape.executed]
                self._position = self._at(tape.epoch, tape.batch, tape.executed)
                if not first:
                    if self._pause.is_set():
                        return Stop(self._position, "pause", self.last_record())
                    hit = self._hit_before(operation)
                    if hit is not None:
                        message = (
                            f"breakpoint {hit.number}: before {operation.layer} {operation.phase}"
                        )
                        return Stop(self._position, "breakpoint", self.last_record(), None, message)
                first = False
                finding = self._execute(operation)
                if finding is not None:
                    return self._stop_after(operation, finding)
            tape.advance()
            passed += 1
            self._position = self._at(tape.epoch, tape.batch, 0)
            if batches is not None and passed >= batches and not tape.at_end:
                return Stop(self._position, "step")
        return Stop(self._position, "end", None, None, "the run is over")

    def _execute(self, operation: Operation) -> Finding | None:
        """Run one operation, or as many as no breakpoint can stop at; return what was found."""
        active = [b for b in self.breakpoints if b.enabled]
        if any(b.when is not None for b in active):
            self._tape.run_one()
            for one in active:
                if one.when is not None and one.covers(operation):
                    finding = one.check(self, operation)
                    if finding is not None and self._count(one):
                        return finding
            return None
        stops = (
            op.index
            for op in self._tape.operations[operation.index + 1 :]
            if any(b.covers(op) for b in active)
        )
        self._tape.run(next(stops, len(self._tape.operations)))
        return None

    def _hit_before(self, operation: Operation) -> Breakpoint | None:
        """Return the breakpoint without condition that stops before an operation."""
        for one in self.breakpoints:
            if one.enabled and one.when is None and one.covers(operation) and self._count(one):
                return one
        return None

    @staticmethod
    def _count(one: Breakpoint) -> bool:
        one.hits += 1
        return one.hits >= one.hit_count

    def _stop_after(self, operation: Operation, finding: Finding) -> Stop:
        """Stop right after an operation whose result met a condition."""
        record = self.record(operation.layer, operation.phase)
        if operation.index + 1 < len(self._tape.operations):
            self._position = self._at(self._tape.epoch, self._tape.batch, operation.index + 1)
        else:
            self._tape.advance()
            self._position = self._at(self._tape.epoch, self._tape.batch, 0)
        return Stop(self._position, "breakpoint", record, finding.origin, finding.message)

    def reverse_resume(self) -> Stop:
        """Run backwards to the newest breakpoint hit before here, else to the beginning."""
        here = self._position.at_operation()
        counts = [b.hits for b in self.breakpoints]
        found = self._search_back(here)
        for one, hits in zip(self.breakpoints, counts, strict=True):
            one.hits = hits
        if found is None:
            start = self._first_position(here)
            self._command(start)
            self.stop = Stop(
                start, "start", None, None, "no breakpoint was hit before; this is the beginning"
            )
            return self.stop
        self._command(found.position)
        self.stop = found
        return found

    def _first_position(self, position: Position) -> Position:
        epoch, batch = position.epoch, position.batch
        while (earlier := self._tape.before(epoch, batch)) is not None:
            epoch, batch = earlier
        self._tape.go(epoch, batch, 0)
        return self._at(epoch, batch, 0)

    def _search_back(self, here: Position) -> Stop | None:
        """Replay batch after batch, newest first, and return the last hit before `here`."""
        if not any(b.enabled for b in self.breakpoints):
            return None
        at: tuple[int, int] | None = (here.epoch, here.batch)
        limit = here.operation
        while at is not None:
            self._tape.go(*at, 0)
            found: Stop | None = None
            if not self._tape.at_end:
                for operation in self._tape.operations[: limit if limit >= 0 else None]:
                    here_now = self._at(*at, operation.index)
                    plain = any(
                        b.enabled and b.when is None and b.covers(operation)
                        for b in self.breakpoints
                    )
                    if plain:
                        text = f"before {operation.layer} {operation.phase}"
                        found = Stop(here_now, "breakpoint", None, None, text)
                    self._tape.run_one()
                    finding = self._conditions(operation)
                    following = operation.index + 1
                    if finding is not None and following < (
                        limit if limit >= 0 else len(self._tape.operations)
                    ):
                        record = self.record(operation.layer, operation.phase)
                        place = self._at(*at, following)
                        found = Stop(place, "breakpoint", record, finding.origin, finding.message)
            if found is not None:
                return found
            at, limit = self._tape.before(*at), -1
        return None

    def _conditions(self, operation: Operation) -> Finding | None:
        for one in self.breakpoints:
            if one.enabled and one.when is not None and one.covers(operation):
                finding = one.check(self, operation)
                if finding is not None:
                    return finding
        return None

    # -- looking at numbers ------------------------------------------------------------------

    def read(self, name: str) -> Array | None:
        """Return a tensor at this position, or None where this batch has not computed it yet.

        Parameters
        ----------
        name : str
            ``"input"``, ``"conv1.output"``, ``"conv1.grad_output"``, ``"conv1.weight"``,
            ``"conv1.weight.gradient"``, ``"loss.output"`` ...

        Raises
        ------
        UnknownName
            If this program has no such tensor.
        """
        array = self.program.read(name)
        row = self._row_of(name)
        if row is None or (self._tape.at_end and self.scheduler is None):
            return array
        return None if row >= self._position.operation or self._tape.at_end else array

    def _row_of(self, name: str) -> int | None:
        """Return the operation that computes a tensor; None for what outlives the batch."""
        if name in self.model.parameters or name in self.model.state:
            return None
        if name.endswith(".grad_output"):
            return self._explainer.operation_for(name.removesuffix(".grad_output"), "grad_output")
        layer, _, saved = name.partition(".saved.")
        return self.program.producers.get(f"{layer}.output" if saved else name)

    def figure(self, name: str) -> Any:
        """Return what a condition means by a name: a tensor, or loss, epoch, batch, step."""
        if name == "loss":
            row = self.program.producers.get("loss.output")
            return (
                None
                if row is None or self._tape.executed <= row
                else self.program.read("loss.output")[0]
            )
        if name in ("epoch", "batch"):
            return getattr(self._tape, name)
        if name == "step":
            return self.scheduler.global_step if self.scheduler else 0
        row = self._row_of(name)
        return None if row is not None and row >= self._tape.executed else self.program.read(name)

    def explain(self, *, layer: str, index: Sequence[int], tensor: str = "output") -> Explanation:
        """Explain one element as its newest execution before the position made it.

        Parameters
        ----------
        layer : str
            A node, or ``"loss"``.
        index : sequence of int
            In the tensor's public shape: (n, c, y, x), (n, f), (o, i, ky, kx) ...
        tensor : str
            ``"output"``, ``"grad_output"``, ``"input.gradient"``, ``"weight.gradient"``,
            ``"bias.gradient"``, ``"weight"``, ``"bias"`` ...

        Raises
        ------
        StateError
            If it has not been computed yet.
        """
        tensor = {"grad_input": "input.gradient"}.get(tensor, tensor)
        place = tuple(int(i) for i in index)
        row = self._explainer.operation_for(layer, tensor)
        tape = self._tape
        if not tape.at_end and tape.executed > row:
            return self._explainer.explain(layer, tensor, place)
        earlier = tape.before(self._position.epoch, self._position.batch)
        if earlier is None:
            raise StateError(
                f"{layer}.{tensor} has not been computed yet; step past {layer} in the "
                f"{tape.operations[row].phase} pass first"
            )
        # Newest execution was in the batch before: wind there, look, and wind back.
        here = self._position
        try:
            tape.go(*earlier, row + 1)
            return self._explainer.explain(layer, tensor, place)
        finally:
            self._wind(here)

    def explain_position(self) -> Explanation | None:
        """Explain the element at the current position; None at the level of operations."""
        position = self._position
        if position.level in ("operation", "tensor") or self._tape.at_end:
            return None
        if position.level == "channel" and self.inside(self.operation()).pixels(self.result()):
            return None
        return self._explain_at(position.at_term(None))

    def result(self) -> str:
        """Return the result that the current position lies in; empty at the level of operations."""
        operation = self.operation()
        return self._position.tensor or (operation.results[0] if operation.results else "")

    def bad_operand(self, operation: Operation, result: str, index: Index) -> Origin | None:
        """Return the first operand of an element that is not finite, if there is one."""
        if operation.phase == "load":
            return None
        try:
            explanation = self._explainer.explain(operation.layer, result, index)
        except EngineError:
            return None
        for operand in explanation.terms.operands:
            bad = np.flatnonzero(~np.isfinite(operand.values))
            if bad.size:
                return Origin(operand.tensor, tuple(int(i) for i in operand.indices[bad[0]]))
        return None

    def record(self, layer: str, phase: Phase) -> StepRecord | None:
        """Return what an operation did in this batch; None if it has not run."""
        for operation in self._tape.operations[: self._tape.executed]:
            if operation.layer == layer and operation.phase == phase:
                return self._record(operation)
        return None

    def last_record(self) -> StepRecord | None:
        """Return what the operation before the position did; None at the start of a batch."""
        if self._position.operation == 0 or self._tape.at_end:
            return None
        return self._record(self._tape.operations[self._position.operation - 1])

    def _record(self, operation: Operation) -> StepRecord:
        output, gradients = None, {}
        if operation.phase in ("forward", "loss"):
            output = self.program.read(f"{operation.layer}.output")
        elif operation.phase == "load":
            output = self.program.read(operation.layer)
        elif operation.phase == "backward":
            for result in operation.results:
                gradients[result.removesuffix(".gradient")] = self.program.read(
                    f"{operation.layer}.{result}"
                )
        elapsed = self._tape.timings.get((operation.phase, operation.layer), 0.0)
        return StepRecord(operation.layer, operation.phase, output, gradients, elapsed)

    def receptive_field(self, layer: str, index: Sequence[int]) -> Box:
        """Return the input pixels that an element can see; see `Box`."""
        node = self.model.node(layer)
        return box_of(self._fields[node.name], tuple(index), self.model.input_shape)

    def replace_images(self, images: Any) -> None:
        """Take other images in a forward session and keep the position.

        Raises
        ------
        StateError
            If the session trains.
        """
        if not isinstance(self._tape, ForwardTape):
            raise StateError(
                "replace_images: only a forward session has images to replace; this one trains"
            )
        self._tape.replace_images(np.asarray(images))
        self._explained = None


def _tape(target: Any, images: Any, loader: Batches | None, epochs: int) -> Tape:
    """Return the tape for what a session was asked to run."""
    if isinstance(target, Scheduler):
        if loader is None:
            raise ConfigurationError(
                "Session: a scheduler needs loader=, for example "
                "DataLoader(train, batch_size=64, shuffle=True)"
            )
        return TrainingTape(target, loader, epochs)
    if not isinstance(target, Model):
        raise ConfigurationError(
            f"Session: expected a Scheduler or a Model, received {type(target).__name__}"
        )
    if images is None:
        raise ConfigurationError(
            "Session: a model needs images, for example Session(model, test.x[:1])"
        )
    return ForwardTape(target, images)
