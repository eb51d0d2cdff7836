"""Speed, loosely: three times the limits of the design, in processor time of this thread."""

from __future__ import annotations

import time

import numpy as np
import pytest

from gui.widgets.map_view import MapView
from gui.widgets.mosaic import MosaicView
from gui.widgets.network_strip import NetworkStrip, StripNode
from gui.widgets.window_view import WindowView
from tests.gui.widget_samples import lenet_content, weight_gradient_content

SLACK = 3


def milliseconds(action, repeats=9) -> float:
    """Median processor time of an action; other processes on the machine don't count."""
    action()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        action()
        times.append(time.thread_time() - start)
    return 1e3 * float(np.median(times))


def test_mosaic_of_64_maps(shown):
    view = shown(MosaicView(), 600, 600)
    maps = np.random.default_rng(0).normal(size=(64, 28, 28)).astype(np.float32)

    def update():
        view.set_maps(maps)
        view.repaint()

    assert milliseconds(update) < 8 * SLACK


def test_map_with_784_numbers(shown):
    view = shown(MapView(), 900, 800)
    view.set_map(np.random.default_rng(0).normal(size=(28, 28)))
    assert milliseconds(view.repaint) < 16 * SLACK


@pytest.mark.parametrize(("content", "limit"), [(lenet_content, 20), (weight_gradient_content, 30)])
def test_window_view_repaints_and_steps(shown, content, limit):
    view = shown(WindowView(), 1100, 280)
    data = content()
    view.set_content(data)
    panes = (view, view._grids.viewport(), view._terms, view._outcome)
    term = [40]

    def repaint():
        for pane in panes:
            if pane.isVisible():
                pane.repaint()

    def step():
        term[0] += 1
        view.set_cursor_term(term[0])
        repaint()

    repaint()
    assert milliseconds(repaint) < limit * SLACK
    assert milliseconds(step) < limit * SLACK


def test_strip_of_a_deep_network(shown):
    view = shown(NetworkStrip(), 1040, 124)
    names = [f"layer{i}" for i in range(100)]
    nodes = [
        StripNode(name, inputs=(before,)) for before, name in zip(["", *names], names, strict=False)
    ]
    view.set_nodes(nodes)
    maps = np.random.default_rng(0).normal(size=(16, 16, 16))
    for name in names:
        view.set_thumbnail(name, maps)
    assert milliseconds(view.viewport().repaint) < 16 * SLACK
