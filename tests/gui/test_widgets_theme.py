"""Themes: live switching, readable contrast, signs that colour-blind people tell apart."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtGui import QColor
from PyQt6.QtWidgets import QLabel, QPushButton

from gui import theme
from gui.widgets.canvas import text_width
from gui.widgets.map_view import MapView
from gui.widgets.panel_head import PanelHead
from tests.gui.widget_samples import count, picture

# Severity 1.0 of Machado, Oliveira and Fernandes (2009), on linear RGB.
DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip
THEMES = [theme.DARK, theme.LIGHT]


def linear(name: str) -> np.ndarray:
    value = np.array(QColor(name).getRgbF()[:3])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = np.clip(xyz @ np.clip(rgb, 0, 1), 0, None) / [0.9505, 1.0, 1.089]
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(first: str, second: str) -> float:
    one, two = (linear(name) @ [0.2126, 0.7152, 0.0722] + 0.05 for name in (first, second))
    return max(one, two) / min(one, two)


@pytest.mark.parametrize("style", THEMES, ids=lambda style: style.name)
@pytest.mark.parametrize("matrix", DEFICIENCIES.values(), ids=DEFICIENCIES.keys())
def test_signs_differ_for_the_colour_blind(style, matrix):
    ends = [lab(np.array(matrix) @ linear(name)) for name in (style.positive, style.negative)]
    assert np.linalg.norm(ends[0] - ends[1]) > 40  # a difference of 2.3 is just noticeable


@pytest.mark.parametrize("style", THEMES, ids=lambda style: style.name)
def test_text_is_readable_on_all_surfaces(style):
    for ground in (style.background, style.panel, style.head, style.field, style.hover):
        assert contrast(style.text, ground) > 7
        assert contrast(style.muted, ground) > 4.4
    for name in (style.good, style.bad, style.selection):
        assert contrast(name, style.panel) > 3.5
    assert contrast(style.cursor, style.panel) > 3


@pytest.mark.parametrize("style", THEMES, ids=lambda style: style.name)
def test_amber_is_the_cursor_alone(style):
    others = [style.selection, style.good, style.bad, style.positive, style.negative, style.text]
    for other in others:
        assert np.linalg.norm(lab(linear(style.cursor)) - lab(linear(other))) > 15


@pytest.mark.parametrize("style", THEMES, ids=lambda style: style.name)
def test_signed_table_is_symmetric_about_the_panel_colour(style):
    table = theme.signed_lut(style)
    assert table.shape == (256, 3)
    assert tuple(table[128]) == QColor(style.panel).getRgb()[:3]
    assert tuple(table[1]) == QColor(style.negative).getRgb()[:3]
    assert tuple(table[255]) == QColor(style.positive).getRgb()[:3]


def test_switching_repaints_what_is_open(app, shown):
    view = shown(MapView())
    view.set_map(np.array([[0.0, 1.0], [-1.0, 0.0]]))
    app.processEvents()
    assert count(view, theme.DARK.panel) > 5000
    heard = []
    theme.theme_changed.connect(heard.append)
    theme.apply(app, theme.LIGHT)
    theme.theme_changed.disconnect(heard.append)
    app.processEvents()
    assert heard == [theme.LIGHT]
    assert theme.current() is theme.LIGHT
    assert count(view, theme.DARK.panel, 2) < 50  # strokes of letters may come near
    assert count(view, theme.LIGHT.panel) > 5000
    assert tuple(picture(view)[30, 30]) == QColor(theme.LIGHT.panel).getRgb()[:3]


def test_style_sheet_has_no_gaps_and_all_its_icons(app):
    sheet = app.styleSheet()
    assert "$" not in sheet
    icons = set(re.findall(r'url\("([^"]+)"\)', sheet))
    assert len(icons) >= 5
    assert all(Path(icon).is_file() for icon in icons)


def test_numbers_are_monospaced_and_follow_the_font_scale(app):
    assert len({text_width(theme.mono(12), digit) for digit in "0123456789−+. "}) == 1
    small = theme.mono(12).pixelSize()
    theme.set_font_scale(1.5)
    assert theme.mono(12).pixelSize() == round(small * 1.5)
    theme.set_font_scale(1.0)


def test_panel_head_is_26_px_and_shortens_its_detail(app, shown):
    head = shown(PanelHead("Map 5"), 220, 26)
    head.set_detail("pre-activation of the second convolution for test image 0")
    button = QPushButton("Fit")
    head.add_control(button)
    app.processEvents()
    assert head.height() == 26
    assert head.detail().startswith("pre-activation")
    texts = [label.text() for label in head.findChildren(QLabel)]
    assert "MAP 5" in texts
    assert any(text.endswith("…") for text in texts)
    assert button.accessibleName()
    assert button.geometry().right() <= head.width()
