"""Functions as machine code with a plain C signature, compiled once per machine.

Numba types and lowers the function. What follows is done here instead of by `numba.cfunc`, for
three reasons: the C signature is put in front of the function before LLVM runs, so that everything
is optimised once (and not function, wrapper and Python's wrapper each); all of it but the entry is
private, so that objects of different runs can never bind to each other; and the result is a plain
object file, which loads in a fraction of a millisecond and needs no part of the compiler (unless
the function allocates memory: that is Numba's).
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core import registry
from numba.core.compiler_lock import global_compiler_lock
from numba.core.runtime import _nrt_python, rtsys  # type: ignore[attr-defined, unused-ignore]

from engine.errors import DeviceError
from engine.kernels.cpu._cache import Code, kernel_cache, source_digest
from engine.kernels.cpu._numba import Front, Passes, lean

OPTIONS: dict[str, Any] = {"error_model": "numpy"}

Unpack = Callable[[Any, Any, Sequence[Any]], list[Any]]
"""``unpack(context, builder, c_arguments)`` emits the arguments of a function."""
Emit = Callable[[Any, Any, Sequence[Any]], None]
"""``emit(context, builder, arguments)`` emits all a function does."""

_lock = threading.RLock()


class Native:
    """A function that other compiled code calls by address or by name.

    Parameters
    ----------
    name : str
        Unique among all natives; LLVM knows the function as ``convscope_`` and this.
    function : plain Python function
        Closes over numbers that are part of the name, or over nothing.
    arguments : sequence of Numba types
        What the function takes.
    result : Numba type
        What it returns: none or int64.
    entry : sequence of Numba types, optional
        What the C entry takes, if `unpack` makes the arguments from that.
    unpack : callable, optional
        See `Unpack`.
    emit : callable, optional
        See `Emit`: what is compiled instead of `function`, in whose file it stands.
    is_driver : bool
        Whether what it calls by name does the work.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        result: Any = types.none,
        entry: Sequence[Any] | None = None,
        unpack: Unpack | None = None,
        emit: Emit | None = None,
        is_driver: bool = False,
    ) -> None:
        self.name, self.function = name, function
        self.arguments, self.result = tuple(arguments), result
        self.entry = self.arguments if entry is None else tuple(entry)
        self.unpack, self.emit, self.is_driver = unpack, emit, is_driver
        self.symbol = f"convscope_{name}"
        self._address = 0

    @functools.cached_property
    def key(self) -> str | None:
        """The name in the cache, or None for a function that is in no file."""
        code = self.function.__code__
        if code.co_filename.startswith("<"):
            return None
        return f"{self.name}-{source_digest(inspect.getfile(self.function))[:16]}"

    @property
    def is_loaded(self) -> bool:
        """Whether the machine code is in memory."""
        return self._address != 0

    @property
    def address(self) -> int:
        """Where the machine code is: loaded from the cache, or compiled and kept there."""
        if not self._address:
            with _lock:
                if not self._address:
                    self._address = self._load()
        return self._address

    def compile(self) -> Code:
        """Compile and keep the result in the cache, without loading it here."""
        code = _compiled(self)
        if self.key is not None:
            kernel_cache().write(self.key, code)
        return code

    def _load(self) -> int:
        code = kernel_cache().read(self.key) if self.key is not None else None
        if code is not None and code.symbol == self.symbol and not unresolved(code.needs):
            return self._named(code)
        code = self.compile()
        missing = unresolved(code.needs)
        if missing:
            raise DeviceError(
                f"kernel {self.name}: it calls {', '.join(missing)}, which this system does not "
                f"have; please report that with the output of: convscope doctor"
            )
        return self._named(code)

    def _named(self, code: Code) -> int:
        """Load machine code and make it known to other compiled code by its name."""
        engine = _engine()
        engine.add_object_file(llvm.ObjectFileRef.from_data(code.machine_code))
        engine.finalize_object()
        address = int(engine.get_function_address(self.symbol))
        llvm.add_symbol(self.symbol, address)
        return address


def unresolved(names: Sequence[str]) -> list[str]:
    """Return the functions that compiled code could not call; LLVM would end the process there."""
    missing = [name for name in names if not llvm.address_of_symbol(name)]
    if missing:  # first what is there anyhow, then what Numba has to compile
        for name, address in _nrt_python.c_helpers.items():
            llvm.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
        missing = [name for name in missing if not llvm.address_of_symbol(name)]
    if missing:
        _wake_numba()
        for name in missing:
            address = rtsys.library.get_pointer_to_function(name)
            if address:
                llvm.add_symbol(name, address)
        missing = [name for name in missing if not llvm.address_of_symbol(name)]
    return missing


@functools.cache
def _wake_numba() -> None:
    """Make Numba's own functions known to LLVM: what allocates memory, some of mathematics."""
    with global_compiler_lock:
        rtsys.initialize(registry.cpu_target.target_context)


@functools.cache
def _engine() -> Any:
    """Return what loads object files: set up like Numba's own, whose code it is to load."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    x86 = llvm.get_process_triple().startswith(("x86", "i386", "i686"))
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        opt=3, jit=True, reloc="static" if x86 else "default", codemodel="jitdefault"
    )
    options: Any = numba.config
    return llvm.create_mcjit_compiler(
        llvm.parse_assembly(""), machine, use_lmm=options.USE_LLVMLITE_MEMORY_MANAGER
    )


def _compiled(native: Native) -> Code:
    context = registry.cpu_target.target_context
    with lean(context.codegen()):
        library = _emitted(native, context) if native.emit is not None else _lowered(native)
        module = library._final_module
        for linked in dict.fromkeys(library._linking_libraries):
            module.link_in(linked._get_module_for_linking(), preserve=True)
        for symbol in (*module.functions, *module.global_variables):
            if not symbol.is_declaration and symbol.name != native.symbol:
                symbol.linkage = "internal"
        optimize(module, context.codegen()._tm, native.is_driver)
        module.verify()
        needs = [
            function.name
            for function in module.functions
            if function.is_declaration and not function.name.startswith("llvm.")
        ]
        machine_code = context.codegen()._tm.emit_object(module)
    return Code(native.symbol, tuple(needs), machine_code)


def optimize(module: Any, machine: Any, is_driver: bool) -> None:
    """Run LLVM's passes over all of a native, once.

    Loops of a driver only hand out work: with copies of them, unrolled or one for each outcome of
    a test in it, a driver takes three times as long to compile and is no faster.
    """
    wanted: Any = numba.config  # Numba makes these when it is imported, so no type knows them
    options: Any = llvm.create_pipeline_tuning_options(2 if is_driver else 3)
    options.loop_vectorization = bool(wanted.LOOP_VECTORIZE)
    options.slp_vectorization = bool(wanted.SLP_VECTORIZE)
    options.loop_unrolling = not is_driver
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def _emitted(native: Native, context: Any) -> Any:
    """Return LLVM code that was never anything else."""
    library = context.codegen().create_library(native.symbol)
    module = library.create_ir_module(native.symbol)
    builder, arguments = _start(native, context, module)
    if native.emit is not None:
        native.emit(context, builder, arguments)
    builder.ret_void()
    library.add_ir_module(module)
    return library


def _lowered(native: Native) -> Any:
    """Have Numba make LLVM code of a function, and add the C function that calls it."""
    options = {**OPTIONS, "nopython": True}
    front = Front(native.function, registry.cpu_target, options, {}, Passes)
    made = front.compile(native.arguments, native.result)
    library, context = made.library, made.target_context
    module = library.create_ir_module(native.symbol)
    builder, values = _start(native, context, module)
    if native.unpack is not None:
        values = native.unpack(context, builder, values)
    called = context.declare_function(module, made.fndesc)
    _, returned = context.call_conv.call_function(
        builder, called, native.result, native.arguments, values
    )
    if native.result == types.none:
        builder.ret_void()
    else:
        builder.ret(returned)
    library.add_ir_module(module)
    return library


def _start(native: Native, context: Any, module: Any) -> tuple[Any, list[Any]]:
    """Begin the C function in a module; return what builds it, and its arguments."""
    result = ir.VoidType() if native.result == types.none else context.get_value_type(native.result)
    kind = ir.FunctionType(result, [context.get_value_type(one) for one in native.entry])
    function = ir.Function(module, kind, native.symbol)
    return ir.IRBuilder(function.append_basic_block()), list(function.args)


class Called:
    """A function of int64 that returns int64, compiled when it is first called from Python.

    The call lets other Python threads run.

    Parameters
    ----------
    function : plain Python function
    """

    def __init__(self, function: Callable[..., int]) -> None:
        count = len(inspect.signature(function).parameters)
        self.native = Native(function.__name__, function, [types.int64] * count, types.int64)
        self._kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)
        functools.update_wrapper(self, function)

    @functools.cached_property
    def call(self) -> Callable[..., int]:
        """The compiled function."""
        return self._kind(self.native.address)

    def __call__(self, *arguments: int) -> int:
        return self.call(*arguments)
