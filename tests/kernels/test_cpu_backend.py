"""The CPU backend: who works on a row, ending a run early, fast stores, neighbours in memory."""

from __future__ import annotations

import ctypes
import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest

from engine.device import Buffer, Launch
from engine.kernels.cpu._jit import MEMBER_SHIFT, Kernel
from engine.kernels.cpu._team import (
    ARRIVED,
    AWAKE,
    JIT_DISABLED,
    MEMBERS,
    TICKET,
    WATCH_BYTES,
    Team,
    aligned,
)
from engine.kernels.cpu.backend import CpuBackend, all_kernels, is_small, parts_of
from tests.tolerances import assert_same_bits

SIZE = 50


def copies(backend: CpuBackend, count: int) -> tuple[Any, list[Buffer]]:
    """Return launches that hand numbers from buffer to buffer, and the buffers."""
    arena = backend.arena()
    buffers = [arena.request(f"b{i}", (SIZE,), "float32") for i in range(count + 1)]
    arena.commit()
    buffers[0].write(np.arange(SIZE))
    launches = [Launch("copy", (a, b)) for a, b in itertools.pairwise(buffers)]
    return backend.prepare(launches, "float32"), buffers


@pytest.mark.skipif(JIT_DISABLED, reason="without the JIT everything runs in the caller's thread")
def test_small_rows_disturb_no_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = CpuBackend(3)
    ready, buffers = copies(backend, 5)
    assert ready.run(0, 5)
    assert not backend.team._beds, "no worker was started"
    np.testing.assert_array_equal(buffers[-1].read(), np.arange(SIZE))
    monkeypatch.setattr("engine.kernels.cpu.backend.SHARED_FROM_US", 0.0)
    ready, buffers = copies(backend, 5)
    assert ready.run(0, 5)
    assert len(backend.team._beds) == 2
    np.testing.assert_array_equal(buffers[-1].read(), np.arange(SIZE))


@pytest.mark.skipif(JIT_DISABLED, reason="without the JIT everything runs in the caller's thread")
def test_workers_take_part_and_sleep_when_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.kernels.cpu.backend.SHARED_FROM_US", 0.0)
    backend = CpuBackend(2)
    ready, buffers = copies(backend, 2000)
    words = backend.team._control.view(np.int64)
    shared, end = False, time.monotonic() + 60
    while not shared and time.monotonic() < end:
        buffers[-1].write(np.zeros(SIZE))
        ready.run(0, 2000)
        np.testing.assert_array_equal(buffers[-1].read(), np.arange(SIZE))
        shared = (words[TICKET // 8] & MEMBERS) == 2
        assert not shared or words[ARRIVED // 8] == 1, "the leader waits for all"
    assert shared, "the worker never woke up"
    while words[AWAKE // 8] and time.monotonic() < end:
        time.sleep(0.01)
    assert words[AWAKE // 8] == 0


def test_an_interruption_holds_up_to_its_row() -> None:
    ready, buffers = copies(CpuBackend(1), 5)
    ready.interrupt(2)
    assert not ready.run(0, 5)
    assert not ready.run(1, 5)
    assert not buffers[1].read().any()
    buffers[3].write(np.arange(SIZE))
    assert ready.run(3, 5), "it stands behind the place already"
    assert ready.done == 5
    np.testing.assert_array_equal(buffers[5].read(), np.arange(SIZE))
    ready.interrupt(0)
    assert ready.run(0, 2)
    assert ready.done == 2


def test_work_decides_where_memory_does_not() -> None:
    arena = CpuBackend(1).arena()
    small, large = (arena.request("b", (n,), "float32") for n in (100, 1_000_000))
    assert is_small(Launch("copy", (small, small)))
    assert not is_small(Launch("copy", (large, large)))
    assert not is_small(Launch("copy", (small, small), work=10**7))
    assert is_small(Launch("copy", (large, large), work=10))


def test_heavy_work_is_done_in_more_parts_than_there_are_threads() -> None:
    arena, kernels = CpuBackend(1).arena(), all_kernels()
    buffer = arena.request("b", (100,), "float32")
    conv, dense = kernels["conv2d_forward"], kernels["dense_forward"]

    def parts(kernel: Kernel, work: int, threads: int = 2) -> int:
        return parts_of(Launch(kernel.name, (buffer,), work=work), kernel, threads)

    assert parts(conv, 10) == parts(dense, 10) == 1, "one thread alone"
    assert parts(conv, 10**7) == 0, "two parts would be worth it, one for each thread"
    assert parts(conv, 3 * 10**7) == 6
    assert parts(conv, 10**9) == 16
    assert parts(dense, 10**9) == 0, "one part each"


@pytest.mark.skipif(JIT_DISABLED, reason="without the JIT everything runs in the caller's thread")
def test_whoever_is_through_takes_the_next_part_with_scratch_of_its_own() -> None:
    """One thread holds its first part for as long as the other needs for all the rest."""
    took: dict[int, list[int]] = {0: [], 1: []}
    scratch: dict[int, set[int]] = {0: set(), 1: set()}
    lock, parts = threading.Lock(), 9

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    def entry(_words: int, number: int, of: int) -> None:
        part, member = number & (1 << MEMBER_SHIFT) - 1, number >> MEMBER_SHIFT
        with lock:
            took[member].append(part)
            scratch[member].add(threading.get_ident())
        deadline = time.monotonic() + 10
        while part == 0 and of == parts and len(took[1]) < of - 1 and time.monotonic() < deadline:
            time.sleep(0.001)

    team, watch = Team(2), aligned(WATCH_BYTES)
    rows = np.array([[ctypes.cast(entry, ctypes.c_void_p).value, 0, parts]], np.int64)
    for _ in range(200):
        for member in took:
            took[member].clear()
        team.run(rows.ctypes.data, 0, 1, watch.ctypes.data, True)
        if took[1]:  # the worker was awake in time
            break
    assert took == {0: [0], 1: list(range(1, parts))}
    assert len(scratch[1]) == 1
    assert scratch[0].isdisjoint(scratch[1])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize(
    "shape", [(2, 1, 4, 5), (3, 5, 4, 3), (2, 7, 1, 1), (1, 2, 3, 4), (4, 3), (0, 3, 2, 2)]
)
def test_a_loader_stores_what_write_stores(shape: tuple[int, ...], dtype: str) -> None:
    backend = CpuBackend(2)
    arena = backend.arena()
    slow, fast = (arena.request(n, shape, dtype, "activation") for n in ("slow", "fast"))
    arena.commit()
    load = backend.loader(fast)
    rng = np.random.default_rng(0)
    values = rng.standard_normal(shape) * 100
    wide = np.zeros((*shape[:-1], 2 * shape[-1]), dtype)
    wide[..., ::2] = values
    for array in (
        values.astype(dtype),
        values.astype(np.float32),
        values.astype(np.int32),
        wide[..., ::2],
        np.asfortranarray(values.astype(dtype)),
    ):
        slow.write(array)
        load(array)
        assert_same_bits(fast.read(), slow.read())
        view = backend.view(fast)
        assert view is not None
        assert_same_bits(np.array(view), slow.read())
    with pytest.raises(ValueError, match="broadcast"):
        load(np.zeros((*shape[:-1], shape[-1] + 2), dtype))


def test_weights_have_no_view_because_they_lie_in_panels() -> None:
    backend = CpuBackend(1)
    arena = backend.arena()
    weight = arena.request("w", (3, 2, 3, 3), "float32", "kernel")
    arena.commit()
    assert backend.view(weight) is None
    backend.loader(weight)(np.ones((3, 2, 3, 3)))
    np.testing.assert_array_equal(weight.read(), np.ones((3, 2, 3, 3)))


def test_buffers_are_joined_only_where_nothing_lies_between() -> None:
    backend = CpuBackend(1)
    one, other = backend.arena(), backend.arena()
    a, b, c = (one.request(name, (20,), "float32") for name in "abc")
    d = other.request("d", (20,), "float32")
    one.commit()
    other.commit()
    whole = backend.joined([a, b, c])
    assert whole is not None
    assert whole.size == 2 * 32 + 20, "two paddings to a cache line"
    whole.write(np.full(whole.size, 3.0))
    for buffer in (a, b, c):
        np.testing.assert_array_equal(buffer.read(), np.full(20, 3.0))
    assert backend.joined([a, c]) is None
    assert backend.joined([b, a]) is None
    assert backend.joined([c, d]) is None
