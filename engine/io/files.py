"""Writing files so that they are complete or absent at any instant.

Everything the product writes for its user goes through `write_whole`: runs, ONNX files, pictures
of the window, arrays, settings. `check_writable` finds out before a long computation whether that
will work at its end.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
from pathlib import Path

from engine.errors import FormatError

PREFIX, PART = ".convscope-", ".part"
"""Around the name of a file that is being written; between them machine, process and chance.

The name of the file itself is left out: it may be as long as the file system allows.
"""
_WRITTEN = re.compile(re.escape(PREFIX) + r"([0-9a-f]{8})-(\d+)-[0-9a-f]{8}" + re.escape(PART))

_swept: set[tuple[int, str]] = set()


def write_whole(target: str | os.PathLike[str], content: bytes | memoryview) -> Path:
    """Write a file so that it is either the old one or the new one, also after a power failure.

    It is written beside its place, flushed to the disk, and moved over the old one, whose
    permissions and owner it takes over as far as the system allows. A symbolic link stays one: what
    it points to is written.

    Parameters
    ----------
    target : path
    content : bytes

    Returns
    -------
    Path
        The file itself, behind all links.

    Raises
    ------
    FormatError
        If it cannot be written; an old file is untouched.
    """
    given = Path(target)
    size = len(content)
    temporary: Path | None = None
    try:
        real = _place(given)
        _sweep(real.parent)
        handle, temporary = _create(real.parent)
        with os.fdopen(handle, "wb") as file:
            _take_over(handle, real)
            file.write(content)
            file.flush()
            os.fsync(handle)
        temporary.replace(real)
        _sync_folder(real.parent)
    except OSError as error:
        _discard(temporary)
        raise FormatError(
            f"{given}: cannot be written ({_reason(error)}); {size:,} bytes are needed"
        ) from error
    except BaseException:
        _discard(temporary)
        raise
    return real


def check_writable(target: str | os.PathLike[str], size: int = 0) -> None:
    """Find out whether `write_whole` could write a file of so many bytes now.

    A file beside it is made and removed again; the target itself is not touched.

    Parameters
    ----------
    target : path
    size : int
        Bytes that the file will have, as far as that is known.

    Raises
    ------
    FormatError
        If it could not; the text says why.
    """
    given = Path(target)
    temporary: Path | None = None
    try:
        real = _place(given)
        handle, temporary = _create(real.parent)
        try:
            _reserve(handle, real.parent, size)
        finally:
            os.close(handle)
    except OSError as error:
        needed = f"; {size:,} bytes are needed" if size else ""
        raise FormatError(f"{given}: cannot be written ({_reason(error)}){needed}") from error
    finally:
        _discard(temporary)


def _place(given: Path) -> Path:
    """Return the file behind all links, if it can be replaced.

    Raises
    ------
    FormatError
        If it cannot, for a reason that can be seen from outside.
    OSError
        If the system has another one.
    """
    if "\0" in str(given):
        raise FormatError(f"{str(given)!r}: cannot be written (there is a zero byte in its name)")
    real = Path(os.path.realpath(given))
    if real.is_symlink():  # only in a circle something is left to follow
        raise FormatError(f"{given}: cannot be written (it is a link that leads back to itself)")
    via = f" that the link leads to, {real}," if given.is_symlink() else ""
    if not real.parent.is_dir():
        raise FormatError(
            f"{given}: cannot be written (the folder {real.parent} does not exist); make it, or "
            "choose another"
        )
    try:
        found = os.lstat(real)
    except FileNotFoundError:
        return real
    if stat.S_ISDIR(found.st_mode):
        raise FormatError(f"expected the path of a file, {given} is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise FormatError(
            f"expected the path of an ordinary file, {given} is a device, a pipe or a socket"
        )
    # The administrator may write everything; what somebody protected stays protected all the same.
    if not found.st_mode & 0o222 or not os.access(real, os.W_OK):
        raise FormatError(
            f"{given}: cannot be written (the file{via} is write-protected); allow writing to it, "
            "or choose another"
        )
    folder = real.parent.stat()
    is_sticky = hasattr(os, "geteuid") and folder.st_mode & stat.S_ISVTX
    if is_sticky and os.geteuid() not in (0, found.st_uid, folder.st_uid):
        raise FormatError(
            f"{given}: cannot be written (the file belongs to another user, and in {real.parent} "
            "only owners may replace files); choose another"
        )
    return real


def _create(folder: Path) -> tuple[int, Path]:
    """Make a file of a new name; return its handle and its path."""
    while True:
        name = f"{PREFIX}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}{PART}"
        path = folder / name
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with contextlib.suppress(FileExistsError):
            return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o666), path


def _take_over(handle: int, real: Path) -> None:
    """Give a new file owner and permissions of the one that it replaces, if there is one."""
    if os.name == "nt":
        return
    try:
        old = real.stat()
    except FileNotFoundError:
        return
    new = os.fstat(handle)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with contextlib.suppress(OSError):  # only the administrator may give files away
            os.fchown(handle, -1, old.st_gid)
            os.fchown(handle, old.st_uid, -1)
    with contextlib.suppress(OSError):  # file systems without permissions
        os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _reserve(handle: int, folder: Path, size: int) -> None:
    """Fail as the system would if `size` bytes do not fit."""
    if not size:
        return
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _reason(error: OSError) -> str:
    """Return what the system says, without the path."""
    return error.strerror or str(error) or type(error).__name__


def _discard(temporary: Path | None) -> None:
    """Remove a half-written file, if it came into being."""
    if temporary is not None:
        with contextlib.suppress(OSError):
            temporary.unlink()


# -- what killed processes leave behind ----------------------------------------------------------


@functools.cache
def _machine() -> str:
    """Return eight digits that stand for this machine, or for this container on it.

    Process numbers mean nothing elsewhere: on a folder that several machines share, each may
    remove its own leftovers only.
    """
    known = [platform.node().encode()]
    with contextlib.suppress(OSError):
        known.append(Path("/etc/machine-id").read_bytes())
    with contextlib.suppress(OSError):
        known.append(b"%d" % Path("/proc/self/ns/pid").stat().st_ino)
    return hashlib.sha256(b"\n".join(known)).hexdigest()[:8]


def _sweep(folder: Path) -> None:
    """Remove what processes of this machine that were killed while writing have left in a folder.

    Once for each folder: a listing of a folder with many files takes longer than a save.
    """
    if (os.getpid(), str(folder)) in _swept:
        return
    _swept.add((os.getpid(), str(folder)))
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _WRITTEN.fullmatch(entry.name) if entry.name.startswith(PREFIX) else None
            if found and found[1] == _machine() and not _alive(int(found[2])):
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def _alive(process: int) -> bool:
    """Return whether a process may still be writing.

    Windows has no harmless way to ask, and refuses to remove a file that is open anyway.
    """
    if os.name == "nt":
        return process == os.getpid()
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it belongs to somebody else
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Make the move itself durable, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
