"""Activations: element by element, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.device import Buffer, Launch, replay
from engine.errors import ConfigurationError
from engine.explanation import Explanation, Stage, Terms
from engine.kernels import scalar
from engine.kernels.settings import Slope
from engine.ops.base import Op, Site, View
from engine.ops.explaining import elementwise, finish, gather, number, place, unknown_result
from engine.typing import Array, Index, Scalar, Shape


class Pointwise(Op):
    """An activation of one number; subclasses name their formula and its derivative.

    `slope_from` says what the derivative is computed from: ``"input"`` or ``"output"``.
    """

    function: ClassVar[Callable[..., Any]]
    slope: ClassVar[Callable[..., Any]]
    slope_from: ClassVar[str] = "input"
    formula: ClassVar[str]
    slope_formula: ClassVar[str]

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the input's shape."""
        return inputs[0]

    def settings(self) -> Any:
        """Return the kernels' settings, or None."""
        return None

    def forward(self, at: Site) -> list[Launch]:
        """One launch over the memory as it lies."""
        return [Launch(f"{self.name}_forward", (at.x, at.output), self.settings())]

    def backward(self, at: Site) -> list[Launch]:
        """One launch: output gradient times the derivative."""
        if at.grad_inputs[0] is None:
            return []
        source = at.x if self.slope_from == "input" else at.output
        buffers = (source, at.grad, at.grad_inputs[0])
        return [Launch(f"{self.name}_backward", buffers, self.settings())]

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain an output, or a gradient through the derivative."""
        extra = tuple(self.settings() or ())
        kind = type(self)
        if result == "output":
            value = replay.call(kind.function, view.input()[index], *extra)
            steps = [("= output", value, self.formula)]
            return elementwise(view, result, index, [("x", "input", index)], steps, self.formula)
        if result == "input.gradient":
            source = "input" if self.slope_from == "input" else "output"
            slope = replay.call(kind.slope, view.array(source)[index], *extra)
            with np.errstate(all="ignore"):
                value = view.grad_output[index] * slope
            sources = [
                ("x" if source == "input" else "y", source, index),
                ("output gradient", "grad_output", index),
            ]
            steps = [
                ("slope", slope, self.slope_formula),
                ("= gradient", value, "output gradient × slope"),
            ]
            return elementwise(view, result, index, sources, steps, "gradient × slope")
        raise unknown_result(view, result)

    def curve(self, x: Scalar) -> Scalar:
        """Return the activation of one number, for function plots."""
        return replay.call(type(self).function, x, *tuple(self.settings() or ()))


@dataclass(frozen=True)
class ReLU(Pointwise):
    """max(x, 0)."""

    name: ClassVar[str] = "relu"
    kernels: ClassVar[tuple[str, ...]] = ("relu_forward", "relu_backward")
    function = staticmethod(scalar.relu)
    slope = staticmethod(scalar.relu_slope)
    formula = "max(x, 0)"
    slope_formula = "1 if x > 0, else 0"


@dataclass(frozen=True)
class LeakyReLU(Pointwise):
    """X above zero, a fraction of it below."""

    name: ClassVar[str] = "leaky_relu"
    kernels: ClassVar[tuple[str, ...]] = ("leaky_relu_forward", "leaky_relu_backward")
    function = staticmethod(scalar.leaky_relu)
    slope = staticmethod(scalar.leaky_relu_slope)
    formula = "x if x > 0, else slope × x"
    slope_formula = "1 if x > 0, else the slope"

    negative_slope: float

    def settings(self) -> Slope:
        """Return the slope below zero."""
        return Slope(self.negative_slope)


@dataclass(frozen=True)
class Sigmoid(Pointwise):
    """1 / (1 + exp(-x))."""

    name: ClassVar[str] = "sigmoid"
    kernels: ClassVar[tuple[str, ...]] = ("sigmoid_forward", "sigmoid_backward")
    function = staticmethod(scalar.sigmoid)
    slope = staticmethod(scalar.sigmoid_slope)
    slope_from = "output"
    formula = "1 / (1 + exp(−x))"
    slope_formula = "y (1 − y)"


@dataclass(frozen=True)
class Tanh(Pointwise):
    """Hyperbolic tangent."""

    name: ClassVar[str] = "tanh"
    kernels: ClassVar[tuple[str, ...]] = ("tanh_forward", "tanh_backward")
    function = staticmethod(scalar.tanh)
    slope = staticmethod(scalar.tanh_slope)
    slope_from = "output"
    formula = "tanh(x)"
    slope_formula = "1 − y²"


@dataclass(frozen=True)
class HardSwish(Pointwise):
    """x * min(max(x + 3, 0), 6) / 6."""

    name: ClassVar[str] = "hard_swish"
    kernels: ClassVar[tuple[str, ...]] = ("hard_swish_forward", "hard_swish_backward")
    function = staticmethod(scalar.hard_swish)
    slope = staticmethod(scalar.hard_swish_slope)
    formula = "x × min(max(x + 3, 0), 6) / 6"
    slope_formula = "0 up to −3, 1 from 3 on, (2x + 3) / 6 between"


@dataclass(frozen=True)
class Softmax(Op):
    """exp(x - max) / sum, along one axis of the batched tensor."""

    name: ClassVar[str] = "softmax"
    kernels: ClassVar[tuple[str, ...]] = (
        "softmax_forward",
        "softmax_backward",
        "activation_to_plain",
        "activation_from_plain",
    )

    axis: int

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the input's shape.

        Raises
        ------
        ConfigurationError
            If the axis does not exist or is the batch axis.
        """
        rank = len(inputs[0]) + 1
        if not -rank < self.axis < rank or self.axis % rank == 0:
            raise ConfigurationError(
                f"softmax axis: expected 1 to {rank - 1} or {1 - rank} to -1 (0 is the batch), "
                f"received {self.axis}"
            )
        return inputs[0]

    @property
    def mixes_positions(self) -> bool:
        """Only a softmax over channels leaves positions apart."""
        return self.axis not in (1, -3)

    def _rows(self, buffer: Buffer) -> Buffer:
        axis = self.axis % len(buffer.shape)
        lead, tail = math.prod(buffer.shape[:axis]), math.prod(buffer.shape[axis + 1 :])
        return buffer.reshaped((lead, buffer.shape[axis], tail))

    def forward(self, at: Site) -> list[Launch]:
        """One launch on (rows, classes, inner); images are brought to public order first."""
        x, before = at.plain(at.x, "input")
        y, after = at.plain_target(at.output, "output")
        return [*before, Launch("softmax_forward", (self._rows(x), self._rows(y))), *after]

    def backward(self, at: Site) -> list[Launch]:
        """One launch from output and output gradient."""
        if at.grad_inputs[0] is None:
            return []
        y = at.output if at.output.is_plain else at.scratch("output.plain", at.output.shape)
        grad, before = at.plain(at.grad, "grad_output")
        target, after = at.plain_target(at.grad_inputs[0], "grad_input")
        buffers = (self._rows(y), self._rows(grad), self._rows(target))
        return [*before, Launch("softmax_backward", buffers), *after]

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain a probability, or the gradient of a logit."""
        axis = self.axis % len(index)
        count = view.output.shape[axis]
        places = np.tile(index, (count, 1))
        places[:, axis] = np.arange(count)
        if result == "output":
            return self._explain_output(view, index, places, index[axis])
        if result == "input.gradient":
            return self._explain_gradient(view, index, places, index[axis])
        raise unknown_result(view, result)

    @staticmethod
    def _explain_output(view: View, index: Index, places: Array, here: int) -> Explanation:
        logits = gather(view, "input", places)
        top = (
            logits.values.max()
            if not np.isnan(logits.values).any()
            else logits.values.dtype.type(np.nan)
        )
        exps = np.array([replay.call(scalar.exponential, v - top) for v in logits.values])
        totals = replay.sums(exps)
        with np.errstate(all="ignore"):
            value = exps[here] / totals[-1]
        return finish(
            view,
            "output",
            index,
            kind="sum",
            formula="exp(x − max) / sum of all exp(x − max)",
            order="class",
            value=value,
            terms=Terms((logits,), exps, totals),
            stages=(
                Stage("largest input", float(top), "subtracted so that exp cannot overflow"),
                Stage("exp(x − max)", float(exps[here])),
                Stage("sum", float(totals[-1]), f"over {len(places)} classes"),
                Stage("= output", float(value), "exp / sum"),
            ),
            decisive=here,
            sentence=f"{place(view.tensor_name('output'), index)} is {number(value)}: "
            f"{number(exps[here])} of a total of {number(totals[-1])}.",
        )

    @staticmethod
    def _explain_gradient(view: View, index: Index, places: Array, here: int) -> Explanation:
        grads, outputs = gather(view, "grad_output", places), gather(view, "output", places)
        with np.errstate(all="ignore"):
            shares = grads.values * outputs.values
        totals = replay.sums(shares)
        value = outputs.values[here] * (grads.values[here] - totals[-1])
        return finish(
            view,
            "input.gradient",
            index,
            kind="sum",
            formula="y (g − sum of g × y)",
            order="class",
            value=value,
            terms=Terms((grads, outputs), shares, totals),
            stages=(
                Stage("sum of g × y", float(totals[-1])),
                Stage("= gradient", float(value), "y (g − sum)"),
            ),
            sentence=f"{place(view.tensor_name('input.gradient'), index)} is {number(value)}.",
        )
