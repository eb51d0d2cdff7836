"""Every public call with arguments that are right, and what else each argument takes.

`tests/unit/test_signatures.py` walks over it: it puts every value of `WRONG` in the place of every
argument. What is not named here as taken has to be refused, what is named has to be taken.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from engine import Input, Model
from engine.layers import Conv2d, Dense
from engine.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from engine.optimizers import SGD, Adam, AdamW
from engine.regularizers import L2
from engine.schedules import ConstantRate


class Silent:
    """An object that cannot even be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Anything:
    """A class that takes anything."""

    def __init__(self, *given: Any) -> None:
        self.given = given


def nothing(*given: Any) -> None:
    """Take anything and do nothing."""


WRONG: dict[str, Any] = {
    "None": None,
    "True": True,
    "-1": -1,
    "0": 0,
    "np 2": np.int64(2),
    "np 0.5": np.float32(0.5),
    "3.5": 3.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "-inf": float("-inf"),
    "10**30": 10**30,
    "10**5000": 10**5000,
    "1j": 1j,
    "text": "a",
    "no text": "",
    "two lines": "a\nb",
    "zero byte": "a\0b",
    "long text": "a." * 5000,
    "bytes": b"a",
    "[]": [],
    "()": (),
    "{}": {},
    "set": {1},
    "ragged": [[1, 2], [3]],
    "texts": ["a"],
    "nothings": [None],
    "five": (1, 2, 3, 4, 5),
    "object": object(),
    "class": Anything,
    "function": nothing,
    "silent": Silent(),
    "odd array": np.zeros((2, 3, 5)),
    "empty array": np.zeros(0),
    "0-d array": np.array(2.0),
    "text array": np.array(["a"]),
    "object array": np.array([None]),
    "bool array": np.array([True]),
}
"""What nobody should have to take, and a few things that look wrong and often are not."""


class Given(NamedTuple):
    """One argument: a right value, made afresh, and what of `WRONG` is right here too."""

    make: Callable[[], Any]
    takes: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    """What an error may call it besides its own name."""


class Call(NamedTuple):
    """A call: what is called, made afresh, and its arguments by name."""

    target: Callable[[], Any]
    arguments: dict[str, Given]


def arg(value: Any, *takes: str, words: tuple[str, ...] = ()) -> Given:
    """Return an argument whose right value may be shared; functions are called for it."""
    make = value if callable(value) and not isinstance(value, type) else lambda: value
    return Given(make, frozenset(takes), words)


# What arguments of a kind take out of `WRONG`.
NUMPY = ("np 2",)
NUMBER = ("np 2", "np 0.5", "3.5", "0", "-1", "10**30")
NOT_NEGATIVE = tuple(x for x in NUMBER if x != "-1")
ABOVE_ZERO = tuple(x for x in NOT_NEGATIVE if x != "0")
SHARE = ("np 0.5", "0")
ARRAYS = ("odd array", "empty array", "bool array", "0-d array")
NAME = arg("it", "None", "text")
"""A layer's name: None lets the model choose one."""


def size(value: int, *more: str) -> Given:
    return arg(value, *NUMPY, *more)


def number(value: float, *takes: str) -> Given:
    return arg(value, *(takes or NOT_NEGATIVE))


FLAG = arg(False, "True")

# -- the table ------------------------------------------------------------------------------------


def of(path: str, /, **arguments: Given) -> tuple[str, Call]:
    """Return a call of something that can be imported, ``"engine.layers.Conv2d"``."""
    return path, Call(lambda: found(path), arguments)


def on(path: str, owner: Callable[[], Any], /, **arguments: Given) -> tuple[str, Call]:
    """Return a call of a method; ``"engine.debug.Session.sample="`` assigns."""
    name = path.partition(" ")[0].rpartition(".")[2]
    if name.endswith("="):

        def target() -> Any:
            def assign(value: Any) -> None:
                setattr(owner(), name[:-1], value)

            return assign

        # An error speaks of the attribute; "value" is only what Python calls the argument.
        named = {key: one._replace(words=(name[:-1],)) for key, one in arguments.items()}
        return path, Call(target, named)
    return path, Call(lambda: getattr(owner(), name), arguments)


def found(path: str) -> Any:
    """Return what a path means; what follows a space tells two calls of one thing apart."""
    module, _, name = path.partition(" ")[0].rpartition(".")
    return getattr(importlib.import_module(module), name)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


BIAS = arg(False, "None", "True")
"""None: run files of version 1 have it for layers without bias."""
OPTIONAL = "None"
INITIALIZER = arg("he_normal", OPTIONAL)
PENALTY = arg(lambda: L2(0.1), OPTIONAL)
PADDING = arg("same", "0", *NUMPY)

PLAIN = ["ReLU", "Sigmoid", "Tanh", "HardSwish", "Flatten", "Add", "GlobalAvgPool2d"]
LAYERS = dict(
    [
        *(
            of(f"engine.layers.{kind}", name=NAME)
            for kind in [
                "ReLU",
                "Sigmoid",
                "Tanh",
                "HardSwish",
                "Flatten",
                "Add",
                "GlobalAvgPool2d",
            ]
        ),
        of("engine.layers.LeakyReLU", negative_slope=number(0.1, *NUMBER), name=NAME),
        of("engine.layers.Softmax", axis=arg(1, "-1", "0", *NUMPY), name=NAME),
        of("engine.layers.Concat", axis=arg(1, "-1", "0", *NUMPY), name=NAME),
        of("engine.layers.Dropout", p=number(0.5, *SHARE), name=NAME),
        of(
            "engine.layers.Conv2d",
            in_channels=size(4),
            out_channels=size(4),
            kernel_size=size(3),
            stride=size(1),
            padding=PADDING,
            dilation=size(1),
            groups=size(1),
            bias=BIAS,
            flip_kernel=FLAG,
            initializer=INITIALIZER,
            regularizer=PENALTY,
            name=NAME,
        ),
        of(
            "engine.layers.Dense",
            in_features=size(4),
            out_features=size(4),
            bias=BIAS,
            initializer=INITIALIZER,
            regularizer=PENALTY,
            name=NAME,
        ),
        of(
            "engine.layers.BatchNorm2d",
            channels=size(4),
            eps=number(1e-5),
            momentum=number(0.1, *SHARE),
            name=NAME,
        ),
        of(
            "engine.layers.MaxPool2d",
            kernel_size=size(3),
            stride=size(1, OPTIONAL),
            padding=PADDING,
            dilation=size(1),
            ceil_mode=FLAG,
            name=NAME,
        ),
        of(
            "engine.layers.AvgPool2d",
            kernel_size=size(3),
            stride=size(1, OPTIONAL),
            padding=PADDING,
            dilation=size(1),
            ceil_mode=FLAG,
            count_include_pad=FLAG,
            divisor_override=size(3, OPTIONAL),
            name=NAME,
        ),
        of("engine.layers.AdaptiveAvgPool2d", output_size=size(3), name=NAME),
        of("engine.layers.Input", shape=size(3, "five"), name=NAME),
        on(
            "engine.layers.Layer.__call__",
            lambda: Conv2d(1, 1, 3),
            inputs=arg(lambda: Input((1, 8, 8)), words=("nodes",)),
        ),
        on("engine.layers.Layer.trainable=", lambda: Conv2d(1, 1, 3), value=FLAG),
        on("engine.layers.Parameter.trainable=", lambda: Dense(1, 1).weight, value=FLAG),
        on("engine.layers.Parameter.regularizer=", lambda: Dense(1, 1).weight, value=PENALTY),
        on(
            "engine.layers.Parameter.value=",
            lambda: Model([Dense(3, 2, name="fc")], input_shape=(3,))["fc"].weight,
            value=arg(np.zeros((2, 3))),
        ),
    ]
)

REDUCTION = arg("mean")
LABELS = np.array([0, 1, 2, 0])
SCORES = np.zeros((4, 3), np.float32)
FACTORS = ("None", *NOT_NEGATIVE, "five", "odd array", "0-d array")

LOSSES = dict(
    [
        of(
            "engine.losses.CrossEntropyLoss",
            reduction=REDUCTION,
            weight=arg((1.0, 2.0), OPTIONAL, "five"),
            ignore_index=arg(-100, "-1", "0", *NUMPY),
            label_smoothing=number(0.1, *SHARE),
        ),
        of("engine.losses.MSELoss", reduction=REDUCTION),
        of(
            "engine.losses.BCEWithLogitsLoss",
            reduction=REDUCTION,
            weight=arg(2.0, *FACTORS),
            pos_weight=arg(np.ones(3), *FACTORS),
        ),
        *(
            on(
                f"engine.losses.{type(loss).__name__}.{method}",
                lambda loss=loss: loss,
                prediction=arg(SCORES, words=("target",)),
                target=arg(target),
            )
            for method in ("__call__", "gradient")
            for loss, target in (
                (CrossEntropyLoss(), LABELS),
                (MSELoss(), SCORES),
                (BCEWithLogitsLoss(), SCORES),
            )
        ),
    ]
)

RATE = arg(0.1, *NOT_NEGATIVE)
MOMENT = number(0.5, *SHARE)
ADAM = {
    "learning_rate": RATE,
    "betas": arg((0.9, 0.999)),
    "eps": number(1e-8),
    "weight_decay": number(0.1),
}
STEPS = size(3)

SETTINGS = dict(
    [
        of(
            "engine.optimizers.SGD",
            learning_rate=RATE,
            momentum=MOMENT,
            nesterov=FLAG,
            weight_decay=number(0.1),
        ),
        of("engine.optimizers.Adam", **ADAM),
        of("engine.optimizers.AdamW", **ADAM),
        on("engine.optimizers.SGD.rate", SGD, step=size(3, "0")),
        on("engine.optimizers.Adam.rate", Adam, step=size(3, "0")),
        on("engine.optimizers.AdamW.rate", AdamW, step=size(3, "0")),
        of("engine.regularizers.L1", strength=number(0.1)),
        of("engine.regularizers.L2", strength=number(0.1)),
        of("engine.schedules.ConstantRate", start=RATE),
        of("engine.schedules.StepDecay", start=RATE, every=STEPS, factor=number(0.1, *ABOVE_ZERO)),
        of(
            "engine.schedules.ExponentialDecay",
            start=RATE,
            factor=number(0.1, *ABOVE_ZERO),
            every=STEPS,
        ),
        of("engine.schedules.CosineDecay", start=RATE, steps=STEPS, end=RATE),
        of("engine.schedules.WarmUp", steps=STEPS, then=arg(lambda: ConstantRate(0.1))),
        *(
            on(
                f"engine.schedules.{kind}.__call__",
                lambda kind=kind, given=given: found(f"engine.schedules.{kind}")(*given),
                step=size(3, "0"),
            )
            for kind, given in {
                "ConstantRate": (0.1,),
                "StepDecay": (0.1, 3),
                "ExponentialDecay": (0.1, 0.9),
                "CosineDecay": (0.1, 9),
                "WarmUp": (3, ConstantRate(0.1)),
            }.items()
        ),
        of("engine.initializers.Normal", std=number(0.1), mean=number(0.1, *NUMBER)),
        of(
            "engine.initializers.Uniform",
            low=number(0.1, "0", "-1"),
            high=number(0.2, "np 0.5", "np 2", "3.5", "10**30"),
        ),
        of("engine.initializers.Constant", value=number(0.1, *NUMBER)),
        of("engine.initializers.fans", shape=arg((3, 2), "five")),
        *(
            of(f"engine.initializers.{kind}")
            for kind in ("HeNormal", "HeUniform", "GlorotNormal", "GlorotUniform", "Zeros", "Ones")
        ),
        *(
            on(
                f"engine.initializers.{kind}.__call__",
                lambda kind=kind: found(f"engine.initializers.{kind}")(),
                shape=arg((3, 2), "five"),
                generator=arg(rng),
            )
            for kind in (
                "HeNormal",
                "HeUniform",
                "GlorotNormal",
                "GlorotUniform",
                "Normal",
                "Uniform",
                "Constant",
                "Zeros",
                "Ones",
            )
        ),
    ]
)

CONSTRUCTORS = LAYERS | LOSSES | SETTINGS
