"""Fast kernels give the bits of their plain loops, at odd sizes, tile borders and two threads."""

from __future__ import annotations

import ctypes
import random
from typing import Any

import numpy as np
import pytest

from engine.kernels.cpu._jit import Kernel, pack
from engine.kernels.cpu.backend import CpuBackend, all_kernels
from engine.kernels.settings import Window

CASES = 60


def run(kernel: Kernel, buffers: tuple[Any, ...], settings: Any, output: Any, dtype: str) -> Any:
    """Run a kernel as two threads would, one after the other, and return a copy of its output."""
    output.write(np.full(output.shape, 7.0))
    words = np.array(pack(kernel, [b.memory for b in buffers], settings), np.int64)
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
        "channels": groups * draw.choice([1, 2, 3, 8]),
        "outputs": groups * draw.choice([1, 2, 5, 16, 19]),
        "size": (draw.randint(1, 9), draw.randint(1, 11)),
        "kernel": (draw.randint(1, 4), draw.randint(1, 5)),
        "stride": (draw.randint(1, 3), draw.randint(1, 3)),
        "dilation": (draw.randint(1, 3), draw.randint(1, 3)),
        "pad": [draw.randint(0, 5) for _ in range(4)],
        "samples": draw.choice([1, 2, 9]),
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
        top, left, bottom, right = one["pad"]
        before = [
            max(-((p - (k - 1) * d) // s), 0)
            for p, k, d, s in zip(
                (top, left), (ky, kx), one["dilation"], one["stride"], strict=True
            )
        ]
        after = [
            max((size - 1 + p) // s - (out - 1), 0)
            for size, p, s, out in zip((h, w), (top, left), one["stride"], (oh, ow), strict=True)
        ]
        window = Window(*one["stride"], 0, 0, *one["dilation"], g, one["flip"], one["bias"])
        arena = CpuBackend(1).arena()
        x = arena.request("x", (n, c, h + top + bottom, w + left + right), dtype, "activation")
        weight = arena.request("weight", (o, c // g, ky, kx), dtype, "kernel")
        turned = arena.request("turned", (ky, kx, o, c // g), dtype)
        bias = arena.request("bias", (o,), dtype)
        output = arena.request("output", (n, o, oh, ow), dtype, "activation")
        halo = (n, o, oh + before[0] + after[0], ow + before[1] + after[1])
        haloed = arena.request("haloed", halo, dtype, "activation")
        grad_input = arena.request("grad_input", (n, c, h, w), dtype, "activation")
        partial = arena.request("partial", (8, ky, kx, c // g, o), dtype)
        grad_output = arena.request("grad_output", (n, o, oh, ow), dtype, "activation")
        arena.commit()
        for buffer in (x, weight, bias, haloed, grad_output):
            buffer.write(numbers.standard_normal(buffer.shape))
        turned.write(weight.read().transpose(2, 3, 0, 1))
        moved = window._replace(
            top=top + before[0] * one["stride"][0], left=left + before[1] * one["stride"][1]
        )
        assert_twins("conv2d_forward", (x, weight, bias, output), window, output, dtype)
        buffers = (haloed, weight, turned, grad_input)
        assert_twins("conv2d_backward_input", buffers, moved, grad_input, dtype)
        assert_twins("conv2d_backward_weight", (x, grad_output, partial), window, partial, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (13, 7, 6), (5, 3, 37), (64, 400, 120), (9, 33, 17)])
def test_dense_twins(shape: tuple[int, int, int], dtype: str) -> None:
    rows, inputs, outputs = shape
    numbers, arena = np.random.default_rng(0), CpuBackend(1).arena()
    x = arena.request("x", (rows, inputs), dtype)
    weight = arena.request("weight", (outputs, inputs), dtype, "matrix")
    turned = arena.request("turned", (outputs, inputs), dtype)
    bias = arena.request("bias", (outputs,), dtype)
    output, grad = (arena.request(name, (rows, outputs), dtype) for name in ("output", "grad"))
    grad_input = arena.request("grad_input", (rows, inputs), dtype)
    grad_weight = arena.request("grad_weight", (outputs, inputs), dtype, "matrix")
    arena.commit()
    for buffer in (x, weight, bias, grad):
        buffer.write(numbers.standard_normal(buffer.shape))
    turned.write(weight.read())
    assert_twins("dense_forward", (x, weight, bias, output), None, output, dtype)
    assert_twins(
        "dense_backward_input", (grad, weight, turned, grad_input), None, grad_input, dtype
    )
    assert_twins("dense_backward_weight", (x, grad, grad_weight), None, grad_weight, dtype)
