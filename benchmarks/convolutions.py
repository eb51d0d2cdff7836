"""Single convolutions, forward and backward, beside PyTorch in both of its layouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.measure import side_by_side
from engine import Model
from engine.layers import Conv2d
from engine.program import Program


class Shape(NamedTuple):
    """A convolution: samples, input channels, size, output channels, kernel, stride, padding."""

    n: int
    c: int
    h: int
    k: int
    r: int
    s: int = 1
    p: int = 0

    def __str__(self) -> str:
        extra = (f" s{self.s}" if self.s > 1 else "") + (f" p{self.p}" if self.p else "")
        return f"N{self.n} C{self.c} H{self.h} K{self.k} R{self.r}{extra}"


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
]


def ours(shape: Shape, x: np.ndarray, grad: np.ndarray) -> tuple[Callable[[], object], ...]:
    """Return our forward and backward (gradients of input, weight and bias)."""
    layer = Conv2d(shape.c, shape.k, shape.r, stride=shape.s, padding=shape.p, name="conv")
    model = Model([layer], input_shape=x.shape[1:], device="cpu")
    program = Program(model, shape.n, backward=True)
    program.load([x])
    program.output_gradients["conv"].write(grad)
    program.run()
    rows = {op.phase: op.index for op in program.operations}
    forward, backward = rows["forward"], rows["backward"]
    return (
        lambda: program.run(forward, forward + 1),
        lambda: program.run(backward, backward + 1),
    )


def theirs(
    shape: Shape, x: np.ndarray, grad: np.ndarray, layout: torch.memory_format
) -> tuple[Callable[[], object], ...]:
    """Return PyTorch's forward and backward."""
    layer = torch.nn.Conv2d(shape.c, shape.k, shape.r, stride=shape.s, padding=shape.p)
    layer = layer.to(memory_format=layout)
    image = torch.from_numpy(x).to(memory_format=layout).requires_grad_()
    output = layer(image)
    gradient = torch.from_numpy(grad).to(memory_format=layout)
    inputs = (image, layer.weight, layer.bias)

    def forward() -> object:
        with torch.no_grad():
            return layer(image)

    return forward, lambda: torch.autograd.grad(output, inputs, gradient, retain_graph=True)


def rows() -> list[tuple[str, ...]]:
    """Return one row per shape and pass: name, times, ratios."""
    result = []
    draws = np.random.default_rng(0)
    for shape in SHAPES:
        size = (shape.h + 2 * shape.p - shape.r) // shape.s + 1
        x = draws.standard_normal((shape.n, shape.c, shape.h, shape.h)).astype(np.float32)
        grad = draws.standard_normal((shape.n, shape.k, size, size)).astype(np.float32)
        sides = {
            "convscope": ours(shape, x, grad),
            "torch": theirs(shape, x, grad, torch.contiguous_format),
            "torch channels_last": theirs(shape, x, grad, torch.channels_last),
        }
        for number, name in enumerate(("forward", "backward")):
            times = side_by_side({side: calls[number] for side, calls in sides.items()}, rounds=3)
            mine, first, second = (times[side].median_ms for side in sides)
            result.append(
                (
                    str(shape),
                    name,
                    f"{mine:.2f}",
                    f"{first:.2f}",
                    f"{second:.2f}",
                    f"{first / mine:.2f}",
                    f"{min(first, second) / mine:.2f}",
                )
            )
    return result
