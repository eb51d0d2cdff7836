"""Training in the window."""

from __future__ import annotations

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QMessageBox

from gui.controllers.desk import Desk
from gui.models.snapshot import RunInfo

CURVES_MS = 200
"""At least so long between two drawings of the curves."""


class Training:
    """Start, pause, stop, one batch, one epoch."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        desk.send("train.start", "train", 0, 0)
        desk.send("train.batch", "train", 1, 0)
        desk.send("train.epoch", "train", 0, 1)
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
        self._can_train = False

    def _appended(self) -> None:
        """Draw soon: a plot is the dearest picture of all, and the eye sees no more."""
        if not self._redraw.isActive():
            self._redraw.start()

    def _draw(self) -> None:
        self._desk.panels.curves.show_curves(self._desk.curves)

    def _halt(self, command: str) -> None:
        self._desk.worker.interrupt()
        self._desk.worker.submit(command)

    def ask_fresh(self) -> None:
        """Start again from random weights, after a question."""
        answer = QMessageBox.question(
            self._desk.window,
            "Fresh weights",
            "Replace all weights by random ones? The file on disk stays as it is.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self._desk.worker.submit("fresh")

    def _run(self, run: RunInfo) -> None:
        self._can_train = run.can_train
        self._state(self._desk.session.state)

    def _state(self, state: str) -> None:
        training = state == "training"
        entries = self._desk.entries
        for name in ("start", "batch", "epoch", "fresh"):
            entries[f"train.{name}"].setEnabled(self._can_train and not training)
        for name in ("pause", "stop"):
            entries[f"train.{name}"].setEnabled(training)
        if self._desk.playback.playing and training:
            self._desk.playback.set_playing(False)
