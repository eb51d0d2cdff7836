"""The bundled digits, and other sets in the same format."""

from __future__ import annotations

import hashlib
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.data import Dataset, bundled, load_idx, load_mnist, load_mnist_split
from engine.errors import DataError, FormatError, ShapeError


@pytest.fixture(scope="module")
def mnist() -> tuple[Dataset, Dataset]:
    return load_mnist()


def test_shapes_types_and_range(mnist):
    for data, count in zip(mnist, (60_000, 10_000), strict=True):
        assert data.x.shape == (count, 1, 28, 28)
        assert data.x.dtype == np.float32
        assert data.y.shape == (count,)
        assert data.y.dtype == np.int64
        assert (data.x.min(), data.x.max()) == (0, 1)
        assert data.classes == tuple("0123456789")


def test_it_is_the_real_set(mnist):
    train, test = mnist
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]  # as published
    assert np.bincount(train.y).tolist() == counts
    assert train.y[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert test.y[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    # The pixels of the original file, to the byte.
    stored = np.rint(test.x * 255).astype(np.uint8)
    file = struct.pack(">4B3I", 0, 0, 8, 3, 10_000, 28, 28) + stored.tobytes()
    assert hashlib.md5(file, usedforsecurity=False).hexdigest().startswith("2646ac64")


def test_one_half_alone(mnist):
    assert load_mnist_split("test").fingerprint() == mnist[1].fingerprint()


def test_files_that_are_missing(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="missing from this installation"):
        bundled.path("no such net.safetensors")
    monkeypatch.setattr(bundled.resources, "files", lambda package: tmp_path)
    with pytest.raises(DataError, match="'mnist' is missing"):
        load_mnist()


def test_bundled_files_have_a_path():
    assert bundled.path("LICENSES.md").read_text().startswith("#")


def test_a_package_inside_an_archive(monkeypatch, tmp_path):
    """Without files of its own the data are still read; only a path cannot be given."""
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("packed_data/__init__.py", "")
        for file in Path(bundled.__file__).parent.glob("mnist/t10k*"):
            packed.write(file, f"packed_data/mnist/{file.name}")
        packed.writestr("packed_data/net.safetensors", b"")
    monkeypatch.setattr(sys, "path", [str(archive), *sys.path])
    monkeypatch.setattr(bundled, "__name__", "packed_data")
    assert len(load_mnist_split("test")) == 10_000
    with pytest.raises(DataError, match="inside an archive"):
        bundled.path("net.safetensors")


def write_idx(path: Path, values: np.ndarray) -> Path:
    path.write_bytes(
        struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
    )
    return path


def test_own_files(tmp_path):
    grey = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    images = write_idx(tmp_path / "images", grey)
    labels = write_idx(tmp_path / "labels", np.array([1, 0], np.uint8))
    data = load_idx(images, labels, ["shirt", "shoe"])
    assert np.array_equal(data.x, (grey / np.float32(255))[:, None])
    assert data.y.tolist() == [1, 0]
    colours = write_idx(tmp_path / "colours", np.zeros((2, 3, 5, 5), np.uint8))
    assert load_idx(colours, labels).x.shape == (2, 3, 5, 5)
    with pytest.raises(FormatError, match=r"labels: .* have images and labels changed places"):
        load_idx(labels, images)
    with pytest.raises(FormatError, match=r"images: expected one integer label an image"):
        load_idx(images, images)
    with pytest.raises(ShapeError, match="one target for each of the 2 samples"):
        load_idx(images, write_idx(tmp_path / "more", np.zeros(3, np.uint8)))


def test_labels_below_the_first_have_no_class(tmp_path):
    images = write_idx(tmp_path / "images", np.zeros((2, 3, 3), np.uint8))
    labels = write_idx(tmp_path / "labels", np.array([1, 2], np.uint8))
    assert load_idx(images, labels, first_label=1).y.tolist() == [0, 1]
    with pytest.raises(DataError, match=r"labels: expected labels from first_label=2 on, .* 1"):
        load_idx(images, labels, first_label=2)
    none = write_idx(tmp_path / "none", np.zeros(0, np.uint8))
    with pytest.raises(DataError, match="there are no labels in it"):
        load_idx(images, none)
