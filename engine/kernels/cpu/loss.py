"""Losses: one value per item, their sum, and the gradient by the prediction."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.cpu._jit import inline, kernel
from engine.kernels.cpu._share import share
from engine.kernels.settings import Strength
from engine.kernels.types import Flat, Real1, Real3

exponential = inline(scalar.exponential)
logarithm = inline(scalar.logarithm)
squared_error = inline(scalar.squared_error)
squared_error_slope = inline(scalar.squared_error_slope)
binary_cross_entropy = inline(scalar.binary_cross_entropy)
binary_cross_entropy_slope = inline(scalar.binary_cross_entropy_slope)
l1_gradient = inline(scalar.l1_gradient)
l2_gradient = inline(scalar.l2_gradient)


@kernel
def cross_entropy_forward(
    logits: Real3, target: Real3, losses: Flat, thread: int, threads: int
) -> None:
    """losses[r, i] = sum over classes of target * (log sum exp - logit).

    Targets carry the class weights.
    """
    rows, classes, inner = logits.shape
    start, stop = share(rows * inner, thread, threads)
    for item in range(start, stop):
        r, i = item // inner, item % inner
        top = logits[r, 0, i]
        for c in range(1, classes):
            if logits[r, c, i] > top or logits[r, c, i] != logits[r, c, i]:
                top = logits[r, c, i]
        total = top - top
        for c in range(classes):
            total += exponential(logits[r, c, i] - top)
        level = logarithm(total)
        loss = top - top
        for c in range(classes):
            if target[r, c, i] != 0:
                loss += target[r, c, i] * (level - (logits[r, c, i] - top))
        losses[item] = loss


@kernel
def cross_entropy_backward(
    logits: Real3, target: Real3, scales: Flat, grad: Real3, thread: int, threads: int
) -> None:
    """grad = (softmax * sum of targets - target) * scale of the item."""
    rows, classes, inner = logits.shape
    start, stop = share(rows * inner, thread, threads)
    for item in range(start, stop):
        r, i = item // inner, item % inner
        top = logits[r, 0, i]
        for c in range(1, classes):
            if logits[r, c, i] > top or logits[r, c, i] != logits[r, c, i]:
                top = logits[r, c, i]
        total, mass = top - top, top - top
        for c in range(classes):
            total += exponential(logits[r, c, i] - top)
            mass += target[r, c, i]
        for c in range(classes):
            share_of_class = exponential(logits[r, c, i] - top) / total
            grad[r, c, i] = (share_of_class * mass - target[r, c, i]) * scales[item]


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


@kernel
def l2_penalty(weight: Flat, value: Real1, s: Strength, thread: int, threads: int) -> None:
    """value[0] += strength * sum of w squared, by the first thread alone."""
    if thread == 0:
        total = s.strength - s.strength
        for i in range(weight.size):
            total += weight[i] * weight[i]
        value[0] += s.strength * total


@kernel
def l1_penalty(weight: Flat, value: Real1, s: Strength, thread: int, threads: int) -> None:
    """value[0] += strength * sum of |w|, by the first thread alone."""
    if thread == 0:
        total = s.strength - s.strength
        for i in range(weight.size):
            total += abs(weight[i])
        value[0] += s.strength * total


@kernel
def l2_penalty_gradient(
    weight: Flat, grad_weight: Flat, s: Strength, thread: int, threads: int
) -> None:
    """grad_weight += 2 strength w."""
    start, stop = share(weight.size, thread, threads)
    w, g = weight[start:stop], grad_weight[start:stop]
    for i in range(w.size):
        g[i] = l2_gradient(w[i], g[i], s.strength)


@kernel
def l1_penalty_gradient(
    weight: Flat, grad_weight: Flat, s: Strength, thread: int, threads: int
) -> None:
    """grad_weight += strength * sign of w."""
    start, stop = share(weight.size, thread, threads)
    w, g = weight[start:stop], grad_weight[start:stop]
    for i in range(w.size):
        g[i] = l1_gradient(w[i], g[i], s.strength)
