"""The CPU backend: one aligned arena per allocation, kernels called by address from a table."""

from __future__ import annotations

import functools
import importlib
import math
import pkgutil
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numba
import numpy as np

import engine.kernels.cpu as package
from engine.kernels.cpu._cache import kernel_cache as kernel_files
from engine.kernels.cpu._compile import called_natives, compile_kernels, load, natives_of
from engine.kernels.cpu._jit import JIT_DISABLED, KERNELS, Kernel, pack
from engine.kernels.cpu._memory import thread_memory
from engine.kernels.cpu._team import (
    DONE,
    ROW_BYTES,
    STOP,
    WATCH_BYTES,
    Team,
    aligned,
    available_threads,
)
from engine.kernels.cpu._tile import PANEL_BYTES, SLACK_BYTES
from engine.kernels.cpu._width import check_width, describe_width
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
    is_alive,
    offsets,
)
from engine.kernels.types import typed_settings, view_for
from engine.typing import Array, Shape

ALIGNMENT = 64
"""Bytes: a cache line, and the width of an AVX-512 register."""

ORDERS: dict[tuple[str, int], tuple[int, ...]] = {
    ("activation", 4): (0, 2, 3, 1),
    ("kernel", 4): (2, 3, 1, 0),
    ("kernels", 5): (0, 3, 4, 2, 1),
    ("matrix", 2): (1, 0),
}
"""Memory order by role and rank: vector lanes run across the last axis, so channels come last."""

SHARED_FROM_US = 10.0
"""Rows that one thread does in less time are not worth waking or waiting for others."""
MULTIPLY_ADDS_PER_US, BYTES_PER_US = 25_000, 75_000
"""What one thread does in a microsecond, roughly, with numbers from its own cache: another thread
would have to fetch them first. It decides who works, never what comes out."""
PART_US = 200.0
"""Parts that take less time are not worth it: each copies its borders and reads weights anew."""


def is_small(launch: Launch) -> bool:
    """Return whether one thread does a launch faster than several would."""
    if launch.work:
        return launch.work < SHARED_FROM_US * MULTIPLY_ADDS_PER_US
    return launch.memory_bytes < SHARED_FROM_US * BYTES_PER_US


def parts_of(launch: Launch, kernel: Kernel, threads: int) -> int:
    """Return how many parts a team of `threads` does a launch in; see `_team.ROW_BYTES`."""
    if is_small(launch):
        return 1
    most = int(launch.work / (PART_US * MULTIPLY_ADDS_PER_US))
    parts = min(kernel.parts * threads, most)
    return parts if parts > threads else 0


@functools.cache
def all_kernels() -> dict[str, Kernel]:
    """Import every module of this package and return the kernels by name."""
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_") and module.name != "backend":
            importlib.import_module(f"{package.__name__}.{module.name}")
    return KERNELS


PANELS: dict[str, int] = {"kernel": 4, "matrix": 2, "kernels": 5}
"""Roles of weights, by rank: they lie in panels of a few outputs, whose numbers follow each other.

A kernel (o, i, kh, kw) lies as (panel, kh, kw, i, lane), a matrix (out, in) as (panel, in, lane);
`kernels` are several kernels. Lanes beyond the last output hold zeros and are never written.
"""


def compile_all(
    dtypes: Sequence[str],
    processes: int | None,
    progress: Progress | None,
    stop: threading.Event | None,
    background: bool,
) -> Compilation:
    """Compile every kernel that is not in the cache; see `engine.device.compile_kernels`."""
    if JIT_DISABLED:
        return Compilation(0, 0, 0)
    kernels = list(all_kernels().values())
    return compile_kernels(kernels, dtypes, processes, progress, stop, background)


def describe_cache() -> str:
    """Return where compiled kernels are kept, in one line."""
    if JIT_DISABLED:
        return "not used: the compiler is switched off (NUMBA_DISABLE_JIT)"
    return kernel_files().describe()


class CpuBuffer(Buffer):
    """A piece of an arena, seen as an array in memory order."""

    def __init__(
        self, name: str, shape: Shape, dtype: str, role: Role, base: CpuBuffer | None = None
    ) -> None:
        order = ORDERS.get((role, len(shape)), tuple(range(len(shape))))
        super().__init__(name, shape, dtype, role, order)
        self.in_panels = PANELS.get(role) == len(shape)
        if self.in_panels:
            self._lanes = PANEL_BYTES // np.dtype(dtype).itemsize
            self._outputs = self.inner_shape[-1]
            panels = -(-self._outputs // self._lanes)
            several = self.inner_shape[: len(shape) - (2 if role == "matrix" else 4)]
            taps = self.inner_shape[len(several) : -1]
            self.inner_shape = (*several, panels, *taps, self._lanes)
            self._panel_axis = len(several)
        self._base, self._memory = base, np.zeros(0, dtype)

    @property
    def root(self) -> Buffer:
        """The buffer whose memory this one shows under another shape; itself if none."""
        return self if self._base is None else self._base.root

    @property
    def memory(self) -> Array:
        """The numbers in memory order; never a copy."""
        if self._base is not None:
            return self._base.memory.reshape(self.inner_shape)
        return self._memory

    @property
    def memory_size(self) -> int:
        """Number of elements in memory, lanes without an output included."""
        return math.prod(self.inner_shape)

    def place(self, memory: Array) -> None:
        """Take a piece of the arena."""
        self._memory = memory.reshape(self.inner_shape)

    def to_inner(self, values: Array) -> Array:
        """Return public `values` in memory order, contiguous, in the buffer's dtype."""
        if not self.in_panels:
            return super().to_inner(values)
        public = np.broadcast_to(np.asarray(values, self.dtype), self.shape).transpose(self.order)
        missing = self.inner_shape[self._panel_axis] * self._lanes - self._outputs
        padded = np.pad(public, [(0, 0)] * (public.ndim - 1) + [(0, missing)])
        split = padded.reshape(*public.shape[:-1], -1, self._lanes)
        return np.ascontiguousarray(np.moveaxis(split, -2, self._panel_axis))

    def to_public(self, inner: Array) -> Array:
        """Return memory `inner` as a fresh array in public order."""
        if not self.in_panels:
            return super().to_public(inner)
        split = np.moveaxis(inner.reshape(self.inner_shape), self._panel_axis, -2)
        lanes = split.reshape(*split.shape[:-2], -1)[..., : self._outputs]
        return np.array(lanes.transpose(np.argsort(self.order)), order="C")

    def read(self) -> Array:
        """Return the contents as a fresh array in public axis order."""
        return self.to_public(self.memory)

    def write(self, values: Array) -> None:
        """Store `values`, given in public axis order."""
        self.version += 1
        if self.in_panels:
            self.memory[...] = self.to_inner(values)
        else:
            self.memory[...] = np.broadcast_to(values, self.shape).transpose(self.order)

    def capture(self) -> Array:
        """Return a copy of the memory as it lies."""
        return self.memory.copy()

    def restore(self, captured: Array) -> None:
        """Put back what `capture` returned."""
        self.version += 1
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

    def commit(self, lives: Mapping[Buffer, Life] | None = None) -> int:
        """Allocate everything that was requested; see `Arena.commit`."""
        sizes = [b.memory_size * np.dtype(b.dtype).itemsize for b in self._buffers]
        mortal = [lives.get(b) if lives else None for b in self._buffers]
        places, total = offsets(sizes, mortal, ALIGNMENT)
        arena = np.empty(total + ALIGNMENT + SLACK_BYTES, np.uint8)
        arena.fill(0)
        start = -arena.ctypes.data % ALIGNMENT
        for buffer, size, place, life in zip(self._buffers, sizes, places, mortal, strict=True):
            if is_alive(life):
                buffer.place(arena[start + place : start + place + size].view(buffer.dtype))
        return total


class CpuExecutable(Executable):
    """A table of rows (see `_team`) and the memory behind it."""

    def __init__(
        self,
        kernels: list[Kernel],
        arguments: list[list[Any]],
        launches: Sequence[Launch],
        dtype: str,
        team: Team,
        work: int = 0,
    ) -> None:
        self._kernels, self._arguments, self._team = kernels, arguments, team
        self._dtype = dtype
        self._watch_bytes = aligned(WATCH_BYTES)
        self._watch = self._watch_bytes.view(np.int64)
        self._shared = [0]
        """How many of the rows before each row are worth sharing."""
        if JIT_DISABLED:
            return
        words = [pack(k, a[0], a[1], work) for k, a in zip(kernels, arguments, strict=True)]
        self._words = np.array([w for row in words for w in row] or [0], np.int64)
        self._rows = np.zeros((max(len(words), 1), ROW_BYTES // 8), np.int64)
        offset = 0
        for number, (one, row, launch) in enumerate(zip(kernels, words, launches, strict=True)):
            parts = parts_of(launch, one, team.threads)
            self._shared.append(self._shared[-1] + (parts != 1))
            self._rows[number] = one.entry(dtype), self._words.ctypes.data + 8 * offset, parts
            offset += len(row)
        self._addresses = self._rows.ctypes.data, self._watch.ctypes.data

    def run(self, start: int, stop: int) -> bool:
        """Run launches ``start..stop``; without the JIT, one after the other in plain Python."""
        if not JIT_DISABLED:
            rows, watch = self._addresses
            shared = self._shared[stop] > self._shared[start]
            return self._team.run(rows, start, stop, watch, shared) >= stop
        for number in range(start, stop):
            if number < self._watch[STOP // 8]:
                return False
            arrays, settings = self._arguments[number]
            rest = () if settings is None else (typed_settings(settings, self._dtype),)
            with np.errstate(all="ignore"):
                self._kernels[number](*arrays, *rest, 0, 1)
            self._watch[DONE // 8] = number + 1
        return True

    def point(self, array: Array) -> None:
        """Let the first array of the first launch be another one of the same size and kind."""
        self._words[0] = array.__array_interface__["data"][0]

    def interrupt(self, before: int) -> None:
        """End a run that stands before launch `before`; see `Executable.interrupt`."""
        self._watch[STOP // 8] = before

    @property
    def done(self) -> int:
        """How many launches of a run under way are through, counted from launch 0."""
        return int(self._watch[DONE // 8])


class CpuBackend(Backend):
    """Numba kernels on the processor.

    Parameters
    ----------
    threads : int or None
        Team size; None takes as many as the process may use.
    """

    name = "cpu"
    fuses = True

    def __init__(self, threads: int | None = None) -> None:
        check_width()
        self.team = Team(threads or available_threads())
        self._scratch, self._work = thread_memory(self.team.threads)

    def arena(self) -> Arena:
        """Return an empty plan of memory."""
        return CpuArena()

    def prepare(
        self, launches: Sequence[Launch], dtype: str, progress: Progress | None = None
    ) -> Executable:
        """Compile (or load) every kernel that is used and build the table."""
        return self._table(launches, dtype, progress)

    def _table(
        self, launches: Sequence[Launch], dtype: str, progress: Progress | None = None
    ) -> CpuExecutable:
        kernels = [all_kernels()[launch.kernel] for launch in launches]
        if not JIT_DISABLED:
            load([*natives_of(kernels, dtype), *called_natives()], progress)
        arguments: list[list[Any]] = []
        for one, launch in zip(kernels, launches, strict=True):
            kinds = one.signature.arrays
            if len(kinds) != len(launch.buffers):
                raise TypeError(f"{one.name} takes {len(kinds)} buffers, got {len(launch.buffers)}")
            memories = [buffer.memory for buffer in launch.buffers if isinstance(buffer, CpuBuffer)]
            arrays = [view_for(kind, memory) for kind, memory in zip(kinds, memories, strict=True)]
            arguments.append([arrays, launch.settings])
        return CpuExecutable(kernels, arguments, launches, dtype, self.team, self._work)

    def view(self, buffer: Buffer) -> Array | None:
        """Return the memory in public axis order; None for weights, which lie in panels."""
        if not isinstance(buffer, CpuBuffer) or buffer.role not in ("plain", "activation"):
            return None
        return buffer.memory.transpose(np.argsort(buffer.order))

    def loader(self, buffer: Buffer) -> Callable[[Array], None]:
        """Return a plain copy where memory order is public order, else a launch that transposes."""
        view = self.view(buffer)
        if view is None or not isinstance(buffer, CpuBuffer):
            return buffer.write
        flat = buffer.memory.reshape(-1)
        target = flat.reshape(buffer.shape) if buffer.is_plain else view
        if buffer.is_plain or buffer.dtype == "int64":
            return lambda array: np.copyto(target, array, casting="unsafe")
        stand_in = CpuBuffer(buffer.name, (flat.size,), buffer.dtype, "plain")
        stand_in.place(flat)
        launch = Launch("activation_from_plain", (stand_in, buffer))
        executable = self._table([launch], buffer.dtype)

        def load(array: Array) -> None:
            right = array.dtype == flat.dtype and array.shape == buffer.shape
            if right and array.flags.c_contiguous and not JIT_DISABLED:
                executable.point(array)
                executable.run(0, 1)
            else:
                np.copyto(target, array, casting="unsafe")

        return load

    def joined(self, buffers: Sequence[Buffer]) -> Buffer | None:
        """Return one buffer over memory that lies together but for alignment."""
        pieces = [buffer.memory for buffer in buffers if isinstance(buffer, CpuBuffer)]
        block = pieces[0].base
        if block is None or any(piece.base is not block for piece in pieces):
            return None
        starts = [piece.ctypes.data - block.ctypes.data for piece in pieces]
        stops = [start + piece.nbytes for start, piece in zip(starts, pieces, strict=True)]
        gaps = [start - stop for start, stop in zip(starts[1:], stops, strict=False)]
        if any(not 0 <= gap < ALIGNMENT for gap in gaps):
            return None
        memory = block[starts[0] : stops[-1]].view(pieces[0].dtype)
        whole = CpuBuffer(buffers[0].name, memory.shape, buffers[0].dtype, "plain")
        whole.place(memory)
        return whole

    def kernel_source(self, kernel: str) -> Callable[..., Any]:
        """Return the plain Python function of a kernel."""
        return all_kernels()[kernel].source

    def describe(self) -> str:
        """Return device, threads, CPU and width of vectors in one line."""
        import llvmlite.binding as llvm

        cpu, version = llvm.get_host_cpu_name(), numba.__version__
        team = f"{self.team.threads} threads"
        return f"cpu, {team}, {cpu}, {describe_width()}, Numba {version}"
