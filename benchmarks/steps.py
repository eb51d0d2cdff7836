"""Whole training steps beside PyTorch: eager, channels_last, fused optimisers."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks import nets
from benchmarks.groups import Group, Work
from benchmarks.measure import Bench, ratio
from benchmarks.report import Column, Result
from benchmarks.single import Call, normal, tensor, uses_winograd
from engine import Model, Scheduler
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD, Adam, Optimizer
from engine.zoo import build

RATE, MOMENTUM = 1e-4, 0.9
"""Small: the same batch is learnt over and over."""
CHECKED, CHECKS = 8, 5
"""Samples in a batch whose gradients are checked, and how many such batches."""


class Task(NamedTuple):
    """A net of the zoo, its optimiser and a batch size."""

    title: str
    net: str
    optimizer: str
    batch: int
    seconds: float
    quick: bool = False

    def data(self, model: Model, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return a batch."""
        labels = np.random.default_rng(seed + 1).integers(0, 10, self.batch)
        return normal((self.batch, *model.input_shape), seed), labels


TASKS = [
    Task("LeNet-5", "lenet5", "SGD momentum", 1, 4),
    Task("LeNet-5", "lenet5", "SGD momentum", 8, 4),
    Task("LeNet-5", "lenet5", "SGD momentum", 64, 4, quick=True),
    Task("LeNet-5", "lenet5", "SGD momentum", 256, 5),
    Task("VGG-like", "vgg_small", "Adam", 64, 20, quick=True),
    Task("ResNet-20", "resnet20", "SGD momentum", 64, 30),
]


def ours(task: Task, threads: int, convolution: str = "direct") -> Scheduler:
    """Return our scheduler."""
    model = build(task.net, device="cpu", threads=threads, convolution=convolution)
    optimizer: Optimizer = Adam(RATE) if task.optimizer == "Adam" else SGD(RATE, momentum=MOMENTUM)
    return Scheduler(model, CrossEntropyLoss(), optimizer)


def torch_step(
    task: Task,
    net: nn.Module,
    data: tuple[np.ndarray, np.ndarray],
    layout: torch.memory_format = torch.contiguous_format,
    **settings: Any,
) -> Call:
    """Return PyTorch's training step as its tutorials write it."""
    net = net.to(memory_format=layout).train()
    optimizer = (
        torch.optim.Adam(net.parameters(), RATE, **settings)
        if task.optimizer == "Adam"
        else torch.optim.SGD(net.parameters(), RATE, momentum=MOMENTUM, **settings)
    )
    criterion = nn.CrossEntropyLoss()
    images, labels = tensor(data[0], layout), torch.tensor(data[1])

    def step() -> float:
        optimizer.zero_grad()
        loss = criterion(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_gradients(net: nn.Module, data: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """Return the gradients of one step, parameter by parameter."""
    kind = next(net.parameters()).dtype
    loss = nn.functional.cross_entropy(
        net.train()(torch.tensor(data[0], dtype=kind)), torch.tensor(data[1])
    )
    return [g.numpy() for g in torch.autograd.grad(loss, list(net.parameters()))]


def distance(received: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Return how far gradients are apart, as a share of the greatest of each parameter.

    Parameters whose gradient is zero but for rounding (the bias before a batch normalisation)
    count by the greatest of all.
    """
    floor = 1e-3 * max(float(np.abs(one).max()) for one in expected)
    return max(
        float(np.abs(got.reshape(want.shape) - want).max()) / max(float(np.abs(want).max()), floor)
        for got, want in zip(received, expected, strict=True)
    )


def checked(task: Task, threads: int, way: str) -> tuple[float, float]:
    """Return how far the gradients of our first step and of PyTorch's are from float64.

    The middle one of several small batches: in a large one some ReLU or maximum is nearly always
    undecided but for rounding, and sends a gradient elsewhere, in PyTorch's float32 as in ours.
    """
    scheduler = ours(task, threads, way)
    scheduler.optimizer = SGD(0.0)
    model = scheduler.model
    exact, single = (nets.twin(task.net, model, t) for t in (torch.float64, torch.float32))
    mine, theirs = [], []
    for seed in range(CHECKS):
        data = task._replace(batch=min(task.batch, CHECKED)).data(model, seed)
        expected = torch_gradients(exact, data)
        scheduler.step(*data)
        mine.append(distance([p.gradient for p in model.parameters.values()], expected))
        theirs.append(distance(torch_gradients(single, data), expected))
    return statistics.median(mine), statistics.median(theirs)


def measure(task: Task, bench: Bench) -> list[Result]:
    """Return the line of one task."""
    schedulers = {"direct": ours(task, bench.threads)}
    model = schedulers["direct"].model
    if uses_winograd(model):
        schedulers["winograd"] = ours(task, bench.threads, "winograd")
    data = task.data(model)

    def twin() -> nn.Module:
        return nets.twin(task.net, model)

    last, fused = torch.channels_last, {"fused": True}
    calls: dict[str, Call | None] = {
        "torch": torch_step(task, twin(), data),
        "channels_last": torch_step(task, twin(), data, last),
        "fused": torch_step(task, twin(), data, **fused),
        "both": torch_step(task, twin(), data, last, **fused),
    }
    calls |= {way: _step(scheduler, data) for way, scheduler in schedulers.items()}
    errors = {way: checked(task, bench.threads, way) for way in schedulers}
    times = bench.contest(calls)
    peers = [times[name] for name in ("torch", "channels_last", "fused", "both")]
    return [
        {
            "net": f"{task.title}, {task.optimizer}",
            "batch": task.batch,
            **times,
            "to torch": ratio(times["direct"], peers[0]),
            "to best": ratio(times["direct"], *peers),
            "error": errors["direct"][0],
            "winograd to torch": ratio(times.get("winograd"), peers[0]),
            "winograd to best": ratio(times.get("winograd"), *peers),
            "winograd error": errors["winograd"][0] if "winograd" in errors else None,
            "torch error": errors["direct"][1],
        }
    ]


def _step(scheduler: Scheduler, data: tuple[np.ndarray, np.ndarray]) -> Callable[[], float]:
    return lambda: scheduler.step(*data)


GROUP = Group(
    "steps",
    "Training steps",
    [
        Column("net", "net"),
        Column("batch", "batch", "integer"),
        Column("direct", "direct ms", "ms"),
        Column("winograd", "Winograd ms", "ms"),
        Column("torch", "eager ms", "ms"),
        Column("channels_last", "channels_last ms", "ms"),
        Column("fused", "fused ms", "ms"),
        Column("both", "both ms", "ms"),
        Column("to torch", "direct to eager", "ratio"),
        Column("to best", "direct to best", "ratio"),
        Column("winograd to torch", "Winograd to eager", "ratio"),
        Column("winograd to best", "Winograd to best", "ratio"),
        Column("error", "error", "error"),
        Column("winograd error", "error of Winograd", "error"),
        Column("torch error", "error of torch", "error"),
    ],
    [
        Work(
            f"{task.title} batch {task.batch}",
            lambda bench, task=task: measure(task, bench),
            task.seconds,
            task.quick,
        )
        for task in TASKS
    ],
)
