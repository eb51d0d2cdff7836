"""Are the gradients right? Central differences in one random direction, in float64.

One direction costs two forward passes whatever the size of the model, and an error in any single
gradient shows in it with probability one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import arguments
from engine.errors import DataError, DtypeError
from engine.model import Model
from engine.random import check_seed, generator
from engine.typing import Array


@dataclass(frozen=True)
class GradientCheck:
    """What `check_gradients` found.

    Parameters
    ----------
    analytic, numeric : float
        Slope along the direction, from the backward pass and from differences.
    relative_error : float
        Their distance over the larger of the two.
    by_tensor : dict of float
        The share of every tensor in the analytic slope: ``"input"``, ``"conv1.weight"`` ...
    """

    analytic: float
    numeric: float
    relative_error: float
    by_tensor: dict[str, float]


def check_gradients(
    model: Model, x: Any, seed: int = 0, epsilon: float = 1e-6, training: bool = False
) -> GradientCheck:
    """Compare a model's gradients with central differences.

    Keep inputs away from kinks (a ReLU at 0, ties in a maximum): there no derivative exists. The
    model's parameters are moved and put back.

    Parameters
    ----------
    model : Model
        In float64.
    x : array, or tuple of arrays for several inputs
    seed : int
        Of the direction and of the weights of the outputs.
    epsilon : float
        Length of the difference.
    training : bool
        With the statistics of the batch; dropout uses one mask for all passes.

    Raises
    ------
    DtypeError
        If the model is not float64: float32 differences hide real mistakes.
    ConfigurationError, ShapeError, DataError
        If an argument is of the wrong kind, or the inputs do not fit the model.
    """
    arguments.instance("check_gradients model", model, Model, "a Model")
    arguments.number("check_gradients epsilon", epsilon, above=0)
    arguments.flag("check_gradients training", training)
    check_seed(seed)
    if model.dtype != "float64":
        raise DtypeError(
            f"check_gradients: expected a float64 model, received {model.dtype}; build it with "
            'dtype="float64"'
        )
    inputs = model.check_inputs(x if isinstance(x, tuple) else (x,))
    if not len(inputs[0]):
        raise DataError("check_gradients x: expected at least one sample, received none")
    draws = generator(seed, "gradcheck")
    values = {name: np.array(p.value) for name, p in model.parameters.items()}
    steps = {name: draws.standard_normal(value.shape) for name, value in values.items()}
    input_steps = [draws.standard_normal(array.shape) for array in inputs]
    factors = [
        draws.standard_normal((len(inputs[0]), *model.node(name).output_shape))
        for name in model.outputs
    ]

    def total(distance: float) -> float:
        for name, parameter in model.parameters.items():
            parameter.value = values[name] + distance * steps[name]
        moved = [a + distance * s for a, s in zip(inputs, input_steps, strict=True)]
        outputs = model.activations(tuple(moved), model.outputs, training=training)
        return sum(
            float((outputs[name] * factor).sum())
            for name, factor in zip(model.outputs, factors, strict=True)
        )

    try:
        numeric = (total(epsilon) - total(-epsilon)) / (2 * epsilon)
    finally:
        for name, parameter in model.parameters.items():
            parameter.value = values[name]
    gradients = model.gradients(tuple(inputs), tuple(factors), training=training)
    shares = _shares(model, gradients.inputs, gradients.parameters, input_steps, steps)
    analytic = sum(shares.values())
    scale = max(abs(analytic), abs(numeric), 1e-12)
    return GradientCheck(analytic, numeric, abs(analytic - numeric) / scale, shares)


def _shares(
    model: Model,
    input_gradients: tuple[Array, ...],
    gradients: dict[str, Array],
    input_steps: list[Array],
    steps: dict[str, Array],
) -> dict[str, float]:
    """Return gradient times direction for every tensor."""
    shares = {
        name: float((gradient * step).sum())
        for name, gradient, step in zip(model.inputs, input_gradients, input_steps, strict=True)
    }
    return shares | {name: float((gradients[name] * steps[name]).sum()) for name in steps}
