"""npz and npy: round trips without pickle, truncation, bombs and lies."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.data.readers import read_npy, read_npz
from tests.unit import damage

NAMES = ["bool", "u1", "<i2", ">i4", "i8", "f2", "<f4", ">f8", "<U3", "S2"]
ANY = st.sampled_from(NAMES).flatmap(
    lambda name: arrays.arrays(name, arrays.array_shapes(min_dims=0, max_dims=3, max_side=4))
)


def npy(values: np.ndarray, **settings: object) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, **settings)
    return stream.getvalue()


def npy_header(text: str, version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode()


def archive_of(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@given(ANY, ANY, st.booleans(), st.booleans())
def test_round_trip(first, second, packed: bool, fortran: bool):
    if fortran:
        first = np.asfortranarray(first)
    file = Path("unused")
    stream = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(stream, x=first, y=second)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.data.readers.npz.read_bytes", lambda path: stream.getvalue())
        result = read_npz(file)
    assert list(result) == ["x", "y"]
    for found, expected in zip(result.values(), (first, second), strict=True):
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype.newbyteorder("=")
        assert found.dtype.isnative
        assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")


def test_npy(tmp_path):
    values = np.arange(6, dtype=">f4").reshape(2, 3)
    file = tmp_path / "one.npy"
    np.save(file, values)
    assert np.array_equal(read_npy(file), values)
    read_npy(file)[0, 0] = 5  # the array belongs to the caller
    damage.refused(read_npz, file, "a single npy array; use read_npy")
    damage.refused_when_truncated(read_npy, file)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_truncated_at_every_length(tmp_path, save):
    file = tmp_path / "whole.npz"
    save(file, x=np.arange(40, dtype=np.float32), y=np.arange(5))
    damage.refused_when_truncated(read_npz, file)


@pytest.mark.parametrize("read", [read_npz, read_npy])
def test_what_is_no_file(tmp_path, read):
    damage.refuses_what_is_no_file(read, tmp_path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_flipped_byte(tmp_path, save):
    file = tmp_path / "whole.npz"
    save(file, x=np.arange(12, dtype=np.float32))
    whole = file.read_bytes()
    refused = damage.refused_or_read(read_npz, file, damage.damaged_bytes(whole))
    assert refused > len(whole)  # dates and the like may be anything


@pytest.mark.parametrize("version", [1, 2])
def test_python_objects_are_refused(tmp_path, version: int):
    """Loading this would run code: it must fail before anything is unpickled."""

    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "attacked",))

    body = pickle.dumps(np.array([Attack()], object))
    text = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
    file = archive_of(tmp_path / "objects.npz", ("x.npy", npy_header(text, version) + body))
    message = damage.refused(read_npz, file, "x.npy: holds Python objects, which are never loaded")
    assert "numeric arrays only" in message
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "truncated or damaged"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "numbers or text"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "received complex64"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "numbers or text"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': 2, }", "no intact npy header"),
        ("{'descr': '<f4', 'shape': (2,), }", "no intact npy header"),
        ("__import__('os').getcwd()", "no intact npy header"),
        ("{" * 500, "no intact npy header"),
        ("(" * 9000, "no intact npy header"),
        ("x" * 20_000, "no intact npy header"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }" + " " * 20_000, "header"),
    ],
)
def test_wrong_headers(tmp_path, text: str, expected: str):
    content = npy_header(text + "\n") + b"\0" * 8
    damage.refused(read_npz, archive_of(tmp_path / "wrong.npz", ("x.npy", content)), expected)


@pytest.mark.parametrize("shape", ["(2**40,)", "(1099511627776,)", "(4294967295,) * 3"])
def test_huge_shapes_take_no_memory(tmp_path, shape: str):
    dims = ", ".join(str(n) for n in eval(shape))
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({dims},), }}\n"
    file = archive_of(tmp_path / "huge.npz", ("x.npy", npy_header(text)))
    damage.refused_cheaply(read_npz, file, "the header declares float64 of shape")


def test_an_archive_that_unpacks_to_too_much(tmp_path, monkeypatch):
    file = tmp_path / "large.npz"
    np.savez_compressed(file, x=np.zeros(10_000), y=np.zeros(10_000))
    monkeypatch.setattr("engine.data.readers.files.MAX_BYTES", 100_000)
    damage.refused_cheaply(read_npz, file, "at most 100,000 are read")


def test_a_bomb_is_not_unpacked(tmp_path):
    """1.6 GB of zeros in 1.6 MB, as zip writes them: refused by what it declares."""
    file = tmp_path / "bomb.npz"
    header = npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1600000000,), }\n")
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(header)
        zeros = bytes(10**7)
        for _ in range(160):
            member.write(zeros)
    limit = file.stat().st_size + 2**20
    damage.refused_cheaply(read_npz, file, "x.npy: .* packed bytes declare 1,600,000,", limit)


def test_many_small_bombs_are_one(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.data.readers.files.PACKED_FREELY", 500_000)
    file = tmp_path / "bombs.npz"
    np.savez_compressed(file, **{f"x{i}": np.zeros(50_000, np.uint8) for i in range(8)})
    assert len(read_npz(file)) == 8
    np.savez_compressed(file, **{f"x{i}": np.zeros(50_000, np.uint8) for i in range(11)})
    damage.refused_cheaply(read_npz, file, "packed bytes declare 551,4")
    np.savez_compressed(file, x=np.random.default_rng(0).random(100_000))
    assert read_npz(file)["x"].size == 100_000  # real data are never packed so well


def test_members_that_overlap(tmp_path):
    """One packed array that the directory lists many times, under names of the same length."""
    whole = archive_of(tmp_path / "x.npz", ("x00.npy", npy(np.zeros(20_000)))).read_bytes()
    start, end = whole.index(b"PK\x01\x02"), whole.rindex(b"PK\x05\x06")
    entry = whole[start:end]
    entries = b"".join(entry.replace(b"x00", b"x%02d" % i) for i in range(9))
    tail = bytearray(whole[end:])
    struct.pack_into("<HHI", tail, 8, 9, 9, len(entries))
    file = tmp_path / "overlap.npz"
    file.write_bytes(whole[:start] + entries + bytes(tail))
    damage.refused_cheaply(read_npz, file, "overlap, or the file is truncated|no intact npz")


def test_a_member_that_lies_about_its_size(tmp_path):
    whole = archive_of(tmp_path / "lie.npz", ("x.npy", npy(np.zeros(8)))).read_bytes()
    directory = whole.rindex(b"PK\x01\x02")
    lie = whole[: directory + 24] + struct.pack("<I", 2**31) + whole[directory + 28 :]
    file = tmp_path / "lie.npz"
    file.write_bytes(lie)
    damage.refused_cheaply(read_npz, file, "more than .* packed bytes can hold")


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ([], "the archive is empty"),
        ([("x.txt", b"hello")], "expected only npy arrays in the archive"),
        ([("x.npy", b"")], "no intact npy header"),
        ([("x.npy", npy(np.zeros(3)) + b"tail")], "truncated or damaged"),
    ],
)
def test_wrong_members(tmp_path, members, text: str):
    damage.refused(read_npz, archive_of(tmp_path / "wrong.npz", *members), text)


def test_two_arrays_of_one_name(tmp_path):
    content = npy(np.zeros(3))
    with pytest.warns(UserWarning, match="Duplicate name"):
        file = archive_of(tmp_path / "twice.npz", ("x.npy", content), ("x.npy", content))
    damage.refused(read_npz, file, "two arrays of this name")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, method: int):
    file = archive_of(tmp_path / "other.npz", ("x.npy", npy(np.zeros(3))), method=method)
    damage.refused(read_npz, file, "stored or deflated")


def test_encrypted_members(tmp_path):
    whole = bytearray(archive_of(tmp_path / "x.npz", ("x.npy", npy(np.zeros(3)))).read_bytes())
    whole[whole.rindex(b"PK\x01\x02") + 8] |= 1
    file = tmp_path / "encrypted.npz"
    file.write_bytes(bytes(whole))
    damage.refused(read_npz, file, "is encrypted")
