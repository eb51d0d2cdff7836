"""Training in the window."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QDialog, QMessageBox

from gui.controllers.desk import Desk
from gui.models.snapshot import RunInfo, Snapshot, TrainingFacts
from gui.views.dialogs import RateDialog, RateWish
from gui.worker.mailbox import Reply

CURVES_MS = 200
"""At least so long between two drawings of the curves."""


class Training:
    """Start, pause, stop, one batch, one epoch, and at which rate.

    Attributes
    ----------
    may_leave : callable
        Asks whether what is not saved may be left for what the text says.
    dialog : RateDialog or None
        The one that is open.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.may_leave: Callable[[str], bool] = lambda what: True
        self.dialog: RateDialog | None = None
        self._facts: TrainingFacts | None = None
        self._idle_wanted = False
        desk.on("train.start", lambda: self.start(0, 0))
        desk.on("train.batch", lambda: self.start(1, 0))
        desk.on("train.epoch", lambda: self.start(0, 1))
        desk.on("train.rate", lambda: self.ask_rate(False))
        desk.panels.curves.rate_wanted.connect(lambda: self.ask_rate(False))
        desk.on("train.pause", lambda: self._halt("train_pause"))
        desk.on("train.stop", lambda: self._halt("train_stop"))
        desk.on("train.fresh", self.ask_fresh)
        self._redraw = QTimer(desk.window)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(CURVES_MS)
        self._redraw.timeout.connect(self._draw)
        desk.curves.appended.connect(self._appended)
        desk.session.state_changed.connect(self._state)
        desk.session.run_changed.connect(self._run)
        desk.session.snapshot_changed.connect(self._snapshot)
        self._can_train = False

    def _appended(self) -> None:
        """Draw soon: a plot is the dearest picture of all, and the eye sees no more."""
        if not self._redraw.isActive():
            self._redraw.start()

    def _draw(self) -> None:
        self._desk.panels.curves.show_curves(self._desk.curves)

    # --- the learning rate ----------------------------------------------------------------------

    def _snapshot(self, snapshot: Snapshot) -> None:
        """Show the rate; say so when a schedule runs out under a training."""
        before, now = self._facts, snapshot.facts
        self._facts = now
        if before == now:
            return
        self._desk.panels.curves.show_rate(now)
        if before is None or now is None or snapshot.state != "training":
            return
        if now.ended and not before.ended:
            self._tell_end(now)

    def _tell_end(self, facts: TrainingFacts) -> None:
        if facts.idle:
            text = (
                "The schedule of the learning rate has ended at 0: from here on training changes "
                "no weight. Set another rate with Train > Learning rate."
            )
            self._desk.notify("stop", text, "")
            return
        text = f"The schedule of the learning rate has ended; it stays at {facts.rate:.4g}."
        self._desk.notify("info", text, "")

    def start(self, steps: int, epochs: int) -> None:
        """Train; a rate of 0 is asked about first, unless that was wished for already."""
        facts = self._facts
        if facts is not None and facts.idle and not self._idle_wanted and not self.ask_rate(True):
            return
        self._desk.worker.submit("train", steps, epochs)

    def ask_rate(self, starting: bool) -> bool:
        """Ask for a learning rate; return False if the person thinks better of it."""
        facts = self._facts
        if facts is None:
            return False
        self.dialog = dialog = RateDialog(facts, starting, self._desk.window)
        accepted = dialog.exec() == QDialog.DialogCode.Accepted
        self.dialog = None
        if accepted and dialog.unchanged:
            self._idle_wanted = True
        elif accepted:
            self.set_rate(dialog.wish())
        return accepted

    def set_rate(self, wish: RateWish) -> None:
        """Go on with another rate from the next step on."""
        self._idle_wanted = wish.rate == 0
        self._desk.worker.ask("set_rate", wish.rate, wish.epochs, then=self._rate_set)

    def _rate_set(self, reply: Reply) -> None:
        if reply.error:
            self._desk.notify("warning", reply.error, "")

    # --- running --------------------------------------------------------------------------------

    def _halt(self, command: str) -> None:
        self._desk.worker.interrupt()
        self._desk.worker.submit(command)

    def ask_fresh(self) -> None:
        """Start again from random weights, after a question."""
        if not self.may_leave("start with fresh weights"):
            return
        answer = QMessageBox.question(
            self._desk.window,
            "Fresh weights",
            "Replace all weights by random ones? The file on disk stays as it is.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self._desk.worker.submit("fresh")

    def _run(self, run: RunInfo) -> None:
        self._can_train = run.can_train
        self._idle_wanted = False
        self._facts = None
        self._desk.panels.curves.show_rate(None)
        self._state(self._desk.session.state)

    def _state(self, state: str) -> None:
        training = state == "training"
        entries = self._desk.entries
        for name in ("start", "batch", "epoch", "fresh"):
            entries[f"train.{name}"].setEnabled(self._can_train and not training)
        entries["train.rate"].setEnabled(self._can_train)
        for name in ("pause", "stop"):
            entries[f"train.{name}"].setEnabled(training)
        if self._desk.playback.playing and training:
            self._desk.playback.set_playing(False)
