"""Numbers as text: signs, widths, decimal points."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gui.widgets.numbers import (
    ELLIPSIS,
    MINUS,
    TINY,
    aligned,
    cell_scale,
    cell_text,
    column_for,
    compact,
    format_full,
    format_number,
    format_share,
    is_whole,
    scaled,
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
    assert len({text.find(".") for text in texts if "." in text}) <= 1


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
    assert compact(1e-5) == "1e−05"
    assert [format_share(share) for share in (0, 0.001, 0.5, 0.999, 1)] == (
        ["0 %", "<1 %", "50 %", ">99 %", "100 %"]
    )


# --- what is printed says what was meant --------------------------------------------------------

MAGNITUDES = st.builds(
    lambda mantissa, power, sign: float(np.float32(sign * mantissa * 10.0**power)),
    st.floats(1, 9.999),
    st.integers(-45, 37),
    st.sampled_from([-1, 1]),
).filter(lambda value: value != 0)
"""From the least denormal float32 to the greatest."""


def read_back(text):
    """Return the number a person reads, and half a unit of its last digit."""
    text = text.strip().replace(MINUS, "-").lstrip("+")
    factor = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1.0)
    mantissa, _, power = text.rstrip("kMG").partition("e")
    scale = factor * 10.0 ** int(power or 0)
    unit = 10.0 ** -len(mantissa.partition(".")[2])
    return float(mantissa) * scale, 0.5 * unit * scale


def assert_says(text, value, precision):
    read, half = read_back(text)
    assert abs(read - value) <= half + 1e-14 * abs(value), (text, value)
    assert half <= precision * abs(value) * (1 + 1e-6), (text, value)


@given(MAGNITUDES, st.integers(2, 8), st.booleans())
def test_a_number_keeps_three_digits_whatever_its_size(value, digits, signed):
    assert_says(format_number(value, digits, signed), value, 0.005)
    assert_says(significant(value, max(digits, 4)), value, 0.005)
    assert read_back(compact(value, 4))[0] == pytest.approx(value, rel=5.01e-4)
    assert read_back(format_full(np.float32(value)))[0] == pytest.approx(value, rel=1e-7, abs=1e-45)


@given(st.lists(MAGNITUDES | st.just(0.0), min_size=1, max_size=20), st.integers(3, 7))
def test_every_number_of_a_column_and_of_a_list_keeps_its_digits(values, digits):
    column = column_for(np.array(values, np.float32), digits)
    whole = is_whole(np.array(values))
    for value, text, line in zip(values, map(column.text, values), aligned(values), strict=True):
        if whole:
            assert read_back(text)[0] == read_back(line)[0] == value
        elif value:
            assert_says(text, value, 0.005 if digits > 4 else 0.05)
            assert_says(line, value, 0.005)
        else:
            assert float(text) == float(line) == 0


@given(MAGNITUDES, st.integers(3, 8), st.integers(0, 3))
def test_a_cell_never_shows_zeros_for_a_number(value, characters, decimals):
    text = cell_text(value, characters, decimals)
    assert len(text) <= characters
    assert (MINUS in text[:1]) == (value < 0) or text == TINY
    if text == TINY:
        assert abs(value) < 0.1
        assert characters <= 5
    elif ELLIPSIS in text:
        assert abs(value) >= 100
        assert characters <= 4
    elif text.lstrip(MINUS).startswith("e"):  # the power of ten alone
        power = int(text.lstrip(MINUS)[1:].replace(MINUS, "-"))
        assert 10.0**power <= abs(value) * (1 + 1e-9)
        assert abs(value) < 10.0 ** (power + 1)
    else:
        assert text.strip("0.−")
        read, half = read_back(text)
        assert abs(read - value) <= half * (1 + 1e-9)


@given(st.lists(MAGNITUDES, min_size=1, max_size=20))
def test_a_grid_carries_its_power_of_ten(values):
    grid = np.array(values, np.float32)
    factor, unit = cell_scale(grid)
    shown = scaled(grid, factor)
    assert np.isfinite(shown).all()
    assert (shown != 0).all()
    assert 0.09 <= np.abs(shown).max() < 1e4
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    power = int(unit.removeprefix("×10").translate(digits)) if unit else 0
    assert factor == pytest.approx(10.0**-power)
    largest = cell_text(float(np.abs(shown).max()), 4)
    assert_says(largest, float(np.abs(shown).max()), 0.5)


@given(st.lists(st.tuples(MAGNITUDES, MAGNITUDES), min_size=1, max_size=20), st.integers(4, 6))
def test_printed_products_and_sums_add_up(pairs, digits):
    left, right = np.array(pairs, np.float32).T
    with np.errstate(all="ignore"):
        products = left * right
        totals = np.add.accumulate(products, dtype=np.float32)
    if not (np.isfinite(products).all() and np.isfinite(totals).all()):
        return
    columns = [column_for(left, digits - 1), column_for(right, digits - 1)]
    product, total = column_for(products, digits, signed=True), column_for(totals, digits)
    before = (0.0, 0.0)
    for a, b, p, t in zip(left, right, products, totals, strict=True):
        (ra, ha), (rb, hb) = read_back(columns[0].text(a)), read_back(columns[1].text(b))
        rp, hp = read_back(product.text(p))
        if p == 0:  # the product is less than the least number
            hp = 1e-45
        most = abs(ra) * hb + abs(rb) * ha + ha * hb + hp + abs(float(p)) * 2.0**-23 + 1e-45
        assert abs(ra * rb - rp) <= most * (1 + 1e-6)
        rt, ht = read_back(total.text(t))
        rounding = (abs(before[0]) + abs(rp) + abs(rt)) * 2.0**-22 + 2e-45
        assert abs(before[0] + rp - rt) <= (before[1] + hp + ht + rounding) * (1 + 1e-6)
        before = (rt, ht if t else 1e-45)


def test_the_line_that_was_wrong():
    column = column_for(np.array([-0.46, -3.7e-8], np.float32), 5)
    assert column.text(np.float32(-3.7e-8)).strip() == "−3.70e−08"
    products = column_for(np.array([0.3, 1.12 * -3.7e-8], np.float32), 6, signed=True)
    assert products.text(np.float32(1.12 * -3.7e-8)).strip() == "−4.14e−08"
    assert cell_text(-0.0004, 4) == "−e−4"
    assert cell_text(0.0004, 4) == "4e−4"
    assert cell_text(-0.0004, 7) == "−4.0e−4"
