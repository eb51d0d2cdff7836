"""The window: one number and how it came about."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal

from gui.views.panel import Panel, flat_button
from gui.widgets.window_content import WindowContent
from gui.widgets.window_view import WindowView


class WindowPanel(Panel):
    """Draws any explanation: it is the same for every kind of layer."""

    term_reached = pyqtSignal(int)

    def __init__(self) -> None:
        super().__init__("window", "Window", (820, 260), (320, 150))
        self.view = WindowView()
        self.view.set_empty_text("Pick an element of a map: its sum appears here, term by term.")
        self.put(self.view)
        self.products = flat_button("products", "Show the row of products", checkable=True)
        self.products.setChecked(True)
        self.products.toggled.connect(self.view.set_products_visible)
        self.head.add_control(self.products)
        self.view.term_clicked.connect(self.term_reached)

    def show_content(self, content: WindowContent | None, tail: str = "") -> None:
        """Show an explanation; None leaves the sentence of the empty panel."""
        self.view.set_content(content)
        if content is None:
            self.head.set_detail("")
            return
        self.head.set_detail(tail)
