"""No kernel, and nothing that results depend on, asks the C library for a function.

What such a function gives differs between systems, so bits would. The machine code of every kernel
is looked through, and the source of everything else.
"""

from __future__ import annotations

import ast
import ctypes
import inspect
import math
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from numba import types

import engine
from engine.kernels import scalar
from engine.kernels.cpu._cache import kernel_cache
from engine.kernels.cpu._compile import called_natives
from engine.kernels.cpu._jit import JIT_DISABLED
from engine.kernels.cpu._native import Native
from engine.kernels.cpu.backend import all_kernels

DTYPES = ("float32", "float64")
ALLOWED = {
    **dict.fromkeys(("memcpy", "memset", "memmove"), "moves bytes"),
    "numba_attempt_nocopy_reshape": "finds out whether a shape fits",
    **dict.fromkeys(("fma", "fmaf"), "rounds once by definition; called where no instruction does"),
}
"""What machine code may call beside other kernels, and why that has the same bits everywhere."""

OURS = Path(engine.__file__).parent
EXACT = {
    *("sqrt", "isqrt", "ldexp", "frexp", "floor", "ceil", "trunc", "fabs", "copysign", "nextafter"),
    *("isfinite", "isnan", "isinf", "isclose", "prod", "gcd", "lcm", "comb", "factorial", "fsum"),
    *("pi", "inf", "nan"),
}
"""What `math` has that rounds as IEEE 754 says, or not at all."""
INEXACT = {
    *("exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "power", "float_power", "cbrt"),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "arctan2"),
    *("arcsinh", "arccosh", "arctanh", "hypot", "logaddexp", "logaddexp2", "sinc", "i0"),
}
"""What NumPy rounds in its own ways, by processor."""
EXCEPTIONS = {
    ("debug/expressions.py", "np.log"): "a user's own condition asks for it",
    ("debug/expressions.py", "np.power"): "a user's own condition asks for it",
    ("draws.py", "generator.standard_normal"): "what it leaves to the C library is made again",
    ("commands/doctor.py", "generator(seed, 'doctor').standard_normal"): "any numbers will do",
    ("gradcheck.py", "draws.standard_normal"): "any directions will do",
}

compiled = pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")
elf = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="object files are not ELF")


# ---------------------------------------------------------------------------- machine code


def undefined(machine_code: bytes) -> set[str]:
    """Return the names that an ELF object of 64 bits leaves to others."""
    assert machine_code[:5] == b"\x7fELF\x02"
    (table,) = struct.unpack_from("<Q", machine_code, 0x28)
    size, count = struct.unpack_from("<HH", machine_code, 0x3A)
    sections = [
        struct.unpack_from("<IIQQQQIIQQ", machine_code, table + number * size)
        for number in range(count)
    ]
    names: set[str] = set()
    for section in sections:
        if section[1] != 2:  # no table of symbols
            continue
        texts = sections[section[6]][4]
        for place in range(section[4], section[4] + section[5], 24):
            name, _, _, where = struct.unpack_from("<IBBH", machine_code, place)
            if where == 0 and name:
                end = machine_code.index(b"\0", texts + name)
                names.add(machine_code[texts + name : end].decode())
    return names


def foreign(native: Native) -> set[str]:
    """Return what the machine code of a native calls that is neither ours nor allowed."""
    code = kernel_cache().read(native.key) if native.key is not None else None
    names = undefined((code or native.compile()).machine_code)
    return {name for name in names if not name.startswith("convscope_")} - set(ALLOWED)


def with_exponential(number: int) -> int:
    return int(math.exp(number * 0.5))


@compiled
@elf
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", list(all_kernels()))
def test_kernels_call_no_function_of_the_c_library(name: str, dtype: str) -> None:
    wrong = {native.name: foreign(native) for native in all_kernels()[name].natives(dtype)}
    assert not {name: found for name, found in wrong.items() if found}


@compiled
@elf
def test_what_runs_kernels_calls_no_function_of_the_c_library() -> None:
    assert not set.union(*(foreign(native) for native in called_natives()))


@compiled
@elf
def test_a_call_of_the_c_library_is_seen() -> None:
    native = Native("with_exponential_of_the_tests", with_exponential, [types.int64], types.int64)
    assert foreign(native) == {"exp"}
    entry = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(native.address)
    assert entry(4) == 7


def formulas() -> list[str]:
    """Return the functions of `scalar` that take numbers alone."""
    return [
        name
        for name, function in vars(scalar).items()
        if inspect.isfunction(function)
        and function.__module__ == scalar.__name__
        and name not in ("chunk_start", "hashed_uniform")
    ]


@compiled
@elf
@pytest.mark.parametrize("name", formulas())
def test_what_explain_replays_calls_no_function_of_the_c_library(name: str) -> None:
    function = getattr(scalar, name)
    count = len(inspect.signature(function).parameters)
    for real in (types.float32, types.float64):
        native = Native(f"{name}_{real}_of_the_tests", function, [real] * count, real)
        assert not foreign(native)


# ---------------------------------------------------------------------------- sources


def inexact(tree: ast.AST) -> Iterator[str]:
    """Yield what a C library or a processor rounds in its own way."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            module, name = ast.unparse(node.value), node.attr
            inexact = (module in ("math", "cmath") and name not in EXACT) or (
                module in ("np", "numpy") and name in INEXACT
            )
            drawn = name == "standard_normal" or (name == "normal" and module != "draws")
            if inexact or drawn:
                yield ast.unparse(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            # A power written out is a product, one of two a shift.
            left, right = (s.value if isinstance(s, ast.Constant) else None for s in
                           (node.left, node.right))  # fmt: skip
            if not isinstance(right, int) and left != 2:
                yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module in ("math", "cmath"):
            yield from (one.name for one in node.names if one.name not in EXACT)
        elif isinstance(node, ast.ImportFrom) and node.module == "numpy":
            yield from (one.name for one in node.names if one.name in INEXACT)


SOURCES = sorted(path.relative_to(OURS).as_posix() for path in OURS.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES)
def test_sources_call_no_function_of_the_c_library(path: str) -> None:
    found = set(inexact(ast.parse((OURS / path).read_text(encoding="utf-8"))))
    allowed = {text for place, text in EXCEPTIONS if place == path}
    assert found == allowed, "an exception that is not needed, or a call that is not allowed"


@pytest.mark.parametrize(
    "text",
    [
        *("math.exp(x)", "np.log1p(x)", "beta ** step", "x ** 0.5", "from math import cos"),
        *("np.tanh", "rng.normal(0, 1)", "10.0 ** (value / 100.5)", "self.rng.standard_normal"),
    ],
)
def test_such_a_call_is_seen_in_sources(text: str) -> None:
    assert list(inexact(ast.parse(text)))


@pytest.mark.parametrize("text", ["math.sqrt(x)", "2**n", "x**2", "np.sqrt(x)", "math.pi"])
def test_what_is_exact_may_be_called(text: str) -> None:
    assert not list(inexact(ast.parse(text)))
