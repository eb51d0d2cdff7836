"""Learning rates: every schedule against its formula, and in the optimiser that asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler
from engine.errors import ConfigurationError
from engine.layers import Dense
from engine.losses import MSELoss
from engine.optimizers import SGD
from engine.schedules import ConstantRate, CosineDecay, ExponentialDecay, StepDecay, WarmUp
from tests import reference as ref


def test_constant() -> None:
    assert [ConstantRate(0.3)(step) for step in (0, 1, 1000)] == [0.3] * 3


@pytest.mark.parametrize("step", [0, 1, 4, 5, 9, 10, 100])
def test_step_decay(step: int) -> None:
    schedule = StepDecay(0.2, every=5, factor=0.3)
    assert schedule(step) == pytest.approx(ref.step_decay(0.2, 0.3, 5, step), rel=1e-14)


@pytest.mark.parametrize("step", [0, 1, 7, 50])
def test_exponential_decay(step: int) -> None:
    schedule = ExponentialDecay(0.2, factor=0.9)
    assert schedule(step) == pytest.approx(ref.exponential_decay(0.2, 0.9, step), rel=1e-14)
    slow = ExponentialDecay(0.2, factor=0.9, every=4)
    assert slow(4 * step) == pytest.approx(schedule(step), rel=1e-14)


@pytest.mark.parametrize("step", [0, 1, 5, 10, 19, 20, 21, 1000])
def test_cosine_decay(step: int) -> None:
    schedule = CosineDecay(0.2, steps=20, end=0.01)
    assert schedule(step) == pytest.approx(ref.cosine_decay(0.2, 20, step, 0.01), rel=1e-13)


def test_cosine_decay_ends_exactly() -> None:
    assert CosineDecay(0.2, steps=7)(7) == 0.0
    assert CosineDecay(0.2, steps=7)(0) == 0.2


def test_warm_up_rises_to_the_first_rate_and_then_hands_over() -> None:
    schedule = WarmUp(4, CosineDecay(0.2, steps=10))
    np.testing.assert_allclose([schedule(i) for i in range(4)], [0.05, 0.1, 0.15, 0.2])
    for step in range(10):
        assert schedule(4 + step) == CosineDecay(0.2, steps=10)(step)


@pytest.mark.parametrize(
    "build",
    [
        lambda: ConstantRate(-0.1),
        lambda: ConstantRate(float("nan")),
        lambda: StepDecay(0.1, every=0),
        lambda: StepDecay(0.1, every=3, factor=-1.0),
        lambda: ExponentialDecay(0.1, factor=0.0),
        lambda: CosineDecay(-0.1, steps=3),
        lambda: CosineDecay(0.1, steps=-1),
        lambda: CosineDecay(0.1, steps=2.5),  # type: ignore[arg-type, unused-ignore]
        lambda: WarmUp(0, ConstantRate(0.1)),
        lambda: WarmUp(3, 0.1),  # type: ignore[arg-type, unused-ignore]
    ],
)
def test_settings_that_give_no_learning_rate_are_refused(build: Any) -> None:
    with pytest.raises(ConfigurationError):
        build()


def test_the_optimiser_asks_for_each_step() -> None:
    """With a gradient of one everywhere each step shows its learning rate."""
    schedule = WarmUp(2, StepDecay(0.5, every=2, factor=0.1))
    model = Model([Dense(1, 1, bias=False, name="fc")], input_shape=(1,), dtype="float64")
    scheduler = Scheduler(model, MSELoss(reduction="sum"), SGD(learning_rate=schedule))
    for step in range(7):
        before = float(model["fc"].weight.value[0, 0])
        model_output = before * 1.0
        scheduler.step(np.ones((1, 1)), np.full((1, 1), model_output - 0.5))
        moved = before - float(model["fc"].weight.value[0, 0])
        assert moved == pytest.approx(schedule(step), rel=1e-12)
