"""The thread team: the same bits for any number of threads, and no quarrel between callers."""

from __future__ import annotations

import multiprocessing
import os
import threading
from typing import Any

import numpy as np
import pytest

from engine import Input, Model, Scheduler
from engine.data import DataLoader, Dataset
from engine.layers import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD, Adam
from engine.regularizers import L1, L2
from tests.building import bits_of
from tests.debug.runs import tiny_loader, tiny_model, tiny_scheduler
from tests.tolerances import assert_same_bits

COUNT, CLASSES = 22, 5


@pytest.fixture(autouse=True)
def every_row_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """These nets are so small that one thread would run them alone, and in one part."""
    monkeypatch.setattr("engine.kernels.cpu.backend.SHARED_FROM_US", 0.0)
    monkeypatch.setattr("engine.kernels.cpu.backend.PART_US", 1e-3)


def everything(threads: int, dtype: str = "float32") -> Model:
    """A net with every kind of layer in it; sizes that no number of threads divides."""
    x = Input((3, 11, 13))
    stem = BatchNorm2d(5)(Conv2d(3, 5, 3, padding=1, regularizer=L2(1e-3))(x))
    left = MaxPool2d(3, stride=2, padding=1)(ReLU()(stem))
    right = AvgPool2d(3, stride=2, padding=1)(Tanh()(stem))
    both = Concat()(Add()(left, right), LeakyReLU()(left))
    deep = Dropout(0.3)(Sigmoid()(Conv2d(10, 6, (3, 2), groups=2, dilation=(1, 2))(both)))
    weights = Softmax(axis=1)(Dense(5, 7)(deep))
    pooled = Flatten()(GlobalAvgPool2d()(weights))
    y = Dense(6, CLASSES, regularizer=L1(1e-4))(pooled)
    return Model(inputs=x, outputs=y, seed=3, device="cpu", dtype=dtype, threads=threads)


def loader() -> DataLoader:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((COUNT, 3, 11, 13)).astype(np.float32)
    data = Dataset(x, rng.integers(0, CLASSES, COUNT))
    return DataLoader(data, batch_size=9, shuffle=True, seed=0)


def trained(threads: int, dtype: str, optimizer: Any) -> tuple[dict[str, bytes], bytes, bytes]:
    """Return weights, losses and predictions after some steps."""
    model = everything(threads, dtype)
    scheduler = Scheduler(model, CrossEntropyLoss(), optimizer())
    history = scheduler.fit(loader(), epochs=3)
    return bits_of(model), history.loss.tobytes(), model(loader().dataset.x).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer",
    [lambda: SGD(learning_rate=0.1, momentum=0.9, nesterov=True), lambda: Adam(learning_rate=0.01)],
    ids=["sgd", "adam"],
)
def test_a_training_run_has_the_same_bits_for_any_number_of_threads(
    dtype: str, optimizer: Any
) -> None:
    alone = trained(1, dtype, optimizer)
    for threads in (2, 3, 7):
        assert trained(threads, dtype, optimizer) == alone, f"{threads} threads"


def test_gradients_have_the_same_bits_for_any_number_of_threads() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 3, 11, 13)).astype(np.float32)
    g = rng.standard_normal((5, CLASSES)).astype(np.float32)
    one, other = (everything(threads).gradients(x, g, training=True) for threads in (1, 2))
    assert_same_bits(one.inputs[0], other.inputs[0])
    for name, gradient in one.parameters.items():
        assert_same_bits(gradient, other.parameters[name], name)


def test_thousands_of_short_runs_neither_hang_nor_differ() -> None:
    """Barriers are passed some 300,000 times; a lost wake-up would show as a time-out."""
    model = tiny_model()
    x = tiny_loader().dataset.x
    expected = model(x).tobytes()
    assert all(model(x).tobytes() == expected for _ in range(3000))


def test_python_threads_may_run_models_at_the_same_time() -> None:
    models = [tiny_model(seed=seed) for seed in range(3)]
    x = tiny_loader().dataset.x
    expected = [model(x).tobytes() for model in models]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(300):
            if models[number](x).tobytes() != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not wrong


def _predict_in_child(queue: Any) -> None:
    queue.put(tiny_model()(tiny_loader().dataset.x).tobytes())


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()]
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_process_has_a_team_of_its_own(method: str) -> None:
    """The parent's worker threads do not exist in a forked child."""
    expected = tiny_model()(tiny_loader().dataset.x).tobytes()
    context: Any = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    child = context.Process(target=_predict_in_child, args=(queue,))
    child.start()
    child.join(100)
    assert child.exitcode == 0
    assert queue.get() == expected
    queue.close()


def test_the_environment_can_limit_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.kernels.cpu._team import available_threads

    monkeypatch.setenv("CONVSCOPE_THREADS", "3")
    assert available_threads() == 3
    monkeypatch.delenv("CONVSCOPE_THREADS")
    affinity = getattr(os, "sched_getaffinity", None)
    assert available_threads() == (len(affinity(0)) if affinity else os.cpu_count())


def test_a_seed_repeats_a_run_in_float64_too() -> None:
    runs = []
    for _ in range(2):
        scheduler = tiny_scheduler("float64")
        scheduler.fit(tiny_loader(), epochs=2)
        assert all(p.value.dtype == np.float64 for p in scheduler.model.parameters.values())
        runs.append(bits_of(scheduler.model))
    assert runs[0] == runs[1]
