"""Reads text off the screen: its colour, what it stands on, and how well that can be read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PyQt6.QtCore import QPoint, QRect
from PyQt6.QtGui import QImage
from PyQt6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QListWidget,
    QMenuBar,
    QPlainTextEdit,
    QProgressBar,
    QTabBar,
    QTableWidget,
    QTreeWidget,
    QWidget,
)

LEAST = 4.5
"""Contrast that text of this size needs (WCAG 2.1, 1.4.3); what is disabled is exempt there."""


def pixels(widget: QWidget) -> np.ndarray:
    """Return the widget as it is painted, (h, w, 3)."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    data = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8)
    rows = data.reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3)


def luminance(colours: np.ndarray) -> np.ndarray:
    """Return the relative luminance of 8-bit colours."""
    value = colours.astype(float) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast_in(region: np.ndarray) -> float:
    """Return the contrast of the text in a region with the colour that fills most of it."""
    colours, counts = np.unique(region.reshape(-1, 3), axis=0, return_counts=True)
    ground = luminance(colours[counts.argmax()][None])[0]
    others = luminance(colours)
    high, low = np.maximum(others, ground), np.minimum(others, ground)
    return float(((high + 0.05) / (low + 0.05)).max())


def places(widget: QWidget) -> Iterator[tuple[str, QRect]]:
    """Yield every text that a widget shows itself, with the rectangle it stands in."""
    if isinstance(widget, QLabel):
        if widget.text().strip():
            yield widget.text(), widget.contentsRect()
    elif isinstance(widget, QAbstractButton):
        if widget.text().strip():
            yield widget.text(), widget.rect()
    elif isinstance(widget, QComboBox):
        if widget.currentText():
            yield widget.currentText(), widget.rect()
    elif isinstance(widget, QAbstractSpinBox):
        yield widget.text(), widget.rect()
    elif isinstance(widget, QLineEdit):
        text = widget.text() or widget.placeholderText()
        if text:
            yield text, widget.rect()
    elif isinstance(widget, QPlainTextEdit):
        yield widget.toPlainText(), widget.rect()
    elif isinstance(widget, QProgressBar):
        if widget.isTextVisible() and widget.text():
            yield widget.text(), widget.rect()
    elif isinstance(widget, QTabBar):
        for number in range(widget.count()):
            yield widget.tabText(number), widget.tabRect(number)
    elif isinstance(widget, QMenuBar):
        for action in widget.actions():
            yield action.text(), widget.actionGeometry(action)
    elif isinstance(widget, QListWidget | QTableWidget | QTreeWidget):
        yield from items(widget)
    elif isinstance(widget, QHeaderView):
        model = widget.model()
        for section in range(widget.count()):
            text = str(model.headerData(section, widget.orientation()) or "")
            left, width = widget.sectionViewportPosition(section), widget.sectionSize(section)
            if text and width > 20:
                yield text, QRect(left, 0, width, widget.height())


def items(view: QListWidget | QTableWidget | QTreeWidget) -> Iterator[tuple[str, QRect]]:
    """Yield the cells of a view that are on screen, in coordinates of the view."""
    model, port = view.model(), view.viewport()
    shift = port.mapTo(view, QPoint(0, 0))
    for row in range(model.rowCount()):
        for column in range(1 if isinstance(view, QListWidget) else model.columnCount()):
            index = model.index(row, column)
            area = view.visualRect(index) & port.rect()
            text = str(index.data() or "")
            if text.strip() and area.width() > 12 and area.height() > 12:
                yield text, area.translated(shift)


def unreadable(window: QWidget, least: float = LEAST) -> list[str]:
    """Return every text of a window that is hard to read, with where it stands."""
    shot, found = pixels(window), []
    for widget in [window, *window.findChildren(QWidget)]:
        if not widget.isVisible() or not widget.isEnabled() or widget.visibleRegion().isEmpty():
            continue
        for text, area in places(widget):
            seen = area & widget.visibleRegion().boundingRect()
            if seen.width() < 6 or seen.height() < 6:
                continue
            place = QRect(widget.mapTo(window, seen.topLeft()), seen.size()) & window.rect()
            part = shot[place.top() : place.bottom() + 1, place.left() : place.right() + 1]
            if part.size and (found_contrast := contrast_in(part)) < least:
                name = widget.accessibleName() or widget.objectName() or type(widget).__name__
                found.append(f"{name}: {text!r} {found_contrast:.2f}")
    return found
