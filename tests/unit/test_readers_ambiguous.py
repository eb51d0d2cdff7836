"""Files that can be read in two ways: every reader, every kind of doubt, and what is said then.

A file says little about itself. Whatever a reader takes for granted it tells in a note, or it asks
in an error; it never answers silently. The table below has a row for each kind of doubt that each
reader can meet, and a list of those that it cannot.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.commands.datasets import read_data, read_test
from engine.commands.sources import Table
from engine.data import Dataset, load_idx
from engine.data.readers import read_cifar, read_cifar_folder, read_csv, read_image_folder
from engine.errors import EngineError

RANDOM = np.random.default_rng(7)
PIXELS = RANDOM.integers(0, 256, (20, 8, 8), dtype=np.uint8)
LABELS = (np.arange(20) % 3).astype(np.uint8)


@dataclass(frozen=True)
class Case:
    """A file that leaves a question open.

    Parameters
    ----------
    reader, kind : str
    make : callable
        Writes it into a folder and returns what to read.
    read : callable
    note, error, warning : str
        Pattern of the one note, error or warning that must be given.
    check : callable
        Whether the set is what the note says.
    """

    reader: str
    kind: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Dataset]
    note: str = ""
    error: str = ""
    warning: str = ""
    check: Callable[[Dataset], Any] = field(default=lambda data: True)


def text(content: str | bytes, name: str = "table.csv") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)
        return folder / name

    return make


def idx(values: np.ndarray, code: int = 8) -> bytes:
    header = struct.pack(f">4B{values.ndim}I", 0, 0, code, values.ndim, *values.shape)
    return header + values.tobytes()


def idx_pair(
    images: str, labels: str, y: np.ndarray, code: int = 8, x: np.ndarray = PIXELS
) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        for name, content in ((images, idx(x)), (labels, idx(y, code))):
            packed = gzip.compress(content) if name.endswith(".gz") else content
            (folder / name).write_bytes(packed)
        return folder

    return make


def npz(**arrays: np.ndarray) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        np.savez(folder / "set.npz", **arrays)
        return folder / "set.npz"

    return make


def pictures(files: dict[str, Any]) -> Callable[[Path], Path]:
    """Write pictures of one colour, and other files from their bytes."""

    def make(folder: Path) -> Path:
        root = folder / "root"
        root.mkdir()
        for name, value in files.items():
            place = root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(value, bytes):
                place.write_bytes(value)
            else:
                mode = {int: "L", tuple: "RGB"}[type(value)]
                Image.new(mode, (4, 3), value).save(place)
        return root

    return make


def packed(picture: Image.Image, form: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form)
    return stream.getvalue()


def ink(colour: tuple[int, ...]) -> bytes:
    """Return a PNG of a stroke of one colour on nothing."""
    picture = Image.new("RGBA", (4, 3), (0, 0, 0, 0))
    picture.putpixel((1, 1), (*colour, 255))
    picture.putpixel((2, 1), (*colour, 128))
    return packed(picture, "PNG")


def cifar(labels: np.ndarray, name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        count = len(labels)
        images = np.arange(count * 3072, dtype=np.uint8).reshape(count, 3072)
        (folder / name).write_bytes(np.column_stack([labels, images]).astype(np.uint8).tobytes())
        return folder / name

    return make


def rows(count: int, pattern: str, first: str = "") -> str:
    """Return `first` and rows from a pattern of ``{i}`` and ``{k}``, a label of three."""
    lines = [pattern.format(i=i, k=i % 3, n=i + 1) for i in range(count)]
    return "\n".join([first, *lines] if first else lines) + "\n"


def grid(columns: int, label: int, count: int = 12) -> str:
    values = RANDOM.integers(0, 256, (count, columns))
    values[:, label] = np.arange(count) % 3
    return "\n".join(",".join(map(str, row)) for row in values) + "\n"


def says(words: str) -> str:
    """Return the pattern of the one sentence about a table's layout."""
    return f"^read with {words}.*; give any of these to have it read otherwise$"


def whole(source: Path) -> Dataset:
    return read_test(str(source))


def half_of(source: Path) -> Dataset:
    return read_data(str(source)).test


COMMA = "delimiter=',', decimal='.', "
FILM = RANDOM.bytes(65536 - 3) + b"\xff\xda\x00"

CASES = [
    # -- tables ------------------------------------------------------------------------------
    Case(
        "table", "delimiter", text(rows(4, "0.5;{i};{k}")), read_csv,
        note=says(r"delimiter=';', decimal='\.', header=False, label=-1 \(the last of 3 columns\)"),
        check=lambda d: d.x.tolist() == [[0.5, i] for i in range(4)],
    ),
    Case(
        "table", "delimiter", text(rows(4, "0.5,{i},{k}"), "table.tsv"), read_csv,
        note=says(COMMA), check=lambda d: d.x.shape == (4, 2),
    ),
    Case(
        "table", "delimiter", text(rows(4, "0.5\t{i}\tcat{k}")), read_csv,
        note=says(r"delimiter='\\t'"), check=lambda d: d.classes == ("cat0", "cat1", "cat2"),
    ),
    Case(
        "table", "delimiter", text(rows(4, " 0.5   {i}  {k} ")), read_csv,
        note=says("delimiter=' '"), check=lambda d: d.x.shape == (4, 2),
    ),
    Case(
        "table", "delimiter", text("sep=;\n" + rows(4, "0.5;{i};{k}")), read_csv,
        note=says("delimiter=';'") , check=lambda d: d.x.shape == (4, 2),
    ),
    Case(
        "table", "delimiter", text("1 a\n2\n"), read_csv, error=r"received one column.*delimiter=",
    ),
    Case(
        "table", "decimal", text("0,5;1\n1,5;0\n"), read_csv,
        note=says(r"delimiter=';', decimal=',', header=False, label=-1"),
        check=lambda d: d.x.tolist() == [[0.5], [1.5]] and d.y.tolist() == [1, 0],
    ),
    Case(
        "table", "decimal", text("0,5;1,25;1\n0,5;2.5;0\n"), read_csv,
        error=r"holds 0,5 as well as 2\.5; .*decimal=",
    ),
    Case(
        "table", "decimal", text("1,234;5;1\n2,345;6;0\n"), read_csv,
        error=r"1,234 may be 1\.234 or 1234; say decimal=','",
    ),
    Case(
        "table", "decimal", text(rows(80, "{i};1;{k}") + "0,5;1;1\n"), read_csv,
        error="line 81, column 1: expected a number, received '0,5'; decimal=',' reads it",
    ),
    Case(
        "table", "decimal", text(rows(80, "{i},5;1;{k}") + "0.5;1;1\n"), read_csv,
        error=r"received '0\.5'; decimal='\.' reads it",
    ),
    Case(
        "table", "header",
        text(rows(12, "{k},5,{i},7", "label," + ",".join(map(str, range(3))))),
        lambda p: read_csv(p, label=0),
        note=says(COMMA + r"header=True, label='label' \(column 0 of 4\)"),
        check=lambda d: len(d) == 12 and d.y.max() == 2,
    ),
    Case(
        "table", "header", text(rows(12, "cat{k},5,{i},7", "kind,0,1,2")),
        lambda p: read_csv(p, label=0),
        note=says(COMMA + "header=True, label='kind'"), check=lambda d: len(d.classes) == 3,
    ),
    Case(
        "table", "header", text(rows(12, ",".join(["{i}"] * 9 + ["{k}"]), "0,1,2,3,4,5,6,7,8,9")),
        read_csv, note=says(COMMA + "header=True, label='9'"), check=lambda d: len(d) == 12,
    ),
    Case(
        "table", "header", text("1,2,3\n4,5,6\n7,8,9\n"), lambda p: read_csv(p, label=2),
        note=says(COMMA + "header=False"), check=lambda d: len(d) == 3,
    ),
    Case("table", "header", text("1,2,x\n"), read_csv, error="one row alone, '1,2,x'.*header=True"),
    Case(
        "table", "header", text("NA,2,0\n1,2,1\n"), read_csv,
        error="line 1, column 1: expected a number, received 'NA'",
    ),
    Case(
        "table", "header", text("1,2,cat\n" + rows(5, "{i},2,{k}") + "3,4,dog\n"), read_csv,
        note=r"labels are numbers in 5 rows and words in 2 \(such as 'cat'\)",
        check=lambda d: len(d) == 7,
    ),
    Case(
        "table", "label", text(rows(12, "{k},5,{i},0")), read_csv,
        note="all 12 labels in the last column are 0, while the first column holds 3 .*label=0",
        warning="all 12 samples are of one class, 0",
    ),
    Case(
        "table", "label", text(rows(12, "{i},{k},5", "a,class,b")), read_csv,
        note=says(COMMA + r"header=True, label='class' \(column 1 of 3\)"),
        check=lambda d: d.y.max() == 2,
    ),
    Case(
        "table", "label", text(rows(12, "{i},5,{k}", "a,b,c")), read_csv,
        note=says(COMMA + r"header=True, label='c' \(the last of 3 columns\)"),
    ),
    Case(
        "table", "label", text("label,a,label\n1,2,3\n"), lambda p: read_csv(p, "label"),
        error="2 columns are called 'label'",
    ),
    Case(
        "table", "label", text(rows(40, "{k},5,{i}")), read_csv,
        note=says(COMMA + "header=False, label=-1"), warning="40 different labels among 40",
    ),
    Case(
        "table", "index", text(rows(5, "{i},0.5,7,{k}", ",a,b,label")), read_csv,
        note="the first column called '' counts the rows and is left out; index=False keeps it",
        check=lambda d: d.x.shape == (5, 2) and d.x[0].tolist() == [0.5, 7],
    ),
    Case(
        "table", "index", text("Unnamed: 0,a,b,y\n7,1,2,0\n3,1,2,1\n5,1,2,0\n"), read_csv,
        note="called 'Unnamed: 0' counts the rows", check=lambda d: d.x.shape == (3, 2),
    ),
    Case(
        "table", "index", text(rows(12, "{n},0.5,7,{k}")), read_csv,
        note="the first column counts the rows", check=lambda d: d.x.shape == (12, 2),
    ),
    Case(
        "table", "index", text(rows(12, "{n},0.5,7,{k}", "day,a,b,label")), read_csv,
        warning="column 0 of x counts the samples: an index",
        check=lambda d: d.x.shape == (12, 3),
    ),
    Case(
        "table", "range", text(grid(65, -1)), whole,
        note="whole numbers up to 255 are taken for pixels and divided by 255",
        check=lambda d: d.x.shape == (12, 1, 8, 8) and d.x.max() <= 1,
    ),
    Case(
        "table", "range", text(grid(6, -1)), read_csv, warning="x runs from .* to 2",
        check=lambda d: d.x.max() > 100,
    ),
    Case(
        "table", "channels", text(grid(193, 0)), lambda p: read_test(str(p), table=Table(label=0)),
        note=r"192 columns are folded into pictures \(3, 8, 8\), one channel after the other",
    ),
    Case(
        "table", "channels", text(grid(65, -1)), whole,
        note=r"64 columns are folded into pictures \(1, 8, 8\)",
    ),
    Case(
        "table", "numbering", text(rows(12, "{i},2,item {n}")), read_csv,
        note=says(COMMA), check=lambda d: d.classes[1] == "item 2" and d.classes[9] == "item 10",
    ),
    Case(
        "table", "numbering", text(rows(12, "1,0.{i},{n}")), lambda p: read_csv(p, -1),
        warning="12 different labels|labels run from 1 to 12",
    ),
    Case(
        "table", "one class", text(rows(12, "0.{i},2,0")), lambda p: read_csv(p, -1),
        warning=r"all 12 samples are of one class, 0, .* \(label=\)",
    ),
    Case(
        "table", "left out", text(rows(4, "1,{i},{k}") + "1,2\n"), read_csv,
        error="line 5 has 2 columns, expected 3 as in line 1",
    ),
    # -- idx ---------------------------------------------------------------------------------
    Case(
        "idx", "label",
        idx_pair(
            "qmnist-train-images-idx3-ubyte.gz", "qmnist-train-labels-idx2-int.gz",
            np.column_stack([LABELS, np.full((20, 7), 9)]).astype(">i4"), code=0x0C,
        ),
        whole, note="column 0, the digit, is the class, and the others .* are left out",
        check=lambda d: np.array_equal(d.y, LABELS),
    ),
    Case(
        "idx", "label",
        idx_pair("a-images-idx3-ubyte", "a-labels-idx2-ubyte", np.zeros((20, 3), np.uint8)),
        whole, error="received 3 columns; say which one is the class with column=",
    ),
    Case(
        "idx", "numbering",
        idx_pair(
            "emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte",
            LABELS + 1,
        ),
        whole, note=r"letters count from 1, so label 1 became class 0 \(A\); first_label=0 keeps",
        check=lambda d: np.array_equal(d.y, LABELS) and d.classes[:2] == ("A", "B"),
    ),
    Case(
        "idx", "numbering", idx_pair("t-images-idx3-ubyte", "t-labels-idx1-ubyte", LABELS + 1),
        whole, warning="labels run from 1 to 3, and classes are numbered from 0",
    ),
    Case(
        "idx", "channels",
        idx_pair(
            "emnist-digits-test-images-idx3-ubyte", "emnist-digits-test-labels-idx1-ubyte", LABELS
        ),
        whole, note="on their side, so rows and columns have changed places; transposed=False",
        check=lambda d: np.array_equal(d.x[3, 0].T, PIXELS[3] / np.float32(255)),
    ),
    Case(
        "idx", "channels",
        idx_pair(
            "c-images-idx3-ubyte", "c-labels-idx1-ubyte", LABELS,
            x=RANDOM.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8),
        ),
        whole, warning=r"looks like \(h, w, channels\), nets take",
    ),
    Case(
        "idx", "range", idx_pair("r-images-idx3-ubyte", "r-labels-idx1-ubyte", LABELS), whole,
        check=lambda d: d.x.max() <= 1,  # bytes are pixels: this format has no other reading
    ),
    Case(
        "idx", "one class", idx_pair("o-images-idx3-ubyte", "o-labels-idx1-ubyte", LABELS * 0),
        whole, warning="all 20 samples are of one class",
    ),
    Case(
        "idx", "left out",
        lambda f: idx_pair("train-images-idx3-ubyte", "train-labels-idx1-ubyte", LABELS)(
            idx_pair("train.images.idx3-ubyte", "train.labels.idx1-ubyte", LABELS)(f)
        ),
        whole, error="expected one set of training images, found train-images.* and train.images",
    ),
    # -- npz ---------------------------------------------------------------------------------
    Case(
        "npz", "channels", npz(x=np.stack([PIXELS] * 3, axis=-1), y=LABELS), whole,
        note=r"samples of shape \(8, 8, 3\) are taken for pictures \(h, w, channels\)",
        check=lambda d: d.x.shape == (20, 3, 8, 8),
    ),
    Case(
        "npz", "channels", npz(x=np.stack([PIXELS] * 4, axis=-1), y=LABELS), whole,
        note=r"samples of shape \(8, 8, 4\) are taken for pictures", warning="x has 4 channels",
        check=lambda d: d.x.shape == (20, 4, 8, 8),
    ),
    Case(
        "npz", "channels", npz(x=np.stack([PIXELS[:, :3, :3]] * 3, axis=-1), y=LABELS), whole,
        note="taken for pictures .channels, h, w., though the last axis could be the channels",
        check=lambda d: d.x.shape == (20, 3, 3, 3),
    ),
    Case(
        "npz", "channels", npz(x=PIXELS, y=LABELS), whole,
        note=r"samples of shape \(8, 8\) are taken for grey pictures \(h, w\)",
    ),
    Case(
        "npz", "range", npz(x=PIXELS.reshape(20, 64), y=LABELS), whole,
        note="the samples are bytes, so they are taken for pixels and divided by 255",
    ),
    Case(
        "npz", "range", npz(x=PIXELS.astype(np.float32)[:, None], y=LABELS), whole,
        warning="x runs from 0 to 255: .*; use x / 255 or transforms.Normalize",
        check=lambda d: d.x.max() == 255,
    ),
    Case(
        "npz", "label", npz(x=PIXELS[:, None], y=np.eye(3)[LABELS]), whole,
        note="labels have one 1 in each row of 3: its place is the class",
        check=lambda d: np.array_equal(d.y, LABELS),
    ),
    Case(
        "npz", "label", npz(x=PIXELS[:, None], y=LABELS.astype(int) * 10**9),
        lambda p: read_data(str(p)).train,
        error="expected class numbers, received labels up to 2,000,000,000 of which only 3 occur",
    ),
    Case(
        "npz", "numbering", npz(x=PIXELS[:, None], y=LABELS + 1), whole,
        warning="labels run from 1 to 3",
    ),
    Case(
        "npz", "one class", npz(x=PIXELS[:, None], y=LABELS * 0), whole, warning="of one class, 0",
    ),
    Case(
        "npz", "one class", npz(x=PIXELS[:1, None].repeat(20, 0), y=LABELS), whole,
        warning="all 20 samples of x are equal",
    ),
    Case("npz", "left out", npz(a=PIXELS, b=LABELS), whole, error="expected arrays x_train"),
    # -- CIFAR -------------------------------------------------------------------------------
    Case(
        "cifar", "label", cifar(np.array([[1, 42], [3, 7]]), "train.bin"), read_cifar,
        note="two labels a picture: its 100 classes are read; coarse=True reads the 20 groups",
        check=lambda d: d.y.tolist() == [42, 7],
    ),
    Case(
        "cifar", "label", lambda f: text(bytes(3073 * 3074), "batch.bin")(f), read_cifar,
        error="fit CIFAR-10 as well as CIFAR-100; say which with variant=",
    ),
    Case(
        "cifar", "channels", cifar(np.array([[1], [3]]), "data_batch_2.bin"), read_cifar,
        check=lambda d: np.array_equal(d.x[0, :, 0, 1] * 255, [1, 1, 1]),  # planes, by definition
    ),
    Case(
        "cifar", "left out",
        lambda f: cifar(np.array([[1], [3]]), "data_batch_2.bin")(f).parent,
        lambda p: read_cifar_folder(p)[0],
        note=r"1 of 5 training files are there: data_batch_2\.bin",
    ),
    Case(
        "cifar", "one class", cifar(np.array([[1], [1]]), "test_batch.bin"), whole,
        warning="all 2 samples are of one class, automobile",
    ),
    # -- pictures ----------------------------------------------------------------------------
    Case(
        "pictures", "channels",
        pictures({"cat/1.png": 1, "cat/2.png": (9, 8, 7), "dog/1.png": (1, 2, 3)}),
        read_image_folder,
        note=r"1 of 3 pictures are grey \(1\.png\) and 2 have colours \(2\.png\), .*; channels=1",
        check=lambda d: d.x.shape == (3, 3, 3, 4) and np.ptp(d.x[2, :, 0, 0]) > 0,
    ),
    Case(
        "pictures", "range",
        pictures({"cat/1.png": ink((255, 255, 255)), "dog/1.png": ink((0, 0, 0)),
            "dog/2.png": ink((255, 0, 0))}),
        read_image_folder,
        note="1 of 3 pictures show white on nothing, so what is transparent became black in them",
        check=lambda d: d.x[0].max() == 1 and d.x[0].min() == 0 and d.x[1, 0, 0, 0] == 1,
    ),
    Case(
        "pictures", "numbering",
        pictures({f"{n}/a.png": n for n in range(1, 13)}), read_image_folder,
        note="classes count from 0 in the order of their folders: folder '1' is class 0",
        check=lambda d: d.classes == tuple(map(str, range(1, 13)))
        and d.classes[d.y[np.flatnonzero(d.x[:, 0, 0, 0] == np.float32(10 / 255))[0]]] == "10",
    ),
    Case(
        "pictures", "left out",
        pictures({"cat/1.png": 1, "cat/a.gif": b"GIF89a", "cat/b.gif": b"GIF89a", "dog/1.png": 1,
            "dog/Thumbs.db": b"x", "dog/desktop.ini": b"x", "dog/.DS_Store": b"x"}),
        read_image_folder, note=r"2 files in the class folders are left out.*: \.gif \(2\)",
        check=lambda d: len(d) == 2,
    ),
    Case(
        "pictures", "left out",
        pictures({"cat/1.png": 1, "cat/more/2.png": 2, "dog/1.png": 1}), read_image_folder,
        note="folders within class folders are left out: cat/more",
    ),
    Case(
        "pictures", "left out",
        pictures({"cat/1.png": 1, "dog/1.png": 1, "own.png": 3}), read_image_folder,
        note=r"1 pictures beside the class folders belong to no class and are left out: own\.png",
    ),
    Case(
        "pictures", "left out",
        pictures({"cat/1.png": 1, "dog/1.png": b"\x89PNG\r\n\x1a\n", "dog/2.png": b"x"}),
        read_image_folder,
        error=r"dog/1\.png: .*2 of 3 pictures cannot be read, also: .*dog/2\.png",
    ),
    Case(
        "pictures", "left out",
        pictures({"__MACOSX/cat/a.png": b"x", "cat/1.png": 1, "dog/1.png": 2}),
        read_image_folder, check=lambda d: d.classes == ("cat", "dog"),
    ),
    Case(
        "pictures", "left out",
        pictures({"cat/1.jpg": packed(Image.new("RGB", (4, 3), (9, 9, 9)), "JPEG") + FILM}),
        read_image_folder, check=lambda d: d.x.shape == (1, 3, 3, 4),
    ),
    Case(
        "pictures", "one class", pictures({"cat/1.png": 1, "cat/2.png": 2}), read_image_folder,
        warning="all 2 samples are of one class, cat, .*folder missing",
    ),
    Case(
        "pictures", "one class",
        pictures({"cat/1.png": 7, "cat/2.png": 7, "dog/1.png": 7}), read_image_folder,
        warning="all 3 samples of x are equal",
    ),
    Case(
        "pictures", "halves", pictures({"train/1.png": 1, "test/1.png": 2}), read_image_folder,
        error=r"found halves of a set \(test, train\); put class folders into each",
    ),
    # -- halves ------------------------------------------------------------------------------
    *(
        Case(
            "pictures", "halves",
            pictures({
                f"{a}/cat/1.png": 1, f"{a}/dog/1.png": 2,
                f"{b}/cat/1.png": 3, f"{b}/dog/1.png": 4,
            }),
            half_of, check=lambda d: d.x[:, 0, 0, 0].tolist() == list(np.float32([3, 4]) / 255),
        )
        for a, b in (
            ("train", "test"), ("training", "testing"), ("Train", "Test"), ("TRAIN", "valid"),
            ("train", "validation"), ("Training", "val"), ("train", "dev"),
        )
    ),
    Case(
        "pictures", "halves",
        pictures({"train/cat/1.png": 1, "training/cat/1.png": 2, "test/cat/1.png": 1}),
        half_of, error="expected one folder of each half, found train and training",
    ),
    Case(
        "pictures", "halves",
        pictures({"train/cat/1.png": 1, "train/dog/1.png": 1, "val/cat/1.png": 7,
            "test/dog/1.png": 5, "notes.txt": b"x"}),
        half_of, warning="no sample of 1 of 2 classes: cat", check=lambda d: d.y.tolist() == [1],
    ),
    Case(
        "pictures", "halves",
        pictures({"train/cat/1.png": 1, "val/cat/1.png": 7, "test/cat/1.png": 5, "x/y/1.png": 1}),
        lambda p: read_data(str(p)).train, note="^val, x beside train and test: left out$",
    ),
    Case(
        "table", "halves",
        lambda f: text(rows(9, "1,{i},cat{k}"), "set_TRAIN.csv")(
            text("1,2,cat2\n1,2,cat2\n", "set_test.csv")(f).parent
        ).parent,
        half_of, note=says(COMMA), check=lambda d: d.y.tolist() == [2, 2],
    ),
    Case(
        "table", "halves",
        lambda f: text(rows(9, "1,{i},cat{k}"), "train.csv")(
            text("1,2,emu\n1,2,cat1\n", "test.csv")(f).parent
        ).parent,
        half_of, error="expected test labels among those to train on .cat0, cat1, cat2., .* emu",
    ),
    Case(
        "table", "halves",
        lambda f: text(rows(9, "1,{i},{k}"), "a.csv")(text("1,2,0\n", "b.csv")(f).parent).parent,
        half_of, error=r"one table called train and one called test, found a\.csv, b\.csv",
    ),
    Case(
        "idx", "halves",
        lambda f: idx_pair("train-images-idx3-ubyte", "train-labels-idx1-ubyte", LABELS)(
            idx_pair("valid-images-idx3-ubyte", "valid-labels-idx1-ubyte", LABELS[::-1].copy())(f)
        ),
        half_of, check=lambda d: np.array_equal(d.y, LABELS[::-1]),
    ),
    Case(
        "npz", "halves", npz(x=PIXELS[:, None], y=LABELS), half_of,
        check=lambda d: len(d) == 2,
    ),
    Case(
        "cifar", "halves",
        lambda f: cifar(np.array([[2], [4]]), "test_batch.bin")(
            cifar(np.array([[1], [3]]), "data_batch_1.bin")(f).parent
        ).parent,
        half_of, check=lambda d: d.y.tolist() == [2, 4],
    ),
    Case(
        "cifar", "halves", lambda f: cifar(np.array([[2], [4]]), "test_batch.bin")(f).parent,
        lambda p: read_data(str(p)).train, error=r"test_batch\.bin is there, but none of the files",
    ),
]  # fmt: skip

READERS = ("table", "idx", "npz", "cifar", "pictures")
KINDS = (
    "delimiter", "decimal", "header", "label", "index", "range", "channels", "numbering",
    "one class", "left out", "halves",
)  # fmt: skip
CANNOT_MEET = {
    # What only text can leave open.
    *product(READERS[1:], ("delimiter", "decimal", "header", "index")),
    ("cifar", "range"),  # bytes, by definition
    ("cifar", "numbering"),  # labels beyond the classes are refused
    ("pictures", "label"),  # the folder is the label
}


def test_the_table_has_every_kind_of_doubt_of_every_reader():
    known = {(case.reader, case.kind) for case in CASES}
    assert known | CANNOT_MEET == set(product(READERS, KINDS))
    assert not known & CANNOT_MEET


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{case.reader}-{case.kind}-{i}" for i, case in enumerate(CASES)]
)
def test_what_is_assumed_is_said(tmp_path: Path, case: Case):
    source = case.make(tmp_path)
    if case.error:
        with pytest.raises(EngineError, match=case.error) as caught:
            case.read(source)
        assert "\n" not in str(caught.value)
        return
    data = case.read(source)
    assert case.check(data)
    found = data.describe()
    for pattern, sentences in ((case.note, found.notes), (case.warning, found.warnings)):
        if pattern:
            matching = [one for one in sentences if re.search(pattern, one)]
            assert len(matching) == 1, (pattern, sentences)
            assert "\n" not in matching[0]


# -- what is said is not assumed -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "settings", "columns"),
    [
        ("0,5;1\n1,5;0\n", {"delimiter": ";", "decimal": ",", "header": False, "label": 1}, 1),
        ("5,1;1\n7,2;0\n", {"delimiter": ",", "header": False, "label": 0}, 0),
        ("label,0,1\n1,2,3\n", {"label": "label"}, 2),
        ("label,0,1\n1,2,3\n", {"label": 0, "header": True}, 2),
        ("1,2,x\n", {"label": -1, "header": False}, 2),
        ("a,b\n1,x\n2,y\n", {"label": "b"}, 1),
        ("1,2,0\n1,2,1\n", {"label": 2}, 2),
    ],
)
def test_a_table_whose_layout_is_given_has_no_notes(
    tmp_path: Path, content: str, settings: dict[str, Any], columns: int
):
    file = text(content)(tmp_path)
    if not columns:
        with pytest.raises(EngineError, match=r"line 1, column 2: expected a number.*'1;1'"):
            read_csv(file, **settings)
        return
    data = read_csv(file, **settings)
    assert data.notes == ()
    assert data.x.shape[1] == columns


def test_settings_that_contradict_the_file(tmp_path: Path):
    file = text(rows(12, "{n},0.5,7,{k}"))(tmp_path)
    assert read_csv(file, index=False).x.shape == (12, 3)
    assert read_csv(file, index=True).x.shape == (12, 2)
    assert read_csv(file, shape=(1, 1, 3)).x.shape == (12, 1, 1, 3)
    for settings, words in (
        ({"index": True, "label": 0}, "index=True leaves out the first column, but that is"),
        ({"decimal": "x"}, "expected decimal '.' or ','"),
        ({"decimal": ",", "delimiter": ","}, "and another delimiter"),
    ):
        with pytest.raises(EngineError, match=words):
            read_csv(file, **settings)


def test_emnist_and_qmnist_can_be_read_as_they_lie(tmp_path: Path):
    names = ("emnist-letters-images-idx3-ubyte", "emnist-letters-labels-idx1-ubyte")
    idx_pair(*names, LABELS + 1)(tmp_path)
    images, labels = (tmp_path / name for name in names)
    plain = load_idx(images, labels, transposed=False, first_label=0)
    assert plain.notes == ()
    assert np.array_equal(plain.x[:, 0] * 255, PIXELS)
    assert plain.y.min() == 1
    (tmp_path / names[1]).write_bytes(idx(np.column_stack([LABELS, LABELS + 5])))
    assert np.array_equal(load_idx(images, labels, column=1, first_label=0).y, LABELS + 5)
    for column in (2, -3):
        with pytest.raises(EngineError, match=f"no column {column}; there are 2"):
            load_idx(images, labels, column=column)
    (tmp_path / names[1]).write_bytes(idx(LABELS))
    with pytest.raises(EngineError, match="the labels have no columns"):
        load_idx(images, labels, column=0)


def test_options_for_tables_are_refused_elsewhere(tmp_path: Path):
    table = Table(label=0, header=False)
    for source in (
        "mnist",
        str(npz(x=PIXELS, y=LABELS)(tmp_path)),
        str(pictures({"cat/1.png": 1})(tmp_path)),
    ):
        for read in (read_data, read_test):
            with pytest.raises(EngineError, match="--label, --header: tells how to read a table"):
                read(source, table=table)
