"""NumPy's npz archives and npy files, read without any of Python's object serialisation."""

from __future__ import annotations

import io
import math
import zipfile
from os import PathLike
from typing import BinaryIO, cast

import numpy as np

from engine.data.readers.files import (
    DEFLATE_RATIO,
    as_path,
    check_packing,
    check_size,
    in_one_line,
    read_bytes,
)
from engine.errors import FormatError
from engine.typing import Array

NPY_MAGIC = b"\x93NUMPY"

MAX_HEADER_BYTES = 10_000
"""NumPy's own limit; a header holds a type and a shape."""

PICKLE_ADVICE = (
    "holds Python objects, which are never loaded because that could run code from the file; "
    "save it again with numeric arrays only"
)


def read_npz(path: str | PathLike[str]) -> dict[str, Array]:
    """Read all arrays of an npz archive.

    Parameters
    ----------
    path : path
        Written by `numpy.savez` or `numpy.savez_compressed`.

    Returns
    -------
    dict of str to array
        Name to array, in the order of the archive.

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read.
    FormatError
        If the file is no such archive, truncated, damaged, too large, or holds Python objects.
    """
    place = as_path(path, "read_npz path")
    content, name = read_bytes(place), str(place)
    if content.startswith(NPY_MAGIC):
        raise FormatError(f"{name}: this is a single npy array; use read_npy")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_members(members, len(content), name)
            return {
                member.filename.removesuffix(".npy"): _read_member(archive, member, name)
                for member in members
            }
    except FormatError:
        raise
    # Damage inside an archive surfaces as half a dozen types, from EOFError to RuntimeError.
    except Exception as error:
        raise FormatError(f"{name}: no intact npz archive ({in_one_line(error)})") from error


def read_npy(path: str | PathLike[str]) -> Array:
    """Read one array.

    Parameters
    ----------
    path : path
        Written by `numpy.save`.

    Returns
    -------
    array

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read.
    FormatError
        If the file is no npy array, truncated, damaged, too large, or holds Python objects.
    """
    place = as_path(path, "read_npy path")
    content = read_bytes(place)
    return _parse_npy(cast(BinaryIO, io.BytesIO(content)), len(content), str(place))


def _check_members(members: list[zipfile.ZipInfo], available: int, name: str) -> None:
    """Refuse an archive that cannot be what it says, before anything is unpacked."""
    if not members:
        raise FormatError(f"{name}: the archive is empty; expected at least one array")
    names = [member.filename for member in members]
    for member in members:
        where = f"{name}: {member.filename}"
        if not member.filename.endswith(".npy"):
            raise FormatError(f"{where}: expected only npy arrays in the archive")
        if names.count(member.filename) > 1:
            raise FormatError(f"{where}: the archive has two arrays of this name")
        if member.flag_bits & 1:
            raise FormatError(f"{where}: is encrypted; save the arrays without a password")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FormatError(f"{where}: expected it stored or deflated, as NumPy does")
        if member.file_size > member.compress_size * DEFLATE_RATIO:
            raise FormatError(
                f"{where}: declares {member.file_size:,} bytes, more than "
                f"{member.compress_size:,} packed bytes can hold"
            )
        check_packing(member.file_size, member.compress_size, where)
    size, packed = (
        sum(getattr(member, field) for member in members)
        for field in ("file_size", "compress_size")
    )
    if packed > available:
        raise FormatError(
            f"{name}: its arrays declare {packed:,} packed bytes in a file of {available:,}; they "
            "overlap, or the file is truncated"
        )
    check_packing(size, packed, name)
    check_size(size, name)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Array:
    with archive.open(member) as stream:
        return _parse_npy(cast(BinaryIO, stream), member.file_size, f"{name}: {member.filename}")


def _parse_npy(stream: BinaryIO, size: int, name: str) -> Array:
    """Return the array in a stream of `size` bytes; the header is checked before more is read."""
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, is_fortran, dtype = read_header(stream, max_header_size=MAX_HEADER_BYTES)
    # NumPy parses the header as Python literals, which fails in as many ways as there are.
    except Exception as error:
        raise FormatError(f"{name}: no intact npy header ({in_one_line(error)})") from error
    if dtype.hasobject:
        raise FormatError(f"{name}: {PICKLE_ADVICE}")
    if dtype.kind not in "biufUS" or any(axis < 0 for axis in shape):
        raise FormatError(
            f"{name}: expected an array of numbers or text, received {dtype} of shape {shape}"
        )
    expected, found = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if expected != found:
        raise FormatError(
            f"{name}: the header declares {dtype} of shape {shape}, {expected:,} bytes, but "
            f"{found:,} follow; the file is truncated or damaged"
        )
    content = stream.read(expected)
    # Reading to the end makes an archive verify its checksum.
    if len(content) != expected or stream.read(1):
        raise FormatError(f"{name}: the data are not as long as the archive declares")
    values = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))
    return values.reshape(shape, order="F" if is_fortran else "C")
