"""Training in short pieces, so that the worker hears commands between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gui.models.state import Task
from gui.worker.mailbox import EpochScalar, StepScalar

if TYPE_CHECKING:
    from engine import Scheduler
    from engine.data import DataLoader, Dataset
    from engine.events import Event

PIECE_S = 0.02
"""Wished length of one piece; stop, pause and pictures come between two of them."""
LONGEST_PIECE = 64
"""Batches."""
EVALUATED = 1000
"""Samples of the test set that the curve's accuracy is measured on after an epoch."""


class Trainer:
    """A training run of a scheduler.

    Parameters
    ----------
    scheduler : Scheduler
    loader : DataLoader
    validation : Dataset
        Its first thousand samples are evaluated after each epoch.
    tell : callable
        Takes StepScalar and EpochScalar records.
    task : callable
        Takes the state of the epoch for the activity list.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        loader: DataLoader,
        validation: Dataset,
        tell: Callable[[object], None],
        task: Callable[[Task], None],
    ) -> None:
        self.scheduler, self.loader = scheduler, loader
        self.validation = validation.subset(range(min(EVALUATED, len(validation))))
        self._tell, self._task = tell, task
        self.running = False
        self._left: int | None = None
        self._piece = 1
        self._told = 0.0
        self._unsubscribe = scheduler.listen(self._hear)

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return len(self.loader)

    def start(self, steps: int, epochs: int) -> None:
        """Begin: a number of steps, to the end of so many epochs, or (0, 0) without end."""
        if epochs:
            steps = epochs * self.batches - self.scheduler.batch
        self._left = steps or None
        self.running = True

    def pause(self) -> None:
        """Stand still after the piece in progress."""
        self.running = False
        self._task(Task("train", "Training", f"{self.scheduler.global_step:,} steps", 1, 1, True))

    def interrupt(self) -> None:
        """Make the piece in progress end after its batch; called from the window's thread."""
        self.scheduler.stop()

    def close(self) -> None:
        """Stop listening to the scheduler."""
        self.running = False
        self._unsubscribe()

    def work(self) -> None:
        """Train one piece; it ends with its epoch at the latest."""
        steps = min(self._piece, self.batches - self.scheduler.batch)
        if self._left is not None:
            steps = min(steps, self._left)
        before, start = self.scheduler.global_step, time.perf_counter()
        self.scheduler.fit(self.loader, steps=steps, validation=self.validation)
        elapsed = time.perf_counter() - start
        made = self.scheduler.global_step - before
        if made == steps:
            wished = int(steps * PIECE_S / max(elapsed, 1e-6))
            self._piece = max(1, min(wished, 4 * steps, LONGEST_PIECE))
        if self._left is not None:
            self._left -= made
            if self._left <= 0:
                self.pause()

    def _hear(self, event: Event) -> None:
        from engine.events import EpochFinished, StepFinished

        if isinstance(event, EpochFinished):
            step = self.scheduler.global_step
            self._tell(EpochScalar(step, event.epoch, event.loss, event.accuracy))
        elif isinstance(event, StepFinished):
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
                )
            )
            self._progress(event.epoch, event.batch)

    def _progress(self, epoch: int, batch: int) -> None:
        now = time.monotonic()
        if self.running and now - self._told > 0.2:
            self._told = now
            self._task(Task("train", f"Training, epoch {epoch}", "", batch + 1, self.batches))
