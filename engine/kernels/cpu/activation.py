"""Activations and their gradients, element by element.

Every loop runs over slices that start at zero: with a start that could be negative Numba's index
wrap-around keeps LLVM from using vector instructions.
"""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cpu import plain_softmax
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._memory import numbers_at
from engine.kernels.cpu._share import share
from engine.kernels.cpu._softmax import (
    MOST,
    exponentials_across,
    exponentials_of_rows,
    largest_across,
    sums_of_rows,
)
from engine.kernels.cpu._vector import vectorised
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


@vectorised(plain_softmax.softmax_forward)
def softmax_forward(x: Real3, output: Real3, work: int, thread: int, threads: int) -> None:
    """output[r, :, i] = exp(x - max) / sum of exp(x - max), along the middle axis."""
    rows, classes, inner = x.shape
    a, b, one = x.reshape(x.size), output.reshape(output.size), x.dtype.type(1)
    sums = numbers_at(work, MOST, one)
    if inner == 1:
        start, stop = share(rows, thread, threads)
        for first in range(start, stop, MOST):
            count = min(MOST, stop - first)
            part = b[first * classes :][: count * classes]
            exponentials_of_rows(a, b, classes, first, first + count)
            sums_of_rows(part, sums, classes, count)
            for r in range(count):
                row, total = part[r * classes :][:classes], sums[r]
                for c in range(row.size):
                    row[c] /= total
        return
    tops = numbers_at(work + MOST * x.itemsize, MOST, one)
    start, stop = share(rows * inner, thread, threads)
    item = start
    while item < stop:
        r, i = item // inner, item % inner
        count = min(inner - i, stop - item, MOST)
        base, top, total_of = r * classes * inner + i, tops[:count], sums[:count]
        largest_across(a, top, base, classes, inner)
        exponentials_across(a, top, b, total_of, base, classes, inner)
        for c in range(classes):
            line = b[base + c * inner :][:count]
            for k in range(line.size):
                line[k] /= total_of[k]
        item += count


@vectorised(plain_softmax.softmax_backward)
def softmax_backward(
    output: Real3, grad_output: Real3, grad_input: Real3, work: int, thread: int, threads: int
) -> None:
    """grad_input = output * (grad_output - sum of grad_output * output) along the middle axis."""
    rows, classes, inner = output.shape
    y, g = output.reshape(output.size), grad_output.reshape(output.size)
    z = grad_input.reshape(output.size)
    sums = numbers_at(work, MOST, output.dtype.type(1))
    if inner == 1:
        start, stop = share(rows, thread, threads)
        for first in range(start, stop, MOST):
            count = min(MOST, stop - first)
            low, size = first * classes, count * classes
            a, b, d = y[low:][:size], g[low:][:size], z[low:][:size]
            for k in range(d.size):
                d[k] = b[k] * a[k]
            sums_of_rows(d, sums, classes, count)
            for r in range(count):
                p, q = a[r * classes :][:classes], b[r * classes :][:classes]
                row, total = d[r * classes :][:classes], sums[r]
                for c in range(row.size):
                    row[c] = p[c] * (q[c] - total)
        return
    start, stop = share(rows * inner, thread, threads)
    item = start
    while item < stop:
        r, i = item // inner, item % inner
        count = min(inner - i, stop - item, MOST)
        base, total_of = r * classes * inner + i, sums[:count]
        for k in range(total_of.size):
            total_of[k] = 0
        for c in range(classes):
            p, q = y[base + c * inner :][:count], g[base + c * inner :][:count]
            for k in range(total_of.size):
                total_of[k] += q[k] * p[k]
        for c in range(classes):
            p, q = y[base + c * inner :][:count], g[base + c * inner :][:count]
            line = z[base + c * inner :][:count]
            for k in range(line.size):
                line[k] = p[k] * (q[k] - total_of[k])
        item += count
