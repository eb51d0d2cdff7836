"""Setting and removing breakpoints; every edit can be undone."""

from __future__ import annotations

from itertools import count

from PyQt6.QtCore import QPoint
from PyQt6.QtGui import QUndoCommand
from PyQt6.QtWidgets import QDialog, QMenu

from gui.controllers.desk import Commands, Desk
from gui.models.snapshot import BreakpointRow
from gui.views.dialogs import BreakpointDialog, BreakpointWish


class BreakpointCommand(QUndoCommand):
    """Adding a breakpoint, or removing one if `removes`."""

    def __init__(
        self, worker: Commands, number: int, wish: BreakpointWish, removes: bool = False
    ) -> None:
        super().__init__("remove breakpoint" if removes else "add breakpoint")
        self._worker, self._number, self._wish, self._removes = worker, number, wish, removes

    def _put(self, there: bool) -> None:
        wish = self._wish
        if there:
            self._worker.submit(
                "add_breakpoint", self._number, wish.layer, wish.phase, wish.when, wish.hit_count
            )
        else:
            self._worker.submit("remove_breakpoint", self._number)

    def redo(self) -> None:
        """Do it."""
        self._put(not self._removes)

    def undo(self) -> None:
        """Take it back."""
        self._put(self._removes)


class Breakpoints:
    """The numbers are given here, so that an undone breakpoint keeps its own."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._numbers = count(1)
        panel = desk.panels.breakpoints
        panel.add_wanted.connect(self.ask)
        panel.remove_wanted.connect(self.remove)
        panel.enable_wanted.connect(
            lambda number, on: desk.worker.submit("enable_breakpoint", number, on)
        )
        desk.on("debug.breakpoint", lambda: self.toggle(desk.layer))
        desk.on("debug.add_breakpoint", self.ask)
        desk.on("edit.undo", desk.undo.undo)
        desk.on("edit.redo", desk.undo.redo)
        desk.undo.canUndoChanged.connect(desk.entries["edit.undo"].setEnabled)
        desk.undo.canRedoChanged.connect(desk.entries["edit.redo"].setEnabled)
        desk.entries["edit.undo"].setEnabled(False)
        desk.entries["edit.redo"].setEnabled(False)
        desk.panels.network.menu_wanted.connect(self.show_menu)

    def rows(self) -> tuple[BreakpointRow, ...]:
        """Return the breakpoints of the newest snapshot."""
        snapshot = self._desk.session.snapshot
        return snapshot.breakpoints if snapshot is not None else ()

    def add(self, wish: BreakpointWish) -> None:
        """Add a breakpoint."""
        self._desk.undo.push(BreakpointCommand(self._desk.worker, next(self._numbers), wish))

    def remove(self, number: int) -> None:
        """Remove a breakpoint."""
        for row in self.rows():
            if row.number == number:
                wish = BreakpointWish(row.layer, row.phase, row.when, row.hit_count)
                self._desk.undo.push(
                    BreakpointCommand(self._desk.worker, number, wish, removes=True)
                )

    def toggle(self, layer: str) -> None:
        """Break before a layer, or no longer."""
        if not layer:
            return
        plain = [row for row in self.rows() if row.layer == layer and row.when is None]
        if plain:
            self.remove(plain[0].number)
        else:
            self.add(BreakpointWish(layer, None, None, 1))

    def ask(self) -> None:
        """Ask for place and condition."""
        run = self._desk.session.run
        if run is None:
            return
        layers = [node.name for node in run.nodes]
        dialog = BreakpointDialog(layers, self._desk.layer, self._desk.window)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.add(dialog.answer())

    def show_menu(self, layer: str, place: QPoint) -> None:
        """Show what can be done with a layer."""
        menu = QMenu(self._desk.window)
        worker, selection = self._desk.worker, self._desk.selection
        entries = (
            ("Show", lambda: selection.select(layer)),
            ("Run to here", lambda: worker.submit("run_to", layer, None, None)),
            ("Toggle breakpoint", lambda: self.toggle(layer)),
            ("Show its output", lambda: selection.select(layer, "output")),
        )
        for text, slot in entries:
            action = menu.addAction(text)
            if action is not None:
                action.triggered.connect(lambda _checked=False, slot=slot: slot())
        menu.popup(place)
