"""What a running scheduler tells its listeners: frozen records, delivered in the running thread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class Compiling(Event):
    """A kernel is about to be compiled, or was read from the cache."""

    kernel: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class FitStarted(Event):
    """`fit` begins; `steps` is the number of steps it will make at most."""

    steps: int
    epochs: int


@dataclass(frozen=True, slots=True)
class StepFinished(Event):
    """One training step is done.

    `loss` has penalties in it. `correct` of the `counted` samples are right; where targets are not
    classes, None of 0. Samples that the loss ignores are in `samples` alone.
    """

    step: int
    epoch: int
    batch: int
    loss: float
    learning_rate: float
    samples: int
    correct: int | None
    elapsed_ms: float
    counted: int = 0


@dataclass(frozen=True, slots=True)
class EpochFinished(Event):
    """An epoch is done. Validation figures are None without a validation set.

    `note` says in one line what the evaluation could not count like the rest, if anything.
    """

    epoch: int
    loss: float
    validation_loss: float | None
    accuracy: float | None
    elapsed_ms: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class EvaluationProgress(Event):
    """`done` of `total` samples of an evaluation are through."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Paused(Event):
    """The run stands still before `step`."""

    step: int


@dataclass(frozen=True, slots=True)
class Resumed(Event):
    """The run goes on at `step`."""

    step: int


@dataclass(frozen=True, slots=True)
class FitFinished(Event):
    """`fit` is over.

    Parameters
    ----------
    step : int
        Where the run stands now; after early stopping, it may have gone back.
    reason : str
        ``"finished"``, ``"stopped"``, ``"early_stopping"``, or ``"validation_nan"``: early stopping
        because the validation loss was NaN or infinite.
    note : str
        What one should know about the end, in one line; else empty.
    diverged : bool
        Whether the run ends in NaN or infinity: in its loss, its weights or its statistics.
    best_epoch : int or None
        With early stopping, the epoch (from 0) with the lowest validation loss so far.
    """

    step: int
    reason: str
    note: str = ""
    diverged: bool = False
    best_epoch: int | None = None
