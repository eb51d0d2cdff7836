"""Fully connected layer: a matrix product along the last axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.device import Buffer, Launch, replay
from engine.errors import ShapeError
from engine.explanation import Explanation, Operand, Patch, Role, Stage
from engine.ops.base import Op, Site, View
from engine.ops.explaining import (
    finish,
    gather,
    last,
    number,
    place,
    product_terms,
    standing,
    strongest,
    sum_terms,
    unknown_result,
    zero_of,
)
from engine.shapes import with_batch
from engine.typing import Array, Index, Shape


@dataclass(frozen=True)
class Dense(Op):
    """Output = input x weight + bias along the last axis, at any rank."""

    name: ClassVar[str] = "dense"
    kernels: ClassVar[tuple[str, ...]] = (
        "dense_forward",
        "dense_turn_weight",
        "dense_backward_input",
        "dense_backward_weight",
        "dense_backward_bias",
        "activation_to_plain",
        "activation_from_plain",
    )

    in_features: int
    out_features: int
    bias: bool

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the input's shape with the last axis replaced."""
        shape = inputs[0]
        if not shape or shape[-1] != self.in_features:
            received = shape[-1] if shape else "none"
            fix = "insert Flatten() before it, " if len(shape) == 3 else ""
            features = math.prod(shape) if len(shape) == 3 else received
            raise ShapeError(
                f"expected {self.in_features} input features on the last axis, received "
                f"{with_batch(shape)}; {fix}use Dense({features}, {self.out_features})"
            )
        return (*shape[:-1], self.out_features)

    @property
    def mixes_positions(self) -> bool:
        """On images, the last axis is a row of pixels."""
        return True

    def multiply_adds(self, output: Shape, *inputs: Shape) -> int:
        """Return one multiply-add per weight and row."""
        return math.prod(output) * self.in_features

    @staticmethod
    def _rows(buffer: Buffer) -> Buffer:
        return buffer.reshaped((math.prod(buffer.shape[:-1]), buffer.shape[-1]))

    def forward(self, at: Site) -> list[Launch]:
        """One launch on rows of features; images are brought to public order first."""
        x, before = at.plain(at.x, "input")
        y, after = at.plain_target(at.output, "output")
        bias = at.parameters["bias"] if self.bias else at.scratch("no_bias", (0,))
        buffers = (self._rows(x), at.parameters["weight"], bias, self._rows(y))
        return [*before, Launch("dense_forward", buffers, work=self._work(at)), *after]

    def _work(self, at: Site) -> int:
        """Return the multiply-adds of one pass over the batch."""
        return math.prod(at.x.shape) * self.out_features

    def backward(self, at: Site) -> list[Launch]:
        """Three products: by weight, by bias, by input."""
        x = at.scratch("input.plain", at.x.shape) if not at.x.is_plain else at.x
        grad, launches = at.plain(at.grad, "grad_output")
        weight, work = at.parameters["weight"], self._work(at)
        launches = list(launches)
        if "weight" in at.gradients:
            buffers = (self._rows(x), self._rows(grad), at.gradients["weight"])
            launches.append(Launch("dense_backward_weight", buffers, work=work))
        if "bias" in at.gradients:
            launches.append(Launch("dense_backward_bias", (self._rows(grad), at.gradients["bias"])))
        if at.grad_inputs[0] is not None:
            target, after = at.plain_target(at.grad_inputs[0], "grad_input")
            turned = at.scratch("turned_weight", (self.in_features, self.out_features), "matrix")
            launches += [
                Launch("dense_turn_weight", (weight, turned)),
                Launch(
                    "dense_backward_input",
                    (self._rows(grad), turned, self._rows(target)),
                    work=work,
                ),
                *after,
            ]
        return launches

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain an output, or one number of the three gradients."""
        if result == "output":
            return self._explain_output(view, index)
        if result == "input.gradient":
            lead = np.tile(index[:-1], (self.out_features, 1))
            outs = np.arange(self.out_features)
            left = gather(view, "grad_output", np.column_stack([lead, outs]))
            right = gather(view, "weight", np.column_stack([outs, np.full_like(outs, index[-1])]))
            return self._sum(
                view, result, index, left, right, "output gradient", "weight", "output"
            )
        rows = np.argwhere(np.ones(view.grad_output.shape[:-1], np.bool_))
        if result == "weight.gradient":
            o, i = index
            left = gather(view, "input", np.column_stack([rows, np.full(len(rows), i)]))
            right = gather(view, "grad_output", np.column_stack([rows, np.full(len(rows), o)]))
            return self._sum(view, result, index, left, right, "input", "output gradient", "sample")
        if result == "bias.gradient":
            terms = sum_terms(
                gather(view, "grad_output", np.column_stack([rows, np.full(len(rows), index[0])]))
            )
            value = last(terms, zero_of(view, result))
            return finish(
                view,
                result,
                index,
                kind="sum",
                formula="sum of the output gradient over samples",
                order="sample",
                value=value,
                terms=terms,
                stages=(Stage("= gradient", float(value)),),
                sentence=f"{place(view.tensor_name(result), index)} is {number(value)}, "
                f"the sum over {len(terms)} rows.",
            )
        raise unknown_result(view, result)

    def _explain_output(self, view: View, index: Index) -> Explanation:
        inputs = np.arange(self.in_features)
        left = gather(
            view, "input", np.column_stack([np.tile(index[:-1], (len(inputs), 1)), inputs])
        )
        right = gather(view, "weight", np.column_stack([np.full_like(inputs, index[-1]), inputs]))
        terms = product_terms(left, right)
        value = last(terms, zero_of(view, "output"))
        stages = [Stage("sum", float(value), f"{len(terms)} products")]
        if self.bias:
            bias = view.array("bias")[index[-1]]
            value = replay.sums(np.array([value, bias]))[-1]
            stages.append(Stage("+ bias", float(bias), place(view.tensor_name("bias"), index[-1:])))
        stages.append(Stage("= output", float(value), "sum + bias" if self.bias else "sum"))
        return finish(
            view,
            "output",
            index,
            kind="sum",
            formula="sum of input × weight" + (", then + bias" if self.bias else ""),
            order="input; bias last",
            value=value,
            terms=terms,
            stages=tuple(stages),
            patches=(
                _row("input", left.tensor, left.values),
                _row("weight", right.tensor, right.values),
            ),
            sources=(standing(view, "bias", index[-1:]),) if self.bias else (),
            sentence=f"{place(view.tensor_name('output'), index)} is {number(value)}. "
            f"{strongest(terms)}",
        )

    @staticmethod
    def _sum(
        view: View,
        result: str,
        index: Index,
        left: Operand,
        right: Operand,
        a: str,
        b: str,
        over: str,
    ) -> Explanation:
        terms = product_terms(left, right)
        value = last(terms, zero_of(view, result))
        patches = tuple(
            _row(_role(operand.tensor), operand.tensor, operand.values)
            for operand in terms.operands
        )
        return finish(
            view,
            result,
            index,
            kind="sum",
            formula=f"sum of {a} × {b}",
            order=over,
            value=value,
            terms=terms,
            patches=patches,
            stages=(Stage("= gradient", float(value)),),
            sentence=f"{place(view.tensor_name(result), index)} is {number(value)}. "
            f"{strongest(terms)}",
        )


def _role(tensor: str) -> Role:
    """Return how a tensor is drawn, from its name."""
    if tensor.endswith("weight"):
        return "weight"
    return "gradient" if "grad" in tensor else "input"


def _row(role: Role, tensor: str, values: Array) -> Patch:
    """Return a vector as a patch of one row."""
    columns = np.arange(values.size)
    return Patch(
        role,
        tensor,
        values.reshape(1, 1, -1),
        np.array([0]),
        np.array([0]),
        columns,
        np.ones((1, values.size), np.bool_),
        columns.reshape(1, 1, -1),
    )
