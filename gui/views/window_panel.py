"""The window: one number and how it came about."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QLabel, QVBoxLayout, QWidget

from gui import theme
from gui.views.panel import Panel, flat_button
from gui.widgets.window_content import WindowContent
from gui.widgets.window_view import WindowView


class WindowPanel(Panel):
    """Draws any explanation: it is the same for every kind of layer."""

    term_reached = pyqtSignal(int)

    def __init__(self) -> None:
        super().__init__("window", "Window", (820, 260), (320, 150))
        self.view = WindowView()
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setAccessibleName("Why the run stands here")
        self.message.hide()
        self._message, self._bad = "", False
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.message)
        column.addWidget(self.view, 1)
        self.put(box)
        theme.theme_changed.connect(self._again)
        self.products = flat_button("products", "Show the row of products", checkable=True)
        self.products.setChecked(True)
        self.products.toggled.connect(self.view.set_products_visible)
        self.head.add_control(self.products)
        self.view.term_clicked.connect(self.term_reached)

    def _again(self) -> None:
        self.show_message(self._message, self._bad)

    def show_content(
        self, content: WindowContent | None, tail: str = "", missing: str = ""
    ) -> None:
        """Show an explanation; None leaves a sentence that says what is missing."""
        self.view.set_empty_text(
            missing or "Pick an element of a map: its sum appears here, term by term."
        )
        self.view.set_content(content)
        self.head.set_detail(tail)

    def show_message(self, text: str, bad: bool) -> None:
        """Say in one line above the picture why the run stands here; an empty text says nothing."""
        self._message, self._bad = text, bad
        colour = theme.colour("bad" if bad else "cursor")
        self.message.setStyleSheet(
            f"border-left: 3px solid {colour.name()}; padding: 4px 8px; "
            f"background: {theme.blend(theme.current().panel, colour.name(), 0.14).name()};"
        )
        self.message.setText(text)
        self.message.setVisible(bool(text))
