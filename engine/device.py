"""Devices: the seam between operations and the kernels that carry them out.

Everything above this module speaks of `Backend`, `Buffer` and `Launch` and knows no device.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
from collections.abc import Sequence

from engine import arguments
from engine.errors import ConfigurationError, DeviceError
from engine.kernels import replay
from engine.kernels.launch import (
    Arena,
    Backend,
    Buffer,
    Compilation,
    Executable,
    Launch,
    Life,
    Progress,
    Role,
)

__all__ = [
    "Arena",
    "Backend",
    "Buffer",
    "Compilation",
    "Executable",
    "Launch",
    "Life",
    "Progress",
    "Role",
    "backend_for",
    "compile_kernels",
    "cuda_problem",
    "kernel_cache",
    "replay",
]


THREADS_VARIABLE = "CONVSCOPE_THREADS"
"""Environment variable: how many CPU threads are used where nothing else is said."""
NO_CUDA = "no CUDA device or driver was found"
_LINUX_DRIVERS = ("libcuda.so.1", "libcuda.so", "/usr/lib/libcuda.so", "/usr/lib64/libcuda.so")
CUDA_DRIVERS = {"linux": _LINUX_DRIVERS, "win32": ("nvcuda.dll",)}
"""Where Numba looks for the driver, by system."""


@functools.cache
def cuda_problem() -> str | None:
    """Return why CUDA cannot be used here, or None if it can."""
    if not _has_cuda_driver():
        return NO_CUDA
    try:
        from numba import cuda
    except ImportError as error:
        return f"Numba's CUDA support cannot be imported ({error})"
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        return None
    try:
        available = cuda.is_available()  # type: ignore[no-untyped-call, unused-ignore]
    except Exception as error:  # the driver's own errors have many types
        return f"the CUDA driver reports {type(error).__name__}: {error}"
    return None if available else NO_CUDA


def _has_cuda_driver() -> bool:
    """Return whether the driver's library can be loaded, or may be in a place of its own.

    Many machines have none, and asking Numba for it takes a tenth of a second.
    """
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" or os.environ.get("NUMBA_CUDA_DRIVER"):
        return True
    for name in CUDA_DRIVERS.get(sys.platform, ()):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def _cpu(threads: int | None) -> Backend:
    """Return the team of so many threads; where there is one only, it is the caller's own.

    So two models that are trained with one thread each share nothing, and none waits for the other.
    """
    from engine.kernels.cpu._team import available_threads
    from engine.kernels.cpu.backend import CpuBackend

    count = threads or available_threads()
    return CpuBackend(1) if count == 1 else _cpu_team(count)


@functools.cache
def _cpu_team(threads: int) -> Backend:
    from engine.kernels.cpu.backend import CpuBackend

    return CpuBackend(threads)


@functools.cache
def _cuda() -> Backend:
    from engine.kernels.cuda.backend import CudaBackend

    return CudaBackend()


def compile_kernels(
    dtypes: Sequence[str] = ("float32",),
    processes: int | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    background: bool = False,
) -> Compilation:
    """Compile every CPU kernel that is not in the cache, so that nothing has to wait for it later.

    Parameters
    ----------
    dtypes : sequence of str
        ``"float32"``, ``"float64"`` or both.
    processes : int, optional
        How many processes compile; one for each processor core by default.
    progress : callable, optional
        Called as ``progress(kernel, number, total)`` before each kernel.
    stop : threading.Event, optional
        Set it to end early; what is compiled by then stays.
    background : bool
        Leave the processor to others that want it.

    Raises
    ------
    ConfigurationError
        If a dtype or the number of processes makes no sense.
    DeviceError
        If a kernel cannot be compiled.
    """
    for dtype in arguments.ordered("compile_kernels dtypes", dtypes, "a sequence of dtypes"):
        arguments.choice("compile_kernels dtypes", dtype, ("float32", "float64"))
    if processes is not None:
        processes = arguments.whole("compile_kernels processes", processes, 1)
    arguments.flag("compile_kernels background", background)
    from engine.kernels.cpu.backend import compile_all

    return compile_all(dtypes, processes, progress, stop, background)


def kernel_cache() -> str:
    """Return where compiled CPU kernels are kept, how many, and how much space they take."""
    from engine.kernels.cpu.backend import describe_cache

    return describe_cache()


def most_threads() -> int:
    """Return how many CPU threads may be asked for; beyond that they only wait for each other."""
    return max(64, 4 * (os.cpu_count() or 1))


def _check_threads(threads: int | None) -> None:
    """Refuse a number of threads that makes no sense, or such a CONVSCOPE_THREADS.

    Each thread reserves memory of its own, so thousands of them are a lack of memory.
    """
    name, hint = "threads", "leave it out for as many as this process may use"
    wish: object = threads
    if threads is None:
        wish = os.environ.get(THREADS_VARIABLE, "")
        name = THREADS_VARIABLE
        if not wish:
            return
        threads = int(wish) if wish.isascii() and wish.isdigit() and len(wish) < 10 else 0
    if not 1 <= threads <= most_threads():
        raise ConfigurationError(
            f"{name}: expected 1 to {most_threads()} threads, received {wish}; {hint}"
        )


def backend_for(device: str, threads: int | None = None) -> Backend:
    """Return the backend for ``"cpu"``, ``"cuda"`` or ``"auto"`` (CUDA if there is a real GPU).

    Parameters
    ----------
    device : str
    threads : int or None
        CPU threads; None takes as many as the process may use.

    Raises
    ------
    DeviceError
        If CUDA is asked for and cannot be used.
    ConfigurationError
        If the name or the number of threads makes no sense.
    """
    if threads is not None:
        threads = arguments.whole("threads", threads, 1)
    _check_threads(threads)
    if arguments.choice("device", device, ("cpu", "cuda", "auto")) == "cpu":
        return _cpu(threads)
    if device == "auto":
        simulated = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
        return _cpu(threads) if simulated or cuda_problem() else _cuda()
    problem = cuda_problem()
    if problem:
        raise DeviceError(f'device "cuda": {problem}; use device="cpu", or install convscope[cuda]')
    return _cuda()
