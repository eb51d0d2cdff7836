"""How CPU kernels are compiled, cached and made callable by address. The only place with JIT flags.

A kernel is a typed function of arrays, settings, `thread` and `threads`. The interpreter knows
nothing of that: it calls every kernel through one C signature, ``entry(words, thread, threads)``,
where `words` is the kernel's row of the table: for each array its address and shape, then the
settings. `entry` unpacks the words and calls the kernel. So a new kernel needs no change anywhere,
no network costs a compilation, and a kernel is compiled at most once per dtype and machine.
"""

from __future__ import annotations

import functools
import hashlib
import os
import types as python_types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.np import arrayobj

from engine.kernels.intrinsics import emitted
from engine.kernels.types import Signature, real_fields, signature_of
from engine.typing import Array

# Numba makes these options when it is imported, so no type knows them.
_options: Any = numba.config
JIT_DISABLED = bool(_options.DISABLE_JIT)
FLAGS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
CACHE_VERSION = 1
SHARED = ("arithmetic", "intrinsics", "scalar", "settings", "types")
"""Modules beside this package whose code is compiled into kernels."""


def cache_folder() -> Path:
    """Return the folder for compiled kernels: one per state of the shared sources, Numba and CPU.

    Numba notices when the file of a kernel changes, but not when a function that it calls has
    changed in another file. So the folder's name carries a hash of the files that kernels share.
    """
    here = Path(__file__).parent
    shared = [here.parent / f"{name}.py" for name in SHARED]
    digest = hashlib.sha256()
    for path in sorted([*shared, *here.glob("_*.py")]):
        digest.update(path.read_bytes())
    machine = f"{CACHE_VERSION} {numba.__version__} {np.__version__}"
    digest.update(machine.encode())
    base = os.environ.get("CONVSCOPE_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    home = Path(base) if base else Path.home() / ".cache"
    return home / "convscope" / f"kernels-{digest.hexdigest()[:16]}"


def _use_cache_folder() -> None:
    """Point Numba's cache at our folder, unless the user chose one or it is not writable."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        FLAGS["cache"] = False
        return
    _options.CACHE_DIR = str(folder)


_use_cache_folder()


def inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a helper that kernels call; LLVM decides whether to inline it."""
    compiled: Callable[..., Any] = numba.njit(**FLAGS)(function)
    return compiled


_SIGNATURES: dict[str, tuple[Signature, types.Float]] = {}


@functools.partial(emitted, prefer_literal=True)
def _unpack(typing_context: Any, words: Any, key: Any) -> Any:
    """Build the tuple of a kernel's arrays and settings from its table words."""
    signature, real = _SIGNATURES[key.literal_value]
    members: list[Any] = [
        types.Array(types.int64 if kind.number == "integer" else real, max(kind.rank, 1), "C")
        for kind in signature.arrays
    ]
    settings_type = _settings_type(signature, real)
    if settings_type is not None:
        members.append(settings_type)
    result = types.Tuple(members)

    def generate(context: Any, builder: Any, function_signature: Any, arguments: Any) -> Any:
        cursor = _WordCursor(context, builder, arguments[0])
        values = [
            _build_array(context, builder, cursor, member)
            for member in members[: len(signature.arrays)]
        ]
        if settings_type is not None:
            fields = [cursor.scalar(field) for field in settings_type]
            values.append(context.make_tuple(builder, settings_type, fields))
        return context.make_tuple(builder, result, values)

    return result(words, key), generate


def _settings_type(signature: Signature, real: types.Float) -> Any:
    """Return the Numba type of a kernel's settings: ints are int64, floats the program's dtype."""
    if signature.settings is None:
        return None
    fields = [real if is_real else types.int64 for is_real in real_fields(signature.settings)]
    return types.NamedTuple(fields, signature.settings)


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


def _entry_template(words: Any, thread: Any, threads: Any) -> None:
    # The three names below are filled in per kernel by `Kernel.entry`.
    _kernel(*_unpack(words, _key), thread, threads)  # type: ignore[name-defined]  # noqa: F821


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
        Called with the dtype before compiling or loading: provides what the code calls by name.
    """

    def __init__(
        self,
        function: Callable[..., None],
        truth: Kernel | None = None,
        needs: Callable[[str], object] | None = None,
    ) -> None:
        self.function = function
        self.truth, self._needs = truth, needs
        self.name = function.__name__
        self.signature = signature_of(function)
        self._entries: dict[str, Any] = {}
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> None:
        self.source(*arguments)

    @property
    def source(self) -> Callable[..., None]:
        """The readable version: plain loops in Python."""
        return self.function if self.truth is None else self.truth.function

    @functools.cached_property
    def compiled(self) -> Any:
        """The Numba dispatcher of the kernel, without specialisations yet."""
        return numba.njit(**{**FLAGS, "cache": False})(self.function)

    def entry(self, dtype: str) -> int:
        """Compile for ``"float32"`` or ``"float64"``, or read from the cache; return the address.

        The compiled entry is kept as long as the kernel: its address stands in program tables.
        """
        if dtype not in self._entries:
            if self._needs is not None:
                self._needs(dtype)
            self._entries[dtype] = self._compile(dtype)
        return int(self._entries[dtype].address)

    def _compile(self, dtype: str) -> Any:
        key = f"{self.name}_{dtype}" + ("" if self.truth is None else "_fast")
        _SIGNATURES[key] = (self.signature, types.float32 if dtype == "float32" else types.float64)
        # Numba files cached code by name, source file and first line: give the entry the kernel's.
        code = _entry_template.__code__.replace(
            co_name=f"entry_{key}",
            co_qualname=f"entry_{key}",
            co_filename=self.function.__code__.co_filename,
            co_firstlineno=self.function.__code__.co_firstlineno,
        )
        names = {"_kernel": self.compiled, "_unpack": _unpack, "_key": key, "__name__": __name__}
        function = python_types.FunctionType(code, names, f"entry_{key}")
        signature = types.void(types.CPointer(types.int64), types.int64, types.int64)
        return numba.cfunc(signature, cache=FLAGS["cache"], error_model="numpy")(function)


KERNELS: dict[str, Kernel] = {}


def kernel(function: Callable[..., None]) -> Kernel:
    """Register a function as a CPU kernel under its own name."""
    made = Kernel(function)
    KERNELS[made.name] = made
    return made


def plain(function: Callable[..., None]) -> Kernel:
    """Make a kernel of plain loops that has a fast version elsewhere; see `_microkernel.fast`."""
    return Kernel(function)


def pack(kernel: Kernel, arrays: list[Array], settings: tuple[Any, ...] | None) -> list[int]:
    """Return the table words of one launch, in the order `_unpack` reads them."""
    words: list[int] = []
    for array in arrays:
        words.append(array.ctypes.data)
        words.extend(array.shape)
    if settings is not None:
        for is_real, value in zip(real_fields(type(settings)), settings, strict=True):
            words.append(int(np.float64(value).view(np.int64)) if is_real else int(value))
    return words
