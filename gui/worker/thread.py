"""The worker thread: a queue of commands, the bench they act on, and what comes out.

Only this thread touches a Session or a Scheduler. It is a thread and no process because the
kernels release the interpreter lock; see `watchdog` for the check that the window stays live.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Protocol

from gui.models.interest import Interest
from gui.models.snapshot import RunInfo, Snapshot, State
from gui.models.state import Task
from gui.worker.mailbox import Command, Mailbox, Notice, Reply, Ring

LATEST_ONLY = frozenset({"interest", "show_picture", "set_speed"})
"""Commands of which only the newest of a row counts; a pen stroke sends dozens a second."""

BUSY_AFTER_S = 0.06
"""A command that takes longer shows as running; shorter ones would only flicker."""

KEY_PRIORITY_S = 0.1
"""After a command the training rests this long, so that the answer to a key is never late."""

CANCELLED = "interrupted"
"""What a command that was given up answers."""


class Cancelled(Exception):
    """A command was given up because the person interrupted it; nothing has changed."""


class Bench(Protocol):
    """What the thread drives; the real one is `gui.worker.bench.EngineBench`."""

    @property
    def interval_s(self) -> float:
        """Seconds between two pictures while busy."""

    @property
    def busy(self) -> bool:
        """True while `work` has something to do: playing or training."""

    @property
    def yields(self) -> bool:
        """True if the work should rest for a moment after a command of the person."""

    @property
    def state(self) -> State:
        """What the status line says."""

    def handle(self, command: Command) -> object:
        """Carry out a command and return its answer; a refused one raises and changes nothing."""

    def work(self) -> None:
        """Do a piece of at most some 20 ms of what goes on by itself."""

    def snapshot(self, interest: Interest) -> Snapshot | None:
        """Return a picture of now, or None while nothing is open."""

    def rest(self) -> None:
        """Do what can wait until the person has an answer: keeping what is not saved."""

    def interrupt(self) -> None:
        """Make a long call of the engine return soon; called from other threads."""

    def close(self) -> None:
        """Give everything back."""


class Outlets:
    """The worker's side of the wire; the bench puts, the window takes.

    Attributes
    ----------
    cancelled : callable
        Tells whether the command in progress was interrupted; long ones ask it now and then.
    wanted : callable
        Tells whether the person waits for something else.
    """

    def __init__(self) -> None:
        self.snapshots: Mailbox[Snapshot] = Mailbox()
        self.runs: Ring[RunInfo] = Ring()
        self.scalars: Ring[object] = Ring()
        self.tasks: Ring[Task] = Ring()
        self.notices: Ring[Notice] = Ring()
        self.answers: Ring[tuple[str, object]] = Ring()
        self.replies: Ring[Reply] = Ring()
        self.cancelled: Callable[[], bool] = lambda: False
        self.wanted: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """Give the command in progress up if the person wants that.

        Raises
        ------
        Cancelled
        """
        if self.cancelled():
            raise Cancelled


class Worker:
    """Owner of the thread.

    Parameters
    ----------
    make_bench : callable
        Called in the thread with the outlets, so that importing the engine and its kernels never
        holds up the window.
    """

    def __init__(self, make_bench: Callable[[Outlets], Bench]) -> None:
        self.outlets = Outlets()
        self.outlets.cancelled = self._is_cancelled
        self._make_bench = make_bench
        self._queue: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self.outlets.wanted = lambda: not self._queue.empty()
        self._thread = threading.Thread(target=self._run, name="convscope-worker", daemon=True)
        self._bench: Bench | None = None
        self._stopping = threading.Event()
        self._interest = Interest()
        self._rest_until = 0.0
        self._echoes: list[object] = []
        self._numbers = count(1)
        self._given = self._interrupted = 0
        self._now: tuple[Command, float] | None = None
        self._waiting: dict[int, Callable[[Reply], object]] = {}
        self._state: State = "loading"

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def state(self) -> State:
        """What the worker does; a command of any kind that takes long is "running"."""
        now = self._now
        settled = self._state not in ("loading", "failed", "training")
        if settled and now is not None and time.monotonic() - now[1] > BUSY_AFTER_S:
            return "running"
        return self._state

    def submit(self, name: str, *arguments: object) -> None:
        """Queue a command and return at once."""
        self._give(name, arguments, asks=False)

    def ask(self, name: str, *arguments: object, then: Callable[[Reply], object]) -> None:
        """Queue a command; `then` takes how it went, out of `deliver`.

        An error of such a command is told to `then` alone.
        """
        self._give(name, arguments, True, then)

    def _give(
        self,
        name: str,
        arguments: tuple[object, ...],
        asks: bool,
        then: Callable[[Reply], object] | None = None,
    ) -> None:
        number = next(self._numbers)
        if then is not None:
            self._waiting[number] = then
        self._given = number
        self._queue.put(Command(name, arguments, number, asks))

    def deliver(self) -> None:
        """Hand out the replies that have come; called often by the thread that asks.

        A command that was interrupted and still goes on is interrupted again: the first time may
        have come just before it began.
        """
        if self._is_cancelled() and self._bench is not None:
            self._bench.interrupt()
        for reply in self.outlets.replies.take_all():
            then = self._waiting.pop(reply.number, None)
            if then is not None:
                then(reply)

    def interrupt(self) -> None:
        """Make what is in progress, and long commands given before now, return soon."""
        self._interrupted = self._given
        if self._bench is not None:
            self._bench.interrupt()

    def _is_cancelled(self) -> bool:
        now = self._now
        return self._stopping.is_set() or (now is not None and now[0].number <= self._interrupted)

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End the thread; True if it ended within the time."""
        self._stopping.set()
        self._queue.put(None)
        deadline = time.monotonic() + timeout_s
        while self._thread.is_alive() and time.monotonic() < deadline:
            self.interrupt()
            self._thread.join(0.02)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            bench = self._bench = self._make_bench(self.outlets)
        except Exception as error:
            self._report(error, "Starting the engine")
            return
        last_post = 0.0
        while not self._stopping.is_set():
            commands = self._wait(bench)
            for command in commands:
                if self._stopping.is_set():
                    break
                self._carry_out(bench, command)
            resting = bench.yields and time.monotonic() < self._rest_until
            if bench.busy and not resting and not self._stopping.is_set():
                self._guard(bench.work, "the computation")
            late = time.monotonic() - last_post >= bench.interval_s
            if (commands or self._echoes or not bench.busy or late) and not self._stopping.is_set():
                self._guard(partial(self._post, bench), "showing the position")
                last_post = time.monotonic()
                self._answer_echoes()
            if not self._stopping.is_set():
                self._guard(bench.rest, "keeping the run")
        self._guard(bench.close, "closing")

    def _carry_out(self, bench: Bench, command: Command) -> None:
        self._now = (command, time.monotonic())
        value: list[object] = []
        error = self._guard(
            lambda: value.append(bench.handle(command)),
            command.name.replace("_", " "),
            quiet=command.asks,
        )
        self._now = None
        if error is None:
            self._state = bench.state
        if command.asks:
            made = value[0] if value else None
            self.outlets.replies.put(Reply(command.number, made, error or ""))

    def _wait(self, bench: Bench) -> list[Command]:
        """Return the commands that wait; block only while there is nothing else to do."""
        commands: list[Command] = []
        rest = self._rest_until - time.monotonic() if bench.yields else 0.0
        try:
            if not bench.busy:
                item = self._queue.get()
            elif rest > 0:
                item = self._queue.get(timeout=rest)
            else:
                item = self._queue.get_nowait()
            while item is not None:
                if item.name in LATEST_ONLY and commands and commands[-1].name == item.name:
                    commands[-1] = item
                else:
                    commands.append(item)
                item = self._queue.get_nowait()
        except queue.Empty:
            pass
        return [command for command in commands if not self._absorb(command)]

    def _absorb(self, command: Command) -> bool:
        """Take a change of interest; note the time of everything else."""
        if command.name == "interest" and isinstance(command.arguments[0], Interest):
            self._interest = command.arguments[0]
            return True
        if command.name == "echo":
            self._echoes.append(command.arguments[0])
            return True
        self._rest_until = time.monotonic() + KEY_PRIORITY_S
        return False

    def _answer_echoes(self) -> None:
        """Say that everything asked before is done and its picture is in the mailbox."""
        while self._echoes:
            self.outlets.answers.put(("echo", self._echoes.pop(0)))

    def _post(self, bench: Bench) -> None:
        snapshot = bench.snapshot(self._interest)
        if self._state != "failed":
            self._state = bench.state
        if snapshot is not None:
            self.outlets.snapshots.put(snapshot)

    def _guard(self, function: Callable[[], object], what: str, quiet: bool = False) -> str | None:
        """Call; return None if it went well, else what went wrong, and the thread lives on.

        An error that can be told in one sentence becomes a notice unless somebody waits for it.
        """
        try:
            function()
        except Cancelled:
            return CANCELLED
        except Exception as error:
            return self._report(error, what, quiet)
        return None

    def _report(self, error: Exception, what: str, quiet: bool = False) -> str:
        from engine.errors import EngineError

        if isinstance(error, EngineError | OSError):
            if not quiet:
                self.outlets.notices.put(Notice("warning", str(error)))
            return str(error)
        self._state = "failed"
        text = f"{what} failed: {type(error).__name__}: {error}"
        self.outlets.notices.put(Notice("error", text, traceback.format_exc()))
        return text
