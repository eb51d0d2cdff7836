"""A run that can be wound to any operation: forward by running, back by restoring and replaying.

Replaying gives the same bits, because every kernel has one order of accumulation and every random
number belongs to a seed and a step.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from engine.debug.position import Position
from engine.debug.timeline import Timeline
from engine.errors import ConfigurationError, DataError
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
    x, y : arrays
        The current batch; `y` is None without targets.
    timings : dict
        Milliseconds of the newest run of an operation, by (phase, layer).
    """

    program: Program
    x: Array
    y: Array | None

    def __init__(self, model: Model) -> None:
        self.model = model
        self.epoch = self.batch = self.executed = 0
        self.timings: dict[tuple[str, str], float] = {}

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
        """Go back without restoring if the operations in between left nothing behind."""
        passed = self.operations[executed : self.executed]
        if any(operation.changes_state for operation in passed):
            return False
        self.executed = executed
        return True


class ForwardTape(Tape):
    """One forward pass over a few samples."""

    def __init__(self, model: Model, images: Array) -> None:
        super().__init__(model)
        (self.x,) = model.check_inputs((images,))
        if not len(self.x):
            raise DataError("Session: expected at least one sample, received none")
        self.y = None
        # A program of its own: predictions in between must not overwrite what is looked at.
        self.program = Program(model, len(self.x))

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
        (array,) = self.model.check_inputs((images,))
        if len(array) != len(self.x):
            raise ConfigurationError(
                f"Session: expected {len(self.x)} samples as before, received {len(array)}"
            )
        executed, self.x, self.executed = self.executed, array, 0
        self.run(executed)

    def _load(self) -> None:
        self.program.load([self.x])


class TrainingTape(Tape):
    """A training run, batch after batch."""

    def __init__(self, scheduler: Scheduler, loader: Batches, epochs: int) -> None:
        super().__init__(scheduler.model)
        if epochs < 1:
            raise ConfigurationError(f"Session epochs: expected at least 1, received {epochs}")
        self.scheduler, self.loader = scheduler, loader
        self.epoch, self.batch = scheduler.epoch, scheduler.batch
        self.last_epoch = scheduler.epoch + epochs
        self._origin = scheduler.global_step - scheduler.epoch * len(loader) - scheduler.batch
        self._first = (scheduler.epoch, scheduler.batch)
        self.timeline = Timeline()
        self._begin()

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
            self.program = self.scheduler.program(len(self.y))

    def _load(self) -> None:
        self.scheduler.under_way = self._start
        if self.y is not None:
            self.scheduler.load_batch(self.program, self.x, self.y)

    def step_of(self, epoch: int, batch: int) -> int:
        """Return the global step of a batch."""
        return self._origin + epoch * len(self.loader) + batch

    def go(self, epoch: int, batch: int, executed: int) -> None:
        """Wind to a place; see `Tape.go`."""
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
        scheduler = self.scheduler
        history = scheduler.history
        history.steps.append(float(self.program.read("loss.output")[0]))
        if self.y is not None:
            history.tally(scheduler.correct_predictions(self.program, self.y), len(self.y))
        scheduler.global_step += 1
        scheduler.batch += 1
        if scheduler.batch == len(self.loader):
            scheduler.batch, scheduler.epoch = 0, scheduler.epoch + 1
            accuracy = history.finish_epoch(len(self.loader))
            if accuracy is not None:
                history.accuracies.append(accuracy)
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
