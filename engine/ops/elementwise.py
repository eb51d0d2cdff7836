"""Joining and thinning: sum, concatenation, dropout, flattening."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.device import Launch
from engine.errors import ConfigurationError, ShapeError
from engine.explanation import Explanation, Operand, Stage, Terms
from engine.kernels.settings import Blocks, DropoutSettings
from engine.ops.base import Op, Site, View, flat_planes
from engine.ops.explaining import (
    accumulated,
    elementwise,
    finish,
    number,
    place,
    unknown_result,
)
from engine.shapes import with_batch
from engine.typing import Index, Shape


def input_number(result: str) -> int | None:
    """Return which input a result such as ``"input2.gradient"`` belongs to, from 0, or None."""
    if not (result.startswith("input") and result.endswith(".gradient")):
        return None
    return int(result[5:].split(".")[0] or 1) - 1


@dataclass(frozen=True)
class Add(Op):
    """Sum of two or more tensors of one shape."""

    name: ClassVar[str] = "add"
    kernels: ClassVar[tuple[str, ...]] = ("add_forward", "copy")
    inputs: ClassVar[tuple[int, int | None]] = (2, None)

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the common shape."""
        for shape in inputs[1:]:
            if shape != inputs[0]:
                raise ShapeError(
                    "expected inputs of one shape, "
                    f"received {' and '.join(map(with_batch, inputs))}; "
                    "bring them to one shape first, for example with a 1x1 Conv2d"
                )
        return inputs[0]

    def forward(self, at: Site) -> list[Launch]:
        """Add from left to right."""
        launches = [Launch("add_forward", (at.inputs[0], at.inputs[1], at.output))]
        launches += [Launch("add_forward", (at.output, x, at.output)) for x in at.inputs[2:]]
        return launches

    def backward(self, at: Site) -> list[Launch]:
        """Every input gets the output gradient."""
        return [
            Launch("copy", (at.grad, target)) for target in at.grad_inputs if target is not None
        ]

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain a sum, or a gradient that is passed on."""
        if result == "output":
            count = len(view.input_names)
            values = np.array([view.input(k)[index] for k in range(count)])
            totals = accumulated(values)
            operand = Operand(
                ", ".join(view.input_names),
                values,
                np.tile(index, (count, 1)),
                view.input_names,
            )
            return finish(
                view,
                result,
                index,
                kind="sum",
                formula="sum of the inputs",
                order="input",
                value=totals[-1],
                terms=Terms((operand,), values, totals),
                stages=(Stage("= output", float(totals[-1])),),
                sentence=f"{place(view.tensor_name(result), index)} is {number(totals[-1])} = "
                f"{' + '.join(number(v) for v in values)}.",
            )
        if input_number(result) is not None:
            return pass_on(view, result, index, "grad_output", index)
        raise unknown_result(view, result)


def pass_on(view: View, result: str, index: Index, source: str, where: Index) -> Explanation:
    """Explain a number that is copied from somewhere else."""
    value = view.array(source)[where]
    steps = [(f"= {'gradient' if 'gradient' in result else 'output'}", value, "copied")]
    return elementwise(
        view, result, index, [("value", source, where)], steps, "passed on unchanged"
    )


@dataclass(frozen=True)
class Concat(Op):
    """Inputs side by side along one axis of the batched tensor (1: channels)."""

    name: ClassVar[str] = "concat"
    kernels: ClassVar[tuple[str, ...]] = ("copy_blocks",)
    inputs: ClassVar[tuple[int, int | None]] = (2, None)

    axis: int

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the shape with the lengths along the axis added."""
        rank = len(inputs[0]) + 1
        if not -rank < self.axis < rank or self.axis % rank == 0:
            raise ConfigurationError(
                f"concat axis: expected 1 to {rank - 1} or {1 - rank} to -1 (0 is the batch), "
                f"received {self.axis}"
            )
        axis = self.axis % rank - 1
        for shape in inputs[1:]:
            if len(shape) != len(inputs[0]) or any(
                a != b for i, (a, b) in enumerate(zip(shape, inputs[0], strict=True)) if i != axis
            ):
                raise ShapeError(
                    f"expected inputs equal but for axis {axis + 1}, received "
                    f"{' and '.join(map(with_batch, inputs))}"
                )
        total = sum(shape[axis] for shape in inputs)
        return (*inputs[0][:axis], total, *inputs[0][axis + 1 :])

    def _blocks(self, at: Site) -> list[Blocks]:
        """Return how each input lies in the output, in memory order."""
        axis = at.output.inner_axis(self.axis)
        inner = at.output.inner_shape
        rows, tail = math.prod(inner[:axis]), math.prod(inner[axis + 1 :])
        pitch, offset, blocks = inner[axis] * tail, 0, []
        for x in at.inputs:
            length = x.inner_shape[axis] * tail
            blocks.append(Blocks(rows, length, length, 0, pitch, offset))
            offset += length
        return blocks

    def forward(self, at: Site) -> list[Launch]:
        """Copy each input to its place."""
        return [
            Launch("copy_blocks", (x, at.output), blocks)
            for x, blocks in zip(at.inputs, self._blocks(at), strict=True)
        ]

    def backward(self, at: Site) -> list[Launch]:
        """Copy each input's part of the gradient back."""
        launches = []
        for target, b in zip(at.grad_inputs, self._blocks(at), strict=True):
            if target is not None:
                back = Blocks(
                    b.rows,
                    b.length,
                    b.target_pitch,
                    b.target_offset,
                    b.source_pitch,
                    b.source_offset,
                )
                launches.append(Launch("copy_blocks", (at.grad, target), back))
        return launches

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain where a number was copied from."""
        axis = self.axis % len(index)
        lengths = [view.input(k).shape[axis] for k in range(len(view.input_names))]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        if result == "output":
            which = int(np.searchsorted(starts, index[axis], side="right")) - 1
            where = (*index[:axis], index[axis] - int(starts[which]), *index[axis + 1 :])
            return pass_on(
                view, result, index, "input" if which == 0 else f"input{which + 1}", where
            )
        which_input = input_number(result)
        if which_input is not None:
            where = (*index[:axis], index[axis] + int(starts[which_input]), *index[axis + 1 :])
            return pass_on(view, result, index, "grad_output", where)
        raise unknown_result(view, result)


@dataclass(frozen=True)
class Dropout(Op):
    """Drops elements while training and scales the rest, so that inference needs nothing."""

    name: ClassVar[str] = "dropout"
    kernels: ClassVar[tuple[str, ...]] = ("dropout_mask", "multiply_forward", "copy")
    passes_on: ClassVar[bool] = True

    probability: float

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the input's shape."""
        return inputs[0]

    def forward(self, at: Site) -> list[Launch]:
        """Make the mask of this step, then multiply."""
        if not at.training or self.probability == 0:
            return [Launch("copy", (at.x, at.output))]
        mask = at.scratch("mask", at.output.shape, "activation")
        settings = DropoutSettings(*flat_planes(at.output.shape), self.probability, at.stream)
        return [
            Launch("dropout_mask", (mask, at.counters), settings),
            Launch("multiply_forward", (at.x, mask, at.output)),
        ]

    def backward(self, at: Site) -> list[Launch]:
        """Multiply by the same mask."""
        target = at.grad_inputs[0]
        if target is None:
            return []
        if not at.training or self.probability == 0:
            return [Launch("copy", (at.grad, target))]
        mask = at.scratch("mask", at.output.shape, "activation")
        return [Launch("multiply_forward", (at.grad, mask, target))]

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain what the mask did to a number."""
        source = "input" if result == "output" else "grad_output"
        if result not in ("output", "input.gradient"):
            raise unknown_result(view, result)
        if not view.has("saved.mask"):
            return pass_on(view, result, index, source, index)
        value = view.array(source)[index] * view.array("saved.mask")[index]
        return elementwise(
            view,
            result,
            index,
            [("x", source, index), ("mask", "saved.mask", index)],
            [
                (
                    "= output" if result == "output" else "= gradient",
                    value,
                    "x × mask",
                )
            ],
            "x × mask; the mask is 0: all are dropped"
            if self.probability == 1
            else f"x × mask; the mask is 0 or 1 / (1 − {self.probability:g})",
        )


@dataclass(frozen=True)
class Flatten(Op):
    """All axes but the batch become one, in the order channel, row, column."""

    name: ClassVar[str] = "flatten"
    kernels: ClassVar[tuple[str, ...]] = ("copy", "activation_to_plain", "activation_from_plain")
    passes_on: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return (features,)."""
        return (math.prod(inputs[0]),)

    def forward(self, at: Site) -> list[Launch]:
        """Copy in public order."""
        kernel = "copy" if at.x.is_plain else "activation_to_plain"
        return [Launch(kernel, (at.x, at.output))]

    def backward(self, at: Site) -> list[Launch]:
        """Copy back."""
        target = at.grad_inputs[0]
        if target is None:
            return []
        return [Launch("copy" if target.is_plain else "activation_from_plain", (at.grad, target))]

    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain where a number was copied from."""
        shape = view.input().shape
        if result == "output":
            where = np.unravel_index(index[1], shape[1:])
            return pass_on(view, result, index, "input", (index[0], *(int(i) for i in where)))
        if result == "input.gradient":
            feature = int(np.ravel_multi_index(index[1:], shape[1:]))
            return pass_on(view, result, index, "grad_output", (index[0], feature))
        raise unknown_result(view, result)
