"""Vector code of one tile of the micro-kernel: a few rows by one or two vectors, sums in registers.

`_microkernel.py` says what is computed. Here it is written as LLVM code for a given number of rows
and vectors, because no compiler keeps a block of sums in registers by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from engine.kernels.cpu._width import VECTOR_BYTES

PANEL_BYTES = 2 * VECTOR_BYTES
"""A panel of lanes: two vectors."""
ROWS = 8 if VECTOR_BYTES == 64 else 6
"""Rows of the highest tile. With two vectors each, sums fill 16 of AVX-512's 32 registers, or 12
of 16."""
SLACK_BYTES = 2 * PANEL_BYTES
"""How far past the end of a buffer a tile may read."""
WORDS = (
    *("item", "bands", "rows", "lanes", "c", "c_band", "c_row", "c_panel"),
    *("a", "a_band", "a_row", "a_t", "a_u", "a_k", "b", "b_t", "b_u", "b_k", "b_panel"),
    *("t_count", "u_count", "k_count", "bias", "start", "stream", "ones"),
)
"""What describes a block, in the order in which it travels as int64 words."""
STREAM, RECTIFY = 1, 2
"""Bits of the word `stream`: store past the caches; negative results become zero."""
PLACES = {name: number for number, name in enumerate(WORDS)}
TILED = ("c", "a", "left", "b", "bias", "lanes", "count")
"""What differs from strip to strip; the rest is read from the words of the block. `left` rows of A
follow each other in the band that the strip begins in."""
UNROLLED = 4
"""Steps of the sum per turn of the innermost loop."""


WORD = ir.IntType(64)


def word(value: int) -> Any:
    """Return an int64 constant."""
    return ir.Constant(WORD, value)


def emit_tile(
    bits: int,
    rows: int,
    vectors: int,
    lanewise: bool,
    context: Any,
    builder: Any,
    arguments: Sequence[Any],
) -> None:
    """Emit a strip of `count` tiles below each other; arguments are the words, then `TILED`."""
    values = {
        name: builder.load(cgutils.gep_inbounds(builder, arguments[0], place))
        for name, place in PLACES.items()
    }
    values |= zip(TILED, arguments[1:], strict=True)
    kind = types.float32 if bits == 32 else types.float64
    _Emitter(context, builder, kind, rows, vectors, lanewise, values).emit()


class _VolatileLoad(ir.instructions.LoadInstr):  # type: ignore[misc, unused-ignore]
    """A load that LLVM may not see through."""

    def descr(self, buf: list[str]) -> None:
        """Write the instruction."""
        (pointer,) = self.operands
        buf.append(f"load volatile {self.type}, {pointer.type} {pointer.get_reference()}\n")


class _Emitter:
    """Writes the vector code of one strip of tiles."""

    def __init__(
        self,
        context: Any,
        builder: Any,
        kind: Any,
        rows: int,
        vectors: int,
        lanewise: bool,
        values: dict[str, Any],
    ) -> None:
        self.builder, self.rows, self.vectors, self.v = builder, rows, vectors, values
        self.lanewise = lanewise
        self.real = context.get_value_type(kind)
        self.size = kind.bitwidth // 8
        self.width = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(self.real, self.width)
        self.byte = ir.IntType(8).as_pointer()
        fma = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fma.v{self.width}f{kind.bitwidth}"
        self.fma = cgutils.get_or_insert_function(builder.module, fma, name)
        self.sums = [[self._variable(self.vector) for _ in range(vectors)] for _ in range(rows)]
        self.c, self.a = self._variable(self.byte), self._variable(self.byte)
        self.left = self._variable(WORD)
        self.bases = [self._variable(self.byte) for _ in range(rows)]
        self.along, self.b = self._variable(WORD), self._variable(self.byte)
        self.spill = cgutils.alloca_once(builder, ir.ArrayType(self.vector, rows * vectors))

    def _variable(self, kind: Any) -> Any:
        return cgutils.alloca_once(self.builder, kind)

    def _pointer(self, address: Any) -> Any:
        return self.builder.inttoptr(address, self.byte)

    def _ahead(self, pointer: Any, *offsets: Any) -> Any:
        for offset in offsets:
            pointer = self.builder.gep(pointer, [offset])
        return pointer

    def _opaque(self, value: Any) -> Any:
        """Return the same value in a form LLVM cannot compute with.

        Otherwise it makes one running pointer per row and step of the loops around the innermost
        one, more than there are registers.
        """
        slot = self._variable(value.type)
        self.builder.store(value, slot)
        load = _VolatileLoad(self.builder.block, slot)
        self.builder._insert(load)
        return load

    def _load(self, pointer: Any, kind: Any) -> Any:
        """Load a number or a vector, aligned like a single number."""
        typed = self.builder.bitcast(pointer, kind.as_pointer())
        return self.builder.load(typed, align=self.size)

    def _store(self, value: Any, pointer: Any) -> None:
        typed = self.builder.bitcast(pointer, value.type.as_pointer())
        self.builder.store(value, typed, align=self.size)

    def _lane(self, j: int) -> Any:
        return word(j * VECTOR_BYTES)

    def _broadcast(self, value: Any) -> Any:
        undefined = ir.Constant(self.vector, ir.Undefined)
        single = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.builder.shuffle_vector(single, undefined, mask)

    # -- the strip -----------------------------------------------------------------------------

    def emit(self) -> None:
        """Write the loop over tiles: start, sums, end."""
        builder, v = self.builder, self.v
        builder.store(self._pointer(v["c"]), self.c)
        builder.store(self._pointer(v["a"]), self.a)
        builder.store(v["left"], self.left)
        c_step = builder.mul(v["c_row"], word(self.rows))
        # From behind the last row of a band to the first of the next.
        jump = builder.sub(v["a_band"], builder.mul(v["a_row"], v["rows"]))
        with cgutils.for_range(builder, v["count"], intp=WORD):
            self._find_rows(jump)
            self._begin()
            self._sum()
            self._end()
            builder.store(self._ahead(builder.load(self.c), c_step), self.c)

    def _find_rows(self, jump: Any) -> None:
        """Set the base address of each row of the tile; rows go on in the next band."""
        builder, v = self.builder, self.v
        place, left = builder.load(self.a), builder.load(self.left)
        for base in self.bases:
            builder.store(place, base)
            left = builder.sub(left, word(1))
            over = builder.icmp_signed("==", left, word(0))
            place = self._ahead(place, v["a_row"], builder.select(over, jump, word(0)))
            left = builder.select(over, v["rows"], left)
        builder.store(place, self.a)
        builder.store(left, self.left)

    def _sum(self) -> None:
        builder, v = self.builder, self.v
        main = builder.lshr(v["k_count"], word(UNROLLED.bit_length() - 1))
        rest = builder.and_(v["k_count"], word(UNROLLED - 1))
        b_start = self._pointer(v["b"])
        with cgutils.for_range(builder, v["t_count"], intp=WORD) as t:
            a_t = builder.mul(t.index, v["a_t"])
            b_t = self._ahead(b_start, builder.mul(t.index, v["b_t"]))
            with cgutils.for_range(builder, v["u_count"], intp=WORD) as u:
                a_u = builder.add(a_t, builder.mul(u.index, v["a_u"]))
                builder.store(self._opaque(a_u), self.along)
                b_u = self._ahead(b_t, builder.mul(u.index, v["b_u"]))
                builder.store(self._opaque(b_u), self.b)
                with cgutils.for_range(builder, main, intp=WORD):
                    for _ in range(UNROLLED):
                        self._step()
                with cgutils.for_range(builder, rest, intp=WORD):
                    self._step()

    def _step(self) -> None:
        """One step of the sum: a column of A times a row of B.

        Rows have a register each and share the way along the sum.
        """
        builder = self.builder
        b, along = builder.load(self.b), builder.load(self.along)
        columns = [
            self._load(self._ahead(b, self._lane(j)), self.vector) for j in range(self.vectors)
        ]
        for base, sums in zip(self.bases, self.sums, strict=True):
            place = self._ahead(builder.load(base), along)
            if not self.lanewise:
                factor = self._broadcast(self._load(place, self.real))
            for j, total in enumerate(sums):
                if self.lanewise:
                    factor = self._load(self._ahead(place, self._lane(j)), self.vector)
                value = builder.call(self.fma, [factor, columns[j], builder.load(total)])
                builder.store(value, total)
        builder.store(self._advanced(along, self.v["a_k"]), self.along)
        b = builder.ptrtoint(b, WORD)
        builder.store(self._pointer(self._advanced(b, self.v["b_k"])), self.b)

    def _advanced(self, place: Any, step: Any) -> Any:
        """Return a place one step on, masked with ones that LLVM does not know to be ones.

        Otherwise it keeps the addresses of all unrolled steps apart, more than there are registers,
        and the innermost loop loads them from the stack.
        """
        return self.builder.and_(self.builder.add(place, step), self.v["ones"])

    # -- start and end -------------------------------------------------------------------------

    def _rows_of_c(self) -> list[Any]:
        rows = [self.builder.load(self.c)]
        for _ in range(1, self.rows):
            rows.append(self._ahead(rows[-1], self.v["c_row"]))
        return rows

    def _begin(self) -> None:
        """Start from memory where asked to, else from zero."""
        builder = self.builder
        going = builder.icmp_signed("!=", self.v["start"], word(0))
        zero = ir.Constant(self.vector, None)
        with builder.if_else(going) as (then, otherwise):
            with then:
                for row, sums in zip(self._rows_of_c(), self.sums, strict=True):
                    for j, place in enumerate(sums):
                        builder.store(
                            self._load(self._ahead(row, self._lane(j)), self.vector), place
                        )
            with otherwise:
                for sums in self.sums:
                    for place in sums:
                        builder.store(zero, place)

    def _end(self) -> None:
        """Add the bias, rectify, and store the lanes that exist."""
        builder, v = self.builder, self.v
        with builder.if_then(builder.icmp_signed("!=", v["bias"], word(0))):
            for j in range(self.vectors):
                value = self._load(
                    self._ahead(self._pointer(v["bias"]), self._lane(j)), self.vector
                )
                for sums in self.sums:
                    builder.store(builder.fadd(builder.load(sums[j]), value), sums[j])
        with builder.if_then(self._asked(RECTIFY)):
            zero = ir.Constant(self.vector, None)
            for place in (place for sums in self.sums for place in sums):
                value = builder.load(place)
                below = builder.fcmp_ordered("<=", value, zero)
                builder.store(builder.select(below, zero, value), place)
        full = builder.icmp_signed("==", v["lanes"], word(self.vectors * self.width))
        with builder.if_else(full) as (then, otherwise):
            with then:
                stream = self._asked(STREAM)
                with builder.if_else(stream) as (past, through):
                    with past:
                        self._store_rows(streaming=True)
                    with through:
                        self._store_rows()
            with otherwise:
                self._store_part()

    def _asked(self, bit: int) -> Any:
        """Return whether a bit of the word `stream` is set."""
        given = self.builder.and_(self.v["stream"], word(bit))
        return self.builder.icmp_signed("!=", given, word(0))

    def _store_rows(self, streaming: bool = False) -> None:
        for row, sums in zip(self._rows_of_c(), self.sums, strict=True):
            for j, place in enumerate(sums):
                pointer, value = self._ahead(row, self._lane(j)), self.builder.load(place)
                self._store(value, pointer)
                if streaming:
                    store = self.builder.block.instructions[-1]
                    store.align = VECTOR_BYTES
                    store.set_metadata("nontemporal", self._one())

    def _one(self) -> Any:
        return self.builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])

    def _store_part(self) -> None:
        """Store rows whose last vector is not full.

        Where rows follow each other without a gap, what a row writes too much is overwritten by the
        next; only the last row of a tile is cut to size. Elsewhere every row is.
        """
        builder, v = self.builder, self.v
        rows, vectors = self._rows_of_c(), self.vectors
        row_bytes = builder.mul(v["lanes"], word(self.size))
        dense = builder.icmp_signed("==", v["c_row"], row_bytes)
        # What is too much must end within the next row.
        twice = builder.mul(row_bytes, word(2))
        short = builder.icmp_signed("<=", word(vectors * VECTOR_BYTES), twice)
        gapless = builder.and_(dense, short)
        base = builder.bitcast(self.spill, self.byte)
        for i, sums in enumerate(self.sums):
            for j, place in enumerate(sums):
                self._store(builder.load(place), self._ahead(base, self._lane(i * vectors + j)))
        with builder.if_then(gapless):
            for row, sums in zip(rows[:-1], self.sums[:-1], strict=True):
                for j, place in enumerate(sums):
                    self._store(builder.load(place), self._ahead(row, self._lane(j)))
        first = builder.select(gapless, word(self.rows - 1), word(0))
        with cgutils.for_range(builder, builder.sub(word(self.rows), first), intp=WORD) as loop:
            i = builder.add(loop.index, first)
            source = self._ahead(base, builder.mul(i, word(vectors * VECTOR_BYTES)))
            target = self._ahead(rows[0], builder.mul(i, v["c_row"]))
            for j in range(vectors - 1):
                value = self._load(self._ahead(source, self._lane(j)), self.vector)
                self._store(value, self._ahead(target, self._lane(j)))
            value = self._load(self._ahead(source, self._lane(vectors - 1)), self.vector)
            left = builder.sub(v["lanes"], word((vectors - 1) * self.width))
            self._store_lanes(value, self._ahead(target, self._lane(vectors - 1)), left)

    def _store_lanes(self, value: Any, pointer: Any, count: Any) -> None:
        """Store the first `count` lanes of a vector: halves, quarters ... as its bits say."""
        builder, lanes = self.builder, self.width
        undefined = ir.Constant(value.type, ir.Undefined)
        while lanes > 1:
            lanes //= 2
            half = ir.VectorType(ir.IntType(32), lanes)
            low = builder.shuffle_vector(value, undefined, ir.Constant(half, list(range(lanes))))
            high = builder.shuffle_vector(
                value, undefined, ir.Constant(half, list(range(lanes, 2 * lanes)))
            )
            taken = builder.icmp_signed("!=", builder.and_(count, word(lanes)), word(0))
            with builder.if_then(taken):
                self._store(low, pointer)
            value = builder.select(taken, high, low)
            step = builder.select(taken, word(lanes * self.size), word(0))
            pointer = self._ahead(pointer, step)
            undefined = ir.Constant(value.type, ir.Undefined)
