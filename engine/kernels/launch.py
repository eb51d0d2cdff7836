"""What a backend offers, free of any device: buffers, launches, and programs made of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from engine.typing import Array, Shape

Role = Literal["activation", "kernel", "kernels", "matrix", "plain"]
"""What a buffer holds, which lets a backend choose its inner layout.

`activation` is (n, c, h, w) or any other rank, `kernel` is (o, i, kh, kw), `kernels` are several of
them, `matrix` is a dense weight (out, in); `plain` memory lies in public order on every device.
"""

Life = tuple[int, int]
"""The first and the last launch that touch a buffer."""


class Buffer(ABC):
    """Memory of one tensor on one device, in whatever layout the backend likes.

    Parameters
    ----------
    name : str
    shape : Shape
        Public shape.
    dtype : {"float32", "float64", "int64"}
    role : Role
    order : tuple of int
        The public axes in the order in which they lie in memory.
    """

    def __init__(
        self, name: str, shape: Shape, dtype: str, role: Role, order: tuple[int, ...]
    ) -> None:
        self.name, self.shape, self.dtype, self.role, self.order = name, shape, dtype, role, order
        self.inner_shape: Shape = tuple(shape[axis] for axis in order)
        self.version = 0
        """Grows whenever somebody may have changed the contents of a parameter or a state."""

    @property
    def root(self) -> Buffer:
        """The buffer whose memory this one shows under another shape; itself if none."""
        return self

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_plain(self) -> bool:
        """True if memory order is public order; axes of length 1 may lie anywhere."""
        if self.role not in ("activation", "plain"):
            return self.order == tuple(range(len(self.order)))
        long = [axis for axis in self.order if self.shape[axis] != 1]
        return long == sorted(long)

    def inner_axis(self, axis: int) -> int:
        """Return where the public `axis` lies in memory order."""
        return self.order.index(axis % len(self.order))

    def to_inner(self, values: Array) -> Array:
        """Return public `values` in memory order, contiguous, in the buffer's dtype."""
        public = np.broadcast_to(np.asarray(values, self.dtype), self.shape)
        return np.ascontiguousarray(public.transpose(self.order))

    def to_public(self, inner: Array) -> Array:
        """Return memory `inner` as a fresh array in public order."""
        public = inner.reshape(self.inner_shape).transpose(np.argsort(self.order))
        return np.array(public, order="C")

    @abstractmethod
    def read(self) -> Array:
        """Return the contents as a fresh array in public axis order."""

    @abstractmethod
    def write(self, values: Array) -> None:
        """Store `values` (public axis order, broadcast to the shape, cast to the dtype)."""

    @abstractmethod
    def capture(self) -> Array:
        """Return a copy of the memory as it lies, for `restore`."""

    @abstractmethod
    def restore(self, captured: Array) -> None:
        """Put back what `capture` returned."""

    @abstractmethod
    def reshaped(self, shape: Shape) -> Buffer:
        """Return the same memory under another shape; only for plain order."""


class Arena(ABC):
    """Memory that is planned first and then allocated and touched in one piece.

    Buffers may be used in launches as soon as they are requested; they hold numbers only after
    `commit`.
    """

    @abstractmethod
    def request(self, name: str, shape: Shape, dtype: str, role: Role = "plain") -> Buffer:
        """Plan one buffer."""

    @abstractmethod
    def commit(self, lives: Mapping[Buffer, Life] | None = None) -> int:
        """Allocate everything that was requested, zeroed; return the size in bytes.

        Parameters
        ----------
        lives : dict, optional
            Buffers that are needed for a while only: they may share memory with others. One whose
            life ends before it starts gets no memory. All others lie one after the other in the
            order in which they were requested.
        """


def is_alive(life: Life | None) -> bool:
    """Return whether a buffer with this life needs memory at all; None lives for ever."""
    return life is None or life[0] <= life[1]


def offsets(
    sizes: Sequence[int], lives: Sequence[Life | None], alignment: int
) -> tuple[list[int], int]:
    """Return where in one block of memory each buffer lies, and the size of the block.

    Buffers without a life come first, in order. The others go, the largest first, to the lowest
    place that is free for as long as they live; those that never live stay at 0.

    Parameters
    ----------
    sizes : sequence of int
        In bytes.
    lives : sequence of (int, int) or None
    alignment : int
        Of every place, in bytes.
    """
    padded = [-(-size // alignment) * alignment for size in sizes]
    places, base = [0] * len(sizes), 0
    for number, life in enumerate(lives):
        if life is None:
            places[number], base = base, base + padded[number]
    total, done = base, list[tuple[int, int, Life]]()
    mortal = [(i, life) for i, life in enumerate(lives) if life is not None and is_alive(life)]
    for number, life in sorted(mortal, key=lambda one: -padded[one[0]]):
        place = base
        for start, stop, other in sorted(done):
            overlaps = life[0] <= other[1] and other[0] <= life[1]
            if overlaps and start < place + padded[number] and place < stop:
                place = stop
        places[number] = place
        done.append((place, place + padded[number], life))
        total = max(total, place + padded[number])
    return places, total


@dataclass(frozen=True, slots=True)
class Launch:
    """One call of one kernel.

    Parameters
    ----------
    kernel : str
    buffers : tuple of Buffer
        In the kernel's order.
    settings : NamedTuple or None
    work : int
        Multiply-adds, where the size of the buffers does not tell how long it takes; else 0.
    """

    kernel: str
    buffers: tuple[Buffer, ...]
    settings: Any = None
    work: int = 0

    @property
    def memory_bytes(self) -> int:
        """Size of all its buffers."""
        return sum(b.size * np.dtype(b.dtype).itemsize for b in self.buffers)


class Executable(ABC):
    """Launches that are ready to run: compiled, with every address fixed."""

    @abstractmethod
    def run(self, start: int, stop: int) -> bool:
        """Run launches ``start..stop`` in order and return when the last one is done.

        Returns
        -------
        bool
            False if `interrupt` ended the run early.
        """

    def interrupt(self, before: int) -> None:
        """End a run between two launches if it stands before launch `before`; from any thread.

        It holds until it is called with 0. A device that cannot do that runs to the end.
        """
        return

    @property
    def done(self) -> int:
        """How many launches of a run under way are through, counted from launch 0."""
        return 0


Progress = Callable[[str, int, int], None]
"""Called as ``progress(kernel, number, total)`` before each kernel is compiled or loaded."""


class Compilation(NamedTuple):
    """What `compile_kernels` found and did: counts of functions, micro-kernels among them."""

    compiled: int
    cached: int
    left: int
    """Not compiled because it was stopped, or because no process could be started."""


class Backend(ABC):
    """A device: which kernels it has, where its buffers live, and how launches run."""

    name: str
    fuses: bool = False
    """Whether it has the kernels that do several operations at once; see `engine.fusing`."""

    @abstractmethod
    def arena(self) -> Arena:
        """Return an empty plan of memory on this device."""

    def view(self, buffer: Buffer) -> Array | None:
        """Return the memory itself in public axis order, if the host can see it so, else None."""
        return None

    def loader(self, buffer: Buffer) -> Callable[[Array], None]:
        """Return the fastest way to store arrays of the buffer's own shape in it, time and again.

        Numbers are cast to the buffer's dtype.
        """
        return buffer.write

    def joined(self, buffers: Sequence[Buffer]) -> Buffer | None:
        """Return one flat buffer over several if they lie one after the other, else None.

        It covers the padding between them, too.
        """
        return None

    @abstractmethod
    def prepare(
        self, launches: Sequence[Launch], dtype: str, progress: Progress | None = None
    ) -> Executable:
        """Compile what is missing and return the launches ready to run."""

    @abstractmethod
    def kernel_source(self, kernel: str) -> Callable[..., Any]:
        """Return the plain Python function of a kernel, for "show code"."""

    @abstractmethod
    def describe(self) -> str:
        """Return one line for people: device, threads, vector width."""
