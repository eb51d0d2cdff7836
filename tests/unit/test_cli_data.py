"""What `--data` accepts: idx folders, npz files, folders of pictures, and what it refuses."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.commands.datasets import read_data, read_test
from engine.commands.sources import Table, table_of
from engine.errors import DataError, DtypeError, FormatError

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


def table(path: Path, count: int = 40, label: str = "{k}", first: str = "") -> Path:
    """Write rows of 64 pixels and a label."""
    pixels = (7 * np.arange(count * 64).reshape(count, 64) + 9) % 251
    lines = [f"{','.join(map(str, row))},{label.format(k=i % 3)}" for i, row in enumerate(pixels)]
    path.write_text("\n".join([first, *lines] if first else lines))
    return path


def test_tables(tmp_path: Path):
    data = read_data(str(table(tmp_path / "set.csv")))
    assert (len(data.train), len(data.test), data.classes) == (36, 4, 3)
    assert data.train.sample_shape == (1, 8, 8)
    assert data.train.x.max() <= 1
    assert data.notes[0].endswith("4 of its samples are held out")
    assert len(data.notes) == len(set(data.notes)) == 4
    flat = read_test(str(tmp_path / "set.csv"), (64,))
    assert flat.x.shape == (40, 64)
    assert flat.x.max() == 250
    assert read_test(str(tmp_path / "set.csv"), (1, 4, 16)).sample_shape == (1, 4, 16)
    assert read_data(str(tmp_path / "set.csv"), size=(2, 32)).train.sample_shape == (1, 2, 32)
    renamed = tmp_path / "set"
    (tmp_path / "set.csv").rename(renamed)
    assert len(read_test(str(renamed))) == 40  # its content shows what it is


def test_words_are_numbered_alike_in_both_halves(tmp_path: Path):
    table(tmp_path / "train.csv", label="cat{k}")
    table(tmp_path / "test.csv", 12, label="cat2")
    data = read_data(str(tmp_path))
    assert data.train.classes == data.test.classes == ("cat0", "cat1", "cat2")
    assert data.test.y.tolist() == [2] * 12
    table(tmp_path / "test.csv", 12)
    with pytest.raises(DataError, match="of one kind in both halves, received words to train"):
        read_data(str(tmp_path))


def test_pictures_beside_a_table_are_pictures(tmp_path: Path):
    pictures(tmp_path, ("cat", "dog"), 10)
    table(tmp_path / "labels.csv")
    assert read_test(str(tmp_path)).classes == ("cat", "dog")


def test_the_words_of_the_command_line():
    assert table_of("0", "tab", ",", True) == Table(0, "\t", ",", True)
    assert table_of("-2", "space", None, False) == Table(-2, " ", None, False)
    assert table_of("kind", ";", None, None) == Table("kind", ";", None, None)
    assert table_of(None, None, None, None) == Table()


def cifar(path: Path, labels: list[int]) -> None:
    pixels = np.arange(3072, dtype=np.uint8)
    path.write_bytes(b"".join(bytes([label]) + pixels.tobytes() for label in labels))


def test_cifar(tmp_path: Path):
    cifar(tmp_path / "data_batch_1.bin", [1, 2, 3])
    cifar(tmp_path / "test_batch.bin", [4])
    data = read_data(str(tmp_path))
    assert (data.train.y.tolist(), data.test.y.tolist(), data.classes) == ([1, 2, 3], [4], 10)
    assert read_test(str(tmp_path)).y.tolist() == [4]
    assert read_test(str(tmp_path / "data_batch_1.bin")).y.tolist() == [1, 2, 3]
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(FormatError, match="version for Python, which is refused"):
        read_test(str(tmp_path / "data_batch_1"))


def test_a_single_pair_of_idx_files(tmp_path: Path):
    write_idx(tmp_path / "a-images-idx3-ubyte.gz", PIXELS)
    write_idx(tmp_path / "a-labels-idx1-ubyte", LABELS)
    assert len(read_test(str(tmp_path / "a-images-idx3-ubyte.gz"))) == 40


@pytest.mark.parametrize("name", ["none.csv", "none.npz", "none", "x" * 300, "a\0b"])
def test_what_is_not_there(tmp_path: Path, name: str):
    with pytest.raises(DataError, match="there is no such f") as caught:
        read_data(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extra", ["one", "train"])
def test_only_half_of_a_set_is_a_set(tmp_path: Path, extra: str):
    pictures(tmp_path / extra, ("cat", "dog"), 10)
    place = tmp_path if extra == "train" else tmp_path / "one"
    assert read_test(str(place)).classes == ("cat", "dog")


def test_mnist():
    test = read_test("mnist")
    assert (len(test), test.sample_shape) == (10_000, (1, 28, 28))
