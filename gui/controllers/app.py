"""Puts models, views and worker together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from PyQt6.QtCore import QTimer
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QLabel, QMessageBox, QWidget

from gui import crash
from gui.controllers.appearance import Appearance, LayoutWindow
from gui.controllers.breakpoints import Breakpoints
from gui.controllers.desk import Desk
from gui.controllers.files import Files, FileWindow
from gui.controllers.inputs import Inputs
from gui.controllers.keeping import Keeping
from gui.controllers.poll import Poll
from gui.controllers.show import Show
from gui.controllers.status import Status
from gui.controllers.stepping import Stepping
from gui.controllers.training import Training
from gui.models.snapshot import RunInfo, Snapshot
from gui.models.state import left_text
from gui.notifications import NotificationArea
from gui.settings import Settings
from gui.shelf import Shelf
from gui.views.loading import Loading
from gui.views.panel_set import PanelSet
from gui.views.status_line import StatusLine
from gui.views.toolbar import ToolBar
from gui.worker.thread import Worker
from gui.worker.watchdog import Watchdog

HINT = (
    "The amber layer runs next. Press → to run it, ↓ to go inside, ← to take the step back; "
    "click any pixel to see how it came about."
)

TERMINATE_S = 8.0
"""So long a terminated process tries to keep what is not saved."""


class AppWindow(FileWindow, LayoutWindow, Protocol):
    """The window as the app needs it."""

    panels: PanelSet
    status: StatusLine
    toolbar: ToolBar
    entries: dict[str, QAction]
    notifications: NotificationArea
    facts: QLabel
    loading: Loading
    close_guard: Callable[[], bool]


class AppController:
    """Owner of all controllers.

    Parameters
    ----------
    window : AppWindow
    widget : QWidget
        The same window as parent of dialogs.
    worker : Worker
    settings : Settings
    save : callable
        Writes the settings when the window closes.
    shelf : Shelf or None
        Where what is not saved is kept; None keeps nothing.
    """

    def __init__(
        self,
        window: AppWindow,
        widget: QWidget,
        worker: Worker,
        settings: Settings,
        save: Callable[[Settings], None] = lambda _settings: None,
        shelf: Shelf | None = None,
    ) -> None:
        self.window, self.worker, self.settings, self._save = window, worker, settings, save
        self.greets, self._over = True, False
        entries: Mapping[str, QAction] = window.entries
        self.desk = Desk(
            worker,
            window.panels,
            window.status,
            window.toolbar,
            entries,
            window.notifications.add,
            settings,
            widget,
        )
        crash.deliver_to(lambda text, detail: self.desk.notify("error", text, detail))
        self.show = Show(self.desk)
        self.watchdog = Watchdog()
        self.poll = Poll(self.desk, self.watchdog, self.show.draw)
        self.status = Status(self.desk)
        self.stepping = Stepping(self.desk)
        self.inputs = Inputs(self.desk)
        self.training = Training(self.desk)
        self.files = Files(self.desk, window)
        self.breakpoints = Breakpoints(self.desk)
        self.appearance = Appearance(self.desk, window, self.show)
        self.keeping = Keeping(self.desk, shelf, self.files.ask_path, self.files.take_name)
        self.files.may_leave = self.training.may_leave = self.keeping.may_leave
        self.files.saved_as = self.keeping.saved_as
        self.breakpoints.stored = self.keeping.stored_breakpoints
        self.breakpoints.keep = self.keeping.keep_breakpoints
        self.appearance.changed = self._tell_preferences
        self.poll.answered["stages"] = self.inputs.show_stages
        self.poll.answered["described"] = self.inputs.show_description
        self.inputs.open_run = self.files.open_run
        self.desk.session.run_changed.connect(self._run)
        self.desk.session.snapshot_changed.connect(self._first_layer)
        self.desk.activity.changed.connect(self._show_loading)
        self.desk.status.show_state("loading")
        self.desk.playback.set_speed(settings.speed)
        window.toolbar.show_speed(settings.speed)
        window.close_guard = self.may_close

    def _greet(self) -> None:
        """Say the one thing a newcomer needs, once."""
        if not self.settings.greeted:
            self.settings.greeted = True
            self.desk.notify("info", HINT, "")

    def _show_loading(self) -> None:
        """Show what everything waits for, while there is no layer yet."""
        running = self.desk.activity.running
        if self.window.loading.isVisible() and running:
            task = running[-1]
            left = left_text(self.desk.activity.left_s(task))
            self.window.loading.show_job(task.title, task.detail, task.done, task.total, left)

    def _first_layer(self, snapshot: Snapshot) -> None:
        """Take the card away; only now there is something that the hint can speak of."""
        if snapshot.cursor is None or not snapshot.layer:
            return
        self.desk.session.snapshot_changed.disconnect(self._first_layer)
        self.desk.activity.changed.disconnect(self._show_loading)
        self.window.loading.hide()
        if self.greets:
            self._greet()

    def _tell_preferences(self) -> None:
        """Tell the worker what it has to know of the preferences."""
        self.worker.submit("stop_at_bad", self.settings.stop_at_bad)

    def _run(self, run: RunInfo) -> None:
        self.window.facts.setText(f"{run.title}   {run.facts}")

    def start(self) -> None:
        """Start the worker and the timers; call when the window is up."""
        self.watchdog.start()
        self.worker.start()
        self.poll.start()
        self.keeping.start()
        self._tell_preferences()
        self._build_curves(self.desk.panels.curves.key, self.desk.panels.curves.on_screen)
        self.desk.panels.curves.shown_changed.connect(self._build_curves)

    def _build_curves(self, _key: str, shown: bool) -> None:
        """Make the plots when they are first seen, after the window itself."""
        if shown:
            QTimer.singleShot(100, self.desk.panels.curves.build)

    def may_close(self) -> bool:
        """Ask about what is not saved, then end the worker and save the settings."""
        if not self.keeping.may_leave("close the window", closing=True):
            return False
        return self.shut_down()

    def terminate(self) -> None:
        """End everything without a question: the system wants the process to go.

        What is not saved is kept; that may take as long as the step in progress.
        """
        if self._over:
            return
        if self.worker.alive:
            self.worker.stop(TERMINATE_S)
        self._finish()

    def shut_down(self) -> bool:
        """End everything; False if the worker hangs and the person wants to wait."""
        if self.worker.alive and not self.worker.stop():
            answer = QMessageBox.question(
                self.desk.window, "Still computing", "The computation does not end. Close anyway?"
            )
            if answer != QMessageBox.StandardButton.Yes:
                return False
        self._finish()
        return True

    def _finish(self) -> None:
        """Stop the timers and write what is remembered."""
        if self._over:
            return
        self._over = True
        self.poll.stop()
        self.watchdog.stop()
        crash.deliver_to(None)
        self.keeping.close()
        self.settings.states[self.window.layout_name] = self.window.layout_state()
        self._save(self.settings)
