"""How CUDA kernels are declared: annotated like their CPU twins, without `thread` and `threads`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from engine.kernels.cuda._compat import jit, types
from engine.kernels.types import Signature, real_fields, signature_of


class Kernel:
    """A CUDA kernel: its readable source, and what a launch of it needs to know.

    Parameters
    ----------
    function : plain Python function
    over : str
        The array whose elements are the kernel's independent items.
    axes : int or None
        How many leading axes of that array count; None counts all.
    one_block : bool
        Whether the threads of a single block work together on one result.
    """

    def __init__(
        self, function: Callable[..., None], over: str, axes: int | None, one_block: bool
    ) -> None:
        self.function, self.name = function, function.__name__
        self.signature: Signature = signature_of(function)
        self.over = list(function.__annotations__).index(over)
        self.axes, self.one_block = axes, one_block
        self.__doc__ = function.__doc__

    @functools.cached_property
    def dispatcher(self) -> Any:
        """Numba's compiled form, without specialisations yet."""
        return jit(self.function)

    def argument_types(self, dtype: str) -> Any:
        """Return the Numba types of arrays and settings for ``"float32"`` or ``"float64"``."""
        real = types.float32 if dtype == "float32" else types.float64
        arguments: list[Any] = [
            types.Array(types.int64 if kind.number == "integer" else real, max(kind.rank, 1), "C")
            for kind in self.signature.arrays
        ]
        settings: Any = self.signature.settings
        if settings is not None:
            fields = [real if is_real else types.int64 for is_real in real_fields(settings)]
            arguments.append(types.BaseTuple.from_types(fields, settings))
        return tuple(arguments)


KERNELS: dict[str, Kernel] = {}


def kernel(
    over: str, axes: int | None = None, one_block: bool = False
) -> Callable[[Callable[..., None]], Kernel]:
    """Register a function as a CUDA kernel under its own name; see `Kernel` for the parameters."""

    def register(function: Callable[..., None]) -> Kernel:
        made = Kernel(function, over, axes, one_block)
        KERNELS[made.name] = made
        return made

    return register
