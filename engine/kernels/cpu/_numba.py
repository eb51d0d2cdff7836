"""Numba's compiler as kernels need it: as far as LLVM code, and by no detour.

Most of what Numba does for any function is of no use to a kernel's plain code. While `lean` is in
force, functions go through the passes that matter to them and become machine code only as parts of
their kernel, and the types of arithmetic between single numbers are found once. Nothing counts
references: kernels allocate nothing. None of it changes what the code computes.
"""

from __future__ import annotations

import contextlib
import gc
import operator
from collections.abc import Iterator
from typing import Any

from numba import types
from numba.core import compiler, compiler_machinery, typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import (  # type: ignore[attr-defined, unused-ignore]
    _FunctionCompiler,
)
from numba.core.types.functions import BaseFunction

_PLAIN = frozenset(
    (
        *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv),
        *(operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.mod),
        *(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
        *(operator.and_, operator.or_, operator.lshift, operator.rshift, operator.neg, bool),
    )
)
_NUMBERS = (types.Integer, types.Float, types.Boolean, types.IntegerLiteral, types.BooleanLiteral)


class Passes(compiler.CompilerBase):  # type: ignore[misc, unused-ignore]
    """What is done with a function that has no closures, array expressions, `with` or `raise`."""

    def define_pipelines(self) -> list[Any]:
        """Return the one list of passes, in their usual order."""
        made: Any = compiler_machinery.PassManager
        manager = made("kernel")
        passes: tuple[Any, ...] = (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.RewriteSemanticConstants,
            untyped_passes.DeadBranchPrune,
            untyped_passes.GenericRewrites,
            untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference,
            typed_passes.PreLowerStripPhis,
            typed_passes.IRLegalization,
            typed_passes.NativeLowering,
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
        codegen: Any = self._codegen
        module.data_layout = codegen._data_layout
        passes, builder = codegen._function_pass_manager()
        for function in module.functions:
            if not function.is_declaration:
                passes.run(function, builder)

    def finalize(self) -> None:
        for linked in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(linked._get_module_for_linking(), preserve=True)
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0


_functions: Any = BaseFunction
_type_of_call = _functions.get_call_type
_signatures: dict[Any, tuple[Any, Any]] = {}
"""What operators of numbers are called with, and by which code, for the types that are given."""


def _quick_type_of_call(self: Any, context: Any, args: Any, kws: Any) -> Any:
    """Do `BaseFunction.get_call_type`, which goes through every meaning an operator may have."""
    function = self.typing_key
    if kws or function not in _PLAIN or not all(isinstance(one, _NUMBERS) for one in args):
        return _type_of_call(self, context, args, kws)
    key = (function, tuple(args))
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
