"""CIFAR's binary version; the version for Python is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from engine.data.readers import read_cifar, read_cifar_folder
from engine.errors import ConfigurationError, DataError, FormatError
from tests.unit import damage

PIXELS = 3 * 32 * 32


def records(labels: list[tuple[int, ...]]) -> tuple[bytes, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 3, 32, 32), dtype=np.uint8)
    pairs = zip(labels, images, strict=True)
    return b"".join(bytes(label) + image.tobytes() for label, image in pairs), images


def test_cifar10(tmp_path):
    content, images = records([(6,), (9,), (0,)])
    file = tmp_path / "data_batch_1.bin"
    file.write_bytes(content)
    for data in (read_cifar(file), read_cifar(file, "cifar10")):
        assert np.array_equal(data.x, images / np.float32(255))
        assert data.x.dtype == np.float32
        assert data.y.tolist() == [6, 9, 0]
        assert data.classes is not None
        assert [data.classes[y] for y in data.y] == ["frog", "truck", "airplane"]


def test_cifar100(tmp_path):
    content, images = records([(3, 42), (19, 99)])
    file = tmp_path / "train.bin"
    file.write_bytes(content)
    data = read_cifar(file)
    assert np.array_equal(data.x, images / np.float32(255))
    assert data.y.tolist() == [42, 99]
    assert read_cifar(file, coarse=True).y.tolist() == [3, 19]


def test_truncated_in_the_middle_of_a_record(tmp_path):
    content, _ = records([(1,), (2,)])
    file = tmp_path / "batch.bin"
    file.write_bytes(content)
    complete = range(PIXELS + 1, PIXELS + 2)  # one whole record is a smaller set, and no damage
    lengths = [n for n in range(0, len(content), 97) if n not in complete] + [PIXELS, PIXELS + 2]
    damage.refused_when_truncated(lambda p: read_cifar(p, "cifar10"), file, lengths)
    file.write_bytes(content[:-1])
    damage.refused(read_cifar, file, "records of 3,073 bytes .CIFAR-10. or 3,074 .CIFAR-100.")


def test_labels_without_a_class(tmp_path):
    file = tmp_path / "batch.bin"
    file.write_bytes(records([(1,), (10,)])[0])
    damage.refused(read_cifar, file, "record 1 has label 10, expected 0 to 9")
    file.write_bytes(records([(1, 2), (20, 3)])[0])
    damage.refused(read_cifar, file, "record 1 has label 20, expected 0 to 19")
    file.write_bytes(records([(1, 2), (2, 100)])[0])
    damage.refused(read_cifar, file, "record 1 has label 100, expected 0 to 99")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_version_for_python_is_refused(tmp_path, protocol: int):
    batch = {b"data": np.zeros((1, PIXELS), np.uint8), b"labels": [1]}
    file = tmp_path / "data_batch_1"
    file.write_bytes(pickle.dumps(batch, protocol))
    damage.refused(
        read_cifar, file, "refused because loading it can run code.*use the binary version"
    )


def test_an_archive_is_refused(tmp_path):
    file = tmp_path / "cifar-10-binary.tar.gz"
    file.write_bytes(b"\x1f\x8b" + b"\0" * 40)
    damage.refused(read_cifar, file, "this is an archive; unpack it")


def test_what_is_no_file(tmp_path):
    damage.refuses_what_is_no_file(read_cifar, tmp_path)


def folder_of(tmp_path, **files):
    for name, labels in files.items():
        (tmp_path / f"{name}.bin").write_bytes(records(labels)[0])
    return tmp_path


def test_a_folder_of_cifar10(tmp_path):
    batches = {f"data_batch_{n}": [(n,), (0,)] for n in range(1, 6)}
    folder = folder_of(tmp_path, **batches, test_batch=[(7,)])
    train, test = read_cifar_folder(folder)
    assert train.y.tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    assert test.y.tolist() == [7]
    assert train.classes == test.classes
    assert (train.notes, train.name, test.name) == ((), "cifar10 train", "cifar10 test")
    assert np.array_equal(train.x[4:6], read_cifar(folder / "data_batch_3.bin").x)
    assert read_cifar_folder(folder, test=False)[1] is None
    (folder / "test_batch.bin").unlink()
    (folder / "data_batch_4.bin").unlink()
    train, none = read_cifar_folder(folder)
    assert none is None
    assert train.notes[0].startswith("4 of 5 training files are there: data_batch_1.bin")


def test_a_folder_of_cifar100_and_its_names(tmp_path):
    folder = folder_of(tmp_path, train=[(3, 42), (19, 99)], test=[(0, 1)])
    assert read_cifar_folder(folder)[0].classes is None
    fine, coarse = ([f"{kind}{n}" for n in range(c)] for kind, c in (("f", 100), ("c", 20)))
    (folder / "fine_label_names.txt").write_text("\n".join(fine))
    (folder / "coarse_label_names.txt").write_text("\n".join(coarse))
    train, test = read_cifar_folder(folder)
    assert train.classes == test.classes == tuple(fine)
    assert train.y.tolist() == [42, 99]
    train, test = read_cifar_folder(folder, coarse=True)
    assert train.classes == tuple(coarse)
    assert (train.y.tolist(), test.y.tolist(), train.notes) == ([3, 19], [0], ())
    for spoilt in ("a\na\n", "\n".join(fine[1:]), "x" * 200_000, "\xff"):
        (folder / "fine_label_names.txt").write_text(spoilt, encoding="latin-1")
        assert read_cifar_folder(folder)[0].classes is None


def test_folders_without_batches(tmp_path):
    damage.refused(read_cifar_folder, tmp_path, "expected CIFAR's binary files", DataError)
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({}, 2))
    damage.refused(read_cifar_folder, tmp_path, "version for Python, which is refused", FormatError)
    assert read_cifar_folder(folder_of(tmp_path, data_batch_1=[(1,)]))[0].y.tolist() == [1]


def test_variants(tmp_path):
    file = tmp_path / "both.bin"
    file.write_bytes(bytes(3073 * 3074))
    with pytest.raises(ConfigurationError, match="fit CIFAR-10 as well as CIFAR-100"):
        read_cifar(file)
    assert len(read_cifar(file, "cifar100")) == 3073
    with pytest.raises(ConfigurationError, match="expected variant cifar10 or cifar100"):
        read_cifar(file, "cifar11")


def test_a_setting_without_effect_is_refused(tmp_path):
    file = tmp_path / "data_batch_1.bin"
    file.write_bytes(bytes(3073))
    for read, path in ((read_cifar, file), (read_cifar_folder, tmp_path)):
        with pytest.raises(ConfigurationError, match="coarse: CIFAR-10 has one label a picture"):
            read(path, coarse=True)
