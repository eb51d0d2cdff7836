"""Kernels that do several operations at once: the bits of their plain loops and of single launches.

Images are large enough for several blocks of tiles, bands of rows and stretches of pixels that are
finished together; channels fill one vector, two of them, and leave some over.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest

from engine.device import Launch
from engine.kernels.cpu.backend import CpuBackend, all_kernels
from engine.kernels.settings import Epsilon, FusedTiles, FusedWindow, Normalization, WinogradTiles
from engine.ops.winograd import MOST_CHANNELS
from tests.kernels.test_winograd import run
from tests.tolerances import assert_same_bits

FLAGS = list(itertools.product((0, 1), repeat=5))
"""bias, norm, residual, keep, relu."""
both = pytest.mark.parametrize("dtype", ["float32", "float64"])
tiles = pytest.mark.parametrize("tile", [2, 4])


class Fused:
    """Buffers of a 3 x 3 convolution with all that may follow it.

    Parameters
    ----------
    dtype : str
    samples, channels, outputs : int
    size : (h, w)
        Of the input; the padding is 1.
    tile : int
        Of the transformed kernels.
    """

    def __init__(
        self,
        dtype: str,
        samples: int,
        channels: int,
        outputs: int,
        size: tuple[int, int],
        tile: int = 4,
    ) -> None:
        arena, numbers = CpuBackend(1).arena(), np.random.default_rng(outputs)
        image, around = (samples, outputs, *size), (tile + 2, tile + 2)
        x = arena.request("x", (samples, channels, *size), dtype, "activation")
        weight = arena.request("weight", (outputs, channels, 3, 3), dtype, "kernel")
        transformed = arena.request("u", (outputs, channels, *around), dtype, "kernel")
        self.vectors = [arena.request(f"vector{i}", (outputs,), dtype) for i in range(5)]
        self.images = [
            arena.request(name, image, dtype, "activation")
            for name in ("residual", "before", "output")
        ]
        self.spare = [arena.request(f"spare{i}", image, dtype, "activation") for i in range(4)]
        self.inverse = arena.request("inverse", (outputs,), dtype)
        arena.commit()
        for buffer in (x, weight, transformed, *self.vectors, self.images[0]):
            buffer.write(numbers.standard_normal(buffer.shape))
        self.vectors[2].write(numbers.uniform(0.5, 2, outputs))  # a variance, and then its root
        self.direct = (x, weight, *self.vectors, *self.images)
        self.winograd = (x, transformed, *self.vectors, *self.images)


def assert_fused(name: str, buffers: tuple[Any, ...], settings: Any, dtype: str) -> None:
    """Compare what the fast kernel stores, with one thread and with three, with the plain loops."""
    kernel, before, output = all_kernels()[name], buffers[-2], buffers[-1]
    assert kernel.truth is not None
    results = [output, before] if settings.keep else [output]
    found = []
    for one, threads in ((kernel.truth, 1), (kernel, 1), (kernel, 3)):
        for result in (before, output):
            result.memory[...] = 7
        run(one, list(buffers), settings, threads, dtype)
        found.append([result.read() for result in results])
    for fast in found[1:]:
        for result, plain, got in zip(results, found[0], fast, strict=True):
            assert_same_bits(got, plain, f"{result.name}, {settings}")


@both
@tiles
@pytest.mark.parametrize("outputs", [3, 8, 27])
def test_every_choice_of_steps_after_winograds_products(
    outputs: int, tile: int, dtype: str
) -> None:
    case = Fused(dtype, 2, 3, outputs, (7, 9), tile)
    for flags in FLAGS:
        assert_fused("winograd_fused_forward", case.winograd, FusedTiles(tile, 1, 1, *flags), dtype)


@both
@tiles
def test_odd_sizes_after_winograds_products(tile: int, dtype: str) -> None:
    draw = random.Random(tile)
    for _ in range(20):
        size = draw.randint(1, 13), draw.randint(1, 13)
        samples, outputs = draw.choice([1, 3]), draw.choice([1, 5, 20])
        case = Fused(dtype, samples, 2, outputs, size, tile)
        settings = FusedTiles(tile, 1, 1, *draw.choice(FLAGS))
        assert_fused("winograd_fused_forward", case.winograd, settings, dtype)


@both
@pytest.mark.parametrize("outputs", [27, 300])
def test_blocks_and_stretches_change_no_bit(outputs: int, dtype: str) -> None:
    """One row of tiles in several stretches, and outputs that outgrow the second-level cache."""
    size = (38, 141) if outputs == 27 else (19, 38)
    case = Fused(dtype, 1, 4, outputs, size)
    for flags in FLAGS[::7]:
        assert_fused("winograd_fused_forward", case.winograd, FusedTiles(4, 1, 1, *flags), dtype)
        window = FusedWindow(1, 1, 1, 1, 1, 1, 1, 0, *flags)
        assert_fused("conv2d_fused_forward", case.direct, window, dtype)


@both
@tiles
def test_one_launch_has_the_bits_of_five(tile: int, dtype: str) -> None:
    case = Fused(dtype, 2, 5, 21, (9, 10), tile)
    x, transformed, bias, mean, variance, scale, shift, residual, before, output = case.winograd
    summed, normal, added, rectified = case.spare
    planes = Normalization(2, 21, 90, 1e-3, 0.1)
    buffers = (x, transformed, bias, mean, case.inverse, scale, shift, residual, before, output)
    backend, flags = CpuBackend(1), (1, 1, 1, 1, 1)
    single = [
        Launch("winograd_convolve", (x, transformed, bias, summed), WinogradTiles(tile, 1, 1, 1)),
        Launch("batch_norm_forward", (summed, mean, variance, scale, shift, normal), planes),
        Launch("add_forward", (normal, residual, added), None),
        Launch("relu_forward", (added, rectified), None),
        Launch("inverse_deviation", (variance, case.inverse), Epsilon(1e-3)),
        Launch("winograd_fused_forward", buffers, FusedTiles(tile, 1, 1, *flags)),
    ]
    backend.prepare(single, dtype).run(0, len(single))
    assert_same_bits(before.read(), added.read())
    assert_same_bits(output.read(), rectified.read())
    zeros = (output.read() == 0).mean()
    assert 0.1 < zeros < 0.9, "the ReLU takes some and leaves some"


@both
def test_scratch_is_large_enough_for_the_most_channels(dtype: str) -> None:
    for inputs, outputs in ((1, MOST_CHANNELS - 1), (MOST_CHANNELS - 1, 1)):
        case = Fused(dtype, 1, inputs, outputs, (9, 9))
        kernel = all_kernels()["winograd_fused_forward"]
        run(kernel, list(case.winograd), FusedTiles(4, 1, 1, 1, 1, 1, 1, 1), 1, dtype)
        assert np.isfinite(case.images[2].read()).all()
