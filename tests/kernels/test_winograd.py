"""Winograd kernels: the bits of their plain loops, and close to direct convolution in float64."""

from __future__ import annotations

import ctypes
import random
from typing import Any

import numpy as np
import pytest

from engine.kernels.cpu._jit import ROOM_BYTES, WORK_BYTES, Kernel, pack
from engine.kernels.cpu._memory import thread_memory
from engine.kernels.cpu.backend import CpuBackend, all_kernels
from engine.kernels.settings import WinogradChunks, WinogradKernels, WinogradTiles
from engine.kernels.types import view_for
from engine.ops.winograd import MOST_CHANNELS
from tests import reference as ref
from tests.reference import Array

BOUND = {("float32", 2): 2e-6, ("float32", 4): 4e-5, ("float64", 2): 4e-15, ("float64", 4): 8e-14}
"""Largest error, relative to the largest result: tiles of 2 err like direct sums, tiles of 4 lose a
digit and a half."""


def run(kernel: Kernel, buffers: list[Any], settings: Any, threads: int, dtype: str) -> None:
    """Run a kernel as a team would, one thread after the other."""
    scratch, work = thread_memory(threads)
    first = work - scratch.ctypes.data
    rooms = scratch[first:][: threads * ROOM_BYTES].reshape(threads, ROOM_BYTES)
    rooms[:, : WORK_BYTES + 4096] = 0xFF  # every number a NaN: scratch has no first value
    kinds = kernel.signature.arrays
    arrays = [view_for(kind, b.memory) for kind, b in zip(kinds, buffers, strict=True)]
    words = np.array(pack(kernel, arrays, settings, work), np.int64)
    signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    entry = signature(kernel.entry(dtype))
    for thread in range(threads):
        entry(words.ctypes.data, thread, threads)
    assert (rooms[:, WORK_BYTES : WORK_BYTES + 4096] == 0xFF).all()  # no more than planned


class Case:
    """A convolution and its buffers.

    Parameters
    ----------
    tile, dtype
    channels, outputs : int
    draw : random.Random
        Decides the rest.
    """

    def __init__(
        self, tile: int, dtype: str, channels: int, outputs: int, draw: random.Random
    ) -> None:
        self.tile, self.dtype, self.channels, self.outputs = tile, dtype, channels, outputs
        self.samples = draw.choice([1, 2, 5, 9])
        self.size = draw.randint(1, 11), draw.randint(1, 9)
        low = [max(0, 3 - size) for size in self.size]
        self.pad = (
            draw.randint(low[0], 3),
            draw.randint(0, 3),
            draw.randint(low[1], 3),
            draw.randint(0, 3),
        )
        self.flip, self.bias = draw.randint(0, 1), draw.randint(0, 1)
        self.out = tuple(
            s + self.pad[2 * i] + self.pad[2 * i + 1] - 2 for i, s in enumerate(self.size)
        )
        self.chunks = draw.choice([1, 2, 8])
        numbers, arena = np.random.default_rng(draw.randint(0, 9999)), CpuBackend(1).arena()
        n, c, o, a = self.samples, self.channels, self.outputs, tile + 2
        self.buffers: dict[str, Any] = {
            "x": arena.request("x", (n, c, *self.size), dtype, "activation"),
            "weight": arena.request("weight", (o, c, 3, 3), dtype, "kernel"),
            "bias": arena.request("bias", (o,), dtype),
            "grad": arena.request("grad", (n, o, *self.out), dtype, "activation"),
            "transformed": arena.request("transformed", (o, c, a, a), dtype, "kernel"),
            "turned": arena.request("turned", (c, o, a, a), dtype, "kernel"),
            "output": arena.request("output", (n, o, *self.out), dtype, "activation"),
            "grad_input": arena.request("grad_input", (n, c, *self.size), dtype, "activation"),
            "partial": arena.request("partial", (self.chunks, o, c, 3, 3), dtype, "kernels"),
        }
        arena.commit()
        for name in ("x", "weight", "bias", "grad"):
            self.buffers[name].write(numbers.standard_normal(self.buffers[name].shape))

    @property
    def launches(self) -> list[tuple[str, list[str], Any]]:
        """All three passes."""
        top, left, sizes = self.pad[0], self.pad[2], (self.tile, self.channels, self.outputs)
        forward = WinogradTiles(self.tile, top, left, self.bias)
        backward = WinogradTiles(self.tile, 2 - top, 2 - left, 0)
        chunks = WinogradChunks(self.tile, top, left, self.chunks, self.flip)
        straight = WinogradKernels(*sizes, 0, self.flip)
        turned = WinogradKernels(*sizes, 1, 1 - self.flip)
        return [
            ("winograd_weight", ["weight", "transformed"], straight),
            ("winograd_weight", ["weight", "turned"], turned),
            ("winograd_convolve", ["x", "transformed", "bias", "output"], forward),
            ("winograd_convolve", ["grad", "turned", "bias", "grad_input"], backward),
            ("winograd_backward_weight", ["x", "grad", "partial"], chunks),
        ]

    def results(self, plain: bool, threads: int) -> dict[str, Array]:
        """Return every result, in public order."""
        for kernel, names, settings in self.launches:
            found = all_kernels()[kernel]
            assert found.truth is not None
            result = self.buffers[names[-1]]
            result.memory[...] = np.nan
            buffers = [self.buffers[name] for name in names]
            run(found.truth if plain else found, buffers, settings, threads, self.dtype)
        partial = self.buffers["partial"]
        spare = partial.memory.size - partial.size
        assert int((partial.memory == 0).sum()) >= spare, "lanes without an output"
        results = ("transformed", "turned", "output", "grad_input", "partial")
        return {name: self.buffers[name].read() for name in results}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("tile", [2, 4])
def test_twins_and_reference(tile: int, dtype: str) -> None:
    draw = random.Random(tile)
    for _ in range(25):
        sizes = draw.choice([1, 3, 8, 19]), draw.choice([1, 5, 16, 33])
        case = Case(tile, dtype, *sizes, draw)
        plain = case.results(plain=True, threads=1)
        for threads in (1, 3):
            fast = case.results(plain=False, threads=threads)
            for name, array in plain.items():
                assert array.tobytes() == fast[name].tobytes(), (name, vars(case))
        settings = ref.ConvSettings(padding=case.pad, flip_kernel=bool(case.flip))
        x, w, b, g = (case.buffers[name].read() for name in ("x", "weight", "bias", "grad"))
        grad_input, grad_weight, _ = ref.conv2d_backward(x, w, g, settings)
        expected = {
            "output": ref.conv2d(x, w, b if case.bias else None, settings),
            "grad_input": grad_input,
            "partial": grad_weight,
        }
        for name, truth in expected.items():
            found = fast[name].astype(np.float64)
            found = found.sum(0) if name == "partial" else found
            error = np.abs(found - truth).max() / max(np.abs(truth).max(), 1e-3)
            assert error <= BOUND[dtype, tile], (name, error, vars(case))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("tile", "channels", "outputs"), [(2, 200, 130), (4, 140, 150)])
def test_blocks_and_slices_change_no_bit(
    tile: int, channels: int, outputs: int, dtype: str
) -> None:
    """Many channels: several blocks of tiles, slices of channels and of outputs."""
    case = Case(tile, dtype, channels, outputs, random.Random(5))
    plain, fast = case.results(plain=True, threads=1), case.results(plain=False, threads=2)
    for name, array in plain.items():
        assert array.tobytes() == fast[name].tobytes(), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scratch_is_large_enough_for_the_most_channels(dtype: str) -> None:
    """Every thread has its own piece: what lies behind the last one stays as it is."""
    for inputs, outputs in ((1, MOST_CHANNELS - 1), (MOST_CHANNELS - 1, 1)):
        arena = CpuBackend(1).arena()
        x = arena.request("x", (1, inputs, 9, 9), dtype, "activation")
        transformed = arena.request("u", (outputs, inputs, 6, 6), dtype, "kernel")
        bias = arena.request("bias", (1,), dtype)
        output = arena.request("y", (1, outputs, 9, 9), dtype, "activation")
        arena.commit()
        kernel = all_kernels()["winograd_convolve"]
        buffers = [x, transformed, bias, output]
        run(kernel, buffers, WinogradTiles(4, 1, 1, 0), 1, dtype)
        assert not output.read().any()


def test_scratch_is_large_enough_for_the_slices() -> None:
    from engine.kernels.cpu import winograd

    slices: Any = winograd.slices
    for tile in (2, 4):
        for item in (4, 8):
            for channels in (8, 64, 100, 128, 129, 512, 2048):
                for outputs in (8, 64, 100, 128, 129, 512, 2048):
                    inner, outer = getattr(slices, "py_func", slices)(tile, channels, outputs, item)
                    assert inner <= channels
                    assert (tile + 2) ** 2 * (inner * outer + inner + outer) * item < WORK_BYTES
                    assert outer >= outputs or outer * item % 64 == 0
