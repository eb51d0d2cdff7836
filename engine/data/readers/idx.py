"""The idx format of the MNIST family, plain or packed with gzip.

Two zero bytes, one byte for the type, one for the number of axes, the axes as big-endian 32-bit
numbers, then the values, big-endian, last axis fastest.
"""

from __future__ import annotations

import math
import struct
from os import PathLike

import numpy as np

from engine.data.readers.files import (
    DEFLATE_RATIO,
    GZIP_MAGIC,
    as_path,
    check_packing,
    check_size,
    gunzip,
    read_bytes,
)
from engine.errors import FormatError
from engine.typing import Array, Shape

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

MAX_AXES = 32
"""More than NumPy takes an array to have; images have three."""


def read_idx(path: str | PathLike[str]) -> Array:
    """Read an idx or idx.gz file.

    Parameters
    ----------
    path : path

    Returns
    -------
    array
        As stored: uint8, int8, int16, int32, float32 or float64, in this machine's byte order.
        MNIST's images are uint8 (n, 28, 28), its labels uint8 (n,).

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read.
    FormatError
        If the file is of another format, truncated, damaged, or too large.
    """
    place = as_path(path, "read_idx path")
    return parse_idx(read_bytes(place), str(place)).copy()


def parse_idx(content: bytes, name: str) -> Array:
    """Return the array in the bytes of an idx or idx.gz file.

    Parameters
    ----------
    content : bytes
    name : str
        Where they come from, for the errors.

    Returns
    -------
    array
        As `read_idx`; single bytes are not copied, so the array may be read-only.

    Raises
    ------
    FormatError
        As `read_idx`.
    """
    packed = content[:2] == GZIP_MAGIC
    dtype, shape, start = _header(
        gunzip(content, name, 4 + 4 * MAX_AXES) if packed else content, name
    )
    size = start + math.prod(shape) * dtype.itemsize
    if packed:
        if size > start + len(content) * DEFLATE_RATIO:
            raise FormatError(
                f"{name}: the header declares shape {shape}, {size:,} bytes, more than "
                f"{len(content):,} packed bytes can hold"
            )
        check_packing(size, len(content), name)
        check_size(size, name)
        content = gunzip(content, name, size + 1)
    if len(content) != size:
        fault = "the file is truncated" if len(content) < size else "more data follow"
        received = f"{len(content):,}" if len(content) <= size else f"over {size:,}"
        raise FormatError(
            f"{name}: the header declares shape {shape}, {size:,} bytes, received {received}; "
            f"{fault}"
        )
    values = np.frombuffer(content, dtype, offset=start)
    return values.astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _header(content: bytes, name: str) -> tuple[np.dtype[np.generic], Shape, int]:
    """Return type, shape, and where the values start."""
    magic = content[:4]
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
        raise FormatError(
            f"{name}: no idx file; expected two zero bytes, a type and a number of axes, received "
            f"the bytes {magic.hex(' ') or 'none'}"
        )
    axes = magic[3]
    if not 1 <= axes <= MAX_AXES:
        raise FormatError(f"{name}: expected 1 to {MAX_AXES} axes, the header declares {axes}")
    start = 4 + 4 * axes
    if len(content) < start:
        raise FormatError(
            f"{name}: the header ends after {len(content)} of {start} bytes; the file is truncated"
        )
    return np.dtype(TYPES[magic[2]]), struct.unpack(f">{axes}I", content[4:start]), start
