"""What a backend offers, free of any device: buffers, launches, and programs made of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.typing import Array, Shape

Role = Literal["activation", "kernel", "matrix", "plain"]
"""What a buffer holds, which lets a backend choose its inner layout.

`activation` is (n, c, h, w) or any other rank, `kernel` is (o, i, kh, kw), `matrix` is a dense
weight (out, in); `plain` memory lies in public order on every device.
"""


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

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_plain(self) -> bool:
        """True if memory order is public order."""
        return self.order == tuple(range(len(self.order)))

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
    def commit(self) -> int:
        """Allocate everything that was requested, zeroed; return the size in bytes."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One call of one kernel: its name, its buffers in order, and its settings (a NamedTuple)."""

    kernel: str
    buffers: tuple[Buffer, ...]
    settings: Any = None


class Executable(ABC):
    """Launches that are ready to run: compiled, with every address fixed."""

    @abstractmethod
    def run(self, start: int, stop: int) -> None:
        """Run launches ``start..stop`` in order and return when the last one is done."""


Progress = Callable[[str, int, int], None]
"""Called as ``progress(kernel, number, total)`` before each kernel is compiled or loaded."""


class Backend(ABC):
    """A device: which kernels it has, where its buffers live, and how launches run."""

    name: str

    @abstractmethod
    def arena(self) -> Arena:
        """Return an empty plan of memory on this device."""

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
