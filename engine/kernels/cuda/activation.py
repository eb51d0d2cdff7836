"""Activations and their gradients, element by element; softmax, one row to a thread."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cuda._compat import device
from engine.kernels.cuda._index import items, split, up_to
from engine.kernels.cuda._jit import kernel
from engine.kernels.settings import Slope
from engine.kernels.types import Flat, Real3

relu = device(scalar.relu)
relu_slope = device(scalar.relu_slope)
leaky_relu = device(scalar.leaky_relu)
leaky_relu_slope = device(scalar.leaky_relu_slope)
sigmoid = device(scalar.sigmoid)
sigmoid_slope = device(scalar.sigmoid_slope)
tanh = device(scalar.tanh)
tanh_slope = device(scalar.tanh_slope)
hard_swish = device(scalar.hard_swish)
hard_swish_slope = device(scalar.hard_swish_slope)
exponential = device(scalar.exponential)


@kernel(over="x")
def relu_forward(x: Flat, output: Flat) -> None:
    """output = max(x, 0)."""
    for i in items(x.size):
        output[i] = relu(x[i])


@kernel(over="x")
def relu_backward(x: Flat, grad_output: Flat, grad_input: Flat) -> None:
    """grad_input = grad_output where x > 0, else 0."""
    for i in items(x.size):
        grad_input[i] = grad_output[i] * relu_slope(x[i])


@kernel(over="x")
def leaky_relu_forward(x: Flat, output: Flat, s: Slope) -> None:
    """output = x above zero, slope * x below."""
    for i in items(x.size):
        output[i] = leaky_relu(x[i], s.slope)


@kernel(over="x")
def leaky_relu_backward(x: Flat, grad_output: Flat, grad_input: Flat, s: Slope) -> None:
    """grad_input = grad_output * (1 above zero, slope below)."""
    for i in items(x.size):
        grad_input[i] = grad_output[i] * leaky_relu_slope(x[i], s.slope)


@kernel(over="x")
def hard_swish_forward(x: Flat, output: Flat) -> None:
    """output = x * min(max(x + 3, 0), 6) / 6."""
    for i in items(x.size):
        output[i] = hard_swish(x[i])


@kernel(over="x")
def hard_swish_backward(x: Flat, grad_output: Flat, grad_input: Flat) -> None:
    """grad_input = grad_output * derivative."""
    for i in items(x.size):
        grad_input[i] = grad_output[i] * hard_swish_slope(x[i])


@kernel(over="x")
def sigmoid_forward(x: Flat, output: Flat) -> None:
    """output = 1 / (1 + exp(-x))."""
    for i in items(x.size):
        output[i] = sigmoid(x[i])


@kernel(over="output")
def sigmoid_backward(output: Flat, grad_output: Flat, grad_input: Flat) -> None:
    """grad_input = grad_output * output * (1 - output)."""
    for i in items(output.size):
        grad_input[i] = grad_output[i] * sigmoid_slope(output[i])


@kernel(over="x")
def tanh_forward(x: Flat, output: Flat) -> None:
    """output = tanh(x)."""
    for i in items(x.size):
        output[i] = tanh(x[i])


@kernel(over="output")
def tanh_backward(output: Flat, grad_output: Flat, grad_input: Flat) -> None:
    """grad_input = grad_output * (1 - output squared)."""
    for i in items(output.size):
        grad_input[i] = grad_output[i] * tanh_slope(output[i])


@kernel(over="x")
def softmax_forward(x: Real3, output: Real3) -> None:
    """output[r, :, i] = exp(x - max) / sum of exp(x - max), along the middle axis."""
    rows, classes, inner = x.shape
    for item in items(rows * inner):
        r, i = split(item, inner)
        top = x[r, 0, i]
        for c in up_to(classes):
            if x[r, c, i] > top or x[r, c, i] != x[r, c, i]:
                top = x[r, c, i]
        total = top - top
        for c in up_to(classes):
            e = exponential(x[r, c, i] - top)
            output[r, c, i] = e
            total += e
        for c in up_to(classes):
            output[r, c, i] /= total


@kernel(over="output")
def softmax_backward(output: Real3, grad_output: Real3, grad_input: Real3) -> None:
    """grad_input = output * (grad_output - sum of grad_output * output) along the middle axis."""
    rows, classes, inner = output.shape
    for item in items(rows * inner):
        r, i = split(item, inner)
        total = output[r, 0, i] - output[r, 0, i]
        for c in up_to(classes):
            total += grad_output[r, c, i] * output[r, c, i]
        for c in up_to(classes):
            grad_input[r, c, i] = output[r, c, i] * (grad_output[r, c, i] - total)
