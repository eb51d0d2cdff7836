"""Real processes of the command line, by the dozen: forked from one that has imported it.

Each has its own standard streams, made as Python makes them at its start, and ends as Python ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

OUTPUTS: dict[str, tuple[str, str, str]] = {
    "all is well": ("null", "file", "file"),
    "a reader who leaves": ("null", "broken", "file"),
    "readers who leave": ("null", "broken", "broken"),
    "stdout full": ("null", "full", "file"),
    "stdout closed": ("null", "closed", "file"),
    "stderr closed": ("null", "file", "closed"),
    "stderr full": ("null", "file", "full"),
    "stdin closed": ("closed", "file", "file"),
    "all closed": ("closed", "closed", "closed"),
    "both full": ("null", "full", "full"),
}
"""What stdin, stdout and stderr are."""


@dataclass
class Ended:
    """What a process left."""

    status: int
    out: str
    err: str


class Process:
    """A command under way."""

    def __init__(self, nursery: Nursery, process: int, out: Path, err: Path) -> None:
        self._nursery, self.pid, self._out, self._err = nursery, process, out, err

    def poll(self) -> int | None:
        """Return the exit status, negative after a signal, or None."""
        return self._nursery.status(self.pid)

    def send(self, name: str) -> None:
        """Send a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, getattr(signal, name))

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 90) -> None:
        """Wait until something has happened while the process runs."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert self.poll() is None, self.ended()
            assert time.monotonic() < end
            time.sleep(0.01)

    def ended(self, timeout_s: float = 90) -> Ended:
        """Wait for the end."""
        end = time.monotonic() + timeout_s
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                self.send("SIGKILL")
                raise TimeoutError(f"{self._err.read_text()} {self._out.read_text()}")
            time.sleep(0.01)
        return Ended(status, self._out.read_text(), self._err.read_text())


class Nursery:
    """The process that forks the others, seen from the tests.

    Parameters
    ----------
    folder : Path
        Takes what the processes write.
    setup : str
        Python that runs once before any of them.
    """

    def __init__(self, folder: Path, setup: str = "") -> None:
        self._folder, self._statuses, self._count = folder, dict[int, int](), 0
        self._rest = b""
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.processes", setup],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def start(self, words: Sequence[object], output: str, ignored: Sequence[str] = ()) -> Process:
        """Start a command with broken outputs and ignored signals."""
        self._count += 1
        out, err = (self._folder / f"{self._count}.{name}" for name in ("out", "err"))
        out.touch()
        err.touch()
        request = {
            "words": [str(word) for word in words], "streams": OUTPUTS[output],
            "out": str(out), "err": str(err), "ignored": list(ignored),
        }  # fmt: skip
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(request).encode() + b"\n")
        born: list[int] = []
        while not born:
            born = self._listen(60)
        return Process(self, born[0], out, err)

    def status(self, process: int) -> int | None:
        """Return how a process ended, or None."""
        self._listen(0)
        return self._statuses.get(process)

    def _listen(self, timeout_s: float) -> list[int]:
        assert self._server.stdout is not None
        born: list[int] = []
        while select.select([self._server.stdout], [], [], 0 if born else timeout_s)[0]:
            data = os.read(self._server.stdout.fileno(), 65536)
            assert data, "the nursery has died"
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                news: dict[str, Any] = json.loads(line)
                if "status" in news:
                    self._statuses[news["process"]] = news["status"]
                else:
                    born.append(news["process"])
        return born

    def close(self) -> None:
        """End the process that forks."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(30)
        self._server.stdout.close()


# --- the other side -----------------------------------------------------------------------------


def serve() -> dict[str, Any]:
    """Fork for each request; return in the child with it. The parent ends with its input."""
    living: set[int] = set()
    buffer = b""
    while True:
        for process in tuple(living):
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                living.discard(process)
                news = {"process": done, "status": os.waitstatus_to_exitcode(status)}
                os.write(1, json.dumps(news).encode() + b"\n")
        if not select.select([0], [], [], 0.005)[0]:
            continue
        data = os.read(0, 65536)
        if not data:
            for process in living:
                os.kill(process, signal.SIGKILL)
            os._exit(0)
        *requests, buffer = (buffer + data).split(b"\n")
        for request in requests:
            child = os.fork()
            if not child:
                return dict(json.loads(request))
            living.add(child)
            os.write(1, json.dumps({"process": child}).encode() + b"\n")


def arrange(request: dict[str, Any]) -> None:
    """Give this process the streams and the signals that were asked for."""
    for name in request["ignored"]:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    flags = os.O_WRONLY | os.O_APPEND
    for handle, kind in enumerate(request["streams"]):
        if kind == "file":
            place = os.open(request["out" if handle == 1 else "err"], flags)
        elif kind == "broken":
            reading, place = os.pipe()
            os.close(reading)
        elif kind != "closed":
            place = os.open(f"/dev/{kind}", os.O_WRONLY if handle else os.O_RDONLY)
        if kind == "closed":
            os.close(handle)
        else:
            os.dup2(place, handle)
            os.close(place)
    for handle, (name, kind) in enumerate(
        zip(("stdin", "stdout", "stderr"), request["streams"], strict=True)
    ):
        mode = "w" if handle else "r"
        stream = None if kind == "closed" else open(handle, mode, encoding="utf-8")  # noqa: SIM115, PTH123
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def main() -> int:
    """Import everything once, then be each of the processes."""
    import importlib

    from engine import cli

    for module in (*(place.partition(":")[0] for place in cli.COMMANDS.values()), "engine.io.onnx"):
        importlib.import_module(module)
    scope: dict[str, Any] = {}
    exec(sys.argv[1], scope)
    request = serve()
    arrange(request)
    sys.argv[1:] = request["words"]
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
