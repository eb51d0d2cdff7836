"""Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from engine.device import Launch, replay
from engine.errors import ShapeError
from engine.explanation import Explanation, Operand, Stage
from engine.kernels import scalar
from engine.kernels.scalar import CHUNKS
from engine.kernels.settings import Normalization
from engine.ops.base import Op, Site, View, flat_planes
from engine.ops.explaining import (
    add_chunks,
    chunked,
    elementwise,
    finish,
    gather,
    number,
    place,
    product_terms,
    standing,
    sum_terms,
    unknown_result,
    zero_of,
)
from engine.shapes import image, with_batch
from engine.typing import Index, Scalar, Shape


@dataclass(frozen=True)
class BatchNorm2d(Op):
    """(x - mean) / sqrt(variance + epsilon) * weight + bias, per channel.

    `momentum` is the weight of the new batch; the running variance is unbiased (n - 1), the one
    used for normalising is not (n), as in PyTorch.
    """

    name: ClassVar[str] = "batch_norm2d"
    kernels: ClassVar[tuple[str, ...]] = (
        "batch_norm_sum",
        "batch_norm_squares",
        "batch_norm_mean",
        "batch_norm_running",
        "batch_norm_forward",
        "batch_norm_backward_sums",
        "batch_norm_backward_input",
        "batch_norm_backward_input_fixed",
        "sum_chunks",
    )

    channels: int
    epsilon: float
    momentum: float

    @property
    def changes_state(self) -> bool:
        """Training moves the running statistics."""
        return True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the input's shape."""
        channels, _, _ = image(inputs[0])
        if channels != self.channels:
            raise ShapeError(
                f"expected {self.channels} channels (n, {self.channels}, h, w), received "
                f"{with_batch(inputs[0])}; use BatchNorm2d({channels})"
            )
        return inputs[0]

    def _settings(self, at: Site) -> Normalization:
        return Normalization(*flat_planes(at.output.shape), self.epsilon, self.momentum)

    def forward(self, at: Site) -> list[Launch]:
        """Two passes for the statistics of the batch (training), then one to normalise."""
        s, weight, bias = self._settings(at), at.parameters["weight"], at.parameters["bias"]
        if not at.training:
            mean, variance = at.state["running_mean"], at.state["running_var"]
            return [
                Launch("batch_norm_forward", (at.x, mean, variance, weight, bias, at.output), s)
            ]
        mean, variance = (at.scratch(n, (self.channels,)) for n in ("batch_mean", "batch_variance"))
        partial = at.scratch("statistics_chunks", (CHUNKS, self.channels))
        launches = [
            Launch("batch_norm_sum", (at.x, partial), s),
            Launch("batch_norm_mean", (partial, mean), s),
            Launch("batch_norm_squares", (at.x, mean, partial), s),
            Launch("batch_norm_mean", (partial, variance), s),
            Launch("batch_norm_forward", (at.x, mean, variance, weight, bias, at.output), s),
        ]
        if at.update_statistics:
            running = (at.state["running_mean"], at.state["running_var"])
            launches.append(Launch("batch_norm_running", (mean, variance, *running), s))
        return launches

    def backward(self, at: Site) -> list[Launch]:
        """Channel sums first: they are the gradients of weight and bias and enter the third."""
        s, weight = self._settings(at), at.parameters["weight"]
        if at.training:
            mean, variance = (
                at.scratch(n, (self.channels,)) for n in ("batch_mean", "batch_variance")
            )
        else:
            mean, variance = at.state["running_mean"], at.state["running_var"]
        launches, sums = [], {}
        if at.gradients or (at.grad_inputs[0] is not None and at.training):
            parts = {}
            for name in ("weight", "bias"):
                parts[name] = at.scratch(f"{name}_gradient_chunks", (CHUNKS, self.channels))
                sums[name] = at.gradients.get(name) or at.scratch(f"{name}_sum", (self.channels,))
            buffers = (at.x, mean, variance, at.grad, parts["weight"], parts["bias"])
            launches.append(Launch("batch_norm_backward_sums", buffers, s))
            launches += [Launch("sum_chunks", (parts[name], sums[name])) for name in sums]
        target = at.grad_inputs[0]
        if target is not None and at.training:
            totals = (weight, sums["weight"], sums["bias"])
            inputs = (at.x, mean, variance, *totals, at.grad, target)
            launches.append(Launch("batch_norm_backward_input", inputs, s))
        elif target is not None:
            launches.append(
                Launch("batch_norm_backward_input_fixed", (variance, weight, at.grad, target), s)
            )
        return launches

    # -- explanation -------------------------------------------------------------------------

    def _statistics(self, view: View) -> tuple[str, str]:
        return (
            ("saved.batch_mean", "saved.batch_variance")
            if view.training
            else ("running_mean", "running_var")
        )

    def _normal(self, view: View, index: Index) -> tuple[Scalar, Scalar]:
        """Return 1 / deviation and the normalised x at a place."""
        mean_name, variance_name = self._statistics(view)
        mean, variance = view.array(mean_name)[index[1]], view.array(variance_name)[index[1]]
        inverse = replay.call(scalar.inverse_deviation, variance, self.epsilon)
        return inverse, replay.call(scalar.normalize, view.input()[index], mean, inverse)

    @staticmethod
    def _channel(view: View, name: str, channel: int) -> Operand:
        """Return all numbers of a channel, in the order in which their sums read them."""
        array = view.array(name)
        n, y, x = np.indices((array.shape[0], *array.shape[2:])).reshape(3, -1)
        return gather(view, name, np.stack([n, np.full_like(n, channel), y, x], 1))

    def _behind_statistics(self, view: View, channel: int) -> tuple[Operand, ...]:
        """Return what statistics of the batch that are no numbers come from."""
        names = self._statistics(view)
        if not view.training or all(np.isfinite(view.array(name)[channel]) for name in names):
            return ()
        return (self._channel(view, "input", channel),)

    def _behind_sums(
        self, view: View, channel: int, sums: dict[str, Scalar]
    ) -> tuple[Operand, ...]:
        """Return what sums over a channel that are no numbers come from."""
        if all(np.isfinite(total) for total in sums.values()):
            return ()
        return (self._channel(view, "grad_output", channel), self._channel(view, "input", channel))

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain an output, or one number of the three gradients."""
        if result == "output":
            return self._explain_output(view, index)
        if result == "input.gradient":
            return self._explain_input_gradient(view, index)
        if result in ("weight.gradient", "bias.gradient"):
            return self._explain_channel_sum(view, result, index)
        raise unknown_result(view, result)

    def _explain_output(self, view: View, index: Index) -> Explanation:
        c = (index[1],)
        mean, variance = self._statistics(view)
        inverse, normal = self._normal(view, index)
        value = replay.call(
            scalar.scale_and_shift, normal, view.array("weight")[c], view.array("bias")[c]
        )
        sources = [
            ("x", "input", index),
            ("mean", mean, c),
            ("variance", variance, c),
            ("weight", "weight", c),
            ("bias", "bias", c),
        ]
        steps = [
            ("1 / deviation", inverse, f"1 / sqrt(variance + {self.epsilon:g})"),
            ("normalised", normal, "(x − mean) / deviation"),
            ("= output", value, "normalised × weight + bias"),
        ]
        formula = "(x − mean) / deviation × weight + bias"
        behind = self._behind_statistics(view, index[1])
        return elementwise(view, "output", index, sources, steps, formula, behind)

    def _explain_input_gradient(self, view: View, index: Index) -> Explanation:
        c = (index[1],)
        inverse, normal = self._normal(view, index)
        grad, weight = view.grad_output[index], view.array("weight")[c]
        sources = [("output gradient", "grad_output", index), ("weight", "weight", c)]
        if not view.training:
            value = grad * (weight * inverse)
            steps = [
                ("1 / deviation", inverse, "from the running variance"),
                ("= gradient", value, "gradient × weight / deviation"),
            ]
            return elementwise(
                view,
                "input.gradient",
                index,
                sources,
                steps,
                "gradient × weight / deviation",
                (standing(view, "running_var", c),),
            )
        shape = view.grad_output.shape
        count = grad.dtype.type(shape[0] * shape[2] * shape[3])
        sums = {
            name: (
                view.array(f"{name}.gradient")
                if view.has(f"{name}.gradient")
                else view.array(f"saved.{name}_sum")
            )[c]
            for name in ("weight", "bias")
        }
        value = replay.call(
            scalar.batch_norm_gradient,
            grad,
            normal,
            weight,
            inverse,
            sums["bias"] / count,
            sums["weight"] / count,
        )
        steps = [
            ("1 / deviation", inverse, f"1 / sqrt(variance + {self.epsilon:g})"),
            ("normalised", normal, "(x − mean) / deviation"),
            ("mean gradient", sums["bias"] / count, f"over {int(count)} pixels of the channel"),
            ("mean of g × normalised", sums["weight"] / count, "likewise"),
            (
                "= gradient",
                value,
                "weight / deviation (g − mean g − normalised × mean)",
            ),
        ]
        return elementwise(
            view,
            "input.gradient",
            index,
            sources,
            steps,
            "gradient through the statistics of the batch",
            (
                standing(view, "input", index),
                *self._behind_statistics(view, index[1]),
                *self._behind_sums(view, index[1], sums),
            ),
        )

    def _explain_channel_sum(self, view: View, result: str, index: Index) -> Explanation:
        right = self._channel(view, "grad_output", index[0])
        starts, sources = chunked(len(right.values), 1), tuple[Operand, ...]()
        if result == "bias.gradient":
            terms, formula = sum_terms(right, starts), "sum of the output gradient over the channel"
        else:
            mean_name, variance_name = self._statistics(view)
            inverse = replay.call(
                scalar.inverse_deviation, view.array(variance_name)[index[0]], self.epsilon
            )
            mean = view.array(mean_name)[index[0]]
            x = self._channel(view, "input", index[0])
            normal = Operand(f"{view.layer}.normalised", (x.values - mean) * inverse, x.indices)
            terms = replace(product_terms(normal, right, None, starts), derived=True)
            formula = "sum of normalised x × output gradient over the channel"
            names = () if view.training else (mean_name, variance_name)
            sources = (x, right, *(standing(view, name, index) for name in names))
        value, stage = add_chunks(terms, zero_of(view, result))
        return finish(
            view,
            result,
            index,
            kind="sum",
            formula=formula,
            order=f"sample, row, column within {CHUNKS} chunks of the pixels; then the chunks",
            value=value,
            terms=terms,
            stages=(stage, Stage("= gradient", float(value))),
            sentence=f"{place(view.tensor_name(result), index)} is {number(value)}, "
            f"a sum over {len(terms)} pixels.",
            sources=sources,
        )
