"""Ctrl-C, requests to end and closed terminals: the command leaves at a good moment.

A signal that is ignored when the command starts stays ignored: nohup asks for that with SIGHUP,
and shells ask for it with SIGINT where they put a job into the background.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
"""Signals that ask a process to end."""

NOTICES = tuple(
    getattr(signal, name) for name in ("SIGXCPU", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
"""Signals by which batch systems announce the end; unheeded, they end the process at once."""

Handler = Callable[[int, FrameType | None], object]


def _raise() -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def on_interrupt(
    call: Callable[[], None], again: Callable[[], None] = _raise
) -> Iterator[list[int]]:
    """Call `call` at the first signal that asks to end, `again` at those that follow.

    A signal may come while the main thread holds any lock, so `call`, which may want that lock,
    runs in a thread of its own. Does nothing outside the main thread, where signals never arrive.

    Parameters
    ----------
    call : callable
    again : callable
        Must take no lock. Raises KeyboardInterrupt by default.

    Yields
    ------
    list of int
        The signals that have come, which grows.
    """
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    wake: queue.SimpleQueue[bool] = queue.SimpleQueue()  # unlike others, safe to use in a handler

    def wait() -> None:
        if wake.get():
            call()

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) == 1:
            wake.put(True)
        else:
            again()

    thread = threading.Thread(target=wait, name="convscope-interrupt", daemon=True)
    thread.start()
    try:
        with _handled(handle, (*ENDING, *NOTICES)):
            yield seen
    finally:
        wake.put(False)
        thread.join()


@contextlib.contextmanager
def ending_as_interrupt(last: bool = False) -> Iterator[None]:
    """Make every signal that asks to end raise KeyboardInterrupt like Ctrl-C.

    Parameters
    ----------
    last : bool
        The process ends after this, so that what `ignore_endings` did may stay.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(handle, ENDING, always=not last):
        yield


def ignore_endings() -> None:
    """Ignore what asks to end from now on: that is under way, and shall not be cut short."""
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _handled(
    handle: Handler, numbers: tuple[signal.Signals, ...], always: bool = False
) -> Iterator[None]:
    """Handle signals, then put back the handlers before, unless others have come meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    # None stands for a handler that is not Python's; it could not be put back.
    taken = {
        number: handler
        for number, handler in before.items()
        if handler not in (signal.SIG_IGN, None) and (number in ENDING or handler == signal.SIG_DFL)
    }
    for number in taken:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in taken.items():
            if always or signal.getsignal(number) is handle:
                signal.signal(number, handler)
