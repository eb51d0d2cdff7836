"""Plain loops of softmax and cross-entropy; see `plain.py`. An item's sums add classes in order."""

from __future__ import annotations

from typing import Any

from engine.kernels import scalar
from engine.kernels.arithmetic import like
from engine.kernels.cpu._jit import inline, plain
from engine.kernels.cpu._share import share
from engine.kernels.types import Flat, Real3

exponential = inline(scalar.exponential)
logarithm = inline(scalar.logarithm)


@inline
def _largest(x: Any, r: int, i: int) -> Any:
    """Return the largest class of an item; a NaN wins."""
    top = x[r, 0, i]
    for c in range(1, x.shape[1]):
        if x[r, c, i] > top or x[r, c, i] != x[r, c, i]:
            top = x[r, c, i]
    return top


@plain
def softmax_forward(x: Real3, output: Real3, thread: int, threads: int) -> None:
    """output[r, :, i] = exp(x - max) / sum of exp(x - max), along the middle axis."""
    rows, classes, inner = x.shape
    start, stop = share(rows * inner, thread, threads)
    for item in range(start, stop):
        r, i = item // inner, item % inner
        top = _largest(x, r, i)
        total = like(top, 0)
        for c in range(classes):
            output[r, c, i] = exponential(x[r, c, i] - top)
            total += output[r, c, i]
        for c in range(classes):
            output[r, c, i] /= total


@plain
def softmax_backward(
    output: Real3, grad_output: Real3, grad_input: Real3, thread: int, threads: int
) -> None:
    """grad_input = output * (grad_output - sum of grad_output * output) along the middle axis."""
    rows, classes, inner = output.shape
    start, stop = share(rows * inner, thread, threads)
    for item in range(start, stop):
        r, i = item // inner, item % inner
        total = like(output[r, 0, i], 0)
        for c in range(classes):
            total += grad_output[r, c, i] * output[r, c, i]
        for c in range(classes):
            grad_input[r, c, i] = output[r, c, i] * (grad_output[r, c, i] - total)


@plain
def cross_entropy_forward(
    logits: Real3,
    target: Real3,
    exponentials: Real3,
    totals: Flat,
    masses: Flat,
    losses: Flat,
    thread: int,
    threads: int,
) -> None:
    """losses[r, i] = sum over classes of target * (log sum exp - logit).

    Targets carry the class weights. What the gradient needs too is kept: exp(logit - max), its sum
    over the classes, and the sum of the targets.
    """
    rows, classes, inner = logits.shape
    start, stop = share(rows * inner, thread, threads)
    for item in range(start, stop):
        r, i = item // inner, item % inner
        top = _largest(logits, r, i)
        total, mass, loss = like(top, 0), like(top, 0), like(top, 0)
        for c in range(classes):
            exponentials[r, c, i] = exponential(logits[r, c, i] - top)
            total += exponentials[r, c, i]
            mass += target[r, c, i]
        level = logarithm(total)
        for c in range(classes):
            if target[r, c, i] != 0:
                loss += target[r, c, i] * (level - (logits[r, c, i] - top))
        totals[item], masses[item], losses[item] = total, mass, loss
