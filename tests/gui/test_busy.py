"""Whatever takes long shows as running, and Pause ends it at once."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest

from engine import save
from engine.debug import Session
from gui.app import Application, Options
from gui.models.state import ActivityModel, Task, left_text
from gui.worker import runs
from gui.worker.mailbox import Command
from gui.worker.thread import BUSY_AFTER_S, CANCELLED, Cancelled, Worker
from tests.gui.driving import desk, messages, now, small_run, start, worker_desk
from tests.gui.fake_bench import FakeBench

QUICK_S = 0.1
"""Pause takes no longer; a busy machine only makes it worse, so the best of some tries counts."""


@pytest.fixture
def app(qapp, tmp_path):
    path = tmp_path / "small.safetensors"
    save(small_run(), path)
    application = start(path)
    yield application
    application.close()


def pause(app):
    QTest.keyClick(app.window, Qt.Key.Key_F6)


def stopped_after(app, begin, tries=4):
    """Begin something long, see it run, press Pause; return the least seconds till it stands."""
    took = []
    session = desk(app).session
    for _ in range(tries):
        begin()
        assert app.wait_until(lambda: session.state == "running", 20), "it does not show as running"
        app.wait_until(lambda: False, 0.05)
        start_s = time.monotonic()
        pause(app)
        assert app.wait_until(lambda: session.state == "paused", 20)
        took.append(time.monotonic() - start_s)
        now(app)
    return min(took)


def test_run_to_a_far_batch(app):
    app.worker.submit("set_program", "training")
    now(app)
    session = worker_desk(app).debuggee.session
    reached = []

    def begin():
        at = session.position
        from dataclasses import replace

        goal = replace(at.at_operation(), batch=937, phase="load", operation=0)  # the last one
        app.worker.submit("run_to_position", goal)

    for _ in range(2):
        # Two runs in all: a fast machine would be through the epoch after some more.
        assert stopped_after(app, begin, 1) < 4 * QUICK_S
        reached.append(session.position.batch)
        assert session.stop.reason == "pause"
    assert 0 < reached[0] < reached[1] < 937
    # What was done so far is one command: one step back undoes it, exactly.
    session.step_back()
    assert session.position.batch < reached[1]


def test_the_search_for_a_mistake(app, monkeypatch):
    """A net without a mistake would be asked about every picture."""
    scheduler = worker_desk(app).scheduler
    test = app.worker._bench._library.get("test")
    labels = {x.tobytes(): int(y) for x, y in zip(test.x, test.y, strict=True)}

    def right(x):
        time.sleep(0.02)
        return np.eye(10)[[labels[one.tobytes()] for one in np.asarray(x)]]

    monkeypatch.setattr(scheduler, "predict", right)
    before = now(app).picture.source
    key = lambda: QTest.keyClick(app.window, Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier)  # noqa: E731
    assert stopped_after(app, key, 2) < 2 * QUICK_S
    assert now(app).picture.source == before
    assert messages(app) == []
    assert not [task for task in desk(app).activity.running if task.key == "mistake"]


@pytest.mark.parametrize("what", ["train", "program"])
def test_waiting_for_kernels(app, what):
    app.wait_until(lambda: not desk(app).activity.running, 100)
    warmup = app.worker._bench._warmup
    warmup._ready.clear()  # as if a kernel were still being compiled
    try:
        if what == "train":
            begin = app.window.entries["train.start"].trigger
        else:
            begin = app.window.entries["program.training"].trigger
        assert stopped_after(app, begin, 2) < 2 * QUICK_S
        assert worker_desk(app).scheduler.global_step == 0
        assert now(app).program == "forward"
    finally:
        warmup._ready.set()


def test_resume_and_the_search_backwards(app):
    app.worker.submit("set_program", "training")
    now(app)
    session = worker_desk(app).debuggee.session
    app.worker.submit("add_breakpoint", 9, None, None, "loss > 1e9", 1)
    now(app)
    assert stopped_after(app, app.window.entries["debug.resume"].trigger, 2) < 2 * QUICK_S
    goal = session.position
    assert goal.batch > 0
    from dataclasses import replace

    session_goal = replace(goal.at_operation(), batch=goal.batch + 60, phase="load", operation=0)
    app.worker.submit("run_to_position", session_goal)
    now(app)
    at = session.position
    assert stopped_after(app, app.window.entries["debug.reverse_resume"].trigger, 2) < 2 * QUICK_S
    assert session.position == at  # a search that was given up has moved nothing


def test_the_session_stops_a_run_to_and_a_search_back():
    """The engine's half of it, without a window."""
    from engine.data import DataLoader, load_mnist_split

    scheduler = small_run()
    loader = DataLoader(load_mnist_split("test"), batch_size=16, seed=0)
    session = Session(scheduler, loader=loader)
    start_position = session.position
    far = type(start_position)(0, 600, "load", 0)
    timer = threading.Timer(0.3, session.pause)
    timer.start()
    stop = session.run_to(far)
    assert stop.reason == "pause"
    assert 0 < session.position.batch < 600
    weights = {name: p.value.copy() for name, p in scheduler.model.parameters.items()}
    other = Session(small_run(), loader=loader)
    other.run_to(session.position)
    for name, array in weights.items():
        np.testing.assert_array_equal(other.model.parameters[name].value, array)
    here = session.position
    session.add_breakpoint(when="loss > 1e9")
    timer = threading.Timer(0.05, session.pause)
    timer.start()
    stop = session.reverse_resume()
    assert (stop.reason, session.position) == ("pause", here)
    for name, array in weights.items():
        np.testing.assert_array_equal(scheduler.model.parameters[name].value, array)
    session.step_back()
    assert session.position == start_position


# --- the thread ---------------------------------------------------------------------------------


class SlowBench(FakeBench):
    """Has one command that takes long, and asks now and then whether to give it up."""

    def handle(self, command: Command) -> object:
        if command.name == "long":
            for _ in range(500):
                time.sleep(0.01)
                self.outlets.check()
        return super().handle(command)


@pytest.fixture
def worker():
    worker = Worker(SlowBench)
    worker.start()
    worker.submit("open_default")
    wait(lambda: worker.state == "paused")
    yield worker
    assert worker.stop()


def wait(condition, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def test_any_long_command_shows_as_running_and_can_be_given_up(worker):
    replies = []
    worker.ask("long", then=replies.append)
    wait(lambda: worker.state == "running")
    begun = time.monotonic()
    worker.interrupt()
    wait(lambda: worker.deliver() or replies)
    assert time.monotonic() - begun < 0.5
    assert replies[0].error == CANCELLED
    assert worker.outlets.notices.take_all() == []
    assert worker.state == "paused"


def test_an_interruption_means_what_was_asked_before_it_only(worker):
    replies = []
    worker.ask("long", then=replies.append)
    worker.ask("long", then=replies.append)
    worker.interrupt()  # both, also the one that still waits
    worker.ask("step", "over", None, then=replies.append)
    wait(lambda: worker.deliver() or len(replies) == 3)
    assert [reply.error for reply in replies] == [CANCELLED, CANCELLED, ""]
    worker.submit("long")
    wait(lambda: worker.state == "running")  # a later one runs
    worker.interrupt()


def test_a_short_command_does_not_flicker(worker):
    seen = set()
    for _ in range(20):
        worker.submit("step", "over", None)
        end = time.monotonic() + BUSY_AFTER_S / 4
        while time.monotonic() < end:
            seen.add(worker.state)
    assert "paused" in seen


def test_who_asks_hears_how_it_went(worker):
    replies = []
    worker.ask("refuse", then=replies.append)
    worker.ask("fail", then=replies.append)
    wait(lambda: worker.deliver() or len(replies) == 2)
    assert replies[0].error == "nothing to step back to"
    assert "on purpose" in replies[1].error
    notices = worker.outlets.notices.take_all()
    assert [notice.level for notice in notices] == ["error"]  # only what was not expected


def test_cancelled_is_no_error_of_the_engine():
    from engine.errors import EngineError

    assert not issubclass(Cancelled, EngineError)


# --- how long it still takes --------------------------------------------------------------------


def test_an_estimate_comes_after_two_seconds_and_never_runs_below_nothing():
    clock = [0.0]
    activity = ActivityModel(lambda: clock[0])
    for done in range(6):
        clock[0] = done * 1.0
        activity.update(Task("compile", "Kernels", "", done, 10))
        if clock[0] < 2:
            assert activity.left_s(activity.tasks["compile"]) is None
    task = activity.tasks["compile"]
    assert activity.left_s(task) == pytest.approx(5)
    clock[0] = 60.0
    assert activity.left_s(task) == 0
    activity.update(Task("compile", "Kernels", "", 10, 10, True))
    assert activity.left_s(task) is None
    assert left_text(None) == ""
    assert left_text(0) == "about 1 s left"
    assert left_text(200) == "about 3 min left"


# --- the start ----------------------------------------------------------------------------------


class ColdBench(FakeBench):
    """Compiles for a while before there is a layer."""

    def handle(self, command: Command) -> object:
        if command.name == "open_default":
            for done in range(12):
                time.sleep(0.05)
                self.outlets.tasks.put(Task("k", "Forward kernels", f"kernel {done}", done, 12))
            time.sleep(0.2)
            self.outlets.tasks.put(Task("k", "Forward kernels", "ready", 12, 12, True))
        return super().handle(command)


def test_a_cold_start_shows_a_bar_and_the_hint_comes_with_the_first_layer(
    qapp, tmp_path, monkeypatch
):
    monkeypatch.setenv("CONVSCOPE_CONFIG", str(tmp_path))
    app = Application(Options(size=(1280, 800)), ColdBench, offscreen=True)
    app.start()
    loading = app.window.loading
    assert app.wait_until(lambda: "Forward kernels" in loading.title.text(), 10)
    assert loading.isVisible()
    assert app.wait_until(lambda: loading.bar.value() >= 5, 10)
    assert loading.bar.maximum() == 12
    assert "of 12" in loading.detail.text()
    assert "once" in loading.detail.text()
    assert messages(app) == []  # nothing there yet that the hint could speak of
    assert app.settle(20)
    assert not loading.isVisible()
    assert len(messages(app)) == 1
    assert "amber" in messages(app)[0]
    app.close()
    second = Application(Options(size=(1280, 800)), ColdBench, offscreen=True)
    second.start()
    assert second.settle(20)
    assert messages(second) == []
    second.close()


def test_warmup_wait_can_be_given_up():
    warmup = runs.Warmup(lambda task: None)
    warmup._ready.clear()

    def enough():
        raise Cancelled

    with pytest.raises(Cancelled):
        warmup.wait(enough)
