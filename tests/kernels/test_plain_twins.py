"""Fast kernels give the bits of their plain loops, at odd sizes, tile borders and two threads."""

from __future__ import annotations

import ctypes
import random
from typing import Any

import numpy as np
import pytest

from engine.kernels.cpu._jit import Kernel, pack
from engine.kernels.cpu._memory import thread_memory
from engine.kernels.cpu._microkernel import PANEL_BYTES
from engine.kernels.cpu.backend import CpuBackend, all_kernels
from engine.kernels.cpu.conv_columns import COLUMN_BYTES
from engine.kernels.settings import Columns, FusedDense, FusedWindow, Window

CASES = 60


def run(kernel: Kernel, buffers: tuple[Any, ...], settings: Any, output: Any, dtype: str) -> Any:
    """Run a kernel as two threads would, one after the other, and return a copy of its output."""
    output.write(np.full(output.shape, 7.0))
    _scratch, work = thread_memory(2)
    words = np.array(pack(kernel, [b.memory for b in buffers], settings, work), np.int64)
    signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    entry = signature(kernel.entry(dtype))
    for thread in range(2):
        entry(words.ctypes.data, thread, 2)
    return output.memory.copy()


def assert_twins(
    name: str, buffers: tuple[Any, ...], settings: Any, output: Any, dtype: str
) -> None:
    """Assert that the fast kernel and its plain twin store the same bits."""
    kernel = all_kernels()[name]
    assert kernel.truth is not None
    plain = run(kernel.truth, buffers, settings, output, dtype)
    fast = run(kernel, buffers, settings, output, dtype)
    assert plain.tobytes() == fast.tobytes(), (name, settings, [b.shape for b in buffers])


def convolution(draw: random.Random) -> dict[str, Any] | None:
    """Draw a convolution; None if no window fits."""
    groups = draw.choice([1, 1, 1, 2, 3])
    one = {
        "groups": groups,
        "channels": groups * draw.choice([1, 2, 3, 8, 21]),
        "outputs": groups * draw.choice([1, 2, 5, 16, 19]),
        "size": (draw.randint(1, 9), draw.randint(1, 11)),
        "kernel": (draw.randint(1, 4), draw.randint(1, 5)),
        "stride": (draw.randint(1, 3), draw.randint(1, 3)),
        "dilation": draw.choice([(1, 1), (draw.randint(1, 3), draw.randint(1, 3))]),
        "pad": [draw.randint(0, 5) for _ in range(4)],
        "samples": draw.choice([1, 2, 9, 19]),
        "flip": draw.choice([0, 0, 1]),
        "bias": draw.randint(0, 1),
    }
    out = [
        (n + p + q - d * (k - 1) - 1) // s + 1
        for n, p, q, d, k, s in zip(
            one["size"],
            one["pad"][:2],
            one["pad"][2:],
            one["dilation"],
            one["kernel"],
            one["stride"],
            strict=True,
        )
    ]
    one["out"] = out
    return one if min(out) > 0 else None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_convolution_twins(dtype: str) -> None:
    draw, numbers = random.Random(0), np.random.default_rng(0)
    done = 0
    while done < CASES:
        one = convolution(draw)
        if one is None:
            continue
        done += 1
        (h, w), (ky, kx), (oh, ow) = one["size"], one["kernel"], one["out"]
        n, c, o, g = one["samples"], one["channels"], one["outputs"], one["groups"]
        top, left = one["pad"][:2]
        window = Window(*one["stride"], top, left, *one["dilation"], g, one["flip"], one["bias"])
        arena = CpuBackend(1).arena()
        x = arena.request("x", (n, c, h, w), dtype, "activation")
        weight = arena.request("weight", (o, c // g, ky, kx), dtype, "kernel")
        turned = arena.request("turned", (c // g, o, ky, kx), dtype, "kernel")
        bias = arena.request("bias", (o,), dtype)
        output = arena.request("output", (n, o, oh, ow), dtype, "activation")
        grad_input = arena.request("grad_input", (n, c, h, w), dtype, "activation")
        partial = arena.request("partial", (8, o, c // g, ky, kx), dtype, "kernels")
        grad_output = arena.request("grad_output", (n, o, oh, ow), dtype, "activation")
        norm = [arena.request(f"norm{i}", (o,), dtype) for i in range(4)]
        residual, before = (
            arena.request(name, (n, o, oh, ow), dtype, "activation")
            for name in ("residual", "before")
        )
        columns = arena.request("columns", (kx * c // g, o, ky, 1), dtype, "kernel")
        bias_chunks = arena.request("bias_chunks", (8, o), dtype)
        arena.commit()
        for buffer in (x, weight, bias, grad_output):
            buffer.write(numbers.standard_normal(buffer.shape))
        for buffer in (turned, columns, residual, *norm):
            buffer.write(numbers.standard_normal(buffer.shape))
        assert_twins("conv2d_forward", (x, weight, bias, output), window, output, dtype)
        flags = [draw.randint(0, 1) for _ in range(4)]
        buffers = (x, weight, bias, *norm, residual, before, output)
        fused = FusedWindow(*window, *flags)
        assert_twins("conv2d_fused_forward", buffers, fused, output, dtype)
        if fused.keep:
            assert_twins("conv2d_fused_forward", buffers, fused, before, dtype)
        assert_twins("conv2d_turn_weight", (weight, turned), window, turned, dtype)
        buffers = (grad_output, turned, grad_input)
        assert_twins("conv2d_backward_input", buffers, window, grad_input, dtype)
        if g == 1 and one["dilation"] == (1, 1):
            settings = Columns(*one["stride"], top, left, ky, kx, one["flip"])
            buffers = (grad_output, columns, grad_input)
            assert_twins("conv2d_backward_input_columns", buffers, settings, grad_input, dtype)
        assert_twins("conv2d_backward_weight", (x, grad_output, partial), window, partial, dtype)
        assert_twins("conv2d_backward_bias", (grad_output, bias_chunks), None, bias_chunks, dtype)


BLOCKS = [
    # samples, input channels, rows and columns, output channels, kernel, stride, padding
    (3, 20, (21, 19), 37, (3, 3), 1, 1),  # several blocks of rows, two planes
    (30, 33, (5, 4), 19, (3, 2), 1, 0),  # several images in a block
    (2, 40, (24, 25), 300, (1, 1), 1, 0),  # several groups of panels, rows side by side
    (5, 17, (30, 3), 70, (1, 1), 2, 0),
    (2, 24, (9, 300), 18, (2, 3), 2, 1),  # a row of more pixels than a block
    (1, 130, (12, 12), 600, (3, 3), 1, 1),  # gradients of many panels
]


@pytest.mark.parametrize("block", BLOCKS)
def test_weight_gradients_in_blocks(block: tuple[Any, ...]) -> None:
    n, c, (h, w), o, (ky, kx), stride, pad = block
    window = Window(stride, stride, pad, pad, 1, 1, 1, 0, 1)
    oh, ow = (h + 2 * pad - ky) // stride + 1, (w + 2 * pad - kx) // stride + 1
    numbers, arena = np.random.default_rng(0), CpuBackend(1).arena()
    x = arena.request("x", (n, c, h, w), "float32", "activation")
    partial = arena.request("partial", (8, o, c, ky, kx), "float32", "kernels")
    grad_output = arena.request("grad_output", (n, o, oh, ow), "float32", "activation")
    arena.commit()
    for buffer in (x, grad_output):
        buffer.write(numbers.standard_normal(buffer.shape))
    assert_twins("conv2d_backward_weight", (x, grad_output, partial), window, partial, "float32")


WIDE = [
    (2, 3, (3, 1500), 5, (2, 9), 1, 4),
    (1, 1, (2, 5000), 7, (1, 80), 4, 38),
    (1, 8, (4, 1400), 16, (3, 3), 2, 1),
    (3, 2, (5, 4000), 3, (1, 1), 3, 0),
]


@pytest.mark.parametrize("case", WIDE)
def test_columns_of_wide_images(case: tuple[Any, ...]) -> None:
    n, c, (h, w), o, (ky, kx), stride, pad = case
    top = min(pad, ky - 1)
    settings = Columns(stride, stride, top, pad, ky, kx, 0)
    oh, ow = (h + 2 * top - ky) // stride + 1, (w + 2 * pad - kx) // stride + 1
    numbers, arena = np.random.default_rng(0), CpuBackend(1).arena()
    columns = arena.request("columns", (kx * c, o, ky, 1), "float32", "kernel")
    panels = -(-kx * c * 4 // PANEL_BYTES)
    assert ow * panels * PANEL_BYTES > COLUMN_BYTES, "a row is done in one piece"
    grad_input = arena.request("grad_input", (n, c, h, w), "float32", "activation")
    grad_output = arena.request("grad_output", (n, o, oh, ow), "float32", "activation")
    arena.commit()
    for buffer in (columns, grad_output):
        buffer.write(numbers.standard_normal(buffer.shape))
    buffers = (grad_output, columns, grad_input)
    name = "conv2d_backward_input_columns"
    assert_twins(name, buffers, settings, grad_input, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_depthwise_twins(dtype: str) -> None:
    draw, numbers = random.Random(1), np.random.default_rng(1)
    done = 0
    while done < CASES // 2:
        one = convolution(draw)
        if one is None:
            continue
        done += 1
        (h, w), (ky, kx), (oh, ow) = one["size"], one["kernel"], one["out"]
        n, c = one["samples"], draw.choice([2, 7, 16, 35])
        window = Window(
            *one["stride"], *one["pad"][:2], *one["dilation"], c, one["flip"], one["bias"]
        )
        arena = CpuBackend(1).arena()
        x = arena.request("x", (n, c, h, w), dtype, "activation")
        weight = arena.request("weight", (c, 1, ky, kx), dtype, "kernel")
        bias = arena.request("bias", (c,), dtype)
        output = arena.request("output", (n, c, oh, ow), dtype, "activation")
        grad = arena.request("grad", (n, c, oh, ow), dtype, "activation")
        grad_input = arena.request("grad_input", (n, c, h, w), dtype, "activation")
        partial = arena.request("partial", (8, c, 1, ky, kx), dtype, "kernels")
        arena.commit()
        for buffer in (x, weight, bias, grad):
            buffer.write(numbers.standard_normal(buffer.shape))
        for name, buffers, result in (
            ("depthwise2d_forward", (x, weight, bias, output), output),
            ("depthwise2d_backward_input", (grad, weight, grad_input), grad_input),
            ("depthwise2d_backward_weight", (x, grad, partial), partial),
        ):
            assert_twins(name, buffers, window, result, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1),
        (13, 7, 6),
        (5, 3, 37),
        (64, 400, 120),
        (9, 33, 17),
        (300, 40, 20),
        (3, 600, 300),
        (13, 900, 20),
    ],
)
def test_dense_twins(shape: tuple[int, int, int], dtype: str) -> None:
    rows, inputs, outputs = shape
    numbers, arena = np.random.default_rng(0), CpuBackend(1).arena()
    x = arena.request("x", (rows, inputs), dtype)
    weight = arena.request("weight", (outputs, inputs), dtype, "matrix")
    turned = arena.request("turned", (inputs, outputs), dtype, "matrix")
    bias = arena.request("bias", (outputs,), dtype)
    output, grad = (arena.request(name, (rows, outputs), dtype) for name in ("output", "grad"))
    grad_input = arena.request("grad_input", (rows, inputs), dtype)
    before = arena.request("before", (rows, outputs), dtype)
    grad_weight = arena.request("grad_weight", (outputs, inputs), dtype, "matrix")
    arena.commit()
    for buffer in (x, weight, bias, grad):
        buffer.write(numbers.standard_normal(buffer.shape))
    assert_twins("dense_turn_weight", (weight, turned), None, turned, dtype)
    assert_twins("dense_forward", (x, weight, bias, output), None, output, dtype)
    for settings in (FusedDense(1, 1, 1), FusedDense(0, 0, 1), FusedDense(1, 0, 0)):
        buffers = (x, weight, bias, before, output)
        assert_twins("dense_fused_forward", buffers, settings, output, dtype)
        if settings.keep:
            assert_twins("dense_fused_forward", buffers, settings, before, dtype)
    assert_twins("dense_backward_input", (grad, turned, grad_input), None, grad_input, dtype)
    assert_twins("dense_backward_weight", (x, grad, grad_weight), None, grad_weight, dtype)
