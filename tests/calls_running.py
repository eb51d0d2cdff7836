"""Calls that run something: models, training, sessions, files, metrics; see `tests/calls.py`."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from engine import Input, Model, Scheduler, save
from engine.data import DataLoader, Dataset
from engine.debug import Breakpoint, Session
from engine.layers import BatchNorm2d, Conv2d, Dense, Flatten, ReLU
from engine.losses import CrossEntropyLoss, MSELoss
from engine.optimizers import SGD
from engine.zoo import BUILDERS, builder, digits_cnn
from tests.calls import (
    FLAG,
    LABELS,
    NUMPY,
    OPTIONAL,
    SCORES,
    SHARE,
    Call,
    arg,
    number,
    of,
    on,
    size,
)

# -- things that calls need -----------------------------------------------------------------------


def images(count: int = 4) -> Any:
    return np.random.default_rng(0).standard_normal((count, 1, 8, 8)).astype(np.float32)


@functools.cache
def model() -> Model:
    layers = [Conv2d(1, 2, 3, name="conv"), BatchNorm2d(2, name="bn"), ReLU(name="relu")]
    head = [Flatten(name="flat"), Dense(72, 3, name="logits")]
    return Model([*layers, *head], input_shape=(1, 8, 8), device="cpu", threads=1)


def fresh_model() -> Model:
    layers = [Conv2d(1, 2, 3, name="conv"), Flatten(), Dense(72, 3, name="logits")]
    return Model(layers, input_shape=(1, 8, 8), device="cpu", threads=1)


@functools.cache
def wide_model() -> Model:
    return Model([Dense(3, 2, name="fc")], input_shape=(3,), dtype="float64", threads=1)


@functools.cache
def scheduler() -> Scheduler:
    return Scheduler(fresh_model(), CrossEntropyLoss(), SGD(0.01))


@functools.cache
def dataset() -> Dataset:
    return Dataset(images(), LABELS)


@functools.cache
def loader() -> DataLoader:
    return DataLoader(dataset(), batch_size=2)


@functools.cache
def forward() -> Session:
    """Return a session at the end of a forward pass."""
    session = Session(model(), images())
    session.resume()
    return session


@functools.cache
def training() -> Session:
    """Return a session within a training run."""
    session = Session(Scheduler(fresh_model(), MSELoss(), SGD()), loader=wide_loader(), epochs=1)
    session.resume(batches=1)
    return session


@functools.cache
def wide_loader() -> DataLoader:
    return DataLoader(Dataset(images(), np.zeros((4, 3), np.float32)), batch_size=2)


def registering(function: Any) -> None:
    """Register a builder and forget it again."""
    kept = dict(BUILDERS)
    try:
        builder(function)
    finally:
        BUILDERS.clear()
        BUILDERS.update(kept)


@functools.cache
def folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="calls"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def inside(name: str) -> Path:
    return folder() / name


@functools.cache
def run_file() -> Path:
    return save(fresh_model(), inside("run.safetensors"))


# -- the table ------------------------------------------------------------------------------------

HUGE = "10**30"
TEXTS = ("text", "no text", "two lines", "zero byte", "long text")
SEED = arg(0, "0", *NUMPY, HUGE)
WHEN = arg("any_nonfinite", OPTIONAL, words=("condition", "tensor"))
NODE = Input(3)
BREAKPOINT = Breakpoint(1, "conv")
IMAGES = arg(images, words=("input",))
X = arg(images, words=("input",))
INDEX = arg((0, 0, 0, 0))
LAYER = arg("conv", words=("layer",))
LAYER_OR_NONE = arg("conv", OPTIONAL, words=("layer",))
SAMPLES = arg(dataset, words=("dataset",))
"""A list of two is a pair (x, y)."""

MODELS = dict(
    [
        of(
            "engine.model.Model",
            layers=arg(lambda: [ReLU()]),
            input_shape=size(3, "five"),
            seed=SEED,
            device=arg("cpu"),
            dtype=arg("float32"),
            threads=size(1, OPTIONAL),
            convolution=arg("direct"),
            inputs=arg(None, OPTIONAL),
            outputs=arg(None, OPTIONAL),
        ),
        of(
            "engine.model.Model of nodes",
            inputs=arg(lambda: NODE),
            outputs=arg(lambda: NODE),
        ),
        on("engine.model.Model.__call__", model, inputs=X),
        on("engine.model.Model.__getitem__", model, name=LAYER),
        on("engine.model.Model.node", model, name=LAYER),
        on(
            "engine.model.Model.activations",
            model,
            x=X,
            names=arg(["conv"], "[]", "()", "empty array", words=("layer",)),
            training=FLAG,
        ),
        on(
            "engine.model.Model.gradients",
            model,
            x=X,
            grad_output=arg(SCORES),
            training=FLAG,
        ),
        on(
            "engine.model.Model.convolution=",
            fresh_model,
            value=arg("direct"),
        ),
        on(
            "engine.model.Model.parameters.__getitem__",
            lambda: model().parameters,
            key=arg("conv.weight", words=("parameter",)),
        ),
        on(
            "engine.model.Model.layer_parameters.__getitem__",
            lambda: model()["conv"].parameters,
            key=arg("weight", words=("parameter",)),
        ),
        on(
            "engine.model.State.__getitem__",
            lambda: model().state,
            name=arg("bn.running_mean", words=("state",)),
        ),
        on(
            "engine.model.State.__setitem__",
            lambda: model().state,
            name=arg("bn.running_mean", words=("state",)),
            value=arg(np.zeros(2)),
        ),
        of(
            "engine.gradcheck.check_gradients",
            model=arg(wide_model),
            x=arg(np.ones((1, 3)), words=("input",)),
            seed=SEED,
            epsilon=arg(1e-6, "np 2", "np 0.5", "3.5", HUGE),
            training=FLAG,
        ),
        of(
            "engine.receptive_field.box_of",
            field=arg(None, OPTIONAL),
            index=arg((0, 0), "[]", "()", "five", "empty array"),
            image=arg((1, 8, 8), "five"),
        ),
        of("engine.receptive_field.size_text", field=arg(None, OPTIONAL)),
        of("engine.summary.rows", model=arg(model)),
        of("engine.summary.table", model=arg(model)),
        of("engine.zoo.build", name=arg("digits_cnn", words=("model",))),
        of("engine.zoo.describe", name=arg("digits_cnn", words=("model",))),
        (
            "engine.zoo.builder",
            Call(lambda: registering, {"function": arg(lambda: digits_cnn, "function")}),
        ),
        *(
            of(f"engine.zoo.{name}", input_shape=arg((3, 16, 16)), classes=size(3))
            for name in ("digits_cnn", "lenet5", "lenet5_bn", "resnet20", "vgg_small")
        ),
        of("engine.device.backend_for", device=arg("cpu"), threads=size(1, OPTIONAL)),
        of("engine.random.check_seed", seed=SEED),
        of("engine.random.generator", seed=SEED, consumer=arg("a", *TEXTS)),
    ]
)
TRAINING = dict(
    [
        of(
            "engine.scheduler.Scheduler",
            model=arg(model),
            loss=arg(lambda: CrossEntropyLoss()),
            optimizer=arg(lambda: SGD()),
            convolution=arg("direct", OPTIONAL),
        ),
        on(
            "engine.scheduler.Scheduler.loss=",
            scheduler,
            value=arg(lambda: CrossEntropyLoss()),
        ),
        on("engine.scheduler.Scheduler.optimizer=", scheduler, value=arg(lambda: SGD())),
        of(
            "engine.scheduler.EarlyStopping",
            patience=size(3),
            min_delta=number(0.1),
            restore_best=FLAG,
        ),
        on("engine.scheduler.Scheduler.step", scheduler, x=X, y=arg(LABELS)),
        on(
            "engine.scheduler.Scheduler.fit",
            scheduler,
            data=SAMPLES,
            targets=arg(None, OPTIONAL),
            epochs=arg(1, OPTIONAL, "0", *NUMPY),
            steps=arg(None, OPTIONAL),
            validation=SAMPLES._replace(takes=frozenset({OPTIONAL})),
            early_stopping=arg(None, OPTIONAL),
            batch_size=size(2),
            callbacks=arg((), "[]", "()", "function", "class", "empty array"),
        ),
        on(
            "engine.scheduler.Scheduler.evaluate",
            scheduler,
            data=SAMPLES,
            targets=arg(None, OPTIONAL),
        ),
        on("engine.scheduler.Scheduler.predict", scheduler, inputs=X),
        on(
            "engine.scheduler.Scheduler.listen",
            scheduler,
            listener=arg(lambda: print, "function", "class"),
        ),
    ]
)

DEBUG = dict(
    [
        of("engine.debug.Session", target=arg(model), images=IMAGES),
        of(
            "engine.debug.Session in training",
            target=arg(lambda: Scheduler(fresh_model(), CrossEntropyLoss(), SGD())),
            loader=arg(loader),
            epochs=size(1),
        ),
        on(
            "engine.debug.Session.add_breakpoint",
            forward,
            layer=arg("conv", OPTIONAL),
            phase=arg("forward", OPTIONAL),
            when=WHEN,
            hit_count=size(1),
            enabled=FLAG,
        ),
        of(
            "engine.debug.Breakpoint",
            number=size(1, "0"),
            layer=arg("conv", OPTIONAL, *TEXTS),
            phase=arg("forward", OPTIONAL),
            when=WHEN._replace(takes=WHEN.takes | {"text"}),
            hit_count=size(1),
            enabled=FLAG,
            hits=size(1, "0"),
        ),
        on(
            "engine.debug.Session.remove_breakpoint",
            forward,
            breakpoint_=arg(BREAKPOINT, words=("Breakpoint",)),
        ),
        on("engine.debug.Session.resume", forward, batches=size(1, OPTIONAL)),
        on("engine.debug.Session.resume in training", training, batches=size(1, OPTIONAL)),
        on("engine.debug.Session.run_to", forward, position=arg(lambda: forward().position)),
        on(
            "engine.debug.Session.pick",
            forward,
            layer=LAYER_OR_NONE,
            index=INDEX,
        ),
        on("engine.debug.Session.sample=", forward, value=size(1, "0")),
        on("engine.debug.Session.read", forward, name=arg("conv.output", words=("tensor",))),
        on(
            "engine.debug.Session.is_computed",
            forward,
            name=arg("conv.output", words=("tensor",)),
            inside=FLAG,
        ),
        on("engine.debug.Session.join", forward, since=size(0, "0")),
        on("engine.debug.Session.figure", forward, name=arg("loss", words=("tensor",))),
        on(
            "engine.debug.Session.explain",
            forward,
            layer=LAYER,
            index=INDEX,
            tensor=arg("output"),
        ),
        on("engine.debug.Session.receptive_field", forward, layer=LAYER, index=INDEX),
        on("engine.debug.Session.record", forward, layer=LAYER, phase=arg("forward")),
        on("engine.debug.Session.operation", forward, position=arg(None, OPTIONAL)),
        on("engine.debug.Session.replace_images", forward, images=IMAGES),
    ]
)

MISSING = ("there is no such", "cannot be read", "cannot be written")
"""How an error speaks of a path that is a path, but of nothing."""

FILES = dict(
    [
        of(
            "engine.io.save",
            run=arg(fresh_model),
            path=arg(lambda: inside("saved"), "text", "two lines", words=MISSING),
        ),
        of(
            "engine.io.load",
            path=arg(run_file, words=MISSING),
            device=arg("cpu"),
            threads=size(1, OPTIONAL),
        ),
        of(
            "engine.io.export_onnx",
            model=arg(model),
            path=arg(lambda: inside("a.onnx"), "text", "two lines", words=MISSING),
            opset=arg(17),
            batch=size(2),
            record=arg(None, OPTIONAL),
        ),
    ]
)

METRIC = {
    "scores": arg(SCORES),
    "labels": arg(LABELS),
    "ignore_index": arg(-100, OPTIONAL, "-1", "0", *NUMPY),
}
METRICS = dict(
    [
        of("engine.metrics.predictions", scores=arg(SCORES)),
        of("engine.metrics.judge", **METRIC),
        of("engine.metrics.accuracy", **METRIC),
        of("engine.metrics.top_k_accuracy", **METRIC, k=size(2)),
        of("engine.metrics.confusion_matrix", **METRIC),
        of(
            "engine.metrics.per_class",
            **METRIC,
            names=arg(("a", "b", "c"), OPTIONAL),
            zero_division=number(0.5, "nan", *SHARE),
        ),
    ]
)
RUNNING = MODELS | TRAINING | DEBUG | FILES | METRICS
