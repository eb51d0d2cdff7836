"""Messages at the lower right: never modal, with a traceback to unfold and to copy.

A message of the level ``"stop"`` tells what the person must not miss: it stays until dismissed.
"""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import QEvent, QObject, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QEnterEvent, QGuiApplication
from PyQt6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui import theme

SHOWN_MS = {"info": 5000, "warning": 9000, "error": 20000}
TOKENS = {"info": "selection", "warning": "cursor", "error": "bad", "stop": "bad"}
MARGIN = 14
WIDTH = 380
MOST = 4


class Notification(QFrame):
    """One message; it leaves by itself unless the pointer is on it."""

    closed = pyqtSignal(object)

    def __init__(self, level: str, text: str, detail: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.level, self.text, self.detail = level, text, detail
        self.setObjectName("notification")
        self.setAccessibleName(text)
        self.setFixedWidth(WIDTH)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.dismiss)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 8, 8)
        column.setSpacing(6)
        row = QHBoxLayout()
        label = QLabel(text)
        label.setWordWrap(True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row.addWidget(label, 1)
        if detail:
            row.addWidget(self._button("Details", self._toggle_detail))
            row.addWidget(self._button("Copy", self._copy))
        row.addWidget(self._button("✕", self.dismiss, "Dismiss"))
        column.addLayout(row)
        self._view = QPlainTextEdit(detail)
        self._view.setReadOnly(True)
        self._view.setFont(theme.mono(11))
        self._view.setFixedHeight(180)
        self._view.hide()
        column.addWidget(self._view)
        self._colour()
        theme.theme_changed.connect(self._colour)
        self._wait(SHOWN_MS.get(level, 6000))

    def _wait(self, milliseconds: int) -> None:
        """Leave after so long, unless this one stays."""
        if self.level != "stop":
            self._timer.start(milliseconds)

    def _button(self, text: str, slot: Callable[[], None], name: str = "") -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setAccessibleName(name or text)
        button.setAutoRaise(True)
        button.clicked.connect(lambda _checked=False: slot())
        return button

    def _colour(self, _theme: object = None) -> None:
        token = TOKENS.get(self.level, "muted")
        edge, now = theme.colour(token).name(), theme.current()
        self.setStyleSheet(
            f"#notification {{ background: {now.head}; border: 1px solid {now.line};"
            f" border-left: 3px solid {edge}; border-radius: 6px; }}"
        )

    def _toggle_detail(self) -> None:
        self._view.setVisible(not self._view.isVisible())
        self._timer.stop()
        parent = self.parent()
        if isinstance(parent, NotificationArea):
            parent.place()

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(f"{self.text}\n{self.detail}")

    def fit(self) -> int:
        """Take the height that the text needs at this width, and return it."""
        layout = self.layout()
        height = layout.heightForWidth(WIDTH) if layout is not None else 0
        if height <= 0:
            height = self.sizeHint().height()
        self.setFixedHeight(height)
        return height

    def dismiss(self) -> None:
        """Take the message away."""
        self.closed.emit(self)

    def enterEvent(self, event: QEnterEvent | None) -> None:  # noqa: N802
        """Stay while the pointer is here."""
        self._timer.stop()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Go on waiting."""
        if not self._view.isVisible():
            self._wait(2500)
        super().leaveEvent(event)


class NotificationArea(QWidget):
    """Keeps the messages stacked in a corner of the window it lies over."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.items: list[Notification] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        self._window = window
        window.installEventFilter(self)
        self.hide()

    def add(self, level: str, text: str, detail: str = "") -> Notification | None:
        """Show a message; the same text twice in a row is shown once."""
        if self.items and self.items[-1].text == text:
            return None
        item = Notification(level, text, detail, self)
        item.closed.connect(self._remove)
        self.items.append(item)
        self._column.addWidget(item)
        while len(self.items) > MOST:
            passing = [one for one in self.items if one.level != "stop"] or self.items
            self._remove(passing[0])
        self.show()
        self.raise_()
        self.place()
        return item

    def _remove(self, item: Notification) -> None:
        if item in self.items:
            self.items.remove(item)
            self._column.removeWidget(item)
            item.hide()
            item.deleteLater()
        if not self.items:
            self.hide()
        self.place()

    def place(self) -> None:
        """Move to the lower right corner, above the status line."""
        height = sum(item.fit() for item in self.items) + 8 * max(len(self.items) - 1, 0)
        self.setGeometry(
            self._window.width() - WIDTH - MARGIN,
            self._window.height() - height - MARGIN - 28,
            WIDTH,
            height,
        )

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Follow the window's size."""
        if watched is self._window and event is not None and event.type() == QEvent.Type.Resize:
            self.place()
        return False
