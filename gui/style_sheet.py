"""The Qt style sheet of a theme: one grid, one-pixel lines, six-pixel corners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Protocol

_ICONS = Path(__file__).parent / "icons"


class _Tokens(Protocol):
    """The part of a theme that the style sheet reads."""

    @property
    def dark(self) -> bool: ...
    @property
    def background(self) -> str: ...
    @property
    def panel(self) -> str: ...
    @property
    def head(self) -> str: ...
    @property
    def field(self) -> str: ...
    @property
    def hover(self) -> str: ...
    @property
    def line(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def muted(self) -> str: ...
    @property
    def cursor(self) -> str: ...
    @property
    def selection(self) -> str: ...
    @property
    def good(self) -> str: ...
    @property
    def bad(self) -> str: ...


_SHEET = Template("""
*[mono="true"] { font-family: $mono; }
QWidget { selection-background-color: $selection_fill; selection-color: $on_selection; }
QMainWindow, QDialog, QMessageBox { background: $background; }
QMainWindow::separator { background: $background; width: 8px; height: 8px; }
QMainWindow::separator:hover { background: $selection_faint; }
QToolTip { background: $head; color: $text; border: 1px solid $line; padding: 4px 6px; }

QDockWidget { color: $text; }
QDockWidget > QWidget { background: $panel; }
QWidget[surface="panel"] { background: $panel; }
QFrame#panel { background: $panel; border: 1px solid $line; border-radius: 6px; }
QFrame#card { background: $head; border: 1px solid $line; border-radius: 6px; }
#panel_head { background: $head; border: 1px solid $line;
    border-top-left-radius: 6px; border-top-right-radius: 6px; }
#panel_title { font-weight: bold; font-size: ${small}px; background: transparent; }
#panel_detail { color: $muted; background: transparent; }
#muted, QLabel[muted="true"] { color: $muted; }
QLabel { background: transparent; }

QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QMenuBar { background: $panel; border-bottom: 1px solid $line; padding: 2px 6px; }
QMenuBar::item { background: transparent; padding: 4px 8px; border-radius: 4px; }
QMenuBar::item:selected { background: $hover; }
QMenu { background: $panel; border: 1px solid $line; padding: 4px; }
QMenu::item { padding: 5px 24px 5px 20px; border-radius: 4px; }
QMenu::item:selected { background: $hover; }
QMenu::item:disabled { color: $faint; }
QMenu::separator { height: 1px; background: $line; margin: 4px 6px; }
QMenu::indicator { width: 12px; height: 12px; left: 4px; }
QMenu::indicator:checked { image: url("$check_text"); }
QToolBar { background: $panel; border: none; border-bottom: 1px solid $line; spacing: 6px;
    padding: 6px 8px; }
QToolBar::separator { background: $line; width: 1px; margin: 4px 4px; }
QStatusBar { background: $panel; border-top: 1px solid $line; color: $muted; }
QStatusBar::item { border: none; }

QPushButton, QToolButton { background: $panel; border: 1px solid $line; border-radius: 5px;
    padding: 4px 10px; min-height: 16px; }
QPushButton:hover, QToolButton:hover { background: $hover; }
QPushButton:pressed, QToolButton:pressed { background: $line; }
QPushButton:checked, QToolButton:checked { background: $selection_faint; color: $selection_ink;
    border-color: $selection_edge; }
QPushButton:focus, QToolButton:focus { border: 1px solid $selection; }
QPushButton:disabled, QToolButton:disabled { color: $faint; }
QPushButton[primary="true"], QToolButton[primary="true"] { border-color: $good;
    background: $good_faint; }
QPushButton[next="true"], QToolButton[next="true"] { border-color: $cursor; }
QToolButton[flat="true"] { border: 1px solid transparent; background: transparent;
    padding: 1px 6px; color: $muted; }
QToolButton[flat="true"]:hover { background: $hover; color: $text; }
QToolButton[flat="true"]:checked { background: $selection_faint; color: $selection_ink; }
QToolButton[flat="true"]:focus { border: 1px solid $selection; }
QToolButton[alarm="true"] { color: $bad_ink; }
#dialog_error { color: $bad_ink; }
QToolButton::menu-indicator { image: url("$down"); subcontrol-position: right center;
    right: 3px; width: 10px; height: 10px; }
QToolButton[popupMode="2"], QToolButton[popupMode="1"] { padding-right: 17px; }

QComboBox, QLineEdit, QSpinBox, QDoubleSpinBox, QPlainTextEdit, QTextEdit, QKeySequenceEdit {
    background: $field; border: 1px solid $line; border-radius: 5px; padding: 3px 7px; }
QComboBox, QLineEdit, QSpinBox, QDoubleSpinBox { min-height: 17px; }
QComboBox:hover, QLineEdit:hover, QSpinBox:hover, QDoubleSpinBox:hover { border-color: $muted; }
QComboBox:focus, QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QPlainTextEdit:focus,
QTextEdit:focus { border-color: $selection; }
QComboBox:disabled, QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled {
    color: $faint; }
QComboBox::drop-down { border: none; width: 18px; }
QComboBox::down-arrow { image: url("$down"); width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: $panel; border: 1px solid $line; outline: none;
    selection-background-color: $hover; selection-color: $text; }
QComboBox[flat="true"] { border: 1px solid transparent; background: transparent; color: $muted;
    padding: 3px 4px; min-height: 10px; }
QComboBox[flat="true"]:hover { background: $hover; color: $text; }
QComboBox[flat="true"]:focus { border-color: $selection; }
QSpinBox::up-button, QDoubleSpinBox::up-button, QSpinBox::down-button,
QDoubleSpinBox::down-button { border: none; background: transparent; width: 16px; }
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow { image: url("$up"); width: 10px; height: 10px; }
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow { image: url("$down"); width: 10px;
    height: 10px; }

QCheckBox, QRadioButton { background: transparent; spacing: 7px; border: 1px solid transparent;
    border-radius: 4px; padding: 1px 2px; }
QCheckBox:focus, QRadioButton:focus { border-color: $selection; }
QCheckBox::indicator, QRadioButton::indicator { width: 13px; height: 13px;
    border: 1px solid $muted; background: $field; }
QCheckBox::indicator { border-radius: 3px; }
QRadioButton::indicator { border-radius: 7px; }
QCheckBox::indicator:checked { background: $selection; border-color: $selection;
    image: url("$check"); }
QRadioButton::indicator:checked { background: $selection; border: 3px solid $field; }
QGroupBox { border: none; margin-top: 16px; font-weight: bold; }
QGroupBox::title { subcontrol-origin: margin; left: 0; color: $muted; }

QSlider { border: 1px solid transparent; border-radius: 5px; background: transparent; }
QSlider:focus { border-color: $selection; }
QSlider::groove:horizontal { height: 4px; background: $line; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $selection; border-radius: 2px; }
QSlider::handle:horizontal { background: $text; width: 10px; height: 10px; margin: -3px 0;
    border-radius: 5px; }
QSlider::groove:vertical { width: 4px; background: $line; border-radius: 2px; }
QSlider::handle:vertical { background: $text; height: 10px; margin: 0 -3px; border-radius: 5px; }
QProgressBar { background: $field; border: 1px solid $line; border-radius: 5px;
    text-align: center; min-height: 14px; }
QProgressBar::chunk { background: $selection_mid; border-radius: 4px; }

QTabWidget::pane { border: none; border-top: 1px solid $line; top: -1px; background: $panel; }
QTabBar { background: transparent; }
QTabBar::tab { background: transparent; color: $muted; padding: 5px 10px;
    border: none; border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: $text; border-bottom-color: $selection; }
QTabBar::tab:hover { color: $text; }
QTabBar::tab:focus { color: $selection_ink; }

QAbstractItemView { background: $panel; border: 1px solid transparent; outline: none;
    alternate-background-color: $head; }
QTreeView::item, QListView::item, QTableView::item { min-height: 22px; padding: 0 4px; }
QTreeView::item:hover, QListView::item:hover, QTableView::item:hover { background: $hover; }
QTreeView::item:selected, QListView::item:selected, QTableView::item:selected {
    background: $selection_faint; color: $text; }
QAbstractItemView:focus { border: 1px solid $selection; }
QTreeView::branch:has-children:closed { image: url("$right"); }
QTreeView::branch:has-children:open { image: url("$down"); }
QHeaderView { background: $head; border: none; }
QHeaderView::section { background: $head; color: $muted; border: none;
    border-bottom: 1px solid $line; padding: 3px 6px; }
QTableView { gridline-color: $line; }
QSplitter::handle { background: $background; }
QScrollArea, QAbstractScrollArea { background: $panel; border: none; }
QScrollBar { background: transparent; border: none; }
QScrollBar:vertical { width: 10px; margin: 1px; }
QScrollBar:horizontal { height: 10px; margin: 1px; }
QScrollBar::handle { background: $line; border-radius: 4px; min-height: 24px; min-width: 24px; }
QScrollBar::handle:hover { background: $faint; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QAbstractScrollArea::corner { background: transparent; border: none; }
""")


_NAMES = (
    *("background", "panel", "head", "field", "hover", "line"),
    *("text", "muted", "cursor", "selection", "good", "bad"),
)


def _mix(first: str, second: str, share: float) -> str:
    """Mix two ``"#rrggbb"``; `share` is the part of the second one."""
    parts = (
        round(int(first[i : i + 2], 16) * (1 - share) + int(second[i : i + 2], 16) * share)
        for i in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in parts)


READABLE = 5.0
"""Contrast that coloured words get: 4.5 is what small text needs (WCAG 2.1), edges take a part."""


def _luminance(value: str) -> float:
    parts = (int(value[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return sum(share * x for share, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def ink(value: str, ground: str, text: str) -> str:
    """Return a colour for words: `value`, nearer to `text` where `ground` would swallow it.

    A line or an area may have a colour that letters a pixel thick may not.
    """
    shade, behind = value, _luminance(ground)
    for step in range(21):
        shade = _mix(value, text, step / 20)
        high, low = sorted((_luminance(shade), behind), reverse=True)
        if (high + 0.05) / (low + 0.05) >= READABLE:
            break
    return shade


def style_sheet(theme: _Tokens, size: int, mono_families: Sequence[str]) -> str:
    """Write the style sheet of a theme.

    Parameters
    ----------
    theme : Theme
    size : int
        Height of the interface font in pixels.
    mono_families : sequence of str
        Fonts of widgets with the property ``mono``, in order of preference.
    """

    def icon(name: str) -> str:
        return (_ICONS / f"{name}.svg").as_posix()

    on_selection = theme.background if theme.dark else theme.panel
    return _SHEET.substitute(
        {name: getattr(theme, name) for name in _NAMES},
        mono=", ".join(f'"{family}"' for family in mono_families),
        small=size - 1,
        on_selection=on_selection,
        selection_fill=ink(theme.selection, on_selection, theme.text),
        faint=_mix(theme.muted, theme.panel, 0.45),
        selection_faint=_mix(theme.panel, theme.selection, 0.16),
        selection_ink=ink(theme.selection, _mix(theme.panel, theme.selection, 0.16), theme.text),
        bad_ink=ink(theme.bad, theme.background, theme.text),
        selection_mid=_mix(theme.panel, theme.selection, 0.45),
        selection_edge=_mix(theme.line, theme.selection, 0.3),
        good_faint=_mix(theme.panel, theme.good, 0.16),
        check=icon("check-dark" if theme.dark else "check-light"),
        check_text=icon("check-light" if theme.dark else "check-dark"),
        down=icon("chevron-down"),
        up=icon("chevron-up"),
        right=icon("chevron-right"),
    )
