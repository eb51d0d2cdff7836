"""Compiled functions that Python calls with arrays and numbers of its own: what `explain` replays.

They keep Numba's own call and Numba's own cache, which believes whatever it reads: here its files
end with a checksum, and one that does not fit is deleted and made again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    _CacheLocator,
    _SourceFileBackedLocatorMixin,
)

from engine.kernels.cpu._cache import discard, kernel_cache

_options: Any = numba.config
DIGEST_BYTES = 32


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that Python calls, for the types of each call."""
    made: Any = numba.njit(nogil=True, error_model="numpy")(function)
    # Numba raises RuntimeError where it finds no folder, which means: compile once a process.
    with contextlib.suppress(RuntimeError):
        if not _options.DISABLE_JIT:
            made._cache = _Cache(function)
    result: Callable[..., Any] = made
    return result


class _Locator(_SourceFileBackedLocatorMixin, _CacheLocator):  # type: ignore[misc, unused-ignore]
    """Puts Numba's files into a folder beside the kernels."""

    def __init__(self, function: Any, path: str) -> None:
        self._py_file, self._lineno = path, function.__code__.co_firstlineno
        folder = kernel_cache().folder
        if folder is None:
            raise RuntimeError("no folder can be written")
        self._folder = folder / "python"

    def get_cache_path(self) -> str:
        return str(self._folder)


class _Results(CompileResultCacheImpl):  # type: ignore[misc, unused-ignore]
    _locator_classes = [_Locator]  # noqa: RUF012  (Numba's list)


class _Sealed:
    """A file that also digests what is written."""

    def __init__(self, file: Any) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return int(self._file.write(data))


class _Files(IndexDataCacheFile):  # type: ignore[misc, unused-ignore]
    """Numba's two kinds of files with a digest at the end, which its reader ignores."""

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[Any]:
        with super()._open_for_write(filepath) as file:
            sealed = _Sealed(file)
            yield sealed
            file.write(sealed.digest.digest())

    def _load_index(self) -> Any:
        return super()._load_index() if _is_sound(Path(self._index_path)) else {}

    def _load_data(self, name: str) -> Any:
        path = Path(self._data_path(name))
        if not _is_sound(path):
            raise FileNotFoundError(path)  # Numba takes this as "not there"
        return super()._load_data(name)


class _Cache(FunctionCache):  # type: ignore[misc, unused-ignore]
    _impl_class = _Results

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _Files(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a result; where that fails (a full disk), it is compiled again next time."""
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


def _is_sound(path: Path) -> bool:
    """Return whether a file ends with the digest of the rest; delete it if not."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        data = b""
    if data[-DIGEST_BYTES:] == hashlib.sha256(data[:-DIGEST_BYTES]).digest():
        return True
    discard(path)
    return False
