"""Whole models on the CUDA backend against the CPU: one training step, and every op in a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import Input, Model, Scheduler
from engine.layers import (
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
