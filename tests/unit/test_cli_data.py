"""What `--data` accepts: idx folders, npz files, folders of pictures, and what it refuses."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.commands.datasets import read_data, read_test
from engine.errors import DataError, DtypeError

PIXELS = (np.arange(40 * 6 * 5) % 251).astype(np.uint8).reshape(40, 6, 5)
LABELS = (np.arange(40) % 4).astype(np.uint8)


def write_idx(path: Path, values: np.ndarray) -> None:
    header = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    content = header + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("word", ["t10k", "test"])
def test_an_idx_folder(tmp_path: Path, ending: str, word: str):
    for name, part in (("train", slice(0, 30)), (word, slice(30, 40))):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte{ending}", PIXELS[part])
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte{ending}", LABELS[part])
    data = read_data(str(tmp_path))
    assert (len(data.train), len(data.test), data.classes, data.note) == (30, 10, 4, "")
    assert np.array_equal(data.train.x[:, 0] * 255, PIXELS[:30])
    assert np.array_equal(data.test.y, LABELS[30:])
    assert len(read_test(str(tmp_path))) == 10


def test_an_idx_folder_without_labels_or_with_two_sets(tmp_path: Path):
    write_idx(tmp_path / "train-images-idx3-ubyte", PIXELS)
    with pytest.raises(DataError, match="expected its labels in train-labels-idx1-ubyte"):
        read_data(str(tmp_path))
    write_idx(tmp_path / "letters-train-images-idx3-ubyte", PIXELS)
    with pytest.raises(DataError, match="expected one set of training images, found letters"):
        read_data(str(tmp_path))


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None], LABELS.astype(np.int64)])
@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
)
def test_npz_with_two_halves(tmp_path: Path, names: tuple[str, ...], labels: np.ndarray):
    arrays = (PIXELS[:30], labels[:30], PIXELS[30:], labels[30:])
    np.savez(tmp_path / "set.npz", **dict(zip(names, arrays, strict=True)))
    data = read_data(str(tmp_path / "set.npz"))
    assert (data.train.x.shape, data.test.x.shape) == ((30, 1, 6, 5), (10, 1, 6, 5))
    assert np.array_equal(data.train.y, LABELS[:30])
    assert data.train.x.max() <= 1


def test_npz_with_channels_last_and_floats_as_they_are(tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(20, 6, 5, 3)).astype(np.float32)
    np.savez(tmp_path / "set.npz", images=x, labels=LABELS[:20])
    dataset = read_test(str(tmp_path / "set.npz"))
    assert np.array_equal(dataset.x, x.transpose(0, 3, 1, 2))


def test_a_set_without_halves_holds_samples_out_by_seed(tmp_path: Path):
    np.savez(tmp_path / "set.npz", x=PIXELS, y=LABELS)
    source = str(tmp_path / "set.npz")
    data, again, other = read_data(source, 1), read_data(source, 1), read_data(source, 2)
    assert (len(data.train), len(data.test)) == (36, 4)
    assert "4 of its samples are held out" in data.note
    assert np.array_equal(data.test.x, again.test.x)
    assert not np.array_equal(data.test.x, other.test.x)
    every = np.concatenate([data.train.x, data.test.x]).reshape(40, -1)
    assert len(np.unique(every, axis=0)) == len(np.unique(PIXELS.reshape(40, -1), axis=0))
    assert len(read_test(source)) == 40


@pytest.mark.parametrize(
    ("arrays", "error", "text"),
    [
        ({"a": PIXELS}, DataError, "expected arrays x_train, y_train, x_test, y_test, or x and y"),
        ({"x": PIXELS[:9], "y": LABELS[:9]}, DataError, "expected at least 10 samples"),
        ({"x": PIXELS, "y": LABELS / 2.0}, DtypeError, "expected one class number for each"),
        ({"x": PIXELS, "y": LABELS.astype(int) - 1}, DataError, "expected class numbers from 0"),
        (
            {"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS[:, 1:], "y_test": LABELS},
            DataError,
            r"expected test samples of shape \(1, 6, 5\)",
        ),
    ],
)
def test_npz_that_is_no_set(
    tmp_path: Path, arrays: dict[str, np.ndarray], error: type[Exception], text: str
):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(error, match=text):
        read_data(str(tmp_path / "set.npz"))


def pictures(folder: Path, classes: tuple[str, ...], count: int) -> None:
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            image = Image.new("L", (8, 6), 10 * i + number)
            image.save(folder / name / f"{i:02}.png")


def test_folders_of_pictures(tmp_path: Path):
    pictures(tmp_path / "one", ("cat", "dog"), 10)
    data = read_data(str(tmp_path / "one"))
    assert (len(data.train), len(data.test), data.classes) == (18, 2, 2)
    assert data.train.sample_shape == (1, 6, 8)
    resized = read_data(str(tmp_path / "one"), size=(4, 4))
    assert resized.train.sample_shape == (1, 4, 4)
    assert read_test(str(tmp_path / "one"), (3, 5, 7)).sample_shape == (3, 5, 7)


def test_folders_of_pictures_with_train_and_test(tmp_path: Path):
    pictures(tmp_path / "train", ("cat", "dog"), 3)
    pictures(tmp_path / "test", ("cat", "dog"), 1)
    data = read_data(str(tmp_path))
    assert (len(data.train), len(data.test), data.train.classes) == (6, 2, ("cat", "dog"))
    (tmp_path / "test" / "dog").rename(tmp_path / "test" / "cow")
    with pytest.raises(DataError, match="expected the same class folders in train and test"):
        read_data(str(tmp_path))


def test_mnist():
    test = read_test("mnist")
    assert (len(test), test.sample_shape) == (10_000, (1, 28, 28))
