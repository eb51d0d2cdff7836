"""The bar of buttons: stepping or training, speed, layouts, search."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QToolBar,
    QToolButton,
    QWidget,
)

from gui.actions import DEBUG_BAR, TRAIN_BAR, by_id
from gui.views.panel import mono_label


class ToolBar(QToolBar):
    """Built from the action table.

    Parameters
    ----------
    actions : mapping of str to QAction
    layouts : sequence of str
    """

    layout_chosen = pyqtSignal(str)
    speed_changed = pyqtSignal(float)

    def __init__(self, actions: Mapping[str, QAction], layouts: tuple[str, ...]) -> None:
        super().__init__("Stepping")
        self.setObjectName("toolbar")
        self.setMovable(False)
        self.setIconSize(QSize(14, 14))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self._buttons: dict[str, QToolButton] = {}
        self._groups = {
            "debug": self._group(actions, DEBUG_BAR),
            "train": self._group(actions, TRAIN_BAR),
        }
        self._places = {key: self.addWidget(group) for key, group in self._groups.items()}
        self._speed = self._speed_box()
        self._speed_place = self.addWidget(self._speed)
        space = QWidget()
        space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(space)
        self.layouts = QButtonGroup(self)
        self._switch = self._layout_switch(layouts)
        self.addWidget(self._switch)
        self.search = QToolButton()
        self.search.setDefaultAction(actions["view.palette"])
        self.search.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.search.setAccessibleName("Search commands")
        self.addWidget(self.search)
        self._shown = "debug"
        self.show_group("debug")
        self.name_buttons(0)

    def _group(self, actions: Mapping[str, QAction], ids: tuple[str, ...]) -> QWidget:
        box = QWidget()
        row = QHBoxLayout(box)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        for action_id in ids:
            button = QToolButton()
            button.setDefaultAction(actions[action_id])
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
            button.setAccessibleName(by_id(action_id).title)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            if action_id == "debug.over":
                button.setProperty("next", True)
            if action_id in ("debug.resume", "train.start"):
                button.setProperty("primary", True)
            self._buttons[action_id] = button
            row.addWidget(button)
        return box

    def _speed_box(self) -> QWidget:
        box = QWidget()
        row = QHBoxLayout(box)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(5)
        label = self._speed_word = QLabel("speed")
        label.setProperty("muted", True)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Steps per second of Play")
        self.slider.setToolTip("Steps per second of Play, 1 to 10,000")
        self.slider.setRange(0, 400)
        self.slider.setFixedWidth(64)
        self.slider.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.speed_label = mono_label("30 / s", 11, muted=True)
        self.speed_label.setFixedWidth(62)
        for widget in (label, self.slider, self.speed_label):
            row.addWidget(widget)
        box.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.slider.valueChanged.connect(self._slide)
        return box

    def _slide(self, value: int) -> None:
        speed = float(10.0 ** (value / 100))
        self.speed_label.setText(f"{speed:,.0f} / s")
        self.speed_changed.emit(speed)

    def show_speed(self, speed: float) -> None:
        """Put the slider where `speed` (steps per second) is; tells nothing."""
        self.slider.blockSignals(True)
        self.slider.setValue(round(100 * float(np.log10(max(speed, 1.0)))))
        self.slider.blockSignals(False)
        self.speed_label.setText(f"{speed:,.0f} / s")

    def _layout_switch(self, layouts: tuple[str, ...]) -> QWidget:
        box = QWidget()
        row = QHBoxLayout(box)
        row.setContentsMargins(0, 0, 4, 0)
        row.setSpacing(0)
        self.layouts.setExclusive(True)
        for name in layouts:
            button = QToolButton()
            button.setText(name)
            button.setCheckable(True)
            button.setToolTip(f"Arrange the panels for: {name}")
            button.setAccessibleName(f"Layout {name}")
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _=False, name=name: self.layout_chosen.emit(name))
            self.layouts.addButton(button)
            row.addWidget(button)
        return box

    def show_layout(self, name: str) -> None:
        """Press the button of the layout and show the buttons that belong to it."""
        for button in self.layouts.buttons():
            button.setChecked(button.text() == name)
        self.show_group("train" if name == "Train" else "debug")

    def show_group(self, key: str) -> None:
        """Show the stepping or the training buttons."""
        self._shown = key
        for name, place in self._places.items():
            if place is not None:
                place.setVisible(name == key)
        if self._speed_place is not None:
            self._speed_place.setVisible(key == "debug")

    def name_buttons(self, width: int) -> None:
        """Write words on the buttons, and signs and keys as far as `width` pixels allow.

        Where even the words alone leave no room, the slider of the speed stands without its own.
        """
        for level in (2, 1, 0, -1):
            self._write(max(level, 0))
            for label in (self._speed_word, self.speed_label):
                label.setVisible(level >= 0)
            if self._needed() <= width:
                return

    def _write(self, level: int) -> None:
        for action_id, button in self._buttons.items():
            entry = by_id(action_id)
            sign = f"{entry.icon} " if entry.icon and level else ""
            keys = f"  {entry.keys[0]}" if entry.keys and level == 2 else ""
            # The button takes its text from the action, anew whenever that changes.
            action = button.defaultAction()
            if action is not None:
                action.setIconText(f"{sign}{entry.word}{keys}")
        search = self.search.defaultAction()
        if search is not None:
            search.setIconText("Commands  Ctrl+Shift+P" if level == 2 else "Commands")

    def _needed(self) -> int:
        """Return the width of all that is shown."""
        group = self._groups[self._shown]
        widgets = [group, self._switch, self.search]
        widgets += [self._speed] if self._shown == "debug" else []
        for button in group.findChildren(QToolButton):
            button.updateGeometry()
        for box in (group, self._speed):
            layout = box.layout()
            if layout is not None:
                layout.activate()
        return sum(widget.sizeHint().width() for widget in widgets) + 72
