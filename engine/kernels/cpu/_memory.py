"""Raw memory for kernels: copies between addresses, and each thread's own scratch."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from engine.kernels.cpu._jit import ROOM_BYTES, inline
from engine.kernels.cpu._tile import PANEL_BYTES
from engine.kernels.intrinsics import emitted
from engine.typing import Array


def thread_memory(threads: int) -> tuple[Array, int]:
    """Return scratch for a team and the address of its first page-aligned byte.

    It is not touched here, so only what kernels use takes up memory.
    """
    memory = np.empty(threads * ROOM_BYTES + 4096, np.uint8)
    return memory, memory.ctypes.data + -memory.ctypes.data % 4096


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.IntType(8).as_pointer())


@emitted
def copy_bytes(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
    """Emit a copy of `count` bytes between two addresses that do not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, there, size = arguments
        item = context.get_constant(types.int64, 1)
        cgutils.raw_memcpy(builder, _pointer(builder, to), _pointer(builder, there), size, item)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@emitted
def zero_bytes(typing_context: Any, target: Any, count: Any) -> Any:
    """Emit zeroing of `count` bytes from an address on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        cgutils.memset(builder, _pointer(builder, arguments[0]), arguments[1], 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@emitted
def put(typing_context: Any, address: Any, value: Any) -> Any:
    """Emit a store of a number at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], arguments[1].type.as_pointer())
        builder.store(arguments[1], pointer)
        return context.get_dummy_value()

    return types.void(types.int64, value), generate


@emitted
def numbers_at(typing_context: Any, address: Any, count: Any, one: Any) -> Any:
    """``numbers_at(address, count, one)``: memory there as an array of numbers of the type of one.

    Kernels keep numbers for themselves in their scratch: nothing is allocated while they run.
    """
    kind = types.Array(one, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from numba.np import arrayobj  # what only the compiler needs is imported by it alone

        structure = arrayobj.make_array(kind)(context, builder)
        item = context.get_constant(types.intp, one.bitwidth // 8)
        arrayobj.populate_array(
            structure,
            data=builder.inttoptr(arguments[0], structure.data.type),
            shape=cgutils.pack_array(builder, [arguments[1]]),
            strides=cgutils.pack_array(builder, [item]),
            itemsize=item,
            meminfo=None,
        )
        return structure._getvalue()

    return kind(types.int64, types.int64, one), generate


@emitted
def finish_stores(typing_context: Any) -> Any:
    """Emit a wait for stores past the caches: others may read what they wrote."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@inline
def copy_window(
    target: int,
    source: int,
    row: int,
    rows: int,
    column: int,
    columns: int,
    height: int,
    width: int,
    pixel: int,
) -> None:
    """Copy rows and columns of an image from (row, column) on, zeros where it has none.

    Parameters
    ----------
    target, source : int
        Addresses; the target's rows follow each other without a gap.
    row, rows, column, columns : int
        What is copied; it may begin before the image and end after it.
    height, width : int
        Of the image.
    pixel : int
        Bytes of all channels of a pixel.
    """
    before = min(max(-column, 0), columns)
    taken = max(min(width - max(column, 0), columns - before), 0)
    after = columns - before - taken
    for r in range(rows):
        line, y = target + r * columns * pixel, row + r
        if y < 0 or y >= height:
            zero_bytes(line, columns * pixel)
            continue
        if before:
            zero_bytes(line, before * pixel)
        if taken:
            first = source + (y * width + max(column, 0)) * pixel
            copy_bytes(line + before * pixel, first, taken * pixel)
        if after:
            zero_bytes(line + (before + taken) * pixel, after * pixel)


@inline
def copy_planes(
    target: int,
    plane: int,
    source: int,
    size: int,
    window: tuple[int, int, int, int],
    image: tuple[int, int, int],
) -> None:
    """Copy a window of an image, zeros where it has none, as planes of a panel's width of channels.

    Each plane holds the window's pixels, a panel apart. What the last plane has too much comes from
    the next pixel; it is there to be read, and never used.

    Parameters
    ----------
    target, source : int
        Addresses.
    plane : int
        Bytes from plane to plane in the target.
    size : int
        Bytes of the channels of a pixel that are copied.
    window : (row, rows, column, columns)
        It may begin before the image and end after it.
    image : (height, width, bytes of a pixel)
    """
    row, rows, column, columns = window
    height, width, pixel = image
    before = min(max(-column, 0), columns)
    taken = max(min(width - max(column, 0), columns - before), 0)
    after = columns - before - taken
    line = target
    for y in range(row, row + rows):
        if y < 0 or y >= height:
            fill_planes(line, plane, size, columns)
        else:
            fill_planes(line, plane, size, before)
            first = source + (y * width + max(column, 0)) * pixel
            for x in range(before, before + taken):
                # A pixel as a whole: so its memory is read in order.
                there = line + x * PANEL_BYTES
                for place in range(0, size, PANEL_BYTES):
                    copy_bytes(there, first + place, PANEL_BYTES)
                    there += plane
                first += pixel
            fill_planes(line + (before + taken) * PANEL_BYTES, plane, size, after)
        line += columns * PANEL_BYTES


@inline
def fill_planes(target: int, plane: int, size: int, count: int) -> None:
    """Fill `count` neighbouring pixels of all planes with zeros."""
    if count > 0:
        for _ in range(0, size, PANEL_BYTES):
            zero_bytes(target, count * PANEL_BYTES)
            target += plane
