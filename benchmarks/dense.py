"""Fully connected layers, pass by pass, beside PyTorch."""

from __future__ import annotations

import torch
from torch.nn import functional

from benchmarks.convolutions import PASSES, pass_of
from benchmarks.groups import Group, Work
from benchmarks.measure import Bench, ratio
from benchmarks.report import Column, Result
from benchmarks.single import Call, Single, double, normal, tensor
from engine.layers import Dense

SHAPES = [(64, 400, 120), (64, 4096, 256), (256, 1024, 1024), (64, 784, 512), (64, 120, 84)]
"""Samples, input features, output features."""
QUICK = {0, 1}


def measure(shape: tuple[int, int, int], bench: Bench) -> list[Result]:
    """Return a line for each pass."""
    n, inputs, outputs = shape
    arrays = normal((n, inputs), 0), normal((outputs, inputs), 1), normal((n, outputs), 2)
    bias = normal((outputs,), 3)
    x, weight, grad = map(double, arrays)
    expected = {"output": x @ weight.T + double(bias), "input": grad @ weight, "weight": grad.T @ x}
    weights = {"weight": arrays[1], "bias": bias}
    single = Single(Dense(inputs, outputs), arrays[0], arrays[2], bench.threads, weights=weights)
    results = []
    for name, result in PASSES.items():
        mine = pass_of(single, result)
        away = single.judged(mine, result, expected[result].numpy())
        theirs = torch_calls(arrays, bias, result)
        times = bench.contest({"direct": mine, **theirs, "peak": bench.spinner})
        operations = 2 * n * inputs * outputs
        results.append(
            {
                "shape": f"{n} x {inputs} to {outputs}",
                "pass": name,
                "share": bench.share(operations, times["direct"], times.pop("peak")),
                **times,
                "to torch": ratio(times["direct"], times["torch"]),
                "to best": ratio(times["direct"], times["torch"], times["out"]),
                "error": away,
            }
        )
    return results


def torch_calls(arrays: tuple, bias: object, result: str) -> dict[str, Call]:
    """Return PyTorch's pass as autograd calls it, and into memory that is there already."""
    x, weight, grad = map(tensor, arrays)
    shift = tensor(bias)
    if result == "output":
        out, turned = torch.empty(len(x), len(weight)), weight.t()
        return {
            "torch": lambda: functional.linear(x, weight, shift),
            "out": lambda: torch.addmm(shift, x, turned, out=out),
        }
    first, second = (grad, weight) if result == "input" else (grad.t(), x)
    out = torch.empty(first.shape[0], second.shape[1])
    return {
        "torch": lambda: torch.mm(first, second),
        "out": lambda: torch.mm(first, second, out=out),
    }


GROUP = Group(
    "dense",
    "Dense layers",
    [
        Column("shape", "shape"),
        Column("pass", "pass"),
        Column("direct", "Convscope ms", "ms"),
        Column("torch", "torch ms", "ms"),
        Column("out", "torch out= ms", "ms"),
        Column("share", "of peak", "percent"),
        Column("to torch", "to torch", "ratio"),
        Column("to best", "to best", "ratio"),
        Column("error", "error", "error"),
    ],
    [
        Work(
            f"{shape[0]} x {shape[1]} to {shape[2]}",
            lambda bench, shape=shape: measure(shape, bench),
            seconds=4,
            quick=number in QUICK,
        )
        for number, shape in enumerate(SHAPES)
    ],
    needs_peak=True,
)
