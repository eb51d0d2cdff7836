"""The one inner loop under convolution, its gradients, and dense layers.

In plain loops, with rows i and lanes j (a few vectors of neighbouring outputs)::

    for t in range(t_count):
        for u in range(u_count):
            for k in range(k_count):
                C[i, j] = fma(A[i, t, u, k], B[t, u, k, j], C[i, j])

C starts from zero or from memory and ends with a bias if there is one. All strides are bytes, so
that one function reads images, gradients and weights in place: nothing is packed or copied. Vector
lanes run across outputs and never along the sum, so every element is added in the order t, u, k and
has the bits of the plain loops in `plain.py`.

The loop is emitted as LLVM vector code for a fixed number of rows and vectors: all of C stays in
registers. Lanes beyond the last output are computed and not stored; they may read up to one tile
past the end of B, for which every arena has room.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.kernels.cpu._jit import FLAGS, KERNELS, Kernel, inline


def _vector_bytes() -> int:
    """Return the width of this machine's vector registers."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx") else 16


VECTOR_BYTES = _vector_bytes()
ROWS = 8 if VECTOR_BYTES == 64 else 6
"""Rows of the largest tile. With two vectors each, sums fill 16 of AVX-512's 32 registers, or 12
of 16."""
SLACK_BYTES = 2 * VECTOR_BYTES
"""How far past the end of a buffer a tile may read."""


WORDS = (
    "item rows lanes c c_row a a_row a_t a_u a_k b b_t b_u b_k t_count u_count k_count bias start"
)
"""What describes a block, in the order in which it travels as int64 words; see `multiply`."""
PLACES = {name: number for number, name in enumerate(WORDS.split())}
TILED = ("c", "a", "b", "lanes", "bias")
"""What differs from tile to tile; the rest is read from the words of the block."""


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator, unused-ignore]
def _tile(
    typing_context: Any,
    bits: Any,
    rows: Any,
    vectors: Any,
    words: Any,
    c: Any,
    a: Any,
    b: Any,
    lanes: Any,
    bias: Any,
) -> Any:
    """Emit one tile of float32 or float64 (`bits`); it and the two sizes are literals."""
    sizes = rows.literal_value, vectors.literal_value
    kind = types.float32 if bits.literal_value == 32 else types.float64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = {
            name: builder.load(cgutils.gep_inbounds(builder, arguments[3], place))
            for name, place in PLACES.items()
        }
        values |= zip(TILED, arguments[4:], strict=True)
        _Emitter(context, builder, kind, *sizes, values).emit()
        return context.get_dummy_value()

    return types.void(bits, rows, vectors, words, *[types.int64] * len(TILED)), generate


class _Emitter:
    """Writes the vector code of one tile."""

    def __init__(
        self, context: Any, builder: Any, kind: Any, rows: int, vectors: int, values: dict[str, Any]
    ) -> None:
        self.builder, self.rows, self.vectors, self.v = builder, rows, vectors, values
        self.real = context.get_value_type(kind)
        self.size = kind.bitwidth // 8
        self.width = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(self.real, self.width)
        self.word = ir.IntType(64)
        fma = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fma.v{self.width}f{kind.bitwidth}"
        self.fma = cgutils.get_or_insert_function(builder.module, fma, name)
        self.sums = [
            [cgutils.alloca_once(builder, self.vector) for _ in range(vectors)] for _ in range(rows)
        ]

    def constant(self, number: int) -> Any:
        """Return an int64 constant."""
        return ir.Constant(self.word, number)

    def pointer(self, address: Any, kind: Any) -> Any:
        """Return an address as a pointer."""
        return self.builder.inttoptr(address, kind.as_pointer())

    def load(self, address: Any, vector: int = 0) -> Any:
        """Load one vector, aligned like a single number."""
        place = self.builder.add(address, self.constant(vector * VECTOR_BYTES))
        value = self.builder.load(self.pointer(place, self.vector), align=self.size)
        return value

    def broadcast(self, address: Any) -> Any:
        """Load one number into all lanes."""
        value = self.builder.load(self.pointer(address, self.real), align=self.size)
        undefined = ir.Constant(self.vector, ir.Undefined)
        single = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.builder.shuffle_vector(single, undefined, mask)

    def emit(self) -> None:
        """Write start, loops and end."""
        builder, v = self.builder, self.v
        self._begin()
        with cgutils.for_range(builder, v["t_count"], intp=self.word) as t:
            a_t = builder.add(v["a"], builder.mul(t.index, v["a_t"]))
            b_t = builder.add(v["b"], builder.mul(t.index, v["b_t"]))
            with cgutils.for_range(builder, v["u_count"], intp=self.word) as u:
                a_u = builder.add(a_t, builder.mul(u.index, v["a_u"]))
                b_u = builder.add(b_t, builder.mul(u.index, v["b_u"]))
                with cgutils.for_range(builder, v["k_count"], intp=self.word) as k:
                    a_k = builder.add(a_u, builder.mul(k.index, v["a_k"]))
                    b_k = builder.add(b_u, builder.mul(k.index, v["b_k"]))
                    self._multiply_add(a_k, b_k)
        self._end()

    def _multiply_add(self, a: Any, b: Any) -> None:
        builder = self.builder
        columns = [self.load(b, j) for j in range(self.vectors)]
        for i in range(self.rows):
            offset = builder.mul(self.constant(i), self.v["a_row"])
            factor = self.broadcast(builder.add(a, offset))
            for j in range(self.vectors):
                place = self.sums[i][j]
                total = builder.call(self.fma, [factor, columns[j], builder.load(place)])
                builder.store(total, place)

    def _row_address(self, row: int) -> Any:
        return self.builder.add(self.v["c"], self.builder.mul(self.constant(row), self.v["c_row"]))

    def _begin(self) -> None:
        """Start from memory where asked to, else from zero."""
        builder = self.builder
        from_memory = builder.icmp_signed("!=", self.v["start"], self.constant(0))
        with builder.if_else(from_memory) as (then, otherwise):
            with then:
                for i in range(self.rows):
                    for j in range(self.vectors):
                        builder.store(self.load(self._row_address(i), j), self.sums[i][j])
            with otherwise:
                zero = ir.Constant(self.vector, None)
                for i in range(self.rows):
                    for j in range(self.vectors):
                        builder.store(zero, self.sums[i][j])

    def _end(self) -> None:
        """Add the bias and store the lanes that exist."""
        builder = self.builder
        with builder.if_then(builder.icmp_signed("!=", self.v["bias"], self.constant(0))):
            for j in range(self.vectors):
                value = self.load(self.v["bias"], j)
                for i in range(self.rows):
                    place = self.sums[i][j]
                    builder.store(builder.fadd(builder.load(place), value), place)
        full = builder.icmp_signed("==", self.v["lanes"], self.constant(self.vectors * self.width))
        with builder.if_else(full) as (then, otherwise):
            with then:
                for i in range(self.rows):
                    self._store(i, self._row_address(i))
            with otherwise:
                self._store_part()

    def _store(self, row: int, address: Any) -> None:
        builder = self.builder
        for j in range(self.vectors):
            place = builder.add(address, self.constant(j * VECTOR_BYTES))
            value = builder.load(self.sums[row][j])
            builder.store(value, self.pointer(place, self.vector), align=self.size)

    def _store_part(self) -> None:
        """Store whole rows to the stack and copy the lanes that exist from there."""
        builder = self.builder
        count = self.vectors * self.width
        spill = cgutils.alloca_once(builder, ir.ArrayType(self.real, count))
        base = builder.ptrtoint(spill, self.word)
        for i in range(self.rows):
            self._store(i, base)
            address = self._row_address(i)
            with cgutils.for_range(builder, self.v["lanes"], intp=self.word) as lane:
                offset = builder.mul(lane.index, self.constant(self.size))
                source = self.pointer(builder.add(base, offset), self.real)
                target = self.pointer(builder.add(address, offset), self.real)
                builder.store(builder.load(source, align=self.size), target, align=self.size)


_emit_tile: Callable[..., None] = _tile
VARIANTS = [(rows, vectors) for vectors in (2, 1) for rows in (ROWS, 2, 1)]
"""Rows and vectors of the tiles that blocks are cut into."""


def _provide_tile(bits: int, rows: int, vectors: int) -> Any:
    """Compile one tile (or load it) and make it known to LLVM by name.

    Called by name, it is optimised once; linked into its caller, it would be so twice.
    """

    def tile(words: Any, c: Any, a: Any, b: Any, lanes: Any, bias: Any) -> None:
        # Closes over integers only: so Numba's cache can tell the variants apart.
        _emit_tile(bits, rows, vectors, words, c, a, b, lanes, bias)

    signature = types.void(types.CPointer(types.int64), *[types.int64] * len(TILED))
    compiled = numba.cfunc(signature, cache=FLAGS["cache"], error_model="numpy")(tile)
    llvm.add_symbol(_tile_name(bits, rows, vectors), compiled.address)
    return compiled


def _tile_name(bits: int, rows: int, vectors: int) -> str:
    return f"convscope_tile_float{bits}_{rows}x{vectors}"


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator, unused-ignore]
def _call_tile(
    typing_context: Any,
    one: Any,
    rows: Any,
    vectors: Any,
    words: Any,
    c: Any,
    a: Any,
    b: Any,
    lanes: Any,
    bias: Any,
) -> Any:
    """Emit the call of a tile; `one` carries the dtype, rows and vectors are literals."""
    name = _tile_name(one.bitwidth, rows.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        call = ir.FunctionType(ir.VoidType(), [word.as_pointer(), *[word] * len(TILED)])
        function = cgutils.get_or_insert_function(builder.module, call, name)
        builder.call(function, arguments[3:])
        return context.get_dummy_value()

    return types.void(one, rows, vectors, words, *[types.int64] * len(TILED)), generate


_tile_of: Callable[..., None] = _call_tile


@inline
def _cut(one: Any, pointer: Any) -> None:
    """Cut a block into tiles: lanes two vectors at a time, rows as many as fit into registers."""
    item, rows, lanes, c, c_row, a, a_row = _words_at(pointer)[:7]
    b, bias = _words_at(pointer)[10], _words_at(pointer)[17]
    size = VECTOR_BYTES // item
    lane = 0
    while lane < lanes:
        wide = lanes - lane > size
        step = min(lanes - lane, 2 * size)
        b_at = b + lane * item
        bias_at = bias + lane * item if bias else 0
        row = 0
        while row < rows:
            here, there = c + lane * item + row * c_row, a + row * a_row
            if rows - row >= ROWS:
                if wide:
                    _tile_of(one, ROWS, 2, pointer, here, there, b_at, step, bias_at)
                else:
                    _tile_of(one, ROWS, 1, pointer, here, there, b_at, step, bias_at)
                row += ROWS
            elif rows - row >= 2:
                if wide:
                    _tile_of(one, 2, 2, pointer, here, there, b_at, step, bias_at)
                else:
                    _tile_of(one, 2, 1, pointer, here, there, b_at, step, bias_at)
                row += 2
            else:
                if wide:
                    _tile_of(one, 1, 2, pointer, here, there, b_at, step, bias_at)
                else:
                    _tile_of(one, 1, 1, pointer, here, there, b_at, step, bias_at)
                row += 1
        lane += step


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _load_words(typing_context: Any, pointer: Any) -> Any:
    """Emit loads of the words of a block."""
    words = types.UniTuple(types.int64, len(PLACES))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loads = [
            builder.load(cgutils.gep_inbounds(builder, arguments[0], number))
            for number in range(len(PLACES))
        ]
        return context.make_tuple(builder, words, loads)

    return words(pointer), generate


_words_at: Callable[..., Any] = _load_words


def _multiply_float32(words: Any) -> None:
    _cut(np.float32(1), words)


def _multiply_float64(words: Any) -> None:
    _cut(np.float64(1), words)


@functools.cache
def provide(dtype: str) -> Any:
    """Compile the micro-kernel for a dtype (or load it) and make it known to LLVM by name.

    Kernels call it by that name: so it is compiled once, not once per kernel.
    """
    bits = 32 if dtype == "float32" else 64
    tiles = [_provide_tile(bits, rows, vectors) for rows, vectors in VARIANTS]
    function = _multiply_float32 if bits == 32 else _multiply_float64
    signature = types.void(types.CPointer(types.int64))
    compiled = numba.cfunc(signature, cache=FLAGS["cache"], error_model="numpy")(function)
    llvm.add_symbol(f"convscope_multiply_{dtype}", compiled.address)
    return tiles, compiled


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _call_multiply(
    typing_context: Any,
    one: Any,
    item: Any,
    size: Any,
    c: Any,
    a: Any,
    b: Any,
    counts: Any,
    bias: Any,
    start: Any,
) -> Any:
    """Emit the call of the micro-kernel; the arguments are those of `multiply`."""
    kinds: list[Any] = [types.int64]
    kinds += [types.UniTuple(types.int64, count) for count in (2, 2, 5, 4, 3)]
    kinds += [types.int64, types.int64]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        flat = []
        for kind, value in zip(kinds, arguments[1:], strict=True):
            if isinstance(kind, types.UniTuple):
                flat += [builder.extract_value(value, i) for i in range(kind.count)]
            else:
                flat.append(value)
        words = cgutils.alloca_once(builder, word, size=ir.Constant(word, len(PLACES)))
        for number, value in enumerate(flat):
            builder.store(value, cgutils.gep_inbounds(builder, words, number))
        call = ir.FunctionType(ir.VoidType(), [word.as_pointer()])
        name = f"convscope_multiply_{one}"
        builder.call(cgutils.get_or_insert_function(builder.module, call, name), [words])
        return context.get_dummy_value()

    return types.void(one, *kinds), generate


multiply: Callable[..., None] = _call_multiply
"""``multiply(one, item, size, c, a, b, counts, bias, start)``: the loops of this module's text.

Parameters
----------
one : a number of the dtype
item : int
    Its size in bytes.
size : (rows, lanes)
c : (address, row stride)
a : (address, row stride, t stride, u stride, k stride)
b : (address, t stride, u stride, k stride)
counts : (t, u, k)
bias : int
    Address, or 0 for none.
start : int
    1 to start from what C holds, 0 from zero.

All strides are bytes; lanes of B, C and bias are contiguous.
"""


def fast(truth: Kernel) -> Callable[[Callable[..., None]], Kernel]:
    """Register a function that calls `multiply` as the fast version of a plain kernel."""

    def register(function: Callable[..., None]) -> Kernel:
        made = Kernel(function, truth, provide)
        if made.signature != truth.signature or made.name != truth.name:
            raise TypeError(f"{made.name}: the fast and the plain kernel must have one signature")
        KERNELS[made.name] = made
        return made

    return register
