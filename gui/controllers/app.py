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
from gui.controllers.poll import Poll
from gui.controllers.show import Show
from gui.controllers.status import Status
from gui.controllers.stepping import Stepping
from gui.controllers.training import Training
from gui.models.snapshot import RunInfo
from gui.notifications import NotificationArea
from gui.settings import Settings
from gui.views.panel_set import PanelSet
from gui.views.status_line import StatusLine
from gui.views.toolbar import ToolBar
from gui.worker.thread import Worker
from gui.worker.watchdog import Watchdog

HINT = (
    "The amber layer runs next. Press → to run it, ↓ to go inside, ← to take the step back; "
    "click any pixel to see how it came about."
)


class AppWindow(FileWindow, LayoutWindow, Protocol):
    """The window as the app needs it."""

    panels: PanelSet
    status: StatusLine
    toolbar: ToolBar
    entries: dict[str, QAction]
    notifications: NotificationArea
    facts: QLabel
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
    """

    def __init__(
        self,
        window: AppWindow,
        widget: QWidget,
        worker: Worker,
        settings: Settings,
        save: Callable[[Settings], None] = lambda _settings: None,
    ) -> None:
        self.window, self.worker, self.settings, self._save = window, worker, settings, save
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
        self.poll.answered["stages"] = self.inputs.show_stages
        self.inputs.open_run = self.files.open_run
        self.desk.session.run_changed.connect(self._run)
        self.desk.status.show_state("loading")
        self.desk.playback.set_speed(settings.speed)
        window.toolbar.show_speed(settings.speed)
        window.close_guard = self.may_close

    def greet(self) -> None:
        """Say the one thing a newcomer needs, once."""
        if not self.settings.greeted:
            self.settings.greeted = True
            self.desk.notify("info", HINT, "")

    def _run(self, run: RunInfo) -> None:
        self.window.facts.setText(f"{run.title}   {run.facts}")

    def start(self) -> None:
        """Start the worker and the timers; call when the window is up."""
        self.watchdog.start()
        self.worker.start()
        self.poll.start()
        self._build_curves(self.desk.panels.curves.key, self.desk.panels.curves.on_screen)
        self.desk.panels.curves.shown_changed.connect(self._build_curves)

    def _build_curves(self, _key: str, shown: bool) -> None:
        """Make the plots when they are first seen, after the window itself."""
        if shown:
            QTimer.singleShot(100, self.desk.panels.curves.build)

    def may_close(self) -> bool:
        """Ask if a training runs, then end the worker and save the settings."""
        if self.worker.state == "training" and self.settings.confirm_close:
            answer = QMessageBox.question(
                self.desk.window, "Training runs", "Stop the training and close the window?"
            )
            if answer != QMessageBox.StandardButton.Yes:
                return False
        return self.shut_down()

    def shut_down(self) -> bool:
        """End everything; False if the worker hangs and the person wants to wait."""
        if self.worker.alive and not self.worker.stop():
            answer = QMessageBox.question(
                self.desk.window, "Still computing", "The computation does not end. Close anyway?"
            )
            if answer != QMessageBox.StandardButton.Yes:
                return False
        self.poll.stop()
        self.watchdog.stop()
        crash.deliver_to(None)
        self.settings.states[self.window.layout_name] = self.window.layout_state()
        self._save(self.settings)
        return True
