"""Pooling, normalisation, activation, loss and optimisers beside every variant PyTorch has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.groups import Group, Work
from benchmarks.measure import Bench, Timing, ratio
from benchmarks.report import Column, Result
from benchmarks.single import LAYOUTS, Call, Single, double, error, normal, tensor
from engine import Model, Scheduler
from engine.fusing import UPDATES
from engine.layers import BatchNorm2d, Dense, MaxPool2d, ReLU
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD, Adam, Optimizer
from engine.program import Program
from engine.zoo import lenet5, vgg_small

aten = torch.ops.aten
IMAGES = [(64, 32, 32, 32), (64, 64, 16, 16), (16, 64, 56, 56)]
SCORES = [(64, 10), (64, 1000), (512, 10)]


def line(
    name: str, size: str, times: dict[str, Timing], variants: dict[str, str], away: float
) -> Result:
    """Return a line of the table: the best variant by name, ratios to the first and to the best."""
    best = min(variants, key=lambda one: times[one].median_ms)
    return {
        "operation": name,
        "size": size,
        "ours": times["ours"],
        "torch": times["torch"],
        "best": times[best],
        "which": variants[best],
        "to torch": ratio(times["ours"], times["torch"]),
        "to best": ratio(times["ours"], *(times[one] for one in variants)),
        "error": away,
    }


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


# -- on images --------------------------------------------------------------------------------

TWO = [2, 2], [2, 2], [0, 0], [1, 1], False
"""Kernel, stride, padding, dilation and ceil mode of the pool."""


def max_pool(shape: tuple[int, ...], bench: Bench) -> list[Result]:
    """Measure 2 x 2 maximum pooling."""
    x = normal(shape)
    grad = normal((*shape[:2], shape[2] // 2, shape[3] // 2), 1)
    y, winners = aten.max_pool2d_with_indices(double(x), *TWO)
    back = aten.max_pool2d_with_indices_backward(double(grad), double(x), *TWO, winners)
    single = Single(MaxPool2d(2), x, grad, bench.threads)

    def forward(layout: torch.memory_format) -> Call:
        image = tensor(x, layout)
        return lambda: functional.max_pool2d(image, 2)

    def backward(layout: torch.memory_format) -> Call:
        image, gradient = tensor(x, layout), tensor(grad, layout)
        _, places = aten.max_pool2d_with_indices(image, *TWO)
        return lambda: aten.max_pool2d_with_indices_backward(gradient, image, *TWO, places)

    return _two_passes("max-pool 2x2", single, shape, bench, forward, backward, y, back)


def batch_norm(shape: tuple[int, ...], bench: Bench) -> list[Result]:
    """Measure batch normalisation as in training."""
    channels = shape[1]
    x, grad = normal(shape), normal(shape, 1)
    weight, bias = normal((channels,), 2), normal((channels,), 3)
    single = Single(
        BatchNorm2d(channels), x, grad, bench.threads, weights={"weight": weight, "bias": bias}
    )

    def state(kind: torch.dtype) -> list[torch.Tensor]:
        return [torch.zeros(channels, dtype=kind), torch.ones(channels, dtype=kind)]

    y, mean, inverse = aten.native_batch_norm(
        double(x), double(weight), double(bias), *state(torch.float64), True, 0.1, 1e-5
    )
    back = aten.native_batch_norm_backward(
        double(grad),
        double(x),
        double(weight),
        *state(torch.float64),
        mean,
        inverse,
        True,
        1e-5,
        [True] * 3,
    )[0]

    def forward(layout: torch.memory_format) -> Call:
        image, scale, shift = tensor(x, layout), tensor(weight), tensor(bias)
        running = state(torch.float32)
        return lambda: functional.batch_norm(image, *running, scale, shift, True, 0.1, 1e-5)

    def backward(layout: torch.memory_format) -> Call:
        image, gradient = tensor(x, layout), tensor(grad, layout)
        scale, shift, running = tensor(weight), tensor(bias), state(torch.float32)
        _, mean, inverse = aten.native_batch_norm(image, scale, shift, *running, True, 0.1, 1e-5)
        return lambda: aten.native_batch_norm_backward(
            gradient, image, scale, *running, mean, inverse, True, 1e-5, [True] * 3
        )

    return _two_passes("batch norm", single, shape, bench, forward, backward, y, back)


def relu(shape: tuple[int, ...], bench: Bench) -> list[Result]:
    """Measure ReLU on its own; within a net it is part of what comes before it."""
    x, grad = normal(shape), normal(shape, 1)
    y = functional.relu(double(x))
    back = double(grad) * (double(x) > 0)
    single = Single(ReLU(), x, grad, bench.threads)

    def forward(layout: torch.memory_format) -> Call:
        image = tensor(x, layout)
        return lambda: functional.relu(image)

    def backward(layout: torch.memory_format) -> Call:
        image, gradient = tensor(x, layout), tensor(grad, layout)
        return lambda: aten.threshold_backward(gradient, image, 0)

    image, gradient = tensor(x), tensor(grad)
    out = torch.empty_like(image)
    more = {
        "forward": lambda: torch.clamp_min(image, 0, out=out),
        "backward": lambda: aten.threshold_backward.grad_input(gradient, image, 0, grad_input=out),
    }
    return _two_passes("ReLU", single, shape, bench, forward, backward, y, back, more)


def _two_passes(
    name: str,
    single: Single,
    shape: tuple[int, ...],
    bench: Bench,
    forward: Callable[[torch.memory_format], Call],
    backward: Callable[[torch.memory_format], Call],
    output: torch.Tensor,
    gradient: torch.Tensor,
    into: dict[str, Call] | None = None,
) -> list[Result]:
    """Measure both passes of one layer beside PyTorch in both layouts, and into given memory."""
    results = []
    for word, mine, result, theirs, expected in (
        ("forward", single.forward(), "output", forward, output),
        ("backward", single.backward("input", "weight", "bias"), "input", backward, gradient),
    ):
        away = single.judged(mine, result, expected.numpy())
        calls: dict[str, Call | None] = {"ours": mine}
        calls |= {way: theirs(layout) for way, layout in LAYOUTS.items()}
        variants = {"torch": "default", "channels_last": "channels_last"}
        if into is not None:
            calls["out"], variants["out"] = into[word], "out="
        times = bench.contest(calls)
        results.append(line(f"{name}, {word}", _text(shape), times, variants, away))
    return results


# -- loss -------------------------------------------------------------------------------------


def cross_entropy(shape: tuple[int, ...], bench: Bench) -> list[Result]:
    """Measure softmax cross-entropy forward and backward."""
    samples, classes = shape
    x, y = normal((samples, classes)), np.random.default_rng(1).integers(0, classes, samples)
    # The layer before it hands on its bias alone, so that the scores are those of the peers.
    layer = Dense(1, classes, name="scores")
    model = Model([layer], input_shape=(1,), device="cpu", threads=bench.threads)
    program = Program(model, samples, training=True, loss=CrossEntropyLoss())
    program.load([np.zeros((samples, 1), np.float32)], y)
    program.run()
    program.tensors["scores.output"].write(x)
    first, *_, last = [op.index for op in program.operations if op.layer == "loss"]

    def mine() -> object:
        return program.run(first, last + 1)

    scores, labels = tensor(x), torch.tensor(y)
    leaf = tensor(x).requires_grad_()

    def default() -> object:
        return torch.autograd.grad(functional.cross_entropy(leaf, labels), leaf)

    one = torch.ones(())

    def kernels() -> torch.Tensor:
        logs = aten._log_softmax(scores, 1, False)
        _, total = aten.nll_loss_forward(logs, labels, None, 1, -100)
        grad = aten.nll_loss_backward(one, logs, labels, None, 1, -100, total)
        return aten._log_softmax_backward_data(grad, logs, 1, torch.float32)

    wanted = double(x).requires_grad_()
    (expected,) = torch.autograd.grad(functional.cross_entropy(wanted, labels), wanted)
    target = program.tensors["scores.grad_output"]
    target.write(np.array(np.nan))
    mine()
    away = error(target.read(), expected.numpy())
    times = bench.contest({"ours": mine, "torch": default, "kernels": kernels})
    variants = {"torch": "default", "kernels": "kernels without autograd"}
    return [line("softmax cross-entropy, both", _text(shape), times, variants, away)]


# -- optimisers -------------------------------------------------------------------------------


def big() -> Model:
    """Return ten million parameters."""
    return Model([Dense(3162, 3162)], input_shape=(3162,), device="cpu")


MODELS: dict[str, Callable[..., Model]] = {"LeNet-5": lenet5, "VGG-like": vgg_small, "10 M": big}
RATE, MOMENTUM = 1e-3, 0.9


def update(name: str, model_name: str, bench: Bench) -> list[Result]:
    """Measure the update of all parameters of a net."""
    adam = name == "Adam"
    optimizer: Optimizer = Adam(RATE) if adam else SGD(RATE, momentum=MOMENTUM)
    model = MODELS[model_name]()
    program = Scheduler(model, CrossEntropyLoss(), optimizer).program(1)
    values = [np.array(p.value) for p in model.parameters.values()]
    grads = [normal(v.shape, number, 0.1) for number, v in enumerate(values)]
    for key, grad in zip(model.parameters, grads, strict=True):
        program.gradients[key].write(grad)
    program.rates.write(np.resize(np.array([*optimizer.rates(0), *[0.0] * 4]), program.rates.shape))
    # What a whole step runs: parameters that lie side by side are updated together.
    launches, whole = program._plan.launches, program._whole
    first = next(n for n, launch in enumerate(launches) if launch.kernel in UPDATES)

    def mine() -> object:
        return whole.run(first, len(launches))

    def peer(kind: torch.dtype, **settings: Any) -> tuple[list[torch.Tensor], Call]:
        parameters = [torch.tensor(v, dtype=kind) for v in values]
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = torch.tensor(grad, dtype=kind)
        made = (
            torch.optim.Adam(parameters, RATE, **settings)
            if adam
            else torch.optim.SGD(parameters, RATE, momentum=MOMENTUM, **settings)
        )
        return parameters, made.step

    wanted, step = peer(torch.float64)
    step()
    mine()
    away = max(
        error(p.value, want.numpy())
        for p, want in zip(model.parameters.values(), wanted, strict=True)
    )
    calls: dict[str, Call | None] = {"ours": mine}
    ways = {"torch": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}
    for way, settings in ways.items():
        calls[way] = peer(torch.float32, **settings)[1]
    variants = {"torch": "default", "foreach": "foreach", "fused": "fused"}
    size = f"{sum(v.size for v in values):,} of {model_name}"
    return [line(f"{name}, update", size, bench.contest(calls), variants, away)]


WORK = [
    *(
        Work(
            f"{function.__name__} {_text(shape)}",
            lambda bench, function=function, shape=shape: function(shape, bench),
            seconds=4,
            quick=shape is IMAGES[0],
        )
        for function in (max_pool, batch_norm, relu)
        for shape in IMAGES
    ),
    *(
        Work(
            f"cross-entropy {_text(shape)}",
            lambda bench, shape=shape: cross_entropy(shape, bench),
            seconds=2,
            quick=shape is SCORES[0],
        )
        for shape in SCORES
    ),
    *(
        Work(
            f"{name} {model}",
            lambda bench, name=name, model=model: update(name, model, bench),
            seconds=3,
            quick=model == "LeNet-5",
        )
        for name in ("Adam", "SGD momentum")
        for model in MODELS
    ),
]

GROUP = Group(
    "operations",
    "Other operations",
    [
        Column("operation", "operation"),
        Column("size", "size"),
        Column("ours", "Convscope ms", "ms"),
        Column("torch", "torch ms", "ms"),
        Column("best", "best torch ms", "ms"),
        Column("which", "which is"),
        Column("to torch", "to torch", "ratio"),
        Column("to best", "to best", "ratio"),
        Column("error", "error", "error"),
    ],
    WORK,
)
