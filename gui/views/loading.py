"""What is shown while nothing can be shown yet: the job that everything waits for, and how long."""

from __future__ import annotations

from PyQt6.QtCore import QEvent, QObject
from PyQt6.QtWidgets import QFrame, QLabel, QProgressBar, QVBoxLayout, QWidget

WIDTH = 420
ONCE = "Kernels are compiled for this processor once; later starts read them from the disk."


class Loading(QFrame):
    """A card over the middle of the window until the first layer is there."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setObjectName("card")
        self.setAccessibleName("Starting")
        self.setFixedWidth(WIDTH)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 14, 18, 16)
        column.setSpacing(8)
        self.title = QLabel("Starting the engine")
        self.title.setObjectName("panel_title")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 0)
        self.detail = QLabel("")
        self.detail.setProperty("muted", True)
        self.detail.setWordWrap(True)
        for widget in (self.title, self.bar, self.detail):
            column.addWidget(widget)
        self._window = window
        window.installEventFilter(self)
        self.place()

    def show_job(self, title: str, detail: str, done: int, total: int, left: str) -> None:
        """Show the job that everything waits for; a `total` of 0 is not known yet."""
        self.title.setText(title)
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        parts = [detail, f"{done:,} of {total:,}" if total else "", left]
        text = " · ".join(part for part in parts if part)
        self.detail.setText(f"{text}\n{ONCE}" if "ernels" in title else text)
        self.place()

    def place(self) -> None:
        """Move to the middle of the window."""
        layout = self.layout()
        height = layout.heightForWidth(WIDTH) if layout is not None else self.sizeHint().height()
        self.setFixedHeight(max(height, self.sizeHint().height()))
        self.move(
            (self._window.width() - WIDTH) // 2, (self._window.height() - self.height()) * 2 // 5
        )
        self.raise_()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Stay in the middle."""
        if watched is self._window and event is not None and event.type() == QEvent.Type.Resize:
            self.place()
        return False
