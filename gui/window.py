"""The main window: menus, toolbar, docks and status line. It owns no logic: controllers do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import QByteArray, QSize, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeySequence,
    QPaintEvent,
    QResizeEvent,
    QShortcut,
    QShowEvent,
)
from PyQt6.QtWidgets import QLabel, QMainWindow, QMenu, QTabWidget, QVBoxLayout, QWidget

from gui import layouts, theme
from gui.actions import ACTIONS, MENUS, Action
from gui.models.accepted import RUNS, picture_suffixes
from gui.notifications import NotificationArea
from gui.views.loading import Loading
from gui.views.palette import CommandPalette
from gui.views.panel import frame_sheet
from gui.views.panel_set import PanelSet
from gui.views.status_line import StatusLine
from gui.views.toolbar import ToolBar

FRAME = QSize(2, 40)
"""What a frame takes, as far as one can say before there is one."""
FRAMED_MS = (0, 60, 250, 800)
"""After so long the window looks whether its frame has come."""


class MainWindow(QMainWindow):
    """What is on screen.

    Signals carry what the person did; `close_guard` is asked before the window closes.
    """

    files_dropped = pyqtSignal(object)
    recent_chosen = pyqtSignal(str)
    first_painted = pyqtSignal()
    resized = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Convscope[*]")
        self.setAcceptDrops(True)
        self.close_guard: Callable[[], bool] = lambda: True
        self.entries: dict[str, QAction] = {entry.id: self._action(entry) for entry in ACTIONS}
        self.panels = PanelSet()
        self.menus: dict[str, QMenu] = {}
        self._build_menus()
        self.toolbar = ToolBar(self.entries, layouts.NAMES)
        self.addToolBar(self.toolbar)
        self.status = StatusLine()
        self.setStatusBar(self.status)
        self.host = self._build_host()
        self.loading = Loading(self)
        self.notifications = NotificationArea(self)
        self.palette_dialog = CommandPalette(self.entries, self)
        self.layout_name = layouts.DEFAULT
        self._arranged = False
        self._painted = False
        self._fits = False
        self._canvas_keys()

    # --- construction ---------------------------------------------------------------------------

    def _action(self, entry: Action) -> QAction:
        action = QAction(entry.title, self)
        action.setObjectName(entry.id)
        action.setCheckable(entry.checkable)
        keys = f"  ({', '.join(entry.keys)})" if entry.keys else ""
        action.setToolTip(f"{entry.tip}{keys}")
        action.setStatusTip("")
        if entry.scope == "window":
            action.setShortcuts([QKeySequence(key) for key in entry.keys])
        self.addAction(action)
        return action

    def _build_menus(self) -> None:
        bar = self.menuBar()
        if bar is None:
            return
        for name in MENUS:
            menu = QMenu(f"&{name}", self)
            menu.setToolTipsVisible(True)
            bar.addMenu(menu)
            self.menus[name] = menu
            for entry in ACTIONS:
                if entry.menu == name:
                    if entry.separator:
                        menu.addSeparator()
                    menu.addAction(self.entries[entry.id])
        self.recent_menu = QMenu("Open recent", self)
        self.menus["File"].insertMenu(self.entries["file.open_image"], self.recent_menu)
        first = self.entries["view.palette"]
        panels = QMenu("Panels", self)
        self.menus["View"].insertMenu(first, panels)
        self.menus["View"].insertSeparator(first)
        for panel in self.panels:
            toggle = panel.toggleViewAction()
            if toggle is not None:
                panels.addAction(toggle)
        for name in layouts.NAMES:
            action = QAction(f"Layout {name}", self)
            action.triggered.connect(
                lambda _=False, name=name: self.toolbar.layout_chosen.emit(name)
            )
            self.menus["Window"].insertAction(self.entries["window.lock"], action)
        self.facts = QLabel("")
        self.facts.setObjectName("muted")
        self.facts.setContentsMargins(8, 7, 10, 0)
        self.facts.setFixedWidth(420)
        self.facts.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        bar.setCornerWidget(self.facts)

    def _build_host(self) -> QMainWindow:
        """Return the inner window of the docks, so that they keep a margin all round."""
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(8, 8, 8, 8)
        host = QMainWindow()
        host.setWindowFlags(Qt.WindowType.Widget)
        host.setDockNestingEnabled(True)
        host.setAnimated(False)
        host.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        host.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        column.addWidget(host)
        host.setStyleSheet(frame_sheet())
        theme.theme_changed.connect(self._restyle)
        self.setCentralWidget(box)
        return host

    def _restyle(self) -> None:
        """Give the boxes of the panels the colours of the theme."""
        self.host.setStyleSheet(frame_sheet())

    def _canvas_keys(self) -> None:
        """Bind the bare keys to the pictures alone, so that they never act while one types."""
        pictures = (
            self.panels.mosaic.view,
            self.panels.map.view,
            self.panels.window.view,
            self.panels.network.view,
            self.panels.input.view,
            self.panels.kernels.view,
        )
        for entry in ACTIONS:
            if entry.scope != "canvas":
                continue
            for picture in pictures:
                for key in entry.keys:
                    shortcut = QShortcut(QKeySequence(key), picture)
                    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                    shortcut.activated.connect(self.entries[entry.id].trigger)

    # --- layouts --------------------------------------------------------------------------------

    def show_layout(self, name: str, state: str = "") -> bool:
        """Arrange the panels; a saved `state` (base64) is used if it still fits.

        Returns
        -------
        bool
            False if a saved state was given but could not be restored.
        """
        self.layout_name = name
        self.toolbar.show_layout(name)
        self.toolbar.name_buttons(self.width())
        node = layouts.arrangement(name, self.width(), self.height())
        layouts.arrange(self.host, self.panels, node)
        self._arranged = False
        restored = True
        if state:
            data = QByteArray.fromBase64(state.encode("ascii"))
            restored = self.host.restoreState(data, layouts.VERSION)
            self._arranged = restored
        self.settle()
        return restored

    def layout_state(self) -> str:
        """Return the present arrangement as base64."""
        return bytes(self.host.saveState(layouts.VERSION).toBase64().data()).decode("ascii")

    def settle(self) -> None:
        """Give the panels their shares once the window has its size."""
        if self._arranged or not self.isVisible():
            return
        self._arranged = True
        node = layouts.arrangement(self.layout_name, self.width(), self.height())
        layouts.resize(self.host, self.panels, node, self.host.width(), self.host.height())

    def reset_layout(self) -> None:
        """Arrange the panels as they came."""
        self.show_layout(self.layout_name)

    def fit_screen(self, size: QSize | None, geometry: str = "") -> None:
        """Take the size that was asked for, else the saved geometry, else a good one."""
        if size is not None:
            self.resize(size)
            return
        data = QByteArray.fromBase64(geometry.encode("ascii"))
        if geometry and self.restoreGeometry(data) and self.on_some_screen():
            self._fits = True
            return
        screen = QGuiApplication.primaryScreen()
        room = screen.availableSize() if screen is not None else QSize(1280, 800)
        self.resize(QSize(1440, 900).boundedTo(room - FRAME))
        self._fits = True

    def stay_on_screen(self) -> None:
        """Make window and frame lie within the screen, once the frame's size is known.

        A window manager frames a window some time after it was asked for, and only then says how
        thick the frame is; so this is called again a few times after the window is shown.
        """
        screen = self.screen()
        if not self._fits or screen is None or self.isMaximized() or self.isFullScreen():
            return
        room, frame, inner = screen.availableGeometry(), self.frameGeometry(), self.geometry()
        edges = frame.size() - inner.size()
        size = inner.size().boundedTo(room.size() - edges)
        if size != inner.size():
            self.resize(size)
        # The corner that keeps the frame inside, as near as possible to where the window is.
        width, height = size.width() + edges.width(), size.height() + edges.height()
        left = max(min(frame.left(), room.left() + room.width() - width), room.left())
        top = max(min(frame.top(), room.top() + room.height() - height), room.top())
        if (left, top) != (frame.left(), frame.top()):
            self.move(left, top)

    def geometry_text(self) -> str:
        """Return the window's geometry as base64."""
        return bytes(self.saveGeometry().toBase64().data()).decode("ascii")

    def on_some_screen(self) -> bool:
        """Tell whether enough of the window can be seen to take hold of it."""
        frame = self.frameGeometry()
        for screen in QGuiApplication.screens():
            seen = screen.availableGeometry().intersected(frame)
            if seen.width() >= 200 and seen.height() >= 100:
                return True
        return False

    # --- events ---------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Give the panels their shares as soon as sizes are known."""
        super().showEvent(event)
        QTimer.singleShot(0, self.settle)
        for wait_ms in FRAMED_MS:
            QTimer.singleShot(wait_ms, self.stay_on_screen)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Write more or fewer words on the buttons."""
        super().resizeEvent(event)
        self.toolbar.name_buttons(self.width())
        self.resized.emit()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Tell once when something can be seen."""
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            QTimer.singleShot(0, self.first_painted.emit)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Close if the guard agrees."""
        if event is None:
            return
        if self.close_guard():
            event.accept()
        else:
            event.ignore()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Say what a drop would do."""
        if event is None:
            return
        mime = event.mimeData()
        names = [url.toLocalFile() for url in mime.urls()] if mime is not None else []
        kinds = {Path(name).suffix.lower() for name in names if name}
        if kinds & set(RUNS):
            self.status.show_tasks("drop to open this run")
        elif kinds & set(picture_suffixes()):
            self.status.show_tasks("drop to use this picture as input")
        elif not (mime is not None and mime.hasImage()):
            self.status.show_tasks("drop a picture or a .safetensors run")
        event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Hand the paths on."""
        self.status.show_tasks("")
        mime = event.mimeData() if event is not None else None
        if event is None or mime is None:
            return
        paths = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.files_dropped.emit(paths)

    def open_palette(self) -> None:
        """Open the command palette."""
        self.palette_dialog.open_at(self)

    def toggle_full_screen(self) -> None:
        """Fill the screen, or no longer."""
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def show_recent(self, paths: list[str]) -> None:
        """Fill the menu of recent files."""
        self.recent_menu.clear()
        self.recent_menu.setEnabled(bool(paths))
        for number, path in enumerate(paths, 1):
            action = self.recent_menu.addAction(f"&{number}  {Path(path).name}")
            if action is not None:
                action.setToolTip(path)
                action.triggered.connect(lambda _=False, path=path: self.recent_chosen.emit(path))
