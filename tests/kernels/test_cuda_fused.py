"""Kernels that do several operations at once, CUDA against CPU, with every flag on and off."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from engine.device import backend_for
from engine.kernels.settings import (
    Epsilon,
    FusedDense,
    FusedTiles,
    FusedWindow,
    WinogradKernels,
)
from tests.kernels.cuda_cases import Case, Given, image, positive, run
from tests.tolerances import assert_close, assert_same_bits

TOLERANCE = {"float32": 5e-6, "float64": 1e-13}
FLAGS = list(itertools.product((0, 1), repeat=5))
"""bias, norm, residual, keep, relu."""

both = pytest.mark.parametrize("dtype", ["float32", "float64"])
on_device = pytest.mark.parametrize(
    "place",
    [
        pytest.param("simulator", marks=pytest.mark.cudasim),
        pytest.param("device", marks=pytest.mark.gpu),
    ],
)


def convolution(name: str, window: tuple[int, ...], x: Any, weight: Any, out: Any) -> list[Case]:
    """Return the convolution with every second choice of flags: each pair of them occurs."""
    cases = []
    for flags in FLAGS[:: 1 if name == "plain" else 5]:
        settings = FusedWindow(*window, *flags)
        vectors = ["bias", "mean", "inverse", "scale", "shift"]
        buffers: dict[str, Given] = {
            "x": image(*x),
            "weight": Given(weight, "kernel"),
            **{v: Given((out[1],), fill=positive) for v in vectors},
            **{i: image(*out) for i in ("residual", "before", "output")},
        }
        launch = ("conv2d_fused_forward", list(buffers), settings)
        results = ["before", "output"] if settings.keep else ["output"]
        cases.append(Case(f"{name} {flags}", buffers, [launch], results))
    return cases


def winograd(tile: int, flags: tuple[int, ...]) -> Case:
    """Return a padded convolution of 3 x 3 in tiles; the last reach beyond the image."""
    n, c, o, size = 2, 2, 3, tile + 2
    out = (n, o, 5, 7)
    vectors = ["bias", "mean", "inverse", "scale", "shift"]
    buffers: dict[str, Given] = {
        "x": image(n, c, 5, 6),
        "weight": Given((o, c, 3, 3), "kernel"),
        "transformed": Given((o, c, size, size), "kernel"),
        **{v: Given((o,), fill=positive) for v in vectors},
        **{i: image(*out) for i in ("residual", "before", "output")},
    }
    settings = FusedTiles(tile, 0, 2, *flags)
    taken = ["x", "transformed", *vectors, "residual", "before", "output"]
    return Case(
        f"winograd, tiles of {tile} {flags}",
        buffers,
        [
            ("winograd_weight", ["weight", "transformed"], WinogradKernels(tile, c, o, 0, 0)),
            ("winograd_fused_forward", taken, settings),
        ],
        ["before", "output"] if settings.keep else ["output"],
    )


DENSE = [
    Case(
        f"dense {flags}",
        {
            "x": Given((5, 7)),
            "weight": Given((3, 7), "matrix"),
            "bias": Given((3,)),
            "before": Given((5, 3)),
            "output": Given((5, 3)),
        },
        [("dense_fused_forward", ["x", "weight", "bias", "before", "output"], FusedDense(*flags))],
        ["before", "output"] if flags[1] else ["output"],
    )
    for flags in itertools.product((0, 1), repeat=3)
]
CASES = [
    *convolution("plain", (1, 1, 1, 1, 1, 1, 1, 0), (2, 2, 4, 3), (3, 2, 3, 3), (2, 3, 4, 3)),
    *convolution("groups", (2, 1, 0, 1, 1, 2, 2, 1), (2, 4, 5, 4), (6, 2, 2, 2), (2, 6, 2, 4)),
    *(winograd(tile, flags) for tile, step in ((2, 5), (4, 7)) for flags in FLAGS[::step]),
    *DENSE,
]
INVERSE = Case(
    "inverse",
    {"variance": Given((7,), fill=positive), "inverse": Given((7,))},
    [("inverse_deviation", ["variance", "inverse"], Epsilon(1e-5))],
    ["variance", "inverse"],
)


@on_device
@both
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_fused_twin_agrees_with_the_cpu(case: Case, dtype: str, place: str) -> None:
    expected, actual = (run(backend_for(device), case, dtype) for device in ("cpu", "cuda"))
    for name in case.results:
        assert_close(actual[name], expected[name], TOLERANCE, name)


@on_device
@both
def test_deviations_are_inverted_alike(dtype: str, place: str) -> None:
    expected, actual = (run(backend_for(device), INVERSE, dtype) for device in ("cpu", "cuda"))
    assert_close(actual["inverse"], expected["inverse"], TOLERANCE)
    assert_same_bits(actual["variance"], expected["variance"])
    wanted = 1 / np.sqrt(np.asarray(actual["variance"], np.float64) + 1e-5)
    assert_close(actual["inverse"], wanted, TOLERANCE)
