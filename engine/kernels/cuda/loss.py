"""Losses: one value per item, their sum, and the gradient by the prediction."""

from __future__ import annotations

from engine.kernels import scalar
from engine.kernels.arithmetic import like
from engine.kernels.cuda._compat import device
from engine.kernels.cuda._index import items, split, up_to
from engine.kernels.cuda._jit import kernel
from engine.kernels.types import Flat, Real1, Real3

exponential = device(scalar.exponential)
logarithm = device(scalar.logarithm)
squared_error = device(scalar.squared_error)
squared_error_slope = device(scalar.squared_error_slope)
binary_cross_entropy = device(scalar.binary_cross_entropy)
binary_cross_entropy_slope = device(scalar.binary_cross_entropy_slope)


@kernel(over="losses")
def cross_entropy_forward(
    logits: Real3, target: Real3, exponentials: Real3, totals: Flat, masses: Flat, losses: Flat
) -> None:
    """losses[r, i] = sum of target * (log sum exp - logit); targets carry class weights.

    What the gradient needs too is kept: exp(logit - max), its sum, and the sum of the targets.
    """
    rows, classes, inner = logits.shape
    for item in items(rows * inner):
        r, i = split(item, inner)
        top = logits[r, 0, i]
        for c in up_to(classes):
            if logits[r, c, i] > top or logits[r, c, i] != logits[r, c, i]:
                top = logits[r, c, i]
        total, mass, loss = like(top, 0), like(top, 0), like(top, 0)
        for c in up_to(classes):
            e = exponential(logits[r, c, i] - top)
            exponentials[r, c, i] = e
            total += e
            mass += target[r, c, i]
        level = logarithm(total)
        for c in up_to(classes):
            if target[r, c, i] != 0:
                loss += target[r, c, i] * (level - (logits[r, c, i] - top))
        totals[item], masses[item], losses[item] = total, mass, loss


@kernel(over="scales")
def cross_entropy_backward(
    target: Real3, exponentials: Real3, totals: Flat, masses: Flat, scales: Flat, grad: Real3
) -> None:
    """grad = (softmax * sum of targets - target) * scale of the item."""
    rows, classes, inner = grad.shape
    for item in items(rows * inner):
        r, i = split(item, inner)
        for c in up_to(classes):
            share_of_class = exponentials[r, c, i] / totals[item]
            grad[r, c, i] = (share_of_class * masses[item] - target[r, c, i]) * scales[item]


@kernel(over="x")
def mean_squared_error_forward(x: Flat, target: Flat, losses: Flat) -> None:
    """losses = (x - target) squared."""
    for i in items(x.size):
        losses[i] = squared_error(x[i], target[i])


@kernel(over="x")
def mean_squared_error_backward(x: Flat, target: Flat, scales: Flat, grad: Flat) -> None:
    """grad = 2 (x - target) * scale."""
    for i in items(x.size):
        grad[i] = squared_error_slope(x[i], target[i]) * scales[i]


@kernel(over="x")
def binary_cross_entropy_forward(x: Flat, target: Flat, positive: Flat, losses: Flat) -> None:
    """losses = cross-entropy of sigmoid(x) with the target."""
    for i in items(x.size):
        losses[i] = binary_cross_entropy(x[i], target[i], positive[i])


@kernel(over="x")
def binary_cross_entropy_backward(
    x: Flat, target: Flat, positive: Flat, scales: Flat, grad: Flat
) -> None:
    """grad = derivative of the loss by the logit * scale."""
    for i in items(x.size):
        grad[i] = binary_cross_entropy_slope(x[i], target[i], positive[i]) * scales[i]


@kernel(over="value")
def sum_losses(losses: Flat, scales: Flat, value: Real1) -> None:
    """value[0] = sum of losses * scales in order, by the first thread alone."""
    for place in items(1):
        total = losses[0] * scales[0]
        for i in range(1, losses.size):
            total += losses[i] * scales[i]
        value[place] = total
