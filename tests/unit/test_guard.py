"""Turns at a model's memory: order, nesting, and what must not wait for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from engine.errors import StateError
from engine.guard import Guard, Guards

WAIT = 10.0


class Worker:
    """A thread that does what it is told, one thing after the other."""

    def __init__(self, action: Callable[[Worker], None]) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self.fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(action,), daemon=True)
        self._thread.start()

    def _run(self, action: Callable[[Worker], None]) -> None:
        try:
            action(self)
        except BaseException as fault:
            self.fault = fault

    def stand(self) -> None:
        """Called by the thread: say that this place is reached, and wait for `finish`."""
        self.reached.set()
        assert self.go.wait(WAIT)

    def finish(self) -> None:
        self.go.set()
        self._thread.join(WAIT)
        assert not self._thread.is_alive()
        if self.fault is not None:
            raise self.fault


def within(turn: Callable[[], object]) -> Worker:
    """Return a thread that stands within a turn, or waits for it."""

    def action(worker: Worker) -> None:
        with turn():
            worker.stand()

    return Worker(action)


def is_waiting(worker: Worker) -> bool:
    return not worker.reached.wait(0.05)


@pytest.mark.parametrize("first", ["using", "changing"])
@pytest.mark.parametrize("second", ["using", "changing"])
def test_one_at_a_time(first: str, second: str):
    guard = Guard()
    one = within(getattr(guard, first))
    assert one.reached.wait(WAIT)
    other = within(getattr(guard, second))
    assert is_waiting(other)
    one.finish()
    assert other.reached.wait(WAIT)
    other.finish()


def test_who_keeps_lets_use_but_not_change():
    guard = Guard()
    keeper = within(guard.keeping)
    assert keeper.reached.wait(WAIT)
    changer = within(guard.changing)
    assert is_waiting(changer)
    user = within(guard.using)
    assert user.reached.wait(WAIT), "who only uses must pass a thread that waits to change"
    user.finish()
    late = within(guard.keeping)
    assert is_waiting(late), "a changer would wait for ever if keepers kept coming"
    keeper.finish()
    assert changer.reached.wait(WAIT)
    changer.finish()
    assert late.reached.wait(WAIT)
    late.finish()


def test_turns_come_in_order():
    guard, order = Guard(), []
    holder = within(guard.using)
    assert holder.reached.wait(WAIT)

    def action(worker: Worker, number: int) -> None:
        with guard.using():
            order.append(number)

    workers = []
    for number in range(5):
        workers.append(Worker(lambda worker, n=number: action(worker, n)))
        while len(guard._waiting) <= number:
            pass
    holder.finish()
    for worker in workers:
        worker.finish()
    assert order == list(range(5))


def test_nesting_within_one_thread():
    guard = Guard()
    with guard.keeping(), guard.using(), guard.changing(), guard.keeping(), guard.using():
        pass
    with guard.changing(), guard.changing(), guard.using():
        pass
    free = within(guard.changing)
    assert free.reached.wait(WAIT), "everything has been given back"
    free.finish()


def test_a_change_goes_on_when_others_come_to_keep():
    guard = Guard()

    def action(worker: Worker) -> None:
        with guard.changing():
            worker.stand()
            with guard.changing():
                pass

    changer = Worker(action)
    assert changer.reached.wait(WAIT)
    keeper = within(guard.keeping)
    assert keeper.reached.wait(WAIT)
    user = within(guard.using)
    assert is_waiting(user)
    changer.finish()
    assert user.reached.wait(WAIT)
    user.finish()
    keeper.finish()


def test_two_that_keep_and_want_to_change_are_told():
    guard = Guard()
    other = within(guard.keeping)
    assert other.reached.wait(WAIT)
    with guard.keeping(), pytest.raises(StateError, match="evaluate"):
        guard.enter("change")
    with guard.using(), pytest.raises(StateError, match="evaluate"):
        guard.enter("change")
    other.finish()
    with guard.keeping(), guard.changing():
        pass


def test_an_interrupted_wait_leaves_nobody_behind(monkeypatch: pytest.MonkeyPatch):
    guard = Guard()
    holder = within(guard.using)
    assert holder.reached.wait(WAIT)

    class Interrupted:
        def acquire(self) -> None:
            raise KeyboardInterrupt

        def release(self) -> None:
            pass

    from engine import guard as module

    class Ticket(module._Ticket):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            self.signal = Interrupted()  # type: ignore[assignment]

    with monkeypatch.context() as patch:
        patch.setattr(module, "_Ticket", Ticket)
        with pytest.raises(KeyboardInterrupt):
            guard.enter("use")
    holder.finish()
    after = within(guard.changing)
    assert after.reached.wait(WAIT)
    after.finish()


def test_several_guards_are_taken_in_one_order():
    one, two = Guard(), Guard()
    both, reversed_ = Guards([one, two]), Guards([two, one])
    assert both.parts == reversed_.parts

    def action(guards: Guards) -> None:
        for _ in range(300):
            with guards.changing():
                pass

    threads = [threading.Thread(target=action, args=(g,)) for g in (both, reversed_)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
