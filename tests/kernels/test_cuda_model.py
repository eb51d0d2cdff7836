"""Whole models on the CUDA backend against the CPU: one training step, and every op in a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine import Input, Model, Scheduler
from engine.layers import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD, Adam
from tests.tolerances import assert_close

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}

on_device = pytest.mark.parametrize(
    "place",
    [
        pytest.param("simulator", marks=pytest.mark.cudasim),
        pytest.param("device", marks=pytest.mark.gpu),
    ],
)


def lenet(device: str, dtype: str) -> Model:
    """A LeNet small enough for the simulator: two convolutions, two poolings, two dense layers."""
    return Model(
        [
            Conv2d(1, 2, kernel_size=3, padding=1, name="conv1"),
            ReLU(),
            MaxPool2d(2),
            Conv2d(2, 3, kernel_size=2, name="conv2"),
            ReLU(),
            MaxPool2d(2),
            Flatten(),
            Dense(3, 5),
            ReLU(),
            Dense(5, 4, name="logits"),
        ],
        input_shape=(1, 7, 6),
        seed=3,
        device=device,
        dtype=dtype,
    )


def batch(shape: tuple[int, ...], classes: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    return rng.standard_normal(shape).astype(np.float32), rng.integers(0, classes, shape[0])


@on_device
@pytest.mark.parametrize("dtype", ["float32"])
def test_one_training_step_of_a_lenet_is_that_of_the_cpu(dtype: str, place: str) -> None:
    x, y = batch((3, 1, 7, 6), 4)
    losses, models = [], []
    for device in ("cpu", "cuda"):
        model = lenet(device, dtype)
        scheduler = Scheduler(model, CrossEntropyLoss(), SGD(learning_rate=0.1, momentum=0.9))
        losses.append(scheduler.step(x, y))
        models.append(model)
    cpu, cuda = models
    assert cuda.backend.name == "cuda"
    assert losses[1] == pytest.approx(losses[0], rel=TOLERANCE[dtype])
    initial = lenet("cpu", dtype).parameters
    for name, parameter in cpu.parameters.items():
        twin = cuda.parameters[name]
        assert np.any(parameter.gradient), name
        assert_close(twin.gradient, parameter.gradient, TOLERANCE, f"{name}.gradient")
        assert_close(twin.value, parameter.value, TOLERANCE, name)
        assert np.any(twin.value != initial[name].value), name


LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "conv2d, same": (lambda: Conv2d(2, 3, kernel_size=3, padding="same"), (2, 4, 5)),
    "conv2d, stride, uneven padding": (
        lambda: Conv2d(2, 3, kernel_size=(2, 3), stride=(2, 1), padding=(1, 0, 2, 1)),
        (2, 5, 4),
    ),
    "conv2d, dilation, no bias": (
        lambda: Conv2d(1, 2, kernel_size=2, dilation=(2, 1), bias=False),
        (1, 5, 4),
    ),
    "conv2d, groups, flipped": (
        lambda: Conv2d(4, 2, kernel_size=2, groups=2, padding=1, flip_kernel=True),
        (4, 3, 3),
    ),
    "maxpool2d, overlapping": (lambda: MaxPool2d(3, stride=2, padding=1), (2, 5, 4)),
    "avgpool2d, padding not counted": (
        lambda: AvgPool2d(2, stride=1, padding=1, count_include_pad=False),
        (2, 3, 4),
    ),
    "adaptiveavgpool2d": (lambda: AdaptiveAvgPool2d((3, 2)), (2, 5, 3)),
    "batchnorm2d": (lambda: BatchNorm2d(3), (3, 2, 3)),
    "dense on the last axis of an image": (lambda: Dense(4, 3), (2, 3, 4)),
    "softmax over channels": (lambda: Softmax(axis=1), (3, 2, 3)),
    "softmax over columns": (lambda: Softmax(axis=-1), (2, 3, 4)),
    "dropout": (lambda: Dropout(0.4), (3, 2, 3)),
    "flatten": (lambda: Flatten(), (3, 2, 3)),
}


@on_device
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer_agrees_with_the_cpu(name: str, training: bool, place: str) -> None:
    make, shape = LAYERS[name]
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, *shape))
    outputs, gradients = [], []
    for device in ("cpu", "cuda"):
        model = Model([make()], input_shape=shape, seed=1, device=device, dtype="float64")
        grad = np.random.default_rng(3).standard_normal((3, *model.output_shape))
        layer = model.nodes[-1].name
        outputs.append(model.activations(x, [layer], training=training)[layer])
        gradients.append(model.gradients(x, grad, training=training))
    assert_close(outputs[1], outputs[0], TOLERANCE)
    assert np.any(gradients[0].inputs[0])
    assert_close(gradients[1].inputs[0], gradients[0].inputs[0], TOLERANCE, "input gradient")
    for parameter, expected in gradients[0].parameters.items():
        assert_close(gradients[1].parameters[parameter], expected, TOLERANCE, parameter)


def graph(device: str, dtype: str) -> Model:
    """Every kind of layer once, with a skip connection, so that gradients meet and add up."""
    x = Input((2, 4, 4))
    stem = BatchNorm2d(4)(Conv2d(2, 4, kernel_size=3, padding="same", name="stem")(x))
    left = LeakyReLU(0.1)(Conv2d(4, 4, kernel_size=1, groups=2, name="grouped")(stem))
    joined = Add()(Tanh()(stem), left)
    wide = Concat()(AvgPool2d(2)(joined), MaxPool2d(2)(Dropout(0.25)(joined)))
    attention = Softmax(axis=1)(wide)
    pooled = Flatten()(GlobalAvgPool2d()(Concat()(wide, attention)))
    return Model(
        inputs=x,
        outputs=Dense(16, 3, name="logits")(Sigmoid()(pooled)),
        seed=1,
        device=device,
        dtype=dtype,
    )


@on_device
@pytest.mark.parametrize("dtype", ["float64"])
def test_a_graph_of_every_layer_trains_as_on_the_cpu(dtype: str, place: str) -> None:
    x, y = batch((2, 2, 4, 4), 3)
    losses, models = [], []
    for device in ("cpu", "cuda"):
        model = graph(device, dtype)
        scheduler = Scheduler(model, CrossEntropyLoss(), Adam(learning_rate=0.01))
        losses.append(scheduler.step(x, y))
        models.append(model)
    cpu, cuda = models
    assert losses[1] == pytest.approx(losses[0], rel=TOLERANCE[dtype])
    for name, parameter in cpu.parameters.items():
        assert_close(cuda.parameters[name].gradient, parameter.gradient, TOLERANCE, name)
    assert len(cpu.state) == 2
    for name in cpu.state:
        assert_close(cuda.state[name], cpu.state[name], TOLERANCE, name)


@on_device
def test_prediction_and_input_gradients_agree_with_the_cpu(place: str) -> None:
    x, _ = batch((2, 2, 4, 4), 3)
    cpu, cuda = graph("cpu", "float32"), graph("cuda", "float32")
    assert_close(cuda(x), cpu(x), TOLERANCE)
    grad = np.linspace(-1, 1, 6).reshape(2, 3)
    expected, actual = cpu.gradients(x, grad), cuda.gradients(x, grad)
    assert np.any(expected.inputs[0])
    assert_close(actual.inputs[0], expected.inputs[0], TOLERANCE)
    for name in expected.parameters:
        assert_close(actual.parameters[name], expected.parameters[name], TOLERANCE, name)
