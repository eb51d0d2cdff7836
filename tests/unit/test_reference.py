"""The references themselves: published figures and cases small enough to do by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests import reference as ref


def test_convolution_gives_the_cs231n_anchor() -> None:
    x = np.linspace(-0.1, 0.5, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    w = np.linspace(-0.2, 0.3, 3 * 3 * 4 * 4).reshape(3, 3, 4, 4)
    b = np.linspace(-0.1, 0.2, 3)
    y = ref.conv2d(x, w, b, ref.ConvSettings((2, 2), ref.pads(1)))
    first = [[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]]
    last = [[2.36270298, 2.36904306], [2.38090835, 2.38247847]]
    np.testing.assert_allclose(y[0, 0], first, rtol=0, atol=5e-9)
    np.testing.assert_allclose(y[1, 2], last, rtol=0, atol=5e-9)


def test_convolution_of_one_to_nine_by_hand() -> None:
    x = np.arange(1, 10).reshape(1, 1, 3, 3)
    w = np.arange(1, 5).reshape(1, 1, 2, 2)
    np.testing.assert_array_equal(ref.conv2d(x, w)[0, 0], [[37, 47], [67, 77]])
    flipped = ref.conv2d(x, w, None, ref.ConvSettings(flip_kernel=True))
    np.testing.assert_array_equal(flipped[0, 0], [[23, 33], [53, 63]])
    padding = ref.same_pads((3, 3), (2, 2), (1, 1), (1, 1))
    same = ref.conv2d(x, w, None, ref.ConvSettings(padding=padding))
    np.testing.assert_array_equal(same[0, 0], [[37, 47, 21], [67, 77, 33], [23, 26, 9]])


def test_same_padding_follows_the_keras_rule() -> None:
    assert ref.same_pads((5, 5), (3, 3), (2, 2), (1, 1)) == (1, 1, 1, 1)
    assert ref.same_pads((6, 6), (3, 3), (2, 2), (1, 1)) == (0, 1, 0, 1)
    assert ref.same_pads((4, 7), (1, 2), (3, 3), (1, 2)) == (0, 0, 1, 1)


def test_convolution_gradients_by_hand() -> None:
    x = np.arange(1, 10).reshape(1, 1, 3, 3)
    w = np.arange(1, 5).reshape(1, 1, 2, 2)
    gx, gw, gb = ref.conv2d_backward(x, w, np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(gx[0, 0], [[1, 3, 2], [4, 10, 6], [3, 7, 4]])
    np.testing.assert_array_equal(gw[0, 0], [[12, 16], [24, 28]])
    np.testing.assert_array_equal(gb, [4])


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "after", "ceil_mode", "starts"),
    [
        (5, 2, 2, 0, 0, False, [0, 2]),
        (5, 2, 2, 0, 0, True, [0, 2, 4]),
        (6, 3, 2, 0, 0, True, [0, 2, 4]),
        (3, 2, 2, 1, 1, True, [-1, 1]),
        (4, 2, 2, 1, 1, True, [-1, 1, 3]),
        (10, 1, 4, 0, 0, True, [0, 4, 8]),
        (112, 3, 2, 0, 0, True, list(range(0, 111, 2))),
    ],
)
def test_windows_of_a_pooling_layer(
    size: int,
    kernel: int,
    stride: int,
    before: int,
    after: int,
    ceil_mode: bool,
    starts: list[int],
) -> None:
    assert ref.window_starts(size, kernel, stride, before, after, 1, ceil_mode) == starts


def test_max_pooling_by_hand_takes_the_first_of_equals_and_lets_nan_through() -> None:
    settings = ref.PoolSettings((2, 2), (2, 2))
    x = np.array([[1, 1, 2, 3], [1, 1, 5, 4], [0, np.nan, -1, -2], [1, 2, -3, -4]])[None, None]
    y, source = ref.max_pool2d(x, settings)
    np.testing.assert_array_equal(y[0, 0], [[1, 5], [np.nan, -1]])
    np.testing.assert_array_equal(source[0, 0], [[0, 6], [9, 10]])
    gradient = ref.max_pool2d_backward(x, np.array([[[[10, 20], [30, 40]]]]), settings)
    np.testing.assert_array_equal(np.flatnonzero(gradient), [0, 6, 9, 10])


def test_average_pooling_by_hand_counts_padding_or_not() -> None:
    x = np.arange(1, 5, dtype=np.float64).reshape(1, 1, 2, 2)
    settings = ref.PoolSettings((2, 2), (2, 2), ref.pads(1))
    np.testing.assert_array_equal(ref.avg_pool2d(x, settings)[0, 0], [[0.25, 0.5], [0.75, 1]])
    bare = settings._replace(count_include_pad=False)
    np.testing.assert_array_equal(ref.avg_pool2d(x, bare)[0, 0], [[1, 2], [3, 4]])


def test_adaptive_windows_overlap_where_sizes_do_not_divide() -> None:
    assert [list(r) for r in ref.adaptive_ranges(5, 3)] == [[0, 1], [1, 2, 3], [3, 4]]


def test_batch_norm_by_hand() -> None:
    x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    state = ref.NormState(np.array([10.0]), np.array([4.0]))
    one = np.ones(1)
    y, after = ref.batch_norm2d(x, one, one, state, training=True, eps=3.0, momentum=0.25)
    np.testing.assert_allclose(y.ravel(), [0.5, 1.5])
    assert (after.mean[0], after.variance[0]) == (8.0, 3.5)
    y, after = ref.batch_norm2d(x, one, one, state, training=False, eps=5.0)
    np.testing.assert_allclose(y.ravel(), [-2.0, -4.0 / 3.0])
    assert (after.mean[0], after.variance[0]) == (10.0, 4.0)


def test_cross_entropy_by_hand() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]))
    target = np.array([0, 2])
    mean = (math.log(2) - math.log(0.7)) / 2
    assert ref.cross_entropy(logits, target) == pytest.approx(mean)
    gradient = ref.cross_entropy_backward(logits, target)
    np.testing.assert_allclose(gradient, [[-0.25, 0.125, 0.125], [0.05, 0.1, -0.15]])
    weighted = ref.CrossEntropy(weight=np.array([3.0, 1.0, 1.0]))
    expected = (3 * math.log(2) - math.log(0.7)) / 4
    assert ref.cross_entropy(logits, target, weighted) == pytest.approx(expected)
    ignoring = ref.CrossEntropy(ignore_index=0)
    assert ref.cross_entropy(logits, target, ignoring) == pytest.approx(-math.log(0.7))


def test_optimisers_by_hand() -> None:
    w, g = {"w": np.array([1.0])}, {"w": np.array([2.0])}
    sgd = ref.SGDReference(momentum=0.5)
    sgd.step(w, g, 0.1)
    sgd.step(w, g, 0.1)
    assert w["w"][0] == pytest.approx(1.0 - 0.2 - 0.3)
    w = {"w": np.array([1.0])}
    ref.AdamReference(eps=0.0).step(w, g, 0.1)
    assert w["w"][0] == pytest.approx(0.9)
    w = {"w": np.array([1.0])}
    ref.AdamReference(eps=0.0, weight_decay=0.5, decoupled=True).step(w, g, 0.1)
    assert w["w"][0] == pytest.approx(0.85)


def test_schedules_by_hand() -> None:
    assert [ref.step_decay(1.0, 0.5, 2, i) for i in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert ref.exponential_decay(2.0, 0.5, 3) == 0.25
    assert ref.cosine_decay(1.0, 4, 2) == pytest.approx(0.5)
    assert ref.cosine_decay(1.0, 4, 9, end=0.1) == pytest.approx(0.1)
