"""Single convolutions, pass by pass, beside PyTorch in both of its layouts."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn import functional

from benchmarks.groups import Group, Work
from benchmarks.measure import Bench, ratio
from benchmarks.report import Column, Result
from benchmarks.single import LAYOUTS, Call, Single, double, normal, tensor, uses_winograd
from engine.layers import Conv2d

PASSES = {"forward": "output", "by input": "input", "by weight": "weight"}
"""The three passes and what they make."""
MASKS = {"input": [True, False, False], "weight": [False, True, False]}


class Shape(NamedTuple):
    """A convolution: samples, input channels, size, output channels, kernel, stride, padding ..."""

    n: int
    c: int
    h: int
    k: int
    r: int
    s: int = 1
    p: int = 0
    d: int = 1
    g: int = 1

    def __str__(self) -> str:
        parts = [f"N{self.n} C{self.c} H{self.h} K{self.k} R{self.r}"]
        parts += [
            f"{letter}{getattr(self, letter)}" for letter in "sd" if getattr(self, letter) > 1
        ]
        parts += [f"p{self.p}"] * (self.p > 0)
        parts += ["depthwise" if self.g == self.c else f"g{self.g}"] * (self.g > 1)
        return " ".join(parts)

    @property
    def size(self) -> int:
        """Rows and columns of the output."""
        return (self.h + 2 * self.p - self.d * (self.r - 1) - 1) // self.s + 1

    @property
    def operations(self) -> int:
        """Multiplications and additions of each pass, counted as direct convolution."""
        return 2 * self.n * self.size**2 * self.k * self.c // self.g * self.r**2


SHAPES = [
    Shape(64, 1, 28, 32, 3, p=1),
    Shape(64, 32, 14, 64, 3, p=1),
    Shape(64, 3, 32, 64, 3, p=1),
    Shape(16, 64, 56, 64, 3, p=1),
    Shape(16, 128, 28, 128, 3, p=1),
    Shape(8, 256, 14, 256, 3, p=1),
    Shape(16, 64, 56, 256, 1),
    Shape(64, 1, 28, 6, 5, p=2),
    Shape(64, 6, 14, 16, 5),
    Shape(1, 64, 56, 64, 3, p=1),
    Shape(4, 3, 224, 64, 7, s=2, p=3),
    # Not of the set above: what other nets are made of.
    Shape(32, 128, 28, 128, 3, p=1, g=128),
    Shape(16, 64, 28, 64, 3, p=1, g=4),
    Shape(16, 64, 28, 64, 3, p=2, d=2),
    Shape(16, 256, 28, 64, 1),
]
QUICK = {1, 5, 7, 11}


class Problem:
    """The numbers of a convolution, and the results in float64."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.x = normal((shape.n, shape.c, shape.h, shape.h), 0)
        self.weight = normal((shape.k, shape.c // shape.g, shape.r, shape.r), 1)
        self.bias = normal((shape.k,), 2)
        self.grad = normal((shape.n, shape.k, shape.size, shape.size), 3)
        self.settings = [shape.s] * 2, [shape.p] * 2, [shape.d] * 2, shape.g

    def expected(self) -> dict[str, Any]:
        """Return output, input gradient and weight gradient."""
        x, weight, grad = double(self.x), double(self.weight), double(self.grad)
        output = functional.conv2d(x, weight, double(self.bias), *self.settings)
        both = self._backward(x, weight, grad, [True, True, False])
        return {"output": output.numpy(), "input": both[0].numpy(), "weight": both[1].numpy()}

    def _backward(
        self, x: torch.Tensor, weight: torch.Tensor, grad: torch.Tensor, mask: list[bool]
    ) -> Any:
        stride, padding, dilation, groups = self.settings
        return torch.ops.aten.convolution_backward(
            grad, x, weight, [self.shape.k], stride, padding, dilation, False, [0, 0], groups, mask
        )

    def torch_call(self, result: str, layout: torch.memory_format) -> Call:
        """Return PyTorch's pass."""
        x, weight, grad = (tensor(a, layout) for a in (self.x, self.weight, self.grad))
        if result == "output":
            bias = tensor(self.bias)
            return lambda: functional.conv2d(x, weight, bias, *self.settings)
        return lambda: self._backward(x, weight, grad, MASKS[result])

    def single(self, threads: int, convolution: str) -> Single:
        """Return ours."""
        s = self.shape
        layer = Conv2d(
            s.c, s.k, s.r, stride=s.s, padding=s.p, dilation=s.d, groups=s.g, name="conv"
        )
        weights = {"weight": self.weight, "bias": self.bias}
        return Single(layer, self.x, self.grad, threads, convolution=convolution, weights=weights)


def pass_of(single: Single, result: str) -> Call:
    """Return the pass that makes a result."""
    return single.forward() if result == "output" else single.backward(result)


def measure(shape: Shape, bench: Bench) -> list[Result]:
    """Return a line for each pass."""
    problem = Problem(shape)
    expected = problem.expected()
    ours = {"direct": problem.single(bench.threads, "direct")}
    if uses_winograd(ours["direct"].model):
        ours["winograd"] = problem.single(bench.threads, "winograd")
    results = []
    for name, result in PASSES.items():
        calls: dict[str, Call | None] = {
            way: pass_of(single, result)
            for way, single in ours.items()
            if way == "direct" or single.has_winograd(result)
        }
        errors = {
            way: ours[way].judged(call, result, expected[result])
            for way, call in calls.items()
            if call is not None
        }
        calls |= {way: problem.torch_call(result, layout) for way, layout in LAYOUTS.items()}
        times = bench.contest({**calls, "peak": bench.spinner})
        first, best = times["torch"], (times["torch"], times["channels_last"])
        results.append(
            {
                "shape": str(shape),
                "pass": name,
                "share": bench.share(shape.operations, times["direct"], times.pop("peak")),
                **times,
                "to torch": ratio(times["direct"], first),
                "to best": ratio(times["direct"], *best),
                "error": errors["direct"],
                "winograd to torch": ratio(times.get("winograd"), first),
                "winograd to best": ratio(times.get("winograd"), *best),
                "winograd error": errors.get("winograd"),
            }
        )
    return results


GROUP = Group(
    "convolutions",
    "Convolutions",
    [
        Column("shape", "shape"),
        Column("pass", "pass"),
        Column("direct", "direct ms", "ms"),
        Column("winograd", "Winograd ms", "ms"),
        Column("torch", "torch ms", "ms"),
        Column("channels_last", "channels_last ms", "ms"),
        Column("share", "of peak", "percent"),
        Column("to torch", "direct to torch", "ratio"),
        Column("to best", "direct to best", "ratio"),
        Column("error", "error", "error"),
        Column("winograd to torch", "Winograd to torch", "ratio"),
        Column("winograd to best", "Winograd to best", "ratio"),
        Column("winograd error", "error of Winograd", "error"),
    ],
    [
        Work(
            str(shape),
            lambda bench, shape=shape: measure(shape, bench),
            seconds=4 + shape.operations / 1e9 * 1.5,
            quick=number in QUICK,
        )
        for number, shape in enumerate(SHAPES)
    ],
    needs_peak=True,
)
