"""One layer with its buffers, each of its passes as a call; and how results are judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from engine import Model
from engine.layers import Layer
from engine.ops.base import Site
from engine.ops.conv import Conv2d as Conv2dOp
from engine.ops.winograd import RESULTS, tile_for
from engine.program import Program

Call = Callable[[], object]

LAYOUTS = {"torch": torch.contiguous_format, "channels_last": torch.channels_last}


def uses_winograd(model: Model) -> bool:
    """Return whether any convolution of a net may run by Winograd's method."""
    shapes = {node.name: node.output_shape for node in model.nodes}
    return any(
        tile_for(node.layer.op, "winograd", result, shapes[node.inputs[0]]) > 0
        for node in model.nodes
        if node.layer is not None and isinstance(node.layer.op, Conv2dOp)
        for result in RESULTS
    )


class Single:
    """A model of one layer, run once forward and backward.

    Parameters
    ----------
    layer : Layer
    x, grad : arrays
        Input, and gradient of the output.
    threads : int
    training : bool
        Whether batch statistics are in force.
    convolution : str
        ``"direct"`` or ``"winograd"``.
    weights : dict of arrays
        Parameters by name; the others keep their initial values.
    """

    def __init__(
        self,
        layer: Layer,
        x: np.ndarray,
        grad: np.ndarray,
        threads: int,
        *,
        training: bool = True,
        convolution: str = "direct",
        weights: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.model = Model(
            [layer],
            input_shape=x.shape[1:],
            device="cpu",
            threads=threads,
            convolution=convolution,
        )
        for name, values in (weights or {}).items():
            layer.parameters[name].value = values
        self.program = Program(self.model, len(x), training=training, backward=True)
        self.name = self.model.outputs[0]
        self.site = self.program.sites[self.name]
        self.program.load([x])
        self.program.output_gradients[self.name].write(grad)
        self.program.run()

    def forward(self) -> Call:
        """Return the forward pass."""
        (row,) = [op.index for op in self.program.operations if op.phase == "forward"]
        return lambda: self.program.run(row, row + 1)

    def backward(self, *results: str) -> Call:
        """Return the part of the backward pass that makes these: ``"input"``, ``"weight"`` ...

        The op itself is asked for its launches, as the program does for the whole pass.
        """
        kept = {name: b for name, b in self.site.gradients.items() if name in results}
        targets = tuple(target if "input" in results else None for target in self.site.grad_inputs)
        part: Site = dataclasses.replace(self.site, gradients=kept, grad_inputs=targets)
        layer = self.model[self.name]
        launches = layer.op.backward(part)
        run = self.model.backend.prepare(launches, self.model.dtype)
        count = len(launches)
        return lambda: run.run(0, count)

    def has_winograd(self, result: str) -> bool:
        """Return whether the pass that makes a result runs by Winograd's method."""
        op = self.model[self.name].op
        full = result if result == "output" else f"{result}.gradient"
        shape = self.site.inputs[0].shape
        return isinstance(op, Conv2dOp) and tile_for(op, "winograd", full, shape) > 0

    def output(self) -> np.ndarray:
        """Return what the forward pass has made."""
        return self.site.output.read()

    def gradient(self, name: str) -> np.ndarray:
        """Return what a backward pass has made of ``"input"``, ``"weight"`` or ``"bias"``."""
        if name == "input":
            (target,) = self.site.grad_inputs
            assert target is not None
            return target.read()
        return self.site.gradients[name].read()

    def forget(self, name: str) -> None:
        """Fill a result with NaN, so that a call that does not make it is found out."""
        if name == "output":
            self.site.output.write(np.array(np.nan))
        elif name == "input":
            (target,) = self.site.grad_inputs
            assert target is not None
            target.write(np.array(np.nan))
        else:
            self.site.gradients[name].write(np.array(np.nan))

    def judged(self, call: Call, name: str, expected: Any) -> float:
        """Run a pass once and return how far its result is from the expected one."""
        self.forget(name)
        call()
        return error(self.output() if name == "output" else self.gradient(name), expected)


def error(received: Any, expected: Any) -> float:
    """Return the greatest distance as a share of the greatest expected value."""
    want = np.asarray(expected, np.float64)
    return float(np.abs(np.asarray(received, np.float64) - want).max() / np.abs(want).max())


def normal(shape: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> np.ndarray:
    """Return standard normal float32 numbers."""
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def tensor(values: np.ndarray, layout: torch.memory_format | None = None) -> torch.Tensor:
    """Return a copy as a tensor in a memory format."""
    made = torch.tensor(values)
    return made if layout is None or made.ndim != 4 else made.to(memory_format=layout)


def double(values: np.ndarray) -> torch.Tensor:
    """Return a copy in float64."""
    return torch.tensor(values, dtype=torch.float64)
