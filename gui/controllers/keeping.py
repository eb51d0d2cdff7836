"""Nothing is lost: what is not saved is asked about, and kept for the next start.

The worker writes copies (see `gui.worker.keeping`); here are the questions, and what is done with
copies that a window has left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from PyQt6.QtCore import QBuffer, QByteArray, QIODevice, QTimer
from PyQt6.QtGui import QImage
from PyQt6.QtWidgets import QMessageBox

from engine.errors import EngineError
from gui.controllers.desk import Desk
from gui.controllers.files import is_bundled
from gui.models.snapshot import BreakpointRow, RunInfo, Snapshot
from gui.shelf import DeskState, Kept, Shelf
from gui.widgets.digit_canvas import DigitCanvas
from gui.worker.mailbox import Reply

DRAWING_MS = 800
"""A drawing is kept so long after its last stroke."""
SETTLE_S = 5.0
"""So long a computation may take to come to stand."""
SAVE_S = 120.0
Button = QMessageBox.StandardButton


def run_key(run: RunInfo) -> str:
    """Return the name under which things of a run are remembered."""
    return "" if is_bundled(run.path) else run.path


def steps_text(steps: int) -> str:
    """Return ``1,234 steps of training``."""
    return f"{steps:,} step{'s' * (steps != 1)} of training" if steps else "a change of the weights"


class Keeping:
    """Asks before something is left, and offers what was left.

    Parameters
    ----------
    desk : Desk
    shelf : Shelf or None
        None keeps nothing: pictures of the window are made without touching anybody's files.
    ask_path : callable
        Asks for a path to save the run to; empty if the person thinks better of it.
    take_name : callable
        Takes the path of a run that was saved.

    Attributes
    ----------
    state : DeskState
        How the desk was left last time.
    question : QMessageBox or None
        The one that is open.
    told : bool
        Whether the person knows already that nothing can be kept here.
    """

    def __init__(
        self,
        desk: Desk,
        shelf: Shelf | None,
        ask_path: Callable[[], str],
        take_name: Callable[[str], object],
    ) -> None:
        self._desk, self._shelf = desk, shelf
        self._ask_path, self._take_name = ask_path, take_name
        self.state = shelf.read_desk() if shelf is not None else DeskState()
        self.question: QMessageBox | None = None
        self._found: list[Kept] = []
        self._ready = self.told = False
        self._drawing = QTimer(desk.window)
        self._drawing.setSingleShot(True)
        self._drawing.setInterval(DRAWING_MS)
        self._drawing.timeout.connect(self.keep_drawing)
        desk.session.run_changed.connect(self._run)
        desk.session.snapshot_changed.connect(self._snapshot)

    # --- beginning and end ----------------------------------------------------------------------

    def start(self) -> None:
        """Take a place on the shelf and see what lies there."""
        if self._shelf is None:
            return
        path = self._shelf.own()
        if path is not None:
            self._desk.worker.submit("keep_at", str(path))
        elif not self.told:
            self.told = True
            text = f"Training is not kept for a restart: {self._shelf.folder} cannot be written."
            self._desk.notify("warning", text, "")
        self._found = self._shelf.left_behind()
        restore_drawing(self._desk.panels.input.canvas, self._shelf.read_drawing())
        self._desk.panels.input.canvas.changed.connect(lambda _picture: self._drawing.start())

    def close(self) -> None:
        """Write how the desk is left and let go of the shelf."""
        if self._shelf is None:
            return
        if self._drawing.isActive():
            self.keep_drawing()
        self._write()
        for kept in self._found:
            kept.leave()
        self._shelf.close()

    def _write(self) -> None:
        self._try(lambda shelf: shelf.write_desk(self.state))

    def _try(self, write: Callable[[Shelf], object]) -> None:
        """Write to the shelf; that it cannot be written is said once."""
        if self._shelf is None:
            return
        try:
            write(self._shelf)
        except (EngineError, OSError) as error:
            if not self.told:
                self.told = True
                text = f"Drawing and breakpoints last until the window closes: {error}"
                self._desk.notify("warning", text, "")

    def _run(self, run: RunInfo) -> None:
        self.state.last_run = run_key(run)
        self._write()

    def _snapshot(self, snapshot: Snapshot) -> None:
        """Offer what was left behind once there is something to see."""
        self._desk.window.setWindowModified(bool(snapshot.facts and snapshot.facts.unsaved))
        if not self._ready and snapshot.cursor is not None:
            self._ready = True
            QTimer.singleShot(0, self.offer)

    def saved_as(self, path: str) -> None:
        """Take note that the run has a file of its own now."""
        run = self._desk.session.run
        if run is not None:
            rows = self.state.breakpoints.get(run_key(run), [])
            self.state.set_breakpoints("" if is_bundled(path) else path, tuple(rows))
        self.state.last_run = path
        self._write()

    def keep_breakpoints(self, run: RunInfo, rows: tuple[BreakpointRow, ...]) -> None:
        """Remember the breakpoints of a run."""
        self.state.set_breakpoints(run_key(run), rows)
        self._write()

    def stored_breakpoints(self, run: RunInfo) -> list[BreakpointRow]:
        """Return the breakpoints that a run had last time."""
        return list(self.state.breakpoints.get(run_key(run), []))

    def keep_drawing(self) -> None:
        """Write the drawing."""
        content = drawing_png(self._desk.panels.input.canvas)
        self._try(lambda shelf: shelf.write_drawing(content))

    # --- before something is left ---------------------------------------------------------------

    def may_leave(self, what: str, closing: bool = False) -> bool:
        """Ask about training that is not saved; a training that runs is paused first.

        Parameters
        ----------
        what : str
            What would come of it, for the question: ``"close the window"``.
        closing : bool
            The window is about to close: what is not saved can be kept for the next start.

        Returns
        -------
        bool
            Whether the person agrees.
        """
        if not self._desk.worker.alive or self._desk.worker.state == "loading":
            return True
        self._desk.worker.interrupt()
        reply = self._desk.wait_for("settle", timeout_s=SETTLE_S)
        if reply is None:
            if not closing:  # whoever closes is asked by `AppController.shut_down`
                text = f"The computation has not come to stand yet; {what} a little later."
                self._desk.notify("warning", text, "")
            return closing
        if not isinstance(reply.value, int):
            return True
        if closing and not self._desk.settings.confirm_close:
            return True
        answer = self._ask(what, reply.value)
        if answer == Button.Save:
            return self._save()
        if answer == Button.Discard and closing:
            self._desk.wait_for("give_up")
        return answer == Button.Discard

    def _ask(self, what: str, steps: int) -> QMessageBox.StandardButton:
        run = self._desk.session.run
        box = QMessageBox(self._desk.window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Not saved")
        verb = "are" if steps > 1 else "is"
        lost = f"{steps_text(steps)} of “{run.title if run else 'this run'}” {verb} not saved."
        box.setText(lost[0].upper() + lost[1:])
        box.setInformativeText(f"Save before you {what}? The training stands still meanwhile.")
        box.setStandardButtons(Button.Save | Button.Discard | Button.Cancel)
        box.setDefaultButton(Button.Save)
        box.setEscapeButton(Button.Cancel)
        discard = box.button(Button.Discard)
        if discard is not None:
            discard.setText("Don't save")
        self.question = box
        answer = box.exec()
        self.question = None
        box.deleteLater()
        return Button(answer)

    def _save(self) -> bool:
        path = self._ask_path()
        if not path:
            return False
        reply = self._desk.wait_for("save_run", path, timeout_s=SAVE_S)
        if reply is None or reply.error:
            text = reply.error if reply is not None else "saving takes too long"
            self._desk.notify("stop", f"Nothing was saved: {text}", "")
            return False
        self._take_name(path)
        return True

    # --- what was left behind -------------------------------------------------------------------

    def offer(self) -> None:
        """Ask about the newest copy that was left behind; others follow."""
        if not self._found or self.question is not None:
            return
        kept = self._found.pop(0)
        box = QMessageBox(self._desk.window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Training to recover")
        when = f" on {kept.at}" if kept.at else ""
        steps = steps_text(abs(kept.step - kept.base))
        box.setText(f"Convscope ended{when} with {steps} of “{kept.title}” not saved.")
        box.setInformativeText(
            "They are still here. Recovering opens the run as it was; its file is not touched."
        )
        recover = box.addButton("Recover", QMessageBox.ButtonRole.AcceptRole)
        discard = box.addButton("Discard", QMessageBox.ButtonRole.DestructiveRole)
        later = box.addButton("Ask again next time", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(recover)
        box.setEscapeButton(later)
        self.question = box

        def answered(_result: int) -> None:
            clicked = box.clickedButton()
            self.question = None
            box.deleteLater()
            if clicked is recover:
                self._recover(kept)
                return
            if clicked is discard:
                kept.remove()
            else:
                kept.leave()
            self.offer()

        box.finished.connect(answered)
        box.open()

    def _recover(self, kept: Kept) -> None:
        if not self.may_leave("recover another run"):
            self._found.insert(0, kept)
            return
        self._desk.worker.ask(
            "recover",
            str(kept.path),
            kept.title,
            kept.origin,
            kept.base,
            then=partial(self._recovered, kept),
        )

    def _recovered(self, kept: Kept, reply: Reply) -> None:
        """Take the copy away once the worker has one of its own."""
        if reply.error:
            kept.leave()
            self._desk.notify("stop", f"{kept.path.name} stays where it is: {reply.error}", "")
            return
        kept.remove()
        text = f"“{kept.title}” is back, with {steps_text(abs(kept.step - kept.base))} not saved."
        self._desk.notify("info", text, "")


def drawing_png(canvas: DigitCanvas) -> bytes:
    """Return the drawing as PNG, empty if there is no ink."""
    strokes = canvas.strokes()
    if not strokes.any():
        return b""
    levels = np.ascontiguousarray(np.rint(strokes * 255).astype(np.uint8))
    rows, columns = levels.shape
    image = QImage(levels.tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8)
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(content.data())


def restore_drawing(canvas: DigitCanvas, content: bytes) -> None:
    """Put a drawing back on the canvas without making it the input."""
    image = QImage.fromData(content, "PNG").convertToFormat(QImage.Format.Format_Grayscale8)
    bits = image.constBits()
    if image.isNull() or bits is None:
        return
    rows, stride = image.height(), image.bytesPerLine()
    data = np.frombuffer(bits.asstring(image.sizeInBytes()), np.uint8).reshape(rows, stride)
    canvas.blockSignals(True)
    canvas.set_strokes(data[:, : image.width()].astype(np.float32) / np.float32(255))
    canvas.blockSignals(False)
