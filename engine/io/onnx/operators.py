"""How each op becomes ONNX nodes: the one place to add a new layer to.

A writer takes the op and its `Place` in the graph. It ends with `Place.finish`, which makes the
node that bears the layer's name; whatever an operator of ONNX cannot say exactly is put together
from several, made by `Place.step`. `tests/io/test_onnx.py` runs every form of every layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from engine.errors import StateError
from engine.layers.base import Layer
from engine.model import ModelNode
from engine.ops.activation import LeakyReLU, Softmax
from engine.ops.base import Op
from engine.ops.conv import Conv2d
from engine.ops.dense import Dense
from engine.ops.elementwise import Concat, Dropout
from engine.ops.norm import BatchNorm2d
from engine.ops.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from engine.shapes import Padding, extent
from engine.typing import Array, Shape

NodeWriter = Callable[[str, str, Sequence[str], str, dict[str, Any]], None]
"""Appends a node: its operator, name, inputs, output and attributes."""
ConstantWriter = Callable[[str, Array], None]
"""Adds an initialiser, unless there is one of that name."""


class Place:
    """Where a layer stands in the graph that is written.

    Parameters
    ----------
    node : ModelNode
        A layer's.
    shapes : sequence of Shape
        Of the inputs, without batch axis.
    dtype : {"float32", "float64"}
    write_node, write_constant : callable
    """

    def __init__(
        self,
        node: ModelNode,
        shapes: Sequence[Shape],
        dtype: str,
        write_node: NodeWriter,
        write_constant: ConstantWriter,
    ) -> None:
        self.name, self.inputs, self.output_shape = node.name, node.inputs, node.output_shape
        self.shapes, self.dtype = tuple(shapes), dtype
        self._node = node
        self._write_node, self._write_constant = write_node, write_constant
        self._steps = 0

    @property
    def x(self) -> str:
        """Name of the first input."""
        return self.inputs[0]

    @property
    def shape(self) -> Shape:
        """Shape of the first input, without batch axis."""
        return self.shapes[0]

    @property
    def layer(self) -> Layer:
        """The layer itself.

        Raises
        ------
        StateError
            If this is an input, which has none.
        """
        if self._node.layer is None:
            raise StateError(f"{self.name}: an input has no layer")
        return self._node.layer

    def finish(self, kind: str, *inputs: str, **attributes: Any) -> None:
        """Write the node that makes the layer's output."""
        self._write_node(kind, self.name, inputs, self.name, attributes)

    def step(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Write a node before the last one and return the name of its result."""
        self._steps += 1
        value = f"{self.name}.step{self._steps}"
        self._write_node(kind, value, inputs, value, attributes)
        return value

    def parameters(self, *names: str) -> list[str]:
        """Return the initialisers of those of the layer's parameters that it has."""
        found = []
        for name in names:
            if name in self.layer.parameters:
                parameter = self.layer.parameters[name]
                self._write_constant(parameter.name, parameter.value)
                found.append(parameter.name)
        return found

    def state(self, name: str) -> str:
        """Return the initialiser of a running statistic."""
        buffer = self.layer.state[name]
        self._write_constant(buffer.name, buffer.read())
        return buffer.name

    def constant(self, name: str, values: Any, dtype: str | None = None) -> str:
        """Return an initialiser of the layer's own, in the model's dtype unless told otherwise."""
        full = f"{self.name}.{name}"
        self._write_constant(full, np.asarray(values, dtype or self.dtype))
        return full


Writer = Callable[[Any, Place], None]
Made = TypeVar("Made", bound=Writer)

WRITERS: dict[str, Writer] = {}
"""What writes an op, by the op's name."""


def writes(*names: str) -> Callable[[Made], Made]:
    """Register a function as the writer of the ops of these names."""

    def register(function: Made) -> Made:
        WRITERS.update(dict.fromkeys(names, function))
        return function

    return register


def _simple(name: str, kind: str) -> None:
    """Register an op that is one operator without settings."""

    def write(op: Op, at: Place) -> None:
        at.finish(kind, *at.inputs)

    WRITERS[name] = write


_simple("relu", "Relu")
_simple("sigmoid", "Sigmoid")
_simple("tanh", "Tanh")
_simple("hard_swish", "HardSwish")


@writes("leaky_relu")
def _leaky_relu(op: LeakyReLU, at: Place) -> None:
    at.finish("LeakyRelu", at.x, alpha=op.negative_slope)


@writes("softmax")
def _softmax(op: Softmax, at: Place) -> None:
    at.finish("Softmax", at.x, axis=op.axis % (len(at.shape) + 1))


@writes("conv2d")
def _conv2d(op: Conv2d, at: Place) -> None:
    if op.flip_kernel:
        # ONNX knows cross-correlation alone; a true convolution is one with the kernel turned.
        weight = at.layer.parameters["weight"].value
        kernel = [at.constant("weight.turned", weight[:, :, ::-1, ::-1])]
    else:
        kernel = at.parameters("weight")
    at.finish(
        "Conv",
        at.x,
        *kernel,
        *at.parameters("bias"),
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=op.reach(at.shape).padding,
        dilations=op.dilation,
        group=op.groups,
    )


@writes("dense")
def _dense(op: Dense, at: Place) -> None:
    weight, *bias = at.parameters("weight", "bias")
    if len(at.shape) == 1:
        at.finish("Gemm", at.x, weight, *bias, transB=1)
        return
    turned = at.step("Transpose", weight, perm=[1, 0])
    if not bias:
        at.finish("MatMul", at.x, turned)
        return
    at.finish("Add", at.step("MatMul", at.x, turned), *bias)


@writes("batch_norm2d")
def _batch_norm2d(op: BatchNorm2d, at: Place) -> None:
    scale, shift = at.parameters("weight", "bias")
    mean, variance = at.state("running_mean"), at.state("running_var")
    # ONNX's momentum is the weight of the old statistics, ours of the new batch.
    settings = {"epsilon": op.epsilon, "momentum": 1 - op.momentum}
    at.finish("BatchNormalization", at.x, scale, shift, mean, variance, **settings)


def _pads(op: MaxPool2d | AvgPool2d, at: Place) -> Padding:
    """Return top, left, bottom, right such that just the windows that the op has fit.

    In ceil mode the last window may lie partly outside. Runtimes have differed in which of these
    they drop, so none is asked to: what the window needs is added to the padding instead.
    """
    padding = op.reach(at.shape).padding
    if not op.ceil_mode:
        return padding
    ends = [
        max((count - 1) * stride + extent(kernel, dilation) - size - before, 0)
        for count, stride, kernel, dilation, size, before in zip(
            at.output_shape[1:],
            op.stride,
            op.kernel,
            op.dilation,
            at.shape[1:],
            padding[:2],
            strict=True,
        )
    ]
    return padding[0], padding[1], ends[0], ends[1]


@writes("max_pool2d")
def _max_pool2d(op: MaxPool2d, at: Place) -> None:
    x, pads = at.x, _pads(op, at)
    if any(pad >= kernel for pad, kernel in zip(pads, op.kernel * 2, strict=True)):
        # Dilated windows can reach farther out than MaxPool accepts as padding.
        widths = [0, 0, *pads[:2], 0, 0, *pads[2:]]
        border = at.constant("padding", widths, "int64")
        x, pads = at.step("Pad", x, border, at.constant("lowest", -np.inf)), (0, 0, 0, 0)
    at.finish(
        "MaxPool",
        x,
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=pads,
        dilations=op.dilation,
    )


@writes("avg_pool2d")
def _avg_pool2d(op: AvgPool2d, at: Place) -> None:
    pads, own = _pads(op, at), op.reach(at.shape).padding
    window = {"kernel_shape": op.kernel, "strides": op.stride, "pads": pads}
    outside = any(pad > width for pad, width in zip(pads, own, strict=True))
    # What ceil mode adds outside never counts here, and always does where ONNX counts padding.
    counts_alike = not (op.count_include_pad and outside) and not op.divisor_override
    if counts_alike and op.dilation == (1, 1):
        at.finish("AveragePool", at.x, count_include_pad=int(op.count_include_pad), **window)
        return
    channels, height, width = at.output_shape
    ones = at.constant("ones", np.ones((channels, 1, *op.kernel)))
    counts = [[op.divisor(at.shape, y, x) for x in range(width)] for y in range(height)]
    sums = at.step("Conv", at.x, ones, group=channels, dilations=op.dilation, **window)
    at.finish("Div", sums, at.constant("counts", [[counts]]))


@writes("adaptive_avg_pool2d")
def _adaptive_avg_pool2d(op: AdaptiveAvgPool2d, at: Place) -> None:
    sizes, counts = at.shape[1:], at.output_shape[1:]
    if counts == (1, 1):
        at.finish("GlobalAveragePool", at.x)
        return
    if all(size % count == 0 for size, count in zip(sizes, counts, strict=True)):
        step = [size // count for size, count in zip(sizes, counts, strict=True)]
        at.finish("AveragePool", at.x, kernel_shape=step, strides=step)
        return
    # Windows of unequal sizes: a mean over rows and one over columns, as matrix products.
    means = []
    for size, count in zip(sizes, counts, strict=True):
        mean = np.zeros((count, size))
        for position in range(count):
            start, stop = op.bounds(position, size, count)
            mean[position, start:stop] = 1 / (stop - start)
        means.append(mean)
    rows = at.step("MatMul", at.constant("rows", means[0]), at.x)
    at.finish("MatMul", rows, at.constant("columns", means[1].T))


@writes("add")
def _add(op: Op, at: Place) -> None:
    total, *rest = at.inputs
    for x in rest[:-1]:
        total = at.step("Add", total, x)
    at.finish("Add", total, rest[-1])


@writes("concat")
def _concat(op: Concat, at: Place) -> None:
    at.finish("Concat", *at.inputs, axis=op.axis % (len(at.shape) + 1))


@writes("dropout")
def _dropout(op: Dropout, at: Place) -> None:
    if np.dtype(at.dtype).type(op.probability) == 1:
        at.finish("Identity", at.x)  # the standard's probability is below 1
        return
    # Without a third input it passes its input on; the share is kept for whoever trains on.
    at.finish("Dropout", at.x, at.constant("probability", op.probability))


@writes("flatten")
def _flatten(op: Op, at: Place) -> None:
    at.finish("Flatten", at.x, axis=1)
