"""What outlives the window besides the settings: a run that was not saved, the drawing, the desk.

All of it lies in the state folder of the person. Every process keeps its run under a name of its
own, with a lock beside it; a copy whose lock nobody holds belongs to a process that has ended
without saving, and is offered at the next start.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QLockFile, QStandardPaths

from engine.io.files import write_whole
from gui.models.snapshot import BreakpointRow

VERSION = 1
MOST_RUNS = 20
"""So many runs keep their breakpoints."""


def state_folder() -> Path:
    """Return the folder: beside the settings if those were moved, else where the system says."""
    folder = os.environ.get("CONVSCOPE_CONFIG")
    if folder:
        return Path(folder) / "state"
    if platform.system() == "Linux":
        place = os.environ.get("XDG_STATE_HOME", "")
        return (Path(place) if place else Path("~").expanduser() / ".local" / "state") / "convscope"
    where = QStandardPaths.StandardLocation.GenericDataLocation
    return (
        Path(QStandardPaths.writableLocation(where) or Path("~").expanduser())
        / "convscope"
        / "state"
    )


@dataclass(frozen=True, eq=False)
class Kept:
    """A run that a process left behind.

    Parameters
    ----------
    path : Path
        A run file like any other.
    title, origin : str
        Name of the run and the file it came from.
    base, step : int
        The step of that file and of this one.
    at : str
        When it was written, for the reader.
    lock : QLockFile
        Held by this process, so that no other one offers it too.
    """

    path: Path
    title: str
    origin: str
    base: int
    step: int
    at: str
    lock: QLockFile

    def remove(self) -> None:
        """Delete the files."""
        for path in (self.path, self.path.with_suffix(".json")):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self.lock.unlock()

    def leave(self) -> None:
        """Let the next start offer it."""
        self.lock.unlock()


@dataclass
class DeskState:
    """What the desk looked like.

    Parameters
    ----------
    last_run : str
        The run file that was open last; empty for the bundled net.
    breakpoints : dict
        The breakpoints of each run file; the bundled net's have the key ``""``.
    """

    last_run: str = ""
    breakpoints: dict[str, list[BreakpointRow]] = field(default_factory=dict)

    def set_breakpoints(self, run: str, rows: tuple[BreakpointRow, ...]) -> None:
        """Remember the breakpoints of a run, the newest run last."""
        self.breakpoints.pop(run, None)
        if rows:
            self.breakpoints[run] = list(rows)
        while len(self.breakpoints) > MOST_RUNS:
            self.breakpoints.pop(next(iter(self.breakpoints)))


class Shelf:
    """The state folder.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: QLockFile | None = None

    # --- runs that are not saved ----------------------------------------------------------------

    def own(self) -> Path | None:
        """Return where this process may keep its run; None if the folder cannot be written."""
        runs = self.folder / "unsaved"
        try:
            runs.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        for number in range(1, 1000):
            path = runs / f"run-{number}.safetensors"
            lock = _lock_of(path)
            if path.exists() or not lock.tryLock(0):
                continue
            if path.exists():  # somebody left it between the two questions
                lock.unlock()
                continue
            self._lock = lock
            return path
        return None

    def left_behind(self) -> list[Kept]:
        """Return the runs of processes that ended without saving, newest first, each locked."""
        found = []
        with contextlib.suppress(OSError):
            for path in sorted((self.folder / "unsaved").glob("run-*.safetensors")):
                lock = _lock_of(path)
                if lock.tryLock(0):
                    found.append((path.stat().st_mtime, _kept(path, lock)))
        return [kept for _, kept in sorted(found, key=lambda item: -item[0])]

    def close(self) -> None:
        """Let go of the own place; a copy that lies there is offered at the next start."""
        if self._lock is not None:
            self._lock.unlock()
            self._lock = None

    # --- the desk -------------------------------------------------------------------------------

    def read_desk(self) -> DeskState:
        """Return how the desk was left; a damaged file is as good as none."""
        try:
            stored = json.loads((self.folder / "desk.json").read_text(encoding="utf-8"))
            if stored["version"] != VERSION:
                return DeskState()
            rows = {
                str(run): [_row(item) for item in items]
                for run, items in stored["breakpoints"].items()
            }
            return DeskState(str(stored["last_run"]), rows)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return DeskState()

    def write_desk(self, state: DeskState) -> None:
        """Write how the desk is left.

        Raises
        ------
        EngineError, OSError
            If the folder cannot be written.
        """
        points = {
            run: [
                {
                    "layer": row.layer,
                    "phase": row.phase,
                    "when": row.when,
                    "hit_count": row.hit_count,
                    "enabled": row.enabled,
                }
                for row in rows
            ]
            for run, rows in state.breakpoints.items()
        }
        content = {"version": VERSION, "last_run": state.last_run, "breakpoints": points}
        self._write("desk.json", json.dumps(content, indent=2).encode())

    # --- the drawing ----------------------------------------------------------------------------

    def read_drawing(self) -> bytes:
        """Return the PNG of the drawing, empty without one."""
        try:
            return (self.folder / "drawing.png").read_bytes()
        except OSError:
            return b""

    def write_drawing(self, content: bytes) -> None:
        """Write the PNG of the drawing; empty removes it.

        Raises
        ------
        EngineError, OSError
            If the folder cannot be written.
        """
        if content:
            self._write("drawing.png", content)
        else:
            (self.folder / "drawing.png").unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / name, content)


def _lock_of(path: Path) -> QLockFile:
    lock = QLockFile(str(path.with_suffix(".lock")))
    lock.setStaleLockTime(0)  # a process may train for days: only one that has ended is stale
    return lock


def _kept(path: Path, lock: QLockFile) -> Kept:
    """Return what is known of a copy; the run file alone is enough."""
    facts: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        read = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        facts = read if isinstance(read, dict) else {}

    def number(name: str) -> int:
        value = facts.get(name)
        return value if isinstance(value, int) else 0

    title, origin = str(facts.get("title", "a run")), str(facts.get("origin", ""))
    return Kept(path, title, origin, number("base"), number("step"), str(facts.get("at", "")), lock)


def _row(item: dict[str, Any]) -> BreakpointRow:
    """Return a stored breakpoint.

    Raises
    ------
    ValueError
        If it is none.
    """
    texts = [item[name] for name in ("layer", "phase", "when")]
    hits, enabled = item["hit_count"], item["enabled"]
    if not all(text is None or isinstance(text, str) for text in texts):
        raise ValueError("a breakpoint's place and condition are texts")
    if type(hits) is not int or hits < 1 or type(enabled) is not bool:
        raise ValueError("a breakpoint has a hit count and a switch")
    return BreakpointRow(0, texts[0], texts[1], texts[2], hits, 0, enabled)
