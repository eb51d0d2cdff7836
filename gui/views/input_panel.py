"""Input: the picture the net sees and four ways to choose it."""

from __future__ import annotations

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from gui.models.snapshot import Box, Picture, RunInfo
from gui.views.panel import Panel
from gui.widgets.digit_canvas import DigitCanvas
from gui.widgets.image_view import InputView

TAB_OF = {"test": "Dataset", "train": "Dataset", "batch": "Dataset", "drawn": "Draw"}
TAB_OF |= {"file": "File", "synthetic": "Synthetic"}
"""The tab that a picture's source belongs to."""
SYNTHETIC = ("impulse", "edge", "bars", "checker", "noise", "constant")
TABS = ("Dataset", "Draw", "File", "Synthetic")


class DatasetPage(QWidget):
    """Browse a set by number, class or chance."""

    chosen = pyqtSignal(str, int)
    moved = pyqtSignal(str, str, int)

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[str, int] = {}
        self._told: dict[str, str] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(8, 6, 8, 8)
        grid.setSpacing(6)
        self.dataset = QComboBox()
        self.dataset.setAccessibleName("Set")
        self.number = QSpinBox()
        self.number.setAccessibleName("Number of the picture")
        self.number.setKeyboardTracking(False)
        self.label_filter = QComboBox()
        self.label_filter.setAccessibleName("Only this class")
        grid.addWidget(self.dataset, 0, 0)
        grid.addWidget(self.number, 0, 1)
        grid.addWidget(self.label_filter, 1, 0)
        row = QHBoxLayout()
        row.setSpacing(4)
        for text, move, tip in (
            ("◁", "previous", "Previous picture"),
            ("Random", "random", "A random picture"),
            ("▷", "next", "Next picture"),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.setAccessibleName(tip)
            button.clicked.connect(lambda _=False, move=move: self._move(move))
            if len(text) == 1:
                button.setFixedWidth(28)
                button.setStyleSheet("padding: 4px 2px;")
            row.addWidget(button, 0 if len(text) == 1 else 1)
        grid.addLayout(row, 1, 1)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        self.number.valueChanged.connect(self._number)
        self.dataset.activated.connect(self._number)

    def show_run(self, run: RunInfo) -> None:
        """Fill the lists of a run."""
        self.blockSignals(True)
        self.dataset.clear()
        self.dataset.addItems(list(run.dataset_sizes))
        self.label_filter.clear()
        self.label_filter.addItem("any class")
        self.label_filter.addItems([f"only {label}" for label in run.labels])
        self._sizes = run.dataset_sizes
        self.number.setRange(0, max(max(run.dataset_sizes.values(), default=1) - 1, 0))
        self.setEnabled(bool(run.dataset_sizes))
        self.blockSignals(False)

    def describe(self, dataset: str, text: str) -> None:
        """Say what is in a set, on the list of sets."""
        self._told[dataset] = text
        self.dataset.setToolTip("\n".join(self._told.values()))

    def show_number(self, dataset: str, number: int) -> None:
        """Show which picture is on; tells nothing."""
        self.number.blockSignals(True)
        self.dataset.setCurrentText(dataset)
        self.number.setMaximum(max(self._sizes.get(dataset, 1) - 1, 0))
        self.number.setValue(number)
        self.number.blockSignals(False)

    def _number(self) -> None:
        name = self.dataset.currentText()
        self.number.setMaximum(max(self._sizes.get(name, 1) - 1, 0))
        self.chosen.emit(name, self.number.value())

    def _move(self, move: str) -> None:
        self.moved.emit(self.dataset.currentText(), move, self.label_filter.currentIndex() - 1)


class FilePage(QWidget):
    """Open, drop or paste."""

    open_wanted = pyqtSignal()
    paste_wanted = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 8)
        column.setSpacing(6)
        row = QHBoxLayout()
        for text, signal in (("Open…", self.open_wanted), ("Paste", self.paste_wanted)):
            button = QPushButton(text)
            button.clicked.connect(lambda _=False, signal=signal: signal.emit())
            row.addWidget(button)
        column.addLayout(row)
        self.stages = QLabel("Drop a picture anywhere on the window.")
        self.stages.setWordWrap(True)
        self.stages.setProperty("muted", True)
        column.addWidget(self.stages)


class SyntheticPage(QWidget):
    """Pictures made by rule, to see what a layer answers to."""

    made = pyqtSignal(str, int)

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 8, 8)
        row.setSpacing(6)
        self.kind = QComboBox()
        self.kind.setAccessibleName("Kind of picture")
        self.kind.addItems(SYNTHETIC)
        self.amount = QSpinBox()
        self.amount.setAccessibleName("Place, period or seed")
        self.amount.setToolTip("Place of the edge, period of the pattern or seed of the noise")
        self.amount.setRange(0, 999)
        self.amount.setValue(4)
        make = QPushButton("Make")
        row.addWidget(self.kind, 1)
        row.addWidget(self.amount)
        row.addWidget(make)
        make.clicked.connect(self._make)
        self.kind.activated.connect(self._make)
        self.amount.valueChanged.connect(self._make)

    def _make(self) -> None:
        self.made.emit(self.kind.currentText(), self.amount.value())


class InputPanel(Panel):
    """The picture with the receptive field, and the tabs below it."""

    hovered = pyqtSignal(int, int)
    hover_left = pyqtSignal()
    files_dropped = pyqtSignal(object)
    image_pasted = pyqtSignal(object)
    drawing_wanted = pyqtSignal()
    """The person turned to a drawing that is not the input yet."""

    def __init__(self) -> None:
        super().__init__("input", "Input", (250, 320), (170, 180))
        self.view, self.canvas = InputView(), DigitCanvas()
        self.view.set_empty_text("The picture appears here once a run is open.")
        self._source = ""
        self._by_itself = False
        self.upper = QStackedWidget()
        self.upper.addWidget(self.view)
        self.upper.addWidget(self.canvas)
        self.tabs = QTabBar()
        self.tabs.setAccessibleName("Where the picture comes from")
        self.tabs.setExpanding(True)
        self.tabs.setDrawBase(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideNone)
        self.pages = QStackedWidget()
        self.dataset = DatasetPage()
        self.file, self.synthetic = FilePage(), SyntheticPage()
        for name, page in zip(
            TABS, (self.dataset, QWidget(), self.file, self.synthetic), strict=True
        ):
            self.tabs.addTab(name)
            self.pages.addWidget(page)
        self.pages.setFixedHeight(74)
        self.column.addWidget(self.tabs)
        self.column.addWidget(self.upper, 1)
        self.column.addWidget(self.pages)
        self.tabs.currentChanged.connect(self._turn)
        self.view.hovered.connect(self.hovered)
        self.view.hover_left.connect(self.hover_left)
        self.view.dropped.connect(self.files_dropped)
        self.view.pasted.connect(self.image_pasted)

    def _turn(self, row: int) -> None:
        self.pages.setCurrentIndex(row)
        drawing = TABS[row] == "Draw"  # the canvas brings its own tools
        self.upper.setCurrentIndex(1 if drawing else 0)
        self.pages.setVisible(not drawing)
        unused = drawing and self._source not in ("", "drawn")
        if unused and not self._by_itself and self.canvas.isEnabled() and self.canvas.has_ink():
            self.drawing_wanted.emit()

    def show_tab(self, name: str) -> None:
        """Turn to a tab."""
        self.tabs.setCurrentIndex(TABS.index(name))

    def show_picture(self, picture: Picture) -> None:
        """Show what the net sees, under the tab that it came from."""
        self.head.set_detail(picture.title)
        self.view.set_image(picture.image)
        drawn = picture.source == "drawn"
        self.canvas.show_seen(None if drawn else picture.image, "" if drawn else picture.title)
        if picture.source != self._source:
            first, self._source = not self._source, picture.source
            tab = TAB_OF.get(picture.source.partition("#")[0])
            if tab is not None and not first:
                self._by_itself = True
                self.show_tab(tab)
                self._by_itself = False

    def show_box(self, box: Box | None, sure: bool = True) -> None:
        """Draw the receptive field of the selected element; None takes it away."""
        self.view.set_box(box)
