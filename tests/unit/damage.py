"""Ways to spoil a file, and what a reader must then do: one error, one line, the path in it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DataError, EngineError, FormatError

Read = Callable[[Path], Any]


def refused(
    read: Read,
    path: Path,
    text: str | None = None,
    error: type[EngineError] | tuple[type[EngineError], ...] = FormatError,
) -> str:
    """Check that `path` is refused, and return the error's text."""
    with pytest.raises(error, match=text) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def refused_cheaply(read: Read, path: Path, text: str | None = None, limit: int = 2**20) -> None:
    """As `refused`, without taking more than `limit` bytes of memory at any time."""
    tracemalloc.start()
    try:
        refused(read, path, text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak:,} bytes were taken"


def refused_when_truncated(read: Read, path: Path, lengths: Iterable[int] | None = None) -> None:
    """Check that `path`, cut at every length, is refused each time, and accepted whole."""
    whole = path.read_bytes()
    read(path)
    cut = path.with_name("cut" + path.suffix)
    for length in lengths or range(len(whole)):
        cut.write_bytes(whole[:length])
        try:
            refused(read, cut)
        except BaseException as error:
            raise AssertionError(f"cut at {length} of {len(whole)} bytes") from error


def damaged_bytes(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield `whole` with each byte changed in turn, in two ways."""
    for place in range(len(whole)):
        for flip in (0x01, 0xFF):
            changed = bytearray(whole)
            changed[place] ^= flip
            yield f"byte {place} ^ {flip:#x}", bytes(changed)


def refused_or_read(read: Read, path: Path, contents: Iterator[tuple[str, bytes]]) -> int:
    """Check that damage gives a result or a proper error, never another exception.

    Returns
    -------
    int
        How many were refused.
    """
    count = 0
    for what, content in contents:
        path.write_bytes(content)
        try:
            read(path)
        except EngineError as error:
            assert str(path) in str(error), what
            assert "\n" not in str(error), what
            count += 1
        except BaseException as error:
            raise AssertionError(what) from error
    return count


def refuses_what_is_no_file(read: Read, folder: Path) -> None:
    """Check missing files, folders, empty files, devices, garbage and impossible paths."""
    refused(read, folder / "missing", "there is no such file", DataError)
    refused(read, folder, "this is a folder", DataError)
    refused(read, Path("/dev/null"), "an ordinary file", DataError)
    refused(read, folder / ("x" * 300), "cannot be read", DataError)
    with pytest.raises(DataError, match="cannot be read"):
        read("nul\0byte")
    with pytest.raises(DataError, match="expected the path of a file, received 3"):
        read(3)
    empty = folder / "empty"
    empty.write_bytes(b"")
    refused(read, empty, "the file is empty")
    garbage = folder / "garbage"
    for content in (b"\0", b"garbage", bytes(range(256)) * 8, b"\0" * 5000, b"\xff" * 5000):
        garbage.write_bytes(content)
        refused(read, garbage)
