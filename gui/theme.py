"""Colours, fonts and style of the whole window: the only place that names a colour.

Amber (`Theme.cursor`) means "the next thing to execute" everywhere and nothing else.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PyQt6.QtWidgets import QApplication, QStyleFactory

from gui.style_sheet import ink as _ink
from gui.style_sheet import style_sheet
from gui.widgets.numbers import format_number

__all__ = [
    "DARK",
    "LIGHT",
    "THEMES",
    "Lut",
    "Theme",
    "apply",
    "blend",
    "colour",
    "configure_plots",
    "current",
    "font_scale",
    "format_number",
    "grey_lut",
    "inferno_lut",
    "ink",
    "mono",
    "set_font_scale",
    "signed_lut",
    "theme_changed",
    "ui",
]

Lut = npt.NDArray[np.uint8]
"""A colour table, shape (256, 3)."""

GAP = 8
"""Pixels between neighbouring things."""
HEAD = 26
"""Height of a panel head in pixels."""
ROW = 22
"""Height of a list row in pixels."""
CORNER = 6
"""Radius of corners in pixels."""


@dataclass(frozen=True, slots=True)
class Theme:
    """All colours of one appearance, as ``"#rrggbb"``.

    Parameters
    ----------
    name : str
    dark : bool
    background, panel, head, field, hover, line : str
        Surfaces: behind the panels, of a panel, its head, of an entry field, under the pointer, and
        the one-pixel lines between them.
    text, muted : str
    cursor : str
        The next thing to execute; nothing else may have this colour.
    selection, good, bad : str
    positive, negative : str
        Ends of the signed scale, whose middle is `panel`.
    nonfinite : str
        NaN and infinity.
    """

    name: str
    dark: bool
    background: str
    panel: str
    head: str
    field: str
    hover: str
    line: str
    text: str
    muted: str
    cursor: str
    selection: str
    good: str
    bad: str
    positive: str
    negative: str
    nonfinite: str


DARK = Theme(
    name="dark",
    dark=True,
    background="#12151a",
    panel="#191d24",
    head="#20252d",
    field="#14181e",
    hover="#262c36",
    line="#2b323d",
    text="#dfe4ec",
    muted="#8d97a7",
    cursor="#ffb454",
    selection="#4cc2ff",
    good="#5ec7a2",
    bad="#ff5c7a",
    positive="#ff8a5b",
    negative="#4aa3ff",
    nonfinite="#ff2fd0",
)
LIGHT = Theme(
    name="light",
    dark=False,
    background="#eceff3",
    panel="#ffffff",
    head="#f4f6f9",
    field="#f7f9fb",
    hover="#e9eef4",
    line="#d5dbe3",
    text="#1c2430",
    muted="#5b6675",
    cursor="#d97706",
    selection="#0b7fc7",
    good="#178a63",
    bad="#d11f46",
    positive="#d9541e",
    negative="#1f6fd6",
    nonfinite="#e000c0",
)
THEMES: dict[str, Theme] = {DARK.name: DARK, LIGHT.name: LIGHT}


class _Notifier(QObject):
    """Carries the one signal of this module."""

    theme_changed = pyqtSignal(object)


class _State:
    """What `apply` and `set_font_scale` last set, and the colours asked for since."""

    theme: Theme = DARK
    font_scale: float = 1.0
    colours: ClassVar[dict[tuple[str, float], QColor]] = {}


_notifier = _Notifier()
theme_changed = _notifier.theme_changed
"""Emitted with the new `Theme` after `apply`."""


def current() -> Theme:
    """Return the theme in force."""
    return _State.theme


def apply(app: QApplication, theme: Theme) -> None:
    """Give the whole application a theme; may be called again at any time.

    Parameters
    ----------
    app : QApplication
    theme : Theme
        `DARK`, `LIGHT` or one of your own.
    """
    _State.theme = theme
    _State.colours.clear()
    if app.style() is None or app.property("convscope_style") is None:
        app.setStyle(QStyleFactory.create("Fusion"))
        app.setProperty("convscope_style", "Fusion")
    app.setFont(ui())
    app.setPalette(_palette(theme))
    app.setStyleSheet(style_sheet(theme, round(12 * _State.font_scale), mono().families()))
    configure_plots()
    theme_changed.emit(theme)


def configure_plots() -> None:
    """Tell pyqtgraph about the theme, if anything has imported it yet.

    Not imported here: it takes a few hundred milliseconds of the start, and only plots need it.
    """
    plots: Any = sys.modules.get("pyqtgraph")
    if plots is not None and hasattr(plots, "setConfigOptions"):
        plots.setConfigOptions(
            background=_State.theme.panel,
            foreground=_State.theme.muted,
            antialias=False,
            imageAxisOrder="row-major",
        )


def _palette(theme: Theme) -> QPalette:
    roles = QPalette.ColorRole
    palette = QPalette()
    for role, value in (
        (roles.Window, theme.background),
        (roles.WindowText, theme.text),
        (roles.Base, theme.field),
        (roles.AlternateBase, theme.panel),
        (roles.Text, theme.text),
        (roles.PlaceholderText, theme.muted),
        (roles.Button, theme.panel),
        (roles.ButtonText, theme.text),
        (roles.BrightText, theme.bad),
        (roles.Link, theme.selection),
        (roles.Highlight, theme.selection),
        (roles.HighlightedText, theme.background if theme.dark else theme.panel),
        (roles.ToolTipBase, theme.head),
        (roles.ToolTipText, theme.text),
        (roles.Light, theme.hover),
        (roles.Midlight, theme.hover),
        (roles.Mid, theme.line),
        (roles.Dark, theme.line),
        (roles.Shadow, theme.background),
    ):
        palette.setColor(role, QColor(value))
    faint = blend(theme.muted, theme.panel, 0.45)
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, faint)
    return palette


def colour(name: str, alpha: float = 1.0) -> QColor:
    """Return a colour of the theme in force by its token, or any ``"#rrggbb"``.

    Parameters
    ----------
    name : str
        ``"cursor"``, ``"panel"`` ... or ``"#rrggbb"``.
    alpha : float
        Opacity in [0, 1].
    """
    key = (name, alpha)
    value = _State.colours.get(key)
    if value is None:
        value = QColor(name if name.startswith("#") else getattr(_State.theme, name))
        value.setAlphaF(alpha)
        _State.colours[key] = value
    return QColor(value)


def ink(name: str, ground: str = "panel") -> QColor:
    """Return a token's colour for words on a surface: as it is, or so much stronger as they need.

    Parameters
    ----------
    name, ground : str
        Tokens, for example ``"cursor"`` on ``"panel"``.
    """
    now = _State.theme
    return QColor(_ink(getattr(now, name), getattr(now, ground), now.text))


def blend(first: str, second: str, share: float) -> QColor:
    """Mix two ``"#rrggbb"`` colours; `share` in [0, 1] is the part of the second one."""
    return QColor(_blend(first, second, share))


@lru_cache(maxsize=128)
def _blend(first: str, second: str, share: float) -> QColor:
    a, b = QColor(first), QColor(second)
    return QColor(
        round(a.red() + (b.red() - a.red()) * share),
        round(a.green() + (b.green() - a.green()) * share),
        round(a.blue() + (b.blue() - a.blue()) * share),
    )


# --- fonts -------------------------------------------------------------------------------------

_UI_FAMILIES = ("Inter", "Noto Sans", "Segoe UI", "Helvetica Neue", "DejaVu Sans")
_MONO_FAMILIES = (
    "JetBrains Mono",
    "Noto Sans Mono",
    "Cascadia Mono",
    "Consolas",
    "Menlo",
    "DejaVu Sans Mono",
)


@lru_cache(maxsize=4)
def _present(families: tuple[str, ...], fallback: str) -> tuple[str, ...]:
    """Keep the families that are installed, in order of preference."""
    installed = set(QFontDatabase.families())
    return (*(family for family in families if family in installed), fallback)


def font_scale() -> float:
    """Return the factor set by `set_font_scale`."""
    return _State.font_scale


def set_font_scale(factor: float) -> None:
    """Make all text larger or smaller from the next `apply` on; 1.0 is 12 px."""
    _State.font_scale = min(max(factor, 0.75), 2.0)


@lru_cache(maxsize=128)
def _font(fixed: bool, pixels: int, bold: bool) -> QFont:
    """Make a font; kept, because painting asks for fonts hundreds of times a second."""
    font = QFont()
    if fixed:
        font.setFamilies(list(_present(_MONO_FAMILIES, "Monospace")))
        font.setStyleHint(QFont.StyleHint.Monospace)
        font.setFeature(QFont.Tag("calt"), 0)
    else:
        font.setFamilies(list(_present(_UI_FAMILIES, "Sans Serif")))
        font.setStyleHint(QFont.StyleHint.SansSerif)
    font.setPixelSize(pixels)
    font.setBold(bold)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def _pixels(size: float) -> int:
    return max(round(size * _State.font_scale), 7)


def ui(size: float = 12, bold: bool = False) -> QFont:
    """Return the interface font; `size` in pixels at font scale 1."""
    return QFont(_font(False, _pixels(size), bold))


def mono(size: float = 12, bold: bool = False) -> QFont:
    """Return the font of every number: monospaced, tabular figures; `size` in pixels."""
    return QFont(_font(True, _pixels(size), bold))


# --- colour tables -----------------------------------------------------------------------------


def _rgb(value: str) -> npt.NDArray[np.float64]:
    return np.array([int(value[i : i + 2], 16) for i in (1, 3, 5)], np.float64)


def signed_lut(theme: Theme | None = None) -> Lut:
    """Return the diverging table: negative, panel colour at entry 128, positive.

    Entry 0 repeats entry 1, so that 128 stands exactly in the middle.
    """
    theme = theme or _State.theme
    low, middle, high = _rgb(theme.negative), _rgb(theme.panel), _rgb(theme.positive)
    share = np.clip((np.arange(256) - 128) / 127.0, -1.0, 1.0)[:, None]
    table = np.where(share < 0, middle + (low - middle) * -share, middle + (high - middle) * share)
    return np.rint(table).astype(np.uint8)


# Inferno at 16 even steps, after the perceptually uniform map by N. J. Smith and S. van der Walt
# (released to the public domain, CC0); values between are interpolated.
_INFERNO = (
    *("#000004", "#0c0826", "#240c4f", "#420a68", "#5d126e", "#781c6d", "#932667", "#ae305c"),
    *("#c73e4c", "#dd513a", "#ed6925", "#f8850f", "#fca50a", "#f9c932", "#f2ea69", "#fcffa4"),
)


@lru_cache(maxsize=1)
def inferno_lut() -> Lut:
    """Return the table for non-negative data: black, violet, red, yellow."""
    stops = np.stack([_rgb(value) for value in _INFERNO])
    at = np.linspace(0, len(stops) - 1, 256)
    table = np.stack([np.interp(at, np.arange(len(stops)), stops[:, i]) for i in range(3)], axis=1)
    return np.rint(table).astype(np.uint8)


@lru_cache(maxsize=1)
def grey_lut() -> Lut:
    """Return the table for pictures: black to white."""
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
