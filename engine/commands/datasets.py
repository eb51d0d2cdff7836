"""What `--data` means: MNIST, a folder of idx files, an npz file, or a folder of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data import Dataset, load_idx, load_mnist, load_mnist_split
from engine.data.readers import read_image_folder, read_npz
from engine.errors import DataError, DtypeError
from engine.random import generator
from engine.typing import Array, Shape

HELD_OUT = 10
"""Of a set without a test half, one in so many samples is kept for testing."""

NPZ_NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)
NPZ_PAIRS = (("x", "y"), ("images", "labels"))
TEST_WORDS = ("t10k", "test", "val")


@dataclass(frozen=True)
class Data:
    """A training and a test set.

    Parameters
    ----------
    train, test : Dataset
    classes : int
        How many classes the labels of both have.
    note : str
        What a reader should know about where the sets come from, or empty.
    """

    train: Dataset
    test: Dataset
    classes: int
    note: str = ""


def read_data(source: str, seed: int = 0, size: tuple[int, int] | None = None) -> Data:
    """Read what `--data` names, for training.

    Parameters
    ----------
    source : str
        ``"mnist"`` or a path.
    seed : int
        Decides which samples are held out where there is no test set.
    size : (int, int), optional
        Height and width that pictures of a folder are resampled to.

    Raises
    ------
    EngineError
        If there are no such data, or they are damaged or of no use for training.
    """
    parts = _read(source, None if size is None else (0, *size))
    if len(parts) == 2:
        train, test = parts
        note = ""
    else:
        train, test = _split(parts[0], source, seed)
        note = f"{source} has no test set: {len(test):,} of its samples are held out"
    classes = 0
    for dataset in (train, test):
        if dataset.y.ndim != 1 or dataset.y.dtype != np.int64:
            raise DtypeError(
                f"{source}: expected one class number for each sample, received {dataset.y.dtype} "
                f"of shape {dataset.y.shape}; give labels as integers"
            )
        if dataset.y.min() < 0:
            raise DataError(f"{source}: expected class numbers from 0, received {dataset.y.min()}")
        classes = max(classes, int(dataset.y.max()) + 1, len(dataset.classes or ()))
    if train.sample_shape != test.sample_shape:
        raise DataError(
            f"{source}: expected test samples of shape {train.sample_shape} like those to train "
            f"on, received {test.sample_shape}"
        )
    return Data(train, test, classes, note)


def read_test(source: str, input_shape: Shape | None = None) -> Dataset:
    """Read the test half of what `--data` names, or all of it if it has no halves.

    Parameters
    ----------
    source : str
        ``"mnist"`` or a path.
    input_shape : (c, h, w), optional
        What pictures of a folder are brought to.
    """
    if source == "mnist":
        return load_mnist_split("test")
    return _read(source, input_shape)[-1]


def _read(source: str, shape: Shape | None) -> tuple[Dataset, ...]:
    """Return (train, test), or the one set there is."""
    if source == "mnist":
        return load_mnist()
    path = Path(source)
    if path.suffix.lower() == ".npz" or path.is_file():
        return _read_npz(path)
    if not path.is_dir():
        raise DataError(
            f"--data: expected mnist, a folder or an npz file, received {source!r}; there is no "
            "such folder"
        )
    return _read_idx_folder(path) or _read_pictures(path, shape)


def _split(dataset: Dataset, source: str, seed: int) -> tuple[Dataset, Dataset]:
    """Hold some samples out; the same ones for the same seed."""
    count = len(dataset) // HELD_OUT
    if not count:
        raise DataError(
            f"{source}: expected at least {HELD_OUT} samples to train on and to hold some out, "
            f"received {len(dataset)}"
        )
    order = generator(seed, "split").permutation(len(dataset))
    return dataset.subset(np.sort(order[count:])), dataset.subset(np.sort(order[:count]))


# -- idx -----------------------------------------------------------------------------------------


def _read_idx_folder(folder: Path) -> tuple[Dataset, ...]:
    """Return the sets of a folder of idx files; empty if it holds none."""
    found: dict[bool, Path] = {}
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from error
    for images in entries:
        name = images.name.lower()
        if "images" not in name or "idx3" not in name or name.startswith("."):
            continue
        is_test = any(word in name for word in TEST_WORDS)
        if is_test in found:
            raise DataError(
                f"{folder}: expected one set of {'test' if is_test else 'training'} images, found "
                f"{found[is_test].name} and {images.name}; put each pair into a folder of its own"
            )
        found[is_test] = images
    return tuple(_read_pair(found[is_test]) for is_test in sorted(found))


def _read_pair(images: Path) -> Dataset:
    """Read images and the labels beside them."""
    wanted = images.name.replace("images", "labels").replace("idx3", "idx1")
    stem = wanted.removesuffix(".gz")
    for name in (wanted, stem, f"{stem}.gz"):
        if (images.parent / name).is_file():
            return load_idx(images, images.parent / name)
    raise DataError(f"{images}: expected its labels in {wanted} beside it, there is no such file")


# -- npz -----------------------------------------------------------------------------------------


def _read_npz(path: Path) -> tuple[Dataset, ...]:
    arrays = read_npz(path)
    for names in NPZ_NAMES:
        if set(names) <= set(arrays):
            x, y, test_x, test_y = (arrays[name] for name in names)
            return _from_arrays(path, x, y), _from_arrays(path, test_x, test_y)
    for pair in NPZ_PAIRS:
        if set(pair) <= set(arrays):
            return (_from_arrays(path, arrays[pair[0]], arrays[pair[1]]),)
    raise DataError(
        f"{path}: expected arrays x_train, y_train, x_test, y_test, or x and y; received "
        f"{', '.join(arrays)}"
    )


def _from_arrays(path: Path, x: Array, y: Array) -> Dataset:
    """Return arrays as a set of pictures (n, c, h, w) in [0, 1]."""
    if x.dtype == np.uint8:
        x = np.divide(x, np.float32(255), dtype=np.float32)
    elif x.dtype == np.bool_:
        x = x.astype(np.float32)
    if x.ndim == 3:
        x = x[:, np.newaxis]
    elif x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        x = x.transpose(0, 3, 1, 2)  # as Keras has it: channels last
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    return Dataset(x, y, name=path.stem)


# -- pictures ------------------------------------------------------------------------------------


def _read_pictures(folder: Path, shape: Shape | None) -> tuple[Dataset, ...]:
    """Read class folders, or such folders within ``train`` and ``test``."""
    size = None if shape is None or len(shape) != 3 else (shape[1], shape[2])
    channels = shape[0] if shape is not None and shape[0] in (1, 3) else None
    halves = [folder / "train", *(folder / word for word in ("test", "val"))]
    present = [half for half in halves if half.is_dir()]
    folders = present[:2] if len(present) >= 2 and present[0].name == "train" else [folder]
    sets = tuple(read_image_folder(one, size, channels) for one in folders)  # type: ignore[arg-type]
    if len(sets) == 2 and sets[0].classes != sets[1].classes:
        names = [", ".join(one.classes or ()) for one in sets]
        raise DataError(
            f"{folder}: expected the same class folders in {folders[0].name} and "
            f"{folders[1].name}, received {names[0]} and {names[1]}"
        )
    return sets
