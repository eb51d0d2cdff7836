"""Hooks that keep the app alive: an exception in a slot would otherwise end the process.

Installed before anything else is imported; the window later says where messages shall go.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar

logger = logging.getLogger("convscope")
logger.addHandler(logging.NullHandler())  # stderr belongs to the command line
Sink = Callable[[str, str], object]


class _Hooks:
    """The place messages go to, and those that came before there was one."""

    sink: Sink | None = None
    waiting: ClassVar[list[tuple[str, str]]] = []
    count: int = 0


def install() -> None:
    """Install the hooks of the interpreter, of its threads and of fatal signals."""
    sys.excepthook = _on_exception
    threading.excepthook = _on_thread_exception
    if sys.stderr is not None and not faulthandler.is_enabled():
        try:
            faulthandler.enable()
        except (OSError, ValueError, AttributeError):
            logger.debug("no file for the fault handler")


def deliver_to(sink: Sink | None) -> None:
    """Send messages (one line, traceback) to `sink` from now on, first those that wait."""
    _Hooks.sink = sink
    if sink is not None:
        waiting, _Hooks.waiting = _Hooks.waiting, []
        for text, detail in waiting:
            sink(text, detail)


def quiet_qt(explain: Callable[[str, list[str]], str] | None = None) -> Callable[[], None]:
    """Send what Qt prints to the log: stderr belongs to the command line.

    Parameters
    ----------
    explain : callable, optional
        Makes one sentence of a fatal message and what was said before it, while Qt starts. After
        that sentence the process ends with status 2, where Qt would abort it.

    Returns
    -------
    callable
        Says that Qt has started: from then on a fatal message aborts.
    """
    from PyQt6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler

    said: list[str] = []
    starting = [explain]

    def handle(kind: QtMsgType, _context: QMessageLogContext, text: str | None) -> None:
        logger.info("Qt: %s", text)
        if kind != QtMsgType.QtFatalMsg:
            if starting[0] is not None:
                said.append(text or "")
            return
        words = text or "" if starting[0] is None else starting[0](text or "", said)
        if sys.stderr is not None:
            sys.stderr.write(f"convscope: {words}\n")
            sys.stderr.flush()
        if starting[0] is not None:
            os._exit(2)

    qInstallMessageHandler(handle)

    def started() -> None:
        starting[0] = None
        said.clear()

    return started


def seen() -> int:
    """Return how many unexpected exceptions there have been."""
    return _Hooks.count


def report(error: BaseException) -> None:
    """Report an exception as the hooks would."""
    if type(error).__name__ == "EmitLoopError" and error.__cause__ is not None:
        error = error.__cause__
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    detail = "".join(traceback.format_exception(error))
    _Hooks.count += 1
    logger.error("%s\n%s", text, detail)
    if _Hooks.sink is None:
        _Hooks.waiting.append((text, detail))
        if sys.stderr is not None:
            sys.stderr.write(detail)
        return
    _Hooks.sink(text, detail)


def _on_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    report(error)


def _on_thread_exception(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        report(arguments.exc_value)
