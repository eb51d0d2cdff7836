"""Losses: one value per item, their sum, and the gradient by the prediction."""

from __future__ import annotations

from typing import Any

from engine.kernels import scalar
from engine.kernels.arithmetic import like
from engine.kernels.cpu import plain_softmax
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._memory import numbers_at
from engine.kernels.cpu._share import share
from engine.kernels.cpu._softmax import (
    MOST,
    exponentials_across,
    exponentials_of_rows,
    largest,
    largest_across,
    sums_of_rows,
)
from engine.kernels.cpu._vector import embed, lanes_of, load, some, vectorised, zeros
from engine.kernels.types import Flat, Real1, Real3

logarithm = inline(scalar.logarithm)
squared_error = inline(scalar.squared_error)
squared_error_slope = inline(scalar.squared_error_slope)
binary_cross_entropy = inline(scalar.binary_cross_entropy)
binary_cross_entropy_slope = inline(scalar.binary_cross_entropy_slope)


@embed
def _loss_of_row(x: Any, target: Any, total: Any, classes: int) -> Any:
    """Return loss and sum of targets of one item whose classes lie side by side.

    All but a few targets are 0, and a vector of them is passed over at once.
    """
    top, level = largest(x, 0, classes), logarithm(total)
    loss, mass, shape, c = like(total, 0), like(total, 0), zeros(target, 1), 0
    while c < classes:
        if c + lanes_of(shape) <= classes and not some(load(target, c, shape) != shape):
            c += lanes_of(shape)
            continue
        for k in range(c, min(c + lanes_of(shape), classes)):
            if target[k] != 0:
                loss += target[k] * (level - (x[k] - top))
                mass += target[k]
        c += lanes_of(shape)
    return loss, mass


@vectorised(plain_softmax.cross_entropy_forward)
def cross_entropy_forward(
    logits: Real3,
    target: Real3,
    exponentials: Real3,
    totals: Flat,
    masses: Flat,
    losses: Flat,
    work: int,
    thread: int,
    threads: int,
) -> None:
    """losses[r, i] = sum over classes of target * (log sum exp - logit).

    Targets carry the class weights. What the gradient needs too is kept: exp(logit - max), its sum
    over the classes, and the sum of the targets.
    """
    rows, classes, inner = logits.shape
    x, e, t = (
        logits.reshape(logits.size),
        exponentials.reshape(logits.size),
        target.reshape(logits.size),
    )
    if inner == 1:
        start, stop = share(rows, thread, threads)
        exponentials_of_rows(x, e, classes, start, stop)
        sums_of_rows(e[start * classes :], totals[start:], classes, stop - start)
        for r in range(start, stop):
            low, high = r * classes, (r + 1) * classes
            result = _loss_of_row(x[low:high], t[low:high], totals[r], classes)
            losses[r], masses[r] = result
        return
    start, stop = share(rows * inner, thread, threads)
    one = logits.dtype.type(1)
    tops = numbers_at(work, MOST, one)
    levels = numbers_at(work + MOST * logits.itemsize, MOST, one)
    item = start
    while item < stop:
        r, i = item // inner, item % inner
        count = min(inner - i, stop - item, MOST)
        base = r * classes * inner + i
        top, level, total = tops[:count], levels[:count], totals[item : item + count]
        loss, mass = losses[item : item + count], masses[item : item + count]
        largest_across(x, top, base, classes, inner)
        exponentials_across(x, top, e, total, base, classes, inner)
        for k in range(loss.size):
            level[k], loss[k], mass[k] = logarithm(total[k]), like(loss[k], 0), like(mass[k], 0)
        for c in range(classes):
            logit, wanted = x[base + c * inner :][:count], t[base + c * inner :][:count]
            for k in range(mass.size):
                mass[k] += wanted[k]
            for k in range(loss.size):
                if wanted[k] != 0:
                    loss[k] += wanted[k] * (level[k] - (logit[k] - top[k]))
        item += count


@kernel
def cross_entropy_backward(
    target: Real3,
    exponentials: Real3,
    totals: Flat,
    masses: Flat,
    scales: Flat,
    grad: Real3,
    thread: int,
    threads: int,
) -> None:
    """grad = (softmax * sum of targets - target) * scale of the item."""
    rows, classes, inner = grad.shape
    e, t, g = exponentials.reshape(grad.size), target.reshape(grad.size), grad.reshape(grad.size)
    if inner == 1:
        start, stop = share(rows, thread, threads)
        for r in range(start, stop):
            low, high = r * classes, (r + 1) * classes
            a, b, d = e[low:high], t[low:high], g[low:high]
            total, mass, scale = totals[r], masses[r], scales[r]
            for c in range(d.size):
                d[c] = (a[c] / total * mass - b[c]) * scale
        return
    start, stop = share(rows * inner, thread, threads)
    item = start
    while item < stop:
        r, i = item // inner, item % inner
        count = min(inner - i, stop - item)
        base = r * classes * inner + i
        sums, weight = totals[item : item + count], masses[item : item + count]
        factor = scales[item : item + count]
        for c in range(classes):
            a, b = e[base + c * inner :][:count], t[base + c * inner :][:count]
            d = g[base + c * inner :][:count]
            for k in range(d.size):
                d[k] = a[k] / sums[k] * weight[k]
            for k in range(d.size):
                d[k] = (d[k] - b[k]) * factor[k]
        item += count


@kernel
def mean_squared_error_forward(
    x: Flat, target: Flat, losses: Flat, thread: int, threads: int
) -> None:
    """losses = (x - target) squared."""
    start, stop = share(x.size, thread, threads)
    a, t, b = x[start:stop], target[start:stop], losses[start:stop]
    for i in range(a.size):
        b[i] = squared_error(a[i], t[i])


@kernel
def mean_squared_error_backward(
    x: Flat, target: Flat, scales: Flat, grad: Flat, thread: int, threads: int
) -> None:
    """grad = 2 (x - target) * scale."""
    start, stop = share(x.size, thread, threads)
    a, t, s, b = x[start:stop], target[start:stop], scales[start:stop], grad[start:stop]
    for i in range(a.size):
        b[i] = squared_error_slope(a[i], t[i]) * s[i]


@kernel
def binary_cross_entropy_forward(
    x: Flat, target: Flat, positive: Flat, losses: Flat, thread: int, threads: int
) -> None:
    """losses = cross-entropy of sigmoid(x) with the target."""
    start, stop = share(x.size, thread, threads)
    a, t, p, b = x[start:stop], target[start:stop], positive[start:stop], losses[start:stop]
    for i in range(a.size):
        b[i] = binary_cross_entropy(a[i], t[i], p[i])


@kernel
def binary_cross_entropy_backward(
    x: Flat, target: Flat, positive: Flat, scales: Flat, grad: Flat, thread: int, threads: int
) -> None:
    """grad = derivative of the loss by the logit * scale."""
    start, stop = share(x.size, thread, threads)
    a, t, p = x[start:stop], target[start:stop], positive[start:stop]
    s, b = scales[start:stop], grad[start:stop]
    for i in range(a.size):
        b[i] = binary_cross_entropy_slope(a[i], t[i], p[i]) * s[i]


@kernel
def sum_losses(losses: Flat, scales: Flat, value: Real1, thread: int, threads: int) -> None:
    """value[0] = sum of losses * scales in order, by the first thread alone."""
    if thread == 0:
        total = losses[0] * scales[0]
        for i in range(1, losses.size):
            total += losses[i] * scales[i]
        value[0] = total
