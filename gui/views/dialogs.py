"""Small questions: go to, breakpoint, preferences; and the sheet of shortcuts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.actions import ACTIONS
from gui.models.snapshot import TrainingFacts
from gui.settings import Settings
from gui.views.palette import matches

CONDITIONS = ("", "any_nonfinite")
PHASES = ("", "forward", "loss", "backward", "update")


def _buttons(dialog: QDialog) -> QDialogButtonBox:
    buttons = QDialogButtonBox(
        QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
    )
    buttons.accepted.connect(dialog.accept)
    buttons.rejected.connect(dialog.reject)
    return buttons


class _Asking(QDialog):
    """A small form that stays open, with all that was typed, until its answer is accepted."""

    def __init__(self, title: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(380)
        self.form = QFormLayout(self)
        self.error = QLabel("")
        self.error.setObjectName("dialog_error")
        self.error.setAccessibleName("What is wrong")
        self.error.setWordWrap(True)
        self.error.hide()
        self._buttons = _buttons(self)

    def _close_form(self, first: QWidget) -> None:
        """Put error and buttons below the fields; typing goes into `first`."""
        self.form.addRow(self.error)
        self.form.addRow(self._buttons)
        self._first = first
        # A dialog gives the focus to its first field when it is shown, unless told otherwise.
        QTimer.singleShot(0, lambda: first.setFocus(Qt.FocusReason.OtherFocusReason))
        first.setFocus()

    def ok(self) -> QPushButton | None:
        """Return the button that accepts."""
        return self._buttons.button(QDialogButtonBox.StandardButton.Ok)

    def show_error(self, text: str) -> None:
        """Say what is wrong; an empty text takes the sentence away."""
        self.error.setText(text)
        self.error.setVisible(bool(text))
        ok = self.ok()
        if ok is not None:
            ok.setEnabled(True)
        if text:
            self._first.setFocus()


class GoToDialog(_Asking):
    """Ask for an element: ``5, 7, 4`` in the chosen layer, or ``conv2: 5, 7, 4``.

    Parameters
    ----------
    layers : list of str
    current : str
    check : callable
        (layer, text of the index) -> what is wrong with it, or an empty text.
    parent : QWidget
    """

    def __init__(
        self,
        layers: list[str],
        current: str,
        parent: QWidget,
        check: Callable[[str, str], str] = lambda layer, text: "",
    ) -> None:
        super().__init__("Go to element", parent)
        self._check = check
        self.layer = QComboBox()
        self.layer.addItems(layers)
        self.layer.setCurrentText(current)
        self.index = QLineEdit()
        self.index.setPlaceholderText("channel, y, x   for example 5, 7, 4")
        self.form.addRow("&Layer", self.layer)
        self.form.addRow("&Index", self.index)
        self._close_form(self.index)

    def answer(self) -> tuple[str, str]:
        """Return layer and the text of the index; a layer that is typed before it wins."""
        layer, colon, rest = self.index.text().partition(":")
        if colon:
            return layer.strip(), rest
        return self.layer.currentText(), self.index.text()

    def accept(self) -> None:
        """Close if there is such an element."""
        wrong = self._check(*self.answer())
        if wrong:
            self.show_error(wrong)
        else:
            super().accept()


@dataclass(frozen=True, slots=True)
class BreakpointWish:
    """What the dialog asks for."""

    layer: str | None
    phase: str | None
    when: str | None
    hit_count: int


class BreakpointDialog(_Asking):
    """Ask for a place and a condition; `wanted` carries the answer, `answered` takes the verdict.

    What was typed is kept: by a refused condition, and by a change of layer or phase.
    """

    wanted = pyqtSignal(object)

    def __init__(self, layers: list[str], current: str, parent: QWidget) -> None:
        super().__init__("Add breakpoint", parent)
        self.layer = QComboBox()
        self.layer.addItems(["any layer", *layers])
        self.layer.setCurrentText(current)
        self.phase = QComboBox()
        self.phase.addItems(["any phase", *PHASES[1:]])
        self.when = QComboBox()
        self.when.setEditable(True)
        self.when.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.when.addItems(list(CONDITIONS))
        field = self.when.lineEdit()
        if field is not None:
            field.setPlaceholderText("always, or conv2.output.std() > 3")
        self.hits = QSpinBox()
        self.hits.setRange(1, 1_000_000)
        self.form.addRow("&When", self.when)
        self.form.addRow("&Layer", self.layer)
        self.form.addRow("&Phase", self.phase)
        self.form.addRow("Stop at &hit", self.hits)
        self._close_form(self.when)

    def answer(self) -> BreakpointWish:
        """Return the wish."""
        return BreakpointWish(
            self.layer.currentText() if self.layer.currentIndex() else None,
            self.phase.currentText() if self.phase.currentIndex() else None,
            self.when.currentText().strip() or None,
            self.hits.value(),
        )

    def accept(self) -> None:
        """Ask whether the engine takes it; the dialog closes when it does."""
        ok = self.ok()
        if ok is not None:
            ok.setEnabled(False)
        self.wanted.emit(self.answer())

    def answered(self, error: str) -> None:
        """Close, or say why the breakpoint was refused."""
        if error:
            self.show_error(error)
        else:
            super().accept()


@dataclass(frozen=True, slots=True)
class RateWish:
    """A learning rate from here on: a constant, or with None the cosine over more epochs."""

    rate: float | None
    epochs: int = 0


class RateDialog(_Asking):
    """Ask how the learning rate goes on.

    Parameters
    ----------
    facts : TrainingFacts
    starting : bool
        The person has asked to train, and the rate is 0: training on as it is stays possible.
    parent : QWidget

    Attributes
    ----------
    unchanged : bool
        Whether the person wants to go on with the rate as it is.
    """

    def __init__(self, facts: TrainingFacts, starting: bool, parent: QWidget) -> None:
        super().__init__("Learning rate", parent)
        self._facts = facts
        self.unchanged = False
        told = QLabel(rate_words(facts))
        told.setWordWrap(True)
        self.form.addRow(told)
        self.constant = QRadioButton("&Constant from here on")
        self.rate = QLineEdit(f"{self._suggested():g}")
        self.rate.setAccessibleName("Learning rate")
        self.form.addRow(self.constant, self.rate)
        self.stretched = QRadioButton("The cosine over &more epochs")
        self.epochs = QSpinBox()
        self.epochs.setAccessibleName("More epochs")
        self.epochs.setRange(1, 10_000)
        self.epochs.setValue(5)
        self.falls = QLabel("")
        self.falls.setProperty("muted", True)
        if facts.cosine is not None and facts.batches:
            self.form.addRow(self.stretched, self.epochs)
            self.form.addRow("", self.falls)
        self.constant.setChecked(True)
        self.rate.textEdited.connect(lambda _text: self.constant.setChecked(True))
        self.epochs.valueChanged.connect(self._foretell)
        self.epochs.valueChanged.connect(lambda _value: self.stretched.setChecked(True))
        self._foretell()
        ok = self.ok()
        if ok is not None:
            ok.setText("Train at this rate" if starting else "Use this rate")
        if starting:
            role = QDialogButtonBox.ButtonRole.DestructiveRole
            same = self._buttons.addButton("Train at rate 0", role)
            if same is not None:
                same.clicked.connect(self._go_on)
        self._close_form(self.rate)
        self.rate.selectAll()

    def _suggested(self) -> float:
        """Return the rate of now, or a tenth of where the schedule began."""
        if not self._facts.idle:
            return self._facts.rate
        start = self._facts.cosine[0] if self._facts.cosine is not None else 0.01
        return start / 10 or 0.001

    def _foretell(self) -> None:
        """Say from which to which rate a stretched cosine falls."""
        facts = self._facts
        if facts.cosine is None or not facts.batches:
            return
        start, end = facts.cosine
        share = facts.step / max(facts.step + self.epochs.value() * facts.batches, 1)
        first = end + (start - end) * (1 + math.cos(math.pi * share)) / 2
        self.falls.setText(f"from {first:.3g} to {end:g}")

    def _go_on(self) -> None:
        self.unchanged = True
        super().accept()

    def accept(self) -> None:
        """Close if there is a rate."""
        if self.constant.isChecked() and self.wish().rate is None:
            text = self.rate.text().strip()
            self.show_error(f"Expected a rate of at least 0 such as 0.01, received “{text}”.")
        else:
            super().accept()

    def wish(self) -> RateWish:
        """Return the answer; a rate that is none is None too."""
        if self.stretched.isChecked():
            return RateWish(None, self.epochs.value())
        try:
            rate = float(self.rate.text().replace(",", "."))
        except ValueError:
            return RateWish(None)
        return RateWish(rate if math.isfinite(rate) and rate >= 0 else None)


def rate_words(facts: TrainingFacts) -> str:
    """Return what there is to know of the learning rate, in a sentence or two."""
    text = f"The learning rate of step {facts.step + 1:,} is {facts.rate:.4g} ({facts.schedule})."
    if facts.ended:
        text += " The schedule has ended: the rate stays there."
    if facts.idle:
        text += " Training at rate 0 changes no weight."
    return text


class PreferencesDialog(QDialog):
    """Theme, size of the text, digits, closing."""

    def __init__(self, settings: Settings, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Preferences")
        form = QFormLayout(self)
        self.theme = QComboBox()
        self.theme.addItems(["dark", "light", "system"])
        self.theme.setCurrentText(settings.theme)
        self.digits = QSpinBox()
        self.digits.setRange(1, 9)
        self.digits.setValue(settings.digits)
        self.scale = QDoubleSpinBox()
        self.scale.setRange(0.75, 2.0)
        self.scale.setSingleStep(0.05)
        self.scale.setValue(settings.font_scale)
        self.confirm = QCheckBox("about training that is not saved")
        self.confirm.setToolTip("Without a question it is kept, and offered at the next start.")
        self.confirm.setChecked(settings.confirm_close)
        self.stop_at_bad = QCheckBox("at NaN and Inf, before the step counts")
        self.stop_at_bad.setChecked(settings.stop_at_bad)
        form.addRow("&Theme", self.theme)
        form.addRow("&Decimals", self.digits)
        form.addRow("Text si&ze", self.scale)
        form.addRow("&Ask before closing", self.confirm)
        form.addRow("&Stop a training", self.stop_at_bad)
        form.addRow(_buttons(self))

    def write_to(self, settings: Settings) -> None:
        """Put the answers into `settings`."""
        settings.theme = self.theme.currentText()
        settings.digits = self.digits.value()
        settings.font_scale = self.scale.value()
        settings.confirm_close = self.confirm.isChecked()
        settings.stop_at_bad = self.stop_at_bad.isChecked()


class ShortcutSheet(QDialog):
    """Every command with its keys, searchable."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        self.resize(620, 520)
        column = QVBoxLayout(self)
        self.field = QLineEdit()
        self.field.setPlaceholderText("Search")
        self.field.setAccessibleName("Search shortcuts")
        column.addWidget(self.field)
        entries = [entry for entry in ACTIONS if entry.keys]
        self.table = QTableWidget(len(entries), 3)
        self.table.setHorizontalHeaderLabels(["Keys", "Command", "What it does"])
        for row, entry in enumerate(entries):
            keys = " or ".join(entry.keys)
            if entry.scope == "canvas":
                keys += "  (on a picture)"
            for place, text in enumerate((keys, entry.title.rstrip("…"), entry.tip)):
                item = QTableWidgetItem(text)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                self.table.setItem(row, place, item)
        if (side := self.table.verticalHeader()) is not None:
            side.hide()
        if (top := self.table.horizontalHeader()) is not None:
            top.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            top.setStretchLastSection(True)
        column.addWidget(self.table)
        column.addWidget(
            QLabel("Keys marked 'on a picture' act while a panel's picture has the focus.")
        )
        self.field.textChanged.connect(self._filter)

    def _filter(self, query: str) -> None:
        for row in range(self.table.rowCount()):
            cells = [self.table.item(row, column) for column in range(3)]
            text = " ".join(cell.text() for cell in cells if cell is not None)
            self.table.setRowHidden(row, not matches(query, text))
