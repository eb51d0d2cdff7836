"""Session: a run under the debugger. The words are those of the Debug Adapter Protocol."""

from __future__ import annotations

import threading
from typing import Any

from engine import arguments
from engine.arguments import MOST_STEPS
from engine.debug.breakpoints import Breakpoint, Finding
from engine.debug.expressions import check_names
from engine.debug.inspector import FIGURES, Stop
from engine.debug.position import Position
from engine.debug.stepper import Stepper, check_position
from engine.debug.tape import ForwardTape, Tape, TrainingTape
from engine.errors import ConfigurationError, StateError, shown
from engine.model import Model
from engine.program import Operation
from engine.scheduler import Batches, Scheduler
from engine.typing import Phase


class Session(Stepper):
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

    Raises
    ------
    ConfigurationError, ShapeError, DtypeError, DataError
        If an argument is missing, of the wrong kind, or does not fit the model.

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
        scheduler = target if isinstance(target, Scheduler) else None
        super().__init__(_tape(target, images, loader, epochs), scheduler)
        self.breakpoints: list[Breakpoint] = []
        self._numbers = 0
        self._pause = threading.Event()

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
        if isinstance(layer, str) and layer != "loss":
            self.model.node(layer)
        made = Breakpoint(self._numbers + 1, layer, phase, when, hit_count, enabled)
        if made.expression is not None:
            check_names(made.expression, [*FIGURES, *self.program.tensor_names()])
        self._numbers += 1
        self.breakpoints.append(made)
        return made

    def remove_breakpoint(self, breakpoint_: Breakpoint) -> None:
        """Remove a breakpoint; one that has been removed is ignored.

        Raises
        ------
        ConfigurationError
            If it is no breakpoint.
        """
        arguments.instance("remove_breakpoint", breakpoint_, Breakpoint, "a Breakpoint")
        self.breakpoints = [b for b in self.breakpoints if b is not breakpoint_]

    def pause(self) -> None:
        """Make a running `resume`, `run_to` or `reverse_resume` stop soon; from any thread.

        `resume` stops before its next operation, `run_to` at the next border of a batch; a search
        backwards is given up, and the session stands where it stood.
        """
        self._pause.set()

    def resume(self, batches: int | None = None) -> Stop:
        """Run to the next breakpoint, to `pause`, or to the end.

        Parameters
        ----------
        batches : int, optional
            Stop (with reason ``"step"``) after this many batch borders.

        Raises
        ------
        ConfigurationError
            If `batches` is no whole number of at least 1.
        """
        if batches is not None:
            arguments.whole("resume batches", batches, 1, MOST_STEPS)
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

    def run_to(self, position: Position) -> Stop:
        """Go to any position, forwards or backwards; see `Stepper.run_to`. `pause` stops it."""
        tape, previous = self._tape, self._position
        check_position(position)
        if not tape.contains(position):
            return super().run_to(position)
        self._pause.clear()
        try:
            while not tape.at_end and (tape.epoch, tape.batch) < (position.epoch, position.batch):
                tape.go(tape.epoch, tape.batch, len(tape.operations))
                tape.advance()
                if self._pause.is_set():
                    self._undo.append(previous)
                    self._position = self._at(tape.epoch, tape.batch, 0)
                    self.stop = Stop(self._position, "pause")
                    return self.stop
        except BaseException:
            self._wind(previous)
            raise
        return super().run_to(position)

    def reverse_resume(self) -> Stop:
        """Run backwards to the newest breakpoint hit before here, else to the beginning."""
        here = self._position.at_operation()
        counts = [b.hits for b in self.breakpoints]
        self._pause.clear()
        found = self._search_back(here)
        for one, hits in zip(self.breakpoints, counts, strict=True):
            one.hits = hits
        if found is None and self._pause.is_set():
            self._wind(self._position)
            text = "the search backwards was interrupted; nothing has moved"
            self.stop = Stop(self._position, "pause", self.last_record(), None, text)
            return self.stop
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
        while at is not None and not self._pause.is_set():
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

    def replace_images(self, images: Any) -> None:
        """Take other images in a forward session and keep the position.

        Raises
        ------
        StateError
            If the session trains.
        ShapeError, DtypeError, ConfigurationError
            If the images do not fit the model, or are another number than before.
        """
        if not isinstance(self._tape, ForwardTape):
            raise StateError(
                "replace_images: only a forward session has images to replace; this one trains"
            )
        self._tape.replace_images(images)
        self._explained = None


def _tape(target: Any, images: Any, loader: Batches | None, epochs: int) -> Tape:
    """Return the tape for what a session was asked to run."""
    arguments.whole("Session epochs", epochs, 1)
    if isinstance(target, Scheduler):
        if loader is None:
            raise ConfigurationError(
                "Session: a scheduler needs loader=, for example "
                "DataLoader(train, batch_size=64, shuffle=True)"
            )
        if not all(hasattr(loader, part) for part in ("batch", "dataset", "__len__")):
            raise arguments.refusal("Session loader", "a DataLoader", loader)
        if images is not None:
            raise ConfigurationError(
                "Session images: a scheduler takes its samples from loader=, received "
                f"{shown(images)} besides; leave them out"
            )
        return TrainingTape(target, loader, epochs)
    if not isinstance(target, Model):
        raise ConfigurationError(
            f"Session target: expected a Scheduler or a Model, received {shown(target)}"
        )
    if loader is not None:
        raise ConfigurationError(
            f"Session loader: a model alone takes images, received {shown(loader)}; for a training "
            "run give a Scheduler"
        )
    if images is None:
        raise ConfigurationError(
            "Session: a model needs images, for example Session(model, test.x[:1])"
        )
    return ForwardTape(target, images)
