"""How CPU kernels are compiled, cached and made callable by address. The only place with JIT flags.

A kernel is a typed function of arrays, settings, `thread` and `threads`. The interpreter knows
nothing of that: it calls every kernel through one C signature, ``entry(words, thread, threads)``,
where `words` is the kernel's row of the table: for each array its address and shape, then the
settings. `entry` unpacks the words and calls the kernel. So a new kernel needs no change anywhere,
no network costs a compilation, and a kernel is compiled at most once per dtype and machine.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils

from engine.kernels.cpu._native import OPTIONS, Called, Native
from engine.kernels.cpu._numba import Passes
from engine.kernels.types import Signature, real_fields, signature_of
from engine.typing import Array

# Numba makes these options when it is imported, so no type knows them.
_options: Any = numba.config
JIT_DISABLED = bool(_options.DISABLE_JIT)
FLAGS: dict[str, Any] = {
    **OPTIONS,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,
    "pipeline_class": Passes,
}
"""Of helpers: only compiled code calls them."""
WORK_BYTES = 2 * 1024 * 1024
"""Scratch of one thread that kernels plan with, at the address they get as `work`."""
ROOM_BYTES = 32 * 1024 * 1024
"""What there is of it: one row of windows over a wide image may need more than planned. Memory that
nobody touches costs nothing."""
MEMBER_SHIFT = 32
"""A kernel's entry takes the number of the part it shall do, and above so many bits that of the
thread that does it: the thread tells which scratch to use."""


def inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a helper that kernels call; LLVM decides whether to inline it.

    It cannot be called from Python unless the JIT is switched off: see `called`.
    """
    compiled: Callable[..., Any] = numba.njit(**FLAGS)(function)
    return compiled


def called(function: Callable[..., int]) -> Callable[..., int]:
    """Compile a function of integers that Python calls; see `_native.Called`."""
    return function if JIT_DISABLED else Called(function)


def _settings_type(settings: type[tuple[Any, ...]], real: types.Float) -> Any:
    """Return the Numba type of a kernel's settings: ints are int64, floats the program's dtype."""
    fields = [real if is_real else types.int64 for is_real in real_fields(settings)]
    return types.NamedTuple(fields, settings)


class _WordCursor:
    """Reads the table words one after the other while code is generated."""

    def __init__(self, context: Any, builder: Any, words: Any) -> None:
        self.context, self.builder, self.words, self.number = context, builder, words, 0

    def word(self) -> Any:
        """Return the next word as an int64 value."""
        place = cgutils.gep_inbounds(self.builder, self.words, self.number)
        self.number += 1
        return self.builder.load(place)

    def scalar(self, kind: Any) -> Any:
        """Return the next word as a number of the given type; reals travel as float64 bits."""
        word = self.word()
        if isinstance(kind, types.Integer):
            return word
        double = self.builder.bitcast(word, self.context.get_value_type(types.float64))
        return self.context.cast(self.builder, double, types.float64, kind)


def _build_array(context: Any, builder: Any, cursor: _WordCursor, kind: Any) -> Any:
    """Emit an array structure over foreign memory: no owner, hence no reference counting."""
    from numba.np import arrayobj  # what only the compiler needs is imported by it alone

    structure = arrayobj.make_array(kind)(context, builder)
    address = builder.inttoptr(cursor.word(), structure.data.type)
    shape = [cursor.word() for _ in range(kind.ndim)]
    item = context.get_constant(types.intp, kind.dtype.bitwidth // 8)
    strides, stride = [item], item
    for extent in reversed(shape[1:]):
        stride = builder.mul(stride, extent)
        strides.insert(0, stride)
    arrayobj.populate_array(
        structure,
        data=address,
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=item,
        meminfo=None,
    )
    return structure._getvalue()


class Kernel:
    """A CPU kernel: its readable source, and its compiled entry per dtype.

    Calling it runs plain Python, which is how it works with the JIT switched off.

    Parameters
    ----------
    function : function
        What is compiled.
    truth : Kernel or None
        The same kernel as plain loops, where `function` is not readable or cannot run uncompiled.
    needs : callable or None
        Called with the dtype: returns what the code calls by name.
    parts : int
        In how many parts per thread it may be done, where it has enough work: kernels for which a
        part costs no more than its share.
    """

    def __init__(
        self,
        function: Callable[..., None],
        truth: Kernel | None = None,
        needs: Callable[[str], Sequence[Native]] | None = None,
        parts: int = 1,
    ) -> None:
        self.function, self.parts = function, parts
        self.truth, self._needs = truth, needs
        self.name = function.__name__
        self._natives: dict[str, Native] = {}
        functools.update_wrapper(self, function)

    @functools.cached_property
    def signature(self) -> Signature:
        """What it takes; read when first asked for, since most kernels of a run are not used."""
        found = signature_of(self.function)
        if self.truth is not None and found != self.truth.signature:
            raise TypeError(f"{self.name}: the fast and the plain kernel must have one signature")
        return found

    @functools.cached_property
    def works(self) -> bool:
        """Whether it takes the thread's own scratch."""
        return "work" in inspect.signature(self.function).parameters

    def __call__(self, *arguments: Any) -> None:
        self.source(*arguments)

    @property
    def source(self) -> Callable[..., None]:
        """The readable version: plain loops in Python."""
        return self.function if self.truth is None else self.truth.function

    def natives(self, dtype: str) -> list[Native]:
        """Return all that has to be compiled for ``"float32"`` or ``"float64"``, itself last."""
        if dtype not in self._natives:
            self._natives[dtype] = self._native(dtype)
        needed = [] if self._needs is None else self._needs(dtype)
        return [*needed, self._natives[dtype]]

    def entry(self, dtype: str) -> int:
        """Compile for a dtype, or read from the cache; return the address of the entry.

        The compiled entry is kept as long as the kernel: its address stands in program tables.
        """
        return [native.address for native in self.natives(dtype)][-1]

    def _native(self, dtype: str) -> Native:
        real = types.float32 if dtype == "float32" else types.float64
        arguments: list[Any] = [
            types.Array(types.int64 if kind.number == "integer" else real, max(kind.rank, 1), "C")
            for kind in self.signature.arrays
        ]
        if self.signature.settings is not None:
            arguments.append(_settings_type(self.signature.settings, real))
        unpack = functools.partial(_unpack, tuple(arguments), self.works)
        numbers = [types.int64] * (3 if self.works else 2)
        name = f"{self.name}_{dtype}" + ("" if self.truth is None else "_fast")
        entry = types.CPointer(types.int64), types.int64, types.int64
        return Native(
            name,
            self.function,
            [*arguments, *numbers],
            types.none,
            entry,
            unpack,
            is_driver=self._needs is not None,
        )


def _unpack(
    kinds: tuple[Any, ...], works: bool, context: Any, builder: Any, entry: Sequence[Any]
) -> list[Any]:
    """Emit a kernel's arguments from those of its entry: table words, thread and threads.

    To the kernel, a part of several is a thread of several.
    """
    words, number, threads = entry
    thread = builder.and_(number, context.get_constant(types.int64, (1 << MEMBER_SHIFT) - 1))
    member = builder.lshr(number, context.get_constant(types.int64, MEMBER_SHIFT))
    cursor = _WordCursor(context, builder, words)
    values: list[Any] = []
    for kind in kinds:
        if isinstance(kind, types.Array):
            values.append(_build_array(context, builder, cursor, kind))
        else:
            fields = [cursor.scalar(field) for field in kind]
            values.append(context.make_tuple(builder, kind, fields))
    if works:
        scratch = context.get_constant(types.int64, ROOM_BYTES)
        values.append(builder.add(cursor.word(), builder.mul(member, scratch)))
    return [*values, thread, threads]


KERNELS: dict[str, Kernel] = {}


def kernel(function: Callable[..., None]) -> Kernel:
    """Register a function as a CPU kernel under its own name."""
    made = Kernel(function)
    KERNELS[made.name] = made
    return made


def plain(function: Callable[..., None]) -> Kernel:
    """Make a kernel of plain loops that has a fast version elsewhere; see `_microkernel.fast`."""
    return Kernel(function)


def pack(
    kernel: Kernel, arrays: list[Array], settings: tuple[Any, ...] | None, work: int = 0
) -> list[int]:
    """Return the table words of one launch, in the order `_unpack` reads them.

    `work` is the address of the team's scratch, `ROOM_BYTES` per thread, for kernels that take it.
    """
    words: list[int] = []
    for array in arrays:
        words.append(array.ctypes.data)
        words.extend(array.shape)
    if settings is not None:
        for is_real, value in zip(real_fields(type(settings)), settings, strict=True):
            words.append(int(np.float64(value).view(np.int64)) if is_real else int(value))
    if kernel.works:
        words.append(work)
    return words
