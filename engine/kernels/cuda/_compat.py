"""The only door to Numba's CUDA support: a GPU, or the simulator with NUMBA_ENABLE_CUDASIM=1.

`numba-cuda` (the extra ``convscope[cuda]``) and the target inside older Numba releases share one
interface; where the simulator's differs, this module makes up for it, so that kernels and backend
are written once.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import cuda as numba_cuda
from numba import types

from engine.errors import DeviceError
from engine.typing import Shape

__all__ = [
    "SIMULATED",
    "cuda",
    "device",
    "device_array",
    "device_line",
    "device_or",
    "jit",
    "launcher",
    "place_in_grid",
    "types",
    "zeroed_bytes",
]

cuda: Any = numba_cuda
"""Numba's CUDA module. During a run the simulator exchanges it in the modules of kernels."""

SIMULATED = bool(cuda.config.ENABLE_CUDASIM)
"""Whether kernels run in Numba's simulator, in plain Python, instead of on a GPU."""

# Small networks launch small grids on purpose; Numba would warn about each of them.
cuda.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0

_SIMULATOR_OPTIONS = frozenset({"device", "debug", "inline", "fastmath", "opt"})


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """Compile for CUDA as ``cuda.jit`` does; the simulator drops options it does not know."""
    if SIMULATED:
        options = {key: value for key, value in options.items() if key in _SIMULATOR_OPTIONS}
    return cuda.jit(function, **options)


def device(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function callable from kernels.

    The simulator calls it as it is: its own wrapper exchanges the name `cuda` in the function's
    module while other threads of the block use it.
    """
    compiled: Callable[..., Any] = function if SIMULATED else cuda.jit(function, device=True)
    return compiled


def device_or(
    simulated: Callable[..., Any],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function callable from kernels; in the simulator its twin `simulated` is called."""

    def choose(function: Callable[..., Any]) -> Callable[..., Any]:
        return simulated if SIMULATED else device(function)

    return choose


def place_in_grid() -> tuple[int, int]:
    """Return number of the calling thread and number of all threads; only in the simulator.

    Compiled code asks ``cuda.grid`` and ``cuda.gridsize``. The simulator offers these to the
    kernel's own module only, so a helper in another module asks the running launch.
    """
    from numba.cuda.simulator.kernel import _get_kernel_context

    launch = _get_kernel_context()
    return launch.grid(1), launch.gridsize(1)


def launcher(dispatcher: Any, blocks: int, threads: int, stream: Any) -> Callable[..., None]:
    """Return a kernel with its launch sizes, ready to be called again and again.

    The simulator keeps the sizes in the kernel itself, so there they are set before each call.
    """
    if SIMULATED:
        return lambda *arguments: dispatcher[blocks, threads, stream](*arguments)
    configured: Callable[..., None] = dispatcher[blocks, threads, stream]
    return configured


def zeroed_bytes(count: int) -> Any:
    """Allocate `count` bytes of device memory, at least one, filled with zeros.

    Raises
    ------
    DeviceError
        If the device has no room for them.
    """
    driver = cuda.cudadrv.driver
    try:
        memory = cuda.device_array(max(count, 1), np.uint8)
        driver.device_memset(memory, 0, memory.size)
        cuda.synchronize()
    except (driver.CudaAPIError, MemoryError) as error:
        free, total = cuda.current_context().get_memory_info()
        raise DeviceError(
            f"the CUDA device cannot hold this program: it needs {count / 2**20:.0f} MiB, free are "
            f'{free / 2**20:.0f} of {total / 2**20:.0f} MiB; use a smaller batch or device="cpu"'
        ) from error
    return memory


def device_array(shape: Shape, dtype: str) -> Any:
    """Allocate an array of its own, uninitialised."""
    return cuda.device_array(shape, np.dtype(dtype))


def device_line() -> str:
    """Return device, compute capability, memory and Numba's versions in one line for people."""
    if SIMULATED:
        return f"cuda, simulated on the processor, Numba {numba.__version__}"
    gpu = cuda.get_current_device()
    name = gpu.name.decode() if isinstance(gpu.name, bytes) else gpu.name
    major, minor = gpu.compute_capability
    total = cuda.current_context().get_memory_info()[1]
    return (
        f"cuda, {name}, compute capability {major}.{minor}, {total / 2**30:.0f} GiB, {_version()}"
    )


def _version() -> str:
    """Return the version of `numba-cuda` if it serves, else Numba's."""
    if getattr(cuda, "implementation", "Built-in") == "NVIDIA":
        return f"numba-cuda {importlib.metadata.version('numba-cuda')}"
    return f"Numba {numba.__version__}"
