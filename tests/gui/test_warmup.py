"""What compiles beside the window: training first, then all others, no longer than asked."""

from __future__ import annotations

import threading

import pytest

from engine import Model, Scheduler
from engine.device import Compilation
from engine.layers import Dense, Flatten
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from gui.worker.runs import Warmup

SOON_S = 60.0


@pytest.fixture
def scheduler():
    model = Model([Flatten(), Dense(4, 3)], input_shape=(1, 2, 2), device="cpu", threads=1)
    return Scheduler(model, CrossEntropyLoss(), SGD(0.1))


@pytest.fixture
def others(monkeypatch):
    """Stand in for the kernels of other nets: compiles "slow" until it is told to stop."""

    class Others:
        def __init__(self) -> None:
            self.begun, self.calls = threading.Event(), []

        def compile(self, dtypes, processes, progress, stop, background):
            self.calls.append((list(dtypes), background))
            progress("slow", 0, 2)
            self.begun.set()
            assert stop.wait(SOON_S)
            return Compilation(0, 5, 2)

    made = Others()
    monkeypatch.setattr("engine.device.compile_kernels", made.compile)
    return made


def test_training_is_not_kept_waiting_by_the_rest(scheduler, others):
    told = []
    warmup = Warmup(told.append)
    warmup.start(scheduler)
    warmup.wait()
    training = [task for task in told if task.title == "Training kernels"]
    assert training[-1].finished and training[-1].detail == "ready"
    assert others.begun.wait(SOON_S)
    assert others.calls == [(["float32"], True)]
    rest = [task for task in told if task.title == "Other kernels"]
    assert [(task.detail, task.done, task.total) for task in rest] == [("slow", 0, 2)]
    warmup.close()
    warmup._thread.join(SOON_S)
    assert not warmup._thread.is_alive()
    assert told[-1].finished and told[-1].detail == "2 are compiled when needed"


def test_another_net_ends_the_rest_and_goes_first(scheduler, others):
    warmup = Warmup(lambda task: None)
    warmup.start(scheduler)
    assert others.begun.wait(SOON_S)
    first = warmup._thread
    others.begun.clear()
    warmup.start(scheduler)
    assert not first.is_alive()
    warmup.wait()
    assert others.begun.wait(SOON_S)
    assert len(others.calls) == 2
    warmup.close()
    warmup._thread.join(SOON_S)


def test_an_error_of_training_keeps_nobody_waiting(scheduler, others, monkeypatch):
    from engine.errors import DeviceError

    def broken(*things, **more):
        raise DeviceError("no such kernel")

    told = []
    monkeypatch.setattr("engine.program.Program", broken)
    warmup = Warmup(told.append)
    warmup.close()
    warmup.start(scheduler)
    warmup.wait()
    assert next(task.detail for task in told if task.finished) == "no such kernel"
    warmup.close()
    warmup._thread.join(SOON_S)
