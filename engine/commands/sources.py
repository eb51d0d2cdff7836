"""The formats behind `--data`: idx, npz, CIFAR, tables, folders of pictures; what each holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.data import Dataset, load_idx
from engine.data.parts import listed
from engine.data.readers import read_cifar, read_cifar_folder, read_csv, read_image_folder, read_npz
from engine.data.readers.cifar import CIFAR_FILES, cifar_variant
from engine.data.readers.image_folder import class_folders, is_picture, visible
from engine.data.readers.names import half, half_within, is_passed_over, natural
from engine.errors import ConfigurationError, DataError
from engine.typing import Array, Shape

Prepare = Callable[[Path], Array]
Halves = dict[str, Callable[[], Dataset]]
"""What reads each half: ``train`` and ``test``, or ``all`` of a set that has none."""

NPZ_NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)
NPZ_PAIRS = (("x", "y"), ("images", "labels"))
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt", ".dat", ".data"})

SMALLEST_SIDE = 8
"""Tables of fewer columns than a picture of this side has are no pictures."""
BRIGHT = 16
"""Whole numbers from 0 to 255 that go beyond this are bytes; below it they may be anything."""


@dataclass(frozen=True)
class Table:
    """How tables are to be read; what is None is found out.

    Parameters
    ----------
    label : int or str, optional
    delimiter, decimal : str, optional
    header : bool, optional
        All as `engine.data.readers.read_csv` takes them.
    """

    label: int | str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    header: bool | None = None


def table_of(
    label: str | None, delimiter: str | None, decimal: str | None, header: bool | None
) -> Table:
    """Return how tables are to be read by the words of the command line.

    Parameters
    ----------
    label : str, optional
        A column's number, or its name.
    delimiter : str, optional
        A character, or the word ``tab`` or ``space``.
    decimal : str, optional
    header : bool, optional
    """
    is_number = label is not None and re.fullmatch(r"-?\d+", label) is not None
    sign = {"tab": "\t", "\\t": "\t", "space": " "}.get(delimiter or "", delimiter)
    return Table(int(label) if is_number and label else label, sign, decimal, header)


def find(path: Path, shape: Shape | None, table: Table, prepare: Prepare | None = None) -> Halves:
    """Return what reads the halves of what lies at a path.

    Parameters
    ----------
    path : Path
        A file or a folder that exists.
    shape : (c, h, w), optional
        What pictures are brought to; c is 0 if only their size is given.
    table : Table
    prepare : callable, optional
        Reads one picture of a folder; see `read_image_folder`.

    Raises
    ------
    EngineError
        If nothing there can be read.
    """
    if not path.is_dir():
        return _file(path, shape, table)
    if tables := _table_folder(path, shape, table):
        return tables
    refuse(table, str(path))
    return _idx_folder(path) or _cifar_folder(path) or _picture_folder(path, shape, prepare)


def refuse(table: Table, source: str) -> None:
    """Refuse to be told how to read a table where there is none.

    Raises
    ------
    ConfigurationError
        If anything is said.
    """
    said = [f"--{name}" for name, value in vars(table).items() if value is not None]
    if said:
        raise ConfigurationError(
            f"{', '.join(said)}: tells how to read a table, {source} is none; leave it out"
        )


def _file(path: Path, shape: Shape | None, table: Table) -> Halves:
    """Tell what a file is by its name, else by how it begins."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    suffix, name = suffixes[-1] if suffixes else "", path.name.lower()
    if suffix in TABLE_SUFFIXES:
        return {"all": partial(_table, path, shape, table)}
    head = _head(path)
    if suffix not in (".npz", ".bin") and _is_text(head):
        return {"all": partial(_table, path, shape, table)}
    refuse(table, str(path))
    if suffix == ".bin":
        return {"all": partial(read_cifar, path, CIFAR_FILES.get(name))}
    if "images" in name and "idx" in name:
        return {"all": partial(_idx_pair, path)}
    if head[:2] in PICKLES:
        return {"all": partial(read_cifar, path)}  # which says what is wrong with it
    return _npz(path)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")
    is_whole = len(head) - len(text.encode()) < 4  # the last character may be cut in two
    return is_whole and all(sign.isprintable() or sign in "\t\r\n\ufeff" for sign in text)


# -- idx -----------------------------------------------------------------------------------------


def _idx_folder(folder: Path) -> Halves:
    """Find pairs of idx files; empty if there are none."""
    found: dict[str, Path] = {}
    for images in _entries(folder):
        name = images.name.lower()
        if "images" not in name or "idx3" not in name:
            continue
        kind = "test" if _is_test(name) else "train"
        if kind in found:
            raise DataError(
                f"{folder}: expected one set of {'test' if kind == 'test' else 'training'} images, "
                f"found {found[kind].name} and {images.name}; put each pair into a folder of its "
                "own"
            )
        found[kind] = images
    if len(found) == 1:
        (images,) = found.values()
        return {"all": partial(_idx_pair, images)}
    return {kind: partial(_idx_pair, found[kind]) for kind in ("train", "test") if kind in found}


def _is_test(name: str) -> bool:
    return half_within(name) in ("test", "val")


def _idx_pair(images: Path) -> Dataset:
    """Read images and the labels beside them."""
    stem = images.name.removesuffix(".gz").replace("images", "labels")
    wanted = stem.replace("idx3", "idx1")
    endings = [wanted, stem.replace("idx3-ubyte", "idx2-int"), stem.replace("idx3", "idx2")]
    for name in dict.fromkeys(endings):
        for candidate in (name, f"{name}.gz"):
            if (images.parent / candidate).is_file():
                return load_idx(images, images.parent / candidate)
    raise DataError(f"{images}: expected its labels in {wanted} beside it, there is no such file")


# -- CIFAR ---------------------------------------------------------------------------------------


def _cifar_folder(folder: Path) -> Halves:
    variant = cifar_variant(folder)
    if variant is None:
        return {}
    test = next(
        (folder / name for name, of in CIFAR_FILES.items() if "test" in name and of == variant)
    )
    if not test.is_file():
        return {"all": lambda: read_cifar_folder(folder)[0]}
    return {
        "train": lambda: read_cifar_folder(folder, test=False)[0],
        "test": partial(read_cifar, test, variant),
    }


# -- npz -----------------------------------------------------------------------------------------


def _npz(path: Path) -> Halves:
    arrays = read_npz(path)
    for names in NPZ_NAMES:
        if set(names) <= set(arrays):
            x, y, test_x, test_y = (arrays[name] for name in names)
            return {
                "train": partial(from_arrays, x, y, path.stem),
                "test": partial(from_arrays, test_x, test_y, path.stem),
            }
    for pair in NPZ_PAIRS:
        if set(pair) <= set(arrays):
            images, labels = (arrays[name] for name in pair)
            return {"all": partial(from_arrays, images, labels, path.stem)}
    raise DataError(
        f"{path}: expected arrays x_train, y_train, x_test, y_test, or x and y; received "
        f"{', '.join(arrays)}"
    )


def from_arrays(x: Array, y: Array, name: str) -> Dataset:
    """Return arrays as a set of pictures (n, c, h, w), with notes on what was assumed.

    Parameters
    ----------
    x : array, shape (n, ...)
        Bytes are divided by 255; pictures may be (n, h, w), and (n, h, w, c) as Keras has them.
    y : array, shape (n,), (n, 1), or (n, classes) with a single 1 in each row
    name : str
    """
    notes: list[str] = []
    if x.dtype == np.uint8:
        x = np.divide(x, np.float32(255), dtype=np.float32)
        if x.ndim < 3:
            notes.append(
                "the samples are bytes, so they are taken for pixels and divided by 255; save "
                "float32 to have them as they are"
            )
    elif x.dtype == np.bool_:
        x = x.astype(np.float32)
    if x.ndim == 3:
        x = x[:, np.newaxis]
        notes.append(f"samples of shape {x.shape[2:]} are taken for grey pictures (h, w)")
    elif x.ndim == 4:
        x, more = _channels_first(x)
        notes += more
    y, more = _labels(y)
    return Dataset(x, y, name=name, notes=notes + more)


def _channels_first(x: Array) -> tuple[Array, list[str]]:
    """Bring pictures to (n, c, h, w) where only the last axis can be the channels."""
    first, _, last = x.shape[1:]
    if last <= 4 and first > 4:
        return x.transpose(0, 3, 1, 2), [
            f"samples of shape {x.shape[1:]} are taken for pictures (h, w, channels)"
        ]
    if last <= 4 and first <= 4:
        return x, [
            f"samples of shape {x.shape[1:]} are taken for pictures (channels, h, w), though the "
            "last axis could be the channels too"
        ]
    return x, []


def _labels(y: Array) -> tuple[Array, list[str]]:
    """Bring labels to (n,)."""
    if y.ndim != 2:
        return y, []
    if y.shape[1] == 1:
        return y[:, 0], []
    is_one_hot = y.dtype.kind in "biuf" and ((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all()
    if not is_one_hot:
        return y, []
    return y.argmax(1), [f"labels have one 1 in each row of {y.shape[1]}: its place is the class"]


# -- tables --------------------------------------------------------------------------------------


def _table_folder(folder: Path, shape: Shape | None, table: Table) -> Halves:
    """Find one table, or one to train on and one to test; empty if pictures are there as well."""
    entries = [entry for entry in _entries(folder) if not is_passed_over(entry.name)]
    tables = [
        entry
        for entry in entries
        if entry.is_file() and {s.lower() for s in entry.suffixes} & {".csv", ".tsv", ".tab"}
    ]
    if not tables or any(entry.is_dir() or is_picture(entry) for entry in entries):
        return {}
    if len(tables) == 1:
        return {"all": partial(_table, tables[0], shape, table)}
    found: dict[str | None, list[Path]] = {}
    for entry in tables:
        found.setdefault(half_within(entry.name), []).append(entry)
    train = found.get("train", [])
    test = found.get("test") or found.get("val") or []
    if len(train) != 1 or len(test) != 1:
        raise DataError(
            f"{folder}: expected one table called train and one called test, found "
            f"{', '.join(entry.name for entry in tables)}; give one of them"
        )
    return {
        "train": partial(_table, train[0], shape, table),
        "test": partial(_table, test[0], shape, table),
    }


def _table(path: Path, shape: Shape | None, table: Table) -> Dataset:
    dataset = read_csv(
        path,
        table.label,
        delimiter=table.delimiter,
        decimal=table.decimal,
        header=table.header,
    )
    return _as_pictures(dataset, shape)


def _as_pictures(dataset: Dataset, shape: Shape | None) -> Dataset:
    """Fold columns that are as many as a picture has pixels, and bring bytes to [0, 1]."""
    x, columns = dataset.x, dataset.x.shape[1]
    if shape == (columns,):
        return dataset
    target = next(_picture_shapes(columns, shape), None)
    if target is None:
        return dataset
    order = "" if target[0] == 1 else ", one channel after the other"
    notes = [f"{columns:,} columns are folded into pictures {target}{order}"]
    is_bytes = x.min() >= 0 and BRIGHT < x.max() <= 255 and (x == np.floor(x)).all()
    if is_bytes:
        x = x / np.float32(255)
        notes.append("whole numbers up to 255 are taken for pixels and divided by 255")
    return Dataset(
        x.reshape(-1, *target),
        dataset.y,
        dataset.classes,
        name=dataset.name,
        notes=(*dataset.notes, *notes),
    )


def _picture_shapes(columns: int, shape: Shape | None) -> Iterator[Shape]:
    """Yield shapes (c, h, w) that a row of a table may have, the likeliest first."""
    if shape is not None and len(shape) == 3:
        channels = (shape[0],) if shape[0] else (1, 3)
        yield from ((c, *shape[1:]) for c in channels if c * shape[1] * shape[2] == columns)
    for c in (1, 3):
        side = math.isqrt(columns // c)
        if side >= SMALLEST_SIDE and c * side * side == columns:
            yield (c, side, side)


# -- pictures ------------------------------------------------------------------------------------


def _picture_folder(folder: Path, shape: Shape | None, prepare: Prepare | None) -> Halves:
    """Find class folders, or such folders within folders called train and test."""
    size = None if shape is None or len(shape) != 3 else (shape[1], shape[2])
    channels: Any = shape[0] if shape is not None and shape[0] in (1, 3) else None
    halves = _halves(folder)
    read = partial(read_image_folder, size=size, channels=channels, prepare=prepare)
    if "train" not in halves or len(halves) < 2:
        (place,) = halves.values() or (folder,)
        return {"all": partial(read, place)}
    first, second = halves["train"], halves.get("test") or halves["val"]
    classes = [[one.name for one in class_folders(place)] for place in (first, second)]
    foreign = [name for name in classes[1] if name not in classes[0]]
    if foreign:
        raise DataError(
            f"{folder}: expected the same class folders in {first.name} and {second.name}, "
            f"received {listed(classes[0])} and {listed(classes[1])}"
        )
    used = (first.name, second.name)
    others = [e.name for e in visible(folder) if e.is_dir() and e.name not in used]
    notes = [f"{', '.join(others)} beside {' and '.join(used)}: left out"] if others else []
    return {
        "train": lambda: read(first).with_notes(*notes),
        "test": lambda: read(second).with_classes(classes[0]),
    }


def _halves(folder: Path) -> dict[str, Path]:
    """Return the folders that are halves of a set; empty if the folders are classes.

    A class may be called "train" as well. What holds folders and no pictures is a half.
    """
    inside = [entry for entry in visible(folder) if entry.is_dir()]
    found: dict[str, Path] = {}
    for entry in inside:
        kind = half(entry.name)
        if kind is None or not _holds_classes(entry):
            continue
        if kind in found:
            raise DataError(
                f"{folder}: expected one folder of each half, found {found[kind].name} and "
                f"{entry.name}; rename one"
            )
        found[kind] = entry
    is_set = "train" in found and len(found) > 1
    return found if is_set or (len(found) == len(inside) == 1) else {}


def _holds_classes(folder: Path) -> bool:
    entries = visible(folder)
    return any(entry.is_dir() for entry in entries) and not any(map(is_picture, entries))


def _entries(folder: Path) -> Sequence[Path]:
    try:
        entries = [entry for entry in folder.iterdir() if not is_passed_over(entry.name)]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from error
    return sorted(entries, key=lambda entry: natural(entry.name))
