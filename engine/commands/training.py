"""Carrying out a training: watched, interrupted, saved whatever happens."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine import Scheduler
from engine.commands.interrupt import ignore_endings, on_interrupt
from engine.commands.keeping import Keeper, finite
from engine.commands.output import Diverged, Interrupted, Output, duration, memory_text, percent
from engine.commands.progress import Reporter, reporter
from engine.debug.wording import batch_words
from engine.errors import EngineError, FormatError, StateError
from engine.events import (
    Compiling,
    EpochFinished,
    EvaluationProgress,
    Event,
    FitFinished,
    StepFinished,
)

if TYPE_CHECKING:
    from engine.commands.train import Plan


class _Left(Exception):
    """Leaves `fit` from within a listener, where no step is half done."""


class _Watcher:
    """Listens to a run: shows it, saves it now and then, and ends it when that is asked for.

    Parameters
    ----------
    scheduler : Scheduler
    report : Reporter
    keeper : Keeper
        Saves it.

    Attributes
    ----------
    signals : sequence of int
        Those that have asked to end.
    reason : str
        Why `fit` ended.
    diverged : str
        Where the numbers became NaN or Inf, in words; empty while they are all right.
    """

    def __init__(self, scheduler: Scheduler, report: Reporter, keeper: Keeper) -> None:
        self.scheduler, self.report, self.keeper = scheduler, report, keeper
        self.signals: Sequence[int] = ()
        self.reason, self.diverged = "stopped", ""

    def __call__(self, event: Event) -> None:
        """Take an event of the scheduler."""
        self.report(event)
        if self.signals:
            self._heed(event)
        if isinstance(event, StepFinished):
            if not math.isfinite(event.loss) and not finite(self.scheduler):
                self._end(
                    f"the loss became {event.loss} at {batch_words(event.epoch, event.batch)}"
                )
        elif isinstance(event, EpochFinished):
            self._epoch(event)
        elif isinstance(event, FitFinished):
            self.reason = event.reason

    def _heed(self, event: Event) -> None:
        """End the run after this step; a second signal does not wait for a measurement either.

        Who goes on from there measures again: the epoch is not booked before that.
        """
        self.scheduler.stop()  # again, for `fit` forgets at its start what was asked before
        if isinstance(event, Compiling):
            raise _Left
        if isinstance(event, EvaluationProgress) and len(self.signals) > 1:
            raise _Left

    def _epoch(self, event: EpochFinished) -> None:
        """Keep an epoch that ended well; end the run after one that did not."""
        measured = event.validation_loss
        if self.diverged:
            return
        if measured is not None and not math.isfinite(measured):
            self._end(f"the test loss is {measured} after epoch {event.epoch}")
        elif not self.keeper.epoch():
            self._end(f"a weight is not finite after epoch {event.epoch}")

    def _end(self, text: str) -> None:
        self.diverged = self.diverged or text
        self.scheduler.stop()


def carry_out(plan: Plan, out: Output, target: Path | None) -> None:
    """Train, save, and say how it went.

    Raises
    ------
    Interrupted
        If somebody wanted it to end earlier; the run is saved then.
    Diverged
        If it ended in NaN or Inf.
    EngineError
        If it cannot go on or cannot be saved; what there is is saved first, if need be elsewhere.
    """
    scheduler = plan.scheduler
    report = reporter(out, plan.epochs)
    keeper = Keeper(scheduler, target, out)
    watcher = _Watcher(scheduler, report, keeper)
    first = scheduler.global_step
    end = scheduler.listen(watcher)
    begin = time.perf_counter()
    try:
        with on_interrupt(scheduler.stop, lambda: None) as watcher.signals, report:
            try:
                with contextlib.suppress(_Left):
                    scheduler.fit(
                        plan.loader, epochs=plan.epochs - scheduler.epoch, validation=plan.data.test
                    )
            except Exception as error:
                if scheduler.global_step == first:
                    raise
                if not watcher.diverged and finite(scheduler):
                    raise _failed(scheduler, keeper, error) from error
            if not (watcher.diverged or finite(scheduler)):
                watcher.diverged = "a weight is not finite after the last step"
            if watcher.diverged:
                raise _diverged(plan, out, keeper, watcher.diverged)
            # Who interrupts before the first step did not mean to lose what the file holds.
            unchanged = scheduler.global_step == first and target is not None and target.exists()
            if not unchanged:
                keeper.save()
            if watcher.reason != "finished":
                ignore_endings()
                raise _left(scheduler, out, target, unchanged)
    finally:
        end()
    _conclude(plan, out, target, time.perf_counter() - begin)


def _failed(scheduler: Scheduler, keeper: Keeper, error: Exception) -> Exception:
    """Save a run that an error has ended; return what to raise."""
    place = batch_words(scheduler.epoch, scheduler.batch)
    text = memory_text(error) if isinstance(error, MemoryError) else str(error)
    try:
        where = keeper.save()
    except FormatError as problem:
        return StateError(f"{text}; {problem}")
    if where is None:
        return error
    if not isinstance(error, (EngineError, MemoryError, OSError)):
        keeper.out.line(f"{place}: saved to {where}", fold=False)
        return error
    return StateError(f"{text}; the run was saved as it was at {place}, to {where}")


def _diverged(plan: Plan, out: Output, keeper: Keeper, what: str) -> Diverged:
    """Save a run that ended in NaN; return what ends the command.

    The file that was asked for gets the last epoch that ended well, or stays as it is if there was
    none: weights that work are never replaced by weights that do not.
    """
    scheduler = plan.scheduler
    rate = scheduler.optimizer.rate(max(scheduler.global_step - 1, 0))
    hint = f"{what}; a learning rate smaller than {rate:g} may help"
    broken: object
    try:
        broken = keeper.save_broken()
    except FormatError as error:  # the weights that work are still to be saved
        broken = error
    epoch = keeper.restore()
    saved = keeper.save() if epoch is not None else None
    out.json(event="diverged", reason=what, epochs=epoch, output=saved, broken=broken)
    if keeper.target is None:
        return Diverged(f"{hint}; not saved, because there is no --output")
    kept = (
        f"{saved} has the run as it was after {epoch} epoch{'s' * (epoch != 1)}"
        if saved is not None
        else f"no epoch ended well, {keeper.target} was not written"
    )
    rest = (
        f"the broken weights: {broken}"
        if isinstance(broken, FormatError)
        else f"{broken} has the broken weights"
    )
    return Diverged(f"{hint}; {kept}, {rest}")


def _left(scheduler: Scheduler, out: Output, target: Path | None, unchanged: bool) -> Interrupted:
    """Return what ends the command before the run is finished."""
    place = batch_words(scheduler.epoch, scheduler.batch)
    out.json(
        event="stopped",
        epoch=scheduler.epoch,
        batch=scheduler.batch,
        steps=scheduler.global_step,
        output=target,
    )
    if target is None:
        return Interrupted(f"interrupted at {place}; not saved, because there is no --output")
    if unchanged:
        return Interrupted(f"interrupted at {place}, before a step was made; {target} is unchanged")
    return Interrupted(
        f"interrupted at {place}; saved, go on with: convscope train --resume {target} --output "
        f"{target}"
    )


def _conclude(plan: Plan, out: Output, target: Path | None, seconds: float) -> None:
    history = plan.scheduler.history
    accuracy = history.accuracies[-1] if history.accuracies else math.nan
    loss = history.validations[-1] if history.validations else math.nan
    out.json(
        event="end",
        accuracy=accuracy,
        loss=loss,
        epochs=plan.epochs,
        steps=plan.scheduler.global_step,
        seconds=round(seconds, 3),
        output=target,
    )
    out.line(
        f"test accuracy {percent(accuracy)}, test loss {loss:.4f} after {plan.epochs} "
        f"epoch{'s' * (plan.epochs != 1)}, {duration(seconds)}",
        style="bold",
    )
    if target is not None:
        out.line(f"saved to {target}", fold=False)
    else:
        out.line("not saved; --output FILE would")
