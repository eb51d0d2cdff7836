"""Kernels on vectors of channels give the bits of their plain loops, for any width and geometry."""

from __future__ import annotations

import ctypes
import itertools
import random
from typing import Any

import numpy as np
import pytest

from engine.kernels.cpu._jit import Kernel, pack
from engine.kernels.cpu._memory import thread_memory
from engine.kernels.cpu.backend import CpuBackend, all_kernels
from engine.kernels.settings import Normalization, Pool
from engine.kernels.types import view_for

CHANNELS = [*range(1, 18), 31, 33, 48, 67]
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def make(dtype: str, **shapes: tuple[int, ...]) -> dict[str, Any]:
    """Return buffers filled with numbers that tie often, some infinite or not a number."""
    arena, numbers = CpuBackend(1).arena(), np.random.default_rng(0)
    buffers = {
        name: arena.request(name, shape, dtype, "activation" if len(shape) == 4 else "plain")
        for name, shape in shapes.items()
    }
    arena.commit()
    for buffer in buffers.values():
        buffer.write(np.round(numbers.standard_normal(buffer.shape) * 2))
    return buffers


def spoil(buffer: Any) -> None:
    """Put infinities, NaN and zeros of both signs between the numbers."""
    values = buffer.read().reshape(-1)
    for number, value in enumerate((np.nan, np.inf, -np.inf, -0.0, 0.0)):
        values[number * 7 % 13 :: 13 + number] = value
    buffer.write(values.reshape(buffer.shape))


def run(kernel: Kernel, buffers: tuple[Any, ...], settings: Any, result: Any) -> Any:
    """Run a kernel as two threads would, one after the other, and return a copy of one result."""
    result.write(np.full(result.shape, 7.0))
    kinds = kernel.signature.arrays
    arrays = [view_for(kind, b.memory) for kind, b in zip(kinds, buffers, strict=True)]
    _scratch, work = thread_memory(2)
    words = np.array(pack(kernel, arrays, settings, work), np.int64)
    signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    entry = signature(kernel.entry(buffers[0].dtype))
    for thread in range(2):
        entry(words.ctypes.data, thread, 2)
    return result.memory.copy()


def assert_twins(name: str, buffers: tuple[Any, ...], settings: Any, *results: Any) -> None:
    kernel = all_kernels()[name]
    assert kernel.truth is not None
    for result in results:
        plain = run(kernel.truth, buffers, settings, result)
        fast = run(kernel, buffers, settings, result)
        same = np.array_equal(np.isnan(plain), np.isnan(fast))
        # NaN is NaN; which of its many bit patterns comes out is up to the processor.
        same &= np.nan_to_num(plain).tobytes() == np.nan_to_num(fast).tobytes()
        assert same, (name, settings, result.name, [b.shape for b in buffers])


def geometry(draw: random.Random) -> tuple[Pool, tuple[int, int], tuple[int, int]] | None:
    """Draw a pooling and the sizes of its input and output; None if no window fits."""
    kernel = draw.choice([(2, 2), (2, 2), (3, 3), (draw.randint(1, 4), draw.randint(1, 4))])
    stride = draw.choice([kernel, (2, 2), (draw.randint(1, 4), draw.randint(1, 4))])
    dilation = draw.choice([(1, 1), (1, 1), (draw.randint(1, 3), draw.randint(1, 3))])
    top, left = draw.randint(0, kernel[0] // 2), draw.randint(0, kernel[1] // 2)
    if draw.random() < 0.5:
        top = left = 0
    size = draw.randint(2, 9), draw.randint(2, 11)
    out = [
        (n + 2 * before - d * (k - 1) - 1) // s + 1
        for n, before, d, k, s in zip(size, (top, left), dilation, kernel, stride, strict=True)
    ]
    for axis, before in enumerate((top, left)):
        for window in range(out[axis]):
            taps = window * stride[axis] - before + np.arange(kernel[axis]) * dilation[axis]
            if not ((taps >= 0) & (taps < size[axis])).any():
                return None
    counted, divisor = draw.randint(0, 1), draw.choice([0, 0, 3])
    s = Pool(*kernel, *stride, top, left, top, left, *dilation, counted, divisor)
    return (s, size, (out[0], out[1])) if min(out) > 0 else None


@dtypes
@pytest.mark.parametrize("batch", [1, 3])
def test_pooling_twins(dtype: str, batch: int) -> None:
    draw = random.Random(batch)
    done = 0
    while done < 60:
        drawn = geometry(draw)
        if drawn is None:
            continue
        s, size, out = drawn
        channels = CHANNELS[done % len(CHANNELS)]
        done += 1
        full, small = (batch, channels, *size), (batch, channels, *out)
        b = make(dtype, x=full, output=small, winner=small, grad=small, grad_input=full)
        spoil(b["x"])
        assert_twins(
            "max_pool2d_forward", (b["x"], b["output"], b["winner"]), s, b["output"], b["winner"]
        )
        spoil(b["grad"])
        assert_twins(
            "max_pool2d_backward", (b["grad"], b["winner"], b["grad_input"]), s, b["grad_input"]
        )
        assert_twins("avg_pool2d_forward", (b["x"], b["output"]), s, b["output"])
        assert_twins("avg_pool2d_backward", (b["grad"], b["grad_input"]), s, b["grad_input"])


@dtypes
@pytest.mark.parametrize(("size", "out"), [((4, 5), (1, 1)), ((5, 7), (3, 2)), ((2, 3), (5, 4))])
def test_adaptive_pooling_twins(dtype: str, size: tuple[int, int], out: tuple[int, int]) -> None:
    for channels in CHANNELS:
        full, small = (2, channels, *size), (2, channels, *out)
        b = make(dtype, x=full, output=small, grad=small, grad_input=full)
        assert_twins("adaptive_avg_pool2d_forward", (b["x"], b["output"]), None, b["output"])
        buffers = (b["grad"], b["grad_input"])
        assert_twins("adaptive_avg_pool2d_backward", buffers, None, b["grad_input"])


@dtypes
def test_batch_norm_twins(dtype: str) -> None:
    for channels, (batch, h, w) in itertools.product(CHANNELS, [(1, 1, 1), (1, 5, 7), (11, 3, 4)]):
        full, vector, partial = (batch, channels, h, w), (channels,), (8, channels)
        b = make(
            dtype,
            **dict.fromkeys(("x", "output", "grad", "grad_input"), full),
            **dict.fromkeys(("mean", "variance", "weight", "bias", "gw", "gb"), vector),
            **dict.fromkeys(("partial", "second"), partial),
        )
        b["variance"].write(np.abs(b["variance"].read()) + 0.3)
        s = Normalization(batch, channels, h * w, 1e-3, 0.1)
        x, mean, variance, grad = (b[name] for name in ("x", "mean", "variance", "grad"))
        assert_twins("batch_norm_sum", (x, b["partial"]), s, b["partial"])
        assert_twins("batch_norm_squares", (x, mean, b["partial"]), s, b["partial"])
        affine = (b["weight"], b["bias"], b["output"])
        assert_twins("batch_norm_forward", (x, mean, variance, *affine), s, b["output"])
        sums = (x, mean, variance, grad, b["partial"], b["second"])
        assert_twins("batch_norm_backward_sums", sums, s, b["partial"], b["second"])
        last = (x, mean, variance, b["weight"], b["gw"], b["gb"], grad, b["grad_input"])
        assert_twins("batch_norm_backward_input", last, s, b["grad_input"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (7, 10, 1), (3, 1000, 1), (2, 5, 9), (5, 17, 1), (1, 3, 40)]
)
def test_softmax_and_cross_entropy_twins(shape: tuple[int, int, int], dtype: str) -> None:
    items = (shape[0] * shape[2],)
    b = make(
        dtype,
        **dict.fromkeys(("x", "output", "grad", "grad_input", "target", "kept"), shape),
        **dict.fromkeys(("totals", "masses", "losses"), items),
    )
    b["target"].write((np.abs(b["target"].read()) > 3) * 0.7)
    for spoiled in (False, True):
        if spoiled:
            spoil(b["x"])
        assert_twins("softmax_forward", (b["x"], b["output"]), None, b["output"])
        given = (b["x"], b["grad"], b["grad_input"])
        assert_twins("softmax_backward", given, None, b["grad_input"])
        results = tuple(b[name] for name in ("kept", "totals", "masses", "losses"))
        assert_twins("cross_entropy_forward", (b["x"], b["target"], *results), None, *results)
