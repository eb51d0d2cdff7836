"""What every controller works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from PyQt6.QtGui import QAction, QUndoStack
from PyQt6.QtWidgets import QWidget

from gui.models.state import (
    ActivityModel,
    CurvesModel,
    PlaybackModel,
    SelectionModel,
    SessionModel,
)
from gui.settings import Settings
from gui.views.panel_set import PanelSet
from gui.views.status_line import StatusLine
from gui.views.toolbar import ToolBar
from gui.worker.thread import Outlets


class Commands(Protocol):
    """The side of the worker that controllers use; tests put a recorder here."""

    outlets: Outlets

    @property
    def state(self) -> str:
        """What the worker does now."""

    def submit(self, name: str, *arguments: object) -> None:
        """Queue a command."""

    def interrupt(self) -> None:
        """Make a long command return soon."""


@dataclass
class Desk:
    """Models, views and worker, put together once by the app.

    Parameters
    ----------
    worker : Commands
    panels, status, toolbar
        The views.
    entries : mapping of str to QAction
        The action table as Qt actions.
    notify : callable
        (level, text, traceback) -> None, shows a message.
    settings : Settings
    window : QWidget
        Parent of dialogs, nothing else.
    """

    worker: Commands
    panels: PanelSet
    status: StatusLine
    toolbar: ToolBar
    entries: Mapping[str, QAction]
    notify: Callable[[str, str, str], object]
    settings: Settings
    window: QWidget
    session: SessionModel = field(default_factory=SessionModel)
    selection: SelectionModel = field(default_factory=SelectionModel)
    playback: PlaybackModel = field(default_factory=PlaybackModel)
    curves: CurvesModel = field(default_factory=CurvesModel)
    activity: ActivityModel = field(default_factory=ActivityModel)
    undo: QUndoStack = field(default_factory=QUndoStack)

    def on(self, action_id: str, handler: Callable[[], object]) -> None:
        """Let an action call `handler`."""
        self.entries[action_id].triggered.connect(lambda _checked=False: handler())

    def send(self, action_id: str, command: str, *arguments: object) -> None:
        """Let an action send a command to the worker."""
        self.on(action_id, lambda: self.worker.submit(command, *arguments))

    @property
    def layer(self) -> str:
        """The layer that is shown, or an empty text."""
        snapshot = self.session.snapshot
        return self.selection.layer or (snapshot.layer if snapshot is not None else "")
