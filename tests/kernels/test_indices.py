"""Compiled kernels read, write and cut arrays as Python does."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from engine.kernels.cpu._jit import Kernel, pack
from engine.kernels.types import Flat, Real3


def numbers(line: Flat, block: Real3, output: Flat, thread: int, threads: int) -> None:
    """Read numbers by one index, by three, by a constant one, and from the end."""
    output[0] = line[thread + 2]
    output[1] = block[thread + 1, 2, 3]
    output[2] = block[1, thread, threads]
    output[3] = line[-1]
    output[threads + 3] = line[0] + 1


def parts(line: Flat, block: Real3, output: Flat, thread: int, threads: int) -> None:
    """Cut a line at its end, after it, in the middle, twice, and not at all; write into a part."""
    middle, rest = line[threads + 1 : threads + 4], line[2:][: threads + 2]
    output[0] = middle.size * 100 + rest.size
    output[1] = middle[0] + rest[2]
    output[2] = line[threads + 3 : 1000].size
    output[3] = line[line.size :].size
    output[4 : line.size][thread] = line[:][1]
    output[5] = line[threads - 4 : thread - 1].size * 10 + line[threads - 40 :].size
    output[6] = line[threads + 4 : threads + 2].size + line[threads - 4 :][0]


def steps(line: Flat, block: Real3, output: Flat, thread: int, threads: int) -> None:
    """Cut with a step, from the end, and a row out of a block."""
    every, row = line[::2], block[1, 1]
    output[0] = every[2] + every.size
    output[1] = line[-2:][0]
    output[2] = row[threads] + row.size
    output[3] = block[1:][0, 0, 1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [numbers, parts, steps])
def test_compiled_indices_mean_what_they_mean_in_python(function, dtype):
    line, block = np.arange(9, dtype=dtype), np.arange(36, dtype=dtype).reshape(2, 3, 6) / 7
    kernel, outputs = Kernel(function), [np.zeros(12, dtype), np.zeros(12, dtype)]
    function(line, block, outputs[0], 0, 1)
    words = np.array(pack(kernel, [line, block, outputs[1]], None), np.int64)
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    entry(kernel.entry(dtype))(words.ctypes.data, 0, 1)
    assert outputs[0].any()
    assert outputs[0].tobytes() == outputs[1].tobytes()
