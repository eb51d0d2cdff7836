"""Walks over everything on screen: every text can be read, every list shows what is in it."""

from __future__ import annotations

import pytest
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QComboBox, QWidget

from gui import theme
from gui.app import Application, Options
from gui.models.snapshot import TrainingFacts
from gui.notifications import TOKENS
from gui.views.dialogs import (
    BreakpointDialog,
    BreakpointWish,
    GoToDialog,
    PreferencesDialog,
    RateDialog,
    ShortcutSheet,
)
from tests.gui.fake_bench import FakeBench
from tests.gui.reading import LEAST, contrast_in, pixels, unreadable

ENDED = TrainingFacts(4690, 938, 0.0, "cosine from 0.05 to 0", True, (0.05, 0.0))


@pytest.fixture
def app(qapp):
    application = Application(
        Options(size=(1500, 950), theme="dark", layout="Debug", private=True),
        FakeBench,
        offscreen=True,
    )
    application.start()
    assert application.settle(20)
    yield application
    application.close()
    theme.set_font_scale(1.0)
    theme.apply(qapp, theme.DARK)


def full(app):
    """Put something into every panel that can be empty."""
    app.controller.breakpoints.toggle("conv1")
    app.controller.breakpoints.add(BreakpointWish("conv2", "forward", "any_nonfinite", 3))
    assert app.settle(10)
    app.controller.breakpoints.enable(2, False)
    for level in TOKENS:
        app.controller.desk.notify(level, f"A message of the kind {level}.", "with details")
    app.window.panels.curves.show_rate(ENDED)
    assert app.settle(10)


@pytest.mark.parametrize("layout", ["Debug", "Learn", "Train"])
def test_every_text_can_be_read_after_the_theme_was_switched(app, layout):
    full(app)
    app.controller.appearance.choose_layout(layout)
    app.window.panels.breakpoints.raise_()
    for _ in range(2):  # to light, and back to dark
        QTest.keyClick(
            app.window,
            Qt.Key.Key_T,
            Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
        )
        assert app.settle(10)
        assert unreadable(app.window) == [], theme.current().name


def test_the_walk_sees_a_line_that_keeps_its_old_colour(app):
    """The walk itself: a near-white line on white is found, by name."""
    full(app)
    app.controller.appearance.toggle_theme()
    assert app.settle(10)
    app.window.panels.breakpoints.view.item(0).setForeground(theme.colour("#f0f2f5"))
    assert any(text.startswith("Breakpoints: ") for text in unreadable(app.window))


@pytest.mark.parametrize("style", [theme.DARK, theme.LIGHT], ids=lambda style: style.name)
def test_every_text_of_every_dialog_can_be_read(app, style):
    app.controller.appearance.use_theme(style.name)
    dialogs = [
        GoToDialog(["conv1", "conv2"], "conv1", app.window),
        BreakpointDialog(["conv1", "conv2"], "conv1", app.window),
        PreferencesDialog(app.controller.settings, app.window),
        RateDialog(ENDED, True, app.window),
        ShortcutSheet(app.window),
    ]
    for dialog in dialogs:
        dialog.show()
        if hasattr(dialog, "show_error"):
            dialog.show_error("This does not fit; write for example 5, 7, 4.")
        app.wait_until(lambda: False, 0.05)
        assert unreadable(dialog) == [], type(dialog).__name__
        dialog.close()


@pytest.mark.parametrize("style", [theme.DARK, theme.LIGHT], ids=lambda style: style.name)
def test_every_token_has_an_ink_for_words(style, qapp):
    theme.apply(qapp, style)
    for name in ("text", "muted", "cursor", "selection", "good", "bad", "positive", "negative"):
        for ground in ("background", "panel", "head"):
            label = QWidget()
            label.setStyleSheet(f"background: {getattr(style, ground)};")
            shade = theme.ink(name, ground)
            import numpy as np

            pair = np.array(
                [[shade.getRgb()[:3], *[theme.colour(getattr(style, ground)).getRgb()[:3]] * 2]],
                np.uint8,
            )
            assert contrast_in(pair) >= LEAST, (name, ground)
    theme.apply(qapp, theme.DARK)


# --- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1.4])
@pytest.mark.parametrize("style", [theme.DARK, theme.LIGHT], ids=lambda style: style.name)
def test_every_list_opens_at_the_height_of_its_items(app, style, scale):
    theme.set_font_scale(scale)
    app.controller.appearance.use_theme(style.name)
    dialogs = [
        BreakpointDialog(["conv1", "conv2"], "conv1", app.window),
        PreferencesDialog(app.controller.settings, app.window),
    ]
    for dialog in dialogs:
        dialog.show()
    seen = 0
    for layout in ("Debug", "Learn", "Train"):
        app.controller.appearance.choose_layout(layout)
        assert app.settle(10)
        for box in app.window.findChildren(QComboBox):
            if not box.isVisible() or not 1 < box.count() <= box.maxVisibleItems():
                continue
            box.showPopup()
            app.wait_until(lambda: False, 0.03)
            view = box.view()
            last = view.visualRect(view.model().index(box.count() - 1, 0))
            room = view.viewport().height()
            name = f"{box.accessibleName()} with {box.count()} items"
            assert last.bottom() + 1 <= room <= last.bottom() + 4, name
            assert not scrollers(view.window()), name
            box.hidePopup()
            seen += box.count() == 2
    assert seen >= 2  # those of two items: forward or training, test or train
    for dialog in dialogs:
        dialog.close()


def scrollers(popup):
    """Return the arrows that a list shows when it does not fit."""
    return [
        child
        for child in popup.children()
        if isinstance(child, QWidget)
        and "Scroller" in child.metaObject().className()
        and child.isVisible()
    ]


# --- keys that destroy --------------------------------------------------------------------------


def test_delete_wipes_the_drawing_from_the_sheet_alone(app):
    panel = app.window.panels.input
    panel.show_tab("Draw")
    app.settle(10)
    sheet = panel.canvas._sheet
    QTest.mouseClick(sheet, Qt.MouseButton.LeftButton, pos=sheet.rect().center())
    assert panel.canvas.has_ink()
    others = [child for child in panel.canvas.findChildren(QWidget) if child is not sheet]
    focusable = [one for one in others if one.focusPolicy() != Qt.FocusPolicy.NoFocus]
    assert len(focusable) >= 4
    for widget in [*focusable, panel.canvas, panel, app.window]:
        widget.setFocus()
        QTest.keyClick(widget, Qt.Key.Key_Delete)
        assert panel.canvas.has_ink(), widget
    sheet.setFocus()
    QTest.keyClick(sheet, Qt.Key.Key_Delete)
    assert not panel.canvas.has_ink()
    app.controller.desk.undo.undo()
    assert panel.canvas.has_ink()


def test_no_breakpoint_goes_that_was_not_chosen(app):
    full(app)
    view = app.window.panels.breakpoints.view
    view.setCurrentRow(-1)
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Delete)
    assert app.settle(10)
    assert view.count() == 2
    assert not app.window.panels.breakpoints._remove_button.isEnabled()
    view.setCurrentRow(0)
    assert app.window.panels.breakpoints._remove_button.isEnabled()
    QTest.keyClick(view, Qt.Key.Key_Delete)
    assert app.settle(10)
    assert [app.window.panels.breakpoints.view.item(0).text()] == [
        "● conv2 forward · any nonfinite"
    ]


# --- the screen ---------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["Debug", "Learn", "Train"])
@pytest.mark.parametrize("width", [1240, 1264, 1278, 1280, 1500])
def test_the_tool_bar_never_hides_a_button(app, layout, width):
    app.controller.appearance.choose_layout(layout)
    app.window.resize(width, 760)
    assert app.settle(10)
    bar = app.window.toolbar
    right = bar.search.mapTo(bar, QPoint(bar.search.width(), 0)).x()
    assert bar.search.isVisible()
    assert right <= bar.width()
    assert bar.search.width() >= bar.search.sizeHint().width()
    assert pixels(bar.search).size


LONG = "a text that is far longer than anything a window of this size has room for, " * 3


@pytest.mark.parametrize("layout", ["Debug", "Learn", "Train"])
def test_no_text_makes_the_window_wider_than_the_screen(app, layout):
    app.controller.appearance.choose_layout(layout)
    app.window.resize(1272, 760)
    assert app.settle(10)
    before = app.window.size()  # as low as this arrangement of the panels can be
    status = app.window.status
    status.show_place(LONG, LONG)
    status.show_tasks(LONG)
    status.show_rate(LONG)
    app.window.facts.setText(LONG)
    app.controller.desk.notify("stop", LONG, LONG)
    for panel in app.window.panels:
        panel.head.set_detail(LONG)
    app.window.panels.curves.show_rate(ENDED)
    app.window.panels.breakpoints.show_rows((), LONG)
    app.window.loading.show_job(LONG, LONG, 1, 2, LONG)
    app.wait_until(lambda: False, 0.2)
    assert app.window.size() == before
    assert app.window.width() == 1272
    assert app.window.minimumSizeHint().width() <= 1240
