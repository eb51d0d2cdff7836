"""What every controller works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeGuard

from PyQt6.QtCore import QEventLoop, QTimer
from PyQt6.QtGui import QAction, QUndoCommand, QUndoStack
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
from gui.worker.mailbox import Reply
from gui.worker.thread import Outlets


class Commands(Protocol):
    """The side of the worker that controllers use; tests put a recorder here."""

    outlets: Outlets

    @property
    def state(self) -> str:
        """What the worker does now."""

    @property
    def alive(self) -> bool:
        """Whether it can answer at all."""

    def submit(self, name: str, *arguments: object) -> None:
        """Queue a command."""

    def ask(self, name: str, *arguments: object, then: Callable[[Reply], object]) -> None:
        """Queue a command and let `then` take how it went."""

    def deliver(self) -> None:
        """Hand out the replies that have come."""

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

    def wait_for(self, name: str, *arguments: object, timeout_s: float = 10.0) -> Reply | None:
        """Send a command and return how it went; None if that takes too long.

        The window goes on drawing, but takes no key and no click meanwhile.
        """
        replies: list[Reply] = []
        loop, limit = QEventLoop(), QTimer()
        limit.setSingleShot(True)
        limit.timeout.connect(loop.quit)

        def take(reply: Reply) -> None:
            replies.append(reply)
            loop.quit()

        self.worker.ask(name, *arguments, then=take)
        limit.start(round(1000 * timeout_s))
        loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
        return replies[0] if replies else None

    @property
    def layer(self) -> str:
        """The layer that is shown, or an empty text."""
        snapshot = self.session.snapshot
        return self.selection.layer or (snapshot.layer if snapshot is not None else "")


class Redoable(Protocol):
    """A command of which an equal one can be put on the stack, as already done."""

    def again(self) -> QUndoCommand:
        """Return it."""


def forget(stack: QUndoStack, kind: type[QUndoCommand]) -> None:
    """Take all commands of a kind off the stack, and what was undone; others stay in their order.

    A stack of Qt cannot drop single commands, so it is filled anew with what stays.
    """
    done = [stack.command(number) for number in range(stack.index())]
    kept = [
        command.again() for command in done if not isinstance(command, kind) and can_repeat(command)
    ]
    stack.clear()
    for command in kept:
        stack.push(command)


def can_repeat(command: object) -> TypeGuard[Redoable]:
    """Tell whether a command knows how to be put on a stack again."""
    return hasattr(command, "again")
