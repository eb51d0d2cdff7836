"""Pieces of softmax and cross-entropy over rows of classes.

Where the classes of an item lie side by side, the passes over them are vector loops, and the sums
of `TOGETHER` rows advance at a time: an addition takes some four cycles, so one chain after the
other would wait for itself. Elsewhere vectors run across items. Either way an item's sum adds its
classes in order.
"""

from __future__ import annotations

from typing import Any

from engine.kernels import scalar
from engine.kernels.arithmetic import like
from engine.kernels.cpu._jit import WORK_BYTES, inline
from engine.kernels.cpu._vector import embed, lane, lanes_of, load, select, zeros

exponential = inline(scalar.exponential)
TOGETHER = 4
MOST = WORK_BYTES // 64
"""How many items at a time keep a number or two each in a thread's scratch."""


@embed
def largest(x: Any, place: int, count: int) -> Any:
    """Return the largest of `count` numbers from a flat place of flat memory on; a NaN wins."""
    top, shape, done = x[place], zeros(x, 1), 0
    if count >= lanes_of(shape):
        best = load(x, place, shape)
        done = lanes_of(shape)
        while done + lanes_of(shape) <= count:
            v = load(x, place + done, shape)
            best = select((v > best) | (v != v), v, best)
            done += lanes_of(shape)
        for number in range(lanes_of(shape)):
            v1 = lane(best, number)
            top = v1 if v1 > top or v1 != v1 else top
    rest = x[place + done :][: count - done]
    for i in range(rest.size):
        top = rest[i] if rest[i] > top or rest[i] != rest[i] else top
    return top


@inline
def exponentials_of_rows(x: Any, output: Any, classes: int, start: int, stop: int) -> None:
    """output = exp(x - largest of the row) for rows of flat memory."""
    for r in range(start, stop):
        top = largest(x, r * classes, classes)
        a, b = x[r * classes :][:classes], output[r * classes :][:classes]
        for c in range(a.size):
            b[c] = a[c] - top
    e = output[start * classes : stop * classes]
    for k in range(e.size):
        e[k] = exponential(e[k])


@inline
def sums_of_rows(e: Any, totals: Any, classes: int, count: int) -> None:
    """totals[r] = sum of a row of flat memory, classes in order."""
    for r in range(0, count - TOGETHER + 1, TOGETHER):
        t0 = t1 = t2 = t3 = like(e[0], 0)
        rows = e[r * classes :][: TOGETHER * classes]
        first, second = rows[:classes], rows[classes:][:classes]
        third, fourth = rows[2 * classes :][:classes], rows[3 * classes :][:classes]
        for c in range(first.size):
            t0, t1 = t0 + first[c], t1 + second[c]
            t2, t3 = t2 + third[c], t3 + fourth[c]
        totals[r], totals[r + 1], totals[r + 2], totals[r + 3] = t0, t1, t2, t3
    for r in range(count // TOGETHER * TOGETHER, count):
        total, row = like(e[0], 0), e[r * classes :][:classes]
        for c in range(row.size):
            total += row[c]
        totals[r] = total


@inline
def largest_across(x: Any, tops: Any, base: int, classes: int, inner: int) -> None:
    """tops[i] = largest of the classes of item i; classes lie `inner` apart in flat memory."""
    first = x[base:][: tops.size]
    for i in range(tops.size):
        tops[i] = first[i]
    for c in range(1, classes):
        a = x[base + c * inner :][: tops.size]
        for i in range(tops.size):
            tops[i] = a[i] if a[i] > tops[i] or a[i] != a[i] else tops[i]


@inline
def exponentials_across(
    x: Any, tops: Any, output: Any, totals: Any, base: int, classes: int, inner: int
) -> None:
    """output = exp(x - tops), totals = their sums; memory as for `largest_across`."""
    for i in range(totals.size):
        totals[i] = like(totals[i], 0)
    for c in range(classes):
        a, b = x[base + c * inner :][: tops.size], output[base + c * inner :][: tops.size]
        for i in range(tops.size):
            b[i] = exponential(a[i] - tops[i])
        for i in range(tops.size):
            totals[i] += b[i]
