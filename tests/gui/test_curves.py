"""Curves: what stands out is seen at any zoom, what is no number disturbs nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from gui import theme
from gui.widgets.curve_data import distinct, envelope, smoothed, spikes, thinned
from gui.widgets.curves import CurveView
from tests.gui.reading import pixels

SPIKE = 7777
COUNT = 20_000


def losses(**changes):
    """20,000 steps about 0.1, with some of them changed."""
    values = 0.1 + 0.005 * np.random.default_rng(0).normal(size=COUNT)
    for step, value in changes.items():
        values[int(step[1:])] = value
    return values


@pytest.fixture
def plot(shown):
    def make(values, log=False, window=None, steps=None):
        view = CurveView()
        view.add_curve("loss", "loss", "selection")
        shown(view, 700, 240)
        view.set_log(log)
        view.extend("loss", np.arange(len(values)) if steps is None else steps, values)
        view.redraw()
        if window is not None:
            (left, right), y = window
            view._plot.getPlotItem().setXRange(left, right, padding=0)
            if y is not None:
                view._plot.getPlotItem().setYRange(*y, padding=0)
            view.redraw()
        return view

    return make


def drawn(view):
    """Return where the plot shows the curve's colour: a mask (h, w) of the data area."""
    picture = pixels(view._plot).astype(int)
    box = view._plot.getPlotItem().getViewBox()
    area = box.sceneBoundingRect().toRect()
    part = picture[area.top() + 1 : area.bottom(), area.left() + 2 : area.right() - 1]
    ground = np.array(theme.colour("panel").getRgb()[:3])
    ink = np.array(theme.colour("selection").getRgb()[:3])
    share = ((part - ground) @ (ink - ground)) / ((ink - ground) @ (ink - ground))
    return share > 0.3


def column_of(view, x):
    box = view._plot.getPlotItem().getViewBox()
    (low, high), _ = box.viewRange()
    return (x - low) / (high - low) * drawn(view).shape[1]


ZOOMS = [
    None,
    ((-500, 25_000), None),
    ((5_000, 10_000), None),
    ((7_700, 7_900), None),
    ((7_770, 7_785), None),
    ((5_000, 10_000), (0.01, 0.3)),  # beyond the top: an arrow at the edge
    ((7_770, 7_785), (0.05, 0.15)),
]


@pytest.mark.parametrize("log", [False, True], ids=["linear", "log"])
@pytest.mark.parametrize("zoom", ZOOMS)
def test_one_spike_among_20_000_steps_is_seen_at_any_zoom(plot, zoom, log):
    if log and zoom is not None and zoom[1] is not None:
        zoom = (zoom[0], tuple(np.log10(zoom[1])))
    view = plot(losses(s7777=50.0), log, zoom)
    mask = drawn(view)
    place = column_of(view, SPIKE)
    upper = mask[: mask.shape[0] // 2]
    near = upper[:, max(int(place) - 4, 0) : int(place) + 5]
    assert near.sum() >= 8  # a mark that the eye finds, not one faint pixel
    beside = np.r_[0 : max(int(place) - 90, 0), int(place) + 90 : mask.shape[1]]
    if zoom is None:
        assert upper[:, beside].sum() == 0


def test_a_spike_is_no_plateau_in_the_smoothed_curve(plot):
    view = plot(losses(s7777=50.0))
    _, strong = view._items["loss"]
    assert strong.getData()[1].max() < 0.11


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("log", [False, True], ids=["linear", "log"])
def test_a_step_that_is_no_number_is_marked_and_moves_no_other(plot, bad, log):
    good, spoilt = plot(losses(), log), plot(losses(s7777=bad), log)
    spoilt_ranges = spoilt._plot.getPlotItem().getViewBox().viewRange()
    np.testing.assert_array_equal(good._plot.getPlotItem().getViewBox().viewRange(), spoilt_ranges)
    assert [line.value() for line in spoilt._bad_lines] == [SPIKE]
    one, two = pixels(good._plot).astype(int), pixels(spoilt._plot).astype(int)
    different = np.flatnonzero((one != two).any(axis=(0, 2)))
    box = spoilt._plot.getPlotItem().getViewBox().sceneBoundingRect()
    place = box.left() + column_of(spoilt, SPIKE)
    assert len(different)  # the mark
    assert np.abs(different - place).max() <= 8  # and nothing away from it


def test_a_narrow_range_fills_the_plot_and_has_ticks(plot):
    ramp = np.linspace(5.0, 5.001, 3000)
    for log in (False, True):
        view = plot(ramp, log)
        mask = drawn(view)
        rows = np.flatnonzero(mask.any(axis=1))
        assert rows[-1] - rows[0] > 0.8 * mask.shape[0]
        axis = view._plot.getPlotItem().getAxis("left")
        _, (low, high) = view._plot.getPlotItem().getViewBox().viewRange()
        levels = axis.tickValues(low, high, axis.height())
        ticks = [tick for _, part in levels for tick in part]
        texts = axis.tickStrings(ticks, 1.0, levels[0][0] or 1.0)
        assert len(ticks) >= 3
        assert len(set(texts)) == len(texts)


def test_values_a_logarithmic_axis_cannot_show_are_counted(plot):
    view = plot(losses(s5=0.0, s6=-1.0), log=True)
    assert "2 of 0 or below left out" in view._legend.text()
    view.set_log(False)
    assert "left out" not in view._legend.text()


def test_an_envelope_keeps_every_extreme():
    x, y = np.arange(COUNT, dtype=float), losses(s3=9.0, s7777=50.0, s19990=-4.0)
    for low, high, columns in ((0, COUNT, 300), (-100, 2 * COUNT, 64), (7000, 9000, 100)):
        xs, ys = envelope(x, y, low, high, columns)
        inside = (x >= low) & (x <= high)
        assert ys.max() == y[inside].max()
        assert ys.min() == y[inside].min()
        assert (np.diff(xs) >= 0).all()
        assert len(xs) <= 2 * (columns + 3)


def test_few_points_are_drawn_as_they_are():
    x, y = np.arange(50.0), np.arange(50.0) ** 2
    y[7] = np.nan
    xs, ys = envelope(x, y, 10, 30, 100)
    np.testing.assert_array_equal(xs, np.arange(9, 32))
    np.testing.assert_array_equal(ys, xs**2)


def test_spikes_are_what_stands_out_alone():
    assert list(spikes(losses(s7777=50.0, s40=-3.0))) == [40, SPIKE]
    assert list(spikes(losses())) == []
    assert list(spikes(np.concatenate([np.full(500, 1.0), np.full(500, 9.0)]))) == []  # a step
    constant = np.full(100, 0.1)
    constant[30] = 50
    assert list(spikes(constant)) == [30]
    assert list(spikes(np.array([1.0, np.nan, 3.0]))) == []


def test_smoothing_leaves_out_what_is_no_number():
    y = losses(s7777=np.nan)
    smooth, plain = smoothed(y), smoothed(losses())
    assert np.isfinite(smooth).all()
    far = np.abs(np.arange(COUNT) - SPIKE) > COUNT // 150
    np.testing.assert_allclose(smooth[far], plain[far], rtol=1e-12)
    xs, ys = thinned(np.arange(COUNT, dtype=float), y)
    plain_xs, _ = thinned(np.arange(COUNT, dtype=float), losses())
    np.testing.assert_array_equal(xs, plain_xs)
    assert np.isfinite(ys).all()


def test_labels_are_never_the_same_for_different_ticks():
    assert distinct([5.0, 5.0005, 5.001]) == ["5", "5.0005", "5.001"]
    assert distinct([1.0, 10.0, 100.0]) == ["1", "10", "100"]
