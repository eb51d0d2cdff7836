"""How tests sit at the window: start it on a run, answer its questions, wait for what it does."""

from __future__ import annotations

import time
from collections.abc import Callable

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QMessageBox,
)

from engine import Model, Scheduler
from engine.layers import Conv2d, Dense, Flatten, MaxPool2d, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from gui.app import Application, Options


def small_net(seed: int = 0) -> Model:
    """A net that takes the bundled pictures and trains fast."""
    return Model(
        [
            Conv2d(1, 4, kernel_size=5, stride=2, name="conv1"),
            ReLU(name="relu1"),
            MaxPool2d(2, name="pool1"),
            Flatten(name="flatten1"),
            Dense(144, 16, name="dense1"),
            ReLU(name="relu2"),
            Dense(16, 10, name="logits"),
        ],
        input_shape=(1, 28, 28),
        seed=seed,
    )


def small_run(rate=0.05, **settings) -> Scheduler:
    """A run of that net that nobody has trained yet."""
    return Scheduler(small_net(), CrossEntropyLoss(), SGD(learning_rate=rate, **settings))


def start(path: object, **options: object) -> Application:
    """Start the window on a run file ("" opens what it would open by itself) and let it settle."""
    settings = {"size": (1280, 800), "theme": "dark", "layout": "Debug", "private": True}
    application = Application(
        Options(run=str(path) if path else "", **{**settings, **options}), offscreen=True
    )
    application.start()
    assert application.settle(100)
    return application


def desk(app: Application):
    """Return what the controllers share."""
    return app.controller.desk


def now(app: Application):
    """Return the snapshot after everything asked for is done."""
    assert app.settle(60), [item.detail for item in app.window.notifications.items]
    return desk(app).session.snapshot


def worker_desk(app: Application):
    """Return the worker's side; read it only while nothing runs."""
    return app.worker._bench._desk


def messages(app: Application, level: str = "") -> list[str]:
    """Return the texts of the messages on screen."""
    items = app.window.notifications.items
    return [item.text for item in items if not level or item.level == level]


def train(app: Application, steps: int) -> None:
    """Train so many steps and wait for them."""
    app.worker.submit("train", steps, 0)
    scheduler = worker_desk(app).scheduler
    goal = scheduler.global_step + steps
    assert app.wait_until(lambda: scheduler.global_step >= goal, 60)
    assert app.wait_until(lambda: desk(app).session.state == "paused", 20)
    now(app)


PATIENCE_S = 25.0


class Answers:
    """Answers modal questions in turn, from a timer, as a person would with the mouse.

    Each answer is a function of the open dialog; it returns False if it wants to be asked again.
    """

    def __init__(self, *answers: Callable[[QDialog], object]) -> None:
        self.waiting = list(answers)
        self.seen: list[str] = []
        self._until = time.monotonic() + PATIENCE_S
        self._timer = QTimer()
        self._timer.setInterval(20)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    def _look(self) -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QDialog):
            return
        if time.monotonic() > self._until:
            dialog.close()  # a question nobody has an answer to must not hold the tests up
            return
        if not self.waiting:
            return
        if isinstance(dialog, QMessageBox):
            self.seen.append(f"{dialog.text()} {dialog.informativeText()}")
        if self.waiting[0](dialog) is not False:
            self.waiting.pop(0)

    def done(self) -> bool:
        """Return whether every question came."""
        if not self.waiting:
            self._timer.stop()
        return not self.waiting


def click(text: str) -> Callable[[QDialog], object]:
    """Answer a question with the button of that name."""

    def answer(dialog: QDialog) -> None:
        assert isinstance(dialog, QMessageBox), dialog
        buttons = {button.text().replace("&", ""): button for button in dialog.buttons()}
        buttons[text].click()

    return answer


def type_file(path: object) -> Callable[[QDialog], object]:
    """Answer a file dialog with a path."""

    def answer(dialog: QDialog) -> object:
        if not isinstance(dialog, QFileDialog):
            return False
        field = dialog.findChild(QLineEdit, "fileNameEdit")
        field.setText(str(path))
        box = dialog.findChild(QDialogButtonBox)
        QTimer.singleShot(0, box.buttons()[0].click)  # a refused path asks in a box of its own
        return True

    return answer
