"""Calls of sets of data, loaders, transforms and readers; see `tests/calls.py`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine.data import Dataset
from engine.data.preparing import Preparation
from engine.data.readers import read_image
from engine.data.transforms import (
    Grey,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    Resize,
)
from tests.calls import (
    FLAG,
    LABELS,
    NUMPY,
    OPTIONAL,
    SCORES,
    WRONG,
    arg,
    number,
    of,
    on,
    rng,
    size,
)
from tests.calls_running import HUGE, MISSING, SEED, TEXTS, dataset, images, inside, loader

SEQUENCES = ("[]", "()", "empty array")
WHICH = arg([0, 1], *NUMPY)
GENERATOR = arg(rng)
PIXELS = arg(lambda: images()[0])
DRAWING = {"image": PIXELS._replace(takes=frozenset({"odd array"})), "generator": GENERATOR}
UNREAD = arg(None, *WRONG)
"""A generator that nothing is drawn from."""
TRANSFORM = arg(lambda: RandomHorizontalFlip(), "function")
CHAIN = arg(lambda: [RandomHorizontalFlip()], *SEQUENCES, "function", words=("transforms",))
CLASS_NAMES = arg(("a", "b", "c"), OPTIONAL, "five")
TITLE = arg("it", *TEXTS)
NOTES = arg(("a note",), *SEQUENCES, "texts", "text array")
TABLE_SIGN = arg(",", OPTIONAL)
PICTURE = {"channels": arg(1, OPTIONAL), "size": arg((4, 4), OPTIONAL)}
BUNDLED = arg("LICENSES.md", words=("missing",))


@functools.cache
def named() -> Dataset:
    return Dataset(images(), LABELS, ("a", "b", "c"))


@functools.cache
def several() -> Dataset:
    return Dataset({"one": images(), "two": np.zeros((4, 2), np.int64)}, (LABELS, SCORES))


@functools.cache
def files() -> dict[str, Path]:
    """Return one right file of every kind that is read."""
    made = {name: inside(name) for name in ("a.bin", "a.csv", "a.idx", "a.png", "a.npy", "a.npz")}
    made["a.bin"].write_bytes(bytes(3073))
    made["a.csv"].write_text("1,2,0\n3,4,1\n", encoding="utf-8")
    made["a.idx"].write_bytes(b"\0\0\x08\x03" + b"\0\0\0\2" * 3 + bytes(8))
    made["l.idx"] = inside("l.idx")
    made["l.idx"].write_bytes(b"\0\0\x08\x01\0\0\0\2\0\1")
    made["columns.idx"] = inside("columns.idx")
    made["columns.idx"].write_bytes(b"\0\0\x08\x02" + b"\0\0\0\2\0\0\0\3" + bytes(6))
    made["hundred.bin"] = inside("hundred.bin")
    made["hundred.bin"].write_bytes(bytes(3074))
    Image.new("L", (8, 8)).save(made["a.png"])
    np.save(made["a.npy"], np.zeros(3))
    np.savez(made["a.npz"], x=np.zeros(3))
    made["folder"] = inside("folder")
    for name in ("one", "two"):
        (made["folder"] / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(made["folder"] / name / "a.png")
    made["cifar"] = inside("cifar")
    made["cifar"].mkdir()
    for name in ("train.bin", "test.bin"):
        (made["cifar"] / name).write_bytes(bytes(3074))
    return made


def path(name: str) -> Any:
    return arg(lambda: files()[name], words=MISSING)


SETS = dict(
    [
        of(
            "engine.data.Dataset",
            x=arg(images),
            y=arg(LABELS),
            classes=CLASS_NAMES,
            name=TITLE,
            notes=NOTES,
        ),
        of(
            "engine.data.Dataset of several",
            x=arg(lambda: {"one": images(), "two": np.zeros((4, 2), np.int64)}),
            y=arg((LABELS, SCORES)),
            name=TITLE,
            notes=NOTES,
        ),
        on("engine.data.Dataset.subset", dataset, which=WHICH),
        on("engine.data.Dataset.subset of several", several, which=WHICH),
        on("engine.data.Dataset.__getitem__", dataset, key=arg(0, "0", *NUMPY, "-1", "[]")),
        on(
            "engine.data.Dataset.__getitem__ of several",
            several,
            key=arg([0], "0", "-1", *NUMPY, "[]"),
        ),
        on(
            "engine.data.Dataset.split",
            dataset,
            shares=arg(0.5, "np 2", "np 0.5", words=("share",)),
            stratified=FLAG,
            seed=SEED,
        ),
        on("engine.data.Dataset.with_notes", dataset, notes=arg("a note", *TEXTS)),
        on(
            "engine.data.Dataset.with_classes",
            named,
            classes=CLASS_NAMES._replace(takes=frozenset()),
        ),
        of(
            "engine.data.DataLoader",
            dataset=arg(dataset),
            batch_size=size(2),
            shuffle=FLAG,
            drop_last=FLAG,
            seed=SEED,
            transform=CHAIN._replace(make=lambda: ()),
        ),
        of(
            "engine.data.DataLoader of several",
            dataset=arg(several),
            batch_size=size(2),
            transform=arg(lambda: {"one": [Normalize(0, 1)]}, *SEQUENCES, "{}"),
        ),
        on("engine.data.DataLoader.epoch=", loader, value=size(1, "0")),
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
        of("engine.data.load_mnist"),
        of("engine.data.load_mnist_split", split=arg("test")),
        of("engine.data.bundled.entry", name=BUNDLED),
        of("engine.data.bundled.path", name=BUNDLED),
    ]
)
TRANSFORMS = dict(
    [
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
        of("engine.data.transforms.Resize", size=size(3)),
        of("engine.data.transforms.Grey"),
        on("engine.data.transforms.RandomCrop.__call__", lambda: RandomCrop(3), **DRAWING),
        on(
            "engine.data.transforms.RandomHorizontalFlip.__call__",
            RandomHorizontalFlip,
            **DRAWING,
        ),
        on(
            "engine.data.transforms.Normalize.__call__",
            lambda: Normalize(0.5, 0.5),
            image=DRAWING["image"],
            generator=UNREAD,
        ),
        on(
            "engine.data.transforms.Resize.__call__",
            lambda: Resize(4),
            image=DRAWING["image"],
            generator=UNREAD,
        ),
        on("engine.data.transforms.Grey.__call__", Grey, image=PIXELS, generator=UNREAD),
        of("engine.data.transforms.to_config", transform=TRANSFORM),
        of("engine.data.transforms.from_config", config=arg({"name": "RandomHorizontalFlip"})),
        of("engine.data.transforms.preprocessing", chain=CHAIN),
        of("engine.data.transforms.is_known", transform=arg(RandomHorizontalFlip, *WRONG)),
        of(
            "engine.data.transforms.applied",
            chain=arg(lambda: [Normalize(0, 1)], *SEQUENCES),
            samples=arg(images, *SEQUENCES, words=("image",)),
        ),
    ]
)
READERS = dict(
    [
        of(
            "engine.data.load_idx",
            images=path("a.idx"),
            labels=path("l.idx"),
            classes=arg(("a", "b"), OPTIONAL, "five"),
            column=arg(None, OPTIONAL),
            transposed=FLAG._replace(takes=frozenset({"True", OPTIONAL})),
            first_label=arg(0, "0", OPTIONAL, words=("label",)),
        ),
        of(
            "engine.data.load_idx of columns",
            images=path("a.idx"),
            labels=path("columns.idx"),
            column=arg(1, "0", "-1", *NUMPY),
            first_label=arg(0, "0", "-1", OPTIONAL),
        ),
        of(
            "engine.data.readers.read_cifar",
            path=path("a.bin"),
            variant=arg("cifar10", OPTIONAL),
            coarse=arg(False),
        ),
        of(
            "engine.data.readers.read_cifar of CIFAR-100",
            path=path("hundred.bin"),
            variant=arg("cifar100", OPTIONAL),
            coarse=FLAG,
        ),
        of(
            "engine.data.readers.read_cifar_folder",
            path=path("cifar"),
            coarse=FLAG,
            test=FLAG,
        ),
        of(
            "engine.data.readers.read_csv",
            path=path("a.csv"),
            label=arg(-1, OPTIONAL, "-1", "0", *NUMPY, words=("column",)),
            shape=arg((1, 2), OPTIONAL),
            delimiter=TABLE_SIGN,
            decimal=arg(".", OPTIONAL),
            header=FLAG._replace(takes=frozenset({"True", OPTIONAL})),
            index=arg(False, OPTIONAL, words=("shape",)),
        ),
        of(
            "engine.data.readers.read_csv with an index",
            path=path("a.csv"),
            index=arg(True, "True", OPTIONAL),
        ),
        of("engine.data.readers.read_idx", path=path("a.idx")),
        of("engine.data.readers.read_npy", path=path("a.npy")),
        of("engine.data.readers.read_npz", path=path("a.npz")),
        of("engine.data.readers.read_image", path=path("a.png"), **PICTURE),
        of("engine.data.readers.read_image_folder", path=path("folder"), **PICTURE),
        of(
            "engine.data.readers.read_image_folder with a reader",
            path=path("folder"),
            prepare=arg(lambda: read_image, OPTIONAL),
        ),
        of(
            "engine.data.preparing.prepare_picture",
            picture=path("a.png")._replace(words=(*MISSING, "array")),
            shape=arg((1, 8, 8), words=("net",)),
            look=arg(None, OPTIONAL),
            how=arg(Preparation.plain),
            name=TITLE,
        ),
        of(
            "engine.data.preparing.prepare_picture as an array",
            picture=arg(np.ones((8, 8)), words=(*MISSING, "array", "a picture")),
            shape=arg((1, 8, 8), words=("net",)),
            how=arg("plain"),
            name=TITLE,
        ),
        of(
            "engine.data.preparing.brightness",
            array=arg(
                np.ones((8, 8)),
                *("odd array", "0-d array", "bool array"),
                words=("numbers", "brightness"),
            ),
            name=TITLE,
        ),
    ]
)
DATA = SETS | TRANSFORMS | READERS
