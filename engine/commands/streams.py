"""Standard streams that may be closed, full or gone: a command does its work without them.

A training must not end because a pager was left, a log file's disk is full or a terminal was
closed, and no command may answer that with a traceback. So while a command runs, what it writes
goes through `Guarded`, which remembers the first failure and swallows everything from then on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

GONE = frozenset(
    {
        errno.EPIPE, errno.EIO, errno.ENXIO, errno.EBADF, errno.ECONNRESET, errno.ESHUTDOWN,
        *([errno.EINVAL] if os.name == "nt" else []),  # what Windows says of a closed pipe
    }
)  # fmt: skip
"""Nobody reads any more: what was wanted has been read, so this is no failure."""


class Guarded:
    """A text stream whose writing never raises.

    Parameters
    ----------
    stream : TextIO

    Attributes
    ----------
    problem : OSError or None
        Why nothing is written any more.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.problem: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or do nothing where that has become impossible."""
        if self.problem is None:
            try:
                return self._stream.write(text)
            except (OSError, ValueError) as error:
                self._give_up(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what is buffered, or do nothing where that has become impossible."""
        if self.problem is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def _give_up(self, error: OSError | ValueError) -> None:
        """Lead the stream into nothing; its buffer would fail once more when Python ends."""
        if isinstance(error, OSError):
            self.problem = error
        elif self._stream.closed:
            self.problem = OSError(errno.EBADF, os.strerror(errno.EBADF))
            return
        else:
            raise error
        with contextlib.suppress(OSError, ValueError):
            handle = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, handle)
            os.close(nowhere)


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """Put `Guarded` streams in place of the standard ones, and bring those that are missing."""
    occupy_handles()
    before = sys.stdin, sys.stdout, sys.stderr
    opened: list[TextIO] = []

    def nothing(mode: str) -> TextIO:
        opened.append(cast(TextIO, open(os.devnull, mode, encoding="utf-8")))  # noqa: SIM115, PTH123
        return opened[-1]

    # Python has None in place of a stream that was closed when it started.
    if sys.stdin is None:
        sys.stdin = nothing("r")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal may not have every sign
        setattr(sys, name, Guarded(stream if stream is not None else nothing("w")))
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for stream in opened:
            stream.close()


def occupy_handles() -> None:
    """Open what is closed of the handles 0, 1 and 2.

    Else the next file that is opened gets such a number, and what a library prints goes into it.
    """
    if os.name == "nt":
        return
    for handle in (0, 1, 2):
        try:
            os.fstat(handle)
        except OSError:
            with contextlib.suppress(OSError):
                # The lowest free number is given out, and those below are taken.
                os.open(os.devnull, os.O_RDONLY if handle == 0 else os.O_WRONLY)


def output_problem() -> str | None:
    """Return why a part of the output is lost, or None; a reader who left has lost nothing."""
    stream: Any = sys.stdout
    if stream is None:
        return None
    stream.flush()
    problem = getattr(stream, "problem", None)
    if problem is None or problem.errno in GONE:
        return None
    return (
        f"what was printed is incomplete ({problem.strerror or problem}); the work itself is done"
    )
