"""The 26-pixel head of a panel: its name, what it shows, settings at the right."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QPaintEvent, QResizeEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QWidget

from gui import theme
from gui.widgets.canvas import elided

SHORTEST = 6
"""Characters that are left of a text, or none is."""


class ElidedLabel(QLabel):
    """A label that shortens its text with an ellipsis instead of pushing its neighbours out."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole = text
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setMinimumWidth(0)
        self._shorten()

    def whole_text(self) -> str:
        """Return the text before shortening."""
        return self._whole

    def set_whole_text(self, text: str) -> None:
        """Set the text; the whole of it is the tooltip when it does not fit."""
        self._whole = text
        self._shorten()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Shorten anew."""
        super().resizeEvent(event)
        self._shorten()

    def _shorten(self) -> None:
        shown = elided(self.font(), self._whole, self.width() - 2)
        if shown != self._whole and len(shown) < SHORTEST:
            shown = ""  # a letter and an ellipsis say nothing
        if shown != self.text():
            self.setText(shown)
        self.setToolTip(self._whole if shown != self._whole else "")


class PanelHead(QFrame):
    """Title bar of a dock.

    Parameters
    ----------
    title : str
        Shown in small bold capitals.
    parent : QWidget, optional
    """

    def __init__(self, title: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel_head")
        self.setFixedHeight(theme.HEAD)
        self._raw_title = title
        self._title = QLabel(title.upper(), self)
        self._title.setObjectName("panel_title")
        self._detail = ElidedLabel(parent=self)
        self._detail.setObjectName("panel_detail")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(10, 0, 4, 0)
        self._row.setSpacing(6)
        self._row.addWidget(self._title)
        self._row.addSpacing(4)
        self._row.addWidget(self._detail, 1)
        self.setAccessibleName(f"{title} panel")

    def title(self) -> str:
        """Return the name as it was given."""
        return self._raw_title

    def detail(self) -> str:
        """Return what the panel says it shows."""
        return self._detail.whole_text()

    def set_title(self, title: str) -> None:
        """Set the name."""
        self._raw_title = title
        self._title.setText(title.upper())
        self.setAccessibleName(f"{title} panel")

    def set_detail(self, text: str) -> None:
        """Say what the panel shows; shortened with an ellipsis where room is scarce."""
        self._detail.set_whole_text(text)

    def set_stale(self, stale: bool) -> None:
        """Mark the panel as showing an older state than the rest of the window."""
        self._title.setEnabled(not stale)
        self._title.setText(self._raw_title.upper() + (" (OLD)" if stale else ""))

    def add_control(self, control: QWidget) -> None:
        """Add a setting at the right end."""
        if not control.accessibleName():
            control.setAccessibleName(control.toolTip() or f"{self._raw_title} setting")
        self._row.addWidget(control, 0, Qt.AlignmentFlag.AlignVCenter)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Let the style sheet draw."""
        super().paintEvent(event)
