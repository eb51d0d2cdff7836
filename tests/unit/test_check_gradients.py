"""The gradient check for users: passes what is right and finds what is planted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine import Model
from engine.errors import DtypeError
from engine.gradcheck import check_gradients
from engine.layers import BatchNorm2d, Conv2d, Dense, Flatten, Tanh


def small(dtype: str = "float64") -> Model:
    layers = [Conv2d(1, 3, 3, name="conv"), BatchNorm2d(3), Tanh(), Flatten(), Dense(48, 4)]
    return Model(layers, input_shape=(1, 6, 6), device="cpu", dtype=dtype)


IMAGES = np.random.default_rng(0).standard_normal((5, 1, 6, 6))


@pytest.mark.parametrize("training", [False, True])
def test_right_gradients_pass_and_nothing_is_changed(training: bool) -> None:
    model = small()
    before = {name: p.value.tobytes() for name, p in model.parameters.items()}
    found = check_gradients(model, IMAGES, training=training)
    assert found.relative_error < 1e-6
    assert set(found.by_tensor) == {"input", *model.parameters}
    assert {name: p.value.tobytes() for name, p in model.parameters.items()} == before


def test_one_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    right = Model.gradients

    def wrong(*arguments: Any, **settings: Any) -> Any:
        found = right(*arguments, **settings)
        bent = found.parameters["conv.weight"] * 1.01
        return replace(found, parameters={**found.parameters, "conv.weight": bent})

    monkeypatch.setattr(Model, "gradients", wrong)
    assert check_gradients(model, IMAGES).relative_error > 1e-5


def test_float32_is_refused() -> None:
    with pytest.raises(DtypeError, match="expected a float64 model, received float32"):
        check_gradients(small("float32"), IMAGES)
