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
from typing import Protocol

from gui.models.interest import Interest
from gui.models.snapshot import RunInfo, Snapshot, State
from gui.models.state import Task
from gui.worker.mailbox import Command, Mailbox, Notice, Ring

LATEST_ONLY = frozenset({"interest", "show_picture", "set_speed"})
"""Commands of which only the newest of a row counts; a pen stroke sends dozens a second."""

LONG = frozenset({"resume", "reverse_resume", "next_nan"})
"""Commands that may run for minutes; the window says so while they do."""

KEY_PRIORITY_S = 0.1
"""After a command the training rests this long, so that the answer to a key is never late."""


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

    def handle(self, command: Command) -> None:
        """Carry out a command; a refused one raises and changes nothing."""

    def work(self) -> None:
        """Do a piece of at most some 20 ms of what goes on by itself."""

    def snapshot(self, interest: Interest) -> Snapshot | None:
        """Return a picture of now, or None while nothing is open."""

    def interrupt(self) -> None:
        """Make a long call of the engine return soon; called from other threads."""

    def close(self) -> None:
        """Give everything back."""


class Outlets:
    """The worker's side of the wire; the bench puts, the window takes."""

    def __init__(self) -> None:
        self.snapshots: Mailbox[Snapshot] = Mailbox()
        self.runs: Ring[RunInfo] = Ring()
        self.scalars: Ring[object] = Ring()
        self.tasks: Ring[Task] = Ring()
        self.notices: Ring[Notice] = Ring()
        self.answers: Ring[tuple[str, object]] = Ring()


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
        self._make_bench = make_bench
        self._queue: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="convscope-worker", daemon=True)
        self._bench: Bench | None = None
        self._stopping = threading.Event()
        self._interest = Interest()
        self._rest_until = 0.0
        self._echoes: list[object] = []
        self.state: State = "loading"

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def submit(self, name: str, *arguments: object) -> None:
        """Queue a command and return at once."""
        self._queue.put(Command(name, arguments))

    def interrupt(self) -> None:
        """Make a resume, a run or a training step in progress return soon."""
        if self._bench is not None:
            self._bench.interrupt()

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
                if command.name in LONG:
                    self.state = "running"
                if self._guard(partial(bench.handle, command), command.name.replace("_", " ")):
                    self.state = bench.state
            resting = bench.yields and time.monotonic() < self._rest_until
            if bench.busy and not resting and not self._stopping.is_set():
                self._guard(bench.work, "the computation")
            late = time.monotonic() - last_post >= bench.interval_s
            if (commands or self._echoes or not bench.busy or late) and not self._stopping.is_set():
                self._guard(partial(self._post, bench), "showing the position")
                last_post = time.monotonic()
                self._answer_echoes()
        self._guard(bench.close, "closing")

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
        if self.state != "failed":
            self.state = bench.state
        if snapshot is not None:
            self.outlets.snapshots.put(snapshot)

    def _guard(self, function: Callable[[], None], what: str) -> bool:
        """Call; an error becomes a notice and the thread lives on."""
        try:
            function()
        except Exception as error:
            self._report(error, what)
            return False
        return True

    def _report(self, error: Exception, what: str) -> None:
        from engine.errors import EngineError

        if isinstance(error, EngineError | OSError):
            self.outlets.notices.put(Notice("warning", str(error)))
            return
        self.state = "failed"
        text = f"{what} failed: {type(error).__name__}: {error}"
        self.outlets.notices.put(Notice("error", text, traceback.format_exc()))
