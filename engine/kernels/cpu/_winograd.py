"""Tile transforms of Winograd convolution as vector code: one tile, many channels at a time.

The formulas are those of `engine.kernels.winograd`, word for word: its functions run here once,
while code is generated, with vectors in place of numbers. A compiler does not get there by itself,
because it cannot know that so many inputs and outputs do not overlap.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np import arrayobj

from engine.kernels import winograd
from engine.kernels.cpu._jit import JIT_DISABLED
from engine.kernels.cpu._microkernel import provide
from engine.kernels.cpu._native import Native
from engine.kernels.cpu._width import VECTOR_BYTES
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


def _name(kind: int, tile: int, biased: bool, bits: int) -> str:
    return f"transform_float{bits}_{kind}_{tile}{'_biased' if biased else ''}"


def _emit_transform(
    what: tuple[int, int, bool, int], context: Any, builder: Any, arguments: Sequence[Any]
) -> None:
    """Emit the function that `transform_lanes` calls, with its arguments from `sources` on."""
    kind, tile, biased, bits = what
    pointer = ir.IntType(64).as_pointer()
    sources, offset, targets, target_offset, count = arguments
    tables = [builder.inttoptr(value, pointer) for value in (sources, targets)]
    real = ir.FloatType() if bits == 32 else ir.DoubleType()
    _Emitter(builder, kind, tile, biased, real).loop(tables, [offset, target_offset], count)


@functools.cache
def _native(*what: Any) -> Native:
    """Return one transform. Called by name it is compiled once, linked into kernels many times."""
    emit = functools.partial(_emit_transform, what)
    return Native(_name(*what), _emit_transform, [types.int64] * 5, emit=emit)


def provide_transforms(*kinds: int) -> Callable[[str], tuple[Native, ...]]:
    """Return what a kernel needs that has transforms of these kinds: them and the micro-kernel."""

    def needs(dtype: str) -> tuple[Native, ...]:
        bits = 32 if dtype == "float32" else 64
        forms = [(kind, tile, False) for kind in kinds for tile in (2, 4)]
        forms += [(kind, tile, True) for kind, tile, _ in forms if kind == winograd.OUTPUT]
        return (*provide(dtype), *(_native(*form, bits) for form in forms))

    return needs


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
    """Emit the call of a transform; `one` carries the dtype, the next three are literals."""
    what = kind.literal_value, tile.literal_value, bool(biased.literal_value), one.bitwidth

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 5),
            f"convscope_{_name(*what)}",
        )
        builder.call(function, arguments[4:])
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


def _expect(typing_context: Any, address: Any, count: Any) -> Any:
    """Emit prefetches of the cache lines from an address on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, half, byte = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, half, half, half]),
            "llvm.prefetch.p0",
        )
        # To write; as near as can be; data.
        flags = [ir.Constant(half, value) for value in (1, 3, 1)]
        zero, line = ir.Constant(word, 0), ir.Constant(word, 64)
        with cgutils.for_range_slice(builder, zero, arguments[1], line, intp=word) as (place, _):
            pointer = builder.inttoptr(builder.add(arguments[0], place), byte)
            builder.call(function, [pointer, *flags])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


expect = emitted(_expect)
"""``expect(address, count)`` asks for the cache lines of bytes that will be written soon."""


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
