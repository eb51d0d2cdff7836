"""Watch: the tensors of the selected layer with their statistics."""

from __future__ import annotations

from PyQt6.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QResizeEvent
from PyQt6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from gui import theme
from gui.models.snapshot import LocalRow
from gui.views.network_panel import shape_text
from gui.views.panel import Panel
from gui.widgets.numbers import format_number, format_share

COLUMN, FIRST_COLUMN = 62, 80
"""Pixels that a column of numbers and the names need."""
WANTED = (3, 2, 4, 7, 6, 5, 1)
"""Columns from the most to the least wanted."""
COLUMNS = ("tensor", "shape", "min", "mean", "max", "std", "zero", "NaN")


class _Table(QAbstractTableModel):
    """Rows of statistics; cells are made on demand."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.rows: tuple[LocalRow, ...] = ()
        self.digits = 3

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Return the number of tensors."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Return the title of a column."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return COLUMNS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole and section > 1:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def text(self, row: LocalRow, column: int) -> str:
        """Return the text of a cell."""
        if column == 0:
            return row.name
        if column == 1:
            return shape_text(row.shape)
        if row.low is None:
            return "not computed" if column == 2 else ""
        if column == 6:
            return format_share(row.zeros or 0.0)
        if column == 7:
            return str(row.bad)
        value = (row.low, row.mean, row.high, row.deviation)[column - 2]
        return "" if value is None else format_number(value, self.digits)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return text, alignment, font and colour of a cell."""
        row, column = self.rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column > 1:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.FontRole:
            return theme.mono(11)
        if role == Qt.ItemDataRole.ToolTipRole:
            ahead = " (computed ahead of the cursor)" if row.ahead else ""
            return f"{row.name}, shape {row.shape}{ahead}"
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._colour(row, column)
        return None

    def _colour(self, row: LocalRow, column: int) -> QColor | None:
        if column == 7 and row.bad:
            return theme.colour("nonfinite")
        if row.ahead or row.low is None or column == 1:
            return theme.colour("muted")
        return None


class WatchPanel(Panel):
    """The locals of a debugger, for a layer."""

    tensor_chosen = pyqtSignal(str)

    def __init__(self) -> None:
        super().__init__("watch", "Watch", (240, 160), (150, 80))
        self._table = _Table(self)
        self.view = QTableView()
        self.view.setAccessibleName("Tensors of the layer")
        self.view.setModel(self._table)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setShowGrid(False)
        if (side := self.view.verticalHeader()) is not None:
            side.hide()
            side.setDefaultSectionSize(22)
        if (top := self.view.horizontalHeader()) is not None:
            top.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            top.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            top.setHighlightSections(False)
        self.put(self.view)
        self.view.clicked.connect(self._click)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Show as many columns as there is room for; the least wanted leave first."""
        super().resizeEvent(event)
        room = self.width() - FIRST_COLUMN
        for number, column in enumerate(WANTED):
            self.view.setColumnHidden(column, room < (number + 1) * COLUMN)

    def set_digits(self, digits: int) -> None:
        """Set how many decimals are shown."""
        self._table.digits = max(digits - 1, 1)

    def show_locals(self, layer: str, rows: tuple[LocalRow, ...]) -> None:
        """Show the tensors of a layer."""
        self.head.set_detail(layer)
        if rows == self._table.rows:
            return
        same = [row.name for row in rows] == [row.name for row in self._table.rows]
        if not same:
            self._table.beginResetModel()
        self._table.rows = rows
        if same and rows:
            last = self._table.index(len(rows) - 1, len(COLUMNS) - 1)
            self._table.dataChanged.emit(self._table.index(0, 0), last)
        else:
            self._table.endResetModel()

    def _click(self, index: QModelIndex) -> None:
        self.tensor_chosen.emit(self._table.rows[index.row()].name)
