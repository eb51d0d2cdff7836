"""The call stack: the run's frames from the epoch down to one term."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal

from gui.models.snapshot import StackFrame
from gui.views.panel import Panel, fit_list, flat_list
from gui.widgets.stack_view import StackRow, StackView

PROGRAMS = (("forward", "forward"), ("training", "training"))


class StackPanel(Panel):
    """A click shows a frame, a double click runs to it."""

    frame_shown = pyqtSignal(object)
    frame_reached = pyqtSignal(object)
    program_chosen = pyqtSignal(str)

    def __init__(self) -> None:
        super().__init__("stack", "Call stack", (210, 420), (150, 120))
        self._frames: tuple[StackFrame, ...] = ()
        self._program = "forward"
        self.view = StackView()
        self.view.set_empty_text("The frames of the run appear here once a run is open.")
        self.put(self.view)
        self.program = flat_list(
            "What is stepped", "Step the forward pass of one picture, or a whole training step"
        )
        for key, text in PROGRAMS:
            self.program.addItem(text, key)
        fit_list(self.program)
        self.head.add_control(self.program)
        self.program.activated.connect(self._choose)
        self.view.clicked.connect(self._show)
        self.view.activated.connect(self._reach)

    def show_frames(self, frames: tuple[StackFrame, ...], program: str) -> None:
        """Show the frames, outermost first."""
        if frames != self._frames:
            self._frames = frames
            self.view.set_frames(
                [
                    StackRow(frame.title, frame.detail, frame.state, frame.depth, row)
                    for row, frame in enumerate(frames)
                ]
            )
        self._program = program
        self._show_program()

    def _show_program(self) -> None:
        self.program.setCurrentIndex(self.program.findData(self._program))

    def _choose(self, row: int) -> None:
        """Ask for a program; the list shows it once it is in force."""
        self.program_chosen.emit(self.program.itemData(row))
        self._show_program()

    def _frame(self, row: int) -> StackFrame | None:
        return self._frames[row] if 0 <= row < len(self._frames) else None

    def _show(self, row: int) -> None:
        if (frame := self._frame(row)) is not None:
            self.frame_shown.emit(frame)

    def _reach(self, row: int) -> None:
        if (frame := self._frame(row)) is not None:
            self.frame_reached.emit(frame)
