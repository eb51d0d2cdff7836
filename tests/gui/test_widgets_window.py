"""The window view: what is drawn where, what a step changes, and that nothing is cut off."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt6.QtCore import QPoint, QPointF, Qt
from PyQt6.QtTest import QTest

from gui import theme
from gui.widgets import window_layout as layout
from gui.widgets.canvas import metrics, text_width
from gui.widgets.stage_lines import stage_layout
from gui.widgets.term_table import table_for
from gui.widgets.waterfall import condense
from gui.widgets.window_content import StageLine, WindowContent
from gui.widgets.window_split import split_plan
from gui.widgets.window_stacks import layers_of, leaders, place_of_term, steps_between
from gui.widgets.window_view import WindowView
from tests.gui.widget_samples import (
    conv_content,
    count,
    dense_content,
    lenet_content,
    picture,
    pool_content,
    shades,
    weight_gradient_content,
)

LEFT = Qt.MouseButton.LeftButton
SIZES = [(700, 240), (1100, 250), (900, 420), (1500, 500)]
CONTENTS = {
    "conv": lenet_content,
    "worked": lambda: conv_content(
        np.arange(1.0, 10.0).reshape(1, 3, 3), np.arange(1.0, 5.0).reshape(1, 2, 2), cursor=2
    ),
    "padded": lambda: conv_content(np.ones((1, 8, 8)), np.ones((1, 5, 5)), padding=2, cursor=7),
    "dilated": lambda: conv_content(
        np.ones((4, 9, 9)), np.ones((4, 3, 3)), padding=2, dilation=2, cursor=7
    ),
    "wide": lambda: conv_content(
        np.ones((512, 7, 7)), np.ones((512, 3, 3)), padding=1, cursor=3000
    ),
    "dense": dense_content,
    "small dense": lambda: dense_content(84, None),
    "pool": lambda: pool_content([[1, 2], [3, 0]], cursor=2),
    "mean": lambda: pool_content([[1, 2], [3, 0]], "mean"),
    "weight gradient": weight_gradient_content,
    "one value": lambda: conv_content(np.ones((1, 1, 1)), np.ones((1, 1, 1))),
    "bad": lambda: conv_content(np.full((2, 4, 4), np.nan), np.ones((2, 3, 3)), cursor=None),
    "stages": lambda: WindowContent(
        "adam", kind="map", stages=[(f"stage {i}", 10.0**-i, "a formula") for i in range(12)]
    ),
    "bars": lambda: WindowContent(
        "softmax",
        kind="map",
        stages=[("x", 1.0, "")],
        bars=[(str(i), i / 10, False) for i in range(10)],
    ),
    "bare": lambda: WindowContent("nothing"),
}


def inside(outer, rect) -> bool:
    return outer.adjusted(-1, -1, 1, 1).contains(rect)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", CONTENTS)
def test_every_kind_is_drawn_at_every_size(shown, app, name, size):
    view = shown(WindowView(), *size)
    view.set_content(CONTENTS[name]())
    app.processEvents()
    assert shades(picture(view)) > 4
    for pane in (view._grids, view._terms, view._outcome):
        if pane.isVisible():
            assert view.rect().contains(pane.geometry())


@pytest.mark.parametrize("width", [200, 280, 340, 400, 700])
@pytest.mark.parametrize("name", ["conv", "weight gradient", "pool", "worked", "wide"])
def test_rows_of_terms_fit_their_pane(app, name, width):
    content = CONTENTS[name]()
    table = table_for(content, width)
    advance = metrics(theme.mono(table.size)).horizontalAdvance("0")
    assert table.characters() * advance <= max(width, 200)
    for term in (0, content.terms - 1):
        cells = table.row(content, term)
        assert max(cell.column + len(cell.text) for cell in cells) <= table.characters()
        starts = [cell.column for cell in cells]
        assert starts == sorted(starts)


def test_points_of_a_column_stand_in_line(app):
    content = lenet_content()
    table = table_for(content, 420)
    for kind in ("value", "product", "total"):
        places = {
            cell.column + cell.text.index(".")
            for term in range(0, content.terms, 7)
            for cell in table.row(content, term)
            if cell.kind == kind
        }
        assert len(places) <= (2 if kind == "value" else 1)


@pytest.mark.parametrize(("width", "height"), [(260, 190), (430, 200), (640, 220), (900, 450)])
@pytest.mark.parametrize("name", ["conv", "padded", "dilated", "wide", "dense", "weight gradient"])
def test_grids_lie_inside_the_pane_and_keep_the_cursor_in_view(app, name, width, height):
    content = CONTENTS[name]()
    layers = layers_of(content, products=True)
    centre = place_of_term(layers[0], content.cursor_term)
    plan = layout.full_plan(layers, width, height) or split_plan(layers, width, height, centre)
    assert plan.width <= width
    for box in plan.boxes:
        assert box.cell[1] >= layout.LEGIBLE_HEIGHT
        assert box.left >= 0
    channel, row, column = centre
    assert any(
        box.channel == channel and row in box.rows and column in box.columns for box in plan.boxes
    )
    box = plan.boxes[0]
    assert box.cell_at(box.left + 1, box.top + 1) == (box.rows[0], box.columns[0])
    if plan.overview is not None:
        left, top = plan.overview.corner(0, plan.overview.first)
        assert plan.overview.cell_at(left, top) == (0, plan.overview.first, 0, 0)


def test_a_step_inside_what_is_visible_moves_nothing(shown, app):
    view = shown(WindowView(), 1100, 250)
    view.set_content(weight_gradient_content())
    app.processEvents()
    before = view._grids._current_plan()
    view.set_cursor_term(20_001)
    app.processEvents()
    after = view._grids._current_plan()
    assert [box.columns for box in after.boxes] == [box.columns for box in before.boxes]
    assert after.overview == before.overview


def test_stepping_back_looks_like_never_having_stepped(shown, app):
    view = shown(WindowView(), 1100, 300)
    view.set_content(lenet_content(20))
    app.processEvents()
    before = picture(view)
    for term in (21, 22, 90, 149, None, 3, 20):
        view.set_cursor_term(term)
        app.processEvents()
        picture(view)
    assert np.array_equal(picture(view), before)


def test_a_product_appears_when_its_term_is_done(shown, app):
    content = conv_content(np.full((1, 3, 3), 2.0), np.full((1, 3, 3), 3.0), cursor=0)
    view = shown(WindowView(), 900, 420)
    view.set_content(content)
    seen = []
    for term in (1, 5, 8):
        view.set_cursor_term(term)
        app.processEvents()
        seen.append(count(view._grids, theme.current().positive, 2))
    assert seen[0] < seen[1] < seen[2]


def test_hover_in_the_grid_marks_the_term_and_click_names_it(shown, qtbot, app):
    view = shown(WindowView(), 900, 420)
    view.set_content(CONTENTS["worked"]())
    app.processEvents()
    grids = view._grids
    box = grids._current_plan().boxes[0]
    place = QPoint(8 + box.lefts[1] + 4, 8 + box.tops[1] + 4)
    with qtbot.waitSignal(view.term_hovered) as hovered:
        QTest.mouseMove(grids.viewport(), place)
    assert hovered.args == [3]
    assert view._terms._hovered == 3
    with qtbot.waitSignal(view.term_clicked) as clicked:
        QTest.mouseClick(grids.viewport(), LEFT, pos=place)
    assert clicked.args == [3]
    assert grids.tip_at(QPointF(place)) == "input[0, 1, 1] = 5.0\nterm 3"


def test_rows_of_the_table_answer_to_the_mouse(shown, qtbot, app):
    view = shown(WindowView(), 1100, 300)
    view.set_content(lenet_content(46))
    app.processEvents()
    terms = view._terms
    _, table, _, _ = terms._areas()
    shown_terms = terms._visible(table)
    assert 46 in shown_terms
    place = QPoint(int(table.left()) + 60, int(table.top()) + 4)
    with qtbot.waitSignal(view.term_clicked) as clicked:
        QTest.mouseClick(terms, LEFT, pos=place)
    assert clicked.args == [shown_terms.start]
    assert terms.facts().startswith(f"term {shown_terms.start}: ")
    with qtbot.waitSignal(view.term_hovered):
        QTest.mouseMove(terms, place + QPoint(3, 18))
    QTest.keyClick(terms, Qt.Key.Key_End)
    assert terms._visible(table).stop == 150
    view.set_cursor_term(47)
    assert 47 in terms._visible(table)


def test_facts_name_the_next_term_with_all_digits(shown):
    view = shown(WindowView(), 900, 300)
    content = CONTENTS["worked"]()
    view.set_content(content)
    assert view.facts() == "next term 2 of 4: 4.0 × 3.0 = 12.0, running result 17.0"
    view.set_cursor_term(None)
    assert view.facts() == "all 4 terms done: 37.0"


def test_the_current_term_is_amber_in_grid_and_table(shown, app):
    view = shown(WindowView(), 900, 420)
    content = CONTENTS["worked"]()
    view.set_content(content)
    app.processEvents()
    amber = theme.current().cursor
    assert count(view._grids, amber, 2) > 100
    assert count(view._terms, amber, 2) > 40
    view.set_cursor_term(None)
    app.processEvents()
    assert count(view, amber, 2) == 0


def test_padding_is_hatched_and_says_so(shown, app):
    view = shown(WindowView(), 900, 420)
    view.set_content(CONTENTS["padded"]())
    app.processEvents()
    box = view._grids._current_plan().boxes[0]
    corner = QPointF(8 + box.lefts[0] + 3, 8 + box.tops[0] + 3)
    assert view._grids.tip_at(corner) == "input[0, −2, −2]: padding"
    patch = picture(view._grids)[
        8 + box.tops[0] + 1 : 8 + box.tops[0] + box.cell[1] - 2,
        8 + box.lefts[0] + 1 : 8 + box.lefts[0] + box.cell[0] - 2,
    ]
    assert shades(patch) > 2


def test_dilated_taps_stand_apart(app):
    layers = layers_of(CONTENTS["dilated"](), products=False)
    assert steps_between(layers[0].columns).tolist() == [0, 1, 1]
    plan = layout.full_plan(layers, 1200, 700)
    box = plan.boxes[0]
    assert box.lefts[1] - box.lefts[0] == box.cell[0] + layout.SKIP


def test_bad_products_are_magenta_in_grid_table_and_waterfall(shown, app):
    x = np.ones((1, 3, 3), np.float32)
    x[0, 1, 1] = np.nan
    view = shown(WindowView(), 900, 420)
    view.set_content(conv_content(x, np.ones((1, 3, 3))))
    app.processEvents()
    bad = theme.current().nonfinite
    assert count(view._grids, bad, 2) > 100
    assert count(view._terms, bad, 2) > 10


def test_ties_of_a_maximum_are_all_marked(app):
    content = pool_content([[3, 1], [3, 0]])
    layer = layers_of(content, products=False)[0]
    assert leaders(layer, content, None) == [(0, 0, 0), (0, 1, 0)]
    assert leaders(layer, content, 1) == [(0, 0, 0)]
    assert leaders(layer, content, 0) == []


def test_waterfall_keeps_extremes_and_restarts_at_chunks():
    totals = np.zeros(10_000, np.float32)
    totals[1234], totals[7777] = 5.0, -3.0
    picture_ = condense(totals, [0], 300)
    assert len(picture_.low) == 300
    assert picture_.top == 5.0
    assert picture_.bottom == -3.0
    restarted = condense(np.array([1.0, 2.0, 1.0, 2.0]), [0, 2], 4)
    assert restarted.before.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert condense(np.full(3, np.nan), [0], 10) is None
    assert condense(np.zeros(0), [0], 10) is None


def test_stages_wrap_instead_of_running_out(app):
    stages = [StageLine("+ bias", -0.47601), StageLine("= z", -2.26141), StageLine("→ ReLU", 0.0)]
    narrow = stage_layout(stages, "", 170, 200, as_list=False)
    wide = stage_layout(stages, "", 700, 200, as_list=False)
    assert wide.height < narrow.height
    assert all(place.right() <= 170 for place in narrow.places)
    listed = stage_layout(stages, "A note.", 400, 300, as_list=True)
    assert [place.left() for place in listed.places] == [0, 0, 0]
    assert text_width(theme.mono(12), listed.texts[0]) == text_width(
        theme.mono(12), listed.texts[1]
    )


def test_empty_view_says_what_would_fill_it_and_content_can_go_away(shown, app):
    view = shown(WindowView(), 700, 240)
    ground = count(view, theme.current().panel, 0)
    assert 0.9 * 700 * 240 < ground < 700 * 240
    view.set_content(lenet_content())
    view.set_content(None)
    app.processEvents()
    assert count(view, theme.current().panel, 0) == ground
    assert not view._terms.isVisible()


def test_products_and_header_can_be_hidden(shown, app):
    view = shown(WindowView(), 1500, 500)
    view.set_content(lenet_content())
    app.processEvents()
    sections = len({box.layer for box in view._grids._current_plan().boxes})
    view.set_products_visible(False)
    app.processEvents()
    assert len({box.layer for box in view._grids._current_plan().boxes}) == sections - 1
    top = view._terms.y()
    view.set_header_visible(False)
    assert view._terms.y() == top - 24
