"""Layers: defaults, output shapes, settings as data, names, freezing."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from engine import Model
from engine.config import decode, encode
from engine.errors import ConfigurationError, FormatError, StateError
from engine.initializers import GlorotNormal
from engine.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    MaxPool2d,
    ReLU,
)
from engine.regularizers import L1, L2
from tests.building import bits_of, randomise
from tests.gallery import IMAGE, LAYERS
from tests.strategies import values
from tests.tolerances import assert_same_bits

DEFAULTS: dict[type[Any], dict[str, Any]] = {
    Conv2d: {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True},
    MaxPool2d: {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
    AvgPool2d: {
        "stride": None,
        "padding": 0,
        "ceil_mode": False,
        "count_include_pad": True,
        "divisor_override": None,
    },
    BatchNorm2d: {"eps": 1e-5, "momentum": 0.1},
    Dense: {"bias": True},
    Dropout: {"p": 0.5},
    LeakyReLU: {"negative_slope": 0.01},
}


@pytest.mark.parametrize("kind", DEFAULTS, ids=lambda kind: kind.__name__)
def test_defaults_are_pytorchs(kind: type[Any]) -> None:
    parameters = inspect.signature(kind).parameters
    found = {name: parameters[name].default for name in DEFAULTS[kind]}
    assert found == DEFAULTS[kind]
    assert parameters["name"].default is None


# What PyTorch and the published nets give: GoogLeNet needs ceil_mode for its 7x7, AlexNet ends
# at 256x6x6, ResNet's stem halves twice.
SHAPES: list[tuple[Any, tuple[int, ...], tuple[int, ...]]] = [
    (Conv2d(3, 64, 11, stride=4, padding=2), (3, 224, 224), (64, 55, 55)),
    (MaxPool2d(3, stride=2), (64, 55, 55), (64, 27, 27)),
    (MaxPool2d(3, stride=2), (256, 13, 13), (256, 6, 6)),
    (Conv2d(3, 64, 7, stride=2, padding=3), (3, 224, 224), (64, 112, 112)),
    (MaxPool2d(3, stride=2, padding=1), (64, 112, 112), (64, 56, 56)),
    (MaxPool2d(3, stride=2, ceil_mode=True), (64, 112, 112), (64, 56, 56)),
    (MaxPool2d(2, stride=2, ceil_mode=True), (832, 14, 14), (832, 7, 7)),
    (MaxPool2d(3, stride=2, ceil_mode=True), (480, 28, 28), (480, 14, 14)),
    (MaxPool2d(3, stride=2), (480, 28, 28), (480, 13, 13)),
    (MaxPool2d(2, stride=2, padding=1, ceil_mode=True), (1, 4, 4), (1, 3, 3)),
    (AvgPool2d(2, ceil_mode=True), (1, 5, 5), (1, 3, 3)),
    (AvgPool2d((1, 3), stride=(1, 2)), (1, 5, 8), (1, 5, 3)),
    (Conv2d(8, 8, 3, dilation=4, padding=4), (8, 20, 30), (8, 20, 30)),
    (Conv2d(1, 1, (1, 5), padding="valid"), (1, 3, 9), (1, 3, 5)),
    (Conv2d(1, 1, 4, padding="same"), (1, 6, 7), (1, 6, 7)),
    (Conv2d(1, 1, 3, stride=2, padding="same"), (1, 6, 7), (1, 3, 4)),
    (Conv2d(1, 1, 1, stride=3, padding="same"), (1, 7, 9), (1, 3, 3)),
    (AdaptiveAvgPool2d(6), (256, 13, 7), (256, 6, 6)),
    (AdaptiveAvgPool2d((None, 7)), (4, 5, 3), (4, 5, 7)),
    (Flatten(), (256, 6, 6), (9216,)),
    (Dense(7, 3), (4, 5, 7), (4, 5, 3)),
]


@pytest.mark.parametrize(("layer", "given", "expected"), SHAPES)
def test_output_shapes(layer: Any, given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert layer.op.output_shape(given) == expected


@pytest.mark.parametrize("name", LAYERS)
def test_settings_as_data_make_the_same_layer_again(name: str) -> None:
    first = Model(LAYERS[name](), input_shape=IMAGE, seed=1, device="cpu")
    copies = [decode(encode(layer)) for layer in LAYERS[name]()]
    second = Model(copies, input_shape=IMAGE, seed=1, device="cpu")
    assert bits_of(first) == bits_of(second)
    for model in (first, second):
        randomise(model, 3)
    x = values((2, *IMAGE), 4, "float32")
    assert_same_bits(second(x), first(x))
    for one, other in zip(LAYERS[name](), copies, strict=True):
        assert one.config() == other.config()
        assert one.op == other.op
        assert repr(one) == repr(other)


def test_initialiser_and_penalty_are_part_of_the_settings() -> None:
    layer = Conv2d(1, 2, 3, initializer=GlorotNormal(), regularizer=L1(0.25), name="c")
    copy = decode(encode(layer))
    assert copy.initializer == GlorotNormal()
    assert copy.weight.regularizer == L1(0.25)
    assert copy.bias.regularizer is None
    assert copy.name == "c"


@pytest.mark.parametrize(
    "data",
    [
        {"type": "Conv9d", "config": {}},
        {"type": "Conv2d", "config": {"in_channels": 1}},
        {"type": "Conv2d", "config": {"colour": "red"}},
        {"type": "Conv2d", "config": 7},
        {"type": 3, "config": {}},
        {},
    ],
)
def test_settings_that_make_no_layer_are_refused(data: Any) -> None:
    with pytest.raises(FormatError):
        decode(data)


@pytest.mark.parametrize("name", ["", "conv 1", "conv.1", "1conv", "a\nb", 3])
def test_names_that_could_not_be_addressed_are_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        ReLU(name=name)


def test_repr_is_the_call_that_makes_it() -> None:
    text = repr(Conv2d(1, 6, 5, padding=2, name="conv1"))
    assert text.startswith("Conv2d(in_channels=1, out_channels=6, kernel_size=(5, 5)")
    assert "padding=2" in text


def test_a_parameter_has_no_value_before_its_model() -> None:
    layer = Dense(3, 2)
    with pytest.raises(StateError, match="Model"):
        _ = layer.weight.value
    with pytest.raises(StateError):
        _ = layer.weight.gradient
    assert layer.weight.shape == (2, 3)
    assert layer.weight.size == 6


def test_freezing_a_layer() -> None:
    layer = Conv2d(1, 2, 3)
    assert layer.trainable
    layer.trainable = False
    assert not layer.weight.trainable
    assert layer.bias is not None
    assert not layer.bias.trainable


@pytest.mark.parametrize("build", [lambda: L1(-0.1), lambda: L2(float("nan"))])
def test_impossible_penalties_are_refused(build: Any) -> None:
    with pytest.raises(ConfigurationError):
        build()


def test_a_bias_can_be_left_out() -> None:
    layer = Conv2d(1, 2, 3, bias=False)
    assert layer.bias is None
    assert list(layer.parameters) == ["weight"]
    model = Model([layer], input_shape=(1, 3, 3), device="cpu")
    assert not model(np.zeros((1, 1, 3, 3), np.float32)).any()
