"""The one inner loop under convolution, its gradients, and dense layers.

In plain loops, for every row i of every band h, and lanes j (neighbouring outputs)::

    for t in range(t_count):
        for u in range(u_count):
            for k in range(k_count):
                C[h, i, j] = fma(A[h, i, t, u, k], B[t, u, k, j], C[h, i, j])

C starts from zero or from memory and ends with a bias if there is one, and a ReLU if asked for. All
strides are bytes, so that one function reads images, gradients and weights in place. Lanes come in
panels of two vectors, and panels may lie anywhere: B is fastest where a panel's lanes for one k
follow those for the last. Vector lanes run across outputs and never along the sum, so every element
is added in the order t, u, k and has the bits of the plain loops in `plain.py`.

A block is cut into tiles of a few rows and one panel, whose sums stay in registers. A tile is LLVM
vector code emitted for a fixed number of rows and vectors. Lanes beyond the last output are
computed and not stored; they may read up to one panel past the end of B, for which every arena has
room.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.kernels.cpu._jit import KERNELS, Kernel, inline
from engine.kernels.cpu._native import Native
from engine.kernels.cpu._tile import (
    PANEL_BYTES,
    PLACES,
    RECTIFY,
    ROWS,
    SLACK_BYTES,
    STREAM,
    TILED,
    WORD,
    WORDS,
    emit_tile,
    word,
)
from engine.kernels.cpu._width import VECTOR_BYTES

BLOCK_BYTES = 24 * 1024
"""How much of a panel a sum runs over before the next rows take their turn: most of the first-level
cache, so that B stays there beside A."""


def _tile_name(bits: int, lanewise: bool, rows: int, vectors: int) -> str:
    kind = "lanewise" if lanewise else "tile"
    return f"convscope_{kind}_float{bits}_{rows}x{vectors}"


def _tile_native(bits: int, rows: int, vectors: int, lanewise: bool) -> Native:
    """Return one tile.

    Called by name, it is optimised once; linked into its callers, many times.
    """
    name = _tile_name(bits, lanewise, rows, vectors).removeprefix("convscope_")
    emit = functools.partial(emit_tile, bits, rows, vectors, lanewise)
    kinds = [types.CPointer(types.int64), *[types.int64] * len(TILED)]
    return Native(name, emit_tile, kinds, emit=emit)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _call_tile(
    typing_context: Any,
    one: Any,
    rows: Any,
    words: Any,
    c: Any,
    a: Any,
    left: Any,
    b: Any,
    bias: Any,
    lanes: Any,
    count: Any,
) -> Any:
    """Emit the choice and call of a tile of `rows` rows that has room for `lanes`."""
    lanewise = isinstance(one, types.BaseTuple)
    bits = one[0].bitwidth if lanewise else one.bitwidth

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        narrow = builder.icmp_signed("<=", arguments[8], word(VECTOR_BYTES * 8 // bits))
        number = builder.sub(arguments[1], word(1))
        number = builder.select(narrow, number, builder.add(number, word(ROWS)))
        done = builder.append_basic_block("done")
        choice = builder.switch(number, done)
        for vectors in (1, 2):
            for height in range(1, ROWS + 1):
                block = builder.append_basic_block()
                choice.add_case(word((vectors - 1) * ROWS + height - 1), block)
                with builder.goto_block(block):
                    name = _tile_name(bits, lanewise, height, vectors)
                    kind = _entry_type(len(TILED))
                    function = cgutils.get_or_insert_function(builder.module, kind, name)
                    builder.call(function, arguments[2:])
                    builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(one, types.int64, words, *[types.int64] * len(TILED)), generate


def _entry_type(arguments: int) -> Any:
    """Return the C type of a function of the words and more integers."""
    return ir.FunctionType(ir.VoidType(), [WORD.as_pointer(), *[WORD] * arguments])


_tile_of: Callable[..., None] = _call_tile


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _load_words(typing_context: Any, pointer: Any) -> Any:
    """Emit loads of the words that describe a block."""
    words = types.UniTuple(types.int64, len(WORDS))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loads = [
            builder.load(cgutils.gep_inbounds(builder, arguments[0], number))
            for number in range(len(WORDS))
        ]
        return context.make_tuple(builder, words, loads)

    return words(pointer), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _store_word(typing_context: Any, pointer: Any, place: Any, value: Any) -> Any:
    """Emit a store into the words of a block."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], cgutils.gep(builder, arguments[0], arguments[1]))
        return context.get_dummy_value()

    return types.void(pointer, types.int64, types.int64), generate


_words_at: Callable[..., Any] = _load_words
_set_word: Callable[..., None] = _store_word
_T_COUNT, _K_COUNT = PLACES["t_count"], PLACES["k_count"]
_START, _STREAM = PLACES["start"], PLACES["stream"]


@inline
def _strips(one: Any, pointer: Any, c: int, a: int, b: int, bias: int, lanes: int) -> None:
    """Run one panel in tiles as high as registers allow, the last two of even height."""
    _, bands, rows, _, _, c_band, c_row, _, _, a_band, a_row = _words_at(pointer)[:11]
    length = rows
    if c_band == rows * c_row:
        # Results lie without a gap: tiles run on from band to band.
        bands, length = 1, bands * rows
    full, first, second = length // ROWS, length % ROWS, 0
    if full and 0 < first < ROWS - 2:
        # A low last tile leaves registers idle: it shares its rows with the tile before.
        full, first, second = full - 1, (first + ROWS + 1) // 2, (first + ROWS) // 2
    for band in range(bands):
        here, there = c + band * c_band, a + band * a_band
        if full:
            _tile_of(one, ROWS, pointer, here, there, rows, b, bias, lanes, full)
        done = full * ROWS
        if first:
            at = there + done // rows * a_band + done % rows * a_row
            left = rows - done % rows
            _tile_of(one, first, pointer, here + done * c_row, at, left, b, bias, lanes, 1)
        done += first
        if second:
            at = there + done // rows * a_band + done % rows * a_row
            left = rows - done % rows
            _tile_of(one, second, pointer, here + done * c_row, at, left, b, bias, lanes, 1)


@inline
def _cut(one: Any, pointer: Any) -> None:
    """Cut a block into panels, long sums into parts that stay in the first-level cache."""
    words = _words_at(pointer)
    item, bands, rows, lanes, c, _, _, c_panel, a, _, _, a_t, _, a_k, b = words[:15]
    b_t, _, b_k, b_panel, t_count, u_count, k_count, bias, start, stream = words[15:25]
    width, tap = PANEL_BYTES // item, u_count * k_count * PANEL_BYTES
    t_step, k_step = t_count, k_count
    if t_count * tap > BLOCK_BYTES and bands * rows > ROWS:
        t_step = max(1, BLOCK_BYTES // max(tap, 1))
        if t_step == 1 and u_count == 1 and tap > 2 * BLOCK_BYTES:
            parts = (tap + BLOCK_BYTES - 1) // BLOCK_BYTES
            k_step = (k_count + parts - 1) // parts
    panel = 0
    while panel * width < lanes:
        c_at, b_at = c + panel * c_panel, b + panel * b_panel
        bias_at = bias + panel * PANEL_BYTES if bias else 0
        wide = min(lanes - panel * width, width)
        if t_step == t_count and k_step == k_count:
            _strips(one, pointer, c_at, a, b_at, bias_at, wide)
        else:
            going = start
            for t in range(0, t_count, t_step):
                for k in range(0, k_count, k_step):
                    _set_word(pointer, _T_COUNT, min(t_step, t_count - t))
                    _set_word(pointer, _K_COUNT, min(k_step, k_count - k))
                    _set_word(pointer, _START, going)
                    last = t + t_step >= t_count and k + k_step >= k_count
                    _set_word(pointer, _STREAM, stream if last else stream & STREAM)
                    _strips(
                        one,
                        pointer,
                        c_at,
                        a + t * a_t + k * a_k,
                        b_at + t * b_t + k * b_k,
                        bias_at if last else 0,
                        wide,
                    )
                    going = 1
        panel += 1


@inline
def _cut_lanewise(one: Any, pointer: Any) -> None:
    """Cut a block whose A has lanes into panels."""
    words = _words_at(pointer)
    item, _, _, lanes, c, _, _, c_panel, a = words[:9]
    b, b_panel, bias = words[14], words[18], words[22]
    width, panel = PANEL_BYTES // item, 0
    while panel * width < lanes:
        at = panel * PANEL_BYTES
        _strips(
            one,
            pointer,
            c + panel * c_panel,
            a + at,
            b + panel * b_panel,
            bias + at if bias else 0,
            min(lanes - panel * width, width),
        )
        panel += 1


def _multiply_float32(words: Any) -> None:
    _cut(np.float32(1), words)


def _multiply_float64(words: Any) -> None:
    _cut(np.float64(1), words)


def _lanewise_float32(words: Any) -> None:
    _cut_lanewise((np.float32(1),), words)


def _lanewise_float64(words: Any) -> None:
    _cut_lanewise((np.float64(1),), words)


@functools.cache
def provide(dtype: str) -> tuple[Native, ...]:
    """Return the micro-kernel for a dtype and its tiles.

    Kernels call it by name: so it is compiled once, not once per kernel.
    """
    return _provide(dtype, _multiply_float32 if dtype == "float32" else _multiply_float64)


@functools.cache
def provide_lanewise(dtype: str) -> tuple[Native, ...]:
    """Return the micro-kernel whose A has lanes of its own, and its tiles; see `provide`."""
    return _provide(dtype, _lanewise_float32 if dtype == "float32" else _lanewise_float64)


def _provide(dtype: str, function: Callable[..., None]) -> tuple[Native, ...]:
    bits, lanewise = (32 if dtype == "float32" else 64), "lanewise" in function.__name__
    sizes = [(rows, vectors) for rows in range(1, ROWS + 1) for vectors in (1, 2)]
    tiles = [_tile_native(bits, rows, vectors, lanewise) for rows, vectors in sizes]
    name = function.__name__.removeprefix("_")
    return (*tiles, Native(name, function, [types.CPointer(types.int64)]))


def _caller(prefix: str) -> Any:
    """Make the intrinsic that packs the words of a block and calls the micro-kernel by name."""

    @intrinsic  # type: ignore[untyped-decorator, unused-ignore]
    def call(
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
        stream: Any,
    ) -> Any:
        kinds: list[Any] = [types.int64]
        kinds += [types.UniTuple(types.int64, count) for count in (3, 4, 6, 5, 3)]
        kinds += [types.int64] * 3

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            flat = []
            for kind, value in zip(kinds, arguments[1:], strict=True):
                if isinstance(kind, types.UniTuple):
                    flat += [builder.extract_value(value, i) for i in range(kind.count)]
                else:
                    flat.append(value)
            flat.append(word(-1))
            words = cgutils.alloca_once(builder, WORD, size=word(len(flat)))
            for number, value in enumerate(flat):
                builder.store(value, cgutils.gep_inbounds(builder, words, number))
            real = getattr(one, "dtype", one)  # of a tuple's only member, or itself
            name = f"convscope_{prefix}_{real}"
            function = cgutils.get_or_insert_function(builder.module, _entry_type(0), name)
            builder.call(function, [words])
            return context.get_dummy_value()

        return types.void(one, *kinds), generate

    return call


_call_multiply: Callable[..., None] = _caller("multiply")
_call_lanewise: Callable[..., None] = _caller("lanewise")

multiply_bands = _call_multiply
"""``multiply_bands(one, item, size, c, a, b, counts, bias, start, stream)``: see `multiply`.

Parameters
----------
size : (bands, rows, lanes)
c : (address, band stride, row stride, panel stride)
a : (address, band stride, row stride, t stride, u stride, k stride)
stream : int
    STREAM to store past the caches, for results larger than these; rows of C must then be aligned.
    RECTIFY to make negative results zero. Or both, or 0.
"""

multiply_lanewise = _call_lanewise
"""`multiply_bands` for an A that has lanes, as many as B: what depthwise convolution needs."""


@inline
def multiply(
    one: Any,
    item: int,
    size: tuple[int, int],
    c: tuple[int, int, int],
    a: tuple[int, int, int, int, int],
    b: tuple[int, int, int, int, int],
    counts: tuple[int, int, int],
    bias: int,
    start: int,
) -> None:
    """Run the loops of this module's text on one band.

    Parameters
    ----------
    one : a number of the dtype
    item : int
        Its size in bytes.
    size : (rows, lanes)
    c : (address, row stride, panel stride)
    a : (address, row stride, t stride, u stride, k stride)
    b : (address, t stride, u stride, k stride, panel stride)
    counts : (t, u, k)
    bias : int
        Address, or 0 for none.
    start : int
        1 to start from what C holds, 0 from zero.

    All strides are bytes; lanes of a panel are contiguous. Where lanes lie contiguous beyond
    panels, the panel stride is PANEL_BYTES.
    """
    multiply_bands(
        one,
        item,
        (1, size[0], size[1]),
        (c[0], 0, c[1], c[2]),
        (a[0], 0, a[1], a[2], a[3], a[4]),
        b,
        counts,
        bias,
        start,
        0,
    )


def fast(
    truth: Kernel, needs: Callable[[str], Sequence[Native]] = provide, parts: int = 1
) -> Callable[[Callable[..., None]], Kernel]:
    """Register a function that calls the micro-kernel as the fast version of a plain kernel.

    See `Kernel` for `needs` and `parts`.
    """

    def register(function: Callable[..., None]) -> Kernel:
        made = Kernel(function, truth, needs, parts)
        if made.name != truth.name:
            raise TypeError(f"{made.name}: the fast and the plain kernel must have one name")
        KERNELS[made.name] = made
        return made

    return register


__all__ = [
    "PANEL_BYTES",
    "RECTIFY",
    "SLACK_BYTES",
    "STREAM",
    "VECTOR_BYTES",
    "fast",
    "multiply",
    "multiply_bands",
    "multiply_lanewise",
    "provide",
    "provide_lanewise",
]
