"""Takes what the worker has left and tells the models; runs in the window's thread."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import QObject, QTimer

from gui.controllers.desk import Desk
from gui.models.state import Task
from gui.worker.mailbox import EpochScalar, StepScalar
from gui.worker.watchdog import Watchdog

INTERVAL_MS = 16
SMOOTHED_BATCHES = 20


class Poll(QObject):
    """A timer of 16 ms; everything it does is bounded by what one frame can show."""

    def __init__(self, desk: Desk, watchdog: Watchdog, draw: Callable[[], None]) -> None:
        super().__init__()
        self._desk, self._watchdog, self._draw = desk, watchdog, draw
        self._recent: list[tuple[int, int]] = []
        self.answered: dict[str, Callable[[object], None]] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self.tick)

    def start(self) -> None:
        """Start to poll."""
        self._timer.start()

    def stop(self) -> None:
        """Stop polling."""
        self._timer.stop()

    def tick(self) -> None:
        """Take everything that waits."""
        self._watchdog.beat()
        desk, outlets = self._desk, self._desk.worker.outlets
        desk.worker.deliver()
        for notice in outlets.notices.take_all():
            desk.notify(notice.level, notice.text, notice.detail)
        for task in outlets.tasks.take_all():
            desk.activity.update(task)
        for run in outlets.runs.take_all():
            self._recent.clear()
            desk.curves.clear()
            desk.selection.follow()
            desk.session.set_run(run)
        self._take_scalars()
        for name, answer in outlets.answers.take_all():
            if name in self.answered:
                self.answered[name](answer)
        snapshot = outlets.snapshots.take()
        if snapshot is not None:
            desk.session.set_snapshot(snapshot)
        if desk.worker.state in ("failed", "running"):
            desk.session.set_state("failed" if desk.worker.state == "failed" else "running")
        self._draw()

    def _take_scalars(self) -> None:
        curves = self._desk.curves
        records = self._desk.worker.outlets.scalars.take_all()
        if not records:
            return
        steps = [record for record in records if isinstance(record, StepScalar)]
        curves.add_losses([item.step for item in steps], [item.loss for item in steps])
        for record in records:
            if isinstance(record, StepScalar):
                self._take_step(record)
            elif isinstance(record, EpochScalar):
                self._take_epoch(record)
        if steps:
            curves.epoch, curves.batch = steps[-1].epoch, steps[-1].batch
            curves.rate = steps[-1].rate
            busy = sum(item.elapsed_ms for item in steps)
            if busy > 0:
                curves.samples_per_second = 1000 * sum(item.samples for item in steps) / busy
        curves.appended.emit()

    def _take_epoch(self, record: EpochScalar) -> None:
        if record.accuracy is None:
            return
        if record.tested:
            note = record.note
            self._desk.curves.add_validation(record.step, record.accuracy, record.samples, note)
        else:
            self._desk.curves.add_accuracy(record.step - 1, record.accuracy)

    def _take_step(self, record: StepScalar) -> None:
        counted = record.samples if record.counted is None else record.counted
        if record.correct is None or counted == 0:
            return
        self._recent.append((record.correct, counted))
        if len(self._recent) > SMOOTHED_BATCHES:
            self._recent.pop(0)
        right = sum(correct for correct, _ in self._recent)
        seen = sum(judged for _, judged in self._recent)
        self._desk.curves.add_accuracy(record.step, right / seen)


def tasks_text(tasks: list[Task], left: str = "") -> str:
    """Return background work in a few words; `left` says how long the first job still takes."""
    if not tasks:
        return ""
    first = tasks[0]
    share = f" {first.done:,}/{first.total:,}" if first.total else ""
    more = f" +{len(tasks) - 1}" if len(tasks) > 1 else ""
    return f"{first.title}{share}{', ' if left else ''}{left}{more}"
