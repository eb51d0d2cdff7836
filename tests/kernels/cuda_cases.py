"""Launches of every CUDA kernel over tiny, ragged buffers, to compare with the CPU.

No length is a multiple of the simulated block, and batches are smaller and larger than the eight
chunks of a sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.device import Backend, Buffer, Launch
from engine.kernels.scalar import CHUNKS
from engine.kernels.settings import (
    AdamSettings,
    Blocks,
    Columns,
    DropoutSettings,
    Normalization,
    Penalty,
    Pool,
    SgdSettings,
    Slope,
    Strength,
    Window,
    WinogradChunks,
    WinogradKernels,
    WinogradTiles,
)
from tests import reference as ref

Array = Any
Maker = Callable[[np.random.Generator, tuple[int, ...]], Array]


# ------------------------------------------------------------------------------ what is in a buffer


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.25, 4.0, shape)


def share(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.0, 1.0, shape)


def one_hot(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Targets (rows, classes, inner): one class each, with a weight; one row carries none."""
    target = np.zeros(shape)
    classes = rng.integers(0, shape[1], (shape[0], shape[2]))
    for r, i in np.ndindex(shape[0], shape[2]):
        target[r, classes[r, i], i] = 0.5 + r
    target[0, :, 0] = 0
    return target


def tied(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Few different values, so that windows hold ties, and one NaN."""
    values = rng.integers(-2, 2, shape).astype(float)
    values.flat[7] = np.nan
    return values


def exactly(*numbers: float) -> Maker:
    return lambda rng, shape: np.array(numbers).reshape(shape)


@dataclass(frozen=True)
class Given:
    """One buffer of a case."""

    shape: tuple[int, ...]
    role: Any = "plain"
    fill: Maker = normal
    integer: bool = False


@dataclass(frozen=True)
class Case:
    """Launches over named buffers, and the names whose contents must agree afterwards.

    A launch is (kernel, names of its buffers, settings); ``"name:shape"`` sees a buffer in another
    shape.
    """

    name: str
    buffers: dict[str, Given]
    launches: list[tuple[str, list[str], Any]]
    results: list[str]
    exact: bool = False


def image(*shape: int, fill: Maker = normal) -> Given:
    return Given(shape, "activation", fill)


def contents(case: Case, dtype: str) -> dict[str, Array]:
    """Return what every buffer holds at first."""
    rng = np.random.default_rng(len(case.name))
    return {
        name: given.fill(rng, given.shape).astype("int64" if given.integer else dtype)
        for name, given in case.buffers.items()
    }


def run(backend: Backend, case: Case, dtype: str) -> dict[str, Array]:
    """Return the public contents of every result after the case's launches ran twice.

    Twice, so that a kernel that adds to what it should overwrite is found out.
    """
    arena = backend.arena()
    buffers: dict[str, Buffer] = {}
    for name, given in case.buffers.items():
        kind = "int64" if given.integer else dtype
        buffers[name] = arena.request(name, given.shape, kind, given.role)
    launches = []
    for kernel, names, settings in case.launches:
        seen = [
            buffers[n] if ":" not in n else buffers[n.split(":")[0]].reshaped(shape_of(n))
            for n in names
        ]
        launches.append(Launch(kernel, tuple(seen), settings))
    arena.commit()
    for name, values in contents(case, dtype).items():
        buffers[name].write(values)
    ready = backend.prepare(launches, dtype)
    for number in range(len(launches)):
        ready.run(number, number + 1)
    ready.run(0, len(launches))
    return {name: buffers[name].read() for name in case.results}


def shape_of(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split(":")[1].split(","))


# -------------------------------------------------------------------------------------- the cases


@dataclass(frozen=True)
class Convolution:
    """A convolution as the reference of the tests describes it."""

    name: str
    x: tuple[int, int, int, int]
    output: tuple[int, int, int, int]
    kernel: tuple[int, int]
    settings: ref.ConvSettings
    bias: int = 1
    by_columns: bool = False

    @property
    def case(self) -> Case:
        """Forward and all gradients. The kernels get the image without a halo of zeros."""
        s, out = self.settings, self.output[1]
        window = Window(
            *s.stride,
            s.padding[0],
            s.padding[2],
            *s.dilation,
            s.groups,
            int(s.flip_kernel),
            self.bias,
        )
        weight = (out, self.x[1] // s.groups, *self.kernel)
        group_in, ky, kx = weight[1:]
        back: list[Any] = [
            ("conv2d_turn_weight", ["weight", "turned"], window),
            ("conv2d_backward_input", ["grad_output", "turned", "grad_input"], window),
        ]
        ahead, results = "conv2d", ["output", "grad_weight", "grad_bias", "grad_input"]
        if self.by_columns:
            columns = Columns(*window[:4], ky, kx, window.flip)
            names = ["grad_output", "columns", "grad_input"]
            back = [
                ("conv2d_weight_columns", ["weight", "columns"], columns),
                ("conv2d_backward_input_columns", names, columns),
            ]
        elif s.groups == self.x[1] == out > 1:
            names = ["grad_output", "weight", "grad_input"]
            ahead, back = "depthwise2d", [("depthwise2d_backward_input", names, window)]
        else:
            results.append("turned")
        return Case(
            self.name,
            {
                "x": image(*self.x),
                "weight": Given(weight, "kernel"),
                "bias": Given((out,)),
                "output": image(*self.output),
                "grad_output": image(*self.output),
                "partial": Given((CHUNKS, *weight), "kernels"),
                "grad_weight": Given(weight, "kernel"),
                "bias_chunks": Given((CHUNKS, out)),
                "grad_bias": Given((out,)),
                "turned": Given((group_in, out, ky, kx), "kernel"),
                "columns": Given((kx * group_in, out, ky, 1), "kernel"),
                "grad_input": image(*self.x),
            },
            [
                (f"{ahead}_forward", ["x", "weight", "bias", "output"], window),
                (f"{ahead}_backward_weight", ["x", "grad_output", "partial"], window),
                ("sum_chunks", ["partial", "grad_weight"], None),
                ("conv2d_backward_bias", ["grad_output", "bias_chunks"], None),
                ("sum_chunks", ["bias_chunks", "grad_bias"], None),
                *back,
            ],
            results,
        )

    def expected(self, dtype: str) -> dict[str, Array]:
        """Return every result from the reference loops."""
        given, s = contents(self.case, dtype), self.settings
        x, weight, grad = given["x"], given["weight"], given["grad_output"]
        bias = given["bias"] if self.bias else None
        grad_input, grad_weight, grad_bias = ref.conv2d_backward(x, weight, grad, self.settings)
        return {
            "output": ref.conv2d(x, weight, bias, self.settings),
            "grad_input": grad_input,
            "grad_weight": grad_weight,
            "grad_bias": grad_bias,
            "turned": (weight if s.flip_kernel else weight[..., ::-1, ::-1]).swapaxes(0, 1),
        }


CONVOLUTIONS = [
    Convolution(
        "same padding", (3, 2, 4, 5), (3, 3, 4, 5), (3, 3), ref.ConvSettings(padding=(1, 1, 1, 1))
    ),
    Convolution(
        "stride, dilation, padding on top alone",
        (2, 3, 5, 7),
        (2, 2, 3, 2),
        (2, 3),
        ref.ConvSettings((2, 3), (2, 0, 0, 0), (2, 1)),
    ),
    Convolution(
        "groups, flipped, no bias",
        (9, 4, 3, 4),
        (9, 6, 2, 2),
        (2, 3),
        ref.ConvSettings((1, 2), (0, 0, 1, 0), (1, 1), 2, True),
        bias=0,
    ),
    Convolution(
        "by columns",
        (3, 2, 5, 7),
        (3, 3, 3, 4),
        (3, 2),
        ref.ConvSettings((2, 2), (1, 1, 0, 2)),
        by_columns=True,
    ),
    Convolution(
        "by columns, flipped",
        (1, 1, 4, 4),
        (1, 2, 3, 4),
        (2, 1),
        ref.ConvSettings(flip_kernel=True),
        by_columns=True,
    ),
    Convolution(
        "depthwise",
        (9, 3, 5, 6),
        (9, 3, 3, 4),
        (3, 2),
        ref.ConvSettings((2, 1), (1, 1, 0, 0), (1, 2), 3),
    ),
    Convolution(
        "depthwise, flipped",
        (2, 2, 3, 4),
        (2, 2, 2, 2),
        (2, 3),
        ref.ConvSettings((1, 1), (0, 0, 0, 0), (1, 1), 2, True),
        bias=0,
    ),
    Convolution("one of everything", (1, 1, 1, 1), (1, 1, 1, 1), (1, 1), ref.ConvSettings()),
]


def pool_case(name: str, s: Pool, x: tuple[int, ...], out: tuple[int, ...]) -> list[Case]:
    """Both poolings over one window geometry."""
    maximum = Case(
        f"max_pool2d {name}",
        {
            "x": image(*x, fill=tied),
            "output": image(*out),
            "winner": image(*out),
            "grad_output": image(*out),
            "grad_input": image(*x),
        },
        [
            ("max_pool2d_forward", ["x", "output", "winner"], s),
            ("max_pool2d_backward", ["grad_output", "winner", "grad_input"], s),
        ],
        ["output", "winner", "grad_input"],
    )
    average = Case(
        f"avg_pool2d {name}",
        {
            "x": image(*x),
            "output": image(*out),
            "grad_output": image(*out),
            "grad_input": image(*x),
        },
        [
            ("avg_pool2d_forward", ["x", "output"], s),
            ("avg_pool2d_backward", ["grad_output", "grad_input"], s),
        ],
        ["output", "grad_input"],
    )
    return [maximum, average]


def adaptive_case(x: tuple[int, ...], out: tuple[int, ...]) -> Case:
    return Case(
        f"adaptive_avg_pool2d {x[2:]} to {out[2:]}",
        {
            "x": image(*x),
            "output": image(*out),
            "grad_output": image(*out),
            "grad_input": image(*x),
        },
        [
            ("adaptive_avg_pool2d_forward", ["x", "output"], None),
            ("adaptive_avg_pool2d_backward", ["grad_output", "grad_input"], None),
        ],
        ["output", "grad_input"],
    )


POOLS = [
    *pool_case("2x2", Pool(2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1, 0), (3, 3, 5, 4), (3, 3, 2, 2)),
    *pool_case(
        "overlapping, padded, padding counted",
        Pool(3, 2, 1, 2, 1, 1, 1, 0, 1, 1, 1, 0),
        (2, 2, 4, 5),
        (2, 2, 4, 3),
    ),
    *pool_case(
        "dilated, padding not counted",
        Pool(2, 3, 2, 1, 1, 1, 1, 1, 2, 1, 0, 0),
        (2, 3, 5, 4),
        (2, 3, 3, 4),
    ),
    *pool_case(
        "windows beyond the image, own divisor",
        Pool(2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0, 3),
        (1, 2, 3, 5),
        (1, 2, 2, 3),
    ),
    adaptive_case((2, 3, 5, 7), (2, 3, 3, 2)),
    adaptive_case((1, 2, 3, 2), (1, 2, 5, 3)),
]


def winograd_case(tile: int, chunks: int, flip: int, bias: int) -> Case:
    """All passes of a padded convolution; the last tiles reach beyond the image."""
    n, c, o, size = 3, 2, 3, tile + 2
    x, out, pad = (n, c, 5, 6), (n, o, 5, 7), (0, 2)
    return Case(
        f"winograd, tiles of {tile}, {chunks} chunks, flip {flip}, bias {bias}",
        {
            "x": image(*x),
            "weight": Given((o, c, 3, 3), "kernel"),
            "bias": Given((o,)),
            "transformed": Given((o, c, size, size), "kernel"),
            "turned": Given((c, o, size, size), "kernel"),
            "output": image(*out),
            "grad_output": image(*out),
            "grad_input": image(*x),
            "partial": Given((chunks, o, c, 3, 3), "kernels"),
        },
        [
            ("winograd_weight", ["weight", "transformed"], WinogradKernels(tile, c, o, 0, flip)),
            ("winograd_weight", ["weight", "turned"], WinogradKernels(tile, c, o, 1, 1 - flip)),
            (
                "winograd_convolve",
                ["x", "transformed", "bias", "output"],
                WinogradTiles(tile, *pad, bias),
            ),
            (
                "winograd_convolve",
                ["grad_output", "turned", "bias", "grad_input"],
                WinogradTiles(tile, 2 - pad[0], 2 - pad[1], 0),
            ),
            (
                "winograd_backward_weight",
                ["x", "grad_output", "partial"],
                WinogradChunks(tile, *pad, chunks, flip),
            ),
        ],
        ["transformed", "turned", "output", "grad_input", "partial"],
        exact=True,
    )


WINOGRADS = [winograd_case(2, 8, 1, 0), winograd_case(4, 2, 0, 1)]

SHAPE = (3, 2, 3, 5)


def elementwise_case(
    kernel: str, reads: list[str], writes: str, settings: Any = None, fill: Maker = normal
) -> Case:
    buffers = {name: image(*SHAPE, fill=fill) for name in [*reads, writes]}
    return Case(kernel, buffers, [(kernel, [*reads, writes], settings)], [writes])


def planes(kernel: str, order: list[str], result: str, settings: Any) -> Case:
    """A kernel over activations of `SHAPE` and vectors of two channels."""
    vectors = {"mean", "bias", "grad_weight", "grad_bias", "running_mean"}
    buffers: dict[str, Given] = {}
    for name in order:
        if name in vectors:
            buffers[name] = Given((2,))
        elif name in ("variance", "weight", "running_variance"):
            buffers[name] = Given((2,), fill=positive)
        elif name == "partial":
            buffers[name] = Given((CHUNKS, 2))
        else:
            buffers[name] = image(*SHAPE)
    return Case(kernel, buffers, [(kernel, order, settings)], [result])


NORMALIZATION = Normalization(3, 2, 15, 1e-3, 0.1)
LARGE = Normalization(11, 2, 3, 1e-3, 0.1)

ELEMENTWISE = [
    elementwise_case("relu_forward", ["x"], "output"),
    elementwise_case("relu_backward", ["x", "grad_output"], "grad_input"),
    elementwise_case("leaky_relu_forward", ["x"], "output", Slope(0.1)),
    elementwise_case("leaky_relu_backward", ["x", "grad_output"], "grad_input", Slope(0.1)),
    elementwise_case("hard_swish_forward", ["x"], "output"),
    elementwise_case("hard_swish_backward", ["x", "grad_output"], "grad_input"),
    elementwise_case("sigmoid_forward", ["x"], "output"),
    elementwise_case("sigmoid_backward", ["output", "grad_output"], "grad_input"),
    elementwise_case("tanh_forward", ["x"], "output"),
    elementwise_case("tanh_backward", ["output", "grad_output"], "grad_input"),
    elementwise_case("add_forward", ["a", "b"], "output"),
    elementwise_case("multiply_forward", ["a", "b"], "output"),
    elementwise_case("copy", ["source"], "target"),
    elementwise_case("accumulate", ["part"], "total"),
    elementwise_case("mean_squared_error_forward", ["x", "target"], "losses"),
    elementwise_case("mean_squared_error_backward", ["x", "target", "scales"], "grad"),
    elementwise_case("binary_cross_entropy_forward", ["x", "target", "positive"], "losses"),
    elementwise_case(
        "binary_cross_entropy_backward", ["x", "target", "positive", "scales"], "grad"
    ),
]

NORMS = [
    planes("batch_norm_sum", ["x", "partial"], "partial", NORMALIZATION),
    planes("batch_norm_squares", ["x", "mean", "partial"], "partial", NORMALIZATION),
    planes("batch_norm_mean", ["partial", "mean"], "mean", NORMALIZATION),
    planes(
        "batch_norm_forward",
        ["x", "mean", "variance", "weight", "bias", "output"],
        "output",
        NORMALIZATION,
    ),
    Case(
        "batch_norm_backward_sums",
        {
            "x": image(*SHAPE),
            "mean": Given((2,)),
            "variance": Given((2,), fill=positive),
            "grad_output": image(*SHAPE),
            "weight_partial": Given((CHUNKS, 2)),
            "bias_partial": Given((CHUNKS, 2)),
        },
        [
            (
                "batch_norm_backward_sums",
                ["x", "mean", "variance", "grad_output", "weight_partial", "bias_partial"],
                NORMALIZATION,
            )
        ],
        ["weight_partial", "bias_partial"],
    ),
    planes(
        "batch_norm_backward_input",
        [
            *("x", "mean", "variance", "weight", "grad_weight", "grad_bias"),
            *("grad_output", "grad_input"),
        ],
        "grad_input",
        NORMALIZATION,
    ),
    planes(
        "batch_norm_backward_input_fixed",
        ["variance", "weight", "grad_output", "grad_input"],
        "grad_input",
        NORMALIZATION,
    ),
    Case(
        "batch_norm_sum, more samples than chunks",
        {"x": image(11, 2, 1, 3), "partial": Given((CHUNKS, 2))},
        [("batch_norm_sum", ["x", "partial"], LARGE)],
        ["partial"],
    ),
    Case(
        "batch_norm_running",
        {
            "mean": Given((5,)),
            "variance": Given((5,), fill=positive),
            "running_mean": Given((5,)),
            "running_variance": Given((5,), fill=positive),
        },
        [
            (
                "batch_norm_running",
                ["mean", "variance", "running_mean", "running_variance"],
                Normalization(3, 5, 2, 1e-5, 0.1),
            )
        ],
        ["running_mean", "running_variance"],
    ),
]

ROWS = (3, 5, 2)

OTHERS = [
    Case(
        "dense",
        {
            "x": Given((3, 7)),
            "weight": Given((5, 7), "matrix"),
            "bias": Given((5,)),
            "output": Given((3, 5)),
            "grad_output": Given((3, 5)),
            "turned": Given((7, 5), "matrix"),
            "grad_input": Given((3, 7)),
            "grad_weight": Given((5, 7), "matrix"),
            "grad_bias": Given((5,)),
        },
        [
            ("dense_forward", ["x", "weight", "bias", "output"], None),
            ("dense_turn_weight", ["weight", "turned"], None),
            ("dense_backward_input", ["grad_output", "turned", "grad_input"], None),
            ("dense_backward_weight", ["x", "grad_output", "grad_weight"], None),
            ("dense_backward_bias", ["grad_output", "grad_bias"], None),
        ],
        ["output", "turned", "grad_input", "grad_weight", "grad_bias"],
    ),
    Case(
        "dense without bias",
        {
            "x": Given((2, 3)),
            "weight": Given((5, 3), "matrix"),
            "bias": Given((0,)),
            "output": Given((2, 5)),
        },
        [("dense_forward", ["x", "weight", "bias", "output"], None)],
        ["output"],
    ),
    Case(
        "softmax",
        {
            "x": Given(ROWS),
            "output": Given(ROWS),
            "grad_output": Given(ROWS),
            "grad_input": Given(ROWS),
        },
        [
            ("softmax_forward", ["x", "output"], None),
            ("softmax_backward", ["output", "grad_output", "grad_input"], None),
        ],
        ["output", "grad_input"],
    ),
    Case(
        "cross entropy",
        {
            "logits": Given(ROWS),
            "target": Given(ROWS, fill=one_hot),
            "exponentials": Given(ROWS),
            "totals": Given((3, 2)),
            "masses": Given((3, 2)),
            "losses": Given((3, 2)),
            "scales": Given((3, 2), fill=positive),
            "grad": Given(ROWS),
            "value": Given((1,)),
        },
        [
            (
                "cross_entropy_forward",
                ["logits", "target", "exponentials", "totals", "masses", "losses"],
                None,
            ),
            ("sum_losses", ["losses", "scales", "value"], None),
            (
                "cross_entropy_backward",
                ["target", "exponentials", "totals", "masses", "scales", "grad"],
                None,
            ),
        ],
        ["exponentials", "totals", "masses", "losses", "value", "grad"],
    ),
    Case(
        "penalties",
        {
            "weight": Given((3, 2, 3, 3), "kernel"),
            "grad_weight": Given((3, 2, 3, 3), "kernel"),
            "value": Given((1,)),
        },
        [
            ("l2_penalty", ["weight", "value"], Penalty(0.01, 3, 2, 9)),
            ("l1_penalty", ["weight", "value"], Penalty(0.02, 3, 2, 9)),
            ("l2_penalty_gradient", ["weight", "grad_weight"], Strength(0.01)),
            ("l1_penalty_gradient", ["weight", "grad_weight"], Strength(0.02)),
        ],
        ["value", "grad_weight"],
    ),
    *(
        Case(
            f"sgd_update, nesterov {nesterov}",
            {
                "weight": Given((3, 2, 3, 3), "kernel"),
                "grad": Given((3, 2, 3, 3), "kernel"),
                "velocity": Given((3, 2, 3, 3), "kernel"),
                "rates": Given((3,), fill=positive),
            },
            [
                (
                    "sgd_update",
                    ["weight", "grad", "velocity", "rates"],
                    SgdSettings(0.9, 0.01, nesterov),
                )
            ],
            ["weight", "velocity"],
        )
        for nesterov in (0, 1)
    ),
    *(
        Case(
            f"adam_update, decoupled {decoupled}",
            {
                "weight": Given((5, 7), "matrix"),
                "grad": Given((5, 7), "matrix"),
                "first": Given((5, 7), "matrix"),
                "second": Given((5, 7), "matrix", positive),
                "rates": Given((3,), fill=share),
            },
            [
                (
                    "adam_update",
                    ["weight", "grad", "first", "second", "rates"],
                    AdamSettings(0.9, 0.999, 1e-3, 0.01, decoupled),
                )
            ],
            ["weight", "first", "second"],
        )
        for decoupled in (0, 1)
    ),
    Case(
        "dropout_mask",
        {
            "mask": image(3, 4, 2, 5),
            "counters": Given((2,), fill=exactly(1234567, 89), integer=True),
        },
        [("dropout_mask", ["mask", "counters"], DropoutSettings(3, 4, 10, 0.4, 7))],
        ["mask"],
        exact=True,
    ),
    Case(
        "copy_blocks",
        {"source": Given((3, 5)), "target": Given((3, 9))},
        [("copy_blocks", ["source", "target"], Blocks(3, 4, 5, 1, 9, 2))],
        ["target"],
        exact=True,
    ),
    Case(
        "activation to plain and back",
        {"x": image(2, 3, 4, 5), "plain": Given((2, 3, 4, 5)), "y": image(2, 3, 4, 5)},
        [
            ("activation_to_plain", ["x", "plain"], None),
            ("activation_from_plain", ["plain", "y"], None),
        ],
        ["plain", "y"],
        exact=True,
    ),
]

CASES = [*POOLS, *WINOGRADS, *ELEMENTWISE, *NORMS, *OTHERS]
