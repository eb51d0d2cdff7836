"""Run files and exports."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from PyQt6.QtGui import QPixmap
from PyQt6.QtWidgets import QFileDialog, QWidget

from engine.errors import FormatError
from gui.controllers.desk import Desk
from gui.models.accepted import run_filter
from gui.models.snapshot import RunInfo
from gui.saving import save_png


class FileWindow(Protocol):
    """What this controller needs of the window."""

    def show_recent(self, paths: list[str]) -> None:
        """Fill the menu of recent files."""

    def close(self) -> bool:
        """Close the window."""

    def setWindowTitle(self, title: str) -> None:  # noqa: N802
        """Name the window."""


def with_suffix(path: str, suffix: str) -> str:
    """Return `path` with `suffix` if it has none."""
    return path if Path(path).suffix else path + suffix


class Files:
    """Open, save, export."""

    def __init__(self, desk: Desk, window: FileWindow) -> None:
        self._desk, self._window = desk, window
        self._focused = "window"
        desk.on("file.open_run", self.ask_run)
        desk.on("file.save_run", self.ask_save)
        desk.on("file.export_png", self.ask_png)
        desk.on("file.export_npy", self.ask_npy)
        desk.on("file.quit", window.close)
        desk.session.run_changed.connect(self._run)
        window.show_recent(desk.settings.recent)

    def _run(self, run: RunInfo) -> None:
        self._window.setWindowTitle(f"{run.title} · Convscope")
        if run.path and "bundled" not in Path(run.path).parts:
            self._desk.settings.add_recent(run.path)
            self._window.show_recent(self._desk.settings.recent)

    def open_run(self, path: str) -> None:
        """Open a run file."""
        self._desk.settings.folders["run"] = str(Path(path).parent)
        self._desk.worker.interrupt()
        self._desk.worker.submit("open_run", path)

    def ask_run(self) -> None:
        """Ask for a run file."""
        folder = self._desk.settings.folders.get("run", "")
        path, _ = QFileDialog.getOpenFileName(self._desk.window, "Open run", folder, run_filter())
        if path:
            self.open_run(path)

    def ask_save(self) -> None:
        """Ask where the run shall be saved."""
        folder = self._desk.settings.folders.get("run", "")
        path, _ = QFileDialog.getSaveFileName(self._desk.window, "Save run", folder, run_filter())
        if path:
            self._desk.settings.folders["run"] = str(Path(path).parent)
            self._desk.worker.submit("save_run", with_suffix(path, ".safetensors"))

    def ask_npy(self) -> None:
        """Ask where the exact numbers of the shown tensor shall go."""
        snapshot = self._desk.session.snapshot
        if snapshot is None:
            return
        path, _ = QFileDialog.getSaveFileName(
            self._desk.window,
            f"Export {snapshot.layer}.{snapshot.tensor}",
            f"{snapshot.layer}.{snapshot.tensor}.npy",
            "NumPy arrays (*.npy)",
        )
        if path:
            self._desk.worker.submit(
                "export_npy", with_suffix(path, ".npy"), snapshot.layer, snapshot.tensor
            )

    def focused_panel(self) -> str:
        """Return the key of the panel that has the focus, or had it last."""
        for panel in self._desk.panels:
            focus: QWidget | None = panel.focusWidget()
            if focus is not None and focus.hasFocus():
                self._focused = panel.key
        return self._focused

    def ask_png(self) -> None:
        """Ask where the picture of the focused panel shall go."""
        key = self.focused_panel()
        path, _ = QFileDialog.getSaveFileName(
            self._desk.window, f"Export panel {key}", f"{key}.png", "Pictures (*.png)"
        )
        if path:
            self.export_png(key, with_suffix(path, ".png"))

    def export_png(self, key: str, path: str, scale: float = 2.0) -> None:
        """Write a picture of a panel, drawn anew at `scale` pixels for each of the screen."""
        panel = self._desk.panels.panel(key)
        picture = QPixmap(panel.size() * scale)
        picture.setDevicePixelRatio(scale)
        panel.render(picture)
        try:
            save_png(picture, path)
        except FormatError as error:
            self._desk.notify("warning", str(error), "")
        else:
            self._desk.notify("info", f"{Path(path).name} is written.", "")
