"""Setting and removing breakpoints; every edit can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

from PyQt6.QtCore import QPoint
from PyQt6.QtGui import QUndoCommand
from PyQt6.QtWidgets import QMenu

from gui.controllers.desk import Desk, forget
from gui.models.snapshot import BreakpointRow, RunInfo
from gui.views.dialogs import BreakpointDialog, BreakpointWish
from gui.worker.mailbox import Reply


class BreakpointCommand(QUndoCommand):
    """Adding a breakpoint that the engine has accepted already, or removing one if `removes`."""

    def __init__(self, owner: Breakpoints, row: BreakpointRow, removes: bool = False) -> None:
        super().__init__("remove breakpoint" if removes else "add breakpoint")
        self._owner, self._row, self._removes = owner, row, removes
        self._done = not removes

    def redo(self) -> None:
        """Do it; the first time adding is done."""
        if self._done:
            self._done = False
        else:
            self._owner.put(self._row, not self._removes)

    def undo(self) -> None:
        """Take it back."""
        self._owner.put(self._row, self._removes)


class Breakpoints:
    """The numbers are given here, so that an undone breakpoint keeps its own.

    Attributes
    ----------
    stored : callable
        Returns the breakpoints that a run had last time.
    keep : callable
        Takes a run and its breakpoints whenever they change.
    dialog : BreakpointDialog or None
        The one that is open.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._numbers = count(1)
        self._rows: dict[int, BreakpointRow] = {}
        self.stored: Callable[[RunInfo], list[BreakpointRow]] = lambda run: []
        self.keep: Callable[[RunInfo, tuple[BreakpointRow, ...]], object] = lambda run, rows: None
        self.dialog: BreakpointDialog | None = None
        panel = desk.panels.breakpoints
        panel.add_wanted.connect(self.ask)
        panel.remove_wanted.connect(self.remove)
        panel.enable_wanted.connect(self.enable)
        desk.on("debug.breakpoint", lambda: self.toggle(desk.layer))
        desk.on("debug.add_breakpoint", self.ask)
        desk.on("edit.undo", desk.undo.undo)
        desk.on("edit.redo", desk.undo.redo)
        desk.undo.canUndoChanged.connect(desk.entries["edit.undo"].setEnabled)
        desk.undo.canRedoChanged.connect(desk.entries["edit.redo"].setEnabled)
        desk.entries["edit.undo"].setEnabled(False)
        desk.entries["edit.redo"].setEnabled(False)
        desk.panels.network.menu_wanted.connect(self.show_menu)
        desk.session.run_changed.connect(self._run)

    def _run(self, run: RunInfo) -> None:
        """Forget the breakpoints of the run before, and how to undo them; set those of this one."""
        self._rows = {}
        forget(self._desk.undo, BreakpointCommand)
        for row in self.stored(run):
            self._set(replace(row, number=next(self._numbers)), lambda reply: None)

    def rows(self) -> tuple[BreakpointRow, ...]:
        """Return the breakpoints."""
        return tuple(row for _, row in sorted(self._rows.items()))

    def _keep(self) -> None:
        run = self._desk.session.run
        if run is not None:
            self.keep(run, self.rows())

    def _set(self, row: BreakpointRow, then: Callable[[Reply], object]) -> None:
        """Set a breakpoint under its number; `then` hears whether the engine takes it."""

        def answered(reply: Reply) -> None:
            if not reply.error:
                self._rows[row.number] = replace(row, enabled=True, hits=0)
                self.enable(row.number, row.enabled)
            then(reply)

        place = (row.number, row.layer, row.phase, row.when, row.hit_count)
        self._desk.worker.ask("add_breakpoint", *place, then=answered)

    def put(self, row: BreakpointRow, there: bool) -> None:
        """Set a breakpoint that was there before, or take it away; for undo and redo."""
        if there:
            self._set(row, lambda reply: None)
            return
        self._rows.pop(row.number, None)
        self._desk.worker.submit("remove_breakpoint", row.number)
        self._keep()

    def enable(self, number: int, enabled: bool) -> None:
        """Switch a breakpoint on or off."""
        row = self._rows.get(number)
        if row is None:
            return
        if row.enabled != enabled:
            self._rows[number] = replace(row, enabled=enabled)
            self._desk.worker.submit("enable_breakpoint", number, enabled)
        self._keep()

    def add(self, wish: BreakpointWish, refused: Callable[[str], object] | None = None) -> None:
        """Add a breakpoint; it can be undone once the engine has taken it.

        Parameters
        ----------
        wish : BreakpointWish
        refused : callable, optional
            Takes how it went, an empty text if well; by default an error is a message.
        """
        place = (wish.layer, wish.phase, wish.when, wish.hit_count)
        row = BreakpointRow(next(self._numbers), *place, 0, True)

        def answered(reply: Reply) -> None:
            if not reply.error:
                self._desk.undo.push(BreakpointCommand(self, row))
            if refused is not None:
                refused(reply.error)
            elif reply.error:
                self._desk.notify("warning", reply.error, "")

        self._set(row, answered)

    def remove(self, number: int) -> None:
        """Remove a breakpoint."""
        row = self._rows.get(number)
        if row is not None:
            self._desk.undo.push(BreakpointCommand(self, row, removes=True))

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
        """Ask for place and condition; the dialog stays until the engine takes them."""
        run = self._desk.session.run
        if run is None:
            return
        layers = [node.name for node in run.nodes]
        self.dialog = dialog = BreakpointDialog(layers, self._desk.layer, self._desk.window)
        dialog.wanted.connect(lambda wish: self.add(wish, dialog.answered))
        dialog.exec()
        self.dialog = None

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
