"""Inspector: everything that can be looked at from a position in a run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from engine import arguments
from engine.data.sources import length
from engine.debug.breakpoints import Origin
from engine.debug.explain import Explainer
from engine.debug.navigation import Inside
from engine.debug.position import Position
from engine.debug.stack import Frame, frames
from engine.debug.tape import Tape
from engine.device import Buffer
from engine.errors import EngineError, ShapeError, StateError, shown
from engine.explanation import Explanation
from engine.program import Operation, Program
from engine.receptive_field import Box, box_of
from engine.scheduler import Scheduler
from engine.shapes import with_batch
from engine.typing import PHASES, Array, Index, Phase

P = ParamSpec("P")
R = TypeVar("R")
Reason = Literal["start", "step", "breakpoint", "pause", "end"]
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

    @property
    def ms(self) -> float:
        """Short for `elapsed_ms`."""
        return self.elapsed_ms


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


def undisturbed(
    method: Callable[Concatenate[Inspector, P], R],
) -> Callable[Concatenate[Inspector, P], R]:
    """Let a method look at numbers that no other thread changes before it is through.

    It may wind a training run, so it waits for evaluations that rely on the weights.
    """

    @functools.wraps(method)
    def look(self: Inspector, /, *arguments: P.args, **keywords: P.kwargs) -> R:
        guard = self.model.guard
        with guard.using() if self.scheduler is None else guard.changing():
            return method(self, *arguments, **keywords)

    return look


class Inspector:
    """A position on a tape, and what can be seen from there.

    Parameters
    ----------
    tape : Tape
    scheduler : Scheduler or None
        None for a forward pass alone.
    """

    def __init__(self, tape: Tape, scheduler: Scheduler | None) -> None:
        self._tape = tape
        self._explainer = Explainer(tape)
        self.scheduler = scheduler
        self.model = tape.model
        self._sample = 0
        self._fields = self.model.receptive_fields()
        self._explained: tuple[Any, Explanation] | None = None
        self._ahead = False
        self._position = self._at(tape.epoch, tape.batch, 0)

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
        self._sample = arguments.whole("sample", number, 0, length(self._tape.x) - 1)

    @property
    def batch_x(self) -> Any:
        """Inputs of the current batch."""
        return self._tape.x

    @property
    def batch_y(self) -> Any:
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
        """Return the operation of a position (the current one by default).

        Raises
        ------
        ConfigurationError
            If it is no position.
        """
        at = self._position
        if position is not None:
            at = arguments.instance("operation position", position, Position, "a Position")
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
        explanation = self.explain_at(position.at_term(None))
        if not len(explanation.terms):
            return len(explanation.stages)
        return len(explanation.terms) + (1 if explanation.stages else 0)

    @undisturbed
    def explain_at(self, position: Position) -> Explanation:
        """Explain the element of a position in this batch; its operation is run if need be."""
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

    def _wind(self, position: Position) -> None:
        """Bring the engine to a position and make it the current one."""
        needed = position.operation + (position.level != "operation")
        self._tape.go(position.epoch, position.batch, needed)
        self._position = position
        self._explained = None if position.level == "operation" else self._explained

    # -- looking at numbers ------------------------------------------------------------------

    @property
    def _known(self) -> int:
        """How many operations of this batch may be looked at from the position."""
        return self._position.operation + (self._ahead or self._position.level != "operation")

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """Let what comes next be computed already for as long as one looks at it.

        Inside, `read` and `explain` know the results of the operation at the position. Position,
        parameters, moments and running statistics are afterwards what they were.
        """
        operation = self.operation()
        if self._ahead or self._tape.at_end or self._position.level != "operation":
            yield
            return
        guard = self.model.guard
        with guard.using() if self.scheduler is None else guard.changing():
            kept = [(buffer, buffer.capture()) for buffer in self._changed_by(operation)]
            self._ahead = True
            try:
                self._to_position()
                yield
            finally:
                self._ahead = False
                for buffer, captured in kept:
                    buffer.restore(captured)
                number = operation.index
                if kept:
                    self._tape.executed = number
                elif self.program.repeats_from(number, number + 1) < number:
                    self._to_position()  # it has added to a sum that can be looked at

    def _changed_by(self, operation: Operation) -> list[Buffer]:
        """Return the memory that an operation changes for good."""
        if not operation.changes_state:
            return []
        layer = self.model[operation.layer]
        if operation.phase != "update":
            return list(layer.state.values())
        parameters = layer.parameters.values()
        moments = [self.program.moments.get(parameter.name, ()) for parameter in parameters]
        return [*(p.attached() for p in parameters), *(one for some in moments for one in some)]

    def _to_position(self) -> None:
        """Bring the engine to what may be looked at from the position."""
        self._tape.go(self._position.epoch, self._position.batch, self._known)

    @undisturbed
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
        arguments.text("read name", name, 'the name of a tensor such as "conv1.output"')
        buffer = self.program.buffer(name)
        return buffer.read() if self.is_computed(name) else None

    def is_computed(self, name: str, inside: bool = False) -> bool:
        """Return whether this batch has computed a tensor when the position is reached.

        Parameters
        ----------
        name : str
        inside : bool
            Count the operation that the position lies in: the engine has run it already.
        """
        arguments.text("is_computed name", name, 'the name of a tensor such as "conv1.output"')
        inside = arguments.flag("is_computed inside", inside)
        self.program.buffer(name)  # raises if there is no such tensor
        row = self._row_of(name)
        if row is None or (self._tape.at_end and self.scheduler is None):
            return True
        reached = self._known if inside else self._position.operation + self._ahead
        return row < reached and not self._tape.at_end

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of what the load writes besides the inputs: target and factors of the loss."""
        site = self.program.loss_site
        return tuple(f"loss.{name}" for name in site.fields) if site is not None else ()

    def _row_of(self, name: str) -> int | None:
        """Return the operation that computes a tensor; None for what outlives the batch."""
        if name in self.model.parameters or name in self.model.state:
            return None
        if name.endswith(".grad_output"):
            return self._explainer.operation_for(name.removesuffix(".grad_output"), "grad_output")
        if name in self.loaded:
            return 0
        layer, _, saved = name.partition(".saved.")
        return self.program.producers.get(f"{layer}.output" if saved else name)

    @undisturbed
    def figure(self, name: str) -> Any:
        """Return what a condition means by a name: a tensor, or loss, epoch, batch, step.

        Raises
        ------
        UnknownName, ConfigurationError
            If there is no such tensor or figure.
        """
        arguments.text("figure name", name, 'the name of a tensor or a figure such as "loss"')
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

    @undisturbed
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
        UnknownName, ConfigurationError, ShapeError
            If there is no such layer, or `index` is no place in the tensor.
        StateError
            If it has not been computed yet, or this program does not compute it.
        """
        arguments.text("explain layer", layer, "the name of a layer")
        arguments.text("explain tensor", tensor, 'a name such as "output" or "weight.gradient"')
        place = arguments.index("explain index", index)
        tensor = {"grad_input": "input.gradient"}.get(tensor, tensor)
        row = self._explainer.operation_for(layer, tensor)
        tape = self._tape
        if not tape.at_end and row < self._known:
            return self._explainer.explain(layer, tensor, place)
        earlier = tape.before(self._position.epoch, self._position.batch)
        if earlier is None:
            raise StateError(
                f"{layer}.{tensor} has not been computed yet; step past {layer} in the "
                f"{tape.operations[row].phase} pass first"
            )
        # Newest execution was in the batch before: wind there, look, and wind back.
        try:
            tape.go(*earlier, row + 1)
            return self._explainer.explain(layer, tensor, place)
        finally:
            self._to_position()

    @undisturbed
    def explain_position(self) -> Explanation | None:
        """Explain the element at the current position; None at the level of operations."""
        position = self._position
        if position.level in ("operation", "tensor") or self._tape.at_end:
            return None
        if position.level == "channel" and self.inside(self.operation()).pixels(self.result()):
            return None
        return self.explain_at(position.at_term(None))

    def result(self) -> str:
        """Return the result that the current position lies in; empty at the level of operations."""
        operation = self.operation()
        return self._position.tensor or (operation.results[0] if operation.results else "")

    @undisturbed
    def bad_operand(self, operation: Operation, result: str, index: Index) -> Origin | None:
        """Return what made an element NaN or infinite, if something that entered it is so."""
        if operation.phase == "load":
            return None
        try:
            culprit = self._explainer.explain(operation.layer, result, index).blame()
        except EngineError:
            return None
        return None if culprit is None else Origin(culprit.tensor, culprit.index)

    def aside(self, operation: Operation) -> dict[str, Array]:
        """Return what an operation has written besides its results, by name.

        That is what outlives the batch, running statistics and moments, and sums of gradients.
        """
        program, layer, found = self.program, operation.layer, dict[str, Array]()
        if operation.phase == "load":
            found = {name: program.read(name) for name in program.model.inputs[1:]}
        elif operation.phase == "forward" and operation.changes_state:
            names = self._explainer.lasting(program.model.node(layer))
            state = program.sites[layer].state
            found = {names[name]: buffer.read() for name, buffer in state.items()}
        elif operation.phase == "backward" and layer != "loss":
            sums = self._explainer.completed(operation)
            found = {name: buffer.read() for name, buffer in sums.items()}
        elif operation.phase == "update" and program.optimizer is not None:
            for result in operation.results:
                name = program.model[layer].parameters[result].name
                for moment, buffer in zip(
                    program.optimizer.moments, program.moments[name], strict=True
                ):
                    found[f"{name}.{moment}"] = buffer.read()
        return found

    @undisturbed
    def record(self, layer: str, phase: Phase) -> StepRecord | None:
        """Return what an operation did in this batch; None if it has not run.

        Raises
        ------
        UnknownName, ConfigurationError
            If there is no such layer or phase.
        """
        arguments.text("record layer", layer, "the name of a layer")
        arguments.choice("record phase", phase, PHASES)
        if layer != "loss":
            self.model.node(layer)
        for operation in self._tape.operations[: self._tape.executed]:
            if operation.layer == layer and operation.phase == phase:
                return self._record(operation)
        return None

    @undisturbed
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
        """Return the input pixels that an element can see; see `Box`.

        Raises
        ------
        UnknownName, ConfigurationError, ShapeError
            If there is no such layer, or `index` is no place in its output.
        """
        node = self.model.node(layer)
        place = arguments.index("receptive_field index", index)
        shape = node.output_shape
        if len(place) != len(shape) + 1 or any(
            not 0 <= i < size for i, size in zip(place[1:], shape, strict=True)
        ):
            raise ShapeError(
                f"receptive_field index: expected a place within {layer}'s {with_batch(shape)}, "
                f"received {shown(place)}"
            )
        return box_of(self._fields[node.name], place, self.model.input_shape)
