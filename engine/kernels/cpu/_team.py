"""The persistent team of threads that runs rows of the operation table.

The caller's thread leads. It walks the rows inside one `nogil` function: a row of little work it
runs alone; for any other it calls the workers and shares the row with those that answer at once. So
nothing waits for a thread that sleeps or that the system has put aside, a run of small rows
disturbs nobody, and no result depends on who took part, because no kernel's bits depend on the
number of threads.

A row is done in parts, and whoever is through with one takes the next that nobody has. For heavy
rows there are more parts than threads: one whose core is slower, or busy with another program as
well, takes fewer.

Hand-over: a new number in `CALL` calls for a row; a worker answers by counting itself into the same
word, which also gives it a number. The leader then publishes a *ticket* (call, team size). Whoever
has a number below that size runs the row and counts itself into `ARRIVED`, for which the leader
waits. After a run workers look out for the next one for a while, then sleep.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types

from engine.kernels.cpu._jit import JIT_DISABLED, MEMBER_SHIFT, called, inline
from engine.kernels.intrinsics import emitted
from engine.typing import Array

CALL, TICKET, ARRIVED, AWAKE, BUSY, NEXT = (128 * number for number in range(6))
"""Places of the control block in bytes, each on cache lines of its own.

The call and who has answered; the call that is closed; who is through with its row; how many
workers are not asleep; whether a run is under way; the next part of the row that nobody has.
"""
ROW = TICKET + 8
"""The address of the row, beside its ticket."""
CONTROL_BYTES = 128 * 6
STOP, DONE = 0, 128
"""Places of a program's own block: the row to stop before (0: none), and the finished rows."""
WATCH_BYTES = 256
ROW_BYTES = 24
"""A row: address of the kernel's entry, address of its words, and in how many parts it is done: 1
if one thread runs it alone, 0 for one part each."""

MEMBER_BITS = 10
MEMBERS = (1 << MEMBER_BITS) - 1
"""A call and a ticket are a number that grows, and below it a count of members."""

PATIENCE = 150
"""Turns the leader waits for an answer (some 2 us): a thread that runs takes a tenth of that."""
LONG_PATIENCE = 4000
"""The same where the work is many times as much as this wait (some 50 us): so long it takes to wake
a thread at the beginning of a run, or until the system lets one go on."""
SPINS = 600
"""Turns a waiting thread spins before it offers its time slice to others (some 8 us)."""
IDLE_TURNS = 6000
"""Turns a worker looks out for the next run before it sleeps (some 80 us if nobody else wants the
core). Waking a sleeping thread takes 20 to 60 us, a whole step of a small net 150."""


def _name_yield_for_llvm() -> None:
    """Make the system's "give up my time slice" callable from compiled code."""
    if sys.platform == "win32":
        function = ctypes.windll.kernel32.SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    llvm.add_symbol("convscope_yield", ctypes.cast(function, ctypes.c_void_p).value)


_name_yield_for_llvm()
_yield = types.ExternalFunction("convscope_yield", types.int32())


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.IntType(64).as_pointer())


@emitted
def _load(typing_context: Any, address: Any) -> Any:
    """Emit an atomic load; what others wrote before they stored the value is seen after it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_pointer(builder, arguments[0]), "acquire", 8)

    return types.int64(types.int64), generate


@emitted
def _store(typing_context: Any, address: Any, value: Any) -> Any:
    """Emit an atomic store; whoever loads the value sees all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[1], _pointer(builder, arguments[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@emitted
def _add(typing_context: Any, address: Any, value: Any) -> Any:
    """Emit an atomic add; the value before it is returned."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(builder, arguments[0])
        return builder.atomic_rmw("add", pointer, arguments[1], "acq_rel")

    return types.int64(types.int64, types.int64), generate


@emitted
def _replace(typing_context: Any, address: Any, expected: Any, value: Any) -> Any:
    """Emit an atomic "store if it still holds this"; return whether it did."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(builder, arguments[0])
        both = builder.cmpxchg(pointer, arguments[1], arguments[2], "acq_rel", "acquire")
        return builder.extract_value(both, 1)

    return types.boolean(types.int64, types.int64, types.int64), generate


@emitted
def _relax(typing_context: Any) -> Any:
    """Emit the processor's hint that this is a waiting loop, where it has one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if llvm.get_process_triple().startswith(("x86_64", "i686", "i386")):
            nothing = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), nothing), [])
        return context.get_dummy_value()

    return types.void(), generate


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
def _gather(control: int, row: int, workers: int, patience: int) -> int:
    """Call for a row and return how many threads share it, the leader included."""
    call = (_load(control + CALL) >> MEMBER_BITS) + 1
    _store(control + CALL, call << MEMBER_BITS)
    turns = 0
    while turns < patience and (_load(control + CALL) & MEMBERS) < workers:
        _relax()
        turns += 1
    size = 1 + (_load(control + CALL) & MEMBERS)
    _store(control + ARRIVED, 0)
    _store(control + NEXT, size)
    _store(control + ROW, row)
    _store(control + TICKET, call << MEMBER_BITS | size)
    return int(size)


@inline
def _take_part(control: int, row: int, member: int, size: int) -> None:
    """Run parts of a row until all are taken, as number `member` of `size` threads.

    The first part is the one with that number. A kernel's entry gets the part, and beside it the
    member, whose scratch it uses.
    """
    entry, words, parts = _load(row), _load(row + 8), _load(row + 16)
    parts, part = parts if parts > 0 else size, member
    while part < parts:
        _call(entry, words, part | member << MEMBER_SHIFT, parts)
        part = _add(control + NEXT, 1)


@called
def lead(rows: int, start: int, stop: int, control: int, watch: int, threads: int) -> int:
    """Run table rows ``start..stop`` with whoever is awake; return the row it stopped before.

    Parameters
    ----------
    rows : int
        Address of the table.
    control, watch : int
        Addresses of the team's and of the program's block.
    threads : int
        1: share nothing.
    """
    if threads > 1:
        _store(control + BUSY, 1)
    number = start
    while number < stop and number >= _load(watch + STOP):
        row, size = rows + number * ROW_BYTES, 1
        if threads > 1 and _load(row + 16) != 1:
            patience, turns = LONG_PATIENCE if _load(row + 16) > 1 else PATIENCE, 0
            workers = _load(control + AWAKE)
            while workers == 0 and number == start and turns < patience:
                _relax()
                turns, workers = turns + 1, _load(control + AWAKE)
            if workers > 0:
                size = _gather(control, row, workers, patience)
        if size > 1:
            _take_part(control, row, 0, size)
        else:
            _call(_load(row), _load(row + 8), 0, 1)
        spins = 0
        while size > 1 and _load(control + ARRIVED) < size - 1:
            _relax()
            spins += 1
            if spins > SPINS:
                _yield()
        number += 1
        _store(watch + DONE, number)
    if threads > 1:
        _store(control + BUSY, 0)
    return number


@inline
def _answer(control: int, call: int, member: int, ticket: int) -> None:
    """Wait until a call is closed and run its row if this member is part of the team.

    `ticket` is one from before the answer.
    """
    spins = 0
    while ticket >> MEMBER_BITS < call:
        _relax()
        spins += 1
        if spins > SPINS:
            _yield()
        ticket = _load(control + TICKET)
    if ticket >> MEMBER_BITS == call and member < ticket & MEMBERS:
        _take_part(control, _load(control + ROW), member, ticket & MEMBERS)
        _add(control + ARRIVED, 1)


@called
def serve(control: int, seen: int) -> int:
    """Answer calls after number `seen` until none comes for a while; return the last one."""
    _add(control + AWAKE, 1)
    turns = spins = 0
    while turns < IDLE_TURNS:
        now = _load(control + CALL)
        if now >> MEMBER_BITS == seen:
            _relax()
            spins += 1
            if _load(control + BUSY) == 0:
                turns += 1
            if spins > SPINS and (spins % 64 == 0 or turns == 0):
                _yield()
            continue
        # Who answers after the ticket finds its own number in it, and is too late.
        ticket = _load(control + TICKET)
        if _replace(control + CALL, now, now + 1):
            seen = now >> MEMBER_BITS
            _answer(control, seen, (now & MEMBERS) + 1, ticket)
        turns = spins = 0
    _add(control + AWAKE, -1)
    return seen


def available_threads() -> int:
    """Return how many threads this process may use: CONVSCOPE_THREADS, else its CPU affinity."""
    wish = os.environ.get("CONVSCOPE_THREADS", "")
    if wish.isdigit() and int(wish) > 0:
        return int(wish)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def aligned(size: int) -> Array:
    """Return zeroed bytes that start on a multiple of 128 (two cache lines)."""
    memory = np.zeros(size + 128, np.uint8)
    start = -memory.ctypes.data % 128
    return memory[start : start + size]


class Team:
    """`threads` threads that run rows together: the caller's own and ``threads - 1`` workers.

    Parameters
    ----------
    threads : int
        At least 1. Workers are daemon threads, started at the first run that has work for them.
    """

    def __init__(self, threads: int) -> None:
        self.threads = min(threads, MEMBERS)
        self._lock = threading.Lock()
        self._start_over()

    def _start_over(self) -> None:
        self._process = os.getpid()
        self._control = aligned(CONTROL_BYTES)
        self._address = self._control.ctypes.data
        self._awake = self._control[AWAKE : AWAKE + 8].view(np.int64)
        self._beds: list[threading.Lock] = []

    def run(self, rows: int, start: int, stop: int, watch: int, shared: bool) -> int:
        """Run rows ``start..stop``; return the row it was told to stop before, else `stop`.

        Parameters
        ----------
        rows, watch : int
            Addresses of the table and of the program's own block.
        start, stop : int
        shared : bool
            Whether any of the rows is worth sharing.
        """
        with self._lock:
            if self._process != os.getpid():
                # A forked child has no worker threads; start a team of its own.
                self._start_over()
            if not shared or self.threads == 1:
                return int(lead(rows, start, stop, self._address, watch, 1))
            if len(self._beds) < self.threads - 1:
                self._start_workers()
            if self._awake[0] < self.threads - 1:
                self._wake()
            # It comes back when all threads are through: no worker touches the rows any more.
            return int(lead(rows, start, stop, self._address, watch, self.threads))

    def _wake(self) -> None:
        """Get workers out of bed. One that was up already turns round once more; no harm."""
        for bed in self._beds:
            if bed.locked():
                with contextlib.suppress(RuntimeError):
                    bed.release()

    def _start_workers(self) -> None:
        # Compile before any worker can ask for it: Numba's lock would stall the run.
        lead(0, 0, 0, self._address, self._address, 1)
        serve.native.address  # type: ignore[attr-defined]  # noqa: B018
        for number in range(1, self.threads):
            bed = threading.Lock()
            bed.acquire()
            self._beds.append(bed)
            threading.Thread(
                target=_work,
                args=(bed, self._control),
                name=f"convscope-{number}",
                daemon=True,
            ).start()


def _work(bed: threading.Lock, control: Array) -> None:
    """Sleep until the bed's lock is released, then serve: the life of a worker."""
    seen, address = 0, control.ctypes.data
    while True:
        bed.acquire()
        seen = serve(address, seen)


__all__ = ["JIT_DISABLED", "Team", "aligned", "available_threads"]
