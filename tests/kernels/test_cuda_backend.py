"""The CUDA backend itself: memory, views, what it refuses, what it says."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from engine.device import Launch, backend_for
from engine.errors import DeviceError
from engine.kernels.cuda._compat import zeroed_bytes
from engine.kernels.cuda._index import LARGEST
from engine.kernels.cuda._launch import MAX_BLOCKS, REDUCTION_THREADS, THREADS, launch_size
from engine.kernels.cuda.backend import all_kernels
from engine.kernels.settings import DropoutSettings, Normalization, Slope
from engine.kernels.types import typed_settings

on_device = pytest.mark.parametrize(
    "place",
    [
        pytest.param("simulator", marks=pytest.mark.cudasim),
        pytest.param("device", marks=pytest.mark.gpu),
    ],
)


@on_device
def test_buffers_start_at_zero_and_keep_public_order(place: str) -> None:
    arena = backend_for("cuda").arena()
    shapes = {"activation": (2, 3, 4, 5), "kernel": (4, 3, 2, 2), "matrix": (3, 7), "plain": (1,)}
    buffers = {
        role: arena.request(role, shape, "float32", role)  # type: ignore[arg-type]
        for role, shape in shapes.items()
    }
    labels = arena.request("labels", (5,), "int64")
    empty = arena.request("empty", (0,), "float64")
    size = arena.commit()
    assert size == 512 + 256 + 256 + 256 + 256  # 480, 192, 84, 4 and 40 bytes, each on its own line
    for role, buffer in buffers.items():
        assert buffer.is_plain
        np.testing.assert_array_equal(buffer.read(), np.zeros(shapes[role], np.float32))
        values = np.random.default_rng(0).standard_normal(shapes[role])
        buffer.write(values)
        np.testing.assert_array_equal(buffer.read(), values.astype(np.float32))
    labels.write(np.array([[3]]).repeat(5))
    assert labels.read().dtype == np.int64
    assert empty.read().shape == (0,)
    empty.write(np.zeros(0))
    # Neighbours are untouched by all these writes.
    np.testing.assert_array_equal(labels.read(), [3] * 5)


@on_device
def test_write_takes_strides_and_broadcasts_and_read_is_a_copy(place: str) -> None:
    arena = backend_for("cuda").arena()
    buffer = arena.request("x", (2, 3), "float64")
    arena.commit()
    buffer.write(np.arange(6.0).reshape(3, 2).T)
    np.testing.assert_array_equal(buffer.read(), [[0, 2, 4], [1, 3, 5]])
    buffer.read()[:] = -1
    assert buffer.read().min() == 0
    buffer.write(np.array(7))
    np.testing.assert_array_equal(buffer.read(), np.full((2, 3), 7.0))
    captured = buffer.capture()
    buffer.write(np.array(0))
    buffer.restore(captured)
    np.testing.assert_array_equal(buffer.read(), np.full((2, 3), 7.0))


@on_device
def test_another_shape_is_the_same_memory(place: str) -> None:
    arena = backend_for("cuda").arena()
    buffer = arena.request("x", (2, 3, 2), "float32", "activation")
    view = buffer.reshaped((6, 2)).reshaped((12,))  # before there is any memory
    arena.commit()
    buffer.write(np.arange(12).reshape(2, 3, 2))
    np.testing.assert_array_equal(view.read(), np.arange(12))
    view.write(np.arange(12)[::-1])
    assert buffer.read()[0, 0, 0] == 11
    with pytest.raises(TypeError, match=r"\(2, 3, 2\) cannot be seen as \(5,\)"):
        buffer.reshaped((5,))


@on_device
def test_mistakes_of_an_op_are_type_errors(place: str) -> None:
    backend = backend_for("cuda")
    arena = backend.arena()
    reals, integers = arena.request("r", (4,), "float32"), arena.request("i", (4,), "int64")
    with pytest.raises(TypeError, match="r has no memory yet"):
        reals.read()
    arena.commit()
    with pytest.raises(TypeError, match="relu_forward takes 2 buffers, got 1"):
        backend.prepare([Launch("relu_forward", (reals,))], "float32")
    with pytest.raises(TypeError, match="kernel wants real numbers, i holds int64"):
        backend.prepare([Launch("relu_forward", (reals, integers))], "float32")
    with pytest.raises(TypeError, match="kernel wants rank 2, r has shape"):
        backend.prepare([Launch("dense_turn_weight", (reals, reals))], "float32")


@on_device
def test_a_buffer_beyond_the_index_arithmetic_is_refused(place: str) -> None:
    arena = backend_for("cuda").arena()
    with pytest.raises(DeviceError, match="x: CUDA buffers hold at most 2147483647 elements"):
        arena.request("x", (LARGEST // 2 + 1, 2), "float32")


@on_device
def test_memory_that_does_not_exist_is_refused_in_one_sentence(place: str) -> None:
    with pytest.raises(DeviceError, match=r"it needs 1073741824 MiB.*use a smaller batch"):
        zeroed_bytes(2**50)


@on_device
def test_progress_names_every_kernel_once(place: str) -> None:
    backend = backend_for("cuda")
    arena = backend.arena()
    x, y = arena.request("x", (3,), "float32"), arena.request("y", (3,), "float32")
    arena.commit()
    launches = [
        Launch("relu_forward", (x, y)),
        Launch("copy", (y, x)),
        Launch("relu_forward", (x, y)),
    ]
    told: list[Any] = []
    ready = backend.prepare(launches, "float32", lambda *what: told.append(what))
    assert told == [("relu_forward", 0, 2), ("copy", 1, 2)]
    x.write(np.array([-1.0, 0.0, 2.0]))
    ready.run(0, 0)
    np.testing.assert_array_equal(y.read(), [0, 0, 0])
    ready.run(0, 3)
    np.testing.assert_array_equal(x.read(), [0, 0, 2])


@on_device
def test_two_threads_may_run_programs_at_once(place: str) -> None:
    backend = backend_for("cuda")
    results: list[Any] = []

    def work(start: float) -> None:
        arena = backend.arena()
        total, part = (arena.request(n, (5,), "float64") for n in ("total", "part"))
        arena.commit()
        part.write(np.array(start))
        ready = backend.prepare([Launch("accumulate", (part, total))] * 3, "float64")
        ready.run(0, 3)
        results.append((start, total.read()))

    threads = [threading.Thread(target=work, args=(float(k),)) for k in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    for start, total in results:
        np.testing.assert_array_equal(total, np.full(5, 3 * start))


@on_device
def test_the_backend_describes_itself_and_shows_its_sources(place: str) -> None:
    backend = backend_for("cuda")
    assert backend.name == "cuda"
    line = backend.describe()
    assert line.startswith("cuda, ")
    assert ("simulated" in line) == (place == "simulator")
    assert "\n" not in line
    assert backend.kernel_source("conv2d_forward").__name__ == "conv2d_forward"


def test_launch_sizes_cover_small_work_and_stop_at_a_limit() -> None:
    assert launch_size(0, False) == (1, THREADS)
    assert launch_size(1, False) == (1, THREADS)
    assert launch_size(THREADS + 1, False) == (2, THREADS)
    assert launch_size(10**12, False) == (MAX_BLOCKS, THREADS)
    assert launch_size(10**12, True) == (1, REDUCTION_THREADS)


def test_settings_arrive_in_the_programs_dtype() -> None:
    for dtype, kind in (("float32", np.float32), ("float64", np.float64)):
        assert type(typed_settings(Slope(0.1), dtype).slope) is kind
        norm = typed_settings(Normalization(1, 2, 3, 1e-5, 0.1), dtype)
        assert [type(value) for value in norm] == [int, int, int, kind, kind]
        dropout = typed_settings(DropoutSettings(1, 2, 3, 0.5, 9), dtype)
        assert dropout.stream == 9
        assert type(dropout.stream) is int


def test_items_are_counted_from_a_parameter_that_exists() -> None:
    for kernel in all_kernels().values():
        assert kernel.over < len(kernel.signature.arrays), kernel.name
        assert kernel.__doc__, kernel.name
