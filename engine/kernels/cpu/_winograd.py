"""Tile transforms of Winograd convolution as vector code: one tile, many channels at a time.

The formulas are those of `engine.kernels.winograd`, word for word: its functions run here once,
while code is generated, with vectors in place of numbers. A compiler does not get there by itself,
because it cannot know that so many inputs and outputs do not overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np import arrayobj

from engine.kernels import winograd
from engine.kernels.cpu._jit import JIT_DISABLED
from engine.kernels.cpu._tile import VECTOR_BYTES
from engine.kernels.intrinsics import emitted


class _Lanes:
    """A vector (or a single number) of generated code that can be reckoned with."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: _Lanes) -> _Lanes:
        return _Lanes(self.builder, self.builder.fadd(self.value, other.value))

    def __sub__(self, other: _Lanes) -> _Lanes:
        return _Lanes(self.builder, self.builder.fsub(self.value, other.value))

    def __mul__(self, other: _Lanes) -> _Lanes:
        return _Lanes(self.builder, self.builder.fmul(self.value, other.value))

    def __neg__(self) -> _Lanes:
        return _Lanes(self.builder, self.builder.fneg(self.value))


def _fma(a: _Lanes, b: _Lanes, c: _Lanes) -> _Lanes:
    builder, kind = c.builder, c.value.type
    real = kind.element if isinstance(kind, ir.VectorType) else kind
    bits = 32 if isinstance(real, ir.FloatType) else 64
    name = f"llvm.fma.f{bits}" if real is kind else f"llvm.fma.v{kind.count}f{bits}"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * 3), name
    )
    return _Lanes(builder, builder.call(function, [a.value, b.value, c.value]))


def _like(x: _Lanes, value: float) -> _Lanes:
    kind = x.value.type
    if isinstance(kind, ir.VectorType):
        return _Lanes(x.builder, ir.Constant(kind, [float(value)] * kind.count))
    return _Lanes(x.builder, ir.Constant(kind, float(value)))


_line = winograd.with_primitives(fma=_fma, like=_like)["line"]


class _Emitter:
    """Writes the transform of one tile for a run of neighbouring channels."""

    def __init__(self, builder: Any, kind: int, tile: int, biased: bool, real: Any) -> None:
        self.builder, self.kind, self.tile, self.biased = builder, kind, tile, biased
        self.real, self.bytes = real, 4 if isinstance(real, ir.FloatType) else 8
        self.before, self.after = winograd.edges(kind, tile)

    def address(self, table: Any, number: int, offset: Any) -> Any:
        """Return entry `number` of a table of addresses, moved by `offset` bytes."""
        place = cgutils.gep_inbounds(self.builder, table, number)
        return self.builder.add(self.builder.load(place), offset)

    def emit(self, tables: Sequence[Any], offsets: Sequence[Any], kind: Any) -> None:
        """Write the transform of the lanes at `offsets`; `kind` is a vector or a number."""
        builder, size = self.builder, self.tile + 2
        (sources, targets), (offset, target_offset) = tables, offsets
        values: list[Any] = [None] * size**2
        for column in range(self.before):
            for row in range(self.before):
                place = self.address(sources, row * self.before + column, offset)
                values[row * size + column] = self.load(place, kind)
            _line(self.kind, self.tile, values, column, size)
        if self.biased:
            bias = self.load(self.address(sources, self.before**2, offset), kind)
        for row in range(self.after):
            _line(self.kind, self.tile, values, row * size, 1)
            for column in range(self.after):
                value = values[row * size + column]
                if self.biased:
                    value = value + bias
                place = self.address(targets, row * self.after + column, target_offset)
                pointer = builder.inttoptr(place, kind.as_pointer())
                builder.store(value.value, pointer, align=self.bytes)

    def load(self, address: Any, kind: Any) -> _Lanes:
        """Load a vector or a number, aligned like a number."""
        pointer = self.builder.inttoptr(address, kind.as_pointer())
        return _Lanes(self.builder, self.builder.load(pointer, align=self.bytes))

    def loop(self, tables: Sequence[Any], offsets: Sequence[Any], count: Any) -> None:
        """Write the loop over whole vectors, and the one over the channels that are left."""
        builder, word = self.builder, ir.IntType(64)
        width = VECTOR_BYTES // self.bytes
        item, step = ir.Constant(word, self.bytes), ir.Constant(word, width)
        whole = builder.mul(builder.udiv(count, step), step)
        for start, stop, by, kind in (
            (ir.Constant(word, 0), whole, step, ir.VectorType(self.real, width)),
            (whole, count, ir.Constant(word, 1), self.real),
        ):
            with cgutils.for_range_slice(builder, start, stop, by, intp=word) as (index, _):
                lanes = builder.mul(index, item)
                self.emit(tables, [builder.add(offset, lanes) for offset in offsets], kind)


def _transform(
    typing_context: Any,
    one: Any,
    kind: Any,
    tile: Any,
    biased: Any,
    sources: Any,
    offset: Any,
    targets: Any,
    target_offset: Any,
    count: Any,
) -> Any:
    """Emit a transform; `one` carries the dtype, the next three arguments are literals."""
    what = kind.literal_value, tile.literal_value, bool(biased.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(64).as_pointer()
        from_there, offset, to, target_offset, lanes = arguments[4:]
        tables = [builder.inttoptr(value, pointer) for value in (from_there, to)]
        emitter = _Emitter(builder, *what, context.get_value_type(one))
        emitter.loop(tables, [offset, target_offset], lanes)
        return context.get_dummy_value()

    return types.void(one, kind, tile, biased, *[types.int64] * 5), generate


transform_lanes = emitted(_transform, prefer_literal=True)
"""``transform_lanes(one, kind, tile, biased, sources, offset, targets, target_offset, count)``.

Parameters
----------
one : a number of the dtype
kind, tile, biased : literal int
    See `engine.kernels.winograd`; `biased` adds one number more, the last of the sources.
sources, targets : int
    Addresses of tables of addresses, one for each number of the tile.
offset, target_offset : int
    What is added to every address of a table.
count : int
    Channels that lie contiguously at each address.
"""


def _put(typing_context: Any, table: Any, number: Any, value: Any) -> Any:
    """Emit ``table[number] = value`` for a table of int64 at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store(arguments[2], builder.gep(base, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


put = emitted(_put)
"""``put(table, number, value)`` writes an entry of a table of addresses."""


def _gather(typing_context: Any, one: Any, source: Any, step: Any, count: Any, target: Any) -> Any:
    """Emit a loop that loads with a stride and stores side by side."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        real = context.get_value_type(one)
        size = 4 if isinstance(real, ir.FloatType) else 8
        with cgutils.for_range(builder, arguments[3], intp=ir.IntType(64)) as lane:
            taken = builder.add(arguments[1], builder.mul(lane.index, arguments[2]))
            value = builder.load(builder.inttoptr(taken, real.as_pointer()), align=size)
            place = builder.inttoptr(arguments[4], real.as_pointer())
            builder.store(value, builder.gep(place, [lane.index]), align=size)
        return context.get_dummy_value()

    return types.void(one, *[types.int64] * 4), generate


gather = emitted(_gather)
"""``gather(one, source, step, count, target)`` copies numbers `step` bytes apart."""


def _tile_on_stack(typing_context: Any, one: Any) -> Any:
    """Emit an array of a tile's numbers on the stack of the calling function, zeros at first."""
    kind = types.Array(one, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, real = ir.IntType(64), context.get_value_type(one)
        memory = cgutils.alloca_once(builder, ir.ArrayType(real, winograd.NUMBERS))
        builder.store(ir.Constant(memory.type.pointee, None), memory)
        structure = arrayobj.make_array(kind)(context, builder)
        item = ir.Constant(word, one.bitwidth // 8)
        arrayobj.populate_array(
            structure,
            data=builder.bitcast(memory, structure.data.type),
            shape=cgutils.pack_array(builder, [ir.Constant(word, winograd.NUMBERS)]),
            strides=cgutils.pack_array(builder, [item]),
            itemsize=item,
            meminfo=None,
        )
        return structure._getvalue()

    return kind(one), generate


def _tile_in_python(one: Any) -> Any:
    return np.zeros(winograd.NUMBERS, type(one))


local_tile: Callable[[Any], Any] = _tile_in_python if JIT_DISABLED else emitted(_tile_on_stack)
"""``local_tile(one)``: memory for the numbers of one tile, of the type of `one`."""
