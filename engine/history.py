"""What a training run has measured so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.errors import FormatError
from engine.typing import Array

SERIES = ("loss", "epoch_loss", "validation_loss", "accuracy")


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
    """

    steps: list[float] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    validations: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    @property
    def loss(self) -> Array:
        """Loss of every step, float64."""
        return np.array(self.steps, np.float64)

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

    def to_data(self) -> dict[str, list[float]]:
        """Return the figures for a run file."""
        return {name: [float(v) for v in getattr(self, name)] for name in SERIES}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> History:
        """Return the history that `to_data` wrote."""
        try:
            return cls(*([float(v) for v in data[name]] for name in SERIES))
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"run file: the history is damaged ({error})") from error

    def copy_lengths(self) -> tuple[int, int, int, int]:
        """Return how long each list is, for `cut`."""
        return len(self.steps), len(self.epochs), len(self.validations), len(self.accuracies)

    def cut(self, lengths: tuple[int, int, int, int]) -> None:
        """Forget what came after `copy_lengths` returned `lengths`."""
        lists = (self.steps, self.epochs, self.validations, self.accuracies)
        for values, length in zip(lists, lengths, strict=True):
            del values[length:]
