"""Devices: the seam between operations and the kernels that carry them out.

Everything above this module speaks of `Backend`, `Buffer` and `Launch` and knows no device.
"""

from __future__ import annotations

import functools
import os

from engine.errors import ConfigurationError, DeviceError
from engine.kernels import replay
from engine.kernels.launch import Arena, Backend, Buffer, Executable, Launch, Progress, Role

__all__ = [
    "Arena",
    "Backend",
    "Buffer",
    "Executable",
    "Launch",
    "Progress",
    "Role",
    "backend_for",
    "cuda_problem",
    "replay",
]


@functools.cache
def cuda_problem() -> str | None:
    """Return why CUDA cannot be used here, or None if it can."""
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
    return None if available else "no CUDA device or driver was found"


@functools.cache
def _cpu(threads: int | None) -> Backend:
    from engine.kernels.cpu.backend import CpuBackend

    return CpuBackend(threads)


@functools.cache
def _cuda() -> Backend:
    from engine.kernels.cuda.backend import CudaBackend

    return CudaBackend()


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
    if threads is not None and threads < 1:
        raise ConfigurationError(
            f"threads: expected at least 1, received {threads}; leave it out for all"
        )
    if device == "cpu":
        return _cpu(threads)
    if device == "auto":
        simulated = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
        return _cpu(threads) if simulated or cuda_problem() else _cuda()
    if device == "cuda":
        problem = cuda_problem()
        if problem:
            raise DeviceError(
                f'device "cuda": {problem}; use device="cpu", or install convscope[cuda]'
            )
        return _cuda()
    raise ConfigurationError(f'device: expected "cpu", "cuda" or "auto", received {device!r}')
