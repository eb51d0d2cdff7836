"""The runs whose files lie in `fixtures`: how each was made, and how it goes on.

Data come from whole-number arithmetic alone, so that they are the same for every version of NumPy.
A case is never changed once its file exists; a new feature gets a new case and a new file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine import Input, Model, Scheduler
from engine.data import DataLoader, Dataset
from engine.layers import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    ReLU,
)
from engine.losses import CrossEntropyLoss, MSELoss
from engine.optimizers import SGD, Adam, AdamW
from engine.regularizers import L2
from engine.schedules import CosineDecay, StepDecay
from engine.zoo import build

FOLDER = Path(__file__).parent / "fixtures"
CLASSES = 3


def numbers(shape: tuple[int, ...], salt: int) -> np.ndarray:
    """Return numbers in [-1, 1) that look random, from Knuth's multiplicative hash."""
    count = int(np.prod(shape))
    mixed = (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(2654435761 + 2 * salt)) >> 7
    mixed = (mixed ^ (mixed >> np.uint64(11))) * np.uint64(2246822519) & np.uint64(0xFFFFFF)
    return (mixed.astype(np.float64) / 2**23 - 1).astype(np.float32).reshape(shape)


def data(count: int = 22, size: int = 6, salt: int = 1) -> Dataset:
    """Return small pictures whose class is the brightest of three bands."""
    x = numbers((count, 1, size, size), salt)
    y = x[:, 0].reshape(count, CLASSES, -1).sum(axis=2).argmax(axis=1)
    return Dataset(x, y.astype(np.int64))


def loader(batch_size: int = 6, **options: Any) -> DataLoader:
    """Return batches of 6, 6, 6 and 4."""
    return DataLoader(data(), batch_size=batch_size, shuffle=True, seed=5, **options)


def layers(norm: bool = False, dropout: bool = False, **conv: Any) -> list[Any]:
    """Return the layers of a net for pictures of 6 x 6."""
    chain: list[Any] = [Conv2d(1, 4, 3, padding=1, name="conv1", **conv)]
    if norm:
        chain.append(BatchNorm2d(4, name="bn1"))
    chain += [ReLU(name="relu1"), MaxPool2d(2, name="pool1")]
    chain += [Conv2d(4, 5, 3, padding=1, name="conv2"), ReLU(name="relu2")]
    if dropout:
        chain.append(Dropout(0.3, name="drop1"))
    chain += [AvgPool2d(3, name="pool2"), Flatten(name="flatten"), Dense(5, CLASSES, name="logits")]
    return chain


def net(dtype: str = "float32", convolution: str = "direct", **options: Any) -> Model:
    """Return a small convolutional net."""
    return Model(
        layers(**options),
        input_shape=(1, 6, 6),
        seed=3,
        device="cpu",
        dtype=dtype,
        convolution=convolution,
    )


def sgd_in_the_middle_of_an_epoch() -> Scheduler:
    rate = CosineDecay(0.1, steps=20)
    run = Scheduler(net(), CrossEntropyLoss(), SGD(rate, momentum=0.9, nesterov=True))
    run.fit(loader(), steps=6)
    return run


def adam_with_batch_norm() -> Scheduler:
    rate = StepDecay(0.01, factor=0.5, every=3)
    run = Scheduler(net(norm=True), CrossEntropyLoss(label_smoothing=0.1), Adam(rate))
    run.fit(loader(), steps=5)
    return run


def adamw_with_l2() -> Scheduler:
    model = net(regularizer=L2(0.01))
    run = Scheduler(model, CrossEntropyLoss(), AdamW(0.01, betas=(0.8, 0.99), weight_decay=0.02))
    run.fit(loader(), epochs=1)
    return run


def frozen_layer() -> Scheduler:
    model = net()
    model["conv1"].trainable = False
    run = Scheduler(model, CrossEntropyLoss(), SGD(0.05, momentum=0.5, weight_decay=0.01))
    run.fit(loader(), steps=3)
    return run


def winograd() -> Scheduler:
    run = Scheduler(net(convolution="winograd2"), CrossEntropyLoss(), SGD(0.05, momentum=0.9))
    run.fit(loader(), steps=3)
    return run


def float64() -> Scheduler:
    run = Scheduler(net("float64", norm=True), CrossEntropyLoss(), Adam(0.01))
    run.fit(loader(), steps=3)
    return run


def dropout() -> Scheduler:
    run = Scheduler(net(dropout=True), CrossEntropyLoss(), SGD(0.05, momentum=0.9))
    run.fit(loader(), steps=3)
    return run


def history_with_validation() -> Scheduler:
    run = Scheduler(net(), CrossEntropyLoss(), SGD(0.05))
    run.fit(loader(), epochs=2, validation=data(9, salt=9))
    run.fit(loader(), steps=2, validation=data(9, salt=9))
    return run


def model_alone() -> Model:
    return net(norm=True)


def branches() -> Scheduler:
    """Two inputs, a layer that two places share, a sum, and values in place of classes."""
    a, b = Input((1, 6, 6), name="left"), Input((1, 6, 6), name="right")
    shared = Conv2d(1, 2, 3, name="shared")
    h = Flatten(name="flatten")(ReLU(name="relu")(Add(name="add")(shared(a), shared(b))))
    model = Model(inputs=[a, b], outputs=Dense(32, 2, name="out")(h), seed=3, device="cpu")
    run = Scheduler(model, MSELoss(), SGD(0.01, momentum=0.9))
    step_with_branches(run, 3)
    return run


def command_line_arrays() -> dict[str, np.ndarray]:
    """Return the arrays of the npz file that the run of the command line was trained with."""
    pixels = ((numbers((50, 8, 8), salt=31) + 1) * 127.5).astype(np.uint8)
    labels = pixels[:, :, :6].reshape(50, 8, CLASSES, 2).sum(axis=(1, 3)).argmax(axis=1)
    labels = labels.astype(np.uint8)
    return {
        "x_train": pixels[:40],
        "y_train": labels[:40],
        "x_test": pixels[40:],
        "y_test": labels[40:],
    }


def command_line_loader() -> DataLoader:
    """Return what ``convscope train --batch-size 16`` makes of these arrays."""
    arrays = command_line_arrays()
    x = np.divide(arrays["x_train"][:, np.newaxis], np.float32(255), dtype=np.float32)
    return DataLoader(Dataset(x, arrays["y_train"]), batch_size=16, shuffle=True, seed=0)


def command_line() -> Scheduler:
    """As ``convscope train --model digits_cnn --epochs 4`` that Ctrl-C ended after four steps."""
    model = build("digits_cnn", input_shape=(1, 8, 8), classes=CLASSES, seed=0, device="cpu")
    run = Scheduler(model, CrossEntropyLoss(), SGD(CosineDecay(0.05, steps=12), momentum=0.9))
    run.fit(command_line_loader(), steps=4)
    return run


def fit_as_command_line(run: Scheduler, steps: int) -> None:
    run.fit(command_line_loader(), steps=steps)


def fit_on(run: Scheduler, steps: int) -> None:
    run.fit(loader(), steps=steps)


def fit_with_validation(run: Scheduler, steps: int) -> None:
    run.fit(loader(), steps=steps, validation=data(9, salt=9))


def step_with_branches(run: Scheduler, steps: int) -> None:
    for _ in range(steps):
        x = numbers((2, 4, 1, 6, 6), salt=20 + run.global_step)
        run.step((x[0], x[1]), numbers((4, 2), salt=60 + run.global_step))


@dataclass(frozen=True)
class Case:
    """One file.

    Parameters
    ----------
    make : callable
        Returns the run as it was written.
    go_on : callable
        Makes so many more steps.
    steps : int
        How many of them lead to the recorded hash.
    """

    make: Callable[[], Any]
    go_on: Callable[[Scheduler, int], None] = fit_on
    steps: int = 7


CASES = {
    "sgd_in_the_middle_of_an_epoch": Case(sgd_in_the_middle_of_an_epoch),
    "adam_with_batch_norm": Case(adam_with_batch_norm),
    "adamw_with_l2": Case(adamw_with_l2),
    "frozen_layer": Case(frozen_layer),
    "winograd": Case(winograd),
    "float64": Case(float64),
    "dropout": Case(dropout),
    "history_with_validation": Case(history_with_validation, fit_with_validation),
    "model_alone": Case(model_alone),
    "branches": Case(branches, step_with_branches),
    "command_line": Case(command_line, fit_as_command_line, steps=8),
}


def weights_hash(model: Any) -> str:
    """Return a hash over names and bits of all parameters and running statistics."""
    digest = hashlib.sha256()
    arrays = {name: parameter.value for name, parameter in model.parameters.items()}
    arrays |= {name: np.asarray(model.state[name]) for name in model.state}
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
