"""What holds for all widgets: no input breaks them, keyboards and screen readers reach them."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QWidget

from gui import theme
from gui.widgets.bars import PredictionBars
from gui.widgets.canvas import Canvas, ScrollCanvas
from gui.widgets.curves import CurveView
from gui.widgets.digit_canvas import DigitCanvas
from gui.widgets.image_view import InputView
from gui.widgets.kernel_view import KernelView
from gui.widgets.map_view import MapView
from gui.widgets.mosaic import MosaicView
from gui.widgets.network_strip import NetworkStrip, StripNode
from gui.widgets.stack_view import StackRow, StackView
from gui.widgets.window_view import WindowView
from tests.gui.widget_samples import count, lenet_content, picture, shades

R = np.random.default_rng(0)
ARRAYS = {
    "one value": np.ones((1, 1, 1)),
    "all NaN": np.full((3, 4, 4), np.nan),
    "all Inf": np.full((2, 3, 3), -np.inf),
    "zeros": np.zeros((4, 5, 5)),
    "constant": np.full((4, 5, 5), 7.0),
    "tiny": R.normal(size=(4, 5, 5)) * 1e-30,
    "huge": R.normal(size=(4, 5, 5)) * 1e30,
    "float32 extremes": np.full((1, 2, 2), np.finfo(np.float32).max, np.float32),
    "integers": np.arange(36).reshape(1, 6, 6),
    "booleans": np.ones((2, 3, 3), bool),
    "many": R.normal(size=(2048, 7, 7)),
    "large": R.normal(size=(3, 240, 320)),
    "thin": R.normal(size=(1, 1, 5000)),
    "tall": R.normal(size=(1, 5000, 1)),
    "vector": R.normal(size=1000),
    "empty": np.zeros((0, 3, 3)),
    "none": None,
}
SMALL = [(80, 60), (300, 200)]


def last_map(array):
    if array is None or array.size == 0:
        return None
    return array if array.ndim == 1 else array[0]


def kernels(array):
    if array is None:
        return None
    return array.reshape(1, *array.shape) if array.ndim == 3 else array.reshape(-1, 1)


FILL = {
    "mosaic": (MosaicView, lambda w, a, mode: (w.set_maps(a, mode), w.set_cursor(0))),
    "map": (MapView, lambda w, a, mode: (w.set_map(last_map(a), mode), w.set_pick(0, 0))),
    "kernels": (KernelView, lambda w, a, mode: (w.set_kernels(kernels(a)), w.set_selected(0, 0))),
    "input": (InputView, lambda w, a, mode: (w.set_image(a), w.set_box((-3, -3, 9, 9)))),
    "bars": (PredictionBars, lambda w, a, mode: w.set_values(a)),
    "strip": (
        NetworkStrip,
        lambda w, a, mode: (w.set_nodes([StripNode("x")]), w.set_thumbnail("x", a, mode)),
    ),
    "curves": (
        CurveView,
        lambda w, a, mode: (
            w.set_data("x", np.arange(0 if a is None else a.size), [] if a is None else a),
            w.set_log(mode == "signed"),
            w.redraw(),
        ),
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("widget", FILL)
def test_no_array_breaks_a_widget(shown, app, widget, name):
    kind, fill = FILL[widget]
    view = shown(kind(), 300, 200)
    for mode in ("signed", "nonnegative", "grey"):
        with np.errstate(all="raise"):  # a warning on the terminal would be a bug as well
            fill(view, ARRAYS[name], mode)
            app.processEvents()
            assert shades(picture(view)) >= 1
    view.resize(60, 40)
    app.processEvents()
    picture(view)


def filled() -> dict[str, QWidget]:
    """One of each widget with content."""
    mosaic, single, kernel, strip = MosaicView(), MapView(), KernelView(), NetworkStrip()
    mosaic.set_maps(R.normal(size=(6, 8, 8)))
    single.set_map(R.normal(size=(8, 8)))
    kernel.set_kernels(R.normal(size=(4, 3, 3, 3)))
    strip.set_nodes([StripNode("a"), StripNode("b", inputs=("a",))])
    stack, bars, curves, digit = StackView(), PredictionBars(), CurveView(), DigitCanvas()
    stack.set_frames([StackRow("a", "b", "current")])
    bars.set_values([0.2, 0.8])
    curves.set_data("loss", [0, 1, 2], [1.0, 0.5, 0.2])
    window, image = WindowView(), InputView()
    window.set_content(lenet_content())
    image.set_image(R.random((28, 28)))
    return {
        type(view).__name__: view
        for view in (mosaic, single, kernel, strip, stack, bars, curves, digit, window, image)
    }


def test_every_canvas_takes_the_focus_shows_it_and_has_a_name(shown, app):
    for name, view in filled().items():
        shown(view, 400, 300)
        assert view.accessibleName(), name
        canvases = [
            child
            for child in [view, *view.findChildren(QWidget)]
            if isinstance(child, Canvas | ScrollCanvas) and child.isVisible()
        ]
        assert canvases or name == "CurveView"
        for child in canvases:
            assert child.accessibleName(), name
            if child.focusPolicy() == Qt.FocusPolicy.NoFocus:
                continue
            child.clearFocus()
            app.processEvents()
            without = picture(child)
            child.activateWindow()
            child.setFocus(Qt.FocusReason.TabFocusReason)
            app.processEvents()
            assert child.hasFocus(), name
            changed = (picture(child) != without).any(axis=2)
            assert changed.sum() > 0.5 * 2 * (child.width() + child.height()), name


@pytest.mark.parametrize("style", [theme.DARK, theme.LIGHT], ids=lambda style: style.name)
def test_everything_can_be_drawn_small_large_and_in_both_themes(shown, app, style):
    for view in filled().values():
        shown(view, 300, 200)
        theme.apply(app, style)
        for width, height in (*SMALL, (1600, 900), (1, 1)):
            view.resize(width, height)
            app.processEvents()
            picture(view)


def test_everything_is_sharp_on_a_dense_screen(shown, app, monkeypatch):
    """With two device pixels per pixel, pictures are made at that density."""
    for kind in (Canvas, ScrollCanvas):
        monkeypatch.setattr(kind, "ratio", lambda self: 2.0)
    for view in filled().values():
        shown(view, 500, 300)
        picture(view)
        view.resize(400, 260)
        picture(view)
    mosaic = MosaicView()
    mosaic.set_maps(R.normal(size=(6, 8, 8)))
    shown(mosaic, 300, 300)
    picture(mosaic)
    assert mosaic._image.devicePixelRatio() == 2.0
    assert mosaic._image.width() > 400


def test_empty_widgets_say_what_would_fill_them(shown, app):
    for kind in (
        MosaicView,
        MapView,
        KernelView,
        NetworkStrip,
        StackView,
        PredictionBars,
        InputView,
    ):
        view = shown(kind(), 320, 160)
        before = picture(view)
        assert shades(before) > 4, kind.__name__  # letters on the panel colour
        assert count(view, theme.current().panel, 0) > 0.8 * 320 * 160
        view.set_empty_text("Something else entirely.")
        app.processEvents()
        assert not np.array_equal(picture(view), before), kind.__name__


def test_keys_without_content_do_nothing(shown):
    keys = (Qt.Key.Key_Left, Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_0, Qt.Key.Key_End)
    for kind in (MosaicView, MapView, NetworkStrip, StackView, InputView, WindowView):
        view = shown(kind(), 300, 200)
        for key in keys:
            QTest.keyClick(view, key)
