"""The CUDA backend: one arena of device memory, launches in order on one stream."""

from __future__ import annotations

import functools
import importlib
import math
import pkgutil
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import engine.kernels.cuda as package
from engine.errors import DeviceError
from engine.kernels.cuda._compat import (
    SIMULATED,
    cuda,
    device_array,
    device_line,
    launcher,
    zeroed_bytes,
)
from engine.kernels.cuda._index import LARGEST
from engine.kernels.cuda._jit import KERNELS, Kernel
from engine.kernels.cuda._launch import launch_size
from engine.kernels.launch import (
    Arena,
    Backend,
    Buffer,
    Executable,
    Launch,
    Life,
    Progress,
    Role,
    is_alive,
    offsets,
)
from engine.kernels.types import ArrayKind, typed_settings
from engine.typing import Array, Shape

ALIGNMENT = 256
"""Bytes: what the CUDA allocator itself gives; enough for any vector load."""


@functools.cache
def all_kernels() -> dict[str, Kernel]:
    """Import every module of this package and return the kernels by name."""
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_") and module.name != "backend":
            importlib.import_module(f"{package.__name__}.{module.name}")
    return KERNELS


class CudaBuffer(Buffer):
    """A piece of an arena on the device; memory order is public order."""

    def __init__(
        self,
        name: str,
        shape: Shape,
        dtype: str,
        role: Role,
        stream: Any,
        base: CudaBuffer | None = None,
    ) -> None:
        super().__init__(name, shape, dtype, role, tuple(range(len(shape))))
        self._stream, self._base = stream, base
        self._flat: Any = None

    @property
    def root(self) -> Buffer:
        """The buffer whose memory this one shows under another shape; itself if none."""
        return self if self._base is None else self._base.root

    @property
    def flat(self) -> Any:
        """The device array, seen as one axis.

        Raises
        ------
        TypeError
            If the arena has not been committed: a mistake of the program, not of a user.
        """
        flat = self._flat if self._base is None else self._base.flat
        if flat is None:
            raise TypeError(f"buffer {self.name} has no memory yet; commit its arena first")
        return flat

    def place(self, flat: Any) -> None:
        """Take a piece of the arena."""
        self._flat = flat

    def seen_as(self, kind: ArrayKind) -> Any:
        """Return the device array as a kernel with this array kind sees it; never a copy.

        Raises
        ------
        TypeError
            If rank or number do not fit: a mistake in an op, not of a user.
        """
        if (kind.number == "integer") != (self.dtype == "int64"):
            raise TypeError(f"kernel wants {kind.number} numbers, {self.name} holds {self.dtype}")
        if kind.rank not in (0, len(self.shape)):
            raise TypeError(f"kernel wants rank {kind.rank}, {self.name} has shape {self.shape}")
        if kind.rank <= 1:
            return self.flat
        return self.flat.reshape(*self.shape) if self.size else device_array(self.shape, self.dtype)

    def read(self) -> Array:
        """Return the contents as a fresh array in public axis order."""
        values = np.empty(self.size, self.dtype)
        if self.size:
            self.flat.copy_to_host(values, stream=self._stream)
            self._stream.synchronize()
        return values.reshape(self.shape)

    def write(self, values: Array) -> None:
        """Store `values`, given in public axis order."""
        self.version += 1
        inner = self.to_inner(values).reshape(-1)
        if self.size:
            self.flat.copy_to_device(inner, stream=self._stream)
            self._stream.synchronize()  # until then the copy may still read `inner`

    def capture(self) -> Array:
        """Return a copy of the memory as it lies, on the host."""
        return self.read()

    def restore(self, captured: Array) -> None:
        """Put back what `capture` returned."""
        self.write(captured)

    def reshaped(self, shape: Shape) -> CudaBuffer:
        """Return the same memory under another shape."""
        if math.prod(shape) != self.size:
            raise TypeError(f"buffer {self.name} of shape {self.shape} cannot be seen as {shape}")
        return CudaBuffer(self.name, shape, self.dtype, "plain", self._stream, self)


class CudaArena(Arena):
    """One zeroed allocation on the device; every buffer starts on a multiple of `ALIGNMENT`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._buffers: list[CudaBuffer] = []

    def request(self, name: str, shape: Shape, dtype: str, role: Role = "plain") -> Buffer:
        """Plan one buffer.

        Raises
        ------
        DeviceError
            If it has more elements than the kernels' index arithmetic can count.
        """
        buffer = CudaBuffer(name, shape, dtype, role, self._stream)
        if buffer.size > LARGEST:
            raise DeviceError(
                f"{name}: CUDA buffers hold at most {LARGEST} elements, {shape} has {buffer.size}; "
                "use a smaller batch"
            )
        self._buffers.append(buffer)
        return buffer

    def commit(self, lives: Mapping[Buffer, Life] | None = None) -> int:
        """Allocate everything that was requested; see `Arena.commit`.

        Raises
        ------
        DeviceError
            If the device has no room for it.
        """
        sizes = [b.size * np.dtype(b.dtype).itemsize for b in self._buffers]
        mortal = [lives.get(b) if lives else None for b in self._buffers]
        places, total = offsets(sizes, mortal, ALIGNMENT)
        memory = zeroed_bytes(total)
        for buffer, size, place, life in zip(self._buffers, sizes, places, mortal, strict=True):
            if not is_alive(life):
                continue
            if size:
                buffer.place(memory[place : place + size].view(np.dtype(buffer.dtype)))
            else:
                buffer.place(device_array((0,), buffer.dtype))
        return total


class CudaExecutable(Executable):
    """Launches with their sizes and arguments fixed."""

    def __init__(
        self,
        calls: list[tuple[Callable[..., None], tuple[Any, ...]]],
        stream: Any,
        lock: threading.Lock,
    ) -> None:
        self._calls, self._stream, self._lock = calls, stream, lock

    def run(self, start: int, stop: int) -> bool:
        """Launch ``start..stop`` in order and return when the device is through."""
        with self._lock:
            cuda.current_context()  # binds the device to a thread that has not used it yet
            for launch, arguments in self._calls[start:stop]:
                launch(*arguments)
            self._stream.synchronize()
        return True


class CudaBackend(Backend):
    """Numba kernels on the first CUDA device, or in Numba's simulator."""

    name = "cuda"

    def __init__(self) -> None:
        self._stream = cuda.stream()
        # The simulator runs one launch at a time; on a device, a range stays in one piece.
        self._lock = threading.Lock()

    def arena(self) -> Arena:
        """Return an empty plan of device memory."""
        return CudaArena(self._stream)

    def prepare(
        self, launches: Sequence[Launch], dtype: str, progress: Progress | None = None
    ) -> Executable:
        """Compile every kernel that is used and fix sizes and arguments."""
        kernels = [all_kernels()[launch.kernel] for launch in launches]
        missing = list(dict.fromkeys(kernels))
        for number, one in enumerate(missing):
            if progress is not None:
                progress(one.name, number, len(missing))
            if not SIMULATED:
                one.dispatcher.compile(one.argument_types(dtype))
        calls = [self._call(one, x, dtype) for one, x in zip(kernels, launches, strict=True)]
        return CudaExecutable(calls, self._stream, self._lock)

    def _call(
        self, one: Kernel, launch: Launch, dtype: str
    ) -> tuple[Callable[..., None], tuple[Any, ...]]:
        """Return the configured kernel of one launch, and its arguments."""
        kinds = one.signature.arrays
        if len(kinds) != len(launch.buffers):
            raise TypeError(f"{one.name} takes {len(kinds)} buffers, got {len(launch.buffers)}")
        buffers = [buffer for buffer in launch.buffers if isinstance(buffer, CudaBuffer)]
        arguments = [b.seen_as(kind) for b, kind in zip(buffers, kinds, strict=True)]
        if launch.settings is not None:
            arguments.append(typed_settings(launch.settings, dtype))
        items = math.prod(launch.buffers[one.over].shape[: one.axes])
        blocks, threads = launch_size(items, one.one_block)
        return launcher(one.dispatcher, blocks, threads, self._stream), tuple(arguments)

    def kernel_source(self, kernel: str) -> Callable[..., Any]:
        """Return the plain Python function of a kernel."""
        return all_kernels()[kernel].function

    def describe(self) -> str:
        """Return device, compute capability and memory in one line."""
        return device_line()
