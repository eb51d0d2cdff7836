"""Activity: what goes on in the background, with progress."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QGridLayout, QLabel, QProgressBar, QScrollArea, QWidget

from gui.models.state import Task
from gui.views.panel import Panel


class ActivityPanel(Panel):
    """One line for each job: title, progress, detail."""

    def __init__(self) -> None:
        super().__init__("activity", "Activity", (240, 120), (150, 60))
        self._rows: dict[str, tuple[QLabel, QProgressBar]] = {}
        self._box = QWidget()
        self._grid = QGridLayout(self._box)
        self._grid.setContentsMargins(10, 8, 10, 8)
        self._grid.setHorizontalSpacing(10)
        self._grid.setColumnStretch(0, 1)
        self._empty = QLabel("Nothing runs in the background.")
        self._empty.setProperty("muted", True)
        self._grid.addWidget(self._empty, 0, 0, 1, 2)
        self._grid.setAlignment(Qt.AlignmentFlag.AlignTop)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(self._box)
        self._box.setStyleSheet("background: transparent;")
        self.put(scroll)

    def show_tasks(self, tasks: list[Task], left: dict[str, str] | None = None) -> None:
        """Show the newest state of every job; `left` says by key how long some still take."""
        self._empty.setVisible(not tasks)
        for row, task in enumerate(sorted(tasks, key=lambda task: task.finished), 1):
            if task.key not in self._rows:
                label, bar = QLabel(), QProgressBar()
                bar.setFixedHeight(14)
                bar.setFixedWidth(90)
                self._rows[task.key] = (label, bar)
            label, bar = self._rows[task.key]
            self._grid.addWidget(label, row, 0)
            self._grid.addWidget(bar, row, 1)
            mark = "✓ " if task.finished else ""
            parts = [f"{mark}{task.title}", task.detail, (left or {}).get(task.key, "")]
            label.setText(" · ".join(part for part in parts if part))
            label.setToolTip(label.text())
            label.setEnabled(not task.finished)
            bar.setVisible(not task.finished)
            if not task.finished:
                bar.setRange(0, task.total)
                bar.setValue(task.done)
        running = sum(not task.finished for task in tasks)
        self.head.set_detail(f"{running} running" if running else "idle")
