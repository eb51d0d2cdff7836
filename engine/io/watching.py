"""What early stopping has seen, in a run file: figures, and the best epoch's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.errors import FormatError
from engine.scheduler import Scheduler, Snapshot
from engine.stopping import Watch
from engine.typing import Array

PREFIX = "best."
"""Before the names of the best epoch's tensors, which are those of the run itself."""


def watch_to_data(watch: Watch, best: Snapshot | None) -> dict[str, Any]:
    """Return the figures; `best` is the snapshot whose tensors the file holds, or None."""
    return {
        "validation": watch.validation,
        "best_loss": float(watch.best_loss),
        "best_epoch": watch.best_epoch,
        "waited": watch.waited,
        "best": None
        if best is None
        else {
            "epoch": best.epoch,
            "batch": best.batch,
            "step": best.global_step,
            "history": [int(count) for count in best.history],
        },
    }


def kept(run: Scheduler) -> Snapshot | None:
    """Return the best epoch's snapshot if the run can still go back to it."""
    best = None if run.watch is None else run.watch.best
    return best if best is not None and best.moments_since == run.moments_since else None


def best_tensors(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Return the best epoch's tensors among those of a file; none if it is the epoch it ends at."""
    names = [name for name in tensors if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX): tensors[name] for name in names}


def watch_from_data(data: Any, captured: Snapshot) -> Watch:
    """Return what `watch_to_data` wrote.

    Parameters
    ----------
    data : dict
    captured : Snapshot
        Of the run while it holds the best epoch's tensors.

    Raises
    ------
    FormatError
        If something is missing or of the wrong kind.
    """
    try:
        best, epoch = data["best"], data["best_epoch"]
        if best is not None:
            mark = tuple(int(count) for count in best["history"])
            if len(mark) != len(captured.history):
                raise ValueError("history")
            captured = replace(
                captured,
                epoch=int(best["epoch"]),
                batch=int(best["batch"]),
                global_step=int(best["step"]),
                history=mark,
            )
        return Watch(
            str(data["validation"]),
            float(data["best_loss"]),
            None if epoch is None else int(epoch),
            int(data["waited"]),
            None if best is None else captured,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"run file: what early stopping has seen is damaged ({error})") from error


__all__ = ["PREFIX", "best_tensors", "kept", "watch_from_data", "watch_to_data"]
