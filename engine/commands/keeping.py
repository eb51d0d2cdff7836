"""Keeping what a training has reached: after epochs, at its end, and where its file cannot be."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from engine import Scheduler, save
from engine.commands.output import Output
from engine.errors import FormatError
from engine.scheduler import Snapshot

SAVE_EVERY_S = 2.0
"""A run is saved after an epoch if so much time has passed; always at its end."""
HEADER_BYTES, STEP_BYTES = 2**16, 24
"""Of a run file: its description, and about the most that one step adds to the history."""
STEPS_AHEAD = 100_000
"""Who asks for more may mean to stop it by hand."""


def finite(scheduler: Scheduler) -> bool:
    """Return whether all parameters and running statistics are finite numbers."""
    return _is_finite(scheduler.capture())


def _is_finite(snapshot: Snapshot) -> bool:
    arrays = (*snapshot.parameters.values(), *snapshot.state.values())
    return all(bool(np.isfinite(array).all()) for array in arrays)


def size_of_run(scheduler: Scheduler, steps: int) -> int:
    """Return about how many bytes the file of a run will have after so many more steps."""
    parameters = sum(p.value.nbytes for p in scheduler.model.parameters.values())
    state = sum(array.nbytes for array in scheduler.model.state.values())
    moments = parameters * len(scheduler.optimizer.moments)
    history = STEP_BYTES * (len(scheduler.history.steps) + min(steps, STEPS_AHEAD))
    return parameters + moments + state + history + HEADER_BYTES


class Keeper:
    """Saves a run.

    Parameters
    ----------
    scheduler : Scheduler
    target : Path or None
        The file that was asked for; None saves nothing.
    out : Output
        Is told what goes wrong on the way.
    """

    def __init__(self, scheduler: Scheduler, target: Path | None, out: Output) -> None:
        self.scheduler, self.target, self.out = scheduler, target, out
        self._good: Snapshot | None = None
        self._saved = time.monotonic()

    def epoch(self) -> bool:
        """Keep the run as it is after an epoch; return False, and do not, if it has NaN or Inf.

        A save that fails here ends nothing: it is told, and the end of the run is another chance.
        """
        now = self.scheduler.capture()
        if not _is_finite(now):
            return False
        if self.target is None:
            return True
        self._good = now
        if time.monotonic() - self._saved > SAVE_EVERY_S:
            try:
                save(self.scheduler, self.target)
            except FormatError as error:
                self.out.json(event="not_saved", reason=str(error))
                self.out.line(f"not saved now: {error}", "yellow", fold=False)
            self._saved = time.monotonic()
        return True

    def restore(self) -> int | None:
        """Put the run back to its last epoch that ended well; return how many it has had then."""
        if self._good is None:
            return None
        self.scheduler.restore(self._good)
        return self.scheduler.epoch

    def save(self) -> Path | None:
        """Save at the end; return where, or None without a target.

        Raises
        ------
        FormatError
            If that was not possible there; the run lies elsewhere then, and the text says where.
        """
        return None if self.target is None else self._save(self.target)

    def save_broken(self) -> Path | None:
        """Save beside the target, for the debugger; return where, or None without a target.

        Raises
        ------
        FormatError
            As `save`.
        """
        target = self.target
        if target is None:
            return None
        return self._save(target.with_name(f"{target.stem}.nan{target.suffix}"))

    def _save(self, target: Path) -> Path:
        try:
            save(self.scheduler, target)
        except FormatError as error:
            place = self._save_elsewhere()
            if place is None:
                raise
            raise FormatError(f"{error}; the run was saved to {place} instead") from error
        return target

    def _save_elsewhere(self) -> Path | None:
        """Save where the user may look or at least where there is room; return the place."""
        for folder in (Path.cwd, Path.home, lambda: Path(tempfile.gettempdir())):
            try:
                handle, name = tempfile.mkstemp(".safetensors", "convscope-rescued-", folder())
                os.close(handle)
            except (OSError, RuntimeError):  # no such folder, no home
                continue
            path = Path(name)
            try:
                save(self.scheduler, path)
            except FormatError:
                path.unlink(missing_ok=True)
                continue
            return path
        return None
