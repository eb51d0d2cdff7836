"""Bad input: one clear EngineError each, with the place, what was expected and what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from engine import Input, Model, Scheduler, load
from engine.data import DataLoader, Dataset
from engine.debug import Session
from engine.errors import (
    ConfigurationError,
    DataError,
    DtypeError,
    EngineError,
    FormatError,
    ShapeError,
    StateError,
    UnknownName,
)
from engine.layers import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    ReLU,
    Softmax,
)
from engine.losses import CrossEntropyLoss, MSELoss
from engine.optimizers import SGD, Adam, AdamW
from engine.schedules import CosineDecay


class Bad(NamedTuple):
    """A call that must fail: its error class and the words that must stand in the text."""

    call: Callable[[], Any]
    error: type[EngineError]
    words: tuple[str, ...]


def model(*layers: Any, shape: tuple[int, ...] = (1, 8, 8), **options: Any) -> Model:
    return Model(list(layers), input_shape=shape, device="cpu", **options)


def small() -> Model:
    return model(Conv2d(1, 2, 3, name="conv"), Flatten(), Dense(72, 3, name="logits"))


def images(count: int = 4) -> Any:
    return np.zeros((count, 1, 8, 8), np.float32)


def scheduler() -> Scheduler:
    return Scheduler(small(), CrossEntropyLoss(), SGD(learning_rate=0.1))


def spoilt() -> Any:
    x = images()
    x[2, 0, 3, 4] = np.nan
    return x


def fit(x: Any, y: Any) -> Any:
    return scheduler().fit(DataLoader(Dataset(x, y), batch_size=2), epochs=1)


def session() -> Session:
    return Session(small(), images())


def branches(layer: Any, *shapes: tuple[int, ...]) -> Model:
    inputs = [Input(shape) for shape in shapes]
    return Model(inputs=inputs, outputs=layer(*inputs), device="cpu")


LABELS = np.array([0, 1, 2, 0])

SHAPES = {
    "channels of a convolution": Bad(
        lambda: model(Conv2d(1, 6, 3, name="a"), Conv2d(1, 4, 3, name="b")),
        ShapeError,
        ("b", "a", "1 input channel", "6"),
    ),
    "features of a dense layer": Bad(
        lambda: model(Flatten(), Dense(63, 10, name="logits")), ShapeError, ("logits", "63", "64")
    ),
    "kernel larger than the image": Bad(
        lambda: model(Conv2d(1, 1, 9, name="conv")), ShapeError, ("conv", "9", "8")
    ),
    "dilated kernel larger than the image": Bad(
        lambda: model(Conv2d(1, 1, 4, dilation=3, name="conv")), ShapeError, ("conv", "10", "8")
    ),
    "pool larger than the image": Bad(
        lambda: model(MaxPool2d(9, name="pool")), ShapeError, ("pool", "9", "8")
    ),
    "a dilated pool that sees only padding": Bad(
        lambda: model(MaxPool2d(2, padding=1, dilation=2, name="pool"), shape=(1, 1, 4)),
        ShapeError,
        ("pool", "1x4", "padding"),
    ),
    "channels of a batch norm": Bad(
        lambda: model(BatchNorm2d(3, name="bn")), ShapeError, ("bn", "3", "1")
    ),
    "a convolution after flatten": Bad(
        lambda: model(Flatten(), Conv2d(1, 1, 3, name="conv")), ShapeError, ("conv", "64")
    ),
    "a pool after flatten": Bad(
        lambda: model(Flatten(), AvgPool2d(2, name="pool")), ShapeError, ("pool", "64")
    ),
    "summands of different shapes": Bad(
        lambda: branches(Add(name="sum"), (2, 4, 4), (2, 4, 5)), ShapeError, ("sum", "4", "5")
    ),
    "parts that do not fit side by side": Bad(
        lambda: branches(Concat(name="cat"), (2, 4, 4), (3, 4, 5)), ShapeError, ("cat", "4", "5")
    ),
    "a softmax over a missing axis": Bad(
        lambda: model(Softmax(axis=4, name="soft")), EngineError, ("soft", "4")
    ),
    "an image without batch axis": Bad(
        lambda: small()(images()[0]), ShapeError, ("input", "(n, 1, 8, 8)", "(1, 8, 8)")
    ),
    "an image of another size": Bad(
        lambda: small()(np.zeros((2, 1, 8, 7), np.float32)),
        ShapeError,
        ("input", "(n, 1, 8, 8)", "(2, 1, 8, 7)"),
    ),
    "an empty batch": Bad(lambda: small().activations(images(0), ["conv"]), DataError, ("sample",)),
    "an empty batch in training": Bad(
        lambda: scheduler().step(images(0), LABELS[:0]), DataError, ("sample",)
    ),
    "a gradient of the wrong shape": Bad(
        lambda: small().gradients(images(), np.zeros((4, 4), np.float32)),
        ShapeError,
        ("(4, 3)", "(4, 4)"),
    ),
    "a weight of the wrong shape": Bad(
        lambda: setattr(small()["conv"].weight, "value", np.zeros((2, 1, 3, 4))),
        ShapeError,
        ("conv.weight", "(2, 1, 3, 3)", "(2, 1, 3, 4)"),
    ),
    "a training batch of another size": Bad(
        lambda: scheduler().step(np.zeros((2, 1, 9, 8), np.float32), LABELS[:2]),
        ShapeError,
        ("(n, 1, 8, 8)", "(2, 1, 9, 8)"),
    ),
    "fewer labels than images": Bad(
        lambda: scheduler().step(images(), LABELS[:3]), EngineError, ("4", "3")
    ),
    "too few inputs": Bad(
        lambda: branches(Add(), (2,), (2,))(np.zeros((1, 2), np.float32)), EngineError, ("2", "1")
    ),
}

DATA = {
    "a label too large": Bad(
        lambda: fit(images(), np.array([0, 1, 3, 0])), DataError, ("3", "label")
    ),
    "a negative label": Bad(
        lambda: fit(images(), np.array([0, 1, -1, 0])), DataError, ("-1", "label")
    ),
    "a label too large in evaluate": Bad(
        lambda: scheduler().evaluate(Dataset(images(), np.array([0, 1, 3, 0]))),
        DataError,
        ("3",),
    ),
    "NaN pixels in fit": Bad(lambda: fit(spoilt(), LABELS), DataError, ("NaN", "2", "(0, 3, 4)")),
    "infinite pixels in fit": Bad(
        lambda: fit(images() + np.float32(np.inf), LABELS), DataError, ("inf",)
    ),
    "an empty set": Bad(lambda: fit(images(0), LABELS[:0]), DataError, ("empty", "sample")),
    "an empty set in evaluate": Bad(
        lambda: scheduler().evaluate(Dataset(images(0), LABELS[:0])), DataError, ("sample",)
    ),
    "images and labels of different number": Bad(
        lambda: Dataset(images(), LABELS[:3]), EngineError, ("4", "3")
    ),
    "labels that are fractions": Bad(
        lambda: fit(images(), np.array([0.0, 0.5, 1.0, 2.0])), EngineError, ("float",)
    ),
    "labels that are words": Bad(
        lambda: scheduler().step(images(), np.array(["a", "b", "c", "d"])),
        EngineError,
        ("whole-number",),
    ),
    "images that are complex": Bad(
        lambda: small()(images().astype(complex)), DtypeError, ("complex",)
    ),
    "images that are objects": Bad(
        lambda: small()(images().astype(object)), DtypeError, ("object",)
    ),
    "images that are a ragged list": Bad(lambda: small()([[1.0, 2.0], [3.0]]), EngineError, ()),
    "a weight that is text": Bad(
        lambda: setattr(small()["conv"].weight, "value", np.full((2, 1, 3, 3), "x")),
        DtypeError,
        ("conv.weight", "numbers"),
    ),
    "a loader that drops everything": Bad(
        lambda: scheduler().fit(
            DataLoader(Dataset(images(), LABELS), batch_size=5, drop_last=True), epochs=1
        ),
        EngineError,
        ("5", "4"),
    ),
}

SETTINGS = {
    "no channels": Bad(lambda: Conv2d(0, 1, 3), ConfigurationError, ("in_channels", "0")),
    "no kernel": Bad(lambda: Conv2d(1, 1, 0), ConfigurationError, ("kernel_size", "0")),
    "half a kernel": Bad(lambda: Conv2d(1, 1, 2.5), EngineError, ("kernel_size", "2.5")),  # type: ignore[arg-type, unused-ignore]
    "no stride": Bad(lambda: Conv2d(1, 1, 3, stride=0), ConfigurationError, ("stride", "0")),
    "negative padding": Bad(
        lambda: Conv2d(1, 1, 3, padding=-1), ConfigurationError, ("padding", "-1")
    ),
    "padding of three numbers": Bad(
        lambda: Conv2d(1, 1, 3, padding=(1, 2, 3)),  # type: ignore[arg-type, unused-ignore]
        ConfigurationError,
        ("padding", "(1, 2, 3)"),
    ),
    "an unknown padding": Bad(
        lambda: Conv2d(1, 1, 3, padding="full"),
        ConfigurationError,
        ("padding", "full", "same", "valid"),
    ),
    "no dilation": Bad(lambda: Conv2d(1, 1, 3, dilation=0), ConfigurationError, ("dilation", "0")),
    "groups that do not divide": Bad(
        lambda: Conv2d(6, 4, 3, groups=4), ConfigurationError, ("groups", "6", "4")
    ),
    "a pool's padding over half its kernel": Bad(
        lambda: model(MaxPool2d(2, padding=2, name="pool")), EngineError, ("pool", "padding", "2")
    ),
    "no features": Bad(lambda: Dense(3, 0), ConfigurationError, ("0",)),
    "dropping more than everything": Bad(lambda: Dropout(1.5), ConfigurationError, ("p", "1.5")),
    "dropping less than nothing": Bad(lambda: Dropout(-0.1), ConfigurationError, ("-0.1",)),
    "batch norm with a negative epsilon": Bad(
        lambda: BatchNorm2d(2, eps=-1.0), ConfigurationError, ("eps", "-1.0")
    ),
    "batch norm with momentum 2": Bad(
        lambda: BatchNorm2d(2, momentum=2.0), ConfigurationError, ("momentum", "2.0")
    ),
    "an adaptive pool of nothing": Bad(lambda: AdaptiveAvgPool2d(0), ConfigurationError, ("0",)),
    "a softmax over the batch": Bad(
        lambda: model(Softmax(axis=0, name="soft")), ConfigurationError, ("soft", "axis", "0")
    ),
    "two layers of one name": Bad(
        lambda: model(ReLU(name="act"), ReLU(name="act")), ConfigurationError, ("act",)
    ),
    "a model of nothing": Bad(lambda: model(), ConfigurationError, ("layer",)),
    "a model without input shape": Bad(
        lambda: Model([ReLU()]), ConfigurationError, ("input_shape",)
    ),
    "an input of size zero": Bad(
        lambda: model(ReLU(), shape=(1, 0, 8)), EngineError, ("(1, 0, 8)",)
    ),
    "an unknown device": Bad(
        lambda: Model([ReLU()], input_shape=(2,), device="tpu"), ConfigurationError, ("tpu", "cpu")
    ),
    "an unknown dtype": Bad(
        lambda: model(ReLU(), dtype="float16"), EngineError, ("float16", "float32", "float64")
    ),
    "a negative seed": Bad(lambda: model(ReLU(), seed=-1), ConfigurationError, ("seed", "-1")),
    "a learning rate below zero": Bad(
        lambda: SGD(learning_rate=-0.1), ConfigurationError, ("learning_rate", "-0.1")
    ),
    "a learning rate that is no number": Bad(
        lambda: SGD(learning_rate=float("nan")), ConfigurationError, ("learning_rate", "nan")
    ),
    "a momentum of one": Bad(
        lambda: SGD(learning_rate=0.1, momentum=1.0), ConfigurationError, ("momentum", "1.0")
    ),
    "Nesterov without momentum": Bad(
        lambda: SGD(learning_rate=0.1, nesterov=True), ConfigurationError, ("momentum",)
    ),
    "a negative decay": Bad(
        lambda: AdamW(learning_rate=0.1, weight_decay=-1.0), ConfigurationError, ("-1.0",)
    ),
    "a beta of one": Bad(
        lambda: Adam(learning_rate=0.1, betas=(0.9, 1.0)), ConfigurationError, ("beta", "1.0")
    ),
    "a schedule of no steps": Bad(
        lambda: CosineDecay(0.1, steps=0), ConfigurationError, ("steps", "0")
    ),
    "a loader of empty batches": Bad(
        lambda: DataLoader(Dataset(images(), LABELS), batch_size=0),
        ConfigurationError,
        ("batch_size", "0"),
    ),
    "an unknown reduction": Bad(
        lambda: MSELoss(reduction="median"), ConfigurationError, ("median", "mean")
    ),
    "fewer than no epochs": Bad(
        lambda: scheduler().fit(DataLoader(Dataset(images(), LABELS), batch_size=2), epochs=-1),
        ConfigurationError,
        ("epochs", "-1"),
    ),
}

NAMES = {
    "an unknown layer": Bad(lambda: small()["conv9"], UnknownName, ("conv9", "conv", "logits")),
    "an unknown layer in activations": Bad(
        lambda: small().activations(images(), ["conv9"]), UnknownName, ("conv9", "logits")
    ),
    "an unknown state": Bad(
        lambda: model(BatchNorm2d(1, name="bn")).state["bn.mean"],
        UnknownName,
        ("bn.mean", "bn.running_mean"),
    ),
    "an unknown state to write": Bad(
        lambda: model(BatchNorm2d(1, name="bn")).state.__setitem__("bn.mean", np.zeros(1)),
        UnknownName,
        ("bn.mean", "bn.running_mean"),
    ),
    "an unknown tensor": Bad(lambda: session().read("conv9.output"), UnknownName, ("conv9",)),
    "an unknown layer to explain": Bad(
        lambda: session().explain(layer="conv9", index=(0, 0, 0, 0)), UnknownName, ("conv9",)
    ),
    "a breakpoint on an unknown layer": Bad(
        lambda: session().add_breakpoint(layer="conv9"), UnknownName, ("conv9", "conv")
    ),
    "a breakpoint in an unknown phase": Bad(
        lambda: session().add_breakpoint(phase="sideways"),
        EngineError,
        ("sideways", "forward", "backward"),
    ),
}


def after_forward() -> Session:
    found = session()
    found.resume()
    return found


MOMENTS = {
    "explaining what is not computed": Bad(
        lambda: session().explain(layer="conv", index=(0, 0, 0, 0)), StateError, ("conv",)
    ),
    "explaining a place outside": Bad(
        lambda: after_forward().explain(layer="conv", index=(0, 2, 0, 0)),
        EngineError,
        ("(0, 2, 0, 0)", "(4, 2, 6, 6)"),
    ),
    "explaining with too few numbers": Bad(
        lambda: after_forward().explain(layer="conv", index=(0, 1)), EngineError, ("(0, 1)",)
    ),
    "explaining an unknown tensor": Bad(
        lambda: after_forward().explain(layer="conv", index=(0,), tensor="colour"),
        EngineError,
        ("colour",),
    ),
    "a gradient in a forward-only session": Bad(
        lambda: after_forward().explain(layer="conv", index=(0, 0, 0, 0), tensor="weight.gradient"),
        EngineError,
        ("conv",),
    ),
    "a condition that is no expression": Bad(
        lambda: session().add_breakpoint(when="conv.output >"),
        ConfigurationError,
        ("conv.output >",),
    ),
    "a condition that calls": Bad(
        lambda: session().add_breakpoint(when="__import__('os').getcwd()"),
        ConfigurationError,
        ("__import__",),
    ),
    "a condition on an unknown tensor": Bad(
        lambda: session().add_breakpoint(when="conv9.output.max() > 1"), EngineError, ("conv9",)
    ),
    "a hit count of zero": Bad(
        lambda: session().add_breakpoint(layer="conv", hit_count=0), ConfigurationError, ("0",)
    ),
    "a session without images": Bad(lambda: Session(small(), images(0)), DataError, ("sample",)),
    "a sample outside the batch": Bad(lambda: setattr(session(), "sample", 4), EngineError, ("4",)),
    "a file that is not there": Bad(
        lambda: load("/nonexistent/run.safetensors"), FormatError, ("/nonexistent/run.safetensors",)
    ),
}

CASES = SHAPES | DATA | SETTINGS | NAMES | MOMENTS


def test_there_are_more_than_forty_cases() -> None:
    assert len(CASES) > 80
    assert len(CASES) == sum(map(len, (SHAPES, DATA, SETTINGS, NAMES, MOMENTS)))


@pytest.mark.parametrize("name", CASES)
def test_one_clear_error(name: str) -> None:
    bad = CASES[name]
    with pytest.raises(EngineError) as caught:
        bad.call()
    text = str(caught.value)
    assert isinstance(caught.value, bad.error), f"{type(caught.value).__name__}: {text}"
    assert type(caught.value) is not EngineError, "a subclass, so that it can be told apart"
    for word in bad.words:
        assert word.lower() in text.lower(), f"{word!r} is missing in: {text}"
    assert "\n" not in text
    assert 10 < len(text) < 400


def test_a_shape_error_names_the_number_that_would_fit() -> None:
    with pytest.raises(ShapeError, match=r"Conv2d\(6, 4"):
        model(Conv2d(1, 6, 3, name="a"), Conv2d(1, 4, 3, name="b"))
    with pytest.raises(ShapeError, match=r"Dense\(64, 10"):
        model(Flatten(), Dense(63, 10))
    with pytest.raises(ShapeError, match=r"BatchNorm2d\(1\b"):
        model(BatchNorm2d(3))


def test_an_error_in_fit_leaves_a_usable_scheduler() -> None:
    s = scheduler()
    before = s.model["conv"].weight.value.copy()
    with pytest.raises(DataError):
        s.step(images(), np.array([0, 1, 2, 3]))
    np.testing.assert_array_equal(s.model["conv"].weight.value, before)
    assert s.global_step == 0
    assert np.isfinite(s.step(images(), LABELS))
    assert s.global_step == 1
