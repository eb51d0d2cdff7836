"""The persistent team of threads that runs rows of the operation table.

Each thread enters one `nogil` function for a whole range of rows and meets the others at a barrier
after every row: no GIL inside a step, no threading layer, and nothing that aborts when two Python
threads use it (a lock orders them). Workers sleep in a queue between runs.
"""

from __future__ import annotations

import ctypes
import os
import queue
import sys
import threading
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from engine.kernels.cpu._jit import JIT_DISABLED, inline
from engine.kernels.intrinsics import emitted
from engine.typing import Array

ARRIVED, GENERATION, DONE = 0, 8, 16
"""Words of the control block, one cache line each."""
CONTROL_WORDS = 24
SPINS = 3000
"""Turns a waiting thread spins before it gives its time slice away (measured: about 10 us)."""


def _name_yield_for_llvm() -> None:
    """Make the system's "give up my time slice" callable from compiled code."""
    if sys.platform == "win32":
        function = ctypes.windll.kernel32.SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    llvm.add_symbol("convscope_yield", ctypes.cast(function, ctypes.c_void_p).value)


_name_yield_for_llvm()
_yield = types.ExternalFunction("convscope_yield", types.int32())


@emitted
def _add(typing_context: Any, words: Any, place: Any, value: Any) -> Any:
    """Emit an atomic add to ``words[place]``; the value before it is returned."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(words)(context, builder, arguments[0])
        pointer = cgutils.gep(builder, array.data, arguments[1])
        return builder.atomic_rmw("add", pointer, arguments[2], "seq_cst")

    return types.int64(words, types.int64, types.int64), generate


@emitted
def _call(typing_context: Any, address: Any, words: Any, thread: Any, threads: Any) -> Any:
    """Emit a call of a kernel's entry by its address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = context.get_value_type(types.int64)
        kind = ir.FunctionType(ir.VoidType(), [word.as_pointer(), word, word])
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        pointer = builder.inttoptr(arguments[1], word.as_pointer())
        builder.call(function, [pointer, arguments[2], arguments[3]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate


@inline
def _barrier(control: Array, threads: int) -> None:
    """Wait until all threads of the team are here."""
    generation = _add(control, GENERATION, 0)
    if _add(control, ARRIVED, 1) == threads - 1:
        control[ARRIVED] = 0
        _add(control, GENERATION, 1)
        return
    spins = 0
    while _add(control, GENERATION, 0) == generation:
        spins += 1
        if spins > SPINS:
            _yield()


@inline
def run_rows(rows: Array, start: int, stop: int, control: Array, thread: int, threads: int) -> None:
    """Run table rows ``start..stop``; every thread of the team calls this with its own number.

    Parameters
    ----------
    rows : int64 array, shape (rows, 2)
        Address of the kernel's entry and address of its words.
    control : int64 array, shape (CONTROL_WORDS,)
        Barrier state; ``control[DONE]`` counts finished rows for whoever watches.
    """
    for row in range(start, stop):
        _call(rows[row, 0], rows[row, 1], thread, threads)
        if threads > 1:
            _barrier(control, threads)
        if thread == 0:
            control[DONE] = row + 1


def available_threads() -> int:
    """Return how many threads this process may use: CONVSCOPE_THREADS, else its CPU affinity."""
    wish = os.environ.get("CONVSCOPE_THREADS", "")
    if wish.isdigit() and int(wish) > 0:
        return int(wish)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Team:
    """`threads` threads that run rows together: the caller's own and ``threads - 1`` workers.

    Parameters
    ----------
    threads : int
        At least 1. Workers are daemon threads, started at the first run.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._control = np.zeros(CONTROL_WORDS, np.int64)
        self._inboxes: list[queue.SimpleQueue[tuple[Array, int, int] | None]] = []
        self._lock = threading.Lock()
        self._process = os.getpid()

    def run(self, rows: Array, start: int, stop: int) -> None:
        """Run rows ``start..stop`` and return when all threads are through."""
        with self._lock:
            if self._process != os.getpid():
                # A forked child has no worker threads; start a team of its own.
                self._inboxes, self._process = [], os.getpid()
                self._control[:] = 0
            if self.threads > 1 and not self._inboxes:
                self._start_workers()
            for inbox in self._inboxes:
                inbox.put((rows, start, stop))
            run_rows(rows, start, stop, self._control, 0, self.threads)
            # The last barrier has been passed by all: no worker touches the rows any more.

    def _start_workers(self) -> None:
        # Compile before any worker can ask for it: Numba's lock would stall the barrier.
        run_rows(np.zeros((1, 2), np.int64), 0, 0, self._control, 0, 1)
        for number in range(1, self.threads):
            inbox: queue.SimpleQueue[tuple[Array, int, int] | None] = queue.SimpleQueue()
            self._inboxes.append(inbox)
            threading.Thread(
                target=self._work, args=(inbox, number), name=f"convscope-{number}", daemon=True
            ).start()

    def _work(self, inbox: queue.SimpleQueue[tuple[Array, int, int] | None], thread: int) -> None:
        while (job := inbox.get()) is not None:
            rows, start, stop = job
            run_rows(rows, start, stop, self._control, thread, self.threads)


__all__ = ["JIT_DISABLED", "Team", "available_threads"]
