"""How training is shown while it runs: a progress bar for people, JSON lines for scripts."""

from __future__ import annotations

import contextlib
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from engine.commands.output import Output, duration, percent
from engine.events import (
    Compiling,
    EpochFinished,
    EvaluationProgress,
    Event,
    FitFinished,
    FitStarted,
    StepFinished,
)
from engine.scheduler import Scheduler

RECENT = 50
"""Steps over which the shown loss and accuracy are averaged."""


class Reporter(contextlib.AbstractContextManager["Reporter"]):
    """Listens to a scheduler while it trains; a context manager around `fit`."""

    def __init__(self, output: Output, epochs: int) -> None:
        self.output, self.epochs = output, epochs

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End whatever is drawn; by default there is nothing."""
        return

    def __call__(self, event: Event) -> None:
        """Take an event of the scheduler."""
        if isinstance(event, EpochFinished):
            self.epoch(event)
        elif isinstance(event, FitFinished) and event.note:
            self.end(event)

    def end(self, event: FitFinished) -> None:
        """Say what one should know about the end."""
        self.output.json(event="note", note=event.note, diverged=event.diverged)
        self.output.line(event.note, "yellow")

    @abstractmethod
    def epoch(self, event: EpochFinished) -> None:
        """Say what an epoch has brought."""


class JsonReporter(Reporter):
    """One JSON object for each epoch."""

    def epoch(self, event: EpochFinished) -> None:
        """Say what an epoch has brought."""
        self.output.json(
            event="epoch",
            epoch=event.epoch + 1,
            loss=event.loss,
            test_loss=event.validation_loss,
            accuracy=event.accuracy,
            seconds=round(event.elapsed_ms / 1e3, 3),
            **({"note": event.note} if event.note else {}),
        )


class LineReporter(Reporter):
    """One line for each epoch."""

    def epoch(self, event: EpochFinished) -> None:
        """Say what an epoch has brought."""
        width = len(str(self.epochs))
        parts = [f"{event.epoch + 1:{width}}/{self.epochs} epochs", f"loss {event.loss:.4f}"]
        if event.validation_loss is not None:
            parts.append(f"test loss {event.validation_loss:.4f}")
        if event.accuracy is not None:
            parts.append(f"test accuracy {percent(event.accuracy)}")
        self.output.line("   ".join([*parts, duration(event.elapsed_ms / 1e3)]))
        if event.note:
            self.output.line(event.note, "yellow")


class BarReporter(LineReporter):
    """A bar with the time left, loss and accuracy; above it one line for each epoch."""

    def __init__(self, output: Output, epochs: int) -> None:
        super().__init__(output, epochs)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}", markup=False),
            console=output.console,
            transient=True,
            expand=True,
            refresh_per_second=8,
        )
        self._task = self.progress.add_task("preparing", total=None, figures="")
        self._losses: deque[float] = deque(maxlen=RECENT)
        self._right: deque[tuple[int, int]] = deque(maxlen=RECENT)
        self._steps = 0
        self._drawn = 0.0

    def __enter__(self) -> BarReporter:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self.progress.stop()

    def __call__(self, event: Event) -> None:
        """Move the bar; once in a while, for drawing costs more than a small step."""
        super().__call__(event)
        if isinstance(event, FitStarted):
            self._steps = event.steps
        elif isinstance(event, Compiling):
            self._describe(f"kernel {event.number + 1}/{event.total} {event.kernel}")
        elif isinstance(event, EvaluationProgress):
            self._describe(f"testing {percent(event.done / event.total)}")
        elif isinstance(event, StepFinished):
            self._step(event)

    def _describe(self, text: str) -> None:
        self.progress.update(self._task, description=text)

    def _step(self, event: StepFinished) -> None:
        self._losses.append(event.loss)
        if event.correct is not None and event.counted:
            self._right.append((event.correct, event.counted))
        now = time.monotonic()
        if now - self._drawn < 0.1:
            self.progress.update(self._task, advance=1)
            return
        self._drawn = now
        figures = f"loss {sum(self._losses) / len(self._losses):.4f}"
        if self._right:
            right, seen = (sum(column) for column in zip(*self._right, strict=True))
            figures += f" accuracy {right / seen:.3f}"
        self.progress.update(
            self._task,
            advance=1,
            total=self._steps,
            figures=figures,
            description=f"epoch {event.epoch} of {self.epochs}",
        )


def reporter(output: Output, epochs: int) -> Reporter:
    """Return the reporter that fits: JSON, a bar in a terminal, or lines in a file or pipe."""
    if output.as_json:
        return JsonReporter(output, epochs)
    return (BarReporter if output.console.is_terminal else LineReporter)(output, epochs)


@contextlib.contextmanager
def watched(scheduler: Scheduler, output: Output) -> Iterator[None]:
    """Show in a terminal how far an evaluation of `scheduler` has come."""
    if output.as_json or not output.console.is_terminal:
        yield
        return
    with output.console.status("testing") as status:

        def tell(event: Event) -> None:
            if isinstance(event, EvaluationProgress):
                status.update(f"testing {event.done:,} of {event.total:,}")

        end = scheduler.listen(tell)
        try:
            yield
        finally:
            end()
