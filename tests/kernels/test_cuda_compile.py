"""Every kernel compiles to machine code for real GPUs on a machine without one.

Needs numba-cuda with its toolkit wheels (``pip install convscope[cuda]``), no driver and no GPU.
What the simulator cannot see shows here: types, accidental float64, local memory, shared memory.
"""

from __future__ import annotations

import importlib.util
import re
from types import SimpleNamespace
from typing import Any

import pytest

from engine.kernels.cuda._compat import SIMULATED, cuda, types
from engine.kernels.cuda._launch import REDUCTION_THREADS, THREADS
from engine.kernels.cuda.backend import all_kernels

REGISTERS = 65536
"""32-bit registers of one multiprocessor, from compute capability 7.5 to 9.0."""


def _missing() -> str | None:
    if SIMULATED:
        return "the simulator is on, and compiles nothing"
    if getattr(cuda, "implementation", "") != "NVIDIA":
        return "numba-cuda is not installed"
    for module in ("cuda.core", "cuda.bindings.nvvm", "cuda.bindings.nvjitlink"):
        try:
            if importlib.util.find_spec(module) is None:
                return f"{module} is not installed"
        except ModuleNotFoundError:
            return f"{module} is not installed"
    from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

    for library in ("nvvm", "nvJitLink"):
        try:
            load_nvidia_dynamic_lib(library)
        except DynamicLibNotFoundError:
            return (
                f"the library {library} is missing; install numba-cuda with an extra, cu13 or cu12"
            )
    return None


MISSING = _missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


def compile_for(name: str, dtype: str, capability: tuple[int, int], patch: Any) -> tuple[str, str]:
    """Return PTX and the linker's report."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    # Numba asks the device for its capability whenever it meets a device function.
    device = SimpleNamespace(compute_capability=capability)
    patch.setattr("numba.cuda.dispatcher.get_current_device", lambda: device)
    kernel = all_kernels()[name]
    ptx, _ = cuda.compile(
        kernel.function,
        types.void(*kernel.argument_types(dtype)),
        cc=capability,
        device=False,
        abi="numba",
        output="ptx",
    )
    options = LinkerOptions(arch=f"sm_{capability[0]}{capability[1]}", verbose=True)
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    linker.link("cubin")
    return ptx, linker.get_info_log()


@pytest.mark.parametrize("name", sorted(all_kernels()))
@pytest.mark.parametrize(
    ("dtype", "capability"),
    [("float32", (7, 5)), ("float32", (8, 0)), ("float32", (9, 0)), ("float64", (9, 0))],
    ids=["float32-sm_75", "float32-sm_80", "float32-sm_90", "float64-sm_90"],
)
def test_kernel_compiles_without_a_gpu(
    name: str, dtype: str, capability: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ptx, report = compile_for(name, dtype, capability, monkeypatch)
    assert f".target sm_{capability[0]}{capability[1]}" in ptx
    assert "fma.rn" in ptx or name not in ("conv2d_forward", "dense_forward")
    if dtype == "float32":
        assert ".f64" not in ptx, "float64 arithmetic in float32 code"
    used = {key: int(count) for count, key in re.findall(r"(\d+) (stack|registers)\b", report)}
    assert used["stack"] == 0, "numbers of one thread left the registers"
    threads = REDUCTION_THREADS if all_kernels()[name].one_block else THREADS
    assert used["registers"] * threads * 4 <= REGISTERS, "fewer than 4 blocks fit at a time"
    shared = int(re.search(r"(\d+) bytes smem", report).group(1))  # type: ignore[union-attr]
    assert shared <= 48 * 1024
