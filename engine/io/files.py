"""Writing files so that they are complete or absent at any instant."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from pathlib import Path

from engine.errors import FormatError

PART = ".part"
"""Ends the name of a file that is being written; before it stands the number of its process."""


def write_whole(target: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the new one, also after a power failure.

    It is written beside its place, flushed to the disk, and moved over the old one.

    Parameters
    ----------
    target : Path
    content : bytes

    Raises
    ------
    FormatError
        If it cannot be written; an old file is untouched.
    """
    temporary: Path | None = None
    try:
        _sweep(target)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name}.{os.getpid()}.", suffix=PART, dir=target.parent
        )
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            temporary.chmod(_mode_for(target))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        _discard(temporary)
        reason = error.strerror or error
        raise FormatError(
            f"{target}: cannot be written ({reason}); {len(content):,} bytes are needed"
        ) from error
    except BaseException:
        _discard(temporary)
        raise


def _mode_for(target: Path) -> int:
    """Return the permissions of the file that is replaced, else those of any new file."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _discard(temporary: Path | None) -> None:
    """Remove a half-written file, if it came into being."""
    if temporary is not None:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _sweep(target: Path) -> None:
    """Remove what processes that were killed while saving this file have left behind."""
    owner = re.compile(re.escape(f".{target.name}.") + r"(\d+)\.[^.]+" + re.escape(PART))
    for path in target.parent.iterdir():
        found = owner.fullmatch(path.name)
        if found and not _alive(int(found[1])):
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    """Return whether a process may still be writing.

    Windows has no harmless way to ask, and refuses to remove a file that is open anyway.
    """
    if os.name == "nt":
        return process == os.getpid()
    try:
        os.kill(process, 0)
    except ProcessLookupError:
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
