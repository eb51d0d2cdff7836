"""What a run has learnt since it was saved: whether there is any, and a copy of it on the disk.

The copy lies in the state folder of the person, apart from the file that was opened, and is made
anew at every pause and now and then in between. So a window that is closed, terminated or killed
loses nothing that mattered; the next start offers what is found.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gui.worker.mailbox import Notice

if TYPE_CHECKING:
    from engine import Scheduler

EVERY_S = 60.0
"""Seconds between two copies while a training runs, unless copies are slow."""
MOST_SHARE = 0.05
"""Of the time at most this much goes into copies."""


def fingerprint(scheduler: Scheduler) -> bytes:
    """Return a digest of everything that training changes, as it was between two batches."""
    now = scheduler.settled()
    digest = hashlib.blake2b(f"{now.epoch} {now.batch} {now.global_step}".encode(), digest_size=16)
    for name, array in sorted(now.parameters.items()):
        digest.update(name.encode())
        digest.update(array.tobytes())
    for name, moments in sorted(now.moments.items()):
        digest.update(name.encode())
        for moment in moments:
            digest.update(moment.tobytes())
    for name, array in sorted(now.state.items()):
        digest.update(name.encode())
        digest.update(array.tobytes())
    return digest.digest()


class Keeper:
    """Knows what of a run is in no file, and keeps a copy of it.

    Parameters
    ----------
    tell : callable
        Takes a notice if no copy can be written; once, not at every pause.
    """

    def __init__(self, tell: Callable[[Notice], None]) -> None:
        self.path: Path | None = None
        self._tell = tell
        self._told = False
        self._scheduler: Scheduler | None = None
        self._title = self._origin = ""
        self._saved: bytes | None = None
        self._kept: bytes | None = None
        self._base = 0
        self._next = 0.0

    def follow(
        self, scheduler: Scheduler, title: str, origin: str, base: int | None = None
    ) -> None:
        """Watch another run.

        Parameters
        ----------
        title, origin : str
            Name of the run, and the file it was read from.
        base : int, optional
            The step of that file, if the run is ahead of it; by default it is what the file holds.
        """
        self._scheduler, self._title, self._origin = scheduler, title, origin
        self._saved = fingerprint(scheduler) if base is None else None
        self._base = scheduler.global_step if base is None else base
        self._next = time.monotonic() + EVERY_S

    @property
    def unsaved(self) -> bool:
        """Whether the run differs from its file."""
        return self._scheduler is not None and fingerprint(self._scheduler) != self._saved

    @property
    def steps(self) -> int:
        """Steps since the run was saved; a hint that costs nothing."""
        if self._scheduler is None:
            return 0
        return abs(self._scheduler.global_step - self._base)

    def saved(self) -> None:
        """Say that the run as it is now is in a file of the person."""
        if self._scheduler is not None:
            self._saved, self._base = fingerprint(self._scheduler), self._scheduler.global_step
        self.forget()

    def give_up(self) -> None:
        """Say that what is not saved may be lost."""
        self.forget()
        self._scheduler = None

    def forget(self) -> None:
        """Remove the copy."""
        self._kept = None
        if self.path is not None:
            for path in (self.path, self.path.with_suffix(".json")):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def keep_if_due(self) -> None:
        """Make a copy if the last one is a while ago."""
        if time.monotonic() >= self._next:
            self.keep()

    def keep(self) -> None:
        """Make a copy if there is something new; take it away if everything is saved."""
        from engine import save
        from engine.errors import EngineError
        from engine.io.files import write_whole

        scheduler, path, start = self._scheduler, self.path, time.monotonic()
        self._next = start + EVERY_S
        if scheduler is None or path is None:
            return
        now = fingerprint(scheduler)
        if now == self._saved:
            self.forget()
        elif now != self._kept:
            facts = {
                "version": 1,
                "title": self._title,
                "origin": self._origin,
                "base": self._base,
                "step": scheduler.global_step,
                "at": time.strftime("%Y-%m-%d %H:%M"),
            }
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                save(scheduler, path)
                write_whole(path.with_suffix(".json"), json.dumps(facts, indent=2).encode())
                self._kept = now
            except (EngineError, OSError) as error:
                if not self._told:
                    self._told = True
                    text = f"What is trained here is not kept for a restart: {error}"
                    self._tell(Notice("warning", text))
        took = time.monotonic() - start
        self._next = time.monotonic() + max(EVERY_S, took / MOST_SHARE)
