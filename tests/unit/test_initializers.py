"""Starting values: fans, spread, and a generator for each parameter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine import Model
from engine.errors import ConfigurationError
from engine.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Normal,
    Ones,
    Uniform,
    Zeros,
)
from engine.layers import BatchNorm2d, Conv2d, Dense, Flatten
from tests.building import bits_of

SHAPE = (64, 32, 3, 3)
FAN_IN, FAN_OUT = 32 * 9, 64 * 9
SPREAD: dict[str, tuple[Any, float, float]] = {
    "he normal": (HeNormal(), math.sqrt(2 / FAN_IN), math.inf),
    "he uniform": (HeUniform(), math.sqrt(2 / FAN_IN), math.sqrt(6 / FAN_IN)),
    "glorot normal": (GlorotNormal(), math.sqrt(2 / (FAN_IN + FAN_OUT)), math.inf),
    "glorot uniform": (
        GlorotUniform(),
        math.sqrt(2 / (FAN_IN + FAN_OUT)),
        math.sqrt(6 / (FAN_IN + FAN_OUT)),
    ),
    "normal": (Normal(std=0.3), 0.3, math.inf),
    "uniform": (Uniform(-0.3, 0.3), 0.6 / math.sqrt(12), 0.3),
}


@pytest.mark.parametrize("name", SPREAD)
def test_spread(name: str) -> None:
    build, deviation, bound = SPREAD[name]
    values = build(SHAPE, np.random.default_rng(0))
    assert values.shape == SHAPE
    # 18,432 draws: the deviation is known to 0.5 %, the mean to 0.75 % of it.
    assert values.std() == pytest.approx(deviation, rel=0.03)
    assert abs(values.mean()) < 0.03 * deviation
    assert np.abs(values).max() <= bound


def test_constants() -> None:
    generator = np.random.default_rng(0)
    for build, value in ((Constant(2.5), 2.5), (Zeros(), 0.0), (Ones(), 1.0)):
        np.testing.assert_array_equal(build((2, 3), generator), np.full((2, 3), value))


def layers() -> list[Any]:
    return [
        Conv2d(1, 4, 3, name="conv"),
        BatchNorm2d(4, name="bn"),
        Flatten(),
        Dense(16, 3, name="fc"),
    ]


def test_layers_start_with_he_weights_and_zero_biases() -> None:
    model = Model(layers(), input_shape=(1, 4, 4), seed=0, dtype="float64")
    for name, fan in (("conv", 9), ("fc", 16)):
        assert np.abs(model[name].weight.value).max() <= math.sqrt(6 / fan)
        assert not model[name].bias.value.any()
    np.testing.assert_array_equal(model["bn"].weight.value, np.ones(4))
    np.testing.assert_array_equal(model["bn"].bias.value, np.zeros(4))
    np.testing.assert_array_equal(model.state["bn.running_mean"], np.zeros(4))
    np.testing.assert_array_equal(model.state["bn.running_var"], np.ones(4))


def test_a_seed_gives_one_start_and_another_seed_another() -> None:
    models = [Model(layers(), input_shape=(1, 4, 4), seed=seed) for seed in (5, 5, 6)]
    first, again, other = map(bits_of, models)
    assert first == again
    assert first["conv.weight"] != other["conv.weight"]
    assert first["fc.weight"] != other["fc.weight"]


def test_float32_starts_as_the_rounded_float64() -> None:
    one, other = (
        Model(layers(), input_shape=(1, 4, 4), seed=1, dtype=dtype)
        for dtype in ("float32", "float64")
    )
    for name, parameter in one.parameters.items():
        wide = other.parameters[name].value
        np.testing.assert_array_equal(parameter.value, wide.astype(np.float32))


def test_no_two_layers_start_alike() -> None:
    model = Model([Dense(8, 8, name="a"), Dense(8, 8, name="b")], input_shape=(8,), seed=0)
    assert model["a"].weight.value.tobytes() != model["b"].weight.value.tobytes()


def test_a_layer_takes_its_own_initialiser() -> None:
    model = Model([Dense(3, 2, initializer=Constant(0.5), name="fc")], input_shape=(3,))
    np.testing.assert_array_equal(model["fc"].weight.value, np.full((2, 3), 0.5))


@pytest.mark.parametrize(
    "build", [lambda: Normal(std=-1.0), lambda: Uniform(1.0, 0.0), lambda: Normal(float("nan"))]
)
def test_impossible_spreads_are_refused(build: Any) -> None:
    with pytest.raises(ConfigurationError):
        build()
