"""The models of the app: selection, playback, curves, tasks and the newest snapshot."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
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
    made anew, `cuts` grows, and a view begins again.
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
    cuts: int = 0

    def add_losses(self, steps: Sequence[int], losses: Sequence[float]) -> None:
        """Append the losses of finished steps; a step made anew ends what was there after it."""
        if steps and self.steps and steps[0] <= self.steps[-1]:
            self.cut(steps[0])
        self.steps.extend(steps)
        self.losses.extend(losses)

    def add_accuracy(self, step: int, accuracy: float) -> None:
        """Append the share of right predictions over the latest training batches."""
        self.accuracy_steps.append(step)
        self.accuracies.append(accuracy)

    def add_validation(self, step: int, accuracy: float) -> None:
        """Append the accuracy on the validation set after an epoch."""
        self.validation_steps.append(step)
        self.validation_accuracies.append(accuracy)

    def cut(self, step: int) -> None:
        """Forget what belongs to a step or comes after it."""
        self.cuts += 1
        kept = bisect_left(self.steps, step)
        del self.steps[kept:], self.losses[kept:]
        for steps, values in (
            (self.accuracy_steps, self.accuracies),
            (self.validation_steps, self.validation_accuracies),
        ):
            kept = bisect_right(steps, step)
            del steps[kept:], values[kept:]

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
        self.epoch = self.batch = 0
        self.cleared.emit()


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
    """The list of background jobs, newest state of each."""

    changed = Signal()

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}

    def update(self, task: Task) -> None:
        """Take the newest state of a job."""
        self.tasks[task.key] = task
        self.changed.emit()

    @property
    def running(self) -> list[Task]:
        """The jobs that are not finished."""
        return [task for task in self.tasks.values() if not task.finished]
