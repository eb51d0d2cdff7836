"""Optimisers: every option against its formula, with a learning rate that changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler
from engine.errors import ConfigurationError
from engine.layers import Dense
from engine.losses import MSELoss
from engine.optimizers import SGD, Adam, AdamW
from engine.schedules import StepDecay
from tests import reference as ref
from tests.building import DTYPES, weights_of
from tests.tolerances import TRACE, assert_close

START, FACTOR, EVERY, STEPS = 0.05, 0.5, 3, 12


def rates() -> StepDecay:
    return StepDecay(START, factor=FACTOR, every=EVERY)


CASES: dict[str, tuple[Any, Any]] = {
    "plain": (lambda: SGD(learning_rate=rates()), lambda: ref.SGDReference()),
    "momentum": (
        lambda: SGD(learning_rate=rates(), momentum=0.9),
        lambda: ref.SGDReference(0.9),
    ),
    "nesterov and decay": (
        lambda: SGD(learning_rate=rates(), momentum=0.7, nesterov=True, weight_decay=0.3),
        lambda: ref.SGDReference(0.7, nesterov=True, weight_decay=0.3),
    ),
    "adam": (lambda: Adam(learning_rate=rates()), lambda: ref.AdamReference()),
    "adam with decay": (
        lambda: Adam(learning_rate=rates(), betas=(0.8, 0.9), eps=1e-3, weight_decay=0.2),
        lambda: ref.AdamReference((0.8, 0.9), 1e-3, 0.2),
    ),
    "adamw": (
        lambda: AdamW(learning_rate=rates(), betas=(0.7, 0.95), eps=1e-4, weight_decay=0.2),
        lambda: ref.AdamReference((0.7, 0.95), 1e-4, 0.2, decoupled=True),
    ),
    "adamw by default": (
        lambda: AdamW(learning_rate=rates()),
        lambda: ref.AdamReference(weight_decay=0.01, decoupled=True),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_updates_follow_the_formula(name: str, dtype: str) -> None:
    build, build_reference = CASES[name]
    model = Model([Dense(5, 3, name="fc")], input_shape=(5,), seed=1, device="cpu", dtype=dtype)
    scheduler = Scheduler(model, MSELoss(reduction="sum"), build())
    w, optimiser = weights_of(model), build_reference()
    rng = np.random.default_rng(0)
    for step in range(STEPS):
        x = rng.standard_normal((4, 5)).astype(dtype)
        target = rng.standard_normal((4, 3)).astype(dtype)
        g = ref.mse_backward(ref.dense(x, w["fc.weight"], w["fc.bias"]), target, "sum")
        _, g_w, g_b = ref.dense_backward(x, w["fc.weight"], g)
        rate = ref.step_decay(START, FACTOR, EVERY, step)
        optimiser.step(w, {"fc.weight": g_w, "fc.bias": g_b}, rate)
        scheduler.step(x, target)
    for parameter, value in weights_of(model).items():
        assert_close(value.astype(dtype), w[parameter], TRACE, parameter, 5)


def test_pytorchs_defaults() -> None:
    sgd, adam, adamw = SGD(learning_rate=0.1), Adam(learning_rate=0.1), AdamW(learning_rate=0.1)
    assert (sgd.momentum, sgd.nesterov, sgd.weight_decay) == (0.0, False, 0.0)
    assert (adam.betas, adam.eps, adam.weight_decay) == ((0.9, 0.999), 1e-8, 0.0)
    assert (adamw.betas, adamw.eps, adamw.weight_decay) == ((0.9, 0.999), 1e-8, 0.01)


def test_a_frozen_parameter_stays() -> None:
    model = Model([Dense(3, 3, name="a"), Dense(3, 2, name="b")], input_shape=(3,), seed=0)
    model["a"].weight.trainable = False
    before = {name: p.value.tobytes() for name, p in model.parameters.items()}
    scheduler = Scheduler(model, MSELoss(), SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.1))
    scheduler.step(np.ones((2, 3), np.float32), np.ones((2, 2), np.float32))
    changed = {name for name, p in model.parameters.items() if p.value.tobytes() != before[name]}
    assert changed == {"a.bias", "b.weight", "b.bias"}


@pytest.mark.parametrize("rate", [-1.0, float("inf"), float("nan"), "fast", None])
def test_a_learning_rate_must_be_a_number_or_a_schedule(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match="learning_rate"):
        SGD(learning_rate=rate)
