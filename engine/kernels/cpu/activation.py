"""Activations and their gradients, element by element.

Every loop runs over slices that start at zero: with a start that could be negative Numba's index
wrap-around keeps LLVM from using vector instructions.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._share import share
from engine.kernels.settings import Slope
from engine.kernels.types import Flat, Real3

relu = inline(scalar.relu)
relu_slope = inline(scalar.relu_slope)
leaky_relu = inline(scalar.leaky_relu)
leaky_relu_slope = inline(scalar.leaky_relu_slope)
sigmoid = inline(scalar.sigmoid)
sigmoid_slope = inline(scalar.sigmoid_slope)
tanh = inline(scalar.tanh)
tanh_slope = inline(scalar.tanh_slope)
hard_swish = inline(scalar.hard_swish)
hard_swish_slope = inline(scalar.hard_swish_slope)
exponential = inline(scalar.exponential)


@kernel
def relu_forward(x: Flat, output: Flat, thread: int, threads: int) -> None:
    """output = max(x, 0)."""
    start, stop = share(x.size, thread, threads)
    a, b = x[start:stop], output[start:stop]
    for i in range(a.size):
        b[i] = relu(a[i])


@kernel
def relu_backward(x: Flat, grad_output: Flat, grad_input: Flat, thread: int, threads: int) -> None:
    """grad_input = grad_output where x > 0, else 0."""
    start, stop = share(x.size, thread, threads)
    a, g, b = x[start:stop], grad_output[start:stop], grad_input[start:stop]
    for i in range(a.size):
        b[i] = g[i] * relu_slope(a[i])


@kernel
def leaky_relu_forward(x: Flat, output: Flat, s: Slope, thread: int, threads: int) -> None:
    """output = x above zero, slope * x below."""
    start, stop = share(x.size, thread, threads)
    a, b = x[start:stop], output[start:stop]
    for i in range(a.size):
        b[i] = leaky_relu(a[i], s.slope)


@kernel
def leaky_relu_backward(
    x: Flat, grad_output: Flat, grad_input: Flat, s: Slope, thread: int, threads: int
) -> None:
    """grad_input = grad_output * (1 above zero, slope below)."""
    start, stop = share(x.size, thread, threads)
    a, g, b = x[start:stop], grad_output[start:stop], grad_input[start:stop]
    for i in range(a.size):
        b[i] = g[i] * leaky_relu_slope(a[i], s.slope)


@kernel
def sigmoid_forward(x: Flat, output: Flat, thread: int, threads: int) -> None:
    """output = 1 / (1 + exp(-x))."""
    start, stop = share(x.size, thread, threads)
    a, b = x[start:stop], output[start:stop]
    for i in range(a.size):
        b[i] = sigmoid(a[i])


@kernel
def sigmoid_backward(
    output: Flat, grad_output: Flat, grad_input: Flat, thread: int, threads: int
) -> None:
    """grad_input = grad_output * output * (1 - output)."""
    start, stop = share(output.size, thread, threads)
    y, g, b = output[start:stop], grad_output[start:stop], grad_input[start:stop]
    for i in range(y.size):
        b[i] = g[i] * sigmoid_slope(y[i])


@kernel
def tanh_forward(x: Flat, output: Flat, thread: int, threads: int) -> None:
    """output = tanh(x)."""
    start, stop = share(x.size, thread, threads)
    a, b = x[start:stop], output[start:stop]
    for i in range(a.size):
        b[i] = tanh(a[i])


@kernel
def tanh_backward(
    output: Flat, grad_output: Flat, grad_input: Flat, thread: int, threads: int
) -> None:
    """grad_input = grad_output * (1 - output squared)."""
    start, stop = share(output.size, thread, threads)
    y, g, b = output[start:stop], grad_output[start:stop], grad_input[start:stop]
    for i in range(y.size):
        b[i] = g[i] * tanh_slope(y[i])


@kernel
def hard_swish_forward(x: Flat, output: Flat, thread: int, threads: int) -> None:
    """output = x * min(max(x + 3, 0), 6) / 6."""
    start, stop = share(x.size, thread, threads)
    a, b = x[start:stop], output[start:stop]
    for i in range(a.size):
        b[i] = hard_swish(a[i])


@kernel
def hard_swish_backward(
    x: Flat, grad_output: Flat, grad_input: Flat, thread: int, threads: int
) -> None:
    """grad_input = grad_output * derivative."""
    start, stop = share(x.size, thread, threads)
    a, g, b = x[start:stop], grad_output[start:stop], grad_input[start:stop]
    for i in range(a.size):
        b[i] = g[i] * hard_swish_slope(a[i])


@kernel
def softmax_forward(x: Real3, output: Real3, thread: int, threads: int) -> None:
    """output[r, :, i] = exp(x - max) / sum of exp(x - max), along the middle axis."""
    rows, classes, inner = x.shape
    start, stop = share(rows * inner, thread, threads)
    for item in range(start, stop):
        r, i = item // inner, item % inner
        top = x[r, 0, i]
        for c in range(1, classes):
            if x[r, c, i] > top or x[r, c, i] != x[r, c, i]:
                top = x[r, c, i]
        total = top - top
        for c in range(classes):
            e = exponential(x[r, c, i] - top)
            output[r, c, i] = e
            total += e
        for c in range(classes):
            output[r, c, i] /= total


@kernel
def softmax_backward(
    output: Real3, grad_output: Real3, grad_input: Real3, thread: int, threads: int
) -> None:
    """grad_input = output * (grad_output - sum of grad_output * output) along the middle axis."""
    rows, classes, inner = output.shape
    start, stop = share(rows * inner, thread, threads)
    for item in range(start, stop):
        r, i = item // inner, item % inner
        total = output[r, 0, i] - output[r, 0, i]
        for c in range(classes):
            total += grad_output[r, c, i] * output[r, c, i]
        for c in range(classes):
            grad_input[r, c, i] = output[r, c, i] * (grad_output[r, c, i] - total)
