"""Small questions: go to, breakpoint, preferences; and the sheet of shortcuts."""

from __future__ import annotations

from dataclasses import dataclass

from PyQt6.QtCore import Qt
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
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.actions import ACTIONS
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


class GoToDialog(QDialog):
    """Ask for an element: ``conv2:0,5,7,4`` or ``5,7,4`` in the selected layer."""

    def __init__(self, layers: list[str], current: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Go to element")
        form = QFormLayout(self)
        self.layer = QComboBox()
        self.layer.addItems(layers)
        self.layer.setCurrentText(current)
        self.index = QLineEdit()
        self.index.setPlaceholderText("channel, y, x   for example 5, 7, 4")
        form.addRow("&Layer", self.layer)
        form.addRow("&Index", self.index)
        form.addRow(_buttons(self))
        self.index.setFocus()

    def answer(self) -> tuple[str, str]:
        """Return layer and the text of the index."""
        return self.layer.currentText(), self.index.text()


@dataclass(frozen=True, slots=True)
class BreakpointWish:
    """What the dialog asks for."""

    layer: str | None
    phase: str | None
    when: str | None
    hit_count: int


class BreakpointDialog(QDialog):
    """Ask for a place and a condition."""

    def __init__(self, layers: list[str], current: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Add breakpoint")
        self.setMinimumWidth(360)
        form = QFormLayout(self)
        self.layer = QComboBox()
        self.layer.addItems(["any layer", *layers])
        self.layer.setCurrentText(current)
        self.phase = QComboBox()
        self.phase.addItems(["any phase", *PHASES[1:]])
        self.when = QComboBox()
        self.when.setEditable(True)
        self.when.addItems(list(CONDITIONS))
        field = self.when.lineEdit()
        if field is not None:
            field.setPlaceholderText("always, or conv2.output.std() > 3")
        self.hits = QSpinBox()
        self.hits.setRange(1, 1_000_000)
        form.addRow("&Layer", self.layer)
        form.addRow("&Phase", self.phase)
        form.addRow("&When", self.when)
        form.addRow("Stop at &hit", self.hits)
        form.addRow(_buttons(self))

    def answer(self) -> BreakpointWish:
        """Return the wish."""
        return BreakpointWish(
            self.layer.currentText() if self.layer.currentIndex() else None,
            self.phase.currentText() if self.phase.currentIndex() else None,
            self.when.currentText().strip() or None,
            self.hits.value(),
        )


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
        self.confirm = QCheckBox("while a training runs")
        self.confirm.setChecked(settings.confirm_close)
        form.addRow("&Theme", self.theme)
        form.addRow("&Decimals", self.digits)
        form.addRow("Text &size", self.scale)
        form.addRow("&Ask before closing", self.confirm)
        form.addRow(_buttons(self))

    def write_to(self, settings: Settings) -> None:
        """Put the answers into `settings`."""
        settings.theme = self.theme.currentText()
        settings.digits = self.digits.value()
        settings.font_scale = self.scale.value()
        settings.confirm_close = self.confirm.isChecked()


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
