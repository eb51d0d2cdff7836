"""Vectors of neighbouring numbers as values in compiled kernels.

LLVM turns a plain loop over channels into vector code, but only after tests that cost more than the
loop where it is short (a pixel of 6, 16 or 64 channels), and it never keeps a sum over pixels in
registers. So kernels whose lanes are channels say what they want: `load` a vector, calculate with
it (``+ - * /``, `fma`, comparisons, `select`, and every formula of `scalar` that has no branches),
`store` it. A lane has the bits of the same scalar arithmetic. The plain loops stay beside these
kernels as their readable truth, and tests demand equal bits of the two.

Memory is addressed by flat places, counted in numbers from the start of an array of any rank, and
nothing checks them.

Channels that do not fill a vector::

    0 1 2 3 4 5 6 7 | 8 9          10 channels, 8 lanes: the second vector begins at channel 2 and
        2 3 4 5 6 7   8 9          does six lanes twice, with equal results

    0 1 2 3 4 5 + +                6 channels: lanes beyond the pixel hold what follows it in
                                   memory; `put` stores them where they will be overwritten later
                                   by the same thread, and leaves them out elsewhere
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, models, register_model, type_callable

from engine.kernels.arithmetic import fma, like
from engine.kernels.cpu._jit import FLAGS, KERNELS, Kernel
from engine.kernels.cpu._width import VECTOR_BYTES
from engine.kernels.intrinsics import emitted


def embed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a helper into every place that calls it: a call would cost more than its work."""
    compiled: Callable[..., Any] = numba.njit(**FLAGS, forceinline=True)(function)
    return compiled


class Vector(types.Type):  # type: ignore[misc, unused-ignore]
    """Numba's type of a vector of `lanes` numbers; `bits` of a boolean vector is 1."""

    def __init__(self, number: Any, lanes: int) -> None:
        self.number, self.lanes = number, lanes
        super().__init__(name=f"Vector({number}, {lanes})")

    @property
    def value_type(self) -> Any:
        """LLVM's type."""
        return ir.VectorType(_element(self.number), self.lanes)


def _element(number: Any) -> Any:
    if number == types.boolean:
        return ir.IntType(1)
    return ir.FloatType() if number == types.float32 else ir.DoubleType()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc, unused-ignore]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.value_type)


def _splat(builder: Any, kind: Any, value: Any) -> Any:
    """Return a vector with one number in all lanes."""
    undefined = ir.Constant(kind, ir.Undefined)
    single = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(single, undefined, mask)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    """Return the address of the number at a flat place of an array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [place])


def _emit_zeros(typing_context: Any, array: Any, registers: Any) -> Any:
    lanes = registers.literal_value * VECTOR_BYTES * 8 // array.dtype.bitwidth
    kind = Vector(array.dtype, lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(kind.value_type, [0.0] * lanes)

    return kind(array, registers), generate


zeros = emitted(_emit_zeros, prefer_literal=True)
"""``zeros(array, registers)``: zeros of the array's dtype, as many as fill so many registers.

`registers` is a literal. Other functions take such a vector to know how many lanes are wanted.
"""


@emitted
def lanes_of(typing_context: Any, vector: Any) -> Any:
    """``lanes_of(vector)``: number of lanes, a constant of the compiled code."""
    lanes = vector.lanes

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(64), lanes)

    return types.int64(vector), generate


@emitted
def load(typing_context: Any, array: Any, place: Any, shape: Any) -> Any:
    """``load(array, place, shape)``: the numbers from a flat place on, as many as `shape` has."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, array, arguments[0], arguments[1])
        pointer = builder.bitcast(pointer, shape.value_type.as_pointer())
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return shape(array, types.int64, shape), generate


@emitted
def store(typing_context: Any, array: Any, place: Any, vector: Any) -> Any:
    """``store(array, place, vector)``: write all lanes from a flat place on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, array, arguments[0], arguments[1])
        pointer = builder.bitcast(pointer, vector.value_type.as_pointer())
        builder.store(arguments[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), generate


@emitted
def store_first(typing_context: Any, array: Any, place: Any, vector: Any, count: Any) -> Any:
    """``store_first(array, place, vector, count)``: write the first lanes only."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = _pointer(context, builder, array, arguments[0], arguments[1])
        with cgutils.for_range(builder, arguments[3], intp=ir.IntType(64)) as lane:
            value = builder.extract_element(arguments[2], lane.index)
            builder.store(value, builder.gep(start, [lane.index]))
        return context.get_dummy_value()

    return types.void(array, types.int64, vector, types.int64), generate


@embed
def put(array: Any, place: int, vector: Any, channels: int, end: int) -> None:
    """Store a vector of a pixel's channels; what lies at `end` and after stays as it is.

    Lanes beyond the pixel go over into the next one, which the caller writes later.
    """
    if place + lanes_of(vector) <= end:
        store(array, place, vector)
    else:
        store_first(array, place, vector, min(channels, end - place))


@embed
def block_at(c: int, channels: int, lanes: int) -> int:
    """Return where a block that is due at channel `c` begins: the last one ends with the pixel."""
    return min(c, max(channels - lanes, 0))


@embed
def fill(array: Any, place: int, end: int, vector: Any) -> None:
    """Store copies of a vector from `place` to `end`."""
    while place + lanes_of(vector) <= end:
        store(array, place, vector)
        place += lanes_of(vector)
    store_first(array, place, vector, end - place)


@emitted
def select(typing_context: Any, mask: Any, yes: Any, no: Any) -> Any:
    """``select(mask, yes, no)``: lane by lane, `yes` where the mask is true."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return yes(mask, yes, no), generate


@emitted
def some(typing_context: Any, mask: Any) -> Any:
    """``some(mask)``: whether any lane of a boolean vector is true."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(mask.lanes)
        return builder.icmp_unsigned(
            "!=", builder.bitcast(arguments[0], word), ir.Constant(word, 0)
        )

    return types.boolean(mask), generate


@emitted
def lane(typing_context: Any, vector: Any, number: Any) -> Any:
    """``lane(vector, number)``: one number of a vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(*arguments)

    return vector.number(vector, types.int64), generate


# Operators and functions get their code here directly. `overload` would do it with less text, but
# compiles a function for every single use, which made kernels take seconds to compile.


def _typed(symbol: Any, result: Callable[..., Any]) -> None:
    """Tell Numba the type of a function of vectors: ``result(*types)``, None if it is not ours."""

    def typer_of(context: Any) -> Any:
        return result

    type_callable(symbol)(typer_of)


def _same(a: Any, b: Any) -> Any:
    return a if isinstance(a, Vector) and a == b else None


def _mask(a: Any, b: Any) -> Any:
    return Vector(types.boolean, a.lanes) if isinstance(a, Vector) and a == b else None


def _arithmetic(symbol: Any, name: str) -> None:
    def lowered(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, name)(*arguments)

    _typed(symbol, _same)
    lower_builtin(symbol, Vector, Vector)(lowered)


def _comparison(symbol: Any, word: str) -> None:
    """A NaN is only ever unequal."""

    def lowered(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = builder.fcmp_unordered if word == "!=" else builder.fcmp_ordered
        return emit(word, *arguments)

    _typed(symbol, _mask)
    lower_builtin(symbol, Vector, Vector)(lowered)


for _symbol, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
    (operator.or_, "or_"),
):
    _arithmetic(_symbol, _name)
for _symbol, _word in (
    (operator.gt, ">"),
    (operator.le, "<="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _comparison(_symbol, _word)


def _llvm_function(name: str) -> Any:
    """Return what emits a call of a function of LLVM's that works lane by lane."""

    def lowered(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.return_type
        function = ir.FunctionType(kind.value_type, [kind.value_type] * len(arguments))
        full = f"llvm.{name}.v{kind.lanes}f{kind.number.bitwidth}"
        found = cgutils.get_or_insert_function(builder.module, function, full)
        return builder.call(found, arguments)

    return lowered


def _lower_like(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Emit a vector with one number in all lanes."""
    kind, given = signature.return_type, signature.args[1]
    if isinstance(given, Vector):
        return arguments[1]
    return _splat(builder, kind.value_type, context.cast(builder, arguments[1], given, kind.number))


_typed(abs, lambda x: x if isinstance(x, Vector) else None)
_typed(math.sqrt, lambda x: x if isinstance(x, Vector) else None)
_typed(fma, lambda a, b, c: c if isinstance(c, Vector) and a == b == c else None)
_typed(like, lambda x, value: x if isinstance(x, Vector) else None)
lower_builtin(abs, Vector)(_llvm_function("fabs"))
lower_builtin(math.sqrt, Vector)(_llvm_function("sqrt"))
lower_builtin(fma, Vector, Vector, Vector)(_llvm_function("fma"))
lower_builtin(like, Vector, types.Any)(_lower_like)


def vectorised(truth: Kernel) -> Callable[[Callable[..., None]], Kernel]:
    """Register a function that works on vectors as the fast version of a plain kernel."""

    def register(function: Callable[..., None]) -> Kernel:
        made = Kernel(function, truth)
        if made.name != truth.name:
            raise TypeError(f"{made.name}: the fast and the plain kernel must have one name")
        KERNELS[made.name] = made
        return made

    return register
