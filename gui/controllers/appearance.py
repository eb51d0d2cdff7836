"""Layouts, theme, preferences, palette and help."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from PyQt6.QtCore import PYQT_VERSION_STR, QT_VERSION_STR, Qt
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtWidgets import QApplication, QDialog, QMessageBox

from gui import theme
from gui.controllers.desk import Desk
from gui.controllers.show import Show
from gui.views.dialogs import PreferencesDialog, ShortcutSheet


class LayoutWindow(Protocol):
    """What this controller needs of the window."""

    layout_name: str

    def show_layout(self, name: str, state: str = "") -> bool:
        """Arrange the panels."""

    def layout_state(self) -> str:
        """Return the present arrangement."""

    def reset_layout(self) -> None:
        """Arrange the panels as they came."""

    def open_palette(self) -> None:
        """Open the command palette."""

    def toggle_full_screen(self) -> None:
        """Fill the screen, or no longer."""


def package_version(name: str) -> str:
    """Return the version of a package, or ``"not installed"``."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def system_text() -> str:
    """Return versions and machine for the report of a fault."""
    lines = [f"Python {sys.version.split()[0]} on {platform.platform()}"]
    lines.append(f"Qt {QT_VERSION_STR}, PyQt {PYQT_VERSION_STR}")
    lines += [f"{name} {package_version(name)}" for name in ("convscope", "numpy", "numba")]
    return "\n".join(lines)


class Appearance:
    """How the window looks."""

    def __init__(self, desk: Desk, window: LayoutWindow, show: Show) -> None:
        self._desk, self._window, self._show = desk, window, show
        self._sheet: ShortcutSheet | None = None
        self.changed: Callable[[], object] = lambda: None
        desk.on("view.palette", window.open_palette)
        desk.on("view.theme", self.toggle_theme)
        desk.on("view.fullscreen", window.toggle_full_screen)
        desk.on("view.fit", desk.panels.map.view.fit)
        desk.on("view.one_to_one", desk.panels.map.view.one_to_one)
        desk.entries["view.products"].toggled.connect(desk.panels.window.products.setChecked)
        desk.panels.window.products.toggled.connect(desk.entries["view.products"].setChecked)
        desk.entries["view.products"].setChecked(desk.panels.window.products.isChecked())
        desk.entries["window.lock"].toggled.connect(self.lock)
        desk.on("window.reset", self.reset)
        desk.on("edit.preferences", self.ask_preferences)
        desk.on("help.shortcuts", self.show_shortcuts)
        desk.on("help.system", self.copy_system)
        desk.on("help.about", self.about)
        desk.toolbar.layout_chosen.connect(self.choose_layout)
        for panel in desk.panels:
            panel.shown_changed.connect(lambda _key, shown: show.refresh() if shown else None)
        desk.entries["window.lock"].setChecked(desk.settings.locked)
        desk.panels.watch.set_digits(desk.settings.digits)

    def choose_layout(self, name: str) -> None:
        """Change to a named layout; each is kept as it was left."""
        settings = self._desk.settings
        settings.states[self._window.layout_name] = self._window.layout_state()
        self.open_layout(name)

    def open_layout(self, name: str) -> None:
        """Arrange the panels as a layout was left, else as it came."""
        settings = self._desk.settings
        if not self._window.show_layout(name, settings.states.get(name, "")):
            settings.states.pop(name, None)
            self._window.show_layout(name)
        settings.layout = name
        self.lock(settings.locked)

    def reset(self) -> None:
        """Put every panel back."""
        self._desk.settings.states.pop(self._window.layout_name, None)
        self._window.reset_layout()

    def lock(self, locked: bool) -> None:
        """Forbid or allow dragging panels."""
        self._desk.settings.locked = locked
        for panel in self._desk.panels:
            panel.set_locked(locked)

    def use_theme(self, name: str) -> None:
        """Put on a theme; ``"system"`` asks the desktop."""
        hints = QGuiApplication.styleHints()
        if name == "system" and hints is not None:
            name = "light" if hints.colorScheme() == Qt.ColorScheme.Light else "dark"
        app = QApplication.instance()
        if isinstance(app, QApplication):
            theme.apply(app, theme.THEMES.get(name, theme.DARK))
        self._show.refresh()

    def toggle_theme(self) -> None:
        """Change between dark and light."""
        name = "light" if theme.current().dark else "dark"
        self._desk.settings.theme = name
        self.use_theme(name)

    def ask_preferences(self) -> None:
        """Ask for preferences."""
        dialog = PreferencesDialog(self._desk.settings, self._desk.window)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            dialog.write_to(self._desk.settings)
            theme.set_font_scale(self._desk.settings.font_scale)
            self._desk.panels.watch.set_digits(self._desk.settings.digits)
            self.use_theme(self._desk.settings.theme)
            self.changed()

    def show_shortcuts(self) -> None:
        """Open the sheet of shortcuts; the window stays usable."""
        if self._sheet is None:
            self._sheet = ShortcutSheet(self._desk.window)
        self._sheet.show()
        self._sheet.raise_()

    def copy_system(self) -> None:
        """Copy versions for a report."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(system_text())
        self._desk.notify("info", "System information is on the clipboard.", "")

    def about(self) -> None:
        """Say what this is."""
        QMessageBox.about(
            self._desk.window,
            "About Convscope",
            f"<b>Convscope {package_version('convscope')}</b><p>Convolutional networks on CPU and "
            "CUDA, and a debugger that shows every number.</p><p>MIT licence. MNIST by LeCun, "
            "Cortes and Burges, CC BY-SA 3.0.</p>",
        )
