"""Training in short pieces, so that the worker hears commands between them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gui.models.state import Task
from gui.worker.mailbox import EpochScalar, StepScalar

if TYPE_CHECKING:
    from engine import Scheduler
    from engine.data import DataLoader, Dataset
    from engine.events import EpochFinished, Event, StepFinished
    from engine.scheduler import Snapshot

PIECE_S = 0.02
"""Wished length of one piece; stop, pause and pictures come between two of them."""
LONGEST_PIECE = 64
"""Batches."""


class _GivenUp(Exception):
    """Leaves an evaluation from within a listener; the next piece begins it anew."""


def finite(snapshot: Snapshot) -> bool:
    """Tell whether parameters, moments and state hold neither NaN nor Inf."""
    arrays = [*snapshot.parameters.values(), *snapshot.state.values()]
    arrays += [moment for moments in snapshot.moments.values() for moment in moments]
    return all(bool(np.isfinite(array).all()) for array in arrays)


class Trainer:
    """A training run of a scheduler.

    Parameters
    ----------
    scheduler : Scheduler
    loader : DataLoader
    validation : Dataset
        All of it is evaluated after each epoch, by `fit` itself, so that the run has the same
        history as one from the command line.
    tell : callable
        Takes StepScalar and EpochScalar records.
    task : callable
        Takes the state of the epoch for the activity list.
    wanted : callable
        Tells whether the person waits for something; an evaluation is given up then.

    Attributes
    ----------
    stop_at_bad : bool
        Stop at the start of the step whose loss, or whose update, is not finite.
    bad : bool
        Whether that has happened: the scheduler stands before that step, which does not count.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        loader: DataLoader,
        validation: Dataset,
        tell: Callable[[object], None],
        task: Callable[[Task], None],
        wanted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.scheduler, self.loader, self.validation = scheduler, loader, validation
        self._tell, self._task, self._wanted = tell, task, wanted
        self.running = False
        self.stop_at_bad = True
        self.bad = False
        self._left: int | None = None
        self._piece = 1
        self._told = 0.0
        self._quiet = False
        self._patient = False
        self._interrupted = False
        self._seen_bad = False
        self._good: Snapshot | None = None
        self._unsubscribe = scheduler.listen(self._hear)

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return len(self.loader)

    @property
    def unfinished(self) -> bool:
        """Whether the epoch's last step is made, but not its evaluation."""
        return self.scheduler.batch >= self.batches

    def start(self, steps: int, epochs: int) -> None:
        """Begin: a number of steps, to the end of so many epochs, or (0, 0) without end."""
        if epochs:
            first = 0 if self.unfinished else self.scheduler.batch
            steps = epochs * self.batches - first
        self._left = steps or None
        self.bad = False
        self._good = None  # weights may have been changed meanwhile
        self.running = True

    def pause(self) -> None:
        """Stand still after the piece in progress."""
        self.running = False
        self._task(Task("train", "Training", f"{self.scheduler.global_step:,} steps", 1, 1, True))

    def interrupt(self) -> None:
        """Make the piece in progress end after its batch; called from the window's thread."""
        self._interrupted = True
        self.scheduler.stop()

    def finish(self) -> None:
        """Make the evaluation that an epoch still lacks; a file shall not be without it."""
        if self.unfinished:
            self._patient = True
            try:
                self._fit(0)
            finally:
                self._patient = False

    def close(self) -> None:
        """Stop listening to the scheduler."""
        self.running = False
        self._unsubscribe()

    def work(self) -> None:
        """Train one piece; it ends with its epoch at the latest."""
        self._interrupted = False
        if self.unfinished:
            self._good = None
            self._fit(0)
            self._end_if_done()
            return
        if self.stop_at_bad and not self._captured():
            self._stop_here()
            return
        start = self._good if self.stop_at_bad else None
        steps = min(self._piece, self.batches - self.scheduler.batch)
        if self._left is not None:
            steps = min(steps, self._left)
        before, begin = self.scheduler.global_step, time.perf_counter()
        self._seen_bad = False
        self._fit(steps)
        elapsed = time.perf_counter() - begin
        made = self.scheduler.global_step - before
        self._good = None
        if start is not None and (self._seen_bad or not self._captured()):
            self._back_to_bad(start, made)
            return
        if made == steps:
            wished = int(steps * PIECE_S / max(elapsed, 1e-6))
            self._piece = max(1, min(wished, 4 * steps, LONGEST_PIECE))
        if self._left is not None:
            self._left -= made
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._left is not None and self._left <= 0 and not self.unfinished:
            self.pause()

    def _fit(self, steps: int) -> None:
        try:
            self.scheduler.fit(self.loader, steps=steps, validation=self.validation)
        except _GivenUp:
            return

    # --- numbers that are not finite ------------------------------------------------------------

    def _captured(self) -> bool:
        """Remember the state as it is between two pieces; tell whether all of it is finite."""
        if self._good is None:
            self._good = self.scheduler.capture()
            if not finite(self._good):
                self._good = None
        return self._good is not None

    def _stop_here(self) -> None:
        self.bad = True
        self.pause()

    def _back_to_bad(self, start: Snapshot, made: int) -> None:
        """Go to the start of the first step of a piece that spoils something.

        A gradient that is not finite shows in the weights after its step, and in the loss only
        after the next one. Every step can be made again with the same bits, so it is looked for
        one by one.
        """
        scheduler = self.scheduler
        scheduler.restore(start)
        self._quiet = True
        try:
            for _ in range(made):
                before = scheduler.capture()
                self._seen_bad = False
                self._fit(1)
                if self._seen_bad or not finite(scheduler.capture()):
                    scheduler.restore(before)
                    break
        finally:
            self._quiet = False
        self._stop_here()

    # --- what the scheduler tells ---------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        from engine.events import EpochFinished, EvaluationProgress, StepFinished

        if isinstance(event, StepFinished):
            if self.stop_at_bad and not math.isfinite(event.loss):
                self._seen_bad = True
                self.scheduler.stop()
            if not self._quiet:
                self._tell_step(event)
        elif isinstance(event, EvaluationProgress) and (self.running or self._patient):
            if self._quiet or (self._seen_bad and not self._patient):
                raise _GivenUp
            if not self._patient and (self._interrupted or self._wanted()):
                raise _GivenUp
            self._task(Task("train", "Evaluating the test set", "", event.done, event.total))
        elif isinstance(event, EpochFinished):
            self._tell_epoch(event)

    def _tell_step(self, event: StepFinished) -> None:
        self._tell(
            StepScalar(
                event.step,
                event.epoch,
                event.batch,
                event.loss,
                event.samples,
                event.correct,
                event.elapsed_ms,
                event.counted,
                event.learning_rate,
            )
        )
        now = time.monotonic()
        if self.running and now - self._told > 0.2:
            self._told = now
            title = f"Training, epoch {event.epoch}"
            self._task(Task("train", title, "", event.batch + 1, self.batches))

    def _tell_epoch(self, event: EpochFinished) -> None:
        self._tell(
            EpochScalar(
                self.scheduler.global_step,
                event.epoch,
                event.loss,
                event.accuracy,
                True,
                len(self.validation),
                event.note,
            )
        )
