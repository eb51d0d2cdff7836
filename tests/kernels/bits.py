"""The bits of short runs, as hashes: the same for every vector width, processor and thread count.

``python -m tests.kernels.bits`` prints the hashes of all cases beside the recorded ones, with exit
status 1 where one differs; ``--threads 1 5`` repeats that for teams of these sizes, ``--only TEXT``
takes the cases with TEXT in their names, and ``--json`` prints what was found as data.
`CONVSCOPE_VECTOR_BYTES` and `NUMBA_CPU_NAME` choose other machine code. ``--record new`` writes the
hashes of cases that have none yet to `bits.json`; ``--record moved`` writes all, which is for
results that shall change, with the reason in the change log.

A case has four hashes: of the losses (penalties included), of the parameters, of the state (running
statistics and moments), and of the outputs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from engine import Input, Model, Scheduler, initializers, zoo
from engine.data import DataLoader, Dataset
from engine.layers import (
    Add,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    ReLU,
    Sigmoid,
    Tanh,
)
from engine.losses import BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss
from engine.optimizers import SGD, Adam, AdamW, Optimizer
from engine.regularizers import L1, L2
from engine.schedules import CosineDecay, ExponentialDecay, StepDecay, WarmUp
from tests import gallery

FILE = Path(__file__).with_suffix(".json")
BATCH, STEPS = 5, 3

Hashes = dict[str, str]


def digest(arrays: Iterable[Any]) -> str:
    """Return a short hash of arrays: their dtypes, shapes and bits."""
    found = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()[:12]


def hashes(scheduler: Scheduler, x: Any, losses: Any) -> Hashes:
    """Return the four hashes of a run."""
    model = scheduler.model
    moments = [b.read() for name in sorted(scheduler.moments) for b in scheduler.moments[name]]
    return {
        "losses": digest([np.asarray(losses, np.float64)]),
        "parameters": digest(p.value for p in model.parameters.values()),
        "state": digest([*(model.state[name] for name in model.state), *moments]),
        "outputs": digest([model(x)]),
    }


def trained(
    model: Model, loss: Loss, optimizer: Optimizer, x: Any, y: Any, steps: int = STEPS, **more: Any
) -> Hashes:
    """Return the hashes after some steps on one batch."""
    scheduler = Scheduler(model, loss, optimizer, **more)
    return hashes(scheduler, x, [scheduler.step(x, y) for _ in range(steps)])


def numbers(seed: int, shape: tuple[int, ...], dtype: str) -> Any:
    """Return numbers in [-1, 1) made without any function of a C library."""
    return (2 * np.random.default_rng(seed).random(shape) - 1).astype(dtype)


# ---------------------------------------------------------------------------- the cases


def of_form(name: str, dtype: str, threads: int) -> Hashes:
    """Train a form of the gallery behind a layer that wants its gradient."""
    model = Model(
        [Conv2d(4, 4, 1, name="before"), *gallery.LAYERS[name]()],
        input_shape=gallery.IMAGE,
        seed=1,
        device="cpu",
        dtype=dtype,
        convolution=gallery.CONVOLUTIONS.get(name, "direct"),
        threads=threads,
    )
    x = numbers(1, (BATCH, *gallery.IMAGE), dtype)
    y = numbers(2, (BATCH, *model.output_shape), dtype)
    return trained(model, MSELoss(), SGD(0.5, momentum=0.9), x, y)


def branching(dtype: str, threads: int) -> Hashes:
    """Train a net with several readers of one tensor, dropout and a join."""
    model = gallery.branching(dtype)
    built = Model(
        inputs=model._inputs, outputs=model._outputs, device="cpu", dtype=dtype, threads=threads
    )
    x = numbers(3, (BATCH, *gallery.IMAGE), dtype)
    y = np.arange(BATCH) % 5
    return trained(built, CrossEntropyLoss(), SGD(0.1, momentum=0.5), x, y)


def small(dtype: str, threads: int, **penalties: Any) -> Model:
    """Return a net with most kinds of sums in it."""
    return Model(
        [
            Conv2d(3, 21, 3, padding=1, regularizer=penalties.get("conv"), name="conv1"),
            BatchNorm2d(21),
            ReLU(),
            Conv2d(21, 19, 3, stride=2, regularizer=penalties.get("inner"), name="conv2"),
            Tanh(),
            Flatten(),
            Dense(19 * 4 * 4, 37, regularizer=penalties.get("dense"), name="fc1"),
            Sigmoid(),
            Dense(37, 7, name="fc2"),
        ],
        input_shape=(3, 9, 10),
        seed=3,
        device="cpu",
        dtype=dtype,
        threads=threads,
    )


def of_optimizer(optimizer: Callable[[], Optimizer], dtype: str, threads: int) -> Hashes:
    """Train the small net."""
    x, y = numbers(4, (9, 3, 9, 10), dtype), np.arange(9) % 7
    return trained(small(dtype, threads), CrossEntropyLoss(), optimizer(), x, y, steps=5)


def regularized(kind: Any, dtype: str, threads: int) -> Hashes:
    """Train the small net with penalties on a kernel of each layout."""
    model = small(dtype, threads, conv=kind(0.01), inner=kind(0.002), dense=kind(0.003))
    x, y = numbers(5, (9, 3, 9, 10), dtype), np.arange(9) % 7
    return trained(model, CrossEntropyLoss(), SGD(0.1), x, y)


def of_loss(name: str, dtype: str, threads: int) -> Hashes:
    """Train one dense layer, or a convolution where each pixel is an item, with a loss."""
    loss, kind = LOSSES[name]
    if kind == "pixels":
        model = Model(
            [Conv2d(3, 6, 3, name="conv")],
            input_shape=(3, 7, 9), seed=4, device="cpu", dtype=dtype, threads=threads,
        )  # fmt: skip
        x, y = 4 * numbers(6, (4, 3, 7, 9), dtype), np.arange(4 * 5 * 7).reshape(4, 5, 7) % 6
    else:
        model = Model(
            [Dense(11, 6, name="fc")],
            input_shape=(11,), seed=4, device="cpu", dtype=dtype, threads=threads,
        )  # fmt: skip
        x, y = 4 * numbers(7, (23, 11), dtype), np.arange(23) % 6
        if kind == "ignored":
            y = np.where(np.arange(23) % 4 == 0, -100, y)
        elif kind == "shares":
            y = np.abs(numbers(8, (23, 6), dtype))
    return trained(model, loss(), SGD(0.3), x, y)


def dropped(dtype: str, threads: int) -> Hashes:
    """Train with dropout on images and on features, one layer used twice."""
    x = Input((3, 6, 5))
    twice = Dropout(0.3, name="drop")
    a = twice(ReLU()(Conv2d(3, 8, 3, padding=1, name="conv")(x)))
    b = twice(Conv2d(8, 8, 1, name="mix")(a))
    y = Dense(240, 6, name="fc")(Dropout(0.5)(Flatten()(Add()(a, b))))
    model = Model(inputs=x, outputs=y, seed=7, device="cpu", dtype=dtype, threads=threads)
    data = numbers(9, (8, 3, 6, 5), dtype)
    return trained(model, CrossEntropyLoss(), SGD(0.1), data, np.arange(8) % 6, steps=4)


def of_net(name: str, shape: tuple[int, ...], convolution: str, steps: int, threads: int) -> Hashes:
    """Train a ready net, whose rows are worth sharing between threads."""
    rng, batch = np.random.default_rng(0), 8
    x, y = rng.random((2 * batch, *shape), dtype=np.float32), rng.integers(0, 10, 2 * batch)
    model = zoo.build(name, seed=0, device="cpu", threads=threads)
    optimizer = SGD(0.05, momentum=0.9) if name == "lenet5" else Adam(1e-3)
    scheduler = Scheduler(model, CrossEntropyLoss(), optimizer, convolution=convolution)
    loader = DataLoader(Dataset(x, y), batch_size=batch, shuffle=True, seed=0)
    history = scheduler.fit(loader, steps=steps)
    return hashes(scheduler, x, history.loss)


def initialized(dtype: str, threads: int) -> Hashes:
    """Return the hashes of first values, from every rule that there is."""
    rules = [getattr(initializers, name) for name in INITIALIZERS]
    layers = [Conv2d(3, 3, 3, padding=1, initializer=rule()) for rule in rules[1:]]
    wide = Conv2d(3, 4000, 1, initializer=rules[0]())
    model = Model(
        [*layers, wide],
        input_shape=(3, 4, 4), seed=8, device="cpu", dtype=dtype, threads=threads,
    )  # fmt: skip
    x = numbers(10, (2, 3, 4, 4), dtype)
    return {
        "parameters": digest(p.value for p in model.parameters.values()),
        "outputs": digest([model(x)]),
    }


INITIALIZERS = ("HeNormal", "HeUniform", "GlorotNormal", "GlorotUniform", "Normal", "Uniform")
"""The first one fills a tensor so large that some numbers come from the normal curve's tail."""
OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "sgd": lambda: SGD(0.1),
    "sgd nesterov with decay": lambda: SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda: Adam(0.01),
    "adam with decay": lambda: Adam(0.01, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.01),
    "adamw": lambda: AdamW(0.01, weight_decay=0.1),
    "cosine": lambda: SGD(WarmUp(2, CosineDecay(0.2, steps=7, end=0.01)), momentum=0.5),
    "exponential": lambda: Adam(ExponentialDecay(0.01, factor=0.7, every=3)),
    "steps": lambda: SGD(StepDecay(0.1, every=2, factor=0.3)),
}
LOSSES: dict[str, tuple[Callable[[], Loss], str]] = {
    "cross-entropy": (CrossEntropyLoss, "labels"),
    "cross-entropy, sum": (lambda: CrossEntropyLoss(reduction="sum"), "labels"),
    "cross-entropy of pixels": (CrossEntropyLoss, "pixels"),
    "cross-entropy of shares": (CrossEntropyLoss, "shares"),
    "cross-entropy, weighted and smoothed": (
        lambda: CrossEntropyLoss(weight=[1, 2, 0.5, 3, 1, 0.25], label_smoothing=0.1),
        "ignored",
    ),
    "mean squared error": (MSELoss, "shares"),
    "binary cross-entropy": (BCEWithLogitsLoss, "shares"),
    "binary cross-entropy, weighted": (
        lambda: BCEWithLogitsLoss(pos_weight=[1, 2, 0.5, 3, 1, 0.25]),
        "shares",
    ),
}
NETS = {
    "lenet5": ((1, 28, 28), "direct", 6),
    "lenet5_bn": ((1, 28, 28), "direct", 4),
    "resnet20": ((3, 32, 32), "direct", 2),
    "vgg_small": ((3, 32, 32), "winograd", 1),
}


def _cases() -> dict[str, Callable[[int], Hashes]]:
    found: dict[str, Callable[[int], Hashes]] = {}

    def add(name: str, function: Callable[..., Hashes], *arguments: Any) -> None:
        found[name] = lambda threads: function(*arguments, threads)

    for dtype in ("float32", "float64"):
        for name in gallery.LAYERS:
            add(f"{name}, {dtype}", of_form, name, dtype)
        add(f"initialisers, {dtype}", initialized, dtype)
        add(f"branching, {dtype}", branching, dtype)
        add(f"dropout of a layer used twice, {dtype}", dropped, dtype)
        for kind in (L1, L2):
            add(f"penalty {kind.__name__}, {dtype}", regularized, kind, dtype)
        for name, optimizer in OPTIMIZERS.items():
            add(f"optimiser {name}, {dtype}", of_optimizer, optimizer, dtype)
        for name in LOSSES:
            add(f"loss {name}, {dtype}", of_loss, name, dtype)
    for name, (shape, convolution, steps) in NETS.items():
        add(f"net {name}", of_net, name, shape, convolution, steps)
    return found


CASES = _cases()


def recorded() -> dict[str, Hashes]:
    """Return the hashes that are to come out."""
    read: dict[str, Hashes] = json.loads(FILE.read_text(encoding="utf-8"))
    return read


def main(arguments: list[str] | None = None) -> int:
    """Print, compare or record the hashes; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[2])
    parser.add_argument("--only", default="")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", choices=["new", "moved"])
    chosen = parser.parse_args(arguments)
    names = [name for name in CASES if chosen.only in name]
    found = {threads: {name: CASES[name](threads) for name in names} for threads in chosen.threads}
    if chosen.record:
        now, then = found[chosen.threads[0]], recorded()
        both = {**now, **then} if chosen.record == "new" else {**then, **now}
        kept = {name: both[name] for name in CASES if name in both}
        FILE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        return 0
    if chosen.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    known, wrong = recorded(), 0
    for threads, cases in found.items():
        for name, now in cases.items():
            then = known.get(name, {})
            moved = [part for part, value in now.items() if then.get(part) != value]
            wrong += bool(moved)
            verdict = f"NOT as recorded: {', '.join(moved)}" if moved else "as recorded"
            verdict = verdict if then else "not recorded yet"
            sys.stdout.write(f"{threads} {name:44} {' '.join(now.values())} {verdict}\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
