"""Calls that run something: models, training, sessions, data, files; see `tests/calls.py`."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine import Input, Model, Scheduler, save
from engine.data import DataLoader, Dataset
from engine.data.transforms import Normalize, RandomCrop, RandomHorizontalFlip
from engine.debug import Breakpoint, Session
from engine.layers import BatchNorm2d, Conv2d, Dense, Flatten, ReLU
from engine.losses import CrossEntropyLoss, MSELoss
from engine.optimizers import SGD
from engine.zoo import BUILDERS, builder, digits_cnn
from tests.calls import FLAG, LABELS, NUMPY, OPTIONAL, SCORES, Call, arg, number, of, on, rng, size

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
WHICH = arg([0, 1], *NUMPY)
DRAWING = {"image": arg(lambda: images()[0]), "generator": arg(rng)}
PIXELS = arg(None, OPTIONAL)


@functools.cache
def files() -> dict[str, Path]:
    """Return one right file of every kind that is read."""
    made = {name: inside(name) for name in ("a.bin", "a.csv", "a.idx", "a.png", "a.npy", "a.npz")}
    made["a.bin"].write_bytes(bytes(3073))
    made["a.csv"].write_text("1,2,0\n3,4,1\n", encoding="utf-8")
    made["a.idx"].write_bytes(b"\0\0\x08\x03" + b"\0\0\0\2" * 3 + bytes(8))
    made["l.idx"] = inside("l.idx")
    made["l.idx"].write_bytes(b"\0\0\x08\x01\0\0\0\2\0\1")
    Image.new("L", (8, 8)).save(made["a.png"])
    np.save(made["a.npy"], np.zeros(3))
    np.savez(made["a.npz"], x=np.zeros(3))
    made["folder"] = inside("folder")
    for name in ("one", "two"):
        (made["folder"] / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(made["folder"] / name / "a.png")
    return made


def path(name: str) -> Any:
    return arg(lambda: files()[name], words=MISSING)


DATA = dict(
    [
        of(
            "engine.data.Dataset",
            x=arg(images),
            y=arg(LABELS),
            classes=arg(("a", "b", "c"), OPTIONAL, "five"),
            name=arg("it", "text", "no text", "two lines", "zero byte", "long text"),
        ),
        on("engine.data.Dataset.subset", dataset, which=WHICH),
        on("engine.data.Dataset.__getitem__", dataset, key=arg(0, *NUMPY, "-1", "[]")),
        of(
            "engine.data.DataLoader",
            dataset=arg(dataset),
            batch_size=size(2),
            shuffle=FLAG,
            drop_last=FLAG,
            seed=SEED,
            transform=arg((), "[]", "()", "function"),
        ),
        on("engine.data.DataLoader.batches", loader, epoch=size(1, "0"), start=size(1, "0")),
        on("engine.data.DataLoader.epoch_order", loader, epoch=size(1, "0")),
        on("engine.data.DataLoader.batch_indices", loader, epoch=size(1, "0"), number=arg(1, "0")),
        on("engine.data.DataLoader.batch", loader, epoch=size(1, "0"), number=arg(1, "0")),
        on(
            "engine.data.DataLoader.from_config",
            loader,
            dataset=arg(dataset),
            config=arg(lambda: loader().config()),
        ),
        of("engine.data.load_mnist_split", split=arg("test")),
        of(
            "engine.data.load_idx",
            images=path("a.idx"),
            labels=path("l.idx"),
            classes=arg(("a", "b"), OPTIONAL, "five"),
        ),
        of(
            "engine.data.transforms.RandomCrop",
            size=size(3),
            padding=size(1, "0"),
            fill=number(0.1, "np 2", "np 0.5", "3.5", "0", "-1", HUGE),
        ),
        of("engine.data.transforms.RandomHorizontalFlip", p=number(0.5, "np 0.5", "0")),
        of(
            "engine.data.transforms.Normalize",
            mean=number(0.5, "np 2", "np 0.5", "3.5", "0", "-1", HUGE, "five"),
            std=number(0.5, "np 2", "np 0.5", "3.5", HUGE, "five"),
        ),
        on("engine.data.transforms.RandomCrop.__call__", lambda: RandomCrop(3), **DRAWING),
        on(
            "engine.data.transforms.RandomHorizontalFlip.__call__",
            RandomHorizontalFlip,
            **DRAWING,
        ),
        on("engine.data.transforms.Normalize.__call__", lambda: Normalize(0.5, 0.5), **DRAWING),
        of("engine.data.transforms.to_config", transform=arg(RandomHorizontalFlip, "function")),
        of("engine.data.transforms.from_config", config=arg({"name": "RandomHorizontalFlip"})),
        of(
            "engine.data.readers.read_cifar",
            path=path("a.bin"),
            variant=arg("cifar10", OPTIONAL),
            coarse=FLAG,
        ),
        of(
            "engine.data.readers.read_csv",
            path=path("a.csv"),
            label=arg(-1, "-1", "0", *NUMPY),
            shape=arg(None, OPTIONAL),
            delimiter=arg(",", OPTIONAL),
            header=arg(False, OPTIONAL),
        ),
        of("engine.data.readers.read_idx", path=path("a.idx")),
        of("engine.data.readers.read_npy", path=path("a.npy")),
        of("engine.data.readers.read_npz", path=path("a.npz")),
        of(
            "engine.data.readers.read_image",
            path=path("a.png"),
            channels=arg(1, OPTIONAL),
            size=arg(None, OPTIONAL),
        ),
        of(
            "engine.data.readers.read_image_folder",
            path=path("folder"),
            size=arg(None, OPTIONAL),
            channels=arg(1, OPTIONAL),
        ),
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
        ),
    ]
)

METRIC = {"scores": arg(SCORES), "labels": arg(LABELS)}
METRICS = dict(
    [
        of("engine.metrics.predictions", scores=arg(SCORES)),
        of("engine.metrics.accuracy", **METRIC),
        of("engine.metrics.top_k_accuracy", **METRIC, k=size(2)),
        of("engine.metrics.confusion_matrix", **METRIC),
    ]
)
RUNNING = MODELS | TRAINING | DEBUG | DATA | METRICS
