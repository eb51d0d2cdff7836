"""The worker thread: commands in, snapshots out, errors survived, quick to stop."""

from __future__ import annotations

import threading
import time

import pytest

from gui.models.interest import Interest
from gui.worker.mailbox import Mailbox, Ring
from gui.worker.thread import Worker
from gui.worker.watchdog import Watchdog
from tests.gui.fake_bench import FakeBench


@pytest.fixture
def worker():
    benches = []

    def make(outlets):
        benches.append(FakeBench(outlets))
        return benches[-1]

    worker = Worker(make)
    worker.benches = benches
    worker.start()
    yield worker
    assert worker.stop()


def wait(condition, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def test_mailbox_keeps_only_the_newest():
    box = Mailbox()
    for number in range(5):
        box.put(number)
    assert (box.take(), box.take(), box.replaced) == (4, None, 4)


def test_ring_loses_nothing_between_threads():
    ring, taken = Ring(), []
    thread = threading.Thread(target=lambda: [ring.put(i) for i in range(20_000)])
    thread.start()
    while thread.is_alive():
        taken += ring.take_all()
    taken += ring.take_all()
    assert taken == list(range(20_000))


def test_commands_run_in_order_and_in_the_worker(worker):
    worker.submit("open_default")
    for kind in ("over", "into", "out"):
        worker.submit("step", kind, None)
    worker.submit("echo", 7)
    wait(lambda: ("echo", 7) in worker.outlets.answers.take_all())
    bench = worker.benches[0]
    steps = [c.arguments[0] for c in bench.commands if c.name == "step"]
    assert steps == ["over", "into", "out"]
    assert bench.thread != threading.get_ident()


def test_only_the_newest_picture_of_a_burst_counts(worker):
    worker.submit("open_default")
    wait(lambda: worker.benches and worker.benches[0].commands)
    # The burst arrives while the worker handles the first command of it.
    for number in range(50):
        worker.submit("show_picture", number)
    worker.submit("echo", 1)
    wait(lambda: worker.outlets.answers.take_all())
    shown = [c.arguments[0] for c in worker.benches[0].commands if c.name == "show_picture"]
    assert shown[-1] == 49
    assert len(shown) < 50


def test_an_interest_reaches_the_snapshot(worker):
    worker.submit("open_default")
    worker.submit("interest", Interest(frozenset({"map"}), "conv2"))
    snapshots = []
    wait(
        lambda: (
            snapshots.append(worker.outlets.snapshots.take())
            or (snapshots[-1] is not None and snapshots[-1].layer == "conv2")
        )
    )
    assert worker.benches[0].interests[-1].panels == frozenset({"map"})


def test_an_engine_error_is_a_warning_and_changes_no_state(worker):
    worker.submit("open_default")
    worker.submit("refuse")
    notices = []
    wait(lambda: notices.extend(worker.outlets.notices.take_all()) or notices)
    assert (notices[0].level, notices[0].text) == ("warning", "nothing to step back to")
    assert worker.state == "paused"


def test_any_other_error_is_failed_with_traceback_and_the_thread_lives(worker):
    worker.submit("open_default")
    worker.submit("fail")
    notices = []
    wait(lambda: notices.extend(worker.outlets.notices.take_all()) or notices)
    assert notices[0].level == "error"
    assert "ZeroDivisionError: on purpose" in notices[0].text
    assert "Traceback" in notices[0].detail
    assert worker.state == "failed"
    worker.submit("step", "over", None)
    wait(lambda: worker.state == "paused")
    assert worker.alive


def test_a_bench_that_cannot_start_is_reported():
    def make(_outlets):
        raise RuntimeError("no engine here")

    worker = Worker(make)
    worker.start()
    notices = []
    wait(lambda: notices.extend(worker.outlets.notices.take_all()) or notices)
    assert "no engine here" in notices[0].text
    assert worker.state == "failed"
    assert worker.stop()


def test_training_posts_pictures_at_the_interval_and_every_scalar(worker):
    worker.submit("open_default")
    worker.submit("train", 0, 0)
    wait(lambda: worker.state == "training")
    scalars, taken = [], 0
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        scalars += worker.outlets.scalars.take_all()
        taken += worker.outlets.snapshots.take() is not None
        time.sleep(0.002)
    assert len(scalars) > 20
    # At most one picture per interval, never one for each batch.
    assert taken <= 0.6 / FakeBench.interval_s + 2


def test_stop_is_quick_while_training(worker):
    worker.submit("open_default")
    worker.submit("train", 0, 0)
    wait(lambda: worker.state == "training")
    start = time.monotonic()
    assert worker.stop()
    assert time.monotonic() - start < 0.1


def test_a_command_gets_priority_over_training(worker):
    worker.submit("open_default")
    worker.submit("train", 0, 0)
    wait(lambda: worker.state == "training")
    worker.submit("echo", 3)
    wait(lambda: worker.outlets.answers.take_all())
    before = worker.benches[0].number
    time.sleep(0.04)
    # The bench rests after a command; a snapshot may count one up.
    assert worker.benches[0].number - before <= 1
    wait(lambda: worker.benches[0].number > before + 3)


def test_watchdog_notices_a_frozen_thread(caplog):
    dog = Watchdog(late_s=0.05)
    dog.start()
    dog.beat()
    time.sleep(0.15)
    dog.beat()
    dog.stop()
    assert dog.longest_gap_s >= 0.1
    assert len(dog.freezes) == 1
    assert "test_watchdog_notices_a_frozen_thread" in caplog.text
