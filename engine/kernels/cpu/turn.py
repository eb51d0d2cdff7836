"""Weights turned for the way back: what was summed over becomes the lanes.

Squares of as many numbers as a vector holds, each way, are turned in registers; what is left over
at the edges, one by one. `plain_turn.py` has the kernels as plain loops.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from engine.kernels.cpu import plain_turn
from engine.kernels.cpu._jit import inline
from engine.kernels.cpu._memory import numbers_at
from engine.kernels.cpu._microkernel import PANEL_BYTES
from engine.kernels.cpu._share import share
from engine.kernels.cpu._vector import vectorised
from engine.kernels.cpu._width import VECTOR_BYTES
from engine.kernels.intrinsics import emitted
from engine.kernels.settings import Window
from engine.kernels.types import Real3, Real5


@emitted
def _turn_square(typing_context: Any, one: Any, target: Any, source: Any) -> Any:
    """Emit the transposition of a square of a vector's width; rows lie a panel apart."""
    size = one.bitwidth // 8
    width = VECTOR_BYTES // size

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(context.get_value_type(one), width)

        def place(address: Any, row: int) -> Any:
            there = builder.add(address, ir.Constant(ir.IntType(64), row * PANEL_BYTES))
            return builder.inttoptr(there, vector.as_pointer())

        rows = [builder.load(place(arguments[2], row), align=size) for row in range(width)]
        step = 1
        while step < width:
            # Rows `step` apart exchange the halves of blocks of 2 * step lanes that are not theirs.
            lanes = range(width)
            low = [lane if not lane & step else width + lane - step for lane in lanes]
            high = [lane + step if not lane & step else width + lane for lane in lanes]
            kind = ir.VectorType(ir.IntType(32), width)
            turned = list(rows)
            for row in range(width):
                if not row & step:
                    pair = rows[row], rows[row + step]
                    turned[row] = builder.shuffle_vector(*pair, ir.Constant(kind, low))
                    turned[row + step] = builder.shuffle_vector(*pair, ir.Constant(kind, high))
            rows, step = turned, 2 * step
        for number, row in enumerate(rows):
            builder.store(row, place(arguments[1], number), align=size)
        return context.get_dummy_value()

    return types.void(one, types.int64, types.int64), generate


@inline
def turn_block(one: Any, item: int, source: int, target: int, rows: int, lanes: int) -> None:
    """Turn the first `lanes` lanes of at most a panel's width of rows; rows lie a panel apart."""
    width, step = VECTOR_BYTES // item, PANEL_BYTES // item
    values = numbers_at(source, rows * step, one)
    numbers = numbers_at(target, lanes * step, one)
    for i in range(0, rows, width):
        for o in range(0, lanes, width):
            if i + width <= rows and o + width <= lanes:
                there, here = target + o * PANEL_BYTES, source + i * PANEL_BYTES
                _turn_square(one, there + i * item, here + o * item)
                continue
            for row in range(i, min(i + width, rows)):
                for lane in range(o, min(o + width, lanes)):
                    numbers[lane * step + row] = values[row * step + lane]


@vectorised(plain_turn.dense_turn_weight)
def dense_turn_weight(weight: Real3, turned: Real3, thread: int, threads: int) -> None:
    """Panel by panel of the turned weight; see `plain_turn.dense_turn_weight`."""
    panels, inputs, lanes = weight.shape
    outputs = turned.shape[1]
    one, item = weight.dtype.type(1), weight.itemsize
    start, stop = share(turned.shape[0], thread, threads)
    for across in range(start, stop):
        rows = min(lanes, inputs - across * lanes)
        for panel in range(panels):
            source = weight.ctypes.data + (panel * inputs + across * lanes) * PANEL_BYTES
            target = turned.ctypes.data + (across * outputs + panel * lanes) * PANEL_BYTES
            turn_block(one, item, source, target, rows, min(lanes, outputs - panel * lanes))


@vectorised(plain_turn.conv2d_turn_weight)
def conv2d_turn_weight(weight: Real5, turned: Real5, s: Window, thread: int, threads: int) -> None:
    """Kernel place by kernel place; see `plain_turn.conv2d_turn_weight`."""
    panels, kernel_y, kernel_x, group_in, lanes = weight.shape
    outputs, taps = turned.shape[3], kernel_y * kernel_x
    one, item = weight.dtype.type(1), weight.itemsize
    # Squares are shared, not places: a 1x1 kernel has only one of these.
    start, stop = share(taps * panels, thread, threads)
    for task in range(start, stop):
        tap, panel = task // panels, task % panels
        other = tap if s.flip else taps - 1 - tap
        count = min(lanes, outputs - panel * lanes)
        for low in range(0, group_in, lanes):
            source = ((panel * taps + tap) * group_in + low) * PANEL_BYTES
            target = ((low // lanes * taps + other) * outputs + panel * lanes) * PANEL_BYTES
            rows = min(lanes, group_in - low)
            turn_block(
                one, item, weight.ctypes.data + source, turned.ctypes.data + target, rows, count
            )
