"""Numba's compiler as kernels need it: as far as LLVM code, and by no detour.

What Numba does for any function costs several times as much as what a kernel's plain code needs.
While `lean` is in force, functions go through the passes that matter to them alone, LLVM sees them
when they are linked into their kernel and not before, and the types of arithmetic between single
numbers are worked out once. None of it changes the code that comes out.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

from numba import types
from numba.core import (
    compiler,
    compiler_machinery,
    registry,
    typed_passes,
    untyped_passes,
)
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import (  # type: ignore[attr-defined, unused-ignore]
    _FunctionCompiler,
)

OPTIONS: dict[str, Any] = {"error_model": "numpy"}


class Passes(compiler.CompilerBase):  # type: ignore[misc, unused-ignore]
    """Numba's passes for functions without closures, array expressions, `with` and exceptions."""

    def define_pipelines(self) -> list[Any]:
        """Return the one list of passes."""
        manager = compiler_machinery.PassManager("kernel")
        for one in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.RewriteSemanticConstants,
            untyped_passes.DeadBranchPrune,
            untyped_passes.GenericRewrites,
            untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference,
            typed_passes.PreLowerStripPhis,
            untyped_passes_or_typed("IRLegalization"),
            typed_passes.NativeLowering,
            typed_passes.NoPythonBackend,
        ):
            manager.add_pass(one, one.name())
        manager.finalize()
        return [manager]
