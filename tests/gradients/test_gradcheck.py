"""Every op: central differences in one random direction, in float64, off the kinks.

The gradients of inputs and parameters are checked together: f(v) = sum(output * g) is a number
that depends on all of them, and its slope along a random direction must be the inner product of
that direction with the engine's gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine import Input, Model
from engine.layers import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    Sigmoid,
    Softmax,
    Tanh,
)
from engine.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from tests.building import randomise
from tests.gallery import IMAGE, LAYERS, branching, chain
from tests.reference import Array
from tests.strategies import distinct, values
from tests.tolerances import GRADCHECK

STEP = 1e-6


def check_model(model: Any, inputs: list[Array], training: bool = False) -> None:
    """Compare the engine's gradients with the slope of the engine's forward pass."""
    last = model.nodes[-1].name
    rng = np.random.default_rng(11)
    parameters = {name: p.value.copy() for name, p in model.parameters.items()}
    directions = [rng.standard_normal(x.shape) for x in inputs]
    pushes = {name: rng.standard_normal(value.shape) for name, value in parameters.items()}

    def output_at(t: float) -> Array:
        for name, value in parameters.items():
            model.parameters[name].value = value + t * pushes[name]
        moved = [x + t * d for x, d in zip(inputs, directions, strict=True)]
        given = moved[0] if len(moved) == 1 else tuple(moved)
        found: Array = model.activations(given, [last], training=training)[last]
        return found

    # Not uniform: a constant gradient is blind to faults in batch norm.
    grad_output = rng.standard_normal(output_at(0.0).shape)
    given = inputs[0] if len(inputs) == 1 else tuple(inputs)
    gradients = model.gradients(given, grad_output, training=training)
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients.inputs, directions, strict=True))
    slope += sum(float(np.sum(gradients.parameters[n] * pushes[n])) for n in parameters)
    difference = output_at(STEP) - output_at(-STEP)
    numeric = float(np.sum(difference * grad_output)) / (2 * STEP)
    assert numeric != 0
    assert abs(slope - numeric) <= GRADCHECK * max(1.0, abs(numeric)), (slope, numeric)


@pytest.mark.nojit
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    model = chain(name)
    randomise(model, 1)
    # A fixed permutation 0.01 apart and off zero: no step of 1e-6 crosses a kink or a tie.
    check_model(model, [distinct((3, *IMAGE), 2) / 10 + 0.003])


@pytest.mark.nojit
def test_branches_with_many_readers() -> None:
    model = branching()
    randomise(model, 1)
    check_model(model, [values((2, *IMAGE), 3)])


@pytest.mark.nojit
def test_batch_norm_in_training() -> None:
    model = Model([BatchNorm2d(4)], input_shape=IMAGE, seed=0, device="cpu", dtype="float64")
    randomise(model, 1)
    check_model(model, [values((3, *IMAGE), 2)], training=True)


def test_branches_that_meet_again() -> None:
    a, b = Input((3, 5, 5)), Input((2, 5, 5))
    left = Tanh()(Conv2d(3, 2, 3, padding=1)(a))
    right = Sigmoid()(Conv2d(2, 2, 1)(b))
    joined = Concat()(Add()(left, right), left, b)
    y = Dense(6, 3)(Flatten()(AvgPool2d(5)(joined)))
    model = Model(inputs=(a, b), outputs=y, seed=3, device="cpu", dtype="float64")
    check_model(model, [values((2, 3, 5, 5), 4), values((2, 2, 5, 5), 5)])


def test_one_layer_used_twice_adds_its_gradients() -> None:
    x = Input((2, 5, 5))
    shared = Conv2d(2, 2, 3, padding=1, name="shared")
    y = shared(Tanh()(shared(x)))
    model = Model(inputs=x, outputs=y, seed=3, device="cpu", dtype="float64")
    assert list(model.parameters) == ["shared.weight", "shared.bias"]
    check_model(model, [values((2, 2, 5, 5), 4)])


@pytest.mark.nojit
def test_a_deep_network() -> None:
    model = Model(
        [
            Conv2d(1, 3, 3, padding=1),
            BatchNorm2d(3),
            Tanh(),
            AvgPool2d(2),
            Conv2d(3, 4, 3, stride=2, groups=1),
            Sigmoid(),
            Flatten(),
            Dense(16, 5),
            Softmax(axis=1),
        ],
        input_shape=(1, 10, 10),
        seed=1,
        device="cpu",
        dtype="float64",
    )
    check_model(model, [values((3, 1, 10, 10), 6)], training=True)


LOSSES: dict[str, tuple[Callable[[], Any], str]] = {
    "cross-entropy": (lambda: CrossEntropyLoss(), "indices"),
    "cross-entropy, smoothed": (lambda: CrossEntropyLoss(label_smoothing=0.1), "indices"),
    "cross-entropy, weighted": (
        lambda: CrossEntropyLoss(weight=np.array([1.0, 2.0, 0.5, 3.0]), ignore_index=2),
        "indices",
    ),
    "cross-entropy, probabilities": (lambda: CrossEntropyLoss(reduction="sum"), "shares"),
    "mean squared error": (lambda: MSELoss(), "numbers"),
    "binary cross-entropy": (
        lambda: BCEWithLogitsLoss(pos_weight=np.array([1.0, 2.0, 0.5, 3.0])),
        "shares",
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str) -> None:
    build, kind = LOSSES[name]
    loss = build()
    rng = np.random.default_rng(5)
    prediction, direction = rng.standard_normal((2, 6, 4))
    shares = rng.random((6, 4))
    target: Any = {
        "indices": np.array([0, 1, 2, 3, 0, 1]),
        "shares": shares / shares.sum(axis=1, keepdims=True),
        "numbers": rng.standard_normal((6, 4)),
    }[kind]
    slope = float(np.sum(loss.gradient(prediction, target) * direction))
    above = float(loss(prediction + STEP * direction, target))
    below = float(loss(prediction - STEP * direction, target))
    assert slope == pytest.approx((above - below) / (2 * STEP), rel=GRADCHECK)
