"""idx and idx.gz: every type and rank, and every way in which a file can be wrong."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.data.readers import read_idx
from engine.data.readers.idx import TYPES, parse_idx
from tests.unit import damage


def idx(values: np.ndarray) -> bytes:
    code = next(
        code for code, name in TYPES.items() if np.dtype(name) == values.dtype.newbyteorder(">")
    )
    header = struct.pack(f">4B{values.ndim}I", 0, 0, code, values.ndim, *values.shape)
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


def header(*shape: int, code: int = 0x08) -> bytes:
    return struct.pack(f">4B{len(shape)}I", 0, 0, code, len(shape), *shape)


@given(
    st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]).flatmap(
        lambda name: arrays.arrays(name, arrays.array_shapes(min_dims=1, max_dims=4, max_side=5))
    ),
    st.booleans(),
)
def test_round_trip(values: np.ndarray, packed: bool):
    content = gzip.compress(idx(values)) if packed else idx(values)
    result = parse_idx(content, "file")
    assert result.dtype == values.dtype
    assert result.dtype.isnative
    assert result.shape == values.shape
    assert result.tobytes() == values.tobytes()


def test_from_a_path_of_any_kind(tmp_path):
    file = tmp_path / "übung 1.idx"
    file.write_bytes(idx(np.arange(6, dtype=np.uint8).reshape(2, 3)))
    for path in (file, str(file)):
        result = read_idx(path)
        assert result.tolist() == [[0, 1, 2], [3, 4, 5]]
        result[0, 0] = 7  # the reader's array belongs to the caller


def test_several_gzip_members(tmp_path):
    whole = idx(np.arange(60, dtype=np.int16).reshape(3, 20))
    file = tmp_path / "members.gz"
    file.write_bytes(b"".join(gzip.compress(whole[i : i + 13]) for i in range(0, len(whole), 13)))
    assert read_idx(file)[2, 19] == 59


@pytest.mark.parametrize("packed", [False, True])
def test_truncated_at_every_length(tmp_path, packed: bool):
    whole = idx(np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6))
    file = tmp_path / "whole.idx"
    file.write_bytes(gzip.compress(whole) if packed else whole)
    damage.refused_when_truncated(read_idx, file)


def test_what_is_no_file(tmp_path):
    damage.refuses_what_is_no_file(read_idx, tmp_path)


def test_every_flipped_byte(tmp_path):
    whole = idx(np.arange(40, dtype=np.uint8).reshape(2, 20))
    file = tmp_path / "flipped"
    # A header of 12 bytes, of which one change gives another type of the same size; what is wrong
    # within the values cannot be seen in a plain file.
    refused = damage.refused_or_read(read_idx, file, damage.damaged_bytes(whole))
    assert refused == 2 * 12 - 1
    packed = gzip.compress(whole)
    refused = damage.refused_or_read(read_idx, file, damage.damaged_bytes(packed))
    # Time, flags for the file system and the name of it are in no checksum.
    assert refused >= 2 * (len(packed) - 10)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x00\x01" + header(1)[2:] + b"x", "no idx file; expected two zero bytes.*00 01 08 01"),
        (header(1, code=0x0A) + b"x", "no idx file"),
        (struct.pack(">4B", 0, 0, 8, 0) + b"x", "expected 1 to 32 axes, the header declares 0"),
        (struct.pack(">4B", 0, 0, 8, 33) + b"\0" * 200, "the header declares 33"),
        (header(2, 2) + b"12345", r"shape \(2, 2\), 16 bytes, received over 16; more data follow"),
        (header(2, 2) + b"123", "received 15; the file is truncated"),
        (gzip.compress(header(2, 2) + b"12345"), "more data follow"),
        (gzip.compress(header(2, 2) + b"1234") + b"tail", "the gzip data are damaged"),
        (gzip.compress(header(2, 2) + b"1234")[:-8] + b"\0" * 8, "the gzip data are damaged"),
    ],
)
def test_wrong_content(tmp_path, content: bytes, text: str):
    file = tmp_path / "wrong"
    file.write_bytes(content)
    damage.refused(read_idx, file, text)


@pytest.mark.parametrize("shape", [(2**31,), (2**32 - 1,) * 8, (60_000, 28, 28)])
@pytest.mark.parametrize("code", [0x08, 0x0E])
def test_huge_sizes_take_no_memory(tmp_path, shape: tuple[int, ...], code: int):
    file = tmp_path / "huge"
    file.write_bytes(header(*shape, code=code) + b"\0" * 100)
    damage.refused_cheaply(read_idx, file, "the file is truncated")
    file.write_bytes(gzip.compress(header(*shape, code=code) + b"\0" * 100))
    damage.refused_cheaply(read_idx, file, "more than .* packed bytes can hold")


def test_a_bomb_is_not_unpacked(tmp_path):
    """100 MB of zeros in 100 kB: unpacking stops at what the header declares."""
    file = tmp_path / "bomb"
    file.write_bytes(gzip.compress(header(10) + b"\0" * 100_000_000, compresslevel=9))
    damage.refused_cheaply(read_idx, file, "over 18; more data follow")


def test_what_packs_too_well_is_no_picture(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.data.readers.files.PACKED_FREELY", 100_000)
    file = tmp_path / "zeros.gz"
    file.write_bytes(gzip.compress(idx(np.zeros((1000, 28, 28), np.uint8))))
    damage.refused_cheaply(read_idx, file, "packed bytes declare 784,016, more than data ever")
    monkeypatch.undo()
    assert read_idx(file).shape == (1000, 28, 28)


def test_more_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.data.readers.files.MAX_BYTES", 1000)
    file = tmp_path / "large"
    file.write_bytes(idx(np.zeros(2000, np.uint8)))
    damage.refused(read_idx, file, "holds 2,008 bytes; at most 1,000 are read")
    file.write_bytes(gzip.compress(idx(np.zeros(2000, np.uint8))))
    damage.refused(read_idx, file, "holds 2,008 bytes; at most 1,000 are read")


def test_a_sparse_file_that_claims_to_be_large(tmp_path):
    file = tmp_path / "sparse"
    with Path(file).open("wb") as stream:
        stream.truncate(2**40)
    damage.refused_cheaply(read_idx, file, "at most 4,294,967,296 are read")
