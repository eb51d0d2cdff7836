"""A run that can be wound to any operation: forward by running, back by restoring and replaying.

Replaying gives the same bits, because every kernel has one order of accumulation and every random
number belongs to a seed and a step.
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from engine.data.sources import length
from engine.debug.position import Position
from engine.debug.timeline import Timeline
from engine.errors import ConfigurationError, DataError, StateError
from engine.model import Model
from engine.program import Operation, Program
from engine.scheduler import Batches, Scheduler, Snapshot
from engine.typing import Array


class Tape(ABC):
    """What a session winds.

    Attributes
    ----------
    program : Program
        Of the current batch.
    epoch, batch : int
    executed : int
        How many operations of the current batch have run.
    x, y : arrays, or tuples of them
        The current batch; `y` is None without targets.
    timings : dict
        Milliseconds of the newest run of an operation, by (phase, layer).
    """

    x: Any
    y: Any

    def __init__(self, model: Model) -> None:
        self.model = model
        self.epoch = self.batch = self.executed = 0
        self.timings: dict[tuple[str, str], float] = {}

    @property
    @abstractmethod
    def program(self) -> Program:
        """The program of the current batch, with what has run of it."""

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The rows of the current program."""
        return self.program.operations

    @property
    @abstractmethod
    def at_end(self) -> bool:
        """Whether the last batch is over."""

    @property
    @abstractmethod
    def start(self) -> Snapshot | None:
        """Parameters and moments as they were before this batch; None if nothing changes them."""

    @abstractmethod
    def go(self, epoch: int, batch: int, executed: int) -> None:
        """Wind to a place: before operation `executed` of a batch."""

    @abstractmethod
    def advance(self) -> None:
        """Move from the end of a batch to the start of the next one."""

    @abstractmethod
    def before(self, epoch: int, batch: int) -> tuple[int, int] | None:
        """Return epoch and batch before the given ones, or None at the beginning."""

    @abstractmethod
    def contains(self, position: Position) -> bool:
        """Return whether a position's operation (or the end of the run) belongs to this run."""

    @abstractmethod
    def extent(self) -> str:
        """Say from where to where the run goes."""

    def _fits(self, position: Position) -> bool:
        """Return whether phase and number name an operation; the same ones in every batch."""
        inside = 0 <= position.operation < len(self.operations)
        return inside and self.operations[position.operation].phase == position.phase

    @abstractmethod
    def _load(self) -> None:
        """Write the current batch into the program."""

    def run(self, stop: int) -> None:
        """Run operations from `executed` up to, not including, `stop`."""
        if self.executed >= stop:
            return
        begin = time.perf_counter()
        if self.executed == 0:
            self._load()
        self.program.run(self.executed, stop)
        if stop == self.executed + 1:
            operation = self.operations[self.executed]
            self.timings[operation.phase, operation.layer] = (time.perf_counter() - begin) * 1e3
        self.executed = stop

    def run_one(self) -> Operation:
        """Run the next operation by itself and return it."""
        operation = self.operations[self.executed]
        self.run(self.executed + 1)
        return operation

    def _back_within_batch(self, executed: int) -> bool:
        """Go back without restoring if the operations in between left nothing behind.

        What they computed stays in memory; where that has begun a sum of gradients, the sum is made
        anew, or it would be added to twice.
        """
        begin = self.program.repeats_from(executed, self.executed)
        passed = self.operations[begin : self.executed]
        if any(operation.changes_state for operation in passed):
            return False
        if begin < executed:
            self.program.run(begin, executed)
        self.executed = executed
        return True


class ForwardTape(Tape):
    """One forward pass over a few samples."""

    def __init__(self, model: Model, images: Any) -> None:
        super().__init__(model)
        self._inputs = model.check_inputs(model.arrange(images))
        if not len(self._inputs[0]):
            raise DataError("Session: expected at least one sample, received none")
        self.x = _single(self._inputs)
        self.y = None
        # A program of its own: predictions in between must not overwrite what is looked at.
        self._program = Program(model, len(self._inputs[0]))
        self._buffers = [p.attached() for p in model.parameters.values()]
        self._buffers += model.state.buffers.values()
        self._version = self._versions()

    def _versions(self) -> int:
        return sum(buffer.version for buffer in self._buffers)

    @property
    def program(self) -> Program:
        """The program; run again as far as it was, if the weights have changed in between."""
        if self._version != self._versions():
            with self.model.guard.using():
                self._version = self._versions()
                if self.executed:
                    self._load()
                    self._program.run(0, self.executed)
        return self._program

    def run(self, stop: int) -> None:
        """Run operations from `executed` up to, not including, `stop`."""
        with self.model.guard.using():
            super().run(stop)

    @property
    def at_end(self) -> bool:
        """Whether the pass is over."""
        return self.batch > 0

    @property
    def start(self) -> Snapshot | None:
        """Nothing changes in a forward pass."""
        return None

    def go(self, epoch: int, batch: int, executed: int) -> None:
        """Wind to a place."""
        self.epoch, self.batch = epoch, batch
        if batch > 0:
            self.run(len(self.operations))
        elif executed < self.executed:
            self.executed = executed
        else:
            self.run(executed)

    def advance(self) -> None:
        """End the pass."""
        self.batch = 1

    def before(self, epoch: int, batch: int) -> tuple[int, int] | None:
        """Return the pass itself if it is over."""
        return (0, 0) if batch > 0 else None

    def contains(self, position: Position) -> bool:
        """Return whether a position lies in the pass, or is its end."""
        if position == Position(0, 1, "load", 0):
            return True
        return (position.epoch, position.batch) == (0, 0) and self._fits(position)

    def extent(self) -> str:
        """Say how long the pass is."""
        return f"this is one forward pass of {len(self.operations)} operations"

    def replace_images(self, images: Array) -> None:
        """Take other samples of the same count and run again as far as before."""
        arrays = self.model.check_inputs(self.model.arrange(images))
        if len(arrays[0]) != len(self._inputs[0]):
            raise ConfigurationError(
                f"Session: expected {len(self._inputs[0])} samples as before, "
                f"received {len(arrays[0])}"
            )
        executed, self._inputs, self.executed = self.executed, arrays, 0
        self.x = _single(arrays)
        self.run(executed)

    def _load(self) -> None:
        self._program.load(self._inputs)


def _single(arrays: list[Array]) -> Any:
    """Return the array of a model with one input, else a tuple of them."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


class TrainingTape(Tape):
    """A training run, batch after batch."""

    def __init__(self, scheduler: Scheduler, loader: Batches, epochs: int) -> None:
        super().__init__(scheduler.model)
        if epochs < 1:
            raise ConfigurationError(f"Session epochs: expected at least 1, received {epochs}")
        self.scheduler, self.loader = scheduler, loader
        with scheduler.exclusive("Session", self):
            self._turn = scheduler.turns
            self._record = scheduler.record_with(loader, "Session")
            if scheduler.batch >= len(loader):
                # Somebody stopped after an epoch's last batch: its end is still to do.
                scheduler.finish_epoch(len(loader))
            self.epoch, self.batch = scheduler.epoch, scheduler.batch
            self.last_epoch = scheduler.epoch + epochs
            self._origin = scheduler.global_step - scheduler.epoch * len(loader) - scheduler.batch
            self._first = (scheduler.epoch, scheduler.batch)
            self.timeline = Timeline()
            self._begin()

    @property
    def program(self) -> Program:
        """The program of the current batch.

        Raises
        ------
        StateError
            If somebody else has trained with the scheduler: then the memory holds another batch.
        """
        self._check_turn(self.scheduler.turns)
        return self._program

    def _check_turn(self, turns: int) -> None:
        if turns != self._turn:
            raise StateError(
                "Session: the scheduler was trained by fit or step since this session moved last, "
                "so what it stood at is gone; make a new Session(scheduler, loader=...)"
            )

    @contextlib.contextmanager
    def _moving(self) -> Iterator[None]:
        """Be the only one who trains, and nobody looks at half a movement."""
        with self.scheduler.exclusive("Session", self) as is_nested:
            if not is_nested:
                self._check_turn(self.scheduler.turns - 1)
                self._turn = self.scheduler.turns
            with self.model.guard.changing():
                yield

    def run(self, stop: int) -> None:
        """Run operations from `executed` up to, not including, `stop`."""
        with self._moving():
            super().run(stop)

    @property
    def at_end(self) -> bool:
        """Whether the last epoch is over."""
        return self.epoch >= self.last_epoch

    @property
    def start(self) -> Snapshot | None:
        """Everything that this batch may change, as it was before."""
        return self._start

    def _begin(self) -> None:
        """Fetch the batch the scheduler stands at and remember the state before it."""
        self.epoch, self.batch, self.executed = self.scheduler.epoch, self.scheduler.batch, 0
        self._start = self.scheduler.capture()
        self.scheduler.under_way = None
        self.timeline.add(self._start)
        if not self.at_end:
            self.x, self.y = self.loader.batch(self.epoch, self.batch)
            self._program = self.scheduler.program(length(self.y))

    def _load(self) -> None:
        self.scheduler.under_way = self._start
        if self.y is not None:
            self.scheduler.load_batch(self.program, self.x, self.y)

    def step_of(self, epoch: int, batch: int) -> int:
        """Return the global step of a batch."""
        return self._origin + epoch * len(self.loader) + batch

    def go(self, epoch: int, batch: int, executed: int) -> None:
        """Wind to a place; see `Tape.go`."""
        with self._moving():
            self._go(epoch, batch, executed)

    def _go(self, epoch: int, batch: int, executed: int) -> None:
        target = self.step_of(epoch, batch)
        now = self.scheduler.global_step
        back = target < now or (target == now and executed < self.executed)
        if back and not (target == now and self._back_within_batch(executed)):
            self.scheduler.restore(self.timeline.nearest(target))
            self._begin()
        while self.scheduler.global_step < target:
            self.run(len(self.operations))
            self.advance()
        if not self.at_end:
            self.run(executed)

    def advance(self) -> None:
        """Book the finished step and move to the next batch."""
        with self._moving():
            scheduler = self.scheduler
            scheduler.book(self._program, self.y)
            scheduler.record = self._record
            if scheduler.batch == len(self.loader):
                scheduler.finish_epoch(len(self.loader))
            self._begin()

    def before(self, epoch: int, batch: int) -> tuple[int, int] | None:
        """Return epoch and batch before the given ones, or None at the beginning."""
        if (epoch, batch) <= self._first:
            return None
        return (epoch, batch - 1) if batch else (epoch - 1, len(self.loader) - 1)

    def contains(self, position: Position) -> bool:
        """Return whether a position lies in the run, or is its end."""
        if position == Position(self.last_epoch, 0, "load", 0):
            return True
        place = (position.epoch, position.batch)
        inside = self._first <= place < (self.last_epoch, 0)
        return inside and 0 <= position.batch < len(self.loader) and self._fits(position)

    def extent(self) -> str:
        """Say from where to where the run goes."""
        return (
            f"it goes from epoch {self._first[0]}, batch {self._first[1]} to the end of epoch "
            f"{self.last_epoch - 1}, with {len(self.loader)} batches of {len(self.operations)} "
            "operations in an epoch"
        )
