"""The most multiply-adds a second that this machine can do: vector FMAs in registers alone."""

from __future__ import annotations

import functools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

ACCUMULATORS = 12
"""Independent sums: two units with a latency of four or five cycles are kept busy; with the two
factors they fit into the 16 registers of AVX2."""
UNROLLED = 8
"""FMAs on each accumulator in one turn of the loop."""
BLOCK = 400_000
"""Turns of the loop: about ten milliseconds, beside which waking a thread counts little."""


def lanes() -> int:
    """Return how many float32 numbers a vector register of this machine holds."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx") else 4


LANES = lanes()
OPERATIONS = 2 * LANES * ACCUMULATORS * UNROLLED
"""Multiplications and additions of one turn."""


@intrinsic
def _spin(typing_context: Any, turns: Any, start: Any) -> Any:
    """Emit the loop; it returns one number that depends on every FMA."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), LANES)

        def everywhere(value: Any) -> Any:
            one = builder.insert_element(
                ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
            )
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            return builder.shuffle_vector(one, one, mask)

        kind = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
        first = everywhere(arguments[1])
        factor = everywhere(builder.fmul(arguments[1], ir.Constant(ir.FloatType(), 0.5)))
        places = [cgutils.alloca_once_value(builder, first) for _ in range(ACCUMULATORS)]
        with cgutils.for_range(builder, arguments[0]):
            for _ in range(UNROLLED):
                for place in places:
                    sums = builder.call(fma, [builder.load(place), factor, first])
                    builder.store(sums, place)
        total = builder.load(places[0])
        for place in places[1:]:
            total = builder.fadd(total, builder.load(place))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(types.int64, types.float32), generate


@functools.cache
def _compiled() -> Any:
    @numba.njit("float32(int64, float32)", nogil=True)
    def spin(turns: int, start: float) -> float:
        return _spin(turns, start)

    return spin


class Spinner:
    """Keeps threads busy with multiply-adds in registers for some milliseconds at each call.

    Parameters
    ----------
    threads : int

    Attributes
    ----------
    operations : int
        Multiplications and additions of a call, of all threads together.
    """

    def __init__(self, threads: int) -> None:
        self._pool, self._turns = ThreadPoolExecutor(threads), [BLOCK] * threads
        self._spin = _compiled()
        self.operations = threads * BLOCK * OPERATIONS

    def __call__(self) -> None:
        """Let every thread do its share."""
        for _ in self._pool.map(self._spin, self._turns, [1.0] * len(self._turns)):
            pass

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def measured_peak(threads: int, seconds: float = 0.5) -> float:
    """Return the greatest rate of `threads` threads together, in 1e9 operations a second.

    Parameters
    ----------
    threads : int
    seconds : float
        How long to look for it.
    """
    spinner, best = Spinner(threads), 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        spinner()
        best = max(best, spinner.operations / (time.perf_counter() - start) / 1e9)
    spinner.close()
    return best
