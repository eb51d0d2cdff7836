"""Predictions beside onnxruntime, which runs our own export, and PyTorch."""

from __future__ import annotations

from typing import Any, NamedTuple

import onnxruntime
import torch
from torch import nn

from benchmarks import nets
from benchmarks.groups import Group, Work
from benchmarks.measure import Bench, ratio
from benchmarks.report import Column, Result
from benchmarks.single import LAYOUTS, Call, error, normal, tensor, uses_winograd
from engine import Model
from engine.io.onnx.export import OPSET
from engine.io.onnx.graph import graph_of
from engine.zoo import build


class Task(NamedTuple):
    """A net of the zoo and a batch size."""

    title: str
    net: str
    batch: int


TASKS = [
    Task(title, net, batch)
    for title, net in (("LeNet-5", "lenet5"), ("VGG-like", "vgg_small"), ("ResNet-20", "resnet20"))
    for batch in (1, 64)
]


def ours(net: str, threads: int, convolution: str = "direct") -> Model:
    """Return our model."""
    return build(net, device="cpu", threads=threads, convolution=convolution)


def runtime(model: Model, threads: int, x: Any) -> tuple[Call, onnxruntime.InferenceSession]:
    """Return onnxruntime's prediction with as many threads as everybody has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        graph_of(model, OPSET, "dynamic").SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    feed = {model.inputs[0]: x}
    return lambda: session.run(None, feed), session


def predict(net: nn.Module, image: torch.Tensor, layout: torch.memory_format) -> Call:
    """Return PyTorch's prediction."""
    net = net.to(memory_format=layout).eval()

    def call() -> torch.Tensor:
        with torch.inference_mode():
            return net(image)

    return call


def measure(task: Task, bench: Bench) -> list[Result]:
    """Return the line of one task."""
    models = {"direct": ours(task.net, bench.threads)}
    model = models["direct"]
    if uses_winograd(model):
        models["winograd"] = ours(task.net, bench.threads, "winograd")
    x = normal((task.batch, *model.input_shape))
    expected = nets.predicted(nets.twin(task.net, model, torch.float64), x.astype("float64"))
    onnx_call, _ = runtime(model, bench.threads, x)
    calls: dict[str, Call | None] = {"onnxruntime": onnx_call}
    for way, layout in LAYOUTS.items():
        calls[way] = predict(nets.twin(task.net, model), tensor(x, layout), layout)
    for way, one in models.items():
        calls[way] = lambda one=one: one(x)
    errors = {way: error(one(x), expected) for way, one in models.items()}
    (peer,) = onnx_call()
    times = bench.contest(calls)
    return [
        {
            "net": task.title,
            "batch": task.batch,
            **times,
            "to onnxruntime": ratio(times["direct"], times["onnxruntime"]),
            "to torch": ratio(times["direct"], times["torch"], times["channels_last"]),
            "winograd to onnxruntime": ratio(times.get("winograd"), times["onnxruntime"]),
            "error": errors["direct"],
            "winograd error": errors.get("winograd"),
            "peer error": error(peer, expected),
        }
    ]


GROUP = Group(
    "inference",
    "Inference",
    [
        Column("net", "net"),
        Column("batch", "batch", "integer"),
        Column("direct", "direct ms", "ms"),
        Column("winograd", "Winograd ms", "ms"),
        Column("onnxruntime", "onnxruntime ms", "ms"),
        Column("torch", "torch ms", "ms"),
        Column("channels_last", "channels_last ms", "ms"),
        Column("to onnxruntime", "direct to onnxruntime", "ratio"),
        Column("winograd to onnxruntime", "Winograd to onnxruntime", "ratio"),
        Column("to torch", "direct to best torch", "ratio"),
        Column("error", "error", "error"),
        Column("winograd error", "error of Winograd", "error"),
        Column("peer error", "error of onnxruntime", "error"),
    ],
    [
        Work(
            f"{task.title} batch {task.batch}",
            lambda bench, task=task: measure(task, bench),
            seconds=4,
            quick=task.net != "resnet20",
        )
        for task in TASKS
    ],
)
