"""Settings that would mean something else in float32: every one of every class is tried."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from engine import Model, Scheduler
from engine.config import CLASSES, Configurable
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.errors import ConfigurationError
from engine.initializers import Constant, Initializer, Normal, Uniform
from engine.layers import BatchNorm2d, Conv2d, Dense, Dropout, Flatten, LeakyReLU
from engine.layers.base import Layer
from engine.losses import BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss
from engine.optimizers import SGD, Adam, AdamW, Optimizer
from engine.regularizers import L1, L2, Regularizer
from engine.schedules import CosineDecay, ExponentialDecay, Schedule, WarmUp

TINY, HUGE, NEARLY_ONE = 1e-50, 1e39, 1 - 1e-9
"""0, infinity and 1 in float32."""

MADE: dict[str, Callable[..., Configurable]] = {
    "BatchNorm2d": lambda **o: BatchNorm2d(**{"channels": 2, **o}),
    "LeakyReLU": lambda **o: LeakyReLU(**o),
    "Dropout": lambda **o: Dropout(**o),
    "CrossEntropyLoss": lambda **o: CrossEntropyLoss(**o),
    "BCEWithLogitsLoss": lambda **o: BCEWithLogitsLoss(**o),
    "SGD": lambda **o: SGD(**o),
    "Adam": lambda **o: Adam(**o),
    "AdamW": lambda **o: AdamW(**o),
    "L1": lambda **o: L1(**{"strength": 0.1, **o}),
    "L2": lambda **o: L2(**{"strength": 0.1, **o}),
    "Normal": lambda **o: Normal(**o),
    "Uniform": lambda **o: Uniform(**o),
    "Constant": lambda **o: Constant(**o),
}
"""Every class of the engine with a setting that is a number with a fraction."""

SHAPES: dict[str, Callable[[float], Any]] = {
    "betas": lambda value: (0.5, value),
    "weight": lambda value: [1.0, value],
    "pos_weight": lambda value: np.array([1.0, value]),
}
"""How a number stands in settings that are no plain numbers; all others are."""


def settings(name: str) -> Iterator[str]:
    """Yield the settings of a class that are numbers with fractions."""
    for parameter in inspect.signature(CLASSES[name]).parameters.values():
        text = str(parameter.annotation)
        if ("float" in text or parameter.name in SHAPES) and "bool" not in text:
            yield parameter.name


def in_a_run(thing: Configurable, dtype: str = "float32") -> Scheduler:
    """Return a run of which this is a part."""
    layer = thing if isinstance(thing, Layer) else None
    dense = Dense(
        32,
        2,
        initializer=thing if isinstance(thing, Initializer) else None,
        regularizer=thing if isinstance(thing, Regularizer) else None,
        name="fc",
    )
    layers = [Conv2d(1, 2, 3, name="conv"), *([layer] if layer else []), Flatten(), dense]
    model = Model(layers, input_shape=(1, 6, 6), seed=0, dtype=dtype, device="cpu")
    loss = thing if isinstance(thing, Loss) else MSELoss()
    optimizer = thing if isinstance(thing, Optimizer) else SGD(0.1)
    return Scheduler(model, loss, optimizer)


def batch(scheduler: Scheduler) -> tuple[Any, Any]:
    x = np.random.default_rng(0).standard_normal((4, 1, 6, 6))
    is_class = isinstance(scheduler.loss, CrossEntropyLoss)
    y = np.array([0, 1, 1, 0]) if is_class else np.ones((4, 2))
    return x.astype(scheduler.model.dtype), y


def value_of(setting: str, number: float) -> Any:
    return SHAPES.get(setting, lambda value: value)(number)


def accepted(name: str, setting: str, number: float) -> Configurable | None:
    """Return an object with this setting if its constructor takes it."""
    try:
        return MADE[name](**{setting: value_of(setting, number)})
    except ConfigurationError:
        return None


def refused(scheduler: Scheduler, setting: str) -> str:
    """Demand that training is refused before anything changes; return the text."""
    x, y = batch(scheduler)
    loader = DataLoader(Dataset(x, y), batch_size=2)
    texts = []
    for train in (
        lambda: scheduler.step(x, y),
        lambda: scheduler.fit(loader, epochs=1),
        lambda: Session(scheduler, loader=loader),
    ):
        with pytest.raises(ConfigurationError, match=setting) as caught:
            train()
        texts.append(str(caught.value))
    assert scheduler.global_step == 0
    assert len(set(texts)) == 1
    return texts[0]


def test_every_class_with_such_a_setting_is_in_the_list() -> None:
    kinds = (Layer, Loss, Optimizer, Regularizer, Initializer)
    ours = {
        name
        for name, cls in CLASSES.items()
        if cls.__module__.startswith("engine.") and issubclass(cls, kinds) and any(settings(name))
    }
    assert ours == set(MADE)


PAIRS = [(name, setting) for name in MADE for setting in settings(name)]
TINY_ONES = [pair for pair in PAIRS if accepted(*pair, TINY) is not None]
HUGE_ONES = [pair for pair in PAIRS if accepted(*pair, HUGE) is not None]
BELOW_ONE = [
    pair
    for pair in PAIRS
    if accepted(*pair, 1.0) is None and accepted(*pair, NEARLY_ONE) is not None
]
"""What must be below 1 is told by the constructors: they refuse 1 and take 1 - 1e-9."""
NOT_ALL = [("Dropout", "p")]
"""Where 1 is fine, too, but another thing: dropping nearly all is not dropping all."""


def test_nearly_all_settings_are_tried() -> None:
    assert set(PAIRS) - set(TINY_ONES) <= {("Uniform", "high")} | set(BELOW_ONE)
    bounded = {("BatchNorm2d", "momentum"), ("CrossEntropyLoss", "label_smoothing"), *NOT_ALL}
    assert set(PAIRS) - set(HUGE_ONES) == bounded | {("Uniform", "low")} | set(BELOW_ONE)
    assert set(BELOW_ONE) == {("SGD", "momentum"), ("Adam", "betas"), ("AdamW", "betas")}


@pytest.mark.parametrize(("name", "setting"), TINY_ONES)
def test_a_number_that_becomes_0_is_refused(name: str, setting: str) -> None:
    text = refused(in_a_run(MADE[name](**{setting: value_of(setting, TINY)})), setting)
    assert "1e-50" in text
    assert "float32 holds as 0" in text
    assert "1.4e-45" in text
    scheduler = in_a_run(accepted(name, setting, TINY), "float64")
    assert np.isfinite(scheduler.step(*batch(scheduler)))


@pytest.mark.parametrize(("name", "setting"), HUGE_ONES)
def test_a_number_that_becomes_infinite_is_refused(name: str, setting: str) -> None:
    thing = MADE[name](**{setting: value_of(setting, HUGE)})
    with np.errstate(all="ignore"):  # initial weights
        scheduler = in_a_run(thing)
    text = refused(scheduler, setting)
    assert "1e+39" in text
    assert "3.403e+38" in text


@pytest.mark.parametrize(("name", "setting"), [*BELOW_ONE, *NOT_ALL])
def test_what_must_be_below_1_must_be_so_in_float32(name: str, setting: str) -> None:
    text = refused(in_a_run(MADE[name](**{setting: value_of(setting, NEARLY_ONE)})), setting)
    assert "below 1 in float32, up to 0.99999994" in text
    assert 'dtype="float64"' in text
    fine = in_a_run(MADE[name](**{setting: value_of(setting, 0.99999994)}))
    fine.step(*batch(fine))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "build", [lambda: Adam(eps=0), lambda: AdamW(eps=0), lambda: BatchNorm2d(2, eps=0)]
)
def test_an_eps_of_0_is_refused_in_every_dtype(build: Any, dtype: str) -> None:
    text = refused(in_a_run(build(), dtype), "eps")
    assert f"above 0 in {dtype}" in text
    assert "received 0.0" in text


def test_the_smallest_eps_that_float32_holds_is_taken() -> None:
    text = refused(in_a_run(Adam(eps=1e-46)), "Adam eps")
    assert "from 1.4e-45 on, received 1e-46, which float32 holds as 0" in text
    scheduler = in_a_run(Adam(eps=1.5e-45))
    assert np.isfinite(scheduler.step(*batch(scheduler)))


def test_a_setting_assigned_later_is_refused_at_the_next_step() -> None:
    scheduler = in_a_run(Adam())
    x, y = batch(scheduler)
    scheduler.step(x, y)
    before = {name: p.value.tobytes() for name, p in scheduler.model.parameters.items()}
    scheduler.optimizer.eps = 1e-46
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="Adam eps"):
            scheduler.step(x, y)
    assert {name: p.value.tobytes() for name, p in scheduler.model.parameters.items()} == before
    scheduler.optimizer.eps = 1e-8
    scheduler.step(x, y)
    assert scheduler.global_step == 2


@pytest.mark.parametrize("schedule", [CosineDecay(1e-46, 10), WarmUp(1000, CosineDecay(1e-44, 10))])
def test_a_schedule_that_begins_at_0_in_float32_is_refused(schedule: Schedule) -> None:
    refused(in_a_run(SGD(schedule)), "learning_rate")


def test_a_schedule_may_come_down_to_0() -> None:
    for schedule in (CosineDecay(0.1, 2), ExponentialDecay(0.1, 1e-30), CosineDecay(0.1, 2, 1e-50)):
        scheduler = in_a_run(SGD(schedule))
        for _ in range(4):
            scheduler.step(*batch(scheduler))


def test_a_step_size_that_float32_cannot_hold_is_refused_at_its_step() -> None:
    """Adam divides the rate by 1 - beta1^t, which is a tenth at first."""
    scheduler = in_a_run(Adam(1e38))
    with pytest.raises(ConfigurationError, match=r"step 0: .* up to 3.403e\+38, received 1e\+39"):
        scheduler.step(*batch(scheduler))
    scheduler = in_a_run(SGD(ExponentialDecay(1.0, 1e20)))
    for _ in range(2):
        scheduler.step(*batch(scheduler))
    with pytest.raises(ConfigurationError, match=r"step 2: .* received 1e\+40"):
        scheduler.step(*batch(scheduler))


class Broken(Schedule):
    """A schedule with a mistake in it."""

    def __call__(self, step: int) -> float:
        return float("nan") if step else 0.1


def test_a_rate_of_nan_is_refused_at_its_step() -> None:
    scheduler = in_a_run(SGD(Broken()))
    scheduler.step(*batch(scheduler))
    with pytest.raises(ConfigurationError, match=r"step 1: .* received nan"):
        scheduler.step(*batch(scheduler))
    assert scheduler.global_step == 1


def test_a_dead_unit_keeps_its_weight_under_adam() -> None:
    """With an eps of 0 it would become 0 / 0."""
    model = Model([Dense(3, 2, name="fc")], input_shape=(3,), seed=0, device="cpu")
    scheduler = Scheduler(model, MSELoss(), Adam(eps=1.5e-45))
    before = np.array(model["fc"].weight.value)
    x = np.array([[1, 0, 2], [1, 0, 3]], np.float32)
    scheduler.step(x, np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(model["fc"].weight.value[:, 1], before[:, 1])
    assert np.isfinite(model["fc"].weight.value).all()


def test_a_net_to_predict_with_may_have_what_training_refuses() -> None:
    scheduler = in_a_run(BatchNorm2d(2, eps=1e-46))
    assert np.isfinite(scheduler.model(batch(scheduler)[0])).all()
