"""What all readers share: getting at the bytes of a file, within limits."""

from __future__ import annotations

import os
import stat
import zlib
from os import PathLike
from pathlib import Path

from engine.errors import DataError, EngineError, FormatError, shown

MAX_BYTES = 4 * 2**30
"""The most bytes that a reader takes from a file, or unpacks from it."""

LONGEST_PATH = 4096
"""Characters of a path: no system in use takes more."""

GZIP_MAGIC = b"\x1f\x8b"

DEFLATE_RATIO = 1032
"""The most that deflate can shrink data; a file that promises more is lying."""


PACKED_FREELY = 2**28
PACKED_RATIO = 200
"""Data that unpack to more than the first number may have been packed this well at most. Tables of
digits reach 10, masks 100, and files that are made to fill a memory over 1000."""


def as_path(path: str | PathLike[str], where: str, what: str = "a file") -> Path:
    """Return `path` as a Path.

    Parameters
    ----------
    path : path
    where : str
        The call and its argument, for the error.
    what : str
        What lies there.

    Raises
    ------
    DataError
        If it is no path at all, or no system could have a file of that name.
    """
    given = os.fspath(path) if isinstance(path, (str, PathLike)) else b""
    if isinstance(given, str) and given and "\0" not in given and len(given) <= LONGEST_PATH:
        return Path(given)
    raise DataError(
        f"{where}: expected the path of {what}, received {shown(path)}, which cannot be read"
    )


def reason(error: Exception) -> str:
    """Return why a file cannot be read, without its path, which the sentence has already."""
    return getattr(error, "strerror", None) or in_one_line(error)


def read_bytes(place: Path) -> bytes:
    """Return the content of a file.

    Parameters
    ----------
    place : Path
        An ordinary file of at most `MAX_BYTES`.

    Returns
    -------
    bytes

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read.
    FormatError
        If the file is empty or larger than the limit.
    """
    try:
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            raise DataError(f"{place}: expected a file, this is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{place}: expected an ordinary file, this is a device or a pipe")
        check_size(status.st_size, str(place))
        content = place.read_bytes()
    except EngineError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{place}: there is no such file") from error
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({reason(error)})") from error
    if not content:
        raise FormatError(f"{place}: the file is empty")
    return content


def check_size(size: int, name: str) -> None:
    """Refuse to take more than `MAX_BYTES`.

    Raises
    ------
    FormatError
        If `size`, in bytes, is more.
    """
    if size > MAX_BYTES:
        raise FormatError(
            f"{name}: holds {size:,} bytes; at most {MAX_BYTES:,} are read, split the data"
        )


def check_packing(size: int, packed: int, name: str) -> None:
    """Refuse data that unpack to more than real ones do.

    Parameters
    ----------
    size, packed : int
        Bytes after and before unpacking.
    name : str
        The file, for the error.

    Raises
    ------
    FormatError
        If they are many and were packed better than data are.
    """
    if size > unpacking_limit(packed):
        raise FormatError(
            f"{name}: {packed:,} packed bytes declare {size:,}, more than data ever pack so well; "
            "if the file can be trusted, store it unpacked"
        )


def unpacking_limit(packed: int) -> int:
    """Return how many bytes so many packed ones may become."""
    return max(PACKED_FREELY, packed * PACKED_RATIO)


def in_one_line(error: Exception) -> str:
    """Return what another library complained of, without the pages that some add."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def gunzip(packed: bytes, name: str, limit: int) -> bytes:
    """Return the first `limit` bytes that gzip data unpack to.

    If the data end before the limit, their length and checksum have been verified.

    Parameters
    ----------
    packed : bytes
        One gzip member or several.
    name : str
        The file, for the error.
    limit : int
        The most bytes to unpack.

    Returns
    -------
    bytes

    Raises
    ------
    FormatError
        If the data are damaged, or end in the middle.
    """
    parts: list[bytes] = []
    left = limit
    while packed and left > 0:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            part = member.decompress(packed, left)
        except zlib.error as error:
            raise FormatError(f"{name}: the gzip data are damaged ({error})") from error
        left -= len(part)
        if left > 0 and not member.eof:
            raise FormatError(f"{name}: the gzip data end in the middle; the file is truncated")
        parts.append(part)
        packed = member.unused_data
    return b"".join(parts)
