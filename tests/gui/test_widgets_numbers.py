"""Numbers as text: signs, widths, decimal points."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gui.widgets.numbers import (
    MINUS,
    aligned,
    cell_scale,
    cell_text,
    column_for,
    format_full,
    format_number,
    is_whole,
    significant,
)

ANY = st.floats(allow_nan=True, allow_infinity=True, width=32)
ORDINARY = st.floats(-1e5, 1e5, allow_nan=False).map(np.float32).map(float)


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (-2.26141, 3, False, "−2.261"),
        (0.5, 4, True, "+0.5000"),
        (0.0, 2, False, "0.00"),
        (-0.0, 2, False, "0.00"),
        (3.14e-7, 4, False, "3.14e−07"),
        (-12345678.0, 4, False, "−1.23e+07"),
        (float("nan"), 4, True, "NaN"),
        (float("-inf"), 4, False, "−∞"),
    ],
)
def test_format_number(value, digits, signed, text):
    assert format_number(value, digits, signed) == text


@given(ANY, st.integers(3, 7))
def test_cell_text_fits_and_has_no_hyphen(value, characters):
    text = cell_text(value, characters)
    assert 1 <= len(text) <= characters
    assert "-" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.386, ".39"), (-0.386, "−.39"), (-1.24, "−1.2"), (0.0, "0"), (2500, "2500")],
)
def test_cell_text_drops_the_leading_zero_in_small_cells(value, text):
    assert cell_text(value, 4) == text


@given(st.lists(ORDINARY, min_size=1, max_size=30), st.booleans())
def test_column_has_one_width_and_one_place_for_the_point(values, signed):
    column = column_for(np.array(values), 6, signed=signed)
    texts = [column.text(value) for value in values]
    assert {len(text) for text in texts} == {column.width}
    assert len({text.find(".") for text in texts}) == 1


def test_column_gives_small_numbers_an_exponent():
    column = column_for(np.array([3e-9, -2e-8]))
    assert column.scientific
    assert column.text(-2e-8).strip() == "−2.0000e−08"


@given(st.lists(ANY, min_size=1, max_size=12))
def test_aligned_texts_have_one_length(values):
    texts = aligned(values)
    assert len({len(text) for text in texts}) == 1


def test_aligned_keeps_digits_of_very_different_numbers():
    texts = aligned([-0.152603, 1.2e-6, 1000.0])
    assert [text.strip() for text in texts] == ["−0.152603", "1.2000e−06", "1000.00"]
    assert len({text.index(".") for text in texts}) == 1


def test_whole_numbers_have_no_decimals():
    values = np.array([37.0, 47.0, 67.0, 77.0])
    assert is_whole(values)
    assert not is_whole(np.zeros(3))
    assert not is_whole(np.array([1.0, np.nan]))
    assert column_for(values, signed=True).text(37.0) == "+37"
    assert [text.strip() for text in aligned([1.0, 37.0])] == ["1", "37"]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_format_full_reads_back_to_the_same_bits(value):
    text = format_full(np.float32(value)).replace(MINUS, "-")
    assert np.float32(text) == np.float32(value)


def test_significant_and_scale():
    assert significant(0.0012345678) == "0.0012346"
    assert significant(float("inf")) == "+∞"
    factor, unit = cell_scale(np.array([1.2e-3, -4e-4]))
    assert unit == "×10⁻³"
    assert math.isclose(1.2e-3 * factor, 1.2)
    assert cell_scale(np.array([0.5, -3.0])) == (1.0, "")
    assert cell_scale(np.array([np.nan])) == (1.0, "")
