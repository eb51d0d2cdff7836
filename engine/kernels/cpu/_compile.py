"""Compiles many kernels at once, in processes of their own, and leaves them in the cache.

Numba compiles under one lock and mostly in Python, so threads would not help. Each process is a
plain `sys.executable` with pipes for its input and output (never a fork: the caller may have a
window and threads). It is given one name at a time, the long ones first, and goes when its input
ends. Where no process can be started, the caller compiles by itself.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.kernels.cpu._cache import kernel_cache
from engine.kernels.cpu._jit import Kernel
from engine.kernels.cpu._native import Called, Native
from engine.kernels.launch import Compilation, Progress

FEW = 5
"""So many kernels compile faster here than a process starts."""
READY, DONE = "ready", "done"
ROOT = Path(__file__).parents[3]
POLL_S = 0.1
START_S = 60.0
"""How long the first process may take to say that it is ready."""
END_S = 2.0


class Outcome(NamedTuple):
    """What `compile_natives` brought about: names of kernels."""

    compiled: list[str]
    left: list[str]
    """Not compiled, because it was stopped or no process could do it."""


def natives_of(kernels: Iterable[Kernel], dtype: str) -> list[Native]:
    """Return everything that these kernels need for a dtype, each once."""
    found = {native.name: native for kernel in kernels for native in kernel.natives(dtype)}
    return list(found.values())


def called_natives() -> list[Native]:
    """Return what runs the kernels."""
    from engine.kernels.cpu import _team

    return [one.native for one in (_team.lead, _team.serve) if isinstance(one, Called)]


def missing(natives: Iterable[Native]) -> list[Native]:
    """Return what is neither loaded nor in the cache, what takes longest first."""
    absent = [native for native in natives if not native.is_loaded]
    if not absent:
        return []
    kept = kernel_cache().names()
    absent = [native for native in absent if native.key is None or native.key not in kept]
    return sorted(absent, key=lambda native: -len(native.function.__code__.co_code))


def title(native: Native) -> str:
    """Return a kernel's name for people: without its dtype."""
    return re.sub(r"_float(32|64)", "", native.name).removesuffix("_fast")


def usable_cores() -> int:
    """Return how many processes may compile at the same time."""
    from engine.kernels.cpu._team import available_threads

    return available_threads()


def load(natives: Sequence[Native], progress: Progress | None = None) -> None:
    """Compile what is missing, in processes if it is much, and load everything.

    Parameters
    ----------
    natives : sequence of Native
    progress : callable, optional
        Called before each is compiled or loaded.
    """
    absent = missing(natives)
    told: set[str] = set()

    def tell(native: Native) -> None:
        if progress is not None and native.name not in told:
            progress(title(native), len(told), len(natives))
            told.add(native.name)

    if len(absent) > FEW and usable_cores() > 1:
        compile_natives(absent, usable_cores(), tell)
    for native in natives:
        tell(native)
        _ = native.address


def compile_kernels(
    kernels: Sequence[Kernel],
    dtypes: Sequence[str],
    processes: int | None,
    progress: Progress | None,
    stop: threading.Event | None,
    background: bool,
) -> Compilation:
    """Compile kernels that are not in the cache; see `engine.device.compile_kernels`."""
    natives = [native for dtype in dtypes for native in natives_of(kernels, dtype)]
    natives += called_natives()
    absent = missing(natives)
    told = 0

    def tell(native: Native) -> None:
        nonlocal told
        if progress is not None:
            progress(title(native), told, len(absent))
        told += 1

    stop = threading.Event() if stop is None else stop
    outcome = compile_natives(absent, processes or usable_cores(), tell, stop, background)
    left = set(outcome.left)
    if not background:
        # No process could be started, or one failed: do it here, where errors can be seen.
        for native in absent:
            if native.name in left and not stop.is_set():
                if told < len(absent):
                    tell(native)
                native.compile()
                left.remove(native.name)
    done = len(absent) - len(left)
    return Compilation(done, len(natives) - len(absent), len(left))


def compile_natives(
    natives: Sequence[Native],
    processes: int,
    tell: Callable[[Native], None] | None = None,
    stop: threading.Event | None = None,
    background: bool = False,
) -> Outcome:
    """Compile in processes and return when all is done, or nothing more can be.

    Parameters
    ----------
    natives : sequence of Native
        In the order in which they are begun.
    processes : int
    tell : callable, optional
        Called in this thread when a kernel is begun. An error in it ends the processes.
    stop : threading.Event, optional
        Ends the processes when set.
    background : bool
        Leave the processor to others that want it.
    """
    compiled: list[str] = []
    pool = _Pool(natives, min(processes, len(natives)), background)
    try:
        for native, answer in pool.events():
            if answer is None and tell is not None:
                tell(native)
            elif answer == DONE:
                compiled.append(native.name)
            if stop is not None and stop.is_set():
                break
    finally:
        pool.end()
    done = set(compiled)
    return Outcome(compiled, [native.name for native in natives if native.name not in done])


class _Pool:
    """Processes that compile, each with a thread that hands out names and waits for answers."""

    def __init__(self, natives: Sequence[Native], count: int, background: bool) -> None:
        self._waiting = list(natives)
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._events: queue.SimpleQueue[tuple[Native, str | None] | None] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[str]] = []
        self._threads: list[threading.Thread] = []
        for _ in range(count if kernel_cache().folder is not None and _has_interpreter() else 0):
            with contextlib.suppress(OSError):
                self._processes.append(_start(background))
        for process in self._processes:
            thread = threading.Thread(
                target=self._drive, args=(process,), name="convscope-compile", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def events(self) -> Iterator[tuple[Native, str | None]]:
        """Yield each kernel with None when it is begun and with the answer when it is done."""
        running, limit = len(self._threads), time.monotonic() + START_S
        while running and (self._ready.is_set() or time.monotonic() < limit):
            # With a time limit, Ctrl-C gets through on every system.
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=POLL_S)
                if event is None:
                    running -= 1
                else:
                    yield event

    def end(self) -> None:
        """End the processes."""
        with self._lock:
            self._waiting.clear()
        for process in self._processes:
            with contextlib.suppress(OSError):
                process.kill()
        for thread in self._threads:
            thread.join(END_S)
        for process, thread in zip(self._processes, self._threads, strict=True):
            process.wait()
            # A thread that still waits reads from what a foreign program has left running.
            for pipe in (process.stdin, process.stdout) if not thread.is_alive() else ():
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _next(self, modules: set[str]) -> Native | None:
        """Take a kernel: from a module that this process has compiled for, or from another one.

        Kernels of a module share helpers, and a process compiles a helper once.
        """
        with self._lock:
            if not self._waiting:
                return None
            known = (n for n in self._waiting if n.function.__module__ in modules)
            native = next(known, self._waiting[0])
            self._waiting.remove(native)
            modules.add(native.function.__module__)
            return native

    def _drive(self, process: subprocess.Popen[str]) -> None:
        try:
            if process.stdin is None or process.stdout is None:
                return
            if process.stdout.readline().strip() != f"{READY} {kernel_cache().folder}":
                return  # another program, or one with another cache
            self._ready.set()
            modules: set[str] = set()
            while (native := self._next(modules)) is not None:
                self._events.put((native, None))
                process.stdin.write(f"{native.name}\n")
                process.stdin.flush()
                answer = process.stdout.readline().strip()
                self._events.put((native, answer or "died"))
                if not answer:
                    return
        except (OSError, ValueError):  # it was ended
            return
        finally:
            self._events.put(None)


def _has_interpreter() -> bool:
    """Return whether `sys.executable` is a Python that can run this package's modules."""
    if not sys.executable or getattr(sys, "frozen", False):
        return False
    return Path(sys.executable).stem.lower().startswith(("python", "pypy"))


def _start(background: bool) -> subprocess.Popen[str]:
    """Start a process; see `_worker`."""
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW
        if background:
            flags |= subprocess.BELOW_NORMAL_PRIORITY_CLASS
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-P", "-m", "engine.kernels.cpu._worker"]
    return subprocess.Popen(
        command + (["--background"] if background else []),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONIOENCODING": "utf-8",
            # Numba paints the texts of errors that nobody sees, thousands of them.
            "NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING": "1",
        },
        creationflags=flags,
    )
