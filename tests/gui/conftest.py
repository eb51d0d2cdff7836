"""Every test of the app draws offscreen, with one application object, in the dark theme."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before anything imports Qt

from collections.abc import Callable, Iterator

import pytest
from PyQt6.QtWidgets import QApplication, QWidget

from gui import theme


@pytest.fixture
def app(qapp: QApplication) -> Iterator[QApplication]:
    """The application in the dark theme; the theme is put back after the test."""
    theme.apply(qapp, theme.DARK)
    yield qapp
    theme.set_font_scale(1.0)
    if theme.current() is not theme.DARK:
        theme.apply(qapp, theme.DARK)


@pytest.fixture
def shown(app: QApplication, qtbot) -> Callable[..., QWidget]:
    """Show a widget at a size and let it paint; it is closed after the test."""

    def show(widget: QWidget, width: int = 400, height: int = 300) -> QWidget:
        qtbot.addWidget(widget)
        widget.resize(width, height)
        widget.show()
        app.processEvents()
        app.processEvents()
        return widget

    return show
