"""The zoo: every builder builds, trains and says what it is."""

from __future__ import annotations

import numpy as np
import pytest

from engine import Model, Scheduler, summary
from engine.data import load_mnist_split
from engine.errors import ShapeError, UnknownName
from engine.layers import Add, Conv2d, Dense, Flatten, MaxPool2d, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import Adam
from engine.zoo import (
    BUILDERS,
    build,
    describe,
    digits_cnn,
    lenet5,
    lenet5_bn,
    resnet20,
    vgg_small,
)
from tests.building import bits_of, unsettle

PARAMETERS = {
    "lenet5": 61_706,
    "lenet5_bn": 61_750,
    "digits_cnn": 4_266,
    "vgg_small": 1_116_970,
    # The paper's net has 269,722; the rest are the two projections of option B with their norms.
    "resnet20": 269_722 + 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64,
}


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
    border = (model.input_shape[1] - 28) // 2
    x = np.pad(digits.x[:32], [(0, 0), (0, 0), (border, border), (border, border)])
    x = np.repeat(x, model.input_shape[0], axis=1)
    scheduler = Scheduler(model, CrossEntropyLoss(), Adam(0.003))
    losses = [scheduler.step(x, digits.y[:32]) for _ in range(20)]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("builder", [lenet5, lenet5_bn, digits_cnn, vgg_small, resnet20])
def test_sizes_follow_the_input(builder: type[Model]):
    model = builder(input_shape=(3, 32, 40), classes=7, dtype="float64", seed=9)
    assert model(np.zeros((2, 3, 32, 40))).shape == (2, 7)
    assert (model.dtype, model.seed) == ("float64", 9)


def test_too_small_or_no_picture():
    with pytest.raises(ShapeError, match=r"conv2 \(after pool1\)"):
        lenet5((1, 8, 8))
    with pytest.raises(ShapeError, match=r"digits_cnn input_shape: expected a picture.*\(10,\)"):
        digits_cnn((10,))
    with pytest.raises(ShapeError, match=r"pool2 \(after relu4\)"):
        vgg_small((3, 3, 3))


def test_the_layers_of_vgg_small():
    names = "input conv1 relu1 conv2 relu2 pool1 conv3 relu3 conv4 relu4 pool2 flatten dense1 relu5"
    assert [node.name for node in vgg_small().nodes] == [*names.split(), "logits"]


def test_resnet20_has_nine_blocks_and_two_projections():
    model = resnet20()
    layers = [node.layer for node in model.nodes]
    assert sum(isinstance(layer, Add) for layer in layers) == 9
    weighted = [layer for layer in layers if isinstance(layer, (Conv2d, Dense))]
    assert len(weighted) == 20 + 2
    assert [name for name in model.parameters if name.endswith("shortcut.weight")] == [
        "stage2/block1/shortcut.weight",
        "stage3/block1/shortcut.weight",
    ]
    shapes = [model.node(f"stage{stage}/block3/add").output_shape for stage in (1, 2, 3)]
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
    # 40.55 million multiply-adds are published for this net; the projections come on top.
    work = sum(row[4] for row in summary.rows(model))
    assert work == 40_551_040 + 16 * 32 * 16 * 16 + 32 * 64 * 8 * 8


def test_nets_equal_their_twins_in_pytorch():
    """Another framework's net with the same weights gives the same scores."""
    pytest.importorskip("torch")
    from benchmarks import nets

    for name in BUILDERS:
        model = build(name, seed=2, dtype="float64", device="cpu")
        unsettle(model)
        x = np.random.default_rng(0).standard_normal((3, *model.input_shape))
        twin = nets.twin(name, model)
        assert sum(p.numel() for p in twin.parameters()) == PARAMETERS[name]
        expected = nets.predicted(twin, x)
        assert expected.std() > 0.1
        assert np.abs(model(x) - expected).max() < 1e-12 * np.abs(expected).max()
