"""From arrays to colours and pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PyQt6.QtGui import QColor

from gui import theme
from gui.widgets import pixels
from gui.widgets.network_graph import StripNode, lay_out


def rgb(table, entry):
    value = int(table[entry])
    return (value >> 16 & 255, value >> 8 & 255, value & 255)


def test_zero_has_the_panel_colour_and_signs_the_end_colours(app):
    entries = pixels.to_entries(np.array([-2.0, 0.0, 2.0]), "signed", (-2, 2))
    table = pixels.table("signed")
    assert entries.tolist() == [1, pixels.ZERO_ENTRY, 255]
    for entry, name in zip(entries, ("negative", "panel", "positive"), strict=True):
        assert rgb(table, entry) == theme.colour(name).getRgb()[:3]


@pytest.mark.parametrize("mode", ["signed", "nonnegative", "grey"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_values_are_magenta_in_every_mode(app, mode, bad):
    image = pixels.picture(np.array([[0.5, bad], [1.0, 0.0]], np.float32), mode)
    assert image.pixelColor(1, 0) == QColor(theme.current().nonfinite)
    assert image.pixelColor(0, 0) != QColor(theme.current().nonfinite)
    assert image.pixelColor(1, 0).alpha() == 255


@given(st.floats(-1e30, 1e30), st.floats(1e-6, 1e6))
def test_finite_values_never_get_the_bad_entry(value, limit):
    for mode in ("signed", "nonnegative", "grey"):
        entry = pixels.to_entries(np.array([value]), mode, (-limit, limit))
        assert 1 <= int(entry[0]) <= 255


def test_limits_ignore_bad_values_and_are_symmetric():
    values = np.array([np.nan, -3.0, 1.0, np.inf])
    assert pixels.finite_limits(values, "signed") == (-3.0, 3.0)
    assert pixels.finite_limits(values, "nonnegative") == (-3.0, 1.0)
    assert pixels.finite_limits(np.array([np.nan]), "signed") == (-1.0, 1.0)
    assert pixels.finite_limits(np.zeros((0, 3)), "grey") == (0.0, 1.0)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.integers(30, 400))
def test_tiles_fit_and_every_value_is_found_where_it_is_drawn(count, height, width, room):
    tiling = pixels.tile(count, (height, width), (room, room), gap=2)
    colours = np.arange(count * height * width, dtype=np.uint32).reshape(count, height, width)
    drawn = pixels.mosaic_pixels(colours, tiling, 0xFFFFFFFF)
    assert drawn.shape == (tiling.height, tiling.width)
    if tiling.cell >= 1:
        assert tiling.width <= room
        assert tiling.height <= room
    for tile in (0, count - 1):
        left, top = tiling.corner(tile)
        assert drawn[top, left] == colours[tile, 0, 0]
        found = tiling.tile_at(left + tiling.tile_width - 0.5, top + tiling.tile_height - 0.5)
        assert found is not None
        assert found[0] == tile


def test_inferno_runs_from_dark_to_bright_without_falling_back():
    light = theme.inferno_lut().astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(light) > -1.0).all()
    assert light[0] < 10
    assert light[-1] > 230


# --- graph -------------------------------------------------------------------------------------


def test_a_chain_is_one_lane_without_detours():
    graph = lay_out([StripNode("a"), StripNode("b", inputs=("a",)), StripNode("c", inputs=("b",))])
    assert graph.lanes == 1
    assert graph.tracks == 0
    assert [graph.places[name] for name in "abc"] == [(0, 0), (1, 0), (2, 0)]


def test_a_skip_connection_goes_round_the_boxes_between():
    graph = lay_out(
        [
            StripNode("a"),
            StripNode("b", inputs=("a",)),
            StripNode("c", inputs=("b",)),
            StripNode("add", inputs=("c", "a")),
        ]
    )
    detours = {(edge.source, edge.target): edge.detour for edge in graph.edges}
    assert detours[("a", "add")] == 1
    assert detours[("c", "add")] == 0
    assert graph.tracks == 1


def test_branches_get_lanes_of_their_own_and_unknown_inputs_are_left_out():
    graph = lay_out(
        [StripNode("a"), StripNode("b", inputs=("a",)), StripNode("c", inputs=("a", "ghost"))]
    )
    assert graph.places["b"] != graph.places["c"]
    assert graph.lanes == 2
    assert {(edge.source, edge.target) for edge in graph.edges} == {("a", "b"), ("a", "c")}
