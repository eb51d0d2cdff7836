"""Powers, cosines and logarithms of Python's numbers against exact values."""

from __future__ import annotations

import decimal
import math
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from engine import draws, rounded
from engine.errors import ConfigurationError
from engine.optimizers import Adam
from engine.random import generator
from engine.schedules import CosineDecay, ExponentialDecay, StepDecay

CONTEXT = decimal.Context(prec=80, Emin=-9999, Emax=9999)
BASES = (0.9, 0.999, 0.5, 0.8, 1.5, 1e-5, 3.7, 1 - 2.0**-53, 2.0, 1e-300, 5e-324)


def whole(base: float, exponent: int) -> float:
    """Return a power of whole numbers by exact fractions."""
    number, divisor = base.as_integer_ratio()
    try:
        return number**exponent / divisor**exponent
    except OverflowError:
        return math.inf


def cosine(x: float) -> float:
    """Return a cosine by its series."""
    angle, total, term, k = Decimal(x), Decimal(1), Decimal(1), 0
    while abs(term) > Decimal(10) ** -70:
        k += 2
        term = CONTEXT.divide(CONTEXT.multiply(-term, CONTEXT.multiply(angle, angle)), k * (k - 1))
        total = CONTEXT.add(total, term)
    return float(total)


@pytest.mark.parametrize("base", BASES)
def test_whole_powers_one_after_the_other(base: float) -> None:
    for exponent in range(1, 300):
        assert rounded.power(base, exponent) == whole(base, exponent)


@pytest.mark.parametrize("base", BASES)
def test_whole_powers_in_any_order_are_the_same(base: float) -> None:
    draw = random.Random(0)
    for exponent in [*draw.sample(range(2000), 40), 0, 5, 5, 4, 6, 0]:
        assert rounded.power(base, exponent) == whole(base, exponent)


def test_ties_of_powers_go_to_even() -> None:
    for number in range(3 * 2**25 + 1, 3 * 2**25 + 4000, 2):
        assert number**2 > 2**53, "an odd number of 54 digits lies between two floats"
        base = float(number)
        assert rounded.power(base, 2) == base * base


def test_other_powers() -> None:
    draw = random.Random(1)
    for _ in range(1000):
        base = draw.uniform(0, 1.2)
        exponent = draw.choice(
            [draw.uniform(0, 50), draw.randrange(3000) / draw.randrange(1, 50), draw.random()]
        )
        exact = CONTEXT.exp(CONTEXT.multiply(CONTEXT.ln(Decimal(base)), Decimal(exponent)))
        assert rounded.power(base, exponent) == float(exact), (base, exponent)
    assert rounded.power(4.0, 0.5) == 2
    assert rounded.power(0.25, 1.5) == 0.125


def test_powers_at_their_limits() -> None:
    assert rounded.power(0.0, 0) == rounded.power(0.0, 0.0) == rounded.power(1.0, 1e9) == 1
    assert rounded.power(0.0, 3) == rounded.power(0.0, 0.5) == 0
    assert rounded.power(1e300, 2) == rounded.power(1e300, 1.5) == math.inf
    assert rounded.power(1e-300, 2) == rounded.power(1e-300, 1.5) == 0
    assert rounded.power(2.0, -0.0) == 1
    assert rounded.power(0.9, 2**62) == rounded.power(0.9, 2.0**62 + 0.5) == 0
    assert rounded.power(1.1, 2**62) == rounded.power(1.1, 1e15 + 0.5) == math.inf
    assert 0 < rounded.power(1 - 2.0**-53, 2**53) < 0.4
    assert rounded.power(0.5, 1074) == 5e-324
    assert rounded.power(0.5, 1075) == 0  # a tie with zero


def test_cosines() -> None:
    draw = random.Random(2)
    angles = [math.pi * k / 997 for k in range(998)] + [draw.uniform(0, 4) for _ in range(500)]
    for angle in angles + [10.0 ** -draw.uniform(0, 20) for _ in range(100)]:
        assert rounded.cosine(angle) == cosine(angle), angle
    assert rounded.cosine(0.0) == 1
    assert rounded.cosine(math.pi) == -1
    assert abs(rounded.cosine(math.pi / 2) - math.cos(math.pi / 2)) < 2.0**-100


def test_what_schedules_and_adam_make_of_them() -> None:
    # The C library of the machine that runs this is within a unit in the last place.
    for step in range(200):
        share = min(step / 150, 1.0)
        expected = 0.01 + (0.3 - 0.01) * (1 + math.cos(math.pi * share)) / 2
        assert CosineDecay(0.3, 150, 0.01)(step) == pytest.approx(expected, rel=1e-15)
        assert StepDecay(0.3, 7, 0.9)(step) == pytest.approx(0.3 * 0.9 ** (step // 7), rel=1e-15)
        expected = 0.3 * 0.97 ** (step / 7)
        assert ExponentialDecay(0.3, 0.97, 7)(step) == pytest.approx(expected, rel=1e-15)
        _, size, root = Adam(0.1).rates(step)
        assert size == 0.1 / (1 - whole(0.9, step + 1))
        assert root == math.sqrt(1 - whole(0.999, step + 1))


@pytest.mark.parametrize("schedule", [StepDecay(1.0, 1, 1e200), ExponentialDecay(1.0, 1e200, 2)])
def test_a_rate_beyond_all_numbers_is_refused(schedule: Any) -> None:
    assert schedule(1) > 1e99
    with pytest.raises(ConfigurationError, match=r"step 40 .*smaller factor"):
        schedule(40)


# ---------------------------------------------------------------------------- random numbers


class OtherLibrary:
    """A generator of a system whose C library rounds logarithms up: its tails are longer."""

    def __init__(self, seed: int) -> None:
        self._numbers = generator(seed, "init", "weight")
        self.bit_generator = self._numbers.bit_generator

    def standard_normal(self, size: int | None = None) -> Any:
        numbers = self._numbers.standard_normal(size)
        return np.where(np.abs(numbers) > draws.LAST_LAYER, numbers * (1 + 2.0**-51), numbers)


def test_normal_numbers_are_numpys_on_every_system() -> None:
    far = 0
    for seed in range(3):
        expected = generator(seed, "init", "weight").standard_normal((7, 3000))
        numbers, other = generator(seed, "init", "weight"), OtherLibrary(seed)
        assert (np.abs(other.standard_normal(21000).reshape(7, 3000) - expected) > 0).any()
        found = draws.normal(numbers, (7, 3000))
        again = draws.normal(OtherLibrary(seed), (7, 3000))  # type: ignore[arg-type]
        np.testing.assert_array_equal(found, again)
        np.testing.assert_allclose(found, expected, rtol=2.0**-50)
        inside = np.abs(expected) <= draws.LAST_LAYER
        np.testing.assert_array_equal(found[inside], expected[inside])
        far += int((~inside).sum())
        after = generator(seed, "init", "weight")
        after.standard_normal((7, 3000))
        assert numbers.random() == after.random(), "the generator stands where NumPy's would"
    assert far > 5


def test_a_numpy_that_draws_otherwise_is_believed() -> None:
    class Foreign(OtherLibrary):
        def standard_normal(self, size: int | None = None) -> Any:
            return self._numbers.random(size) + 4

    assert draws.normal(Foreign(0), (50,)).min() >= 4  # type: ignore[arg-type]


def test_uniform_numbers_are_numpys() -> None:
    for seed in range(5):
        ours, numpys = (generator(seed, "init", "weight") for _ in range(2))
        found = draws.uniform(ours, -0.3, 0.7, (5, 100))
        np.testing.assert_array_equal(found, numpys.uniform(-0.3, 0.7, (5, 100)))
