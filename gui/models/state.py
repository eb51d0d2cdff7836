"""The models of the app: selection, playback, curves, tasks and the newest snapshot."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from psygnal import Signal

from gui.models.interest import Interest
from gui.models.snapshot import RunInfo, Snapshot, State


class SessionModel:
    """The open run and the newest snapshot of it."""

    run_changed = Signal(object)
    snapshot_changed = Signal(object)
    state_changed = Signal(str)

    def __init__(self) -> None:
        self.run: RunInfo | None = None
        self.snapshot: Snapshot | None = None
        self.state: State = "loading"

    def set_run(self, run: RunInfo) -> None:
        """Take a newly opened run; what was shown of the old one is void."""
        self.run = run
        self.snapshot = None
        self.run_changed.emit(run)

    def set_snapshot(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot."""
        self.snapshot = snapshot
        self.set_state(snapshot.state)
        self.snapshot_changed.emit(snapshot)

    def set_state(self, state: State) -> None:
        """Take the worker's state; tells only changes."""
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)


class SelectionModel:
    """What the panels show; it follows the cursor until one is picked."""

    changed = Signal()

    def __init__(self) -> None:
        self.layer: str | None = None
        self.tensor: str | None = None
        self.index: tuple[int, ...] | None = None
        self.kernel: tuple[int, int] = (0, 0)

    @property
    def following(self) -> bool:
        """True while everything shown is the cursor's own place."""
        return self.layer is None and self.tensor is None and self.index is None

    def follow(self) -> None:
        """Show the cursor's place again."""
        self.select(None, None, None)

    def select(
        self, layer: str | None, tensor: str | None = None, index: tuple[int, ...] | None = None
    ) -> None:
        """Select an element, or with a None a field that follows the cursor."""
        if (layer, tensor, index) != (self.layer, self.tensor, self.index):
            self.layer, self.tensor, self.index = layer, tensor, index
            self.changed.emit()

    def interest(self, panels: frozenset[str]) -> Interest:
        """Return what the worker should compute for these panels."""
        return Interest(panels, self.layer, self.tensor, self.index)


class PlaybackModel:
    """Whether steps run by themselves, and how fast."""

    changed = Signal()
    slowest = 1.0
    fastest = 10_000.0

    def __init__(self) -> None:
        self.playing = False
        self.speed = 30.0

    def set_playing(self, playing: bool) -> None:
        """Start or stop; tells only changes."""
        if playing != self.playing:
            self.playing = playing
            self.changed.emit()

    def set_speed(self, speed: float) -> None:
        """Set the steps per second, kept within 1 and 10,000."""
        speed = min(max(speed, self.slowest), self.fastest)
        if speed != self.speed:
            self.speed = speed
            self.changed.emit()


@dataclass
class CurvesModel:
    """Loss and accuracy of the training, every value kept.

    The lists grow at the end, so a view takes what lies past the length it knows. Where steps are
    made again (a debugger went back, or a step did not count) the old values go; `revision` tells.

    Attributes
    ----------
    tested : int
        Samples that the newest validation accuracy was measured on; 0 where nobody kept it.
    note : str
        What a reader must know beside that accuracy.
    rate : float or None
        Learning rate of the newest step.
    """

    appended = Signal()
    cleared = Signal()
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    accuracy_steps: list[int] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    validation_steps: list[int] = field(default_factory=list)
    validation_accuracies: list[float] = field(default_factory=list)
    epoch: int = 0
    batch: int = 0
    samples_per_second: float = 0.0
    tested: int = 0
    note: str = ""
    rate: float | None = None
    revision: int = 0

    def add_losses(self, steps: Sequence[int], losses: Sequence[float]) -> None:
        """Append the losses of finished steps."""
        for step, loss in zip(steps, losses, strict=True):
            if self.steps and step <= self.steps[-1]:
                self.cut(step)
            self.steps.append(step)
            self.losses.append(loss)

    def cut(self, step: int) -> None:
        """Forget what was measured from a step on; an accuracy at its start stays."""
        self.revision += 1
        for xs, ys, first in (
            (self.steps, self.losses, step),
            (self.accuracy_steps, self.accuracies, step),
            (self.validation_steps, self.validation_accuracies, step + 1),
        ):
            kept = bisect_left(xs, first)
            del xs[kept:], ys[kept:]

    def add_accuracy(self, step: int, accuracy: float) -> None:
        """Append the share of right predictions over the latest training batches."""
        self.accuracy_steps.append(step)
        self.accuracies.append(accuracy)

    def add_validation(self, step: int, accuracy: float, samples: int = 0, note: str = "") -> None:
        """Append the accuracy on the validation set after an epoch."""
        self.validation_steps.append(step)
        self.validation_accuracies.append(accuracy)
        self.tested, self.note = samples, note

    def clear(self) -> None:
        """Forget everything; a new run was opened."""
        for values in (
            self.steps,
            self.losses,
            self.accuracy_steps,
            self.accuracies,
            self.validation_steps,
            self.validation_accuracies,
        ):
            values.clear()
        self.epoch = self.batch = self.tested = 0
        self.samples_per_second, self.note, self.rate = 0.0, "", None
        self.revision += 1
        self.cleared.emit()


ETA_AFTER_S = 2.0
"""A job that has been going for less than this long is given no estimate."""
ETA_MEMORY = 0.3
"""Weight of the newest pace in the moving average."""


@dataclass
class Pace:
    """How fast a job advances, to say when it will be done."""

    began: float
    seen: float
    done: int
    per_s: float | None = None

    def note(self, done: int, now: float) -> None:
        """Take how far the job is."""
        if done > self.done and now > self.seen:
            pace = (done - self.done) / (now - self.seen)
            old = self.per_s
            self.per_s = pace if old is None else old + ETA_MEMORY * (pace - old)
            self.done, self.seen = done, now

    def left_s(self, total: int, now: float) -> float | None:
        """Return the seconds to the end, never less than 0; None where nothing can be said yet."""
        if self.per_s is None or total <= self.done or now - self.began < ETA_AFTER_S:
            return None
        return max((total - self.done) / self.per_s - (now - self.seen), 0.0)


def left_text(seconds: float | None) -> str:
    """Return ``about 12 s left``, or nothing."""
    if seconds is None:
        return ""
    whole = max(math.ceil(seconds), 1)
    return f"about {whole} s left" if whole < 90 else f"about {round(whole / 60)} min left"


@dataclass(frozen=True, slots=True)
class Task:
    """A job in the background: reading a file, compiling kernels, an epoch of training."""

    key: str
    title: str
    detail: str = ""
    done: int = 0
    total: int = 0
    finished: bool = False


class ActivityModel:
    """The list of background jobs, newest state of each, and when each will be done."""

    changed = Signal()

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.tasks: dict[str, Task] = {}
        self._paces: dict[str, Pace] = {}
        self._clock = clock

    def update(self, task: Task) -> None:
        """Take the newest state of a job."""
        self.tasks[task.key] = task
        now, pace = self._clock(), self._paces.get(task.key)
        if task.finished:
            self._paces.pop(task.key, None)
        elif pace is None or task.done < pace.done:
            self._paces[task.key] = Pace(now, now, task.done)
        else:
            pace.note(task.done, now)
        self.changed.emit()

    def left_s(self, task: Task) -> float | None:
        """Return about how many seconds a job still takes, if that can be said."""
        pace = self._paces.get(task.key)
        return pace.left_s(task.total, self._clock()) if pace is not None else None

    @property
    def running(self) -> list[Task]:
        """The jobs that are not finished."""
        return [task for task in self.tasks.values() if not task.finished]
