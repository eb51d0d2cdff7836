"""Mosaic, map, kernels and input picture under the mouse and the keyboard."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PyQt6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QImage, QWheelEvent
from PyQt6.QtTest import QTest

from gui import theme
from gui.widgets.image_view import InputView
from gui.widgets.kernel_sheet import arrange
from gui.widgets.kernel_view import KernelView
from gui.widgets.map_view import MapView
from gui.widgets.mosaic import MosaicView
from gui.widgets.numbers import format_full
from tests.gui.widget_samples import count, picture, shades

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(16, 10, 10)).astype(np.float32)


def middle(view, channel) -> QPoint:
    """The middle of a tile."""
    return view._tile(channel).center().toPoint()


# --- mosaic ------------------------------------------------------------------------------------


def test_mosaic_click_selects_and_double_click_activates(shown, maps, qtbot):
    view = shown(MosaicView())
    view.set_maps(maps)
    with qtbot.waitSignal(view.selected) as chosen:
        QTest.mouseClick(view, LEFT, pos=middle(view, 5))
    assert chosen.args == [5]
    assert view.selected_channel() == 5
    assert "map 5" in view.facts()
    assert view.accessibleDescription() == view.facts()
    with qtbot.waitSignal(view.activated) as opened:
        QTest.mouseDClick(view, LEFT, pos=middle(view, 9))
    assert opened.args == [9]


def test_mosaic_hover_names_channel_and_value(shown, maps, qtbot):
    view = shown(MosaicView())
    view.set_maps(maps)
    corner = view._tile(7).topLeft().toPoint() + QPoint(1, 1)
    with qtbot.waitSignal(view.hovered) as found:
        QTest.mouseMove(view, corner)
    assert found.args == [7, 0, 0]
    assert f"(0, 0) = {format_full(maps[7, 0, 0])}" in view.tip_at(QPointF(corner))
    with qtbot.waitSignal(view.hover_left):
        QTest.mouseMove(view, QPoint(1, 1))


def test_mosaic_keys_move_the_selection(shown, maps):
    view = shown(MosaicView(), 300, 300)
    view.set_maps(maps)
    heard = []
    view.selected.connect(heard.append)
    view.activated.connect(heard.append)
    columns = view._layout().columns
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Left):
        QTest.keyClick(view, key)
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert heard == [0, 1, 1 + columns, columns, columns]


def test_mosaic_shows_bad_values_magenta_even_where_tiles_shrink(shown):
    view = shown(MosaicView(), 60, 60)
    data = np.zeros((64, 56, 56), np.float32)
    data[40, 30, 17] = np.nan
    view.set_maps(data)
    assert count(view, theme.current().nonfinite, 2) >= 1
    view.set_maps(np.zeros((64, 56, 56), np.float32))
    assert count(view, theme.current().nonfinite, 2) == 0


def test_mosaic_hatches_what_is_not_computed(shown, maps):
    view = shown(MosaicView(), 300, 300)
    view.set_maps(np.full_like(maps, 3.0))
    full = count(view, theme.current().positive)
    view.set_revealed(8)
    half = count(view, theme.current().positive)
    assert 0.45 * full < half < 0.55 * full
    assert "not computed" in view.tip_at(QPointF(middle(view, 12)))
    partial = np.zeros((10, 10), bool)
    partial[:5] = True
    view.set_revealed(8, partial)
    assert half < count(view, theme.current().positive) < full
    assert "not computed" not in view.tip_at(view._tile(8).topLeft() + QPointF(2, 2))


def test_cursor_is_amber_and_nothing_else(shown, maps):
    view = shown(MosaicView(), 300, 300)
    view.set_maps(maps)
    view.set_selected(3)
    assert count(view, theme.current().cursor, 2) == 0
    view.set_cursor(5)
    assert count(view, theme.current().cursor, 2) > 50


# --- map ---------------------------------------------------------------------------------------


def cell(view, y, x) -> QPoint:
    return view._cell_area(y, x).center().toPoint()


def test_map_click_picks_and_debug_is_asked_in_three_ways(shown, maps, qtbot):
    view = shown(MapView(), 600, 320)
    view.set_map(maps[0], title="conv2[0]")
    with qtbot.waitSignal(view.picked) as picked:
        QTest.mouseClick(view, LEFT, pos=cell(view, 7, 4))
    assert picked.args == [7, 4]
    assert view.facts().startswith("conv2[0] (7, 4) = ")
    asked = []
    view.debug_requested.connect(lambda y, x: asked.append((y, x)))
    QTest.keyClick(view, Qt.Key.Key_Return)
    QTest.keyClick(view, Qt.Key.Key_F11)
    QTest.mouseDClick(view, LEFT, pos=cell(view, 2, 3))
    assert asked == [(7, 4), (7, 4), (2, 3)]


def test_map_arrows_move_the_pick_and_stop_at_the_edge(shown, maps):
    view = shown(MapView(), 600, 320)
    view.set_map(maps[0])
    view.set_pick(0, 8)
    heard = []
    view.picked.connect(lambda y, x: heard.append((y, x)))
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down):
        QTest.keyClick(view, key)
    QTest.keyClick(view, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    assert heard == [(0, 9), (1, 9), (1, 8)]


def test_map_zooms_about_the_pointer_drags_and_fits(shown, maps):
    view = shown(MapView(), 600, 320)
    view.set_map(maps[0])
    fitted = view._cell()
    place = cell(view, 5, 5)
    wheel = QWheelEvent(
        QPointF(place), QPointF(place), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    view.wheelEvent(wheel)
    assert view._cell() > fitted
    assert view.cell_at(QPointF(place)) == (5, 5)
    heard = []
    view.picked.connect(lambda y, x: heard.append((y, x)))
    before = view._corner()
    QTest.mousePress(view, LEFT, pos=place)
    QTest.mouseMove(view, place + QPoint(20, 10))
    QTest.mouseMove(view, place + QPoint(30, 12))
    QTest.mouseRelease(view, LEFT, pos=place + QPoint(30, 12))
    assert view._corner() - before == QPointF(30, 12)
    assert heard == []
    QTest.keyClick(view, Qt.Key.Key_0)
    assert view._cell() == fitted
    QTest.keyClick(view, Qt.Key.Key_1)
    assert view._cell() * view.ratio() == 1


def test_map_writes_exact_numbers_once_cells_are_large(shown):
    view = shown(MapView(), 600, 320)
    view.set_map(np.zeros((10, 10)))
    ground = theme.current().panel
    blank = count(view, ground)
    view.set_map(np.full((10, 10), 1e-9), limits=(-1, 1))
    assert count(view, ground) < blank - 1000  # numbers instead of a bare ground
    view.resize(100, 80)
    assert view._cell() < 26


def test_map_statistics_are_right_and_count_bad_values(shown):
    view = shown(MapView(), 600, 320)
    view.set_map(np.array([[1.0, -3.0, 0.0], [np.nan, np.inf, 2.0]]))
    found = view.statistics()
    assert found["min"] == -3.0
    assert found["max"] == 2.0
    assert found["mean"] == 0.0
    assert found["nonfinite"] == 2
    assert found["positive"] == pytest.approx(2 / 6)
    names = dict(view.statistics_text())
    assert names["min"].strip().startswith("−")
    assert len({len(text) for text in names.values()}) == 1
    assert count(view, theme.current().nonfinite) > 500


def test_map_reveals_cells_in_reading_order(shown, maps):
    view = shown(MapView(), 600, 320)
    view.set_map(maps[0])
    view.set_revealed(74)
    assert "not computed" in view.tip_at(QPointF(cell(view, 7, 4)))
    assert "not computed" not in view.tip_at(QPointF(cell(view, 7, 3)))
    view.set_revealed(None)
    assert "not computed" not in view.tip_at(QPointF(cell(view, 9, 9)))


def test_map_boxes_and_cursor_are_drawn(shown, maps):
    view = shown(MapView(), 600, 320)
    view.set_map(np.zeros((10, 10)))
    view.set_boxes([(2, 2, 5, 5, "receptive")])
    assert count(view, theme.current().selection, 40) > 30
    view.set_cursor(4, 4)
    assert count(view, theme.current().cursor, 2) > 50


# --- kernels -----------------------------------------------------------------------------------


def test_kernels_click_selects_and_enlarges(shown, qtbot):
    view = shown(KernelView(), 500, 300)
    view.set_kernels(np.random.default_rng(0).normal(size=(16, 6, 5, 5)))
    sheet = view._sheet
    place = sheet.sheet().place(5, 2).center().toPoint()
    with qtbot.waitSignal(view.selected) as chosen:
        QTest.mouseClick(sheet.viewport(), LEFT, pos=place)
    assert chosen.args == [5, 2]
    assert view._detail.isVisible()
    with qtbot.waitSignal(view.selected) as chosen:
        QTest.keyClick(sheet, Qt.Key.Key_Down)
    assert chosen.args == [6, 2]
    with qtbot.waitSignal(view.hovered) as found:
        QTest.mouseMove(
            sheet.viewport(), sheet.sheet().place(0, 0).topLeft().toPoint() + QPoint(1, 1)
        )
    assert found.args == [0, 0, 0, 0]


@pytest.mark.parametrize("shape", [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400, 1, 1), (512, 512, 3, 3)])
def test_kernel_places_and_pixels_agree(shape):
    sheet = arrange(shape, 420, 280)
    for o, i in ((0, 0), (shape[0] - 1, shape[1] - 1)):
        place = sheet.place(o, i)
        assert sheet.at(place.left() + 0.5, place.top() + 0.5) == (o, i, 0, 0)
        assert sheet.at(place.right() - 0.5, place.bottom() - 0.5) == (
            o,
            i,
            *(n - 1 for n in shape[2:]),
        )


def test_kernels_of_a_dense_layer_and_none(shown):
    view = shown(KernelView(), 400, 300)
    view.set_kernels(np.random.default_rng(0).normal(size=(10, 84)))
    view.set_selected(3, 80)
    view.set_cursor(3, 80, 0, 0)
    assert count(view, theme.current().cursor, 2) > 4
    view.set_kernels(np.zeros((2, 2, 3, 3)))
    view.set_kernels(None)
    assert view._sheet.is_empty()


# --- input -------------------------------------------------------------------------------------


def test_input_picks_by_mouse_and_keys(shown, qtbot):
    view = shown(InputView(), 240, 240)
    view.set_image(np.random.default_rng(0).random((1, 28, 28)))
    frame, size = view._frame()
    place = (frame.topLeft() + QPointF(10.5 * size, 4.5 * size)).toPoint()
    with qtbot.waitSignal(view.picked) as picked:
        QTest.mouseClick(view, LEFT, pos=place)
    assert picked.args == [4, 10]
    with qtbot.waitSignal(view.picked) as picked:
        QTest.keyClick(view, Qt.Key.Key_Down)
    assert picked.args == [5, 10]
    assert view.facts().startswith("input (5, 10) = ")


def test_receptive_field_outside_the_picture_is_hatched_beside_it(shown):
    view = shown(InputView(), 240, 240)
    view.set_image(np.ones((28, 28)))
    inner, _ = view._frame()
    view.set_box((-2, -2, 3, 3))
    outer, size = view._frame()
    assert outer.left() >= inner.left()
    ring = picture(view)[
        int(outer.top() - 1.5 * size) : int(outer.top() - 0.5 * size),
        int(outer.left()) + 3 : int(outer.left() + 2 * size),
    ]
    assert shades(ring) > 3
    assert count(view, theme.current().cursor, 2) > 100


def test_pixel_that_is_bad_is_magenta_in_grey_and_colour(shown):
    view = shown(InputView(), 240, 240)
    for shape in ((1, 8, 8), (3, 8, 8)):
        data = np.full(shape, 0.5)
        data[0, 2, 2] = np.nan
        view.set_image(data)
        assert count(view, theme.current().nonfinite) > 100


def test_files_dropped_and_pictures_pasted_are_handed_on(shown, qtbot, app):
    view = shown(InputView(), 240, 240)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/tmp/seven.png")])
    place, action = QPointF(50, 50), Qt.DropAction.CopyAction
    none = Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(place.toPoint(), action, data, LEFT, none)
    view.dragEnterEvent(enter)
    assert enter.isAccepted()
    assert "input" in view._dragging
    with qtbot.waitSignal(view.dropped) as dropped:
        view.dropEvent(QDropEvent(place, action, data, LEFT, none))
    assert dropped.args == [["/tmp/seven.png"]]
    image = QImage(8, 8, QImage.Format.Format_Grayscale8)
    image.fill(255)
    QGuiApplication.clipboard().setImage(image)
    with qtbot.waitSignal(view.pasted) as pasted:
        QTest.keyClick(view, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert pasted.args[0].width() == 8
