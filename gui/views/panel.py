"""The base of every dock: a named frame with a head."""

from __future__ import annotations

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QComboBox,
    QDockWidget,
    QFrame,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui import theme
from gui.widgets.panel_head import PanelHead


class Panel(QDockWidget):
    """A dock with a head of 26 px; subclasses put one widget into it.

    Parameters
    ----------
    key : str
        Name in saved layouts and in the worker's interest; unique.
    title : str
    size : (int, int)
        Wish of the content in pixels.
    least : (int, int)
        The content is never smaller.
    """

    shown_changed = pyqtSignal(str, bool)
    focused = pyqtSignal(str)

    def __init__(
        self, key: str, title: str, size: tuple[int, int], least: tuple[int, int] = (120, 60)
    ) -> None:
        super().__init__(title)
        self.key = key
        self.setObjectName(key)
        self.setAccessibleName(f"{title} panel")
        self.head = _Head(title)
        self.setTitleBarWidget(self.head)
        self.frame = _Frame(QSize(*size), QSize(*least))
        self.column = self.frame.column
        self.setWidget(self.frame)
        self.on_screen = False
        self.set_locked(False)
        self.visibilityChanged.connect(self._tell_visibility)

    def put(self, widget: QWidget) -> None:
        """Add a widget below those that are there."""
        self.column.addWidget(widget)

    def set_locked(self, locked: bool) -> None:
        """Forbid or allow dragging; a locked panel can still be closed from the menu."""
        feature = QDockWidget.DockWidgetFeature
        movable = feature.DockWidgetMovable | feature.DockWidgetFloatable
        self.setFeatures(
            feature.DockWidgetClosable if locked else feature.DockWidgetClosable | movable
        )

    def _tell_visibility(self, shown: bool) -> None:
        """Keep `on_screen`: a dock behind another one is not hidden as Qt sees it, but unseen."""
        self.on_screen = shown
        self.shown_changed.emit(self.key, shown)


class _Head(PanelHead):
    """A head that keeps its height: a dock asks the hint, not the fixed size."""

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the width of the contents and the height of a head."""
        return QSize(super().sizeHint().width(), theme.HEAD)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return little width, so that titles never widen a dock."""
        return QSize(60, theme.HEAD)


def frame_sheet() -> str:
    """Return the style of the boxes below the heads, in the colours of now."""
    now = theme.current()
    return (
        f"#panel_body {{ background: {now.panel}; border: 1px solid {now.line}; border-top: none;"
        " border-bottom-left-radius: 6px; border-bottom-right-radius: 6px; }"
    )


class _Frame(QFrame):
    """The box below the head."""

    def __init__(self, size: QSize, least: QSize) -> None:
        super().__init__()
        self._size = size
        self.setObjectName("panel_body")
        self.setMinimumSize(least)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(1, 0, 1, 1)
        self.column.setSpacing(0)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the panel's wish; the layout sets the real size."""
        return self._size


def flat_button(text: str, tip: str, checkable: bool = False) -> QToolButton:
    """Return a small button for panel heads and rows."""
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setCheckable(checkable)
    button.setProperty("flat", True)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


def flat_list(name: str, tip: str, texts: tuple[str, ...] = ()) -> QComboBox:
    """Return a small list for panel heads, as wide as its longest text."""
    box = QComboBox()
    box.setProperty("flat", True)
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.addItems(list(texts))
    fit_list(box)
    return box


def fit_list(box: QComboBox) -> None:
    """Make a list wide enough for its longest text and the arrow."""
    texts = [box.itemText(row) for row in range(box.count())]
    widest = max((box.fontMetrics().horizontalAdvance(text) for text in texts), default=0)
    box.setMinimumWidth(widest + 30)


def mono_label(text: str = "", size: int = 12, muted: bool = False) -> QLabel:
    """Return a label for numbers."""
    label = QLabel(text)
    families = ", ".join(f'"{family}"' for family in theme.mono(size).families())
    label.setStyleSheet(f"font-family: {families}; font-size: {size}px;")
    if muted:
        label.setProperty("muted", True)
    return label
