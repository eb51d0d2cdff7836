"""Early stopping: when a run ends before its last epoch, and where it goes back to then."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import arguments

if TYPE_CHECKING:
    from engine.scheduler import Snapshot


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation loss has not got better by `min_delta` for `patience` epochs.

    A loss of NaN is never better. Patience is a matter of the run and not of one call of `fit`: it
    goes on over several calls, and after a run file was saved and read, as long as the validation
    set stays the same.

    Parameters
    ----------
    patience : int
    min_delta : float
    restore_best : bool
        When patience is over, go back to the end of the best epoch: the run stands there in every
        respect, weights, moments, position and history, as if it had been stopped there. `fit`
        returns the history with the epochs after it, which the run itself no longer has. A run
        that makes all its epochs stays at the last one; `Scheduler.restore_best` goes back.
    """

    patience: int = 3
    min_delta: float = 0.0
    restore_best: bool = True

    def __post_init__(self) -> None:
        arguments.whole("EarlyStopping patience", self.patience, 1)
        arguments.number("EarlyStopping min_delta", self.min_delta, least=0)
        arguments.flag("EarlyStopping restore_best", self.restore_best)


@dataclass
class Watch:
    """What early stopping has seen of a run so far.

    Parameters
    ----------
    validation : str
        Fingerprint of the validation set; losses on another one cannot be compared.
    best_loss : float
    best_epoch : int or None
        From 0; None while no epoch had a finite loss.
    waited : int
        Epochs since then.
    best : Snapshot or None
        The run at the end of that epoch, if it shall be gone back to.
    """

    validation: str = ""
    best_loss: float = math.inf
    best_epoch: int | None = None
    waited: int = 0
    best: Snapshot | None = None

    def take(
        self, loss: float, epoch: int, settings: EarlyStopping, capture: Callable[[], Snapshot]
    ) -> bool:
        """Judge an epoch that has just ended, and return whether patience is over."""
        if loss < self.best_loss - settings.min_delta:
            self.best_loss, self.best_epoch, self.waited = loss, epoch, 0
            self.best = capture() if settings.restore_best else None
        else:
            self.waited += 1
        return self.waited >= settings.patience

    def belongs_to(self, validation: str, global_step: int, moments_since: int) -> bool:
        """Return whether a run that stands at this step goes on with what was seen.

        It does not with another validation set, with another optimiser, or where somebody went
        back to a step before the best one.
        """
        if validation != self.validation:
            return False
        best = self.best
        return best is None or (
            best.global_step <= global_step and best.moments_since == moments_since
        )

    def told(self, reason: str, made: int, last: float, kept: bool) -> str:
        """Say in one line how a `fit` with early stopping has ended, if there is something to say.

        Parameters
        ----------
        reason : str
            Empty if all epochs were made.
        made : int
            Epochs of the run.
        last : float
            Validation loss of the last one.
        kept : bool
            Whether the run can go back to the best epoch.
        """
        best = "" if self.best_epoch is None else f"epoch {self.best_epoch} of {made}"
        if reason not in ENDED_EARLY:
            if not best or reason or self.best_epoch == made - 1:
                return ""
            back = "; restore_best() goes back to it" if kept else ""
            return f"{best} had the lowest validation loss, {self.best_loss:.4g}{back}"
        start = (
            f"stopped early: the validation loss is {last}"
            if reason == "validation_nan"
            else f"stopped early: no better validation loss for {self.waited} epochs"
        )
        if not best:
            return f"{start}; no epoch had a finite one, so there is none to go back to"
        if kept:
            return f"{start}; the run is back at the end of {best}, the best"
        why = ", whose optimizer was another one" if self.best is not None else ""
        return f"{start}; the best was {best}{why}; nothing was restored"


ENDED_EARLY = ("early_stopping", "validation_nan")
"""Why `fit` ends when patience is over."""

__all__ = ["ENDED_EARLY", "EarlyStopping", "Watch"]
