"""Where compiled kernels are kept between runs, and how a file of them is trusted.

One folder per state of everything that decides what the code looks like: the format, Python, NumPy,
Numba and LLVM, the processor, the width of vectors, and the sources that all kernels share. So
machines that share a home directory do not get in each other's way, and nothing ever has to be
declared outdated. One file per kernel, with a checksum over all of it: a file that does not fit is
deleted, and the kernel compiled again. Files appear by renaming, so that a reader sees all of a
file or none of it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np

from engine.kernels.cpu._width import VECTOR_BYTES, check_width

FORMAT = 3
"""Counts changes of what a file holds and of how kernels are compiled."""
MAGIC = b"convscope kernel"
SUFFIX = ".kernel"
KEPT_FOLDERS = 3
"""Folders of other states that stay, beside the present one, however old they are."""
KEPT_DAYS = 30
"""How long ago a folder must have been used last before it may be deleted."""
DAY_S = 86400
PACKAGE = Path(__file__).parents[1]
IMPORT = re.compile(
    r"^\s*(?:from|import)\s+engine\.kernels([.\w]*)(?:\s+import\s+(\([^)]*\)|[^#\n]+))?", re.M
)
"""An import of a kernel module, at the start of a line."""


class Code(NamedTuple):
    """Machine code of one function.

    Attributes
    ----------
    symbol : str
        Its name in the object.
    needs : tuple of str
        Functions that it calls by name.
    machine_code : bytes
        An object file.
    """

    symbol: str
    needs: tuple[str, ...]
    machine_code: bytes


def shared_sources() -> list[Path]:
    """Return the files whose code may end up in any kernel."""
    here = Path(__file__).parent
    return [here.parent / f"{name}.py" for name in SHARED] + sorted(here.glob("_*.py"))


SHARED = ("arithmetic", "functions", "intrinsics", "scalar", "settings", "types")
"""Modules beside this package whose code is compiled into kernels."""


@functools.cache
def state() -> str:
    """Return the name of the folder: processor, and a digest of everything that decides.

    Raises
    ------
    ConfigurationError
        If the environment asks for vectors of a width that does not exist.
    """
    check_width()
    options: Any = numba.config  # Numba makes these when it is imported, so no type knows them
    processor = options.CPU_NAME or llvm.get_host_cpu_name()
    features = options.CPU_FEATURES
    if features is None:
        features = llvm.get_host_cpu_features().flatten()
    facts = [
        f"{FORMAT} {sys.implementation.cache_tag} {sys.platform} {llvm.get_process_triple()}",
        f"{numba.__version__} {llvmlite.__version__} {np.__version__}",
        f"{processor} {features} {VECTOR_BYTES}",
        f"{int(options.OPT)} {options.LOOP_VECTORIZE} {options.SLP_VECTORIZE}",
    ]
    digest = hashlib.sha256("\n".join(facts).encode())
    for path in shared_sources():
        digest.update(_source(path))
    name = re.sub(r"\W+", "-", processor)[:24]
    return f"kernels-{FORMAT}-{name}-{digest.hexdigest()[:16]}"


@functools.cache
def _source(path: Path) -> bytes:
    """Return the text of a module, or the version of the product where there are no sources."""
    try:
        return path.read_bytes()
    except OSError:  # an application in one piece: its files change only with its version
        from importlib import metadata

        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version("convscope").encode()
        return b""


@functools.cache
def source_digest(path: str) -> str:
    """Return a digest of a module's text and of the kernel modules that it imports."""
    found: list[Path] = []
    waiting = [Path(path)]
    while waiting:
        now = waiting.pop()
        if now in found:
            continue
        found.append(now)
        for module, names in IMPORT.findall(_source(now).decode(errors="replace")):
            place = PACKAGE.joinpath(*module.strip(".").split("."))
            inside = [place / name for name in re.findall(r"\w+", names)]
            files = [candidate.with_suffix(".py") for candidate in (place, *inside)]
            waiting += [file for file in files if file.is_file()]
    digest = hashlib.sha256()
    for file in sorted(set(found)):
        digest.update(_source(file))
    return digest.hexdigest()


def homes() -> Iterator[Path]:
    """Return where kernels may be kept: the user's place, and one for when that cannot be used."""
    chosen = os.environ.get("CONVSCOPE_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):  # a user without a home
        if chosen:
            yield Path(chosen) / "convscope"
        elif sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            yield (Path(local) if local else Path.home() / "AppData" / "Local") / "convscope"
        elif sys.platform == "darwin":
            yield Path.home() / "Library" / "Caches" / "convscope"
        else:
            yield Path.home() / ".cache" / "convscope"
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    yield Path(tempfile.gettempdir()) / f"convscope-{user}"


class Cache:
    """Compiled functions by name.

    Parameters
    ----------
    places : list of Path
        Folders, the best first. The first that can be written is written; it and those before it,
        which may hold kernels all the same, are read.
    """

    def __init__(self, places: list[Path]) -> None:
        self.places = places

    @functools.cached_property
    def folder(self) -> Path | None:
        """The folder that is written, made when first needed; None if there is no such place."""
        for place in self.places:
            try:
                is_new = not place.is_dir()
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not _is_own(place):
                    continue
                with tempfile.TemporaryFile(dir=place):
                    pass
            except OSError:
                continue
            if is_new:
                prune(place)
            for path in place.glob("*.tmp"):  # of processes that were ended while they wrote
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > DAY_S:
                        discard(path)
            return place
        return None

    @property
    def readable(self) -> list[Path]:
        """The folders to read that exist and that nobody else can write into."""
        last = len(self.places) if self.folder is None else self.places.index(self.folder) + 1
        return [place for place in self.places[:last] if place.is_dir() and _is_own(place)]

    def names(self) -> set[str]:
        """Return what is there, sound or not; asking costs a listing of the folders."""
        found: set[str] = set()
        for place in self.readable:
            with contextlib.suppress(OSError):
                found |= {entry.name for entry in os.scandir(place)}
        return {name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)}

    def describe(self) -> str:
        """Return folder, number of functions and size in one line."""
        if self.folder is None:
            return f"none: no folder can be written, tried {', '.join(map(str, self.places))}"
        size = sum(path.stat().st_size for path in self.folder.glob(f"*{SUFFIX}"))
        return f"{self.folder}, {len(self.names())} functions, {size / 1e6:.1f} MB"

    def read(self, name: str) -> Code | None:
        """Return what is kept under a name; a damaged file is deleted and counts as missing."""
        for place in self.readable:
            path = place / f"{name}{SUFFIX}"
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError:
                discard(path)
                continue
            code = decode(data)
            if code is not None:
                return code
            discard(path)
        return None

    def write(self, name: str, code: Code) -> bool:
        """Keep machine code under a name; return whether that worked."""
        folder = self.folder
        if folder is None:
            return False
        path = folder / f"{name}{SUFFIX}"
        temporary = folder / f"{name}.{uuid.uuid4().hex[:12]}.tmp"
        try:
            if path.is_dir():
                discard(path)
            temporary.write_bytes(encode(code))
            temporary.replace(path)
        except OSError:
            # A full disk, or Windows while another process reads the file: run from memory.
            discard(temporary)
            return False
        return True


@functools.cache
def kernel_cache() -> Cache:
    """Return the cache of this process."""
    cache = Cache(list(dict.fromkeys(home / state() for home in homes())))
    for place in cache.readable:
        with contextlib.suppress(OSError):  # the date says when the folder was used last
            if time.time() - place.stat().st_mtime > DAY_S:
                os.utime(place)
    return cache


def encode(code: Code) -> bytes:
    """Return the contents of a file."""
    head = json.dumps({"symbol": code.symbol, "needs": code.needs}).encode()
    body = len(head).to_bytes(4, "little") + head + code.machine_code
    return MAGIC + hashlib.sha256(body).digest() + body


def decode(data: bytes) -> Code | None:
    """Return what `encode` was given, or None if anything about the contents is wrong."""
    start = len(MAGIC) + 32
    body = data[start:]
    if not data.startswith(MAGIC) or data[len(MAGIC) : start] != hashlib.sha256(body).digest():
        return None
    size = int.from_bytes(body[:4], "little")
    head = json.loads(body[4 : 4 + size])
    return Code(head["symbol"], tuple(head["needs"]), body[4 + size :])


def prune(present: Path) -> None:
    """Delete the folders of other states that nobody has used for long, but keep the newest."""
    now = time.time()
    dated: list[tuple[float, Path]] = []
    with contextlib.suppress(OSError):
        for folder in present.parent.glob("kernels-*"):
            if folder != present and not folder.is_symlink() and folder.is_dir():
                dated.append((folder.stat().st_mtime, folder))
    for date, folder in sorted(dated, reverse=True)[KEPT_FOLDERS:]:
        if now - date > KEPT_DAYS * DAY_S:
            shutil.rmtree(folder, ignore_errors=True)


def _is_own(place: Path) -> bool:
    """Return whether only this user (or the administrator) can put code into a folder."""
    if not hasattr(os, "getuid"):
        return True
    facts = place.stat()
    shared = stat.S_IMODE(facts.st_mode) & 0o022
    return facts.st_uid in (os.getuid(), 0) and not shared


def discard(path: Path) -> None:
    """Delete a file, or a folder in its place, if that is possible."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
