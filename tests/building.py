"""Small models for tests: one layer alone, and random numbers in every parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import Input, Model
from tests.reference import Array

DTYPES = ("float32", "float64")


def single(layer: Any, input_shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> Any:
    """Return a model of one layer with random parameters."""
    model = Model([layer], input_shape=input_shape, seed=seed, device="cpu", dtype=dtype)
    randomise(model, seed)
    return model


def joined(layer: Any, shapes: list[tuple[int, ...]], dtype: str = "float64") -> Any:
    """Return a model that applies one layer to several inputs."""
    inputs = [Input(shape) for shape in shapes]
    return Model(inputs=inputs, outputs=layer(*inputs), device="cpu", dtype=dtype)


def randomise(model: Any, seed: int = 0) -> None:
    """Fill every parameter with standard normal numbers, in the order of `model.parameters`."""
    rng = np.random.default_rng(seed)
    for parameter in model.parameters.values():
        parameter.value = rng.standard_normal(parameter.value.shape)


def unsettle(model: Any, seed: int = 0) -> None:
    """Move biases and running statistics away from 0 and 1, gently: deep nets stay alive."""
    rng = np.random.default_rng(seed)
    for parameter in model.parameters.values():
        if len(parameter.shape) == 1:
            parameter.value = parameter.value + 0.1 * rng.standard_normal(parameter.shape)
    for name in list(model.state):
        mean = rng.standard_normal(model.state[name].shape)
        model.state[name] = 0.1 * mean if name.endswith("mean") else np.exp(0.2 * mean)


def weights_of(model: Any) -> dict[str, Array]:
    """Return float64 copies of all parameters."""
    return {name: np.array(p.value, np.float64) for name, p in model.parameters.items()}


def bits_of(model: Any) -> dict[str, bytes]:
    """Return the bytes of every parameter and state, to compare two runs."""
    found = {name: p.value.tobytes() for name, p in model.parameters.items()}
    return found | {name: np.asarray(model.state[name]).tobytes() for name in model.state}
