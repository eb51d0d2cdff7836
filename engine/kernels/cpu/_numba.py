"""Numba's compiler as kernels need it: as far as LLVM code, and by no detour.

Most of what Numba does for any function is of no use to a kernel's plain code. While `lean` is in
force, functions go through the passes that matter to them and become machine code only as parts of
their kernel, and the types of a call are found once. Nothing counts references: kernels allocate
nothing. None of it changes what the code computes.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

from numba import types
from numba.core import (
    cgutils,
    compiler,
    compiler_machinery,
    ir_utils,
    lowering,
    ssa,
    typed_passes,
    untyped_passes,
)
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import (  # type: ignore[attr-defined, unused-ignore]
    _FunctionCompiler,
)
from numba.core.types.functions import BaseFunction

# What is untyped in Numba.
_machinery: Any = compiler_machinery
_definitions: Any = ir_utils.build_definitions
_reconstruct: Any = ssa.reconstruct_ssa
_emit: Any = cgutils
_STRIP_PHIS: Any = typed_passes.PreLowerStripPhis
_LOWER: Any = lowering.Lower
_LOWERING: Any = typed_passes.BaseNativeLowering
_register: Any = _machinery.register_pass(mutates_CFG=True, analysis_only=False)


@_register
class _SinglyAssigned(untyped_passes.ReconstructSSA):  # type: ignore[misc, unused-ignore]
    """Numba's pass without what it finds out for generators."""

    _name = "kernel_ssa"

    def run_pass(self, state: Any) -> bool:
        state.func_ir = _reconstruct(state.func_ir)
        state.func_ir._definitions = _definitions(state.func_ir.blocks)
        return True


@_register
class _WithoutPhis(_STRIP_PHIS):  # type: ignore[misc, unused-ignore]
    """Numba's pass without what it finds out for generators."""

    _name = "kernel_strip_phis"

    def run_pass(self, state: Any) -> bool:
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        state.func_ir._definitions = _definitions(state.func_ir.blocks)
        return True


class _Lower(_LOWER):  # type: ignore[misc, unused-ignore]
    """Writes LLVM code: variables are memory of the function's frame and nothing else.

    Numba's own also asks LLVM for the size of each, for a debugger, loads what a store overwrites,
    to count references, and clears what nobody needs any more. And it lets any index count from an
    array's end, where kernels calculate none that does. Parts are cut without branches.
    """

    def alloca_lltype(self, name: str, lltype: Any, datamodel: Any = None) -> Any:
        return _emit.alloca_once(self.builder, lltype, name=name, zfill=False)

    def storevar(self, value: Any, name: str, argidx: int | None = None) -> None:
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
        else:
            self._alloca_var(name, self.typeof(name))
            self.builder.store(value, self.getvar(name))

    def lower_getitem(self, kind: Any, expr: Any, value: Any, index: Any, signature: Any) -> Any:
        array, places = self.typeof(value.name), self.typeof(index.name)
        if isinstance(places, types.SliceType) and kind == array and _is_line(array):
            return self._part(value, index)
        pointer = self._place(value, index)
        if pointer is None:
            return super().lower_getitem(kind, expr, value, index, signature)
        return self.context.cast(self.builder, self.builder.load(pointer), array.dtype, kind)

    def lower_setitem(self, target: Any, index: Any, value: Any, signature: Any) -> Any:
        pointer = self._place(target, index)
        if pointer is None:
            return super().lower_setitem(target, index, value, signature)
        kinds = self.typeof(value.name), self.typeof(target.name).dtype
        number = self.context.cast(self.builder, self.loadvar(value.name), *kinds)
        return self.builder.store(number, pointer)

    def _place(self, array: Any, index: Any) -> Any:
        """Return the address of a number of an array, or None if something else is asked for."""
        kind, places = self.typeof(array.name), self.typeof(index.name)
        kinds = getattr(places, "types", (places,))  # those of a tuple, or its own
        if not _is_dense(kind) or len(kinds) != kind.ndim or not all(map(_is_place, kinds)):
            return None
        builder, given = self.builder, self.loadvar(index.name)
        parts = _emit.unpack_tuple(builder, given) if kinds != (places,) else [given]
        structure = self.context.make_array(kind)(self.context, builder, self.loadvar(array.name))
        flat = None
        for number, (part, one) in enumerate(zip(parts, kinds, strict=True)):
            word = self.context.cast(builder, part, one, types.intp)
            if flat is not None:
                extent = builder.extract_value(structure.shape, number)
                word = builder.add(builder.mul(flat, extent), word)
            flat = word
        return builder.gep(structure.data, [flat], inbounds=True)

    def _part(self, array: Any, index: Any) -> Any:
        """Return a part of a line of numbers."""
        builder, kind = self.builder, self.typeof(array.name)
        make = self.context.make_array(kind)
        whole = make(self.context, builder, self.loadvar(array.name))
        bounds = self.context.make_helper(
            builder, self.typeof(index.name), self.loadvar(index.name)
        )
        size = builder.extract_value(whole.shape, 0)
        start, stop = (self._inside(place, size) for place in (bounds.start, bounds.stop))
        part = make(self.context, builder, whole._getvalue())
        part.data = builder.gep(whole.data, [start], inbounds=True)
        part.nitems = self._extreme(builder.sub(stop, start), 0, ">")
        part.shape = _emit.pack_array(builder, [part.nitems])
        return part._getvalue()

    def _inside(self, place: Any, size: Any) -> Any:
        """Return a bound of a part, which may count from the end, or lie outside."""
        builder = self.builder
        behind = builder.icmp_signed("<", place, place.type(0))
        place = builder.select(behind, builder.add(place, size), place)
        return self._extreme(self._extreme(place, 0, ">"), size, "<")

    def _extreme(self, one: Any, other: Any, order: str) -> Any:
        """Return the smaller (or with ``">"`` the greater) of two numbers."""
        other = one.type(other) if isinstance(other, int) else other
        return self.builder.select(self.builder.icmp_signed(order, one, other), one, other)


def _is_dense(kind: Any) -> bool:
    """Return whether a type is that of numbers side by side."""
    return isinstance(kind, types.Array) and kind.layout == "C"


def _is_line(kind: Any) -> bool:
    return _is_dense(kind) and kind.ndim == 1


def _is_place(kind: Any) -> bool:
    """Return whether a type is that of an index that counts from the start."""
    return isinstance(kind, types.Integer) and not getattr(kind, "literal_value", 0) < 0


@_register
class _Lowering(_LOWERING):  # type: ignore[misc, unused-ignore]
    _name = "kernel_lowering"

    @property
    def lowering_class(self) -> Any:
        return _Lower


class _Manager(_machinery.PassManager):  # type: ignore[misc, unused-ignore]
    """Runs passes and nothing between them: Numba analyses the function anew after each."""

    def _runPass(self, index: int, one: Any, state: Any) -> None:  # noqa: N802  (Numba's name)
        one.analysis = self._analysis
        one.run_pass(state)


class Passes(compiler.CompilerBase):  # type: ignore[misc, unused-ignore]
    """What is done with a function that has no closures, array expressions, `with` or `raise`."""

    def define_pipelines(self) -> list[Any]:
        """Return the one list of passes, in their usual order."""
        manager: Any = _Manager("kernel")
        passes: tuple[Any, ...] = (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.RewriteSemanticConstants,
            untyped_passes.DeadBranchPrune,
            untyped_passes.GenericRewrites,
            _SinglyAssigned,
            typed_passes.NopythonTypeInference,
            _WithoutPhis,
            _Lowering,
            typed_passes.NoPythonBackend,
        )
        for one in passes:
            manager.add_pass(one, one.name())
        manager.finalize()
        return [manager]


class Front(_FunctionCompiler):  # type: ignore[misc, unused-ignore]
    """Numba's compiler up to the LLVM code, which is neither optimised nor made callable yet."""

    def _customize_flags(self, flags: Any) -> Any:
        flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
        flags.nrt = False
        return flags


class _Library(JITCodeLibrary):  # type: ignore[misc, unused-ignore]
    """What a helper is lowered into: LLVM code to be linked, never optimised or called by itself.

    Numba's own kind is optimised and made machine code for each helper, only to be linked into its
    callers and optimised there once more. And it could not be loaded where what it calls by name is
    not loaded yet.
    """

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        for linked in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(linked._get_module_for_linking(), preserve=True)
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0


_functions: Any = BaseFunction
_type_of_call = _functions.get_call_type
_signatures: dict[Any, tuple[Any, Any]] = {}
"""What functions and operators are called with, and by which code, for the types given to them."""


def _quick_type_of_call(self: Any, context: Any, args: Any, kws: Any) -> Any:
    """Do `BaseFunction.get_call_type`, which goes through every meaning an operator may have."""
    if kws:
        return _type_of_call(self, context, args, kws)
    key = (self.typing_key, tuple(args))
    found = _signatures.get(key)
    if found is None:
        signature: Any = _type_of_call(self, context, args, kws)
        _signatures[key] = signature, self._impl_keys[signature.args]
        return signature
    self._impl_keys[found[0].args] = found[1]
    return found[0]


@contextlib.contextmanager
def lean(codegen: Any) -> Iterator[None]:
    """Compile as this module says, under the compiler's lock."""
    with global_compiler_lock:
        collects = gc.isenabled()
        gc.disable()  # what the compiler makes stays in use; looking for garbage takes a tenth
        codegen._library_class, codegen.set_env = _Library, lambda name, environment: None
        _functions.get_call_type = _quick_type_of_call
        try:
            yield
        finally:
            _functions.get_call_type = _type_of_call
            del codegen._library_class, codegen.set_env  # what the class has shows again
            if collects:
                gc.enable()
