"""The zoo: every builder builds, trains and says what it is."""

from __future__ import annotations

import numpy as np
import pytest

from engine import Model, Scheduler
from engine.data import load_mnist_split
from engine.errors import ShapeError, UnknownName
from engine.layers import Conv2d, Dense, Flatten, MaxPool2d, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.zoo import BUILDERS, build, describe, digits_cnn, lenet5, lenet5_bn
from tests.building import bits_of

PARAMETERS = {"lenet5": 61_706, "lenet5_bn": 61_750, "digits_cnn": 4_266}


def test_lenet5_is_the_documented_one():
    names = "input conv1 relu1 pool1 conv2 relu2 pool2 flatten dense1 relu3 dense2 relu4 logits"
    model = lenet5(seed=4)
    assert [node.name for node in model.nodes] == names.split()
    layers = [
        Conv2d(1, 6, kernel_size=5, padding=2, name="conv1"),
        ReLU(),
        MaxPool2d(2),
        Conv2d(6, 16, kernel_size=5, name="conv2"),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Dense(400, 120),
        ReLU(),
        Dense(120, 84),
        ReLU(),
        Dense(84, 10, name="logits"),
    ]
    chain = Model(layers, input_shape=(1, 28, 28), seed=4)
    assert bits_of(model) == bits_of(chain)
    x = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    assert np.array_equal(model(x), chain(x))


def test_every_builder_is_listed():
    assert set(BUILDERS) == set(PARAMETERS)
    assert all(describe(name).endswith(".") for name in BUILDERS)
    with pytest.raises(UnknownName, match="unknown model 'vgg'; there are: "):
        build("vgg")
    with pytest.raises(UnknownName, match="unknown model 'vgg'"):
        describe("vgg")


@pytest.mark.parametrize("name", PARAMETERS)
def test_builders_build_and_train(name: str):
    model = build(name, seed=1)
    count = sum(parameter.size for parameter in model.parameters.values())
    assert count == PARAMETERS[name]
    described = describe(name)
    assert f"{count:,}" in described or name == "lenet5_bn"
    digits = load_mnist_split("test")
    scheduler = Scheduler(model, CrossEntropyLoss(), SGD(0.05, momentum=0.9))
    losses = [scheduler.step(digits.x[:32], digits.y[:32]) for _ in range(20)]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("builder", [lenet5, lenet5_bn, digits_cnn])
def test_sizes_follow_the_input(builder: type[Model]):
    model = builder(input_shape=(3, 32, 40), classes=7, dtype="float64", seed=9)
    assert model(np.zeros((2, 3, 32, 40))).shape == (2, 7)
    assert (model.dtype, model.seed) == ("float64", 9)


def test_too_small_or_no_picture():
    with pytest.raises(ShapeError, match=r"conv2 \(after pool1\)"):
        lenet5((1, 8, 8))
    with pytest.raises(ShapeError, match=r"conv1 \(after input\)"):
        digits_cnn((10,))
