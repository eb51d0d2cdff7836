"""The command palette: type a part of a name, press Return."""

from __future__ import annotations

from collections.abc import Mapping

from PyQt6.QtCore import QEvent, QObject, Qt
from PyQt6.QtGui import QAction, QKeyEvent
from PyQt6.QtWidgets import (
    QDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.actions import ACTIONS

SHOWN = [entry for entry in ACTIONS if entry.menu and entry.id != "view.palette"]


def matches(query: str, text: str) -> bool:
    """Tell whether the letters of every word of `query` occur in `text` in their order."""
    text = text.lower()
    for word in query.lower().split():
        place = 0
        for letter in word:
            place = text.find(letter, place) + 1
            if place == 0:
                return False
    return True


class CommandPalette(QDialog):
    """A list that shortens while one types."""

    def __init__(self, actions: Mapping[str, QAction], parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAccessibleName("Command palette")
        self._actions = actions
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        self.field = QLineEdit()
        self.field.setPlaceholderText("Search commands")
        self.field.setAccessibleName("Search commands")
        self.list = QListWidget()
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setAccessibleName("Commands found")
        column.addWidget(self.field)
        column.addWidget(self.list)
        self.resize(460, 380)
        self.field.textChanged.connect(self._filter)
        self.field.returnPressed.connect(self._run)
        self.field.installEventFilter(self)
        self.list.itemClicked.connect(lambda _item: self._run())
        self._filter("")

    def open_at(self, window: QWidget) -> None:
        """Open in the upper middle of the window, empty."""
        self.field.clear()
        corner = window.mapToGlobal(window.rect().topLeft())
        self.move(corner.x() + (window.width() - self.width()) // 2, corner.y() + 76)
        self.show()
        self.field.setFocus()

    def _filter(self, query: str) -> None:
        self.list.clear()
        found = [entry for entry in SHOWN if matches(query, f"{entry.menu} {entry.title}")]
        exact = query.lower()
        found.sort(key=lambda entry: exact not in entry.title.lower())
        for entry in found:
            keys = f"    {entry.keys[0]}" if entry.keys else ""
            item = QListWidgetItem(f"{entry.title.rstrip('…')}{keys}    ({entry.menu})")
            item.setToolTip(entry.tip)
            item.setData(Qt.ItemDataRole.UserRole, entry.id)
            if not self._actions[entry.id].isEnabled():
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    def _run(self) -> None:
        item = self.list.currentItem()
        if item is None:
            return
        self.hide()
        self._actions[item.data(Qt.ItemDataRole.UserRole)].trigger()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Move in the list with the arrows while the field has the focus."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()), 0)
            if step and self.list.count():
                self.list.setCurrentRow((self.list.currentRow() + step) % self.list.count())
                return True
        return False
