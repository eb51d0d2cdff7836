"""Run files and exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from PyQt6.QtGui import QPixmap
from PyQt6.QtWidgets import QFileDialog, QWidget

from engine.errors import FormatError
from gui.controllers.desk import Desk
from gui.models.accepted import run_filter
from gui.models.snapshot import RunInfo
from gui.saving import save_png
from gui.worker.mailbox import Reply


class FileWindow(Protocol):
    """What this controller needs of the window."""

    def show_recent(self, paths: list[str]) -> None:
        """Fill the menu of recent files."""

    def close(self) -> bool:
        """Close the window."""

    def setWindowTitle(self, title: str) -> None:  # noqa: N802
        """Name the window."""


def is_bundled(path: str) -> bool:
    """Tell whether a run ships with the product, so that it is no file of the person."""
    return not path or "bundled" in Path(path).parts


def with_suffix(path: str, suffix: str) -> str:
    """Return `path` with `suffix` if it has none."""
    return path if Path(path).suffix else path + suffix


class Files:
    """Open, save, export.

    Attributes
    ----------
    may_leave : callable
        Asks whether what is not saved may be left for what the text says.
    saved_as : callable
        Takes the path under which the run was saved.
    """

    def __init__(self, desk: Desk, window: FileWindow) -> None:
        self._desk, self._window = desk, window
        self.may_leave: Callable[[str], bool] = lambda what: True
        self.saved_as: Callable[[str], object] = lambda path: None
        self._focused = "window"
        desk.on("file.open_run", self.ask_run)
        desk.on("file.save_run", self.ask_save)
        desk.on("file.export_png", self.ask_png)
        desk.on("file.export_npy", self.ask_npy)
        desk.on("file.quit", window.close)
        desk.session.run_changed.connect(self._run)
        window.show_recent(desk.settings.recent)

    def _run(self, run: RunInfo) -> None:
        self._window.setWindowTitle(f"{run.title}[*] · Convscope")
        if not is_bundled(run.path):
            self._desk.settings.add_recent(run.path)
            self._window.show_recent(self._desk.settings.recent)

    def open_run(self, path: str) -> None:
        """Open a run file, after a question if the present one is not saved."""
        if not self.may_leave("open another run"):
            return
        self._desk.settings.folders["run"] = str(Path(path).parent)
        self._desk.worker.interrupt()
        self._desk.worker.submit("open_run", path)

    def ask_run(self) -> None:
        """Ask for a run file."""
        folder = self._desk.settings.folders.get("run", "")
        path, _ = QFileDialog.getOpenFileName(self._desk.window, "Open run", folder, run_filter())
        if path:
            self.open_run(path)

    def ask_path(self) -> str:
        """Ask where the run shall be saved; return an empty text if nowhere."""
        run, settings = self._desk.session.run, self._desk.settings
        name = run.path if run is not None and not is_bundled(run.path) else ""
        if not name:
            title = run.title if run is not None else "run"
            name = str(Path(settings.folders.get("run", "")) / f"{title}.safetensors")
        path, _ = QFileDialog.getSaveFileName(self._desk.window, "Save run", name, run_filter())
        if not path:
            return ""
        settings.folders["run"] = str(Path(path).parent)
        return with_suffix(path, ".safetensors")

    def ask_save(self) -> None:
        """Ask where the run shall be saved, and save it there."""
        path = self.ask_path()
        if path:
            self._desk.worker.ask("save_run", path, then=self._saved)

    def _saved(self, reply: Reply) -> None:
        if reply.error:
            self._desk.notify("stop", f"Nothing was saved: {reply.error}", "")
            return
        self.take_name(str(reply.value))

    def take_name(self, path: str) -> None:
        """Call the run after the file that it is saved in."""
        run = self._desk.session.run
        if run is None:
            return
        self.saved_as(path)
        # The run itself is the same: nobody has to start over for its new name.
        self._desk.session.run = named = replace(run, path=path, title=Path(path).stem)
        self._run(named)

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
