"""Every CUDA kernel against its CPU twin, convolutions against loops in NumPy.

In the simulator with NUMBA_ENABLE_CUDASIM=1, on a real device with ``-m gpu``.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

from engine.device import Launch, backend_for
from engine.kernels.cpu.backend import all_kernels as cpu_kernels
from engine.kernels.cuda.backend import all_kernels as cuda_kernels
from engine.kernels.settings import Penalty
from tests.kernels import test_cuda_fused
from tests.kernels.cuda_cases import CASES, CONVOLUTIONS, Case, Convolution, run
from tests.tolerances import assert_close, assert_same_bits

TOLERANCE = {"float32": 5e-6, "float64": 1e-13}

both = pytest.mark.parametrize("dtype", ["float32", "float64"])
on_device = pytest.mark.parametrize(
    "place",
    [
        pytest.param("simulator", marks=pytest.mark.cudasim),
        pytest.param("device", marks=pytest.mark.gpu),
    ],
)


@on_device
@both
@pytest.mark.parametrize("convolution", CONVOLUTIONS, ids=[c.name for c in CONVOLUTIONS])
def test_convolution_agrees_with_the_reference(
    convolution: Convolution, dtype: str, place: str
) -> None:
    actual = run(backend_for("cuda"), convolution.case, dtype)
    expected = convolution.expected(dtype)
    for name in convolution.case.results:
        assert_close(actual[name], expected[name], TOLERANCE, name)


@on_device
@both
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_twin_agrees_with_the_cpu(case: Case, dtype: str, place: str) -> None:
    expected = run(backend_for("cpu"), case, dtype)
    actual = run(backend_for("cuda"), case, dtype)
    for name in case.results:
        if case.exact or actual[name].dtype == np.int64:
            assert_same_bits(actual[name], expected[name], name)
        else:
            assert_close(actual[name], expected[name], TOLERANCE, name)


@on_device
@both
@pytest.mark.parametrize("shape", [(11, 3, 2, 2), (3, 5), (1, 1)])
def test_penalties_have_the_bits_of_the_cpu(dtype: str, place: str, shape: tuple[int, ...]) -> None:
    # `run` repeats every launch and the penalties add to the value, so here they run once.
    settings = Penalty(2.0, shape[0], shape[1], math.prod(shape[2:]))
    role: Any = "kernel" if len(shape) == 4 else "matrix"
    for kernel in ("l1_penalty", "l2_penalty"):
        values = []
        for backend in (backend_for("cpu"), backend_for("cuda")):
            arena = backend.arena()
            weight = arena.request("weight", shape, dtype, role)
            value = arena.request("value", (1,), dtype)
            arena.commit()
            weight.write(np.random.default_rng(0).standard_normal(shape))
            value.write(np.array([0.5]))
            backend.prepare([Launch(kernel, (weight, value), settings)], dtype).run(0, 1)
            values.append(value.read())
        assert values[1][0] > 0.5
        assert_same_bits(values[1], values[0])


@on_device
def test_dropout_keeps_the_right_share(place: str) -> None:
    case = next(case for case in CASES if case.name == "dropout_mask")
    mask = run(backend_for("cuda"), case, "float32")["mask"]
    kept = np.float32(1) / (np.float32(1) - np.float32(0.4))
    assert set(np.unique(mask)) == {np.float32(0), kept}
    assert 0.4 < np.mean(mask > 0) < 0.8


def test_every_cpu_kernel_has_a_twin_with_the_same_parameters() -> None:
    cpu, cuda = cpu_kernels(), cuda_kernels()
    assert set(cpu) == set(cuda)
    for name, kernel in cpu.items():
        parameters = list(inspect.signature(kernel.function).parameters)
        assert parameters[-2:] == ["thread", "threads"]
        given = [name for name in parameters[:-2] if name != "work"]
        assert given == list(inspect.signature(cuda[name].function).parameters), name
        assert (
            kernel.function.__module__.split(".")[-1]
            == cuda[name].function.__module__.split(".")[-1]
        )


def test_every_kernel_is_compared() -> None:
    fused = [*test_cuda_fused.CASES, test_cuda_fused.INVERSE]
    cases = [*CASES, *fused, *(convolution.case for convolution in CONVOLUTIONS)]
    compared = {kernel for case in cases for kernel, _, _ in case.launches}
    assert compared == set(cuda_kernels())
