"""The CPU backend: one aligned arena per allocation, kernels called by address from a table."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np

import engine.kernels.cpu as package
from engine.kernels.cpu._jit import JIT_DISABLED, KERNELS, Kernel, pack
from engine.kernels.cpu._microkernel import SLACK_BYTES
from engine.kernels.cpu._team import Team, available_threads
from engine.kernels.launch import Arena, Backend, Buffer, Executable, Launch, Progress, Role
from engine.kernels.types import view_for
from engine.typing import Array, Shape

ALIGNMENT = 64
"""Bytes: a cache line, and the width of an AVX-512 register."""

ORDERS: dict[tuple[str, int], tuple[int, ...]] = {
    ("activation", 4): (0, 2, 3, 1),
    ("kernel", 4): (2, 3, 1, 0),
    ("matrix", 2): (1, 0),
}
"""Memory order by role and rank: vector lanes run across the last axis, so channels come last."""


@functools.cache
def all_kernels() -> dict[str, Kernel]:
    """Import every module of this package and return the kernels by name."""
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_") and module.name != "backend":
            importlib.import_module(f"{package.__name__}.{module.name}")
    return KERNELS


class CpuBuffer(Buffer):
    """A piece of an arena, seen as an array in memory order."""

    def __init__(
        self, name: str, shape: Shape, dtype: str, role: Role, base: CpuBuffer | None = None
    ) -> None:
        order = ORDERS.get((role, len(shape)), tuple(range(len(shape))))
        super().__init__(name, shape, dtype, role, order)
        self._base, self._memory = base, np.zeros(0, dtype)

    @property
    def memory(self) -> Array:
        """The numbers in memory order; never a copy."""
        if self._base is not None:
            return self._base.memory.reshape(self.inner_shape)
        return self._memory

    def place(self, memory: Array) -> None:
        """Take a piece of the arena."""
        self._memory = memory.reshape(self.inner_shape)

    def read(self) -> Array:
        """Return the contents as a fresh array in public axis order."""
        return self.to_public(self.memory)

    def write(self, values: Array) -> None:
        """Store `values`, given in public axis order."""
        self.memory[...] = np.broadcast_to(values, self.shape).transpose(self.order)

    def capture(self) -> Array:
        """Return a copy of the memory as it lies."""
        return self.memory.copy()

    def restore(self, captured: Array) -> None:
        """Put back what `capture` returned."""
        self.memory[...] = captured

    def reshaped(self, shape: Shape) -> CpuBuffer:
        """Return the same memory under another shape; only for plain order."""
        return CpuBuffer(self.name, shape, self.dtype, "plain", self)


class CpuArena(Arena):
    """One zeroed, touched block of memory; every buffer starts on a cache line."""

    def __init__(self) -> None:
        self._buffers: list[CpuBuffer] = []

    def request(self, name: str, shape: Shape, dtype: str, role: Role = "plain") -> Buffer:
        """Plan one buffer."""
        self._buffers.append(CpuBuffer(name, shape, dtype, role))
        return self._buffers[-1]

    def commit(self) -> int:
        """Allocate everything that was requested; return the size in bytes."""
        sizes = [b.size * np.dtype(b.dtype).itemsize for b in self._buffers]
        total = sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)
        arena = np.empty(total + ALIGNMENT + SLACK_BYTES, np.uint8)
        arena.fill(0)
        offset = -arena.ctypes.data % ALIGNMENT
        for buffer, size in zip(self._buffers, sizes, strict=True):
            buffer.place(arena[offset : offset + size].view(buffer.dtype))
            offset += -(-size // ALIGNMENT) * ALIGNMENT
        return total


class CpuExecutable(Executable):
    """A table of rows (entry address, address of its words) and the memory behind it."""

    def __init__(
        self, kernels: list[Kernel], arguments: list[list[Any]], dtype: str, team: Team
    ) -> None:
        self._kernels, self._arguments, self._team = kernels, arguments, team
        if JIT_DISABLED:
            return
        words = [pack(k, a[0], a[1]) for k, a in zip(kernels, arguments, strict=True)]
        self._words = np.array([w for row in words for w in row] or [0], np.int64)
        self._rows = np.zeros((max(len(words), 1), 2), np.int64)
        offset = 0
        for number, (one, row) in enumerate(zip(kernels, words, strict=True)):
            self._rows[number] = one.entry(dtype), self._words.ctypes.data + 8 * offset
            offset += len(row)

    def run(self, start: int, stop: int) -> None:
        """Run launches ``start..stop``; without the JIT, one after the other in plain Python."""
        if not JIT_DISABLED:
            self._team.run(self._rows, start, stop)
            return
        for one, (arrays, settings) in zip(
            self._kernels[start:stop], self._arguments[start:stop], strict=True
        ):
            rest = () if settings is None else (settings,)
            with np.errstate(all="ignore"):
                one(*arrays, *rest, 0, 1)


class CpuBackend(Backend):
    """Numba kernels on the processor.

    Parameters
    ----------
    threads : int or None
        Team size; None takes as many as the process may use.
    """

    name = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        self.team = Team(threads or available_threads())

    def arena(self) -> Arena:
        """Return an empty plan of memory."""
        return CpuArena()

    def prepare(
        self, launches: Sequence[Launch], dtype: str, progress: Progress | None = None
    ) -> Executable:
        """Compile (or load) every kernel that is used and build the table."""
        kernels = [all_kernels()[launch.kernel] for launch in launches]
        missing = list(dict.fromkeys(kernels))
        for number, one in enumerate(missing):
            if progress is not None:
                progress(one.name, number, len(missing))
            if not JIT_DISABLED:
                one.entry(dtype)
        arguments: list[list[Any]] = []
        for one, launch in zip(kernels, launches, strict=True):
            kinds = one.signature.arrays
            if len(kinds) != len(launch.buffers):
                raise TypeError(f"{one.name} takes {len(kinds)} buffers, got {len(launch.buffers)}")
            memories = [buffer.memory for buffer in launch.buffers if isinstance(buffer, CpuBuffer)]
            arrays = [view_for(kind, memory) for kind, memory in zip(kinds, memories, strict=True)]
            arguments.append([arrays, launch.settings])
        return CpuExecutable(kernels, arguments, dtype, self.team)

    def kernel_source(self, kernel: str) -> Callable[..., Any]:
        """Return the plain Python function of a kernel."""
        return all_kernels()[kernel].source

    def describe(self) -> str:
        """Return device, threads and CPU in one line."""
        import llvmlite.binding as llvm

        cpu, version = llvm.get_host_cpu_name(), numba.__version__
        return f"cpu, {self.team.threads} threads, {cpu}, Numba {version}"
