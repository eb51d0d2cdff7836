"""The list of breakpoints."""

from __future__ import annotations

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtWidgets import QAbstractItemView, QLabel, QListWidget, QListWidgetItem, QScrollArea

from gui import theme
from gui.models.snapshot import BreakpointRow
from gui.views.panel import Panel, flat_button


class _List(QListWidget):
    """A list that tells when Delete is pressed."""

    deleted = pyqtSignal()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Delete removes the chosen breakpoint; it can be undone."""
        if event is not None and event.key() == Qt.Key.Key_Delete:
            self.deleted.emit()
            return
        super().keyPressEvent(event)


class BreakpointsPanel(Panel):
    """A tick enables; the buttons in the head add and remove."""

    add_wanted = pyqtSignal()
    remove_wanted = pyqtSignal(int)
    enable_wanted = pyqtSignal(int, bool)

    def __init__(self) -> None:
        super().__init__("breakpoints", "Breakpoints", (210, 130), (150, 80))
        self._rows: tuple[BreakpointRow, ...] = ()
        self.view = _List()
        self.view.setAccessibleName("Breakpoints")
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.empty = QLabel("None yet. F9 breaks before the selected layer, + adds a condition.")
        self.empty.setWordWrap(True)
        self.empty.setProperty("muted", True)
        self.empty.setContentsMargins(10, 8, 10, 8)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.put(self.empty)
        self.put(self.view)
        self.message = QLabel("")
        self.message.setWordWrap(True)
        self.message.setContentsMargins(10, 4, 10, 6)
        self.message.setAlignment(Qt.AlignmentFlag.AlignTop)
        # A long sentence is scrolled through; it must not make the window taller.
        self._told = QScrollArea()
        self._told.setAccessibleName("Why the run stands here")
        self._told.setWidgetResizable(True)
        self._told.setWidget(self.message)
        self._told.setMinimumHeight(24)
        self._told.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._told.hide()
        self.put(self._told)
        add = flat_button("+", "Add a breakpoint")
        self._remove_button = remove = flat_button("−", "Remove the chosen breakpoint")
        self.head.add_control(add)
        self.head.add_control(remove)
        add.clicked.connect(lambda: self.add_wanted.emit())
        remove.clicked.connect(self._remove)
        self.view.deleted.connect(self._remove)
        self.view.itemChanged.connect(self._changed)
        self.view.itemSelectionChanged.connect(self._chosen_changed)
        remove.setEnabled(False)
        theme.theme_changed.connect(self._restyle)
        self.view.hide()

    def _restyle(self, _theme: object) -> None:
        """Give the lines the colours of the theme: items keep those they were made with."""
        self.view.blockSignals(True)
        for number, row in enumerate(self._rows):
            item = self.view.item(number)
            if item is not None:
                item.setForeground(theme.colour("text" if row.enabled else "muted"))
        self.view.blockSignals(False)

    def show_rows(
        self, rows: tuple[BreakpointRow, ...], message: str, training: bool = False
    ) -> None:
        """Show the breakpoints, why the run stands here, and whether they act now."""
        self.message.setText(message)
        self.message.setToolTip(message)
        self._told.setVisible(bool(message))
        on = sum(row.enabled for row in rows)
        acting = " · act while stepping only" if training and on else ""
        self.head.set_detail(f"{on} on{acting}" if rows else "")
        if rows == self._rows:
            return
        number = self._chosen()
        self._rows = rows
        self.view.blockSignals(True)
        self.view.clear()
        for row in rows:
            hits = f"   {row.hits} hit{'s' * (row.hits != 1)}"
            item = QListWidgetItem(f"● {row.text}{hits if row.hits else ''}")
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if row.enabled else Qt.CheckState.Unchecked)
            item.setForeground(theme.colour("text" if row.enabled else "muted"))
            item.setToolTip(f"{row.text}, stops at hit {row.hit_count}, {row.hits} hits so far")
            item.setData(Qt.ItemDataRole.UserRole, row.number)
            self.view.addItem(item)
            if row.number == number:
                self.view.setCurrentItem(item)
        self.view.blockSignals(False)
        self._chosen_changed()
        self.view.setVisible(bool(rows))
        self.empty.setVisible(not rows)

    def _chosen(self) -> int | None:
        """Return the number of the chosen breakpoint; the line that has the focus is not enough."""
        chosen = self.view.selectedItems()
        return int(chosen[0].data(Qt.ItemDataRole.UserRole)) if chosen else None

    def _chosen_changed(self) -> None:
        self._remove_button.setEnabled(self._chosen() is not None)

    def _remove(self) -> None:
        """Remove the chosen one; without a choice nothing is removed."""
        number = self._chosen()
        if number is not None:
            self.remove_wanted.emit(number)

    def _changed(self, item: QListWidgetItem) -> None:
        enabled = item.checkState() == Qt.CheckState.Checked
        self.enable_wanted.emit(item.data(Qt.ItemDataRole.UserRole), enabled)
