"""Stack, network strip, bars, curves and the drawing sheet under the mouse and the keyboard."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt6.QtCore import QPoint, QPointF, Qt
from PyQt6.QtTest import QTest

from gui import theme
from gui.widgets.bars import PredictionBars
from gui.widgets.curve_data import smoothed
from gui.widgets.curves import CurveView
from gui.widgets.digit_canvas import DigitCanvas
from gui.widgets.network_strip import NetworkStrip, StripNode
from gui.widgets.stack_view import StackRow, StackView
from tests.gui.widget_samples import count, picture

LEFT = Qt.MouseButton.LeftButton
ROWS = [
    StackRow("run 1", "seed 0"),
    StackRow("forward", "", "current", 1),
    StackRow("conv2", "16×10×10", "current", 2),
    StackRow("term 46 / 151", "", "current", 3),
    StackRow("relu2", "", "waiting", 2),
]
CHAIN = [
    StripNode(name, shape_text="1×1", inputs=(before,) if before else ())
    for before, name in zip(["", *"abcdefghijk"], "abcdefghijkl", strict=True)
]


# --- stack -------------------------------------------------------------------------------------


def test_stack_marks_the_deepest_current_row_and_answers_clicks(shown, qtbot):
    view = shown(StackView(), 236, 300)
    view.set_frames(ROWS)
    assert view.cursor_row() == 3
    assert view.facts() == "forward > conv2 > term 46 / 151"
    row = picture(view)[4 + 3 * 22 + 1 : 4 + 4 * 22 - 1, :4].reshape(-1, 3)
    assert (row == theme.colour("cursor").getRgb()[:3]).all(axis=1).any()
    with qtbot.waitSignal(view.clicked) as clicked:
        QTest.mouseClick(view.viewport(), LEFT, pos=QPoint(60, 4 + 2 * 22 + 10))
    assert clicked.args == [2]
    with qtbot.waitSignal(view.activated) as opened:
        QTest.mouseDClick(view.viewport(), LEFT, pos=QPoint(60, 4 + 4 * 22 + 10))
    assert opened.args == [4]


def test_stack_keys(shown):
    view = shown(StackView(), 236, 300)
    view.set_frames(ROWS)
    heard = []
    view.clicked.connect(heard.append)
    view.activated.connect(lambda row: heard.append(-row))
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Return, Qt.Key.Key_End):
        QTest.keyClick(view, key)
    assert heard == [2, 1, -1, 4]


def test_stack_scrolls_to_the_cursor(shown):
    view = shown(StackView(), 200, 100)
    view.set_frames([StackRow(f"layer {i}") for i in range(80)] + [StackRow("x", "", "current")])
    row = view._area(80)
    assert view.offset().y() <= row.top()
    assert row.bottom() <= view.offset().y() + view.viewport().height() + 1


# --- strip -------------------------------------------------------------------------------------


def test_strip_selects_activates_and_asks_for_a_menu(shown, qtbot):
    view = shown(NetworkStrip(), 900, 124)
    view.set_nodes(CHAIN)
    place = view._box("c").center().toPoint()
    with qtbot.waitSignal(view.selected) as chosen:
        QTest.mouseClick(view.viewport(), LEFT, pos=place)
    assert chosen.args == ["c"]
    with qtbot.waitSignal(view.activated) as opened:
        QTest.keyClick(view, Qt.Key.Key_Return)
    assert opened.args == ["c"]
    with qtbot.waitSignal(view.selected) as chosen:
        QTest.keyClick(view, Qt.Key.Key_Right)
    assert chosen.args == ["d"]
    assert view.facts().startswith("d")


def test_strip_scrolls_to_the_cursor_and_keeps_thumbnails(shown, app):
    view = shown(NetworkStrip(), 500, 124)
    view.set_nodes(CHAIN)
    view.set_thumbnail("l", np.ones((4, 8, 8)), "nonnegative")
    view.set_cursor("l")
    assert view.offset().x() > 300
    app.processEvents()
    assert count(view, theme.current().cursor, 3) > 50
    view.set_nodes([*CHAIN[:-1], StripNode("l", note="1 ms", inputs=("k",))])
    assert "l" in view._maps
    view.set_nodes(CHAIN[:3])
    assert "l" not in view._maps
    assert view._cursor is None


def test_strip_badges_have_letters_and_nan_is_magenta(shown, app):
    view = shown(NetworkStrip(), 600, 124)
    view.set_nodes(CHAIN[:4])
    view.set_badge("b", "N 3")
    view.set_badge("ghost", "N")
    app.processEvents()
    assert count(view, theme.current().nonfinite, 60) > 10
    assert "NaN or Inf" in view.tip_at(view._box("b").center())


# --- bars --------------------------------------------------------------------------------------


def test_bars_show_best_and_truth(shown, qtbot):
    view = shown(PredictionBars(), 284, 200)
    view.set_values([0.1, 0.7, 0.2], ["cat", "dog", "ox"], truth=2)
    assert view.best() == 1
    assert view.facts() == "prediction dog, 0.7000, true class ox"
    assert count(view, theme.current().selection, 2) > 200
    assert count(view, theme.current().good, 40) > 3
    with qtbot.waitSignal(view.hovered) as found:
        QTest.mouseMove(view, QPoint(60, 12 + 24))
    assert found.args == [1]
    assert view.tip_at(QPointF(60, 36)) == "class dog: 0.7"


def test_bars_of_many_classes_show_the_top_and_the_truth(shown):
    view = shown(PredictionBars(), 284, 200)
    values = np.zeros(1000)
    values[[5, 7, 9]] = [0.5, 0.3, 0.2]
    view.set_values(values, truth=999)
    rows, _, partly = view._rows()
    assert partly
    assert rows[:3] == [5, 7, 9]
    assert rows[-1] == 999


@pytest.mark.parametrize("values", [np.full(10, np.nan), [0.5, np.nan, 0.5], [np.inf, 0.0]])
def test_a_prediction_that_is_no_number_has_no_class_and_no_tick(shown, values):
    view = shown(PredictionBars(), 284, 200)
    view.set_values(values, truth=0)
    assert view.best() == -1
    assert view.facts() == "The output is not a number: there is no class."
    assert view.tip_at(QPointF(40, 20)) == ""
    assert count(view, theme.current().nonfinite, 40) > 200
    for colour in ("good", "selection"):
        assert count(view, theme.colour(colour).name(), 2) < 20  # the focus ring's corners


# --- curves ------------------------------------------------------------------------------------


@pytest.fixture
def curves(shown, app):
    view = shown(CurveView(), 600, 240)
    view.add_curve("loss", "training loss")
    x = np.arange(500)
    view.extend("loss", x, 2 * np.exp(-x / 100) + 0.1)
    view.redraw()
    app.processEvents()
    return view


def test_curve_hover_reads_values_and_click_names_the_sample(curves, qtbot, app):
    box = curves._plot.getPlotItem().getViewBox()
    place = curves._plot.mapFromScene(box.mapViewToScene(QPointF(250, 1.0)))
    at = curves.nearest(box.mapSceneToView(curves._plot.mapToScene(place)).x())
    assert abs(at - 250) <= 1  # a pixel is about one sample wide
    with qtbot.waitSignal(curves.hovered, timeout=2000) as hovered:
        QTest.mouseMove(curves._plot.viewport(), place)
    assert hovered.args[0] == at
    assert f"training loss {2 * np.exp(-at / 100) + 0.1:.4f}" in hovered.args[1]
    with qtbot.waitSignal(curves.point_clicked, timeout=2000) as clicked:
        QTest.mouseClick(curves._plot.viewport(), LEFT, pos=place)
    assert clicked.args == [at]


def test_curves_take_points_in_any_number_and_draw_later(curves, qtbot):
    for i in range(500, 3000):
        curves.append("loss", i, 0.1)
    series = curves._series["loss"]
    assert series.count == 3000
    assert len(series.data()[0]) == 3000
    assert curves._timer.isActive()
    qtbot.waitUntil(lambda: not curves._timer.isActive(), timeout=2000)
    assert len(curves._items["loss"][1].getData()[0]) <= 801


def test_log_axis_leaves_out_what_has_no_logarithm(curves, app):
    curves.set_data("loss", [0, 1, 2, 3], [1.0, 0.0, -1.0, 0.1])
    curves.set_log(True)
    curves.redraw()
    app.processEvents()
    assert curves._log_button.isChecked()
    assert len(curves._items["loss"][0].xData) == 2
    axis = curves._plot.getPlotItem().getAxis("left")
    [(_, ticks)] = axis.tickValues(-2.0, 1.0, 300)
    assert axis.tickStrings(ticks, 1, 1)[:4] == ["0.02", "0.05", "0.1", "0.2"]
    [(_, few)] = axis.tickValues(-2.0, 1.0, 60)
    assert len(few) <= 3
    curves.set_log(False)
    for room in (30, 60, 200):
        ticks = [tick for _, level in axis.tickValues(0.98, 0.99, room) for tick in level]
        assert 1 <= len(ticks) <= max(room / 20, 1)


def test_nan_in_a_curve_is_marked_where_it_begins(curves, app):
    y = np.ones(100)
    y[60:] = np.nan
    curves.set_data("loss", np.arange(100), y)
    curves.redraw()
    app.processEvents()
    assert [line.value() for line in curves._bad_lines] == [60.0]
    assert count(curves, theme.current().nonfinite, 60) > 20


def test_marks_cursor_and_clear(curves, app):
    curves.add_mark(100, "lr 0.01")
    curves.set_cursor(200)
    app.processEvents()
    assert count(curves, theme.current().cursor, 6) > 50
    curves.clear()
    curves.redraw()
    assert curves.is_empty()
    assert curves._stack.currentIndex() == 0


def test_smoothing_does_not_lag_and_keeps_the_mean():
    ramp = np.arange(1000.0)
    assert np.allclose(smoothed(ramp)[10:-10], ramp[10:-10])
    assert np.array_equal(smoothed(np.array([1.0, 5.0])), [1.0, 5.0])


# --- drawing -----------------------------------------------------------------------------------


def stroke(canvas, *points):
    sheet = canvas._sheet
    frame = sheet._frame()
    places = [
        QPoint(int(frame.left() + x * frame.width()), int(frame.top() + y * frame.height()))
        for x, y in points
    ]
    QTest.mousePress(sheet, LEFT, pos=places[0])
    for place in places[1:]:
        QTest.mouseMove(sheet, place)
    QTest.mouseRelease(sheet, LEFT, pos=places[-1])


def test_a_stroke_changes_the_picture_and_can_be_undone(shown, qtbot):
    canvas = shown(DigitCanvas(), 400, 320)
    pictures = []
    canvas.changed.connect(pictures.append)
    with qtbot.waitSignal(canvas.stroke_finished) as finished:
        stroke(canvas, (0.5, 0.2), (0.5, 0.5), (0.5, 0.8))
    before, after = finished.args
    assert not before.any()
    assert after.any()
    assert len(pictures) >= 3
    assert pictures[-1].shape == (28, 28)
    assert pictures[-1].dtype == np.float32
    assert np.array_equal(pictures[-1], canvas.picture())
    rows, columns = np.nonzero(canvas.picture() > 0.5)
    assert np.ptp(rows) > 3 * np.ptp(columns)
    canvas.set_strokes(before)
    assert not canvas.picture().any()
    canvas.set_strokes(after)
    assert np.array_equal(canvas.strokes(), after)


def test_eraser_and_clear(shown, qtbot):
    canvas = shown(DigitCanvas(), 400, 320)
    stroke(canvas, (0.2, 0.5), (0.8, 0.5))
    ink = canvas.strokes().sum()
    QTest.mouseClick(canvas._eraser, LEFT)
    stroke(canvas, (0.2, 0.5), (0.5, 0.5))
    assert 0 < canvas.strokes().sum() < 0.7 * ink
    with qtbot.waitSignal(canvas.stroke_finished):
        canvas.clear()
    assert not canvas.strokes().any()


def test_pen_size_changes_the_ink(shown):
    canvas = shown(DigitCanvas(), 400, 320)
    inks = []
    for size in (10, 30):
        canvas.clear()
        canvas.set_pen_size(size)
        stroke(canvas, (0.3, 0.5), (0.7, 0.5))
        inks.append(canvas.strokes().sum())
    assert inks[1] > 2 * inks[0]
