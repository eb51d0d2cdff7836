"""Tiny trainings to be stepped through, and a picture of everything a session shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Model, Scheduler
from engine.data import DataLoader, Dataset
from engine.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    ReLU,
    Tanh,
)
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD

if TYPE_CHECKING:
    from engine.debug import Session

CLASSES = 3


def tiny_data(count: int = 10, size: int = 6, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 1, size, size)).astype(np.float32)
    return Dataset(x, rng.integers(0, CLASSES, count))


def tiny_model(dtype: str = "float32", seed: int = 0) -> Model:
    """One of each kind: padding, statistics, random masks, pooling, dense."""
    return Model(
        [
            Conv2d(1, 2, 3, padding=1, name="conv1"),
            BatchNorm2d(2, name="bn1"),
            ReLU(name="relu1"),
            MaxPool2d(2, name="pool1"),
            Dropout(0.25, name="drop1"),
            Conv2d(2, 3, 2, name="conv2"),
            Tanh(name="tanh1"),
            AvgPool2d(2, name="pool2"),
            Flatten(name="flatten1"),
            Dense(3, CLASSES, name="logits"),
        ],
        input_shape=(1, 6, 6),
        seed=seed,
        device="cpu",
        dtype=dtype,
    )


def tiny_scheduler(dtype: str = "float32", seed: int = 0, **options: Any) -> Scheduler:
    optimizer = options.pop("optimizer", None) or SGD(
        learning_rate=0.1, momentum=0.9, weight_decay=1e-3
    )
    loss = options.pop("loss", None) or CrossEntropyLoss()
    return Scheduler(tiny_model(dtype, seed), loss, optimizer, **options)


def tiny_loader(batch_size: int = 4, count: int = 10) -> DataLoader:
    """Batches of 4, 4 and 2: the last one is smaller."""
    return DataLoader(tiny_data(count), batch_size=batch_size, shuffle=True, seed=0)


def tiny_session(epochs: int = 1, dtype: str = "float32", **options: Any) -> Session:
    from engine.debug import Session

    return Session(tiny_scheduler(dtype, **options), loader=tiny_loader(), epochs=epochs)


def tensor_names(session: Session) -> list[str]:
    """List everything that `session.read` can be asked for."""
    trains = session.scheduler is not None
    names = ["input", *(["loss.output"] if trains else [])]
    for node in session.model.nodes:
        if node.inputs:
            names += [f"{node.name}.output", *([f"{node.name}.grad_output"] if trains else [])]
    for parameter in session.model.parameters:
        names += [parameter, *([f"{parameter}.gradient"] if trains else [])]
    return names


def picture(session: Session) -> dict[str, bytes | None]:
    """Return the bytes of all that can be read at the session's position."""
    found: dict[str, bytes | None] = {}
    for name in tensor_names(session):
        values = session.read(name)
        found[name] = None if values is None else np.asarray(values).tobytes()
    for name, parameter in session.model.parameters.items():
        found[f"model {name}"] = parameter.value.tobytes()
    for name in session.model.state:
        found[f"state {name}"] = np.asarray(session.model.state[name]).tobytes()
    if session.scheduler is not None:
        found["history"] = repr(session.scheduler.history).encode()
    return found


def differences(one: dict[str, bytes | None], other: dict[str, bytes | None]) -> list[str]:
    """Name what two pictures do not share, for a failure that can be read."""
    assert one.keys() == other.keys()
    return [name for name in one if one[name] != other[name]]
