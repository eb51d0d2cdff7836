"""Hypothesis strategies for geometries: ones, primes, overlaps, gaps, uneven padding, dilation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tests.reference import Array, ConvSettings, Pads, Pair, PoolSettings, pads

SIZES = (1, 2, 3, 5, 7, 8, 11)


class ConvCase(NamedTuple):
    """A convolution small enough for the reference loops."""

    batch: int
    in_channels: int
    out_channels: int
    size: Pair
    kernel: Pair
    settings: ConvSettings
    bias: bool


class PoolCase(NamedTuple):
    """A pooling layer small enough for the reference loops."""

    batch: int
    channels: int
    size: Pair
    settings: PoolSettings


def spans(kernel: Pair, dilation: Pair) -> Pair:
    """Return how many cells a dilated kernel covers."""
    return (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)


def pairs(low: int, high: int) -> st.SearchStrategy[Pair]:
    """Draw two numbers between `low` and `high`."""
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def image_sizes(draw: st.DrawFn, span: Pair, padding: Pads) -> Pair:
    """Draw an image that holds at least one window of `span`."""
    rows = max(1, span[0] - padding[0] - padding[1])
    columns = max(1, span[1] - padding[2] - padding[3])
    return (
        draw(st.sampled_from([s for s in (*SIZES, rows) if s >= rows])),
        draw(st.sampled_from([s for s in (*SIZES, columns) if s >= columns])),
    )


@st.composite
def conv_cases(draw: st.DrawFn, max_channels: int = 3) -> ConvCase:
    """Draw a convolution with any stride, padding, dilation, groups, bias and orientation."""
    groups = draw(st.integers(1, 3))
    kernel = draw(pairs(1, 4))
    dilation = draw(pairs(1, 2))
    padding: Pads = draw(st.tuples(*[st.integers(0, 3)] * 4))
    settings = ConvSettings(
        stride=draw(pairs(1, 3)),
        padding=padding,
        dilation=dilation,
        groups=groups,
        flip_kernel=draw(st.booleans()),
    )
    return ConvCase(
        batch=draw(st.integers(1, 3)),
        in_channels=groups * draw(st.integers(1, max_channels)),
        out_channels=groups * draw(st.integers(1, max_channels)),
        size=draw(image_sizes(spans(kernel, dilation), padding)),
        kernel=kernel,
        settings=settings,
        bias=draw(st.booleans()),
    )


@st.composite
def pool_cases(draw: st.DrawFn, average: bool = False) -> PoolCase:
    """Draw a pooling layer; padding is at most half the kernel, as PyTorch and ONNX ask."""
    kernel = draw(pairs(1, 4))
    dilation = draw(pairs(1, 2)) if not average else (1, 1)
    padding = pads((draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2))))
    size = draw(image_sizes(spans(kernel, dilation), padding))
    # Two dilated taps can straddle a single pixel and see only padding: refused, tested apart.
    assume(not any((k, d, s) == (2, 2, 1) for k, d, s in zip(kernel, dilation, size, strict=True)))
    settings = PoolSettings(
        kernel=kernel,
        stride=draw(pairs(1, 4)),
        padding=padding,
        dilation=dilation,
        ceil_mode=draw(st.booleans()),
        count_include_pad=draw(st.booleans()) if average else True,
        divisor_override=draw(st.sampled_from([None, None, 3])) if average else None,
    )
    return PoolCase(
        batch=draw(st.integers(1, 2)),
        channels=draw(st.sampled_from([1, 2, 3, 5])),
        size=size,
        settings=settings,
    )


def values(shape: tuple[int, ...], seed: int, dtype: str = "float64") -> Array:
    """Return standard normal numbers; a seed keeps examples small and failures repeatable."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def distinct(shape: tuple[int, ...], seed: int, dtype: str = "float64") -> Array:
    """Return shuffled numbers 0.1 apart and off zero, so that no step crosses a kink or a tie."""
    count = int(np.prod(shape))
    steps = (np.arange(count) - count // 2) * 0.1 + 0.05
    return np.random.default_rng(seed).permutation(steps).reshape(shape).astype(dtype)
