"""What a training run has measured so far."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.errors import FormatError
from engine.typing import Array

SERIES = ("loss", "epoch_loss", "validation_loss", "accuracy")
LATER_SERIES = ("learning_rates",)
"""What older run files do not have; their steps read NaN: not recorded."""


@dataclass
class History:
    """Figures of a run as growing lists; the properties give arrays.

    Parameters
    ----------
    steps : list of float
        Loss of every step, penalties included.
    epochs : list of float
        Mean loss of the steps of every finished epoch.
    validations : list of float
        Validation loss of every epoch that had a validation set.
    accuracies : list of float
        Validation accuracy of those epochs; of epochs without a validation set the accuracy in
        training.
    right, seen : int
        Right predictions, and samples with a class to be judged, of the epoch under way.
    rates : list of float
        Learning rate of every step; NaN where it was not recorded.
    """

    steps: list[float] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    validations: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    right: int = 0
    seen: int = 0
    rates: list[float] = field(default_factory=list)

    @property
    def loss(self) -> Array:
        """Loss of every step, float64."""
        return np.array(self.steps, np.float64)

    @property
    def learning_rates(self) -> Array:
        """Learning rate of every step, float64; NaN where it was not recorded."""
        return np.array(self.rates, np.float64)

    @property
    def epoch_loss(self) -> Array:
        """Mean loss of every epoch, float64."""
        return np.array(self.epochs, np.float64)

    @property
    def validation_loss(self) -> Array:
        """Validation loss of every epoch, float64."""
        return np.array(self.validations, np.float64)

    @property
    def accuracy(self) -> Array:
        """Accuracy of every epoch, float64."""
        return np.array(self.accuracies, np.float64)

    def book(self, loss: float, rate: float) -> None:
        """Append a step."""
        self.steps.append(loss)
        self.rates.append(rate)

    def tally(self, correct: int | None, samples: int) -> None:
        """Count a batch of the epoch under way; None where targets are not classes."""
        if correct is not None:
            self.right, self.seen = self.right + correct, self.seen + samples

    def finish_epoch(self, batches: int) -> float | None:
        """Book an epoch of so many steps; return its training accuracy, None without classes."""
        self.epochs.append(float(np.mean(self.steps[-batches:])))
        accuracy = self.right / self.seen if self.seen else None
        self.right = self.seen = 0
        return accuracy

    def to_data(self) -> dict[str, Any]:
        """Return the figures for a run file."""
        names = (*SERIES, *LATER_SERIES)
        series = {name: [float(v) for v in getattr(self, name)] for name in names}
        return {**series, "under_way": [self.right, self.seen]}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> History:
        """Return the history that `to_data` wrote."""
        try:
            right, seen = (int(v) for v in data["under_way"])
            steps, epochs, validations, accuracies = ([float(v) for v in data[n]] for n in SERIES)
            rates = [float(v) for v in data.get("learning_rates", ())]
            rates = [*[math.nan] * (len(steps) - len(rates)), *rates]
            return cls(steps, epochs, validations, accuracies, right, seen, rates)
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"run file: the history is damaged ({error})") from error

    def mark(self) -> tuple[int, ...]:
        """Return how much there is, for `cut`."""
        lists = (self.steps, self.epochs, self.validations, self.accuracies, self.rates)
        return (*map(len, lists), self.right, self.seen)

    def cut(self, mark: tuple[int, ...]) -> None:
        """Forget what came after `mark` was returned."""
        lists = (self.steps, self.epochs, self.validations, self.accuracies, self.rates)
        for values, length in zip(lists, mark, strict=False):
            del values[length:]
        self.right, self.seen = mark[-2:]
