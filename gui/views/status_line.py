"""The line at the bottom: the value under the pointer or cursor and where it comes from."""

from __future__ import annotations

from PyQt6.QtWidgets import QLabel, QStatusBar

from gui import theme
from gui.views.panel import mono_label

STATE_TOKEN = {
    "paused": "cursor",
    "running": "good",
    "training": "good",
    "failed": "bad",
    "loading": "muted",
}


class StatusLine(QStatusBar):
    """Facts at the left, the state of the machine at the right."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizeGripEnabled(False)
        self.place = mono_label("", 12)
        self.facts = mono_label("", 11, muted=True)
        self.tasks = QLabel("")
        self.tasks.setProperty("muted", True)
        self.rate = mono_label("", 11, muted=True)
        self.state = mono_label("", 12)
        for label, name in (
            (self.place, "Element and value"),
            (self.facts, "Gradient, receptive field and window"),
            (self.tasks, "Background work"),
            (self.rate, "Speed"),
            (self.state, "State"),
        ):
            label.setAccessibleName(name)
            label.setContentsMargins(6, 0, 6, 0)
            label.setMinimumWidth(1)  # a long text is cut off, it must not widen the window
        self.addWidget(self.place)
        self.addWidget(self.facts, 1)
        for label in (self.tasks, self.rate, self.state):
            self.addPermanentWidget(label)
        self._state = ""
        theme.theme_changed.connect(self._again)

    def _again(self) -> None:
        self.show_state(self._state)

    def show_place(self, place: str, facts: str) -> None:
        """Show an element with its value, and the facts about it."""
        self.place.setText(place)
        self.facts.setText(facts)
        self.facts.setToolTip(facts)

    def show_state(self, state: str) -> None:
        """Show the worker's state."""
        self._state = state
        colour = theme.ink(STATE_TOKEN.get(state, "muted")).name()
        self.state.setText(f'<span style="color:{colour}">{state}</span>')

    def show_rate(self, text: str) -> None:
        """Show how fast a training or a play goes; an empty text while nothing runs."""
        self.rate.setText(text)

    def show_tasks(self, text: str) -> None:
        """Show the background work in a few words."""
        self.tasks.setText(text)
